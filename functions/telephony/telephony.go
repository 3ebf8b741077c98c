// Package telephony is the HTTP function that takes in who is on the phone: POST
// brings what changed, PUT the complete list. What UCServer's connector has to do
// is told in docs/telephony.md, the bytes in api/openapi.yaml.
package telephony

import (
	"context"
	"log/slog"
	"net/http"
	"time"

	"procallteams/internal/access"
	"procallteams/internal/calls"
	"procallteams/internal/host"
	"procallteams/internal/problem"
	"procallteams/internal/reply"
	"procallteams/internal/telemetry"
)

// Ledger takes reports in. What it returns without an error is durable. Its errors
// are *calls.EpochError, *calls.NeedError, *calls.ListError, [calls.ErrNoDirectory],
// [calls.ErrChanged], or those of storage.
type Ledger interface {
	Report(ctx context.Context, tenant, reporter string, epoch int64, entries []calls.Entry) (calls.Receipt, error)
	Complete(ctx context.Context, tenant, reporter string, epoch, asOf int64, entries []calls.Entry) (calls.Receipt, error)
}

// Function is the code of function.json beside this file.
type Function struct {
	Ledger Ledger
	Log    *slog.Logger
	Meter  *telemetry.Meter
}

// Answer is what came of a batch.
type Answer struct {
	Epoch int64 `json:"epoch"`
	Lease Lease `json:"lease"`
	// Accepted counts what is known now, Rejected everything else.
	Accepted int `json:"accepted"`
	Rejected int `json:"rejected"`
	// Ended counts people whom a complete list ended; nil for a batch of reports.
	Ended *int `json:"ended,omitempty"`
	// Expired says that the lease had ended before this complete list.
	Expired *Expired `json:"expired,omitempty"`
	Results []Result `json:"results"`
}

// Lease is until when the reporter may be silent, by the bridge's clock.
type Lease struct {
	Until   time.Time `json:"until"`
	Seconds int       `json:"seconds"`
}

// Expired is a lease that ended, and how many active reports with it.
type Expired struct {
	At    time.Time `json:"at"`
	Ended int       `json:"ended"`
}

// Result is what came of one item. User and Seq are left out when the item has none
// that can be read.
type Result struct {
	User   string       `json:"user,omitempty"`
	Seq    *int64       `json:"seq,omitempty"`
	Result calls.Result `json:"result"`
	Detail string       `json:"detail,omitempty"`
}

// ServeReporter answers an authenticated machine: the credential is the reporter.
func (f Function) ServeReporter(w http.ResponseWriter, r *http.Request, reporter access.Consumer) {
	complete := r.Method == http.MethodPut
	if !complete && r.Method != http.MethodPost {
		problem.MethodNotAllowed(w, "POST, PUT")
		return
	}
	began := time.Now()
	batch, refusal := read(w, r, complete)
	if refusal != nil {
		f.Meter.Add(r.Context(), telemetry.Report{Refused: true})
		refusal.Invocation = host.Invocation(r.Context())
		problem.Write(w, *refusal)
		return
	}
	receipt, err := f.take(r.Context(), reporter, batch)
	if err != nil {
		f.Meter.Add(r.Context(), telemetry.Report{Refused: true, Took: time.Since(began)})
		f.refuse(w, r, reporter, err)
		return
	}
	answer := answerOf(receipt, complete)
	f.Meter.Add(r.Context(), telemetry.Report{List: complete, Accepted: answer.Accepted, Rejected: answer.Rejected, Took: time.Since(began)})
	reply.JSON(w, http.StatusOK, answer)
}

func (f Function) take(ctx context.Context, reporter access.Consumer, b batch) (calls.Receipt, error) {
	if b.complete {
		return f.Ledger.Complete(ctx, reporter.Tenant, reporter.ID, b.epoch, b.asOf, b.entries)
	}
	return f.Ledger.Report(ctx, reporter.Tenant, reporter.ID, b.epoch, b.entries)
}

func answerOf(receipt calls.Receipt, complete bool) Answer {
	answer := Answer{
		Epoch: receipt.Epoch, Lease: Lease{Until: receipt.Until, Seconds: int(calls.LeaseTime / time.Second)},
		Results: make([]Result, len(receipt.Outcomes)),
	}
	for i, o := range receipt.Outcomes {
		result := Result{User: o.User, Result: o.Result, Detail: o.Detail}
		if o.Seq >= 0 {
			result.Seq = &o.Seq
		}
		if answer.Results[i] = result; o.Result == calls.Accepted || o.Result == calls.Unchanged {
			answer.Accepted++
		} else {
			answer.Rejected++
		}
	}
	if complete {
		answer.Ended = &receipt.Ended
	}
	if receipt.Expired {
		answer.Expired = &Expired{At: receipt.ExpiredAt, Ended: receipt.ExpiredWith}
	}
	return answer
}

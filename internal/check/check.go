// Package check tries, one after another, everything that the bridge stands on, and
// says of each what it saw: evidence where it works, cause and next step where not.
//
// The order is that of dependence: settings, storage, Key Vault, the proxy, the tenant, the
// credential, each consent, then what the consents are for, and UCServer. A step
// whose cause failed before is not tried, so that one fault is told once. What a step
// proves or disproves about a consent stands in the grant's row afterwards, so that
// status and console say the same. Nothing else is changed: the one push is empty, and
// nobody's presence is read unless reading is switched on. No SDK here: handler
// connects the steps.
package check

import (
	"context"
	"errors"
	"time"

	"procallteams/internal/consent"
)

// Name of a step; stable, part of the HTTP contract. There is one for every user
// grant, with its account.
type Name string

// Steps, in their order.
const (
	Settings      Name = "settings"
	Storage       Name = "storage"
	KeyVault      Name = "key-vault"
	Proxy         Name = "proxy"
	Tenant        Name = "tenant"
	Credential    Name = "credential"
	AdminConsent  Name = "admin-consent"
	UserConsent   Name = "user-consent"
	ReadPresence  Name = "read-presence"
	Directory     Name = "directory"
	WritePresence Name = "write-presence"
	Push          Name = "push"
)

var titles = map[Name]string{
	Settings: "Settings", Storage: "Storage", KeyVault: "Key Vault", Proxy: "Outbound proxy", Tenant: "Tenant", Credential: "Credential of the app registration",
	AdminConsent: "Admin consent", UserConsent: "User consent", ReadPresence: "Read a presence", Directory: "Read the directory",
	WritePresence: "Write presences", Push: "Push to UCServer",
}

// State is what became of a step.
type State string

// States of a step.
const (
	OK       State = "ok"
	Note     State = "note"      // works, and something should be known
	Off      State = "off"       // nothing is wrong, there is nothing to try
	Failed   State = "failed"    // something is wrong
	NotTried State = "not-tried" // Because failed before, or the time was over
)

// Result is what a step found (api/openapi.yaml, CheckResult).
type Result struct {
	Step    Name             `json:"step"`
	Title   string           `json:"name"`
	Account *consent.Account `json:"account,omitempty"` // of a user consent
	State   State            `json:"state"`
	OK      bool             `json:"ok"` // neither failed nor, because of a failure, not tried
	// Detail is the evidence, or what is wrong; Code is the vendor's, where there is one.
	Detail string `json:"detail,omitempty"`
	Code   string `json:"code,omitempty"`
	// Because is the step whose failure keeps this one from being tried.
	Because  Name   `json:"because,omitempty"`
	NextStep string `json:"nextStep,omitempty"`
	Who      string `json:"who,omitempty"`
	Millis   int64  `json:"millis"`
}

// Report is api/openapi.yaml, CheckReport.
type Report struct {
	At     time.Time `json:"at"`
	OK     bool      `json:"ok"`
	Checks []Result  `json:"checks"`
}

// Failure is an error of a port that says who must do what.
type Failure struct {
	Detail, Code string
	Step, Who    string
}

func (f *Failure) Error() string { return f.Detail }

const (
	// stepTime bounds one step, wholeTime all of them: an HTTP answer is due before
	// 100 s.
	stepTime  = 20 * time.Second
	wholeTime = 80 * time.Second
)

// Run tries everything. It always returns a whole report.
func (b Bridge) Run(ctx context.Context) Report {
	ctx, cancel := context.WithTimeout(ctx, wholeTime)
	defer cancel()
	r := &run{Bridge: b, ctx: ctx, stopped: map[Name]Name{}, report: Report{At: b.Now().UTC(), OK: true}}
	r.all()
	return r.report
}

// run is one check.
type run struct {
	Bridge
	ctx    context.Context
	report Report
	// stopped names for each step that failed or was not tried the one that is to
	// blame.
	stopped map[Name]Name

	view   View
	app    *consent.Proof  // nil while the credential is not proven
	proofs []consent.Proof // those that Graph accepts, in the order in which a sync chooses
}

// found is what a step returns.
type found struct {
	state        State
	detail, code string
	next, who    string
}

func ok(detail string) found  { return found{state: OK, detail: detail} }
func off(detail string) found { return found{state: Off, detail: detail} }
func note(detail, next string) found {
	return found{state: Note, detail: detail, next: next, who: "administrator"}
}
func failed(detail, next, who string) found {
	return found{state: Failed, detail: detail, next: next, who: who}
}

// step tries one thing, unless one of the steps that it needs stands in the way, and
// reports whether it worked.
func (r *run) step(name Name, needs []Name, try func(context.Context) found) bool {
	return r.stepOf(name, nil, needs, try)
}

func (r *run) stepOf(name Name, account *consent.Account, needs []Name, try func(context.Context) found) bool {
	result := Result{Step: name, Title: titles[name], Account: account}
	for _, need := range needs {
		if culprit, bad := r.stopped[need]; bad {
			result.State, result.Because, result.Detail = NotTried, culprit, titles[culprit]+" failed"
			break
		}
	}
	if result.State == "" && r.ctx.Err() != nil {
		result.State, result.Because, result.Detail = NotTried, "", "the check had no time left"
		result.NextStep, result.Who = "Cure what was slow above, then run the check again.", "operator"
	}
	if result.State == "" {
		ctx, cancel := context.WithTimeout(r.ctx, stepTime)
		began := r.Now()
		f := try(ctx)
		cancel()
		result.Millis = max(0, r.Now().Sub(began).Milliseconds())
		result.State, result.Detail, result.Code, result.NextStep, result.Who = f.state, f.detail, f.code, f.next, f.who
	}
	result.OK = result.State != Failed && result.State != NotTried
	if !result.OK && r.stopped[name] == "" {
		r.stopped[name] = name
		if result.Because != "" {
			r.stopped[name] = result.Because
		}
	}
	r.report.OK = r.report.OK && result.OK
	r.report.Checks = append(r.report.Checks, result)
	return result.OK
}

// wrong says of an error what is wrong, and who must do what: the error's own words,
// else next and who.
func wrong(err error, next, who string) found {
	f := failed(err.Error(), next, who)
	if own, is := errors.AsType[*Failure](err); is {
		f.code = own.Code
		f.next, f.who = orElse(own.Step, f.next), orElse(own.Who, f.who)
	}
	if errors.Is(err, context.DeadlineExceeded) {
		f.detail = "no answer within " + stepTime.String()
	}
	return explain(f, err)
}

func orElse(text, other string) string {
	if text == "" {
		return other
	}
	return text
}

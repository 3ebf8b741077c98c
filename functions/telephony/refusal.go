package telephony

import (
	"errors"
	"fmt"
	"net/http"

	"procallteams/internal/access"
	"procallteams/internal/calls"
	"procallteams/internal/host"
	"procallteams/internal/problem"
)

func malformed(err error) *problem.Details {
	return &problem.Details{
		Type: "/problems/bad-request", Title: "This request is not understood", Status: http.StatusBadRequest,
		Detail: err.Error(), NextStep: "Compare it with api/openapi.yaml.", Who: "connector",
	}
}

func tooLarge(detail string, complete bool) *problem.Details {
	next := "Send it in smaller batches, in the order of seq."
	if complete {
		next = "Send the people who are on the phone only."
	}
	return &problem.Details{
		Type: "/problems/batch-too-large", Title: "This is more than one request may bring", Status: http.StatusRequestEntityTooLarge,
		Detail: detail + " Nothing was taken in.", NextStep: next, Who: "connector",
	}
}

const sendList = "Send the complete list of active calls: PUT v1/telephony."

// refuse answers with the problem that err is.
func (f Function) refuse(w http.ResponseWriter, r *http.Request, reporter access.Consumer, err error) {
	d := refusalOf(err)
	d.Invocation = host.Invocation(r.Context())
	log := host.Log(r.Context(), f.Log)
	if d.Status == http.StatusServiceUnavailable {
		w.Header().Set("Retry-After", "5")
		log.Warn("reports not taken in", "reporter", reporter.ID, "error", err.Error())
	} else {
		log.Info("reports refused", "reporter", reporter.ID, "problem", d.Type, "code", d.Code)
	}
	problem.Write(w, d)
}

func refusalOf(err error) problem.Details {
	d := problem.Details{Status: http.StatusConflict, Who: "connector"}
	epoch, isEpoch := errors.AsType[*calls.EpochError](err)
	list, isList := errors.AsType[*calls.ListError](err)
	need, isNeed := errors.AsType[*calls.NeedError](err)
	switch {
	case isEpoch:
		epochRefusal(&d, epoch)
	case isList:
		d.Type, d.Title, d.Epoch = "/problems/list-superseded", "Something newer was taken in already", &list.Epoch
		d.Detail = fmt.Sprintf("In epoch %d, what happened up to seq %d is known; this list is as of seq %d.", list.Epoch, list.InForce, list.AsOf)
		d.NextStep = "If it is an old request, ignore this. Else open a new epoch, above the one in force, with the complete list: PUT v1/telephony."
	case isNeed:
		needRefusal(&d, need)
	default:
		unavailable(&d, err)
	}
	return d
}

func epochRefusal(d *problem.Details, e *calls.EpochError) {
	d.Type, d.Title, d.NextStep = "/problems/epoch-unknown", "This epoch is not in force", sendList
	if e.Never {
		d.Detail = fmt.Sprintf("Epoch %d was never opened: no complete list of this reporter was ever taken in.", e.Given)
		return
	}
	d.Epoch = &e.InForce
	d.Detail = fmt.Sprintf("Epoch %d is in force, not %d.", e.InForce, e.Given)
	if e.Complete {
		d.Type, d.Title = "/problems/epoch-superseded", "A newer epoch is in force"
	}
	if e.Given < e.InForce {
		d.NextStep = "If it is an old request, ignore this. If another process reports with the same credential, stop one of them. Else open a new epoch, above the one in force, with the complete list: PUT v1/telephony."
	}
}

func needRefusal(d *problem.Details, e *calls.NeedError) {
	d.Type, d.Title, d.Code = "/problems/complete-list-needed", "The complete list must come first", string(e.Need)
	d.Since, d.Epoch, d.NextStep = e.Since, &e.Epoch, sendList
	if e.Need == calls.NeedExpired {
		d.Detail = fmt.Sprintf("The lease ended because nothing was heard for %s; active reports that ended with it: %d.", calls.LeaseTime, e.Ended)
		return
	}
	d.Detail = "Something that was reported is not kept: calls were not written to Teams then, or a name is not the same person's any more."
}

// unavailable is the answer to what is not the reporter's fault. The same request
// again is always right.
func unavailable(d *problem.Details, err error) {
	d.Status, d.Who = http.StatusServiceUnavailable, "operator"
	switch {
	case errors.Is(err, calls.ErrNoDirectory):
		d.Type, d.Title = "/problems/people-unknown", "It is not known yet who takes part"
		d.Detail, d.NextStep = "The tenant's people were never read from Microsoft Graph.", "Look at the console: a consent may be missing. Then send the same request again."
	case errors.Is(err, calls.ErrChanged):
		d.Type, d.Title, d.Who = "/problems/busy", "Too many requests of this reporter at once", "connector"
		d.Detail, d.NextStep = "Others were faster again and again.", "Send the same request again, one at a time."
	default:
		d.Type, d.Title = "/problems/storage-unreachable", "The bridge can't reach its storage now"
		d.Detail, d.NextStep = err.Error(), "Send the same request again in some seconds. If it stays, look at the storage account."
	}
}

package directory

import (
	"errors"
	"fmt"
	"net/http"

	"procallteams/internal/access"
	"procallteams/internal/host"
	"procallteams/internal/problem"
	"procallteams/internal/userlist"
)

// refusal is an error that is a problem already.
type refusal struct{ details problem.Details }

func (r *refusal) Error() string { return r.details.Title }

func badParameter(detail, next string) error {
	return &refusal{problem.Details{
		Type: "/problems/bad-request", Title: "A parameter is not as the contract says", Status: http.StatusBadRequest,
		Detail: detail, NextStep: next, Who: "connector",
	}}
}

// refuse answers with the problem that err is.
func (f *Function) refuse(w http.ResponseWriter, r *http.Request, err error) {
	d, expected := Explain(err)
	d.Invocation = host.Invocation(r.Context())
	log := host.Log(r.Context(), f.Log)
	if !expected {
		w.Header().Set("Retry-After", "5")
		log.Error("users of UCServer", "error", err.Error())
	} else {
		log.Info("users of UCServer refused", "problem", d.Type, "faults", d.FaultCount)
	}
	problem.Write(w, d)
}

// Explain returns the problem that an error of [Function.Take] is, and whether it is
// one that the caller can act on.
func Explain(err error) (problem.Details, bool) {
	if own, ok := errors.AsType[*refusal](err); ok {
		return own.details, true
	}
	if faults, ok := errors.AsType[*userlist.FaultsError](err); ok {
		return faulty(faults), true
	}
	if shrink, ok := errors.AsType[*ShrinkError](err); ok {
		return shrinking(shrink), true
	}
	d := problem.Details{Status: http.StatusConflict, Who: "connector"}
	limit, isLimit := errors.AsType[*userlist.LimitError](err)
	switch {
	case isLimit:
		d.Type, d.Title, d.Status = "/problems/batch-too-large", "This is more than one request may bring", http.StatusRequestEntityTooLarge
		d.Detail = "There are more than " + limit.What + ". Nothing was taken in."
		d.NextStep, d.Who = "Send the users only for whom Teams and ProCall are to be connected, and the groups only that are used for it.", "administrator"
	case errors.Is(err, errBody):
		d.Type, d.Title, d.Status = "/problems/bad-request", "This request is not understood", http.StatusBadRequest
		d.Detail, d.NextStep = "The body did not arrive completely. Nothing was taken in; the list before is in force.", "Send it again."
	case errors.Is(err, ErrPrecondition):
		d.Type, d.Title, d.Status = "/problems/changed-meanwhile", "The list is another one by now", http.StatusPreconditionFailed
		d.Detail, d.NextStep = "It does not have the ETag that was given. Nothing was taken in.", "Read the list anew, or send the complete list without If-Match."
	case errors.Is(err, ErrRace):
		d.Type, d.Title = "/problems/changed-meanwhile", "Another list was taken in meanwhile"
		d.Detail, d.NextStep = "It came at the same time and is in force now. Nothing of this one was taken in.", "If this one is newer, send it again. Let only one sender send the list."
	case errors.Is(err, errNoList):
		d.Type, d.Title, d.Status = "/problems/no-user-list", "There is no list of UCServer's users", http.StatusNotFound
		d.Detail, d.NextStep = "Until one is sent, a user's UPN, or the name in usermatching.csv, is taken for the UCServer user name.", "Send the complete list: PUT v1/directory."
	case errors.Is(err, access.ErrNoTenant):
		d.Type, d.Title, d.NextStep, d.Who = "/problems/no-tenant", "No tenant is set yet", "Set the tenant on the console first.", "administrator"
	default:
		return access.Unavailable(err), false
	}
	return d, true
}

func faulty(e *userlist.FaultsError) problem.Details {
	return problem.Details{
		Type: "/problems/list-faulty", Title: "There are faults in what was sent", Status: http.StatusUnprocessableEntity,
		Detail: problem.Faults(e.Count, len(e.Faults)) + " Nothing was taken in; the list before is in force.",
		Faults: e.Faults, FaultCount: e.Count,
		NextStep: "Correct them and send everything again.", Who: "connector",
	}
}

func shrinking(e *ShrinkError) problem.Details {
	d := problem.Details{
		Type: "/problems/list-shrinks", Title: "The list is much shorter than the one in force", Status: http.StatusConflict,
		Detail:  fmt.Sprintf("%d of %d users would go, more than a fifth; %d are on the new list. Nothing was taken in.", e.Removed, e.Before, e.Count),
		Confirm: &e.Count, Who: "administrator",
	}
	switch {
	case e.First:
		d.Title = "The first list has nobody who takes part"
		d.Detail = fmt.Sprintf("All of the %d people who take part would leave: none of them is matched with one of its %d users. Nothing was taken in.", e.Before, e.Count)
	case e.Whole:
		d.Title, d.Confirm = "The whole list would go", &e.Before
		d.Detail = fmt.Sprintf("It has %d users. Without it the name in usermatching.csv, else the UPN, is taken for the UCServer user name. Nothing was removed.", e.Before)
	}
	d.NextStep = fmt.Sprintf("Look why. If it is meant, send the same with ?confirm=%d.", *d.Confirm)
	return d
}

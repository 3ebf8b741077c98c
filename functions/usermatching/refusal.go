package usermatching

import (
	"errors"
	"fmt"
	"net/http"

	"procallteams/internal/access"
	"procallteams/internal/host"
	"procallteams/internal/matching"
	"procallteams/internal/namelist"
	"procallteams/internal/problem"
)

// refuse answers with the problem that err is.
func (f *Function) refuse(w http.ResponseWriter, r *http.Request, err error) {
	d, expected := Explain(err)
	d.Invocation = host.Invocation(r.Context())
	log := host.Log(r.Context(), f.Log)
	if !expected {
		w.Header().Set("Retry-After", "5")
		log.Error("usermatching.csv", "error", err.Error())
	} else {
		log.Info("usermatching.csv refused", "problem", d.Type, "faults", d.FaultCount)
	}
	problem.Write(w, d)
}

// Explain returns the problem that an error of [Function.Take] or
// [Function.InForce] is, and whether it is one that the administrator can act on.
func Explain(err error) (problem.Details, bool) {
	if faults, ok := errors.AsType[*matching.FaultsError](err); ok {
		return faulty(faults), true
	}
	d := problem.Details{Who: "administrator"}
	_, tooLarge := errors.AsType[*http.MaxBytesError](err)
	switch {
	case tooLarge:
		d.Type, d.Title, d.Status = "/problems/batch-too-large", "This is more than one request may bring", http.StatusRequestEntityTooLarge
		d.Detail = fmt.Sprintf("The file has more than %d MiB. Nothing was taken in.", namelist.MaxBytes>>20)
		d.NextStep = "Name only people whom no other rule matches."
	case errors.Is(err, ErrNone):
		d.Type, d.Title, d.Status = "/problems/no-matching-file", "There is no usermatching.csv", http.StatusNotFound
		d.Detail, d.NextStep = "None was uploaded, and none came with the package. People are matched by the other rules.", "Upload one, if people stay unmatched."
	case errors.Is(err, ErrPrecondition):
		d.Type, d.Title, d.Status = "/problems/changed-meanwhile", "The file is another one by now", http.StatusPreconditionFailed
		d.Detail, d.NextStep = "It does not have the ETag that was given. Nothing was taken in.", "Download it anew, make your changes in it, and upload that."
	case errors.Is(err, ErrRace):
		d.Type, d.Title, d.Status = "/problems/changed-meanwhile", "Something was changed meanwhile", http.StatusConflict
		d.Detail, d.NextStep = "Another file, or another list of users, came at the same time. Nothing of this file was taken in.", "Upload it again, if it is the newer one."
	case errors.Is(err, errBody):
		d.Type, d.Title, d.Status = "/problems/bad-request", "The file did not arrive completely", http.StatusBadRequest
		d.Detail, d.NextStep = "Nothing was taken in; the file before is in force.", "Upload it again."
	case errors.Is(err, errLength):
		d.Type, d.Title, d.Status = "/problems/length-required", "The length must be told", http.StatusLengthRequired
		d.Detail, d.NextStep = "The request has no Content-Length. Bodies in chunks are lost on the way through Azure Functions.", "Send it with a Content-Length."
	case errors.Is(err, errCompressed), errors.Is(err, errKind):
		d.Type, d.Title, d.Status = "/problems/unsupported-media-type", "This form is not taken here", http.StatusUnsupportedMediaType
		d.Detail, d.NextStep = err.Error()+".", "Send the bytes of the file as they are, with Content-Type: text/csv."
	case errors.Is(err, access.ErrNoTenant):
		d.Type, d.Title, d.Status, d.NextStep = "/problems/no-tenant", "No tenant is set yet", http.StatusConflict, "Set the tenant on the console first."
	default:
		return access.Unavailable(err), false
	}
	return d, true
}

func faulty(e *matching.FaultsError) problem.Details {
	d := problem.Details{
		Type: "/problems/list-faulty", Title: "There are faults in the file", Status: http.StatusUnprocessableEntity,
		FaultCount: len(e.Faults), NextStep: "Correct them and upload the whole file again.", Who: "administrator",
	}
	for _, f := range e.Faults[:min(len(e.Faults), maxListed)] {
		d.Faults = append(d.Faults, problem.Fault{Line: f.Line, Column: f.Column, Text: f.Text, Repair: f.Repair})
	}
	d.Detail = problem.Faults(d.FaultCount, len(d.Faults)) + " Nothing was taken in; the file before is in force."
	return d
}

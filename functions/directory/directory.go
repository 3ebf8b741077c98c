// Package directory is the HTTP function that takes in who UCServer's users are:
// PUT brings the complete list, PATCH single changes, DELETE takes the list away, GET
// shows it. Each answers for each user who takes part, or why not. What UCServer's
// connector has to do is told in docs/directory.md, the bytes in api/openapi.yaml.
package directory

import (
	"log/slog"
	"net/http"
	"runtime/debug"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	"procallteams/internal/access"
	"procallteams/internal/host"
	"procallteams/internal/poll"
	"procallteams/internal/problem"
	"procallteams/internal/storage"
	"procallteams/internal/userlist"
)

// Function is the code of function.json beside this file. It is served behind
// access.Gate.Either(access.Directory, ...).
type Function struct {
	Storage  *storage.Storage
	Settings storage.Settings
	Audit    access.Auditor
	Now      func() time.Time
	Log      *slog.Logger

	// turn is held while a list is in memory: two of 200,000 users need not be
	// there at once.
	turn sync.Mutex
}

// ServeCaller answers GET, PUT, PATCH and DELETE.
func (f *Function) ServeCaller(w http.ResponseWriter, r *http.Request, caller access.Caller) {
	switch r.Method {
	case http.MethodGet, http.MethodHead:
		f.show(w, r, caller)
	case http.MethodPut, http.MethodPatch, http.MethodDelete:
		f.take(w, r, caller)
	default:
		problem.MethodNotAllowed(w, "DELETE, GET, HEAD, PATCH, PUT")
	}
}

// take answers PUT, PATCH and DELETE.
func (f *Function) take(w http.ResponseWriter, r *http.Request, caller access.Caller) {
	step := Step{Do: does[r.Method], IfMatch: r.Header.Get("If-Match"), IfNoneMatch: r.Header.Get("If-None-Match")}
	parameters := poll.ParametersOf(r)
	dryRun := parameters.Text("dryRun")
	step.Confirm = parameters.Number("confirm", 0, userlist.MaxUsers, noConfirm)
	if parameters.Refuse(w, r) {
		return
	}
	if step.DryRun = dryRun == "true"; dryRun != "" && dryRun != "true" && dryRun != "false" {
		f.refuse(w, r, badParameter("dryRun is neither true nor false.", "Leave it out to have the list stored."))
		return
	}
	if err := unreadable(r); err != nil && step.Do != Remove {
		f.refuse(w, r, err)
		return
	}
	step.Tenant, step.Who, step.Machine = caller.Consumer.Tenant, caller.Consumer.ID, true
	if caller.Administrator != "" {
		step.Who, step.Machine = caller.Administrator, false
	}
	step.From = http.MaxBytesReader(w, r.Body, maxBody)
	receipt, err := f.Take(r.Context(), step)
	if err != nil {
		f.refuse(w, r, err)
		return
	}
	host.Log(r.Context(), f.Log).Info("users of UCServer taken in", "by", step.Who, "users", receipt.Count,
		"added", receipt.Added, "changed", receipt.Changed, "removed", receipt.Removed, "stored", receipt.Stored)
	f.answer(w, r, receipt.ETag, receipt.Write)
	if receipt.Count > largeList {
		// It took many times what this process needs otherwise, and the next may be far.
		debug.FreeOSMemory()
	}
}

// largeList is from how many users on the memory of a list is given back at once.
const largeList = 10_000

var does = map[string]Do{http.MethodPut: Replace, http.MethodPatch: Change, http.MethodDelete: Remove}

// show answers GET.
func (f *Function) show(w http.ResponseWriter, r *http.Request, caller access.Caller) {
	parameters := poll.ParametersOf(r)
	limit := parameters.Number("limit", 1, userlist.MaxUsers, defaultLimit)
	after := parameters.Text("after")
	if parameters.Refuse(w, r) {
		return
	}
	if utf8.RuneCountInString(after) > userlist.MaxID || !utf8.ValidString(after) {
		f.refuse(w, r, badParameter("after is not the id of a user.", "Take next from the last line of the answer before."))
		return
	}
	page, err := f.read(r.Context(), caller.Consumer.Tenant, after, limit)
	if err != nil {
		f.refuse(w, r, err)
		return
	}
	f.answer(w, r, page.etag, page.write)
}

// defaultLimit is the size of a page.
const defaultLimit = 1000

// unreadable says why the body can't be read, before it is read.
func unreadable(r *http.Request) error {
	d := problem.Details{Type: "/problems/length-required", Title: "The length must be told", Status: http.StatusLengthRequired, Who: "connector",
		Detail:   "The request has no Content-Length. Bodies in chunks are lost on the way through Azure Functions.",
		NextStep: "Send it with a Content-Length."}
	kind, _, _ := strings.Cut(r.Header.Get("Content-Type"), ";")
	switch {
	// The host drops a body in chunks; what arrives then has no length at all.
	case r.ContentLength < 0, r.ContentLength == 0 && r.Header.Get("Content-Length") == "":
	case r.ContentLength > maxBody:
		return &userlist.LimitError{What: "100 MB"}
	case r.Header.Get("Content-Encoding") != "":
		d.Type, d.Title, d.Status = "/problems/unsupported-media-type", "This form is not taken here", http.StatusUnsupportedMediaType
		d.Detail, d.NextStep = "The body is compressed.", "Send it as it is."
	case !lines[strings.ToLower(strings.TrimSpace(kind))]:
		d.Type, d.Title, d.Status = "/problems/unsupported-media-type", "This form is not taken here", http.StatusUnsupportedMediaType
		d.Detail, d.NextStep = "The body must be lines of JSON.", "Send it with Content-Type: application/x-ndjson."
	default:
		return nil
	}
	return &refusal{d}
}

// lines are the names under which lines of JSON are known; none is registered.
var lines = map[string]bool{"application/x-ndjson": true, "application/ndjson": true, "application/jsonl": true, "application/x-jsonlines": true}

// maxBody is a little less than the host lets pass (100 MiB), to be refused with
// words.
const maxBody = 100_000_000

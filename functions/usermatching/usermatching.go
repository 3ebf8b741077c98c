// Package usermatching is the HTTP function that takes usermatching.csv in and gives
// it back: PUT brings a file, or with dryRun tells what it would change; GET answers
// with exactly the bytes that were uploaded. What a file may look like is told in
// docs/usermatching.md, and looked at by package namelist.
package usermatching

import (
	"errors"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"time"

	"procallteams/internal/access"
	"procallteams/internal/host"
	"procallteams/internal/namelist"
	"procallteams/internal/poll"
	"procallteams/internal/problem"
	"procallteams/internal/reply"
	"procallteams/internal/storage"
)

// Function is the code of function.json beside this file. It is served behind
// access.Gate.Administrator.
type Function struct {
	Storage  *storage.Storage
	Settings storage.Settings
	Audit    access.Auditor
	Now      func() time.Time
	Log      *slog.Logger

	// turn is held while a file is in memory: two need not be there at once.
	turn sync.Mutex
}

// ServeHTTP answers GET and PUT.
func (f *Function) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	switch r.Method {
	case http.MethodGet, http.MethodHead:
		f.show(w, r)
	case http.MethodPut:
		f.take(w, r)
	default:
		problem.MethodNotAllowed(w, "GET, HEAD, PUT")
	}
}

// show answers GET.
func (f *Function) show(w http.ResponseWriter, r *http.Request) {
	file, etag, err := f.InForce(r.Context())
	if err != nil {
		f.refuse(w, r, err)
		return
	}
	h := w.Header()
	h.Set("ETag", etag)
	h.Set("Cache-Control", "no-store")
	h.Set("X-Content-Type-Options", "nosniff")
	if reply.Names(r.Header.Get("If-None-Match"), etag) {
		w.WriteHeader(http.StatusNotModified)
		return
	}
	// No charset: the bytes are the administrator's.
	h.Set("Content-Type", "text/csv")
	h.Set("Content-Disposition", `attachment; filename="usermatching.csv"`)
	if r.Method == http.MethodHead {
		return
	}
	_, _ = w.Write(file)
}

// take answers PUT.
func (f *Function) take(w http.ResponseWriter, r *http.Request) {
	upload := Upload{Who: access.AdministratorFrom(r.Context()), IfMatch: r.Header.Get("If-Match"), IfNoneMatch: r.Header.Get("If-None-Match")}
	parameters := poll.ParametersOf(r)
	dryRun := parameters.Text("dryRun")
	if parameters.Refuse(w, r) {
		return
	}
	if upload.DryRun = dryRun == "true"; dryRun != "" && dryRun != "true" && dryRun != "false" {
		reply.BadRequest(w, "dryRun is neither true nor false; leave it out to have the file stored")
		return
	}
	if err := unreadable(r); err != nil {
		f.refuse(w, r, err)
		return
	}
	upload.From = http.MaxBytesReader(w, r.Body, namelist.MaxBytes)
	receipt, err := f.Take(r.Context(), upload)
	if err != nil {
		f.refuse(w, r, err)
		return
	}
	host.Log(r.Context(), f.Log).Info("usermatching.csv taken in", "names", receipt.Names, "warnings", receipt.WarningCount, "stored", receipt.Stored)
	if receipt.ETag != "" {
		w.Header().Set("ETag", receipt.ETag)
	}
	reply.JSON(w, http.StatusOK, receipt)
}

// unreadable says why the body can't be read, before it is read.
func unreadable(r *http.Request) error {
	kind, _, _ := strings.Cut(r.Header.Get("Content-Type"), ";")
	switch {
	// The host drops a body in chunks; what arrives then has no length at all.
	case r.ContentLength < 0, r.ContentLength == 0 && r.Header.Get("Content-Length") == "":
		return errLength
	case r.ContentLength > namelist.MaxBytes:
		return &http.MaxBytesError{Limit: namelist.MaxBytes}
	case r.Header.Get("Content-Encoding") != "":
		return errCompressed
	case !kinds[strings.ToLower(strings.TrimSpace(kind))]:
		return errKind
	}
	return nil
}

// kinds are the names under which programs send a CSV file; a Windows with Excel
// takes it for Excel's.
var kinds = map[string]bool{
	"text/csv": true, "text/plain": true, "application/csv": true, "application/vnd.ms-excel": true, "application/octet-stream": true,
}

// read reads the whole body, or nothing.
func read(from io.Reader) ([]byte, error) {
	file, err := io.ReadAll(from)
	if err == nil {
		return file, nil
	}
	if tooLarge, ok := errors.AsType[*http.MaxBytesError](err); ok {
		return nil, tooLarge
	}
	return nil, errBody
}

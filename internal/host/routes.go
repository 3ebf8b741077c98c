package host

import (
	"net/http"
	"path"
	"strings"

	"procallteams/internal/problem"
)

// routePrefix is extensions.http.routePrefix of host.json, its default.
const routePrefix = "/api/"

// HTTP registers an HTTP function. route is that of function.json; segments such
// as {grant} and a last {*page} become path values.
func (h *Host) HTTP(name, binding, route string, handler http.Handler) {
	h.functions = append(h.functions, Function{Name: name, Trigger: "httpTrigger", Binding: binding, Route: route})
	pattern := routePrefix + route
	serve := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { h.serve(name, handler, w, r) })
	if prefix, catchAll, ok := strings.Cut(pattern, "{*"); ok {
		h.mux.Handle(prefix+"{"+strings.TrimSuffix(catchAll, "}")+"...}", serve)
		pattern = strings.TrimSuffix(prefix, "/") // {*page} also matches nothing
	}
	h.mux.Handle(pattern, serve)
	// In default mode the host would send its envelope here: a sign that
	// host.json lacks both flags.
	h.mux.HandleFunc("POST /"+name, func(w http.ResponseWriter, _ *http.Request) {
		answer(w, http.StatusInternalServerError, "host.json must enable enableForwardingHttpRequest or enableProxyingHttpRequest")
	})
}

// route matches like the Functions host: ignoring case, and with a trailing
// slash or without. Handlers see the path in lower case; what is case-sensitive
// travels in queries and bodies.
func (h *Host) route(w http.ResponseWriter, r *http.Request) {
	matched := *r
	url := *r.URL
	// A clean path, so that the mux never redirects: the host would follow it.
	url.Path, url.RawPath = path.Clean("/"+strings.ToLower(r.URL.Path)), ""
	matched.URL = &url
	h.mux.ServeHTTP(w, &matched)
}

// serve runs one HTTP invocation: deadline, panics, and the client's own path.
func (h *Host) serve(name string, handler http.Handler, w http.ResponseWriter, r *http.Request) {
	r, end := h.begin(r, name, HTTPDeadline)
	answered := &answering{ResponseWriter: w}
	w = answered
	defer func() {
		value := recover()
		end(value == nil && answered.status < http.StatusInternalServerError)
		if value != nil {
			if value == http.ErrAbortHandler {
				panic(value)
			}
			_ = recovered(r.Context(), h.log, value)
			// Too late when the answer has begun: the client then sees it cut.
			problem.Write(w, problem.Details{
				Type: "/problems/internal", Title: "The bridge met a defect of its own", Status: http.StatusInternalServerError,
				NextStep: "Try again. If it stays, report it with the invocation id.", Who: "operator", Invocation: Invocation(r.Context()),
			})
		}
	}()
	handler.ServeHTTP(w, r)
}

// answering remembers the status of an answer.
type answering struct {
	http.ResponseWriter
	status int
}

func (a *answering) WriteHeader(status int) {
	a.status = status
	a.ResponseWriter.WriteHeader(status)
}

// Unwrap serves http.ResponseController.
func (a *answering) Unwrap() http.ResponseWriter { return a.ResponseWriter }

package funchost

import (
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strings"
)

// bodyLimit is the largest request body; above it the real host answers 500.
const bodyLimit = 100 << 20

// ServeHTTP is the host's front: its own pages, then functions.
func (h *Host) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Server", "Kestrel")
	path := r.URL.EscapedPath()
	if h.serveAdmin(w, r, strings.ToLower(path)) {
		return
	}
	if h.app.executable == "" {
		empty(w, http.StatusServiceUnavailable)
		return
	}
	f := h.app.find(r.Method, path)
	switch {
	case f == nil && path == "/":
		h.serveHome(w)
	case f == nil || f.disabled:
		empty(w, http.StatusNotFound)
	default:
		h.serveFunction(w, r, f)
	}
}

func (h *Host) serveFunction(w http.ResponseWriter, r *http.Request, f *function) {
	if r.ContentLength > bodyLimit {
		w.Header().Set("Connection", "close")
		empty(w, http.StatusInternalServerError)
		return
	}
	if !ascii(r.Header) {
		empty(w, http.StatusInternalServerError)
		return
	}
	i := h.pick()
	if i == nil {
		empty(w, http.StatusServiceUnavailable)
		return
	}
	if h.mode() == Proxying {
		i.proxy(w, r, f)
	} else {
		i.forward(w, r, f)
	}
}

func (h *Host) mode() Mode {
	switch {
	case h.options.Mode != ModeFromHostJSON:
		return h.options.Mode
	case h.app.proxying:
		return Proxying
	}
	return Forwarding
}

// pick takes the next HTTP instance that is not stopped, nil when all are.
func (h *Host) pick() *instance {
	var candidates []*instance
	for _, i := range h.instances {
		if (i.group == "app" || i.group == "http") && !i.stopped() {
			candidates = append(candidates, i)
		}
	}
	if len(candidates) == 0 {
		return nil
	}
	return candidates[h.next.Add(1)%uint64(len(candidates))]
}

func (h *Host) serveHome(w http.ResponseWriter) {
	if strings.EqualFold(h.settings["AzureWebJobsDisableHomepage"], "true") {
		empty(w, http.StatusNoContent)
		return
	}
	w.Header().Set("Content-Type", "text/html")
	_, _ = io.WriteString(w, "<!DOCTYPE html><title>Functions host (simulated)</title><p>Your Functions app is up and running.</p>\n")
}

// serveAdmin answers the host's own addresses and reports whether it did.
func (h *Host) serveAdmin(w http.ResponseWriter, r *http.Request, path string) bool {
	switch {
	case path == "/admin/host/ping":
		empty(w, http.StatusOK)
	case path == "/admin/host/status":
		h.serveStatus(w)
	case strings.HasPrefix(path, "/admin/functions/") && r.Method == http.MethodPost:
		h.serveFire(w, r, strings.TrimPrefix(path, "/admin/functions/"))
	default:
		return false
	}
	return true
}

func (h *Host) serveStatus(w http.ResponseWriter) {
	state := "Running"
	if h.app.executable == "" {
		state = "Error"
	}
	errs := []string{}
	for _, f := range h.app.functions {
		if f.err != nil {
			errs = append(errs, f.name+": "+f.err.Error())
		}
	}
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	_ = json.NewEncoder(w).Encode(map[string]any{"state": state, "version": Version, "errors": errs, "processes": h.Processes()})
}

// serveFire runs a timer or queue function once, outside of its trigger.
func (h *Host) serveFire(w http.ResponseWriter, r *http.Request, name string) {
	media, _, _ := strings.Cut(r.Header.Get("Content-Type"), ";")
	if !strings.EqualFold(strings.TrimSpace(media), "application/json") {
		empty(w, http.StatusUnsupportedMediaType)
		return
	}
	var body struct{ Input *string }
	err := json.NewDecoder(io.LimitReader(r.Body, 1<<20)).Decode(&body)
	if err != nil && !errors.Is(err, io.EOF) {
		empty(w, http.StatusBadRequest)
		return
	}
	for _, i := range h.instances {
		for _, f := range i.functions {
			if f.err != nil || !strings.EqualFold(f.name, name) || f.trigger == "httpTrigger" {
				continue
			}
			go i.fire(f, body.Input)
			empty(w, http.StatusAccepted)
			return
		}
	}
	empty(w, http.StatusNotFound)
}

func ascii(header http.Header) bool {
	for _, values := range header {
		for _, value := range values {
			if strings.ContainsFunc(value, func(c rune) bool { return c > 126 }) {
				return false
			}
		}
	}
	return true
}

// empty answers without a body.
func empty(w http.ResponseWriter, status int) {
	w.Header()["Content-Type"] = nil
	w.WriteHeader(status)
}

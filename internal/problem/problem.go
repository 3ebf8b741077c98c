// Package problem writes refusals that a person or a machine can act on:
// problem details for HTTP APIs (RFC 9457).
//
// Every refusal names what happened, since when and why where known, what to do
// and who must do it (design invariant 7). The type is stable and listed in
// api/openapi.yaml; titles and details may be reworded.
package problem

import (
	"encoding/json"
	"fmt"
	"net/http"
	"time"
)

// Details is one refusal. Type is a stable relative reference such as
// "/problems/cursor-gone"; Status is the HTTP status.
type Details struct {
	Type   string `json:"type"`
	Title  string `json:"title"`
	Status int    `json:"status"`
	// Detail says what happened and why, in words, without secrets or names.
	Detail string `json:"detail,omitempty"`
	// Code is a stable word, or the vendor's code such as AADSTS50173. Empty when
	// there is none.
	Code string `json:"code,omitempty"`
	// Epoch is the reporter's epoch in force, nil where there is none or where it
	// has nothing to do with the refusal.
	Epoch *int64 `json:"epoch,omitempty"`
	// Faults are the places in what was sent that refuse it: the first of them, and
	// FaultCount says how many there are in all.
	Faults     []Fault `json:"faults,omitempty"`
	FaultCount int     `json:"faultCount,omitempty"`
	// Confirm is what the caller says to have it done all the same, nil where that
	// is not possible.
	Confirm *int `json:"confirm,omitempty"`
	// Since is when the cause was first seen, UTC. Zero is left out.
	Since time.Time `json:"since,omitzero"`
	// NextStep says what to do; Who says who must do it:
	// "administrator", "connector" or "operator".
	NextStep string `json:"nextStep,omitempty"`
	Who      string `json:"who,omitempty"`
	// Invocation is the Functions invocation id, to find the log lines.
	Invocation string `json:"invocation,omitempty"`
}

// Fault is one place in what was sent. It quotes no value.
type Fault struct {
	Line   int    `json:"line"`             // from 1; 0 concerns the whole
	Column int    `json:"column,omitempty"` // in characters from 1; 0 concerns the whole line
	Text   string `json:"text"`
	Repair string `json:"repair,omitempty"` // what to do
}

// Faults says how many faults there are, and how many of them are listed where those
// are fewer.
func Faults(count, listed int) string {
	switch {
	case count == 1:
		return "There is one fault."
	case listed < count:
		return fmt.Sprintf("There are %d faults; the first %d are listed.", count, listed)
	}
	return fmt.Sprintf("There are %d faults.", count)
}

// Error makes a Details usable as an error value.
func (d Details) Error() string {
	if d.Detail == "" {
		return d.Title
	}
	return d.Title + ": " + d.Detail
}

// Write answers with d as application/problem+json. The answer is never cached.
func Write(w http.ResponseWriter, d Details) {
	body, err := json.Marshal(d)
	if err != nil { // only strings and a time: it cannot fail
		panic(err)
	}
	h := w.Header()
	h.Set("Content-Type", "application/problem+json")
	h.Set("Cache-Control", "no-store")
	h.Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(d.Status)
	_, _ = w.Write(append(body, '\n'))
}

// MethodNotAllowed is the answer to a method that a route does not have; allow
// lists those that it has, as the Allow header wants them.
func MethodNotAllowed(w http.ResponseWriter, allow string) {
	w.Header().Set("Allow", allow)
	Write(w, Details{
		Type: "/problems/method-not-allowed", Title: "This address does not know the method", Status: http.StatusMethodNotAllowed,
		NextStep: "Use one of: " + allow + ".", Who: "connector",
	})
}

// Package reply reads and writes the JSON of the administrators' HTTP functions.
// Refusals are package problem's.
package reply

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"

	"procallteams/internal/problem"
)

// maxBody bounds what an administrator's request may hold.
const maxBody = 64 << 10

// JSON answers with v. Answers of this kind are never cached: some hold a secret
// that is shown once.
func JSON(w http.ResponseWriter, status int, v any) {
	body, err := json.Marshal(v)
	if err != nil { // plain structs of our own
		panic(err)
	}
	h := w.Header()
	h.Set("Content-Type", "application/json")
	h.Set("Cache-Control", "no-store")
	h.Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(status)
	_, _ = w.Write(append(body, '\n'))
}

// Decode reads a JSON object of at most 64 KiB into v and refuses fields that v
// does not have. The error is fit to be shown; it quotes no value.
func Decode(w http.ResponseWriter, r *http.Request, v any) error {
	if kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || kind != "application/json" {
		return errors.New("the body must be application/json")
	}
	decoder := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxBody))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(v); err != nil {
		if _, ok := errors.AsType[*http.MaxBytesError](err); ok {
			return fmt.Errorf("the body is larger than %d bytes", maxBody)
		}
		if wrong, ok := errors.AsType[*json.UnmarshalTypeError](err); ok {
			return fmt.Errorf("%s: must not be a %s", wrong.Field, wrong.Value)
		}
		if _, ok := errors.AsType[*json.SyntaxError](err); ok || errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
			return errors.New("the body is not JSON")
		}
		return errors.New("the body holds a field that does not exist here")
	}
	if decoder.More() {
		return errors.New("the body holds more than one JSON value")
	}
	return nil
}

// BadRequest answers 400 with what is wrong, in words.
func BadRequest(w http.ResponseWriter, detail string) {
	problem.Write(w, problem.Details{
		Type: "/problems/bad-request", Title: "This request is not understood", Status: http.StatusBadRequest,
		Detail: detail, NextStep: "Compare it with api/openapi.yaml.", Who: "connector",
	})
}

package telephony

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"

	"procallteams/internal/calls"
	"procallteams/internal/problem"
)

// Limits of one request, part of the contract.
const (
	maxReports     = 1000
	maxReportsBody = 1 << 20
	maxList        = 20_000
	maxListBody    = 16 << 20
	// maxInteger is the largest that every JSON reader keeps exactly (RFC 8259).
	maxInteger = 1<<53 - 1
)

// batch is what a request brings.
type batch struct {
	complete    bool
	epoch, asOf int64
	entries     []calls.Entry
}

// body is the request's JSON. AsOfSeq is the complete list's.
type body struct {
	Epoch   *int64 `json:"epoch"`
	AsOfSeq *int64 `json:"asOfSeq"`
	Items   *items `json:"items"`
}

// items are read one by one: one that can't be used spoils no other, and what is
// too many is not kept.
type items struct {
	entries []calls.Entry
	more    bool // there are more than maxList
}

// UnmarshalJSON implements [json.Unmarshaler].
func (i *items) UnmarshalJSON(text []byte) error {
	decoder := json.NewDecoder(bytes.NewReader(text))
	if start, err := decoder.Token(); err != nil || start != json.Delim('[') {
		return errItems
	}
	for decoder.More() {
		if i.more = len(i.entries) == maxList; i.more {
			return nil
		}
		var item json.RawMessage
		if err := decoder.Decode(&item); err != nil {
			return err
		}
		var entry calls.Entry
		entry.Item, entry.Fault = calls.ParseItem(item)
		i.entries = append(i.entries, entry)
	}
	return nil
}

var errItems = errors.New("items: must be a list")

// read returns what the request brings, or why it is refused as a whole.
func read(w http.ResponseWriter, r *http.Request, complete bool) (batch, *problem.Details) {
	limit, most := int64(maxReportsBody), maxReports
	if complete {
		limit, most = maxListBody, maxList
	}
	text, err := io.ReadAll(http.MaxBytesReader(w, r.Body, limit))
	if _, ok := errors.AsType[*http.MaxBytesError](err); ok {
		return batch{}, tooLarge(fmt.Sprintf("The body has more than %d bytes.", limit), complete)
	}
	if err != nil {
		return batch{}, malformed(errors.New("the body did not arrive completely"))
	}
	if kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || kind != "application/json" {
		return batch{}, malformed(errors.New("the body must be application/json"))
	}
	in, err := decode(text)
	if err == nil {
		err = in.check(complete)
	}
	if err != nil {
		return batch{}, malformed(err)
	}
	b := batch{complete: complete, epoch: *in.Epoch, entries: in.Items.entries}
	if complete {
		b.asOf = *in.AsOfSeq
	}
	if in.Items.more || len(b.entries) > most {
		return batch{}, tooLarge(fmt.Sprintf("There are more than %d items.", most), complete)
	}
	return b, nil
}

// decode reads the JSON of a body. The error is fit to be shown; it quotes no value.
func decode(text []byte) (body, error) {
	if len(text) == 0 {
		return body{}, errors.New("the body is empty; send it with a Content-Length, not chunked")
	}
	if !json.Valid(text) {
		return body{}, errors.New("the body is not JSON")
	}
	var in body
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.DisallowUnknownFields()
	err := decoder.Decode(&in)
	wrong, isType := errors.AsType[*json.UnmarshalTypeError](err)
	switch {
	case err == nil:
		return in, nil
	case isType && wrong.Field == "":
		return body{}, errors.New("the body must be an object")
	case isType:
		return body{}, fmt.Errorf("%s: must be a whole number", wrong.Field)
	case errors.Is(err, errItems):
		return body{}, errItems
	}
	return body{}, errors.New("the body has a member that does not exist here; there are epoch, asOfSeq (PUT only) and items")
}

// check returns everything that is wrong with the members.
func (in body) check(complete bool) error {
	var faults []error
	number := func(name string, n *int64) {
		if n == nil {
			faults = append(faults, errors.New(name+": is missing"))
		} else if *n < 0 || *n > maxInteger {
			faults = append(faults, fmt.Errorf("%s: must be 0 to %d", name, maxInteger))
		}
	}
	number("epoch", in.Epoch)
	if complete {
		number("asOfSeq", in.AsOfSeq)
	} else if in.AsOfSeq != nil {
		faults = append(faults, errors.New("asOfSeq: belongs to a complete list, which is sent with PUT"))
	}
	if in.Items == nil {
		faults = append(faults, errors.New("items: is missing; it may be empty"))
	}
	return errors.Join(faults...)
}

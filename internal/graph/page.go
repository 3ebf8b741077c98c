package graph

import (
	"bytes"
	"context"
	"errors"
	"hash/maphash"
	"io"
	"net/http"
	"unicode/utf8"

	"github.com/go-json-experiment/json/jsontext"

	"procallteams/internal/secret"
)

const (
	// maxPages bounds one list: with 100 entries a page it has a million.
	maxPages = 10_000
	// maxIdle is the most empty pages in a row. Graph sends some.
	maxIdle = 100
)

// links are where a page says to go on: to the next one, or, at the end of a
// round of changes, with the next round.
type links struct{ next, delta string }

// list reads a list page by page, from an address of ours on. For every complete
// page it calls done, which may end it by returning false; item reads one entry.
// A page that breaks off is an error, and its entries are to be forgotten.
func (c *Client) list(ctx context.Context, token secret.Text, address string, item func(*jsontext.Decoder) error, done func(links) (more bool, err error)) error {
	seed, seen, idle := maphash.MakeSeed(), map[uint64]bool{}, 0
	for range maxPages {
		seen[maphash.String(seed, address)] = true
		entries := 0
		page, err := c.readPage(ctx, token, address, func(d *jsontext.Decoder) error { entries++; return item(d) })
		if err != nil {
			return err
		}
		if page.next != "" && !c.ours(page.next) || page.delta != "" && !c.ours(page.delta) {
			return &FormError{What: "the next page is at another host"}
		}
		if more, err := done(page); !more || err != nil || page.next == "" {
			return err
		}
		if idle++; entries > 0 {
			idle = 0
		}
		if address = page.next; idle > maxIdle || seen[maphash.String(seed, address)] {
			break
		}
	}
	return &FormError{What: "its pages do not end"}
}

// readPage reads one page: {"value":[...]} with links beside it.
func (c *Client) readPage(ctx context.Context, token secret.Text, address string, item func(*jsontext.Decoder) error) (links, error) {
	stream, err := c.do(ctx, http.MethodGet, address, token, nil)
	if err != nil {
		return links{}, err
	}
	page, err := decodeWhole(stream, func(d *jsontext.Decoder) (links, error) { return decodePage(d, item) })
	if err != nil {
		return links{}, form(err)
	}
	return page, nil
}

// decodeWhole reads one JSON value to the end of the answer, where a connection
// that was cut shows, and closes it.
func decodeWhole[T any](stream io.ReadCloser, read func(*jsontext.Decoder) (T, error)) (T, error) {
	d := jsontext.NewDecoder(io.LimitReader(stream, maxAnswer), jsontext.AllowDuplicateNames(true), jsontext.AllowInvalidUTF8(true))
	value, err := read(d)
	if err == nil {
		if _, err = d.ReadToken(); err == nil {
			err = &FormError{What: "something follows its end"}
		} else if errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
			err = nil
		}
	}
	if closed := stream.Close(); err == nil {
		err = closed
	}
	return value, err
}

func decodePage(d *jsontext.Decoder, item func(*jsontext.Decoder) error) (links, error) {
	var page links
	found := false
	err := object(d, func(name jsontext.Value) (err error) {
		switch string(name) {
		case `"value"`:
			found = true
			return array(d, item)
		case `"@odata.nextLink"`:
			page.next, err = textOf(d)
			return err
		case `"@odata.deltaLink"`:
			page.delta, err = textOf(d)
			return err
		}
		return d.SkipValue()
	})
	if err != nil {
		return links{}, err
	}
	if !found {
		return links{}, &FormError{What: `it has no list "value"`}
	}
	return page, nil
}

// object reads an object; member reads the value of one of its names, or skips
// it. The name is valid until the decoder reads on.
func object(d *jsontext.Decoder, member func(name jsontext.Value) error) error {
	if kind := d.PeekKind(); kind != '{' && kind != 0 {
		return &FormError{What: "it has something else where an object belongs"}
	}
	if _, err := d.ReadToken(); err != nil {
		return err
	}
	for d.PeekKind() != '}' {
		name, err := d.ReadValue()
		if err != nil {
			return err
		}
		if err := member(name); err != nil {
			return err
		}
	}
	_, err := d.ReadToken()
	return err
}

// array reads a list; item reads one element.
func array(d *jsontext.Decoder, item func(*jsontext.Decoder) error) error {
	if kind := d.PeekKind(); kind != '[' && kind != 0 {
		return &FormError{What: "it has something else where a list belongs"}
	}
	if _, err := d.ReadToken(); err != nil {
		return err
	}
	for d.PeekKind() != ']' {
		if err := item(d); err != nil {
			return err
		}
	}
	_, err := d.ReadToken()
	return err
}

// textOf reads a text; null is the empty one. What is no Unicode in it is replaced.
func textOf(d *jsontext.Decoder) (string, error) {
	value, err := d.ReadValue()
	if err != nil {
		return "", err
	}
	switch value.Kind() {
	case 'n':
		return "", nil
	case '"':
		if inner := value[1 : len(value)-1]; bytes.IndexByte(inner, '\\') < 0 && utf8.Valid(inner) {
			return string(inner), nil
		}
		// The decoder has checked the form already; an error is about Unicode.
		raw, _ := jsontext.AppendUnquote(nil, value)
		return string(raw), nil
	}
	return "", &FormError{What: "it has something else where a text belongs"}
}

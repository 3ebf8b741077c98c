package storage

import (
	"bytes"
	"crypto/rand"
	"errors"
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"

	"procallteams/dev/azurite"
	"procallteams/internal/feed"
	"procallteams/internal/feed/feedtest"
	"procallteams/internal/secret"
	"procallteams/internal/settings"
)

// deafOnce carries requests; the answer to the next one with the method is lost.
type deafOnce struct{ method atomic.Value }

// Do sends a copy: a body may be read until after the answer, and is sent again meanwhile.
func (d *deafOnce) Do(r *http.Request) (*http.Response, error) {
	sent := r.Clone(r.Context())
	if r.Body != nil {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return nil, err
		}
		sent.Body = io.NopCloser(bytes.NewReader(body))
	}
	response, err := http.DefaultClient.Do(sent)
	if err == nil && d.method.CompareAndSwap(r.Method, "") {
		_ = response.Body.Close()
		return nil, errors.New("connection reset by peer")
	}
	return response, err
}

func deaf(t *testing.T) (*Storage, *deafOnce) {
	t.Helper()
	name := "t" + strings.ToLower(rand.Text())
	d := &deafOnce{}
	s, err := open(settings.Storage{ConnectionString: secret.New(azurite.ForTest(t).ConnectionString())}, nil, d, name, name)
	if err != nil {
		t.Fatal(err)
	}
	return s, d
}

func TestAConsumerWhoseStoredAnswerWasLostIsNoLostRace(t *testing.T) {
	s, lose := deaf(t)
	f := s.Feed(tenantA)
	c, err := f.SaveConsumer(t.Context(), "push", feed.Consumer{Holder: "me"})
	if err != nil {
		t.Fatal(err)
	}
	lose.method.Store(http.MethodPut)
	c.Failures = 1
	saved, err := f.SaveConsumer(t.Context(), "push", c)
	if err != nil || lose.method.Load() != "" {
		t.Fatalf("SaveConsumer() = %v", err)
	}
	saved.Failures = 2
	if _, err := f.SaveConsumer(t.Context(), "push", saved); err != nil {
		t.Errorf("the version after a lost answer is not the stored one: %v", err)
	}
	c.Holder = "another"
	if _, err := f.SaveConsumer(t.Context(), "push", c); !errors.Is(err, feed.ErrLostRace) {
		t.Errorf("SaveConsumer() of an old version = %v; want ErrLostRace", err)
	}
}

func TestAnAppendWhoseAnswerWasLostIsFoundAgain(t *testing.T) {
	s, lose := deaf(t)
	f, book := s.Feed(tenantA), feed.NewBook()
	head, err := feed.Append(t.Context(), f, book, feed.Head{}, []feed.Change{feedtest.Busy(1)}, feedtest.Start)
	if err == nil {
		head, err = f.Head(t.Context())
	}
	if err != nil {
		t.Fatal(err)
	}
	lose.method.Store(http.MethodPost)
	if _, err := feed.Append(t.Context(), f, book, head, []feed.Change{feedtest.Free(1)}, feedtest.Start); err == nil || errors.Is(err, feed.ErrLostRace) {
		t.Fatalf("Append() = %v; want that nobody knows", err)
	}
	if head, err = f.Head(t.Context()); err != nil || head.Last.Append != 2 {
		t.Fatalf("head = %+v, %v; want the append stored once", head, err)
	}
	if err := book.CatchUp(t.Context(), f, head); err != nil || book.At() != head.Position() {
		t.Errorf("CatchUp() = %v at %v", err, book.At())
	}
}

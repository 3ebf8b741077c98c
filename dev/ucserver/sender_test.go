package ucserver_test

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"

	"procallteams/dev/ucserver"
)

const (
	secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
	other  = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSx"
	tenant = "0785ef7c-2d7a-4542-b048-95bcab406e0b"
)

type clock struct {
	mu sync.Mutex
	t  time.Time
}

func (c *clock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.t
}

func (c *clock) forward(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.t = c.t.Add(d)
}

// sender is a bridge that pushes to a server.
type sender struct {
	*ucserver.Server
	*clock
	url    string
	secret string
}

func newClock() *clock { return &clock{t: time.Date(2026, 11, 24, 8, 0, 0, 0, time.UTC)} }

func start(t *testing.T) *sender {
	t.Helper()
	c := newClock()
	s, err := ucserver.New(ucserver.Config{Secrets: []string{secret}, Now: c.now})
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(s)
	t.Cleanup(func() { server.Close(); s.Close() })
	return &sender{s, c, server.URL, secret}
}

// presence is a change on the wire: busy and in a call, or nothing.
func presence(id, user, activity string) string {
	procall := `{"state":null,"reasons":[],"raw":null,"icon":"green","label":"available"}`
	availability := activity
	if activity == "InACall" {
		procall, availability = `{"state":"busy","reasons":["call"],"raw":67108866,"icon":"red","label":"inCall"}`, "Busy"
	}
	return fmt.Sprintf(`{"id":%q,"type":"presence","user":%q,"ucId":"","entraId":"fa8bf3dc-eca7-46b7-bad1-db199b62afc3","availability":%q,"activity":%q,"outOfOffice":false,"source":"teams","observedAt":"2026-11-24T07:59:59Z","procall":%s}`,
		id, user, availability, activity, procall)
}

func removed(id, user string) string {
	return fmt.Sprintf(`{"id":%q,"type":"removed","user":%q,"reason":"disabled"}`, id, user)
}

func (s *sender) changes(epoch, from, to string, list ...string) string {
	return fmt.Sprintf(`{"type":"presence.changes","tenant":%q,"consumer":"acme","epoch":%q,"from":%q,"to":%q,"asOf":%q,"stale":false,"staleReason":"","changes":[%s]}`,
		tenant, epoch, from, to, s.now().Format(time.RFC3339), strings.Join(list, ","))
}

func (s *sender) part(epoch, snapshot string, part, parts int, to string, list ...string) string {
	return fmt.Sprintf(`{"type":"presence.snapshot","tenant":%q,"consumer":"acme","epoch":%q,"snapshot":%q,"part":%d,"parts":%d,"to":%q,"asOf":%q,"stale":false,"staleReason":"","changes":[%s]}`,
		tenant, epoch, snapshot, part, parts, to, s.now().Format(time.RFC3339), strings.Join(list, ","))
}

type answer struct {
	status int
	header http.Header
	body   []byte
	err    error
}

// deliver signs and sends a body as the given webhook id at the given time.
func (s *sender) deliver(t *testing.T, id string, at time.Time, body string) answer {
	t.Helper()
	hook, err := standardwebhooks.NewWebhook(s.secret)
	if err != nil {
		t.Fatal(err)
	}
	signature, err := hook.Sign(id, at, []byte(body))
	if err != nil {
		t.Fatal(err)
	}
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, s.url+"/push", strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Content-Type", "application/json")
	request.Header.Set("webhook-id", id)
	request.Header.Set("webhook-timestamp", fmt.Sprint(at.Unix()))
	request.Header.Set("webhook-signature", signature)
	client := http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	got, err := client.Do(request)
	if err != nil {
		return answer{err: err}
	}
	defer func() { _ = got.Body.Close() }()
	raw, err := io.ReadAll(got.Body)
	return answer{got.StatusCode, got.Header, raw, err}
}

var deliveries atomic.Int64

// push delivers under a new id and expects a status.
func (s *sender) push(t *testing.T, want int, body string) {
	t.Helper()
	if got := s.deliver(t, fmt.Sprintf("msg_%d", deliveries.Add(1)), s.now(), body); got.status != want {
		t.Fatalf("push answered %d %s %v; want %d: %s", got.status, got.body, got.err, want, body)
	}
}

// holds compares what the server shows: "ada=InACall bob=Available".
func (s *sender) holds(t *testing.T, want string) {
	t.Helper()
	if got := people(s.Inbox()); got != want {
		t.Errorf("UCServer holds %q; want %q", got, want)
	}
}

func people(b *ucserver.Inbox) string {
	var list []string
	for _, p := range b.View().People {
		list = append(list, p.User+"="+p.Activity)
	}
	return strings.Join(list, " ")
}

func (s *sender) faultless(t *testing.T) {
	t.Helper()
	if breaches := s.Inbox().Violations(); len(breaches) > 0 {
		t.Errorf("breaches of the contract: %q", breaches)
	}
}

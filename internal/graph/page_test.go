package graph_test

import (
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"procallteams/internal/graph"
)

// answering returns a client of a Graph that answers every request with body,
// which may name its own address.
func answering(t *testing.T, body func(base string) string) *graph.Client {
	t.Helper()
	client, err := graph.New(graph.Config{Endpoint: "http://graph.test", RetryDelay: time.Millisecond, Transport: direct(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write([]byte(body("http://" + r.Host)))
	})})
	if err != nil {
		t.Fatal(err)
	}
	return client
}

// direct is a server without a network: some tests ask it ten thousand times.
type direct http.HandlerFunc

func (d direct) Do(r *http.Request) (*http.Response, error) {
	w := httptest.NewRecorder()
	d(w, r)
	return w.Result(), nil
}

func TestPagesThatNobodyPromisedAreRefused(t *testing.T) {
	const user = `{"id":"00000000-0000-4000-8000-00000000000a"}`
	for name, body := range map[string]string{
		"no link":                  `{"value":[` + user + `]}`,
		"both links":               `{"value":[],"@odata.nextLink":"BASE/n","@odata.deltaLink":"BASE/d"}`,
		"a next page elsewhere":    `{"value":[],"@odata.nextLink":"https://evil.example/v1.0/users/delta?$skiptoken=1"}`,
		"a next round elsewhere":   `{"value":[],"@odata.deltaLink":"https://evil.example/v1.0/users/delta?$deltatoken=1"}`,
		"a link with a user":       `{"value":[],"@odata.deltaLink":"http://user@HOST/d"}`,
		"a link to a like host":    `{"value":[],"@odata.deltaLink":"BASE.evil.example/d"}`,
		"a relative link":          `{"value":[],"@odata.deltaLink":"/v1.0/users/delta"}`,
		"a link that is a number":  `{"value":[],"@odata.deltaLink":7}`,
		"the same page again":      `{"value":[` + user + `],"@odata.nextLink":"BASE/n"}`,
		"no list":                  `{"@odata.deltaLink":"BASE/d"}`,
		"a list that is null":      `{"value":null,"@odata.deltaLink":"BASE/d"}`,
		"a list that is an object": `{"value":{},"@odata.deltaLink":"BASE/d"}`,
		"no object":                `[]`,
		"nothing":                  ``,
		"half":                     `{"value":[` + user + `,{"id":"x`,
		"half, between two":        `{"value":[` + user,
		"no end":                   `{"value":[],"@odata.deltaLink":"BASE/d"`,
		"two answers":              `{"value":[],"@odata.deltaLink":"BASE/d"}{}`,
		"an entry that is a text":  `{"value":["x"],"@odata.deltaLink":"BASE/d"}`,
		"an entry that is null":    `{"value":[null],"@odata.deltaLink":"BASE/d"}`,
		"an entry without id":      `{"value":[{"mail":"a"}],"@odata.deltaLink":"BASE/d"}`,
		"a mail that is a list":    `{"value":[{"id":"x","mail":["a"]}],"@odata.deltaLink":"BASE/d"}`,
		"addresses that are one":   `{"value":[{"id":"x","proxyAddresses":"a"}],"@odata.deltaLink":"BASE/d"}`,
		"enabled as a text":        `{"value":[{"id":"x","accountEnabled":"false"}],"@odata.deltaLink":"BASE/d"}`,
		"removed as a text":        `{"value":[{"id":"x","@removed":"changed"}],"@odata.deltaLink":"BASE/d"}`,
		"no JSON":                  `{"value":[}`,
	} {
		t.Run(name, func(t *testing.T) {
			client := answering(t, func(base string) string {
				return strings.NewReplacer("BASE", base, "HOST", strings.TrimPrefix(base, "http://")).Replace(body)
			})
			err := failure(t, client, token, "", graph.Matching)
			if _, odd := errors.AsType[*graph.FormError](err); !odd || strings.Contains(err.Error(), "evil") {
				t.Errorf("error = %v; want that the answer is not usable", err)
			}
		})
	}
}

func TestTheTokenGoesNowhereElse(t *testing.T) {
	var asked atomic.Int32
	elsewhere := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { asked.Add(1) }))
	t.Cleanup(elsewhere.Close)
	hostile := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write([]byte(`{"value":[],"@odata.nextLink":"` + elsewhere.URL + `/v1.0/x"}`))
	}))
	t.Cleanup(hostile.Close)
	client, err := graph.New(graph.Config{Endpoint: hostile.URL})
	if err != nil {
		t.Fatal(err)
	}
	const group = "00000000-0000-4000-8000-00000000000a"
	for range client.UsersDelta(t.Context(), token, "", graph.Matching) {
	}
	for range client.UsersDelta(t.Context(), token, elsewhere.URL+"/v1.0/users/delta?$deltatoken=x", graph.Matching) {
	}
	for range client.Users(t.Context(), token, graph.Matching) {
	}
	for range client.GroupMembers(t.Context(), token, group) {
	}
	if _, err := client.GroupsNamed(t.Context(), token, "Pilot"); err == nil {
		t.Error("groups at another host were taken")
	}
	if n := asked.Load(); n != 0 {
		t.Errorf("another host was asked %d times", n)
	}
}

func TestPagesThatNeverEndAreEnded(t *testing.T) {
	const user = `{"id":"00000000-0000-4000-8000-00000000000a","userPrincipalName":"a","@odata.type":"#microsoft.graph.user"}`
	for name, row := range map[string]struct {
		entries string
		most    int
	}{"empty ones": {"", 1000}, "full ones": {user, 20_000}} {
		t.Run(name, func(t *testing.T) {
			asked := 0
			client := answering(t, func(base string) string {
				asked++
				return fmt.Sprintf(`{"value":[%s],"@odata.nextLink":"%s/n?%d"}`, row.entries, base, asked)
			})
			err := failure(t, client, token, "", graph.Matching)
			if _, odd := errors.AsType[*graph.FormError](err); !odd || asked > row.most {
				t.Errorf("after %d pages: %v", asked, err)
			}
		})
	}
	t.Run("a circle", func(t *testing.T) {
		asked := 0
		client := answering(t, func(base string) string {
			asked++
			return fmt.Sprintf(`{"value":[%s],"@odata.nextLink":"%s/n?%d"}`, user, base, asked%3)
		})
		var err error
		for _, err = range client.Users(t.Context(), token, graph.Matching) {
		}
		if _, odd := errors.AsType[*graph.FormError](err); !odd || asked > 5 {
			t.Errorf("after %d pages: %v", asked, err)
		}
	})
}

package graph_test

import (
	"bytes"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"syscall"
	"testing"

	simulated "procallteams/dev/graph"
	"procallteams/internal/graph"
)

// cpu returns the processor time of this process in seconds.
func cpu(b *testing.B) float64 {
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		b.Fatal(err)
	}
	return float64(usage.Utime.Sec+usage.Stime.Sec) + float64(usage.Utime.Usec+usage.Stime.Usec)/1e6
}

// BenchmarkPresences650 compares one request with a plain net/http and
// encoding/json client that fetches and decodes the same answer, by processor
// time; the server's own share is in both.
func BenchmarkPresences650(b *testing.B) {
	sim, _ := simulator(b)
	ids := idsOf(sim.AddMembers(650))
	recorded := httptest.NewRecorder()
	body, err := json.Marshal(map[string]any{"ids": ids})
	if err != nil {
		b.Fatal(err)
	}
	request := httptest.NewRequest(http.MethodPost, "/v1.0/communications/getPresencesByUserId", bytes.NewReader(body))
	request.Header.Set("Authorization", "Bearer app-token")
	request.Header.Set("Content-Type", "application/json")
	sim.ServeHTTP(recorded, request)
	// A server that costs next to nothing, so that the clients are compared.
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write(recorded.Body.Bytes())
	}))
	b.Cleanup(server.Close)
	client, err := graph.New(graph.Config{Endpoint: server.URL})
	if err != nil {
		b.Fatal(err)
	}
	plain := func() int {
		body, err := json.Marshal(map[string]any{"ids": ids})
		if err != nil {
			b.Fatal(err)
		}
		request, err := http.NewRequestWithContext(b.Context(), http.MethodPost, server.URL+"/v1.0/communications/getPresencesByUserId", bytes.NewReader(body))
		if err != nil {
			b.Fatal(err)
		}
		request.Header.Set("Content-Type", "application/json")
		response, err := http.DefaultClient.Do(request)
		if err != nil {
			b.Fatal(err)
		}
		defer func() { _ = response.Body.Close() }()
		var answer struct {
			Value []struct {
				ID             string `json:"id"`
				Availability   string `json:"availability"`
				Activity       string `json:"activity"`
				SequenceNumber string `json:"sequenceNumber"`
				OutOfOffice    *struct {
					IsOutOfOffice bool `json:"isOutOfOffice"`
				} `json:"outOfOfficeSettings"`
			} `json:"value"`
		}
		if err := json.NewDecoder(response.Body).Decode(&answer); err != nil {
			b.Fatal(err)
		}
		return len(answer.Value)
	}
	ours := func() int {
		answer, err := client.Presences(b.Context(), token, ids)
		if err != nil {
			b.Fatal(err)
		}
		return len(answer.States)
	}
	var spent [2]float64
	for b.Loop() {
		for i, read := range []func() int{ours, plain} {
			before := cpu(b)
			if n := read(); n != 650 {
				b.Fatalf("%d states", n)
			}
			spent[i] += cpu(b) - before
		}
	}
	b.ReportMetric(spent[0]/spent[1], "ratio")
	b.ReportMetric(float64(recorded.Body.Len()), "answer-bytes")
}

// BenchmarkUsersDelta100k reads and decodes the first round of a tenant with
// 100,000 users, a third of them synchronised, from pages of 999 that cost nothing.
func BenchmarkUsersDelta100k(b *testing.B) {
	sim, _ := simulator(b)
	sim.Configure(simulated.Settings{DeltaPage: 999, IdentityLimit: -1})
	sim.AddMembers(100_000)
	pages := map[string][]byte{}
	client, err := graph.New(graph.Config{Endpoint: "http://graph.test", Transport: direct(func(w http.ResponseWriter, r *http.Request) {
		key := r.URL.RawQuery
		if pages[key] == nil {
			recorded := httptest.NewRecorder()
			sim.ServeHTTP(recorded, r)
			pages[key] = recorded.Body.Bytes()
		}
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write(pages[key])
	})})
	if err != nil {
		b.Fatal(err)
	}
	read := func() (users int) {
		for page, err := range client.UsersDelta(b.Context(), token, "", graph.Matching) {
			if err != nil {
				b.Fatal(err)
			}
			users += len(page.Changes)
		}
		return users
	}
	if users := read(); users < 100_000 {
		b.Fatalf("%d users", users)
	}
	b.ReportAllocs()
	before, runs := cpu(b), 0
	for b.Loop() {
		read()
		runs++
	}
	b.ReportMetric((cpu(b)-before)/float64(runs), "cpu-s/op")
}

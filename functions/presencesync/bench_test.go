package presencesync_test

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	simulated "procallteams/dev/graph"
	"procallteams/internal/graph"
	"procallteams/internal/host"
)

// Each reports "x-plain-client": the CPU of a whole sync in which nothing changed
// (storage, requests, decoding, comparing), divided by that of a client made of
// net/http and encoding/json that only fetches and decodes the same answers.

func BenchmarkSync650(b *testing.B)  { benchmarkSync(b, 650) }
func BenchmarkSync10k(b *testing.B)  { benchmarkSync(b, 10_000) }
func BenchmarkSync100k(b *testing.B) { benchmarkSync(b, 100_000) }

func benchmarkSync(b *testing.B, users int) {
	o := newOffice(b)
	var ids []string
	for _, user := range o.teams.AddMembers(users) {
		ids = append(ids, user.ID)
	}
	slices.Sort(ids) // the directory's order
	server := recorded(b, o.teams, ids)
	defer server.Close()
	reader, err := graph.New(graph.Config{Endpoint: server.URL})
	if err != nil {
		b.Fatal(err)
	}
	o.tick() // directory and first appends come from the simulator
	o.sync.Graph = reader
	run := func() {
		o.now = o.now.Add(time.Millisecond)
		if err := o.sync.Run(b.Context(), host.Tick{}); err != nil {
			b.Fatal(err)
		}
	}
	run()
	if beat := o.look().Heartbeat; beat.Error != "" || beat.Users != users {
		b.Fatalf("heartbeat = %+v", beat)
	}
	plain := plainClient(b, server.URL, ids)
	plain()
	var ours, theirs time.Duration
	for b.Loop() {
		before := cpuTime(b)
		run()
		between := cpuTime(b)
		plain()
		ours, theirs = ours+between-before, theirs+cpuTime(b)-between
	}
	b.ReportMetric(float64(ours)/float64(theirs), "x-plain-client")
	b.ReportMetric(float64(ours.Microseconds())/float64(b.N)/1000, "cpu-ms/sync")
}

// recorded is a server that answers each batch with what the simulator said to
// it, at next to no cost: the clients are measured, not the server.
func recorded(b *testing.B, teams *simulated.Simulator, ids []string) *httptest.Server {
	answers := map[string][]byte{}
	for chunk := range slices.Chunk(ids, graph.MaxIDs) {
		body, err := json.Marshal(map[string]any{"ids": chunk})
		if err != nil {
			b.Fatal(err)
		}
		request := httptest.NewRequest(http.MethodPost, "/v1.0/communications/getPresencesByUserId", bytes.NewReader(body))
		request.Header.Set("Authorization", "Bearer app-token")
		request.Header.Set("Content-Type", "application/json")
		answer := httptest.NewRecorder()
		teams.ServeHTTP(answer, request)
		if answer.Code != http.StatusOK {
			b.Fatalf("simulator: %d", answer.Code)
		}
		answers[chunk[0]] = answer.Body.Bytes()
	}
	return httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		// {"ids":["<guid>",...
		first, _, _ := bytes.Cut(body[bytes.IndexByte(body, '[')+2:], []byte{'"'})
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write(answers[string(first)])
	}))
}

// plainClient fetches and decodes everything with the standard library alone.
func plainClient(b *testing.B, address string, ids []string) func() {
	type item struct {
		ID             string `json:"id"`
		Availability   string `json:"availability"`
		Activity       string `json:"activity"`
		SequenceNumber string `json:"sequenceNumber"`
		OutOfOffice    *struct {
			IsOutOfOffice bool `json:"isOutOfOffice"`
		} `json:"outOfOfficeSettings"`
	}
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 16}}
	fetch := func(chunk []string) error {
		body, err := json.Marshal(map[string]any{"ids": chunk})
		if err != nil {
			return err
		}
		request, err := http.NewRequestWithContext(b.Context(), http.MethodPost, address+"/v1.0/communications/getPresencesByUserId", bytes.NewReader(body))
		if err != nil {
			return err
		}
		request.Header.Set("Content-Type", "application/json")
		request.Header.Set("Authorization", "Bearer app-token")
		answer, err := client.Do(request)
		if err != nil {
			return err
		}
		defer answer.Body.Close()
		var list struct {
			Value []item `json:"value"`
		}
		return json.NewDecoder(answer.Body).Decode(&list)
	}
	return func() {
		var group errgroup.Group
		group.SetLimit(16)
		for chunk := range slices.Chunk(ids, graph.MaxIDs) {
			group.Go(func() error { return fetch(chunk) })
		}
		if err := group.Wait(); err != nil {
			b.Fatal(err)
		}
	}
}

// cpuTime is what this process has spent, user and system.
func cpuTime(b *testing.B) time.Duration {
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		b.Fatal(err)
	}
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}

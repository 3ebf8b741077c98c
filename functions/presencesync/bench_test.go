package presencesync_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	simulated "procallteams/dev/graph"
	"procallteams/functions/presencesync"
	"procallteams/internal/graph"
	"procallteams/internal/host"
	"procallteams/internal/matching"
	"procallteams/internal/matching/participation"
	"procallteams/internal/presence"
	"procallteams/internal/secret"
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

// BenchmarkWarmFromStorage100k measures how long a process that has just started
// takes until it asks Graph: the feed and who takes part come from storage.
func BenchmarkWarmFromStorage100k(b *testing.B) { benchmarkStart(b, false) }

// BenchmarkEdit100k does so when the rules were edited meanwhile: the accounts are
// matched with UCServer's users anew, and the directory is stored.
func BenchmarkEdit100k(b *testing.B) { benchmarkStart(b, true) }

func benchmarkStart(b *testing.B, edited bool) {
	const people = 100_000
	o := newOffice(b)
	var users []matching.User
	for i, user := range o.teams.AddMembers(people) {
		users = append(users, matching.User{ID: strconv.Itoa(i), Name: user.UserPrincipalName, UPN: user.UserPrincipalName, Mail: user.Mail, Groups: []string{"Staff"}})
	}
	o.sends(users...)
	o.tick()
	var took, spent time.Duration
	for edit := 0; b.Loop(); edit++ {
		if edited {
			o.reads(participation.Rules{Everyone: true, ExcludedUsers: []string{"nobody " + strconv.Itoa(edit)}})
		}
		o.restart()
		first := &firstAsked{Graph: o.graph}
		o.sync.Graph = first
		o.now = o.now.Add(time.Second)
		start, cpu := time.Now(), cpuTime(b)
		first.asked = func() { took, spent = took+time.Since(start), spent+cpuTime(b)-cpu }
		if err := o.sync.Run(b.Context(), host.Tick{}); err != nil {
			b.Fatal(err)
		}
	}
	if beat := o.look().Heartbeat; beat.Users != people {
		b.Fatalf("heartbeat = %+v", beat)
	}
	b.ReportMetric(float64(took.Milliseconds())/float64(b.N), "ms-to-first-request")
	b.ReportMetric(float64(spent.Milliseconds())/float64(b.N), "cpu-ms-to-first-request")
}

// firstAsked is a Graph that tells when it is asked, and then is down.
type firstAsked struct {
	presencesync.Graph
	once  sync.Once
	asked func()
}

func (g *firstAsked) Presences(context.Context, secret.Text, []presence.UserID) (graph.Answer, error) {
	g.once.Do(g.asked)
	return graph.Answer{}, errors.New("down")
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

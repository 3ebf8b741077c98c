package graph_test

import (
	"bytes"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"procallteams/dev/graph"
)

// BenchmarkAnswer650 is the simulator's own cost of one full
// getPresencesByUserId among 100,000 users, without a network.
func BenchmarkAnswer650(b *testing.B) {
	sim := graph.New(graph.Config{
		Seed: 1, Settings: graph.Settings{PresenceLimit: -1}, HistoryLimit: 200_000,
		VerifyToken: func(string) (graph.Caller, error) { return graph.Caller{Roles: []string{"Presence.Read.All"}}, nil },
	})
	all := ids(sim.AddMembers(100_000))
	var bodies []string
	for len(all) >= 650 {
		bodies = append(bodies, ask(all[:650]...))
		all = all[650:]
	}
	b.ReportAllocs()
	i := 0
	for b.Loop() {
		r := httptest.NewRequest(http.MethodPost, bulk, strings.NewReader(bodies[i%len(bodies)]))
		r.Header.Set("Authorization", "Bearer x")
		r.Header.Set("Content-Type", "application/json")
		w := sink{header: http.Header{}}
		sim.ServeHTTP(&w, r)
		if w.status != http.StatusOK {
			b.Fatal(w.status)
		}
		i++
	}
}

type sink struct {
	header http.Header
	status int
	bytes.Buffer
}

func (s *sink) Header() http.Header         { return s.header }
func (s *sink) WriteHeader(status int)      { s.status = status }
func (s *sink) Write(p []byte) (int, error) { return io.Discard.Write(p) }

package storage

import (
	"strings"
	"testing"

	"github.com/google/uuid"

	"procallteams/internal/telemetry/metertest"
)

func TestTracesNameNeitherRowsNorBlobs(t *testing.T) {
	s := fresh(t)
	ctx, trace := metertest.NewTrace(t)
	tenant, person := uuid.NewString(), uuid.NewString()
	if _, err := s.Insert(ctx, Row{Partition: tenant, Key: "session-" + person, Values: map[string]any{"n": int64(1)}}); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Get(ctx, tenant, "session-"+person); err != nil {
		t.Fatal(err)
	}
	for _, err := range s.Range(ctx, tenant, "session-", "session.") {
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := s.WakePusher(ctx, tenant); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Poisoned(ctx); err != nil {
		t.Fatal(err)
	}
	got := trace.Requests()
	all := strings.Join(got, "\n")
	if strings.Contains(all, person) || strings.Contains(all, tenant) || strings.Contains(all, "session") {
		t.Errorf("a trace names somebody:\n%s", all)
	}
	for _, want := range []string{"table POST /{}/{}", "table GET /{}/{}()", "queue POST /{}/presence-push/messages", "queue GET /{}/presence-set-poison"} {
		if !strings.Contains(all, want) {
			t.Errorf("no request %q in\n%s", want, all)
		}
	}
}

package presencepush_test

import (
	"bytes"
	"context"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	sim "procallteams/dev/ucserver"
	"procallteams/internal/feed"
	"procallteams/internal/feed/feedtest"
	"procallteams/internal/presence"
	"procallteams/internal/ucserver"
)

func TestAConsumerBeginsWithASnapshotAndFollows(t *testing.T) {
	w := newWorld(t)
	w.run() // no feed yet: nothing to say
	if len(w.sent) != 0 {
		t.Errorf("%d pushes without a feed", len(w.sent))
	}
	w.append(feedtest.Busy(1), feedtest.Busy(2))
	w.run()
	w.equal()
	w.append(feedtest.Free(1), feedtest.Gone(2, feed.Disabled))
	w.append(feedtest.Busy(3))
	w.run()
	w.equal()
	w.run() // nothing new
	if len(w.sent) != 2 {
		t.Errorf("%d pushes; want a snapshot and one with both appends", len(w.sent))
	}
	if s := w.state(); s.Behind != 0 || s.Problem != "" || s.LastSuccess.IsZero() {
		t.Errorf("state = %+v", s)
	}
}

func TestALongSnapshotAndALongBacklogComeInParts(t *testing.T) {
	w := newWorld(t)
	var changes []feed.Change
	for n := range 1200 {
		c := feedtest.Busy(n)
		c.UCID = strings.Repeat("x", 500) // the bytes decide, not only the count
		changes = append(changes, c)
	}
	w.append(changes...)
	w.run()
	w.equal()
	if len(w.sent) < 4 {
		t.Errorf("1,200 long users came in %d parts", len(w.sent))
	}
	for n := range changes {
		changes[n] = feedtest.Free(n)
	}
	w.append(changes...)
	w.run()
	w.equal()
}

// crash ends a turn at a point: everything that it does afterwards fails.
type crash struct {
	*world
	at     string
	cancel context.CancelFunc
}

func (c crash) Push(ctx context.Context, d ucserver.Delivery) ucserver.Outcome {
	if c.at == "before the request" {
		c.cancel()
		return ucserver.Outcome{Result: ucserver.Later}
	}
	outcome := c.world.Push(ctx, d)
	if c.at == "after 2xx" {
		c.cancel()
	}
	return outcome
}

func TestACrashDeliversTheSameAgainAndNeverNotAtAll(t *testing.T) {
	for _, begin := range []string{"snapshot", "changes"} {
		for _, point := range []string{"before the request", "after 2xx"} {
			t.Run(begin+" "+point, func(t *testing.T) {
				w := newWorld(t)
				w.append(feedtest.Busy(1), feedtest.Busy(2))
				if begin == "changes" {
					w.run()
					w.append(feedtest.Free(1))
				}
				before := len(w.sent)
				ctx, cancel := context.WithCancel(t.Context())
				f := w.function()
				f.Sender = crash{w, point, cancel}
				if err := f.Run(ctx, w.wakeup()); err == nil {
					t.Fatal("the turn survived")
				}
				// What is appended meanwhile does not change what is in flight.
				w.fresh.Stale, w.fresh.StaleReason = true, "later"
				w.append(feedtest.Free(2))
				w.run()
				if len(w.sent) != before+strings.Count(point, "2xx") {
					t.Fatal("a pusher went on while the lease of the dead one lasted")
				}
				w.pass(6 * time.Second)
				w.run()
				w.equal()
				if point == "after 2xx" {
					first, again := w.sent[before], w.sent[before+1]
					if first.ID != again.ID || !bytes.Equal(first.Body, again.Body) {
						t.Errorf("the retry differs:\n%s %s\n%s %s", first.ID, first.Body, again.ID, again.Body)
					}
				}
				ids := map[string]string{}
				for _, d := range w.sent {
					if body, ok := ids[d.ID]; ok && body != string(d.Body) {
						t.Errorf("webhook-id %s names two different bodies", d.ID)
					}
					ids[d.ID] = string(d.Body)
				}
			})
		}
	}
}

func TestRefusalsAreKeptWithTheirReason(t *testing.T) {
	for _, tt := range []struct {
		name  string
		fault sim.Fault
		code  string
		wait  time.Duration // at least, before the next request
	}{
		{"503 with Retry-After", sim.Fault{Kind: sim.Status, Status: 503, RetryAfter: 120, Count: 1}, "push-503", 120 * time.Second},
		{"429 with Retry-After", sim.Fault{Kind: sim.Status, Status: 429, RetryAfter: 300, Count: 1}, "push-429", 300 * time.Second},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := newWorld(t)
			w.append(feedtest.Busy(1))
			w.uc.Inject(tt.fault)
			w.run()
			w.append(feedtest.Free(1))
			s := w.state()
			if s.Code != tt.code || s.Problem == "" || s.NextAttempt.Before(w.clock().Add(tt.wait)) || s.Behind != 2 {
				t.Errorf("state = %+v", s)
			}
			w.pass(tt.wait - time.Second)
			w.run() // another process respects it, too
			if err := w.function().Sweep(t.Context()); err != nil {
				t.Fatal(err)
			}
			if len(w.sent) != 1 {
				t.Errorf("%d requests before the time", len(w.sent))
			}
			w.pass(2 * time.Second)
			if err := w.function().Sweep(t.Context()); err != nil {
				t.Fatal(err)
			}
			w.equal()
			if w.sent[0].ID != w.sent[1].ID || !bytes.Equal(w.sent[0].Body, w.sent[1].Body) {
				t.Error("the retry is not what was sent before")
			}
			if s := w.state(); s.Problem != "" || !s.NextAttempt.IsZero() {
				t.Errorf("state after recovery = %+v", s)
			}
		})
	}
}

func TestAShortOutageIsWaitedForInsideTheSlice(t *testing.T) {
	w := newWorld(t)
	w.runs = true
	w.append(feedtest.Busy(1))
	w.uc.Inject(sim.Fault{Kind: sim.Status, Status: 502, Count: 1})
	w.run()
	w.equal()
	if len(w.sent) != 2 {
		t.Errorf("%d requests; want 2", len(w.sent))
	}
}

func Test410StopsUntilAnAdministratorResumes(t *testing.T) {
	w := newWorld(t)
	w.append(feedtest.Busy(1))
	w.uc.Inject(sim.Fault{Kind: sim.Status, Status: 410, Count: 1})
	w.run()
	w.pass(time.Hour)
	w.run()
	if err := w.function().Sweep(t.Context()); err != nil {
		t.Fatal(err)
	}
	if s := w.state(); !s.Stopped || len(w.sent) != 1 {
		t.Errorf("%d requests, state %+v", len(w.sent), s)
	}
	if err := w.function().Resume(t.Context(), w.tenant); err != nil || w.woken == 0 {
		t.Fatalf("resume: %v, woken %d", err, w.woken)
	}
	w.run()
	w.equal()
}

func TestAConsumerThatLostItsStateGetsASnapshot(t *testing.T) {
	w := newWorld(t)
	w.append(feedtest.Busy(1), feedtest.Busy(2))
	w.run()
	w.append(feedtest.Gone(2, feed.Unmatched))
	w.uc.Inject(sim.Fault{Kind: sim.Status, Status: 409, Count: 1})
	w.run()
	w.equal()
	if n := len(w.sent); n != 3 || !bytes.Contains(w.sent[2].Body, []byte("presence.snapshot")) {
		t.Errorf("%d pushes; want the refused changes and a snapshot after them", n)
	}
}

func TestAnotherAddressBeginsWithASnapshot(t *testing.T) {
	w := newWorld(t)
	w.append(feedtest.Busy(1))
	w.run()
	other := httptest.NewServer(w.uc)
	defer other.Close()
	w.url = other.URL + "/push"
	w.run()
	if n := len(w.sent); n != 2 || !bytes.Contains(w.sent[1].Body, []byte("presence.snapshot")) {
		t.Errorf("%d pushes; want a second snapshot", n)
	}
}

func TestUpkeepSendsASignOfLifeAndWhatNoWakeUpAnnounced(t *testing.T) {
	w := newWorld(t)
	w.append(feedtest.Busy(1))
	sweep := func() {
		t.Helper()
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		if err := w.function().Sweep(ctx); err != nil {
			t.Fatal(err)
		}
	}
	sweep()
	if len(w.sent) != 0 {
		t.Error("a change of this moment is the wake-up's")
	}
	w.pass(time.Minute)
	sweep()
	w.equal()
	for range 3 {
		w.pass(time.Minute)
		sweep()
	}
	heartbeats := w.uc.Inbox().View().Counters.Heartbeats
	if heartbeats < 3 || len(w.sent) != 4 {
		t.Errorf("%d heartbeats in %d pushes; want 3 in 4", heartbeats, len(w.sent))
	}
	if w.sent[2].ID == w.sent[3].ID {
		t.Error("two signs of life have the same id: receivers drop the second")
	}
	w.equal()
}

func TestPastRetentionTheConsumerGetsASnapshotAndIsEqualAgain(t *testing.T) {
	w := newWorld(t)
	w.append(feedtest.Busy(1), feedtest.Busy(2))
	w.run()
	w.uc.Inject(sim.Fault{Kind: sim.Status, Status: 503, RetryAfter: 600})
	w.append(feedtest.Free(1))
	w.append(feedtest.Gone(2, feed.Deleted), feedtest.Busy(3))
	w.pass(5 * time.Second)
	if err := w.function().Sweep(t.Context()); err != nil {
		t.Fatal(err)
	}
	if s := w.state(); s.Code != "push-503" {
		t.Fatalf("state = %+v", s)
	}
	head := w.append(feedtest.Busy(4))
	if _, err := feed.WriteSnapshot(t.Context(), w.store, head, w.book); err != nil {
		t.Fatal(err)
	}
	w.pass(72 * time.Hour)
	w.append(feedtest.Busy(5))
	if entries, _, err := w.store.Trim(t.Context(), w.clock(), 48*time.Hour); err != nil || entries == 0 {
		t.Fatalf("%d entries deleted, %v", entries, err)
	}
	w.uc.Clear("")
	w.run()
	w.equal()
}

func TestWakeUpsOfOtherTenantsAndNonsenseDoNothing(t *testing.T) {
	w := newWorld(t)
	w.append(feedtest.Busy(1))
	for _, message := range []string{"", "{", `"x"`, `{"tenant":""}`, `{"tenant":"` + uuid.NewString() + `"}`} {
		if err := w.function().Run(t.Context(), []byte(message)); err != nil {
			t.Errorf("Run(%q) = %v: the message would come again", message, err)
		}
	}
	if len(w.sent) != 0 {
		t.Errorf("%d pushes", len(w.sent))
	}
}

func TestPushedPresencesKeepOutcomesOfAllKinds(t *testing.T) {
	w := newWorld(t)
	missing := feedtest.Busy(1)
	missing.Outcome = presence.Outcome{Availability: presence.PresenceUnknown, Activity: "PresenceUnknown", Source: presence.FromMissing}
	w.append(missing)
	w.run()
	w.equal()
}

func TestAReasonOfAnyLengthIsStored(t *testing.T) {
	w := newWorld(t)
	w.append(feedtest.Busy(1))
	f := w.function()
	f.Sender = refusing{ucserver.Outcome{Result: ucserver.Later, Code: "push-redirect", Reason: strings.Repeat("ü", 40_000), RetryAfter: time.Hour}}
	if err := f.Run(t.Context(), w.wakeup()); err != nil {
		t.Fatalf("the wake-up comes again, and in the end lies among the poison: %v", err)
	}
	if s := w.state(); s.Code != "push-redirect" || s.Problem == "" || s.NextAttempt.IsZero() {
		t.Errorf("state = %.200v", s)
	}
}

// refusing answers every delivery with the same outcome.
type refusing struct{ ucserver.Outcome }

func (r refusing) Push(context.Context, ucserver.Delivery) ucserver.Outcome { return r.Outcome }

func TestAConsumerHearsSomethingAtEveryUpkeep(t *testing.T) {
	w := newWorld(t)
	w.append(feedtest.Busy(1))
	w.run()
	w.pass(15 * time.Second) // upkeep comes soon after a delivery, then in a minute
	if err := w.function().Sweep(t.Context()); err != nil {
		t.Fatal(err)
	}
	if len(w.sent) != 2 {
		t.Error("the next sign of life comes 75 s after the last delivery; the contract says 60")
	}
}

func TestTheStateSaysSinceWhenTheConsumerLags(t *testing.T) {
	w := newWorld(t)
	w.append(feedtest.Busy(1))
	w.run()
	w.pass(time.Minute)
	since := w.clock()
	w.append(feedtest.Free(1))
	w.pass(time.Minute)
	w.append(feedtest.Busy(1))
	if s := w.state(); s.Behind != 2 || !s.BehindSince.Equal(since.Truncate(time.Millisecond)) {
		t.Errorf("behind %d since %v; want 2 since %v", s.Behind, s.BehindSince, since)
	}
	w.run()
	if s := w.state(); s.Behind != 0 || !s.BehindSince.IsZero() {
		t.Errorf("behind %d since %v after the delivery", s.Behind, s.BehindSince)
	}
}

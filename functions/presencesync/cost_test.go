package presencesync_test

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"procallteams/dev/azurite"
	simulated "procallteams/dev/graph"
	"procallteams/internal/presence"
	"procallteams/internal/secret"
	"procallteams/internal/settings"
	"procallteams/internal/storage"
)

// wired leads the office's storage through a wire that counts its operations.
func wired(t *testing.T, o *office) *azurite.Wire {
	t.Helper()
	wire, err := azurite.NewWire(azurite.ForTest(t).Endpoints())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := wire.Close(); err != nil {
			t.Error(err)
		}
	})
	o.storage, err = storage.Open(settings.Storage{ConnectionString: secret.New(wire.ConnectionString())}, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	o.set.Storage = o.storage
	o.restart()
	return wire
}

func TestWorkFollowsChangeNotSize(t *testing.T) {
	for _, users := range []int{1, 1301} {
		o := newOffice(t)
		wire := wired(t, o)
		members := o.teams.AddMembers(users)
		o.tick()
		batches := (users + 649) / 650
		cost := func() (operations, requests int) {
			wire.Reset()
			before := len(o.teams.Requests())
			o.tick()
			// Graph notes a request after its answer.
			for end := time.Now().Add(5 * time.Second); len(o.teams.Requests())-before < batches && time.Now().Before(end); {
				time.Sleep(time.Millisecond)
			}
			return wire.Operations(), len(o.teams.Requests()) - before
		}
		if operations, requests := cost(); operations != 2 || requests != batches {
			t.Errorf("%d users, nothing changed: %d storage operations and %d requests to Graph; want 2 and %d", users, operations, requests, batches)
		}
		o.change(func(i *settings.Integration) { i.ProCallToTeams = settings.Everyone })
		w := newWriter(t, o)
		w.phones(presence.UserID(members[0].ID))
		o.tick()
		if operations, requests := cost(); operations != 3 || requests != batches {
			t.Errorf("%d users, calls are written, nothing changed: %d storage operations %v and %d requests to Graph; want 3 and %d", users, operations, wire.Counts(), requests, batches)
		}
		w.hangsUp(presence.UserID(members[0].ID))
		o.change(func(i *settings.Integration) { i.ProCallToTeams = settings.Nobody })
		o.tick()
		if operations, _ := cost(); operations != 2 {
			t.Errorf("%d users, switched off long ago: %d storage operations %v; want 2", users, operations, wire.Counts())
		}
		o.change(func(i *settings.Integration) { i.PushURL = "https://ucserver.contoso.com/push" })
		// The first wake-up creates the queue. Whatever state the person had, one of
		// these two is another one.
		for _, state := range []string{"Away", "BeRightBack"} {
			if err := o.teams.Set(members[0].ID, state, state); err != nil {
				t.Fatal(err)
			}
			o.tick()
		}
		if err := o.teams.Set(members[0].ID, "Busy", "InACall"); err != nil {
			t.Fatal(err)
		}
		if operations, _ := cost(); operations > 4 {
			t.Errorf("%d users, one changed: %d storage operations %v; want at most 4", users, operations, wire.Counts())
		}
	}
}

func TestAnswersThatAlternateAreDeliveredAndCountedWithoutFloodingTheLog(t *testing.T) {
	o := newOffice(t)
	ada := o.hire("ada@contoso.com")
	item := func(availability, activity string) json.RawMessage {
		return json.RawMessage(`{"id":"` + string(ada) + `","availability":"` + availability + `","activity":"` + activity + `"}`)
	}
	o.teams.Inject(simulated.Fault{Kind: simulated.Items, Path: "getPresencesByUserId", Users: []string{string(ada)}, Items: []json.RawMessage{
		item("Busy", "InACall"), item("Available", "Available"),
	}})
	const polls = 120
	for range polls {
		o.tick()
	}
	changes := o.since(0)
	if len(changes) != polls {
		t.Errorf("%d changes; want each of %d answers", len(changes), polls)
	}
	for i, c := range changes {
		want := []string{"InACall", "Available"}[i%2]
		if string(c.Outcome.Activity) != want {
			t.Fatalf("change %d is %s; want %s", i, c.Outcome.Activity, want)
		}
	}
	if n := o.look().Heartbeat.Oddities["answers alternate"]; n != 1 {
		t.Errorf("counted %d times; want once", n)
	}
	if n := strings.Count(o.logs.String(), string(ada)); n != 1 {
		t.Errorf("%d log lines name the person; want one", n)
	}
	told := o.look().Heartbeat.Alternating[ada]
	if told.Turns < polls/2 || told.Since.IsZero() || !told.Last.Equal(o.now.UTC()) || len(o.look().Heartbeat.Alternating) != 1 {
		t.Errorf("told of the person: %+v", told)
	}
	o.teams.Clear("")
	for range 4 {
		o.now = o.now.Add(4 * time.Minute)
		o.tick()
	}
	if told := o.look().Heartbeat.Alternating; len(told) != 0 {
		t.Errorf("told a quarter of an hour later: %+v", told)
	}
}

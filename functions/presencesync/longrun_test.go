package presencesync_test

import (
	"context"
	"encoding/json"
	"errors"
	"iter"
	"slices"
	"strings"
	"testing"
	"time"

	simulated "procallteams/dev/graph"
	"procallteams/functions/presencesync"
	"procallteams/internal/graph"
	"procallteams/internal/host"
	"procallteams/internal/matching"
	"procallteams/internal/presence"
	"procallteams/internal/secret"
	"procallteams/internal/settings"
)

func TestAfterGraphNumbersAnewEveryStateCountsAgain(t *testing.T) {
	o := newOffice(t)
	ada := o.hire("ada@contoso.com")
	says := func(availability, activity, sequence string) {
		o.teams.Clear("")
		o.teams.Inject(simulated.Fault{Kind: simulated.Items, Path: "getPresencesByUserId", Users: []string{string(ada)}, Items: []json.RawMessage{
			json.RawMessage(`{"id":"` + string(ada) + `","availability":"` + availability + `","activity":"` + activity + `","sequenceNumber":"` + sequence + `"}`),
		}})
	}
	says("Available", "Available", "A0000000900")
	o.tick()
	first := o.head()
	says("Available", "Available", "A0000000001") // the service begins anew
	for range 30 {
		o.tick()
	}
	o.want(first)
	says("Busy", "InACall", "A0000000002")
	o.tick()
	o.want(first, "ada@contoso.com Busy/InACall teams")
	// Within the new numbering, older answers are older again.
	says("Available", "Available", "A0000000001")
	o.tick()
	o.want(first, "ada@contoso.com Busy/InACall teams")
}

// hanging is a Graph that never answers about presences.
type hanging struct{ presencesync.Graph }

func (hanging) Presences(ctx context.Context, _ secret.Text, _ []presence.UserID) (graph.Answer, error) {
	<-ctx.Done()
	return graph.Answer{}, ctx.Err()
}

func TestAGraphThatHangsIsNotedAndWithdrawsInTheEnd(t *testing.T) {
	o := newOffice(t)
	o.says(o.hire("ada@contoso.com"), "Busy", "InACall")
	o.tick()
	first := o.head()
	o.sync.Graph = hanging{o.graph}
	o.now = o.now.Add(11 * time.Minute)
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
	defer cancel()
	if err := o.sync.Run(ctx, host.Tick{}); err != nil {
		t.Errorf("Run() = %v; want it noted", err)
	}
	o.want(first, "ada@contoso.com PresenceUnknown/PresenceUnknown stale")
	if beat := o.look().Heartbeat; beat.ErrorCode != "graph-unreachable" {
		t.Errorf("heartbeat = %+v", beat)
	}
}

// deaf is a Graph that fails whenever it is asked about one user.
type deaf struct {
	presencesync.Graph
	to presence.UserID
}

func (g deaf) Presences(ctx context.Context, token secret.Text, ids []presence.UserID) (graph.Answer, error) {
	if slices.Contains(ids, g.to) {
		return graph.Answer{}, errors.New("connection reset")
	}
	return g.Graph.Presences(ctx, token, ids)
}

func TestABatchThatFailsIsWithdrawnEvenAfterLongerThanADirectoryLasts(t *testing.T) {
	o := newOffice(t)
	o.change(func(i *settings.Integration) { i.StaleAfter = 3600 })
	o.teams.AddMembers(651)
	o.tick()
	first := o.head()
	var last presence.UserID
	for _, c := range o.since(0) {
		last = max(last, c.Entra)
	}
	o.sync.Graph = deaf{o.graph, last}
	for range 8 {
		o.after(9 * time.Minute)
	}
	withdrawn := 0
	for _, line := range words(o.since(first)) {
		if strings.HasSuffix(line, " stale") {
			withdrawn++
		}
	}
	if withdrawn != 1 {
		t.Errorf("%d people withdrawn after 72 minutes without an answer; want 1", withdrawn)
	}
}

func TestNothingIsRememberedAboutThoseWhoLeft(t *testing.T) {
	o := newOffice(t)
	o.says(o.hire("ada@contoso.com"), "Available", "Available")
	o.tick()
	ghost := o.hire("ghost@contoso.com")
	o.teams.Inject(simulated.Fault{Kind: simulated.Missing, Path: "getPresencesByUserId", Users: []string{string(ghost)}})
	o.reread()
	o.tick()
	if beat := o.look().Heartbeat; len(beat.Missing) != 20 {
		t.Fatalf("missing = %d bytes; want one person", len(beat.Missing))
	}
	o.teams.Remove(string(ghost))
	o.reread()
	o.tick()
	if beat := o.look().Heartbeat; len(beat.Missing) != 0 {
		t.Errorf("missing = %d bytes; want nobody", len(beat.Missing))
	}
}

// shy is a Graph whose list of users is throttled.
type shy struct {
	presencesync.Graph
	asked *int
}

func (g shy) Users(context.Context, secret.Text, graph.Detail) iter.Seq2[matching.Account, error] {
	return func(yield func(matching.Account, error) bool) {
		*g.asked++
		yield(matching.Account{}, &graph.ThrottledError{Status: 429, RetryAfter: time.Minute})
	}
}

func TestAPauseBeforeTheFirstDirectoryIsKept(t *testing.T) {
	o := newOffice(t)
	o.hire("ada@contoso.com")
	asked := 0
	o.sync.Graph = shy{o.graph, &asked}
	for range 11 {
		o.tick()
	}
	if asked != 1 {
		t.Errorf("users listed %d times within the pause of a minute", asked)
	}
	if beat := o.look().Heartbeat; beat.ErrorCode != "throttled" {
		t.Errorf("heartbeat = %+v", beat)
	}
}

func TestAnErrorOfAnyLengthIsNoted(t *testing.T) {
	o := newOffice(t)
	o.hire("ada@contoso.com")
	o.tokens.err = errors.New(strings.Repeat("ü", 40_000))
	o.tick()
	if beat := o.look().Heartbeat; beat.ErrorCode != "token-unavailable" || beat.Error == "" {
		t.Errorf("heartbeat = %.200v", beat)
	}
}

// empty is a Graph that lists nobody.
type empty struct{ *graph.Client }

func (empty) Users(context.Context, secret.Text, graph.Detail) iter.Seq2[matching.Account, error] {
	return func(func(matching.Account, error) bool) {}
}

func (empty) UsersDelta(context.Context, secret.Text, string, graph.Detail) iter.Seq2[graph.DeltaPage, error] {
	return func(yield func(graph.DeltaPage, error) bool) {
		yield(graph.DeltaPage{Link: "https://graph.test/delta", Complete: true}, nil)
	}
}

func TestAnEmptyListOfUsersRemovesNobody(t *testing.T) {
	o := newOffice(t)
	o.says(o.hire("ada@contoso.com"), "Busy", "InACall")
	o.tick()
	first := o.head()
	o.sync.Graph, o.people.Graph = empty{o.graph}, empty{o.graph}
	o.reread()
	o.tick()
	if err := o.storage.DeleteBlob(t.Context(), o.look().Accounts.Blob); err != nil {
		t.Fatal(err)
	}
	o.upload("ada@contoso.com,ada\n") // the accounts are needed, and gone
	o.tick()
	o.want(first)
	if beat := o.look().Heartbeat; beat.Users != 1 || beat.Error != "" {
		t.Errorf("heartbeat = %+v", beat)
	}
}

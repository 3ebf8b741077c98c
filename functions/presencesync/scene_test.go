package presencesync_test

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"procallteams/functions/presenceset"
	"procallteams/internal/calls"
	"procallteams/internal/consent"
	"procallteams/internal/directory"
	"procallteams/internal/feed"
	"procallteams/internal/presence"
	"procallteams/internal/secret"
	"procallteams/internal/session"
	"procallteams/internal/settings"
	"procallteams/internal/storage"
)

// scene is one person between Teams and UCServer, with everything of the bridge
// in between: sync, feed, ledger and writer. Time passes in ticks of five seconds.
type scene struct {
	*office
	ada    presence.UserID
	uc     ucserver
	ledger *calls.Ledger
	writer *presenceset.Function
	books  feed.Shelf // of who reads the feed
	moved  time.Time  // of the wall clock, when o.now was set
	// seen is the append, and sent the writes to Teams, up to which was asked.
	seen uint64
	sent int
}

// ucserver follows the rule of the contract: it shows busy while the feed
// contributes busy, and reports the state that it shows.
type ucserver struct {
	phone bool // a call of its own
	quiet bool // do not disturb, chosen in ProCall
	marks bool // reports what Teams caused as external
	lag   int  // ticks until what the feed says is shown
	heard []presence.Contribution
	told  string // what was reported last
	seq   int64
	begun time.Time // of that
}

// WriteToken makes the app-only consent one that writes.
func (k *tokens) WriteToken(context.Context, string, []consent.Grant) (consent.Token, error) {
	return consent.Token{Value: secret.New("app-token"), Kind: consent.Admin}, k.err
}

// newScene opens an office in which both directions are on, and ada is available.
func newScene(t *testing.T) *scene {
	t.Helper()
	s := &scene{office: newOffice(t)}
	s.change(func(i *settings.Integration) { i.ProCallToTeams, i.ClientID = settings.Everyone, clientID })
	s.ada = s.hire("ada@contoso.com")
	s.says(s.ada, "Available", "Available")
	s.ledger = &calls.Ledger{
		Store: storage.Calls{Storage: s.storage},
		Look: func(ctx context.Context, tenant string) (calls.View, error) {
			now, err := s.storage.Now(ctx, tenant)
			return calls.View{Reporters: now.Reporters, Directory: now.Directory, On: true, Swept: now.Swept}, err
		},
		People: func(ctx context.Context, ref directory.Ref) (*directory.Index, error) {
			d, err := s.storage.Directory(ctx, ref)
			if err != nil {
				return nil, err
			}
			return directory.NewIndex(d), nil
		},
		Wake: func(context.Context, string) error { return nil }, Now: s.clock,
	}
	s.writer = s.newWriter()
	s.after(5 * time.Second)
	if _, err := s.ledger.Complete(t.Context(), s.tenant, "uc", 1, 0, nil); err != nil {
		t.Fatal(err)
	}
	s.pass(5 * time.Second)
	s.seen, s.sent = s.head(), len(s.written())
	return s
}

func (s *scene) newWriter() *presenceset.Function {
	books := &feed.Shelf{}
	return &presenceset.Function{
		Tenant: func(context.Context) (string, error) { return s.tenant, nil },
		Look: func(ctx context.Context, tenant string) (presenceset.View, error) {
			now, err := s.storage.Now(ctx, tenant)
			current, _ := now.Settings.Override(s.set.Overrides)
			return presenceset.View{Settings: current, Reporters: now.Reporters, Grants: now.Grants, Head: now.Head, Writer: now.Writer}, err
		},
		Published: func(ctx context.Context, tenant string, view presenceset.View) (presenceset.Published, error) {
			book, err := books.Of(tenant).Book(ctx, s.storage.Feed(tenant), view.Head)
			return func(id presence.UserID) (presence.Outcome, bool) {
				change, ok := book.Get(id)
				return change.Outcome, ok
			}, err
		},
		Work: storage.Calls{Storage: s.storage}, Written: storage.Written{Storage: s.storage}, Graph: s.graph, Tokens: s.tokens,
		Throttle: s.storage.Throttle, Wake: func(context.Context, string, time.Duration) error { return nil },
		Now: s.clock, Log: slog.New(slog.DiscardHandler),
	}
}

// clock goes on between two ticks, so that a turn of the writer can wait.
func (s *scene) clock() time.Time { return s.now.Add(time.Since(s.moved)) }

// pass lets time pass: UCServer, the writer and the sync take turns.
func (s *scene) pass(d time.Duration) {
	s.t.Helper()
	s.passBy(d, 5*time.Second)
}

// passBy is pass with other steps.
func (s *scene) passBy(d, step time.Duration) {
	s.t.Helper()
	for range int(d / step) {
		s.now, s.moved = s.now.Add(step), time.Now()
		s.acts()
		s.writes()
		s.after(0)
	}
}

func (s *scene) writes() {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(s.t.Context(), 30*time.Second)
	defer cancel()
	if err := s.writer.Turn(ctx); err != nil {
		s.t.Fatalf("writer: %v", err)
	}
}

// acts lets UCServer read the feed and report what it shows now.
func (s *scene) acts() {
	s.t.Helper()
	uc := &s.uc
	uc.heard = append(uc.heard, s.published().ProCall)
	item := calls.Item{User: "ada@contoso.com", State: calls.Available}
	shown := uc.heard[max(0, len(uc.heard)-1-uc.lag)]
	switch {
	case uc.phone:
		item.State, item.Reasons = calls.Busy, calls.Call
	case shown.State == presence.ProCallBusy:
		item.State, item.Reasons, item.External = calls.Busy, calls.Call, uc.marks
	case shown.State == presence.ProCallDoNotDisturb:
		item.State, item.External = calls.DoNotDisturb, uc.marks
	}
	if uc.quiet {
		item.Manual = &calls.Manual{State: calls.DoNotDisturb}
	}
	state := fmt.Sprint(item.State, item.Reasons, item.External, uc.quiet)
	if state != uc.told {
		uc.seq++
		uc.told, uc.begun = state, s.now
	}
	item.Seq, item.Since = uc.seq, uc.begun
	receipt, err := s.ledger.Report(s.t.Context(), s.tenant, "uc", 1, []calls.Entry{{Item: item}})
	if err != nil || receipt.Outcomes[0].Result != calls.Accepted && receipt.Outcomes[0].Result != calls.Unchanged {
		s.t.Fatalf("report: %+v, %v", receipt, err)
	}
}

// published is what the feed says about ada now.
func (s *scene) published() presence.Outcome {
	s.t.Helper()
	book, err := s.books.Of(s.tenant).Book(s.t.Context(), s.storage.Feed(s.tenant), s.look().Head)
	if err != nil {
		s.t.Fatal(err)
	}
	held, _ := book.Get(s.ada)
	return held.Outcome
}

// client is what ada's Teams client shows: a call there, for instance.
func (s *scene) client(availability, activity string) { s.says(s.ada, availability, activity) }

// prefers is what ada chooses in Teams by hand; nothing takes the choice back.
func (s *scene) prefers(availability, activity string) {
	s.t.Helper()
	action, body := "setUserPreferredPresence", `{"availability":"`+availability+`","activity":"`+activity+`","expirationDuration":"PT8H"}`
	if availability == "" {
		action, body = "clearUserPreferredPresence", "{}"
	}
	request := httptest.NewRequestWithContext(s.t.Context(), http.MethodPost, "/v1.0/users/"+string(s.ada)+"/presence/"+action, strings.NewReader(body))
	request.Header.Set("Authorization", "Bearer app-token")
	request.Header.Set("Content-Type", "application/json")
	answer := httptest.NewRecorder()
	s.teams.ServeHTTP(answer, request)
	if answer.Code != http.StatusOK {
		text, _ := io.ReadAll(answer.Body)
		s.t.Fatalf("the person's choice was answered %d %s", answer.Code, text)
	}
	s.sent = len(s.written()) // it is not the bridge's
}

// written are the writes to Teams: their last words.
func (s *scene) written() []string {
	var list []string
	for _, r := range s.teams.Requests() {
		if _, action, ok := strings.Cut(r.Path, "/presence/"); ok {
			list = append(list, action)
		}
		if strings.Contains(r.Body, `"Available"`) {
			s.t.Errorf("Available was written: %s %s", r.Path, r.Body)
		}
	}
	return list
}

// shows demands what Teams shows now, and what the feed publishes: state, source
// and contribution ("" for none).
func (s *scene) shows(teams, published string) {
	s.t.Helper()
	answer, err := s.graph.Presences(s.t.Context(), secret.New("app-token"), []presence.UserID{s.ada})
	if err != nil {
		s.t.Fatal(err)
	}
	state := answer.States[0]
	if got := string(state.Availability) + "/" + string(state.Activity); got != teams {
		s.t.Errorf("Teams shows %s; want %s", got, teams)
	}
	o := s.published()
	got := strings.TrimSpace(fmt.Sprintf("%s/%s %s %s", o.Availability, o.Activity, o.Source, o.ProCall.State))
	if got != published {
		s.t.Errorf("the feed publishes %q; want %q", got, published)
	}
}

// did demands what was written to Teams and how many changes were published since
// the last time, neither more nor fewer.
func (s *scene) did(changes int, writes ...string) {
	s.t.Helper()
	all := s.written()
	if got := all[s.sent:]; !slices.Equal(got, writes) {
		s.t.Errorf("written to Teams: %q; want %q", got, writes)
	}
	s.sent = len(all)
	head := s.head()
	if got := int(head - s.seen); got != changes {
		s.t.Errorf("%d changes in the feed: %q; want %d", got, words(s.since(s.seen)), changes)
	}
	s.seen = head
}

// settled demands that nothing goes to and fro while nobody does anything.
func (s *scene) settled() {
	s.t.Helper()
	s.pass(100 * time.Second)
	s.did(0)
}

// held is what is known about ada.
func (s *scene) held() session.Session {
	s.t.Helper()
	held, _, err := storage.Written{Storage: s.storage}.Session(s.t.Context(), s.tenant, s.ada)
	if err != nil {
		s.t.Fatal(err)
	}
	return held
}

package users_test

import (
	"fmt"
	"net/url"
	"strings"
	"testing"
	"time"

	"procallteams/internal/access"
	"procallteams/internal/calls"
	"procallteams/internal/health"
	"procallteams/internal/presence"
	"procallteams/internal/session"
	"procallteams/internal/settings"
	"procallteams/internal/storage"
)

func TestAnAnswerFollowsACallFromItsReportToItsEnd(t *testing.T) {
	w := everything(t)
	if a := w.ada("none", ""); a.Teams == nil || a.Teams.Availability != "Available" || len(a.Reports) != 0 || a.Stale {
		t.Errorf("before the call: %s", a.text)
	}
	w.report(calls.Busy, calls.Call)
	a := w.ada("pending", "reported, not written yet")
	if a.Session.Pair != "Busy/InACall" || a.Session.Since.Before(w.now) || len(a.Reports) != 1 || !a.Reports[0].Counts {
		t.Errorf("after the report: %s", a.text)
	}
	w.turn(true)
	w.ada("pending", "Microsoft Graph was asked; its answer is not noted yet")
	w.now = w.now.Add(time.Second)
	w.turn(false)
	a = w.ada("held", "")
	if !a.Session.Expires.Equal(w.now.Add(10*time.Minute)) || a.Session.LastWrite == nil || a.Session.LastWrite.What != "setPresence" || a.Session.LastWrite.Status != 200 || a.DoNotDisturb != nil {
		t.Errorf("after the write: %s", a.text)
	}
	w.now = w.now.Add(3 * time.Second)
	w.teams("Busy", "InACall", presence.FromBridge)
	if a = w.ada("held", ""); a.Teams.Source != "bridge" || a.Session.Hidden {
		t.Errorf("after the sync: %s", a.text)
	}
	// A renewal that is due changes nothing.
	w.now = w.now.Add(7 * time.Minute)
	w.ada("held", "")
	w.now = w.now.Add(-7 * time.Minute)

	w.report(calls.Available, 0)
	w.ada("clearing", "to be cleared in Teams")
	w.turn(false, session.Reply{Answer: session.Failed, Status: 503, Code: "ServiceUnavailable"})
	a = w.ada("clearing", "the last try failed (1 in a row); the next one is at "+w.now.Add(time.Second).Format(time.RFC3339))
	if a.Session.LastWrite.What != "clearPresence" || a.Session.LastWrite.Answer != "failed" || a.Session.LastWrite.Code != "ServiceUnavailable" {
		t.Errorf("after a failure: %s", a.text)
	}
	w.now = w.now.Add(time.Second)
	w.turn(false)
	// The first call's answer was never noted: it may still be carried out.
	w.now = w.now.Add(session.LateTime)
	w.turn(false)
	if a = w.ada("none", ""); !a.Session.Expires.IsZero() || a.Session.Pair != "" || a.Session.LastWrite.Answer != "done" {
		t.Errorf("after the call: %s", a.text)
	}
}

func TestWhatAPersonChoseIsNamedAsTheReasonWhyACallDoesNotShow(t *testing.T) {
	w := everything(t)
	w.report(calls.Busy, calls.Call)
	w.turn(false)
	for _, tt := range []struct {
		availability presence.Availability
		activity     presence.Activity
		want         string
	}{
		{"DoNotDisturb", "DoNotDisturb", "user has set Do not disturb in Teams: it stands above the call"},
		{"Available", "Available", "user has set Available in Teams: it stands above the call"},
		{"Offline", "OffWork", "user has set Appear offline in Teams: it stands above the call"},
		{"BeRightBack", "BeRightBack", "user has set Be right back in Teams: it stands above the call"},
		{"DoNotDisturb", "Presenting", "the user is presenting in Teams: it stands above the call"},
		{"Busy", "InAMeeting", "Teams shows InAMeeting instead of the call"},
		{"Offline", "Offline", "Teams shows the user as offline, although the session was confirmed"},
	} {
		w.now = w.now.Add(time.Second)
		w.teams(tt.availability, tt.activity, presence.FromTeams)
		if a := w.ada("held", tt.want); !a.Session.Hidden {
			t.Errorf("%s/%s: not hidden: %s", tt.availability, tt.activity, a.text)
		}
	}
}

func TestAPersonAboutWhomMicrosoftsAnswersAlternateIsNamedSuch(t *testing.T) {
	w := everything(t)
	w.teams("Busy", "InACall", presence.FromTeams)
	if a := w.named(`DOMAIN\ada`); strings.Contains(a.text, "alternates") {
		t.Errorf("= %s", a.text)
	}
	turns := health.Alternation{Since: w.now.Add(-time.Hour), Last: w.now, Turns: 700}
	w.must(w.st.Beat(t.Context(), w.tenant, health.Heartbeat{AsOf: w.now, Attempt: w.now, Users: 2, Interval: 5000,
		Alternating: map[presence.UserID]health.Alternation{ada: turns}}))
	a := w.named(`DOMAIN\ada`)
	if want := fmt.Sprintf(`"alternates":{"since":%q,"last":%q,"turns":700}`, turns.Since.UTC().Format(time.RFC3339Nano), turns.Last.UTC().Format(time.RFC3339Nano)); !strings.Contains(a.text, want) {
		t.Errorf("= %s; want %s", a.text, want)
	}
}

func TestEveryStateSaysWhy(t *testing.T) {
	call := func(w *world) { w.report(calls.Busy, calls.Call) }
	at := func(w *world, d time.Duration) string { return w.now.Add(d).Format(time.RFC3339) }
	for _, tt := range []struct {
		name   string
		do     func(*world)
		state  string
		reason func(*world) string
	}{
		{"Teams contributes the call already", func(w *world) {
			w.teams("Busy", "InACall", presence.FromTeams)
			call(w)
			w.turn(false)
		}, "waiting", text("Teams contributes the call already")},
		{"the call in Teams has just ended", func(w *world) {
			w.teams("Busy", "InACall", presence.FromTeams)
			call(w)
			w.turn(false)
			w.teams("Available", "Available", presence.FromTeams)
			w.turn(false)
		}, "waiting", text("Teams has just ended what may have caused this: written in a moment, if UCServer still reports it then")},
		{"not signed in to Teams", func(w *world) {
			w.set(func(s *settings.Integration) { s.OnlySignedIn = true })
			w.teams("Offline", "Offline", presence.FromTeams)
			call(w)
		}, "waiting", text("not signed in to Teams: an administrator has set that such people are left alone")},
		{"not signed in, which does not matter", func(w *world) {
			w.teams("Offline", "Offline", presence.FromTeams)
			call(w)
			w.turn(false)
		}, "held", text("")},
		{"Graph refuses the person", func(w *world) {
			call(w)
			w.turn(false, session.Reply{Answer: session.Refused, Status: 404, Code: "NotFound"})
		}, "refused", text("Microsoft Graph refuses to write this user; it is tried again after an hour, then once a day")},
		{"a write that failed", func(w *world) {
			call(w)
			w.turn(false, session.Reply{Answer: session.Failed, Status: 500})
		}, "pending", func(w *world) string {
			return "the last try failed (1 in a row); the next one is at " + at(w, time.Second)
		}},
		{"Graph asked the bridge to wait", func(w *world) {
			call(w)
			w.must(w.st.Throttle(w.t.Context(), w.tenant, w.now.Add(time.Minute)))
		}, "pending", func(w *world) string { return "Microsoft Graph asked the bridge to wait until " + at(w, time.Minute) }},
		{"nothing can be written", func(w *world) {
			call(w)
			_, err := storage.Written{Storage: w.st}.SaveWriter(w.t.Context(), w.tenant, session.Writer{Error: "the admin consent is missing"})
			w.must(err)
		}, "pending", text("nothing can be written to Teams now: the admin consent is missing")},
		{"the reporter's lease has ended", func(w *world) {
			call(w)
			w.turn(false)
			w.lease(calls.Reporter{ID: reporter, Epoch: 1, Generation: 2, Need: calls.NeedExpired, NeedSince: w.now})
			w.turn(false)
		}, "none", text("the reporter was silent for longer than its lease, or began anew: what it said before counts no more")},
		{"Teams caused it", func(w *world) {
			w.report(calls.Busy, calls.Call, func(r *calls.Report) { r.External = true })
		}, "none", text("Teams itself caused what UCServer reports: that is never written to Teams")},
		{"a reporter that is silent, and a lease that nothing ends", func(w *world) {
			call(w)
			w.now = w.now.Add(10 * time.Minute)
		}, "pending", text("the reporter is silent: on its word nothing is set or prolonged until it is heard")},
		{"ringing, which is not written", func(w *world) {
			w.report(calls.Available, calls.Ringing)
		}, "none", text("only calls and conferences are written, and what an administrator switched on beside them")},
		{"ringing, which is switched on", func(w *world) {
			w.set(func(s *settings.Integration) { s.AlsoWrite.Ringing = true })
			w.report(calls.Available, calls.Ringing)
		}, "pending", text("reported, not written yet")},
		{"the direction is off", func(w *world) {
			call(w)
			w.set(func(s *settings.Integration) { s.ProCallToTeams = settings.Nobody })
		}, "none", text("writing calls to Teams is off")},
		{"a pause during a call", func(w *world) {
			call(w)
			w.turn(false)
			w.set(func(s *settings.Integration) { s.Paused = true })
		}, "clearing", text("to be cleared in Teams")},
		{"a pause", func(w *world) {
			call(w)
			w.set(func(s *settings.Integration) { s.Paused = true })
		}, "none", text("the bridge is paused")},
		{"another app registration had set it", func(w *world) {
			call(w)
			w.turn(false)
			w.set(func(s *settings.Integration) { s.ClientID = "c0ffee00-0000-4000-8000-000000000002" })
			w.report(calls.Available, 0)
		}, "clearing", func(w *world) string {
			return "set by another app registration, which this one can't clear: it ends by itself at " + at(w, 10*time.Minute)
		}},
		{"Graph refuses to clear", func(w *world) {
			call(w)
			w.turn(false)
			w.report(calls.Available, 0)
			w.turn(false, session.Reply{Answer: session.Refused, Status: 403, Code: "Forbidden"})
		}, "clearing", func(w *world) string {
			return "what is left in Teams can't be cleared: it ends by itself at " + at(w, 10*time.Minute+session.EchoTime) + " at the latest"
		}},
		{"a set whose answer was lost, cleared since", func(w *world) {
			call(w)
			w.turn(false, session.Reply{Answer: session.Unseen})
			w.report(calls.Available, 0)
			w.now = w.now.Add(2 * time.Second)
			w.turn(false)
		}, "clearing", func(w *world) string {
			return "cleared, and once more at " + at(w, session.LateTime-2*time.Second) + ": an earlier call whose answer was lost may still be carried out"
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := everything(t)
			tt.do(w)
			w.ada(tt.state, tt.reason(w))
		})
	}
}

func text(s string) func(*world) string { return func(*world) string { return s } }

func TestARefusalNamesGraphsCodeAndTheNextTry(t *testing.T) {
	w := everything(t)
	w.report(calls.Busy, calls.Call)
	w.turn(false, session.Reply{Answer: session.Refused, Status: 403, Code: "Forbidden"})
	a := w.named("ada@contoso.com")
	if r := a.Session.Refused; r == nil || r.Status != 403 || r.Code != "Forbidden" || !r.RetryAt.Equal(w.now.Add(session.RefusedFirst)) {
		t.Errorf("= %s", a.text)
	}
}

func TestADoNotDisturbOfProCallIsShownWhileItIsCarried(t *testing.T) {
	w := everything(t)
	until := w.now.Add(time.Hour)
	quiet := func(r *calls.Report) { r.Manual = &calls.Manual{State: calls.DoNotDisturb, Until: until} }
	w.report(calls.DoNotDisturb, 0, quiet)
	if a := w.ada("none", ""); a.DoNotDisturb != nil {
		t.Errorf("without the opt-in: %s", a.text)
	}
	w.set(func(s *settings.Integration) { s.AlsoWrite.DoNotDisturb = true })
	if a := w.named("ada@contoso.com"); a.DoNotDisturb == nil || a.DoNotDisturb.State != "pending" {
		t.Errorf("with the opt-in: %s", a.text)
	}
	w.turn(false)
	w.report(calls.DoNotDisturb, calls.Call, quiet)
	a := w.named("ada@contoso.com")
	if a.DoNotDisturb == nil || a.DoNotDisturb.State != "held" || !a.DoNotDisturb.Expires.Equal(until) || a.Session.State != "pending" || a.Session.LastWrite.What != "setUserPreferredPresence" {
		t.Errorf("a call in a Do not disturb: %s", a.text)
	}
	w.now = until.Add(time.Second)
	if a = w.named("ada@contoso.com"); a.DoNotDisturb == nil || a.DoNotDisturb.State != "none" {
		t.Errorf("after its end: %s", a.text)
	}
}

func TestADoNotDisturbThatThePersonChangedIsLeftAlone(t *testing.T) {
	theirs := session.Reply{Answer: session.Theirs, Status: 200}
	quiet := func(r *calls.Report) { r.Manual = &calls.Manual{State: calls.DoNotDisturb} }
	for _, tt := range []struct {
		name          string
		do            func(*world)
		state, reason string
	}{
		{"set in Teams already", func(w *world) { w.turn(false, theirs) }, "waiting", "the user has chosen Do not disturb or Appear offline in Teams already"},
		{"changed in Teams since", func(w *world) {
			w.turn(false)
			w.now = w.now.Add(6 * time.Hour) // a renewal is due
			w.lease(calls.Reporter{ID: reporter, Epoch: 1, Generation: 1, Until: w.now.Add(calls.LeaseTime), Seen: w.now})
			w.turn(false, theirs)
		}, "none", "the user has chosen something else in Teams since: left alone until UCServer ends it"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := everything(t)
			w.set(func(s *settings.Integration) { s.AlsoWrite.DoNotDisturb = true })
			w.report(calls.DoNotDisturb, 0, quiet)
			tt.do(w)
			if a := w.named("ada@contoso.com"); a.DoNotDisturb == nil || a.DoNotDisturb.State != tt.state || a.DoNotDisturb.Reason != tt.reason {
				t.Errorf("= %s", a.text)
			}
		})
	}
}

func TestAPersonIsFoundByEitherName(t *testing.T) {
	w := everything(t)
	for _, tt := range []struct {
		name, upn, standing string
		status              int
		problem             string
	}{
		{`DOMAIN\ada`, "ada@contoso.com", "takesPart", 200, ""},
		{` domain\ADA `, "ada@contoso.com", "takesPart", 200, ""},
		{"Ada@Contoso.com", "ada@contoso.com", "takesPart", 200, ""},
		{"Jürgen O'Neil/50 %+", "é.o'neil@contoso.com", "takesPart", 200, ""},
		{"é.o'neil@contoso.com", "é.o'neil@contoso.com", "takesPart", 200, ""},
		{"bob@contoso.com", "bob@contoso.com", "disabled", 200, ""},
		{"gast", "gast_x#EXT#@contoso.com", "guest", 200, ""},
		{"cleo@contoso.com", "cleo@contoso.com", "ambiguous", 200, ""},
		{"twin", "", "", 409, "/problems/ambiguous-user"},
		{"nobody@contoso.com", "", "", 404, "/problems/unknown-user"},
		{strings.Repeat("ü", 256), "", "", 404, "/problems/unknown-user"},
		{strings.Repeat("ü", 257), "", "", 400, "/problems/bad-request"},
		{"", "", "", 400, "/problems/bad-request"},
		{"  ", "", "", 400, "/problems/bad-request"},
		{"\xff\xfe", "", "", 400, "/problems/bad-request"},
	} {
		a := w.named(tt.name)
		if a.status != tt.status || a.UPN != tt.upn || a.Standing != tt.standing || a.Type != tt.problem {
			t.Errorf("%q = %d %s", tt.name, a.status, a.text)
		}
		if name := strings.TrimSpace(tt.name); tt.status >= 400 && name != "" && strings.Contains(a.text, name) {
			t.Errorf("%q: the refusal repeats the name: %s", tt.name, a.text)
		}
	}
	if a := w.named("bob@contoso.com"); a.Session.Reason != "does not take part: the account is disabled" {
		t.Errorf("a disabled account: %s", a.text)
	}
	for _, query := range []string{"", "name=a&name=b", "name=ada%40contoso.com&colour=red", "name=%zz"} {
		if a := w.ask("GET", query, w.token); a.status != 400 {
			t.Errorf("?%s = %d %s", query, a.status, a.text)
		}
	}
	if logs := w.logs.String(); strings.Contains(logs, "ada") || strings.Contains(logs, "nobody") {
		t.Errorf("a name is in the log: %s", logs)
	}
}

func TestOnlyTheDirectoryScopeAndAdministratorsMayAsk(t *testing.T) {
	w := everything(t)
	query := url.Values{"name": {"ada@contoso.com"}}.Encode()
	if a := w.ask("GET", query, w.credential(access.Read, access.Report, access.Monitor)); a.status != 403 || a.Type != "/problems/scope-missing" {
		t.Errorf("without the scope = %d %s", a.status, a.text)
	}
	if a := w.ask("GET", query, ""); a.status != 401 {
		t.Errorf("nobody = %d %s", a.status, a.text)
	}
	cookie := w.administrator()
	if a := w.ask("GET", query, "", cookie); a.status != 200 || a.EntraID != string(ada) {
		t.Errorf("an administrator = %d %s", a.status, a.text)
	}
	if a := w.ask("HEAD", query, "", cookie); a.status != 200 {
		t.Errorf("HEAD = %d", a.status)
	}
	if a := w.ask("POST", query, w.token); a.status != 405 {
		t.Errorf("POST = %d %s", a.status, a.text)
	}
}

func TestBeforeAnythingIsKnownTheReasonIsSaid(t *testing.T) {
	w := newWorld(t)
	if a := w.named("ada@contoso.com"); a.status != 503 || a.Type != "/problems/no-directory" {
		t.Errorf("without a directory = %d %s", a.status, a.text)
	}
	w.directory(people...)
	a := w.named("ada@contoso.com")
	if a.status != 200 || a.Teams != nil || a.Session.State != "none" || a.Session.Reason != "writing calls to Teams is off" {
		t.Errorf("with nothing but a directory = %d %s", a.status, a.text)
	}
}

func TestADirectoryThatWasReplacedThisInstantIsReadAnew(t *testing.T) {
	w := everything(t)
	w.named("ada@contoso.com")
	// The blob that this process keeps is gone, and so is the pointer to it.
	w.directory(people[1:]...)
	if a := w.named("ada@contoso.com"); a.status != 404 {
		t.Errorf("who is not listed any more = %d %s", a.status, a.text)
	}
	w.directory(people...)
	now, err := w.st.Now(t.Context(), w.tenant)
	w.must(err)
	w.must(w.st.DeleteBlob(t.Context(), now.Directory.Blob))
	if a := w.named("ada@contoso.com"); a.status != 503 || a.Type != "/problems/no-directory" {
		t.Errorf("without the blob = %d %s", a.status, a.text)
	}
}

func TestALookUpCostsAFewStorageOperations(t *testing.T) {
	w := everything(t)
	w.report(calls.Busy, calls.Call)
	w.turn(false)
	w.named("ada@contoso.com")
	w.wire.Reset()
	w.named("ada@contoso.com")
	// The credential is known for some seconds; the rest: the tenant's rows, three of
	// the person, the report of matching, and the entry in the audit trail.
	if n := w.wire.Operations(); n > 6 {
		t.Errorf("%d operations: %v", n, w.wire.Counts())
	}
}

func TestAnUnreachableStorageIsSaidWithoutNames(t *testing.T) {
	w := everything(t)
	w.named("ada@contoso.com")
	w.must(w.wire.Close())
	a := w.named("ada@contoso.com")
	if a.status != 503 || a.Type != "/problems/storage-unreachable" || strings.Contains(a.text+w.logs.String(), "ada") {
		t.Errorf("= %d %s\n%s", a.status, a.text, &w.logs)
	}
}

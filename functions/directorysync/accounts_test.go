package directorysync_test

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	simulated "procallteams/dev/graph"
	"procallteams/internal/consent"
	"procallteams/internal/directory"
	"procallteams/internal/presence"
	"procallteams/internal/settings"
)

func TestAccountsFollowEntra(t *testing.T) {
	w := newWorld(t)
	w.minute()
	if ref := w.look().Accounts; ref.Count != 0 || ref.Error != "" {
		t.Errorf("of an empty tenant: %+v", ref)
	}
	users := w.entra.AddUsers(30)
	w.minute()
	w.wantAsInEntra()
	ref := w.look().Accounts
	if ref.Basic || ref.Link == "" || ref.Draft != (directory.Draft{}) || !ref.At.Equal(w.now()) {
		t.Errorf("pointer = %+v", ref)
	}
	steps := []func(){
		func() { w.entra.Disable(users[0].ID) },
		func() { w.entra.Remove(users[1].ID) },
		func() { w.entra.Purge(users[2].ID) },
		func() { w.entra.Restore(users[1].ID) },
		func() { w.entra.Edit(users[3].ID, func(u *simulated.User) { u.UserPrincipalName = "new@contoso.com" }) },
		func() {
			w.entra.Edit(users[4].ID, func(u *simulated.User) { u.ProxyAddresses, u.OnPremisesSamAccountName = nil, "sam" })
		},
		func() { w.entra.AddMembers(9) },
		func() { w.entra.Configure(simulated.Settings{IdentityLimit: -1, DeltaPage: 4, DeltaReplays: 12}) },
		func() { w.entra.Enable(users[0].ID) },
	}
	for i, step := range steps {
		step()
		if i%2 == 1 {
			w.restart()
		}
		w.minute()
		w.wantAsInEntra()
	}
}

func TestAMinuteInWhichNothingChangedCostsTwoStorageOperations(t *testing.T) {
	w := newWorld(t)
	w.entra.AddMembers(50)
	w.minute()
	w.minute()
	for _, cold := range []bool{false, true} {
		if cold {
			w.restart()
		}
		blob := w.look().Accounts.Blob
		w.wire.Reset()
		if asked := w.requests(w.minute); asked != 1 {
			t.Errorf("cold %t: %d requests to Graph; want 1", cold, asked)
		}
		if n := w.wire.Operations(); n > 2 {
			t.Errorf("cold %t: %d storage operations %v; want 2", cold, n, w.wire.Counts())
		}
		if ref := w.look().Accounts; ref.Blob != blob || !ref.At.Equal(w.now()) {
			t.Errorf("cold %t: pointer = %+v; want the same blob, as of now", cold, ref)
		}
	}
	// Where the tenant is not fixed by an app setting, a process looks it up once.
	w.settings.Overrides.Tenant = ""
	w.change(func(i *settings.Integration) { i.Tenant = w.tenant })
	w.restart()
	w.minute()
	w.wire.Reset()
	w.minute()
	if n := w.wire.Operations(); n > 3 {
		t.Errorf("%d storage operations %v; want 3 at most", n, w.wire.Counts())
	}
}

func TestAReadingThatIsBrokenOffIsGoneOnWithByAnyProcess(t *testing.T) {
	w := newWorld(t)
	w.entra.AddMembers(40) // ten pages
	pages := 0
	w.entra.OnRequest(func(string) {
		if pages++; pages%4 == 0 {
			w.entra.Inject(simulated.Fault{Kind: simulated.Throttle, Path: "users/delta", Count: 1, RetryAfter: 150})
		}
	})
	for range 3 {
		w.minute()
		if ref := w.look().Accounts; ref.Blob != "" || ref.Draft.Blob == "" || ref.Error == "" || !ref.Wait.Equal(w.now().Add(150*time.Second)) {
			t.Fatalf("pointer = %+v; want a draft and a pause", ref)
		}
		w.restart()
		w.wire.Reset()
		if asked := w.requests(func() { w.minute(); w.minute() }); asked != 0 {
			t.Errorf("%d requests while Graph wants to be left alone", asked)
		}
	}
	w.minute()
	w.wantAsInEntra()
	times := map[string]int{}
	for _, r := range w.entra.Requests() {
		if times[r.Query]++; times[r.Query] > 2 {
			t.Errorf("page %.40s... was asked for %d times; want once more after a pause at most", r.Query, times[r.Query])
		}
	}
	if ref := w.look().Accounts; ref.Draft != (directory.Draft{}) || ref.Error != "" || !ref.Wait.IsZero() || !ref.ErrorSince.IsZero() {
		t.Errorf("pointer = %+v; want nothing of the draft or the pause", ref)
	}
	w.wantNoBlobsBut(1)
}

// wantNoBlobsBut holds that n blobs of accounts are stored.
func (w *world) wantNoBlobsBut(n int) {
	w.t.Helper()
	removed, err := w.storage.SweepDirectories(w.t.Context(), w.tenant, w.now().Add(1000*time.Hour))
	if err != nil {
		w.t.Fatal(err)
	}
	if removed != 0 {
		w.t.Errorf("%d blobs were left behind beside the %d in use", removed, n)
	}
}

func TestChangesBeforeGraphBrokeOffCount(t *testing.T) {
	w := newWorld(t)
	users := w.entra.AddMembers(8)
	w.minute()
	w.entra.AddMembers(9)
	w.entra.Disable(users[0].ID)
	pages := 0
	w.entra.OnRequest(func(string) {
		if pages++; pages == 3 {
			w.entra.Inject(simulated.Fault{Kind: simulated.Status, Status: http.StatusBadGateway, Path: "users/delta", Count: 10})
		}
	})
	w.minute()
	if n := len(w.stored().People); n <= 8 || n > 17 {
		t.Errorf("%d accounts; want a part of the newcomers", n)
	}
	if ref := w.look().Accounts; ref.Error == "" || !ref.ErrorSince.Equal(w.now()) {
		t.Errorf("pointer = %+v; want the reason", ref)
	}
	w.restart()
	for range 8 {
		w.minute()
	}
	w.wantAsInEntra()
}

func TestALinkThatIsNotAcceptedAnyMoreLosesNobodyMeanwhile(t *testing.T) {
	for name, expire := range map[string]func(w *world){
		"older than seven days": func(w *world) { w.pass(8 * 24 * time.Hour) },
		"reset by the service":  func(w *world) { w.entra.ResetDelta() },
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			users := w.entra.AddMembers(20)
			w.minute()
			before := w.stored()
			w.entra.Remove(users[0].ID)
			w.entra.Edit(users[1].ID, func(u *simulated.User) { u.Mail = "other@contoso.com" })
			expire(w)
			w.entra.Inject(simulated.Fault{Kind: simulated.Status, Status: http.StatusServiceUnavailable, Path: "users/delta", Probability: 0.4})
			for range 30 {
				w.minute()
				if ref := w.look().Accounts; ref.Draft.Blob != "" && !before.Equal(w.stored()) {
					t.Fatal("the accounts changed before the reading was complete")
				}
			}
			w.entra.Clear("")
			for range 3 {
				w.minute()
			}
			w.wantAsInEntra()
			w.wantNoBlobsBut(1)
		})
	}
}

func TestADraftWhoseLinkIsNotAcceptedIsBegunAnew(t *testing.T) {
	w := newWorld(t)
	w.entra.AddMembers(20)
	pages := 0
	w.entra.OnRequest(func(string) {
		if pages++; pages == 3 {
			w.entra.Inject(simulated.Fault{Kind: simulated.Throttle, Path: "users/delta", Count: 1})
		}
	})
	w.minute()
	if w.look().Accounts.Draft.Blob == "" {
		t.Fatal("there is no draft")
	}
	w.entra.ResetDelta()
	for range 3 {
		w.minute()
	}
	w.wantAsInEntra()
	w.wantNoBlobsBut(1)
}

func TestAPersonsConsentTellsLessAndTheAdministratorsMore(t *testing.T) {
	w := newWorld(t)
	w.kind = consent.User
	w.entra.AddUsers(50)
	w.minute()
	if ref := w.look().Accounts; !ref.Basic || ref.Count != 50 {
		t.Errorf("pointer = %+v; want all accounts, of which less is known", ref)
	}
	for _, a := range w.stored().People {
		if a.Disabled || a.Guest || a.SAM != "" || a.UPN == "" {
			t.Fatalf("account = %+v", a)
		}
	}
	w.kind = consent.Admin
	w.minute()
	w.wantAsInEntra()

	// The admin consent is withdrawn. For a while it may come back; then the person's
	// consent goes on, and what was known stays.
	w.kind = consent.User
	before := w.stored()
	w.minute()
	if asked := w.requests(w.minute); asked != 0 || w.look().Accounts.Basic {
		t.Errorf("%d requests with a person's consent, so soon after the administrator's", asked)
	}
	added := w.entra.AddMembers(1)[0]
	w.after(20 * time.Minute)
	now := w.stored()
	if ref := w.look().Accounts; !ref.Basic || len(now.People) != 51 {
		t.Errorf("pointer = %+v", ref)
	}
	for _, a := range before.People {
		if known, ok := now.Find(a.ID); !ok || known.SID != a.SID || known.Disabled != a.Disabled || known.Guest != a.Guest {
			t.Errorf("account = %+v, %t; it was %+v", known, ok, a)
		}
	}
	if a, ok := now.Find(presence.UserID(added.ID)); !ok || a.UPN != added.UserPrincipalName || a.SID != "" {
		t.Errorf("the newcomer = %+v, %t", a, ok)
	}
}

func TestNobodyIsRemovedByAnEmptyDirectory(t *testing.T) {
	w := newWorld(t)
	users := w.entra.AddMembers(3)
	w.minute()
	for _, u := range users {
		w.entra.Purge(u.ID)
	}
	w.minute()
	if n := len(w.stored().People); n != 3 {
		t.Errorf("%d accounts; want 3, since somebody gave the consent", n)
	}
	if ref := w.look().Accounts; !strings.Contains(ref.Error, "nobody is left") {
		t.Errorf("pointer = %+v; want the reason", ref)
	}
	w.entra.AddMembers(1)
	w.minute()
	w.wantAsInEntra()
}

func TestARefusalIsSaidOnceAndCostsNoWrites(t *testing.T) {
	w := newWorld(t)
	w.entra.AddMembers(3)
	w.minute()
	for _, status := range []int{http.StatusForbidden, http.StatusUnauthorized} {
		fault := w.entra.Inject(simulated.Fault{Kind: simulated.Status, Status: status, Code: "Authorization_RequestDenied"})
		w.minute()
		since := w.look().Accounts.ErrorSince
		w.wire.Reset()
		w.minute()
		if n := w.wire.Operations(); n != 1 {
			t.Errorf("%d: %d storage operations %v; want the look alone", status, n, w.wire.Counts())
		}
		ref := w.look().Accounts
		if !strings.Contains(ref.Error, fmt.Sprint(status)) || !strings.Contains(ref.Error, "User.Read.All") || !ref.ErrorSince.Equal(since) {
			t.Errorf("%d: pointer = %+v", status, ref)
		}
		w.entra.Clear(fault)
	}
	if len(w.refused) == 0 || w.refused[0] != http.StatusUnauthorized {
		t.Errorf("refused = %v; a 403 is about the directory alone", w.refused)
	}
	if n := strings.Count(w.logs.String(), "directory not read"); n != 2 {
		t.Errorf("%d log lines; want one for each reason", n)
	}
	w.minute()
	if ref := w.look().Accounts; ref.Error != "" {
		t.Errorf("pointer = %+v", ref)
	}
}

func TestWithoutAConsentOrWhilePausedNothingIsRead(t *testing.T) {
	w := newWorld(t)
	w.entra.AddMembers(3)
	w.err = errors.New("authorization required")
	if asked := w.requests(w.minute); asked != 0 {
		t.Errorf("%d requests without a token", asked)
	}
	w.err = nil
	w.change(func(i *settings.Integration) { i.Paused = true })
	if asked := w.requests(w.minute); asked != 0 {
		t.Errorf("%d requests while paused", asked)
	}
	w.change(func(i *settings.Integration) { i.Paused = false })
	w.minute()
	w.wantAsInEntra()
}

func TestABlobThatIsGoneIsReadAgain(t *testing.T) {
	w := newWorld(t)
	w.entra.AddMembers(10)
	w.minute()
	if err := w.storage.DeleteBlob(t.Context(), w.look().Accounts.Blob); err != nil {
		t.Fatal(err)
	}
	w.entra.AddMembers(1)
	w.restart()
	w.minute()
	w.wantAsInEntra()
}

func TestBlobsThatNobodyPointsAtAreRemovedAfterAnHour(t *testing.T) {
	w := newWorld(t)
	w.entra.AddMembers(3)
	w.minute()
	orphans := []string{"/accounts/X", "/users/X", "/matching/X", "/directory/X"}
	for _, name := range orphans {
		if err := w.storage.PutBlob(t.Context(), w.tenant+name, []byte("x")); err != nil {
			t.Fatal(err)
		}
	}
	other := "11111111-0000-4000-8000-000000000001/accounts/" + w.tenant
	if err := w.storage.PutBlob(t.Context(), other, []byte("x")); err != nil {
		t.Fatal(err)
	}
	there := func() (n int) {
		for _, name := range orphans {
			if _, err := w.storage.GetBlob(t.Context(), w.tenant+name); err == nil {
				n++
			}
		}
		return n
	}
	w.minute()
	if n := there(); n != len(orphans) {
		t.Errorf("%d of %d young blobs are there: a step may be under way", n, len(orphans))
	}
	w.change(func(i *settings.Integration) { i.Paused = true }) // that stops no deletion
	w.after(61 * time.Minute)
	if n := there(); n != 0 {
		t.Errorf("%d blobs are still there", n)
	}
	if _, err := w.storage.GetBlob(t.Context(), other); err != nil {
		t.Errorf("another tenant's blob: %v", err)
	}
	w.wantAsInEntra()
}

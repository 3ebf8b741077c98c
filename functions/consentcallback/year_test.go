package consentcallback_test

import (
	"context"
	"crypto/rand"
	"crypto/rsa"
	"strconv"
	"sync"
	"testing"
	"time"

	"procallteams/internal/consent"
)

// notes keeps grants in memory, so that a year passes in seconds.
type notes struct {
	mu     sync.Mutex
	grants map[string]consent.Grant // by kind and account
	writes int
}

func (n *notes) Grants(context.Context, string) ([]consent.Grant, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	var all []consent.Grant
	for _, g := range n.grants {
		all = append(all, g)
	}
	return all, nil
}

func (n *notes) SaveGrant(_ context.Context, _ string, g consent.Grant) (consent.Grant, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	key := string(g.Kind) + g.Account.ObjectID
	if n.grants[key].ETag != g.ETag {
		return consent.Grant{}, consent.ErrChanged
	}
	n.writes++
	g.ETag = strconv.Itoa(n.writes)
	n.grants[key] = g
	return g, nil
}

func (n *notes) RemoveGrant(_ context.Context, _ string, g consent.Grant) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	delete(n.grants, string(g.Kind)+g.Account.ObjectID)
	return nil
}

// A vault should hold at most 500 versions of a secret, and Entra sees 24 refreshes a
// day from each process: what a year of both comes to. Each quarter begins with a week
// of hourly refreshes; the days of the other weeks have one, which stores as much.
func TestAYearOfRefreshesNeedsFewVersionsAndNoStorms(t *testing.T) {
	short, err := rsa.GenerateKey(rand.Reader, 1024) // most of a year is Entra signing tokens
	must(t, err)
	w := newWorldWith(t, []*rsa.PrivateKey{short, short})
	w.rows = &notes{grants: map[string]consent.Grant{}}
	w.service = w.process(w.back)
	w.handler = w.functions(w.service)
	w.entra.SetTokenLifetime(time.Hour)
	w.consentUser(w.reader)
	name, signedIn := w.grant(w.reader).SecretName, w.clock()
	busiest := 0
	for day := range 365 {
		asked, reads := w.entra.TokenRequests()["refresh_token"], 1
		if day%91 < 8 {
			reads = 24
		}
		for range reads {
			w.advance(24 * time.Hour / time.Duration(reads))
			if _, err := w.read(); err != nil {
				t.Fatalf("after %s: %v", w.clock().Sub(signedIn), err)
			}
		}
		busiest = max(busiest, w.entra.TokenRequests()["refresh_token"]-asked)
	}
	if busiest > 24 {
		t.Errorf("%d token requests on the busiest day; want at most one an hour", busiest)
	}
	versions := w.vault.Versions(name)
	if len(versions) > 80 {
		t.Errorf("%d versions after a year; want at most 80", len(versions))
	}
	for i, v := range versions {
		if newest := i >= len(versions)-3; v.Enabled != newest {
			t.Errorf("version %d of %d: enabled %t", i+1, len(versions), v.Enabled)
		}
	}
	g := w.grant(w.reader)
	if !g.Works() || g.SecretVersion != versions[len(versions)-1].ID || len(g.History) != 1 {
		t.Errorf("after a year = %s, history %v", g.State, g.History)
	}
	// Another process starts from what is stored.
	if token, err := w.process(w.back).ReadToken(t.Context(), w.tenant, w.grants()); err != nil || w.graph(token.Value) != 200 {
		t.Errorf("a process that starts now: %v", err)
	}
	t.Logf("%d versions, %d refreshes", len(versions), w.entra.TokenRequests()["refresh_token"])
}

func TestTwoProcessesThatRenewAtOnceLeaveASignInThatWorks(t *testing.T) {
	w := newWorld(t)
	w.consentUser(w.reader)
	processes := []*consent.Service{w.service, w.process(w.back)}
	for round := range 12 {
		w.advance(8 * 24 * time.Hour) // the stored sign-in is due for renewal
		grants := w.grants()
		var wait sync.WaitGroup
		for _, process := range processes {
			wait.Go(func() {
				if _, err := process.ReadToken(t.Context(), w.tenant, grants); err != nil {
					t.Errorf("round %d: %v", round, err)
				}
			})
		}
		wait.Wait()
		g := w.grant(w.reader)
		if value, err := w.secrets.GetVersion(t.Context(), g.SecretName, g.SecretVersion); err != nil || value.Empty() {
			t.Fatalf("round %d: the version in force cannot be read: %v", round, err)
		}
		// What is in memory is nobody's help: a process that starts now must read.
		if token, err := w.process(w.back).ReadToken(t.Context(), w.tenant, w.grants()); err != nil || w.graph(token.Value) != 200 {
			t.Fatalf("round %d: a process that starts now: %v", round, err)
		}
	}
	if g := w.grant(w.reader); !g.Works() || len(g.History) != 1 {
		t.Errorf("afterwards = %s, %v", g.State, g.History)
	}
}

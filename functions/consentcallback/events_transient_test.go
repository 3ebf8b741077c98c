package consentcallback_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	devEntra "procallteams/dev/entra"
	"procallteams/internal/consent"
)

// undisturbed demands that both grants stand as they did before, with one line of
// history.
func (w *world) undisturbed(when string) {
	w.t.Helper()
	for _, account := range []string{"", w.reader} {
		g := w.grant(account)
		if !g.Works() || g.Code != "" || g.History[len(g.History)-1].To != consent.Granted {
			w.t.Errorf("%s: grant of %q = %s %s, history %+v", when, account, g.State, g.Code, g.History)
		}
	}
}

// passes demands an error that is no refusal.
func (w *world) passes(err error) {
	w.t.Helper()
	if _, marked := errors.AsType[*consent.RequiredError](err); err == nil || marked {
		w.t.Errorf("ReadToken = %v; want an error that passes", err)
	}
}

func TestTroubleOnMicrosoftsSideMarksNothingAndPassesByItself(t *testing.T) {
	token := func(f devEntra.Fault) devEntra.Fault { f.Endpoint = devEntra.EndpointToken; return f }
	// The worlds are made one by one, since they set the environment; the clients'
	// own retries take real seconds, so they are then troubled side by side.
	for name, fault := range map[string]devEntra.Fault{
		"throttled":          token(devEntra.Fault{Kind: devEntra.FaultThrottle, RetryAfter: time.Minute}),
		"503":                token(devEntra.Fault{Kind: devEntra.FaultOutage}),
		"504 with a page":    token(devEntra.Fault{Kind: devEntra.FaultGateway}),
		"broken connections": token(devEntra.Fault{Kind: devEntra.FaultDrop}),
		"a request loop":     token(devEntra.Fault{Kind: devEntra.FaultRefuse, Number: 50196}),
		"everything is down": {Kind: devEntra.FaultOutage},
	} {
		w := newWorld(t)
		w.consentUser(w.reader)
		w.consentAdmin()
		w.advance(2 * time.Hour)
		must(t, w.entra.Inject(fault))
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w.t = t
			for range 3 {
				_, err := w.read()
				w.passes(err)
				w.advance(5 * time.Second)
			}
			tried := w.entra.Requests(devEntra.EndpointToken)
			for range 2 { // left alone for a while now
				_, err := w.read()
				w.passes(err)
				w.advance(4 * time.Second)
			}
			if n := w.entra.Requests(devEntra.EndpointToken) - tried; n != 0 {
				t.Errorf("%d requests while Entra is left alone", n)
			}
			if err := w.service.Probe(t.Context()); err == nil {
				t.Error("the probe hides the trouble")
			}
			w.undisturbed("meanwhile")
			w.entra.ClearFaults()
			w.advance(6 * time.Minute)
			if _, err := w.read(); err != nil {
				t.Errorf("afterwards: %v", err)
			}
			w.probe()
			w.undisturbed("afterwards")
		})
	}
}

func TestARequestLoopIsLeftAloneForFiveMinutes(t *testing.T) {
	w := newWorld(t)
	w.consentUser(w.reader)
	w.advance(2 * time.Hour)
	must(t, w.entra.Inject(devEntra.Fault{Endpoint: devEntra.EndpointToken, Kind: devEntra.FaultRefuse, Number: 50196}))
	before := w.entra.TokenRequests()["refresh_token"]
	for range 120 { // ten minutes
		_, err := w.read()
		w.passes(err)
		w.advance(5 * time.Second)
	}
	if n := w.entra.TokenRequests()["refresh_token"] - before; n > 2 {
		t.Errorf("%d requests in ten minutes; want at most 2", n)
	}
	w.entra.ClearFaults()
	w.advance(5 * time.Minute)
	if _, err := w.read(); err != nil || !w.grant(w.reader).Works() {
		t.Errorf("afterwards: %v", err)
	}
}

func TestAProbeLeavesEntraAloneToo(t *testing.T) {
	for name, row := range map[string]struct {
		fault devEntra.Fault
		most  int // requests in 30 minutes
	}{
		"a request loop": {devEntra.Fault{Kind: devEntra.FaultRefuse, Number: 50196}, 6},
		"a long pause":   {devEntra.Fault{Kind: devEntra.FaultThrottle, RetryAfter: 10 * time.Minute}, 3},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.consentAdmin()
			w.advance(time.Minute)
			row.fault.Endpoint = devEntra.EndpointToken
			must(t, w.entra.Inject(row.fault))
			before := w.entra.Requests(devEntra.EndpointToken)
			for range 30 {
				if err := w.service.Probe(t.Context()); err == nil {
					t.Error("the probe hides the trouble")
				}
				w.advance(time.Minute)
			}
			if n := w.entra.Requests(devEntra.EndpointToken) - before; n > row.most {
				t.Errorf("%d requests in half an hour; want at most %d", n, row.most)
			}
			w.entra.ClearFaults()
			w.advance(10 * time.Minute)
			w.probe()
			if g := w.grant(""); !g.Works() || !g.CheckedAt.Equal(w.clock()) {
				t.Errorf("afterwards = %s, proven at %s", g.State, g.CheckedAt)
			}
		})
	}
}

func TestAGoodSignInThatIsRefusedNowAndThenIsNotGivenUp(t *testing.T) {
	w := newWorld(t)
	w.consentUser(w.reader)
	for range 10 {
		w.advance(2 * time.Hour)
		must(t, w.entra.Inject(devEntra.Fault{Endpoint: devEntra.EndpointToken, Kind: devEntra.FaultRefuse, Number: 70000, Grant: "refresh_token", Count: 2}))
		_, err := w.read()
		w.passes(err)
		tries := 0
		for ; err != nil && tries < 60; tries++ {
			w.advance(5 * time.Second)
			_, err = w.read()
		}
		if err != nil {
			t.Fatalf("after five minutes: %v", err)
		}
	}
	if g := w.grant(w.reader); !g.Works() || len(g.History) != 1 {
		t.Errorf("grant = %s, history %+v", g.State, g.History)
	}
}

func TestKeysThatCannotBeReadFailASignInAndNothingElse(t *testing.T) {
	w := newWorld(t)
	must(t, w.entra.Inject(devEntra.Fault{Endpoint: devEntra.EndpointKeys, Kind: devEntra.FaultOutage}))
	status, page := w.consentUser(w.reader)
	if status != 200 || !strings.Contains(page, "Not connected") || strings.Contains(page, "id token is not valid") || w.grant(w.reader).Works() {
		t.Errorf("ends with %d %s", status, page)
	}
	w.entra.ClearFaults()
	if status, page := w.consentUser(w.reader); status != 200 || !strings.Contains(page, "Connected") {
		t.Errorf("starting again ends with %d %s", status, page)
	}
}

func TestAPauseThatMicrosoftAsksForIsKept(t *testing.T) {
	w := newWorld(t)
	w.consentUser(w.reader)
	w.advance(2 * time.Hour)
	must(t, w.entra.Inject(devEntra.Fault{Endpoint: devEntra.EndpointToken, Kind: devEntra.FaultThrottle, RetryAfter: 90 * time.Second}))
	before := w.entra.Requests(devEntra.EndpointToken)
	for range 60 { // five minutes
		_, err := w.read()
		w.passes(err)
		w.advance(5 * time.Second)
	}
	if n := w.entra.Requests(devEntra.EndpointToken) - before; n != 4 {
		t.Errorf("%d requests in five minutes; want one every 90 s", n)
	}
	w.entra.ClearFaults()
	w.advance(time.Minute)
	if _, err := w.read(); err != nil {
		t.Errorf("afterwards: %v", err)
	}
}

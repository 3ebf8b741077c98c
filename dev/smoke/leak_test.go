package smoke_test

import (
	"bytes"
	"context"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"procallteams/dev/cloud"
	"procallteams/dev/smoke"
)

// output collects what the host and the handlers print.
type output struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.Write(p)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.String()
}

// TestAFullRunLosesNothingAndLeaksNothing makes a small run of everything, with
// calls and kills, and then looks for every secret in all that the bridge left: log lines,
// pages, addresses, rows, blobs and messages; and for names of people in log lines.
func TestAFullRunLosesNothingAndLeaksNothing(t *testing.T) {
	log := &output{}
	var traces []cloud.Trace
	var secrets []string
	o := smoke.Default
	o.Users, o.Rate, o.Duration, o.Kills, o.Dist, o.HostLog, o.Log = 150, 30, 25*time.Second, 9, dist(t), log, testLog{t}
	o.Calls, o.CallRate, o.Hold = 20, 5, 5*time.Second
	var names []string
	o.Inspect = func(ctx context.Context, c *cloud.Cloud, i *cloud.Integration) error {
		secrets = append(c.Entra.IssuedSecrets(), c.Vault.SecretValues()...)
		secrets = append(secrets, i.Token, i.PushSecret)
		for _, u := range c.Graph.Users() {
			names = append(names, u.UserPrincipalName, u.DisplayName)
		}
		var err error
		if traces, err = c.Stored(ctx); err != nil {
			return err
		}
		traces = append(traces, bridgePages(c, i)...)
		for _, r := range c.Graph.Requests() {
			traces = append(traces, cloud.Trace{Where: "address at Graph", Text: r.Path + "?" + r.Query})
		}
		return nil
	}
	report, err := smoke.Run(t.Context(), o)
	if err != nil {
		t.Fatalf("%v\n%s", err, tail(log.String()))
	}
	if report.Failed() || report.Missed > 0 {
		t.Errorf("the run broke a promise: %+v\n%s", report, tail(log.String()))
	}
	traces = append(traces, cloud.Trace{Where: "log", Text: log.String()})
	if len(secrets) < 10 || len(traces) < 10 {
		t.Fatalf("%d secrets and %d places to look for them: the run left too little to judge", len(secrets), len(traces))
	}
	for _, leak := range cloud.Leaks(traces, secrets) {
		t.Error(leak)
	}
	if report.Writes == 0 || report.CallsActive == 0 {
		t.Errorf("nobody telephoned: %+v", report)
	}
	for _, leak := range cloud.Leaks(traces[len(traces)-1:], names) {
		t.Errorf("a name: %s", leak)
	}
	for _, trace := range traces {
		if strings.HasSuffix(trace.Where, "-poison") {
			t.Errorf("%s holds a message: %s", trace.Where, trace.Text)
		}
	}
}

// bridgePages are the addresses and pages of the bridge itself. What a page shows
// once on purpose, and the fields that a callback posts on to itself, are taken
// out.
func bridgePages(c *cloud.Cloud, i *cloud.Integration) []cloud.Trace {
	var traces []cloud.Trace
	shown := map[string]bool{}
	for n, address := range i.Browser.Visited {
		u, err := url.Parse(address)
		if err != nil || u.Hostname() != "localhost" {
			continue
		}
		traces = append(traces, cloud.Trace{Where: "address " + u.Path, Text: address})
		if strings.HasSuffix(u.Path, "/callback") && strings.Contains(i.Browser.Pages[n], ".submit()") {
			continue
		}
		page := i.Browser.Pages[n]
		for _, secret := range []string{i.Token, i.PushSecret} {
			if !shown[secret] && strings.Contains(page, secret) {
				shown[secret] = true
				page = strings.ReplaceAll(page, secret, "")
			}
		}
		traces = append(traces, cloud.Trace{Where: "page " + u.Path, Text: page})
	}
	return traces
}

// dist lays out the app of this source tree.
func dist(t *testing.T) string {
	t.Helper()
	path, err := cloud.Build(t.Context(), t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	return path
}

type testLog struct{ t *testing.T }

func (l testLog) Write(p []byte) (int, error) {
	l.t.Log(strings.TrimRight(string(p), "\n"))
	return len(p), nil
}

func tail(text string) string {
	const most = 8000
	if len(text) > most {
		text = "…" + text[len(text)-most:]
	}
	return text
}

package cloud_test

import (
	"sync/atomic"
	"testing"
	"time"

	"procallteams/dev/cloud"
	"procallteams/dev/funchost"
	"procallteams/dev/ucserver"
)

// TestQueueFunctionsThatSleepLoseNothingAndSetNoCallThatEnded: a function without
// always-ready instances takes its first message late.
func TestQueueFunctionsThatSleepLoseNothingAndSetNoCallThatEnded(t *testing.T) {
	const cold = 4 * time.Second
	c := start(t, cloud.Options{
		Users: 10, Seed: 1, Members: true, Schedule: "* * * * * *", PerGroup: true, Cold: cold, Quiet: time.Second,
	})
	integration, err := c.Integrate(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	person, caller := c.Accounts[1].UPN, c.Accounts[2].UPN
	wait(t, "everybody is pushed", func() bool { return len(c.UCServer.State(false).Push.People) > 5 })
	if err := c.Graph.Set(person, "DoNotDisturb", "Presenting"); err != nil {
		t.Fatal(err)
	}
	wait(t, "the change arrives", func() bool { return pushed(c, person, "DoNotDisturb") })

	reporter := &ucserver.Reporter{BaseURL: c.URL, Token: integration.Token}
	go func() { _ = reporter.Run(t.Context()) }()
	wait(t, "the reporter opened its epoch", reporter.Idle)
	c.Host.HoldQueues(true)
	t.Cleanup(func() { c.Host.HoldQueues(false) })
	var turns atomic.Int32
	c.OnInvocation(func(i funchost.Invocation) {
		if i.Done && i.Function == "presenceset" {
			turns.Add(1)
		}
	})
	reporter.StartCall(caller)
	wait(t, "the call is reported", reporter.Idle)
	reporter.EndCall(caller)
	wait(t, "its end is reported", reporter.Idle)
	c.Host.HoldQueues(false)
	wait(t, "the writer wakes up", func() bool { return turns.Load() > 0 })
	if n := c.Graph.Writes()[idOf(t, c, caller)].Set; n > 0 {
		t.Errorf("a call that had ended was set %d times", n)
	}
	if breaches := append(reporter.Violations(), c.UCServer.Inbox().Violations()...); len(breaches) > 0 {
		t.Errorf("breaches of the contract: %q", breaches)
	}
}

func idOf(t *testing.T, c *cloud.Cloud, upn string) string {
	t.Helper()
	for _, u := range c.Graph.Users() {
		if u.UserPrincipalName == upn {
			return u.ID
		}
	}
	t.Fatalf("nobody is %s", upn)
	return ""
}

package cloud_test

import (
	"testing"
	"time"

	"procallteams/dev/cloud"
	"procallteams/dev/ucserver"
)

// wait returns when it is so; the bridge needs a tick for most things.
func wait(t *testing.T, what string, is func() bool) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); !is(); time.Sleep(50 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("%s: not within a minute", what)
		}
	}
}

func TestUCServersUsersTakePartByEveryRuleOrAreToldWhyNot(t *testing.T) {
	ctx := t.Context()
	c := start(t, cloud.Options{Users: 40, Seed: 1, Schedule: "* * * * * *", Roster: true})
	integration, err := c.Integrate(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if err := c.UCServer.Connect(c.URL, integration.Token); err != nil {
		t.Fatal(err)
	}
	users := c.UCServer.Users()
	wait(t, "the list is taken in", users.Idle)
	// Where a busy machine keeps the app's token away for seconds, a person's consent reads
	// the accounts first, without the keys of hybrid directories.
	byRules := func() map[string]int {
		rules := map[string]int{}
		for _, standing := range users.Standings() {
			if standing.Match != nil && standing.Result == "takesPart" {
				rules[standing.Match.Rule]++
			}
		}
		return rules
	}
	wait(t, "the bridge knows Entra's accounts", func() bool {
		if users.Status().Judged && byRules()["objectGUID"] > 0 {
			return true
		}
		users.Resend()
		time.Sleep(time.Second)
		return false
	})
	status := users.Status()
	for _, result := range []string{"takesPart", "nearMiss", "ambiguous", "unmatched"} {
		if status.Results[result] == 0 {
			t.Errorf("nobody is %s: %v", result, status.Results)
		}
	}
	rules := byRules()
	for _, rule := range []string{"upn", "objectGUID", "samAccountName", "mail"} {
		if rules[rule] == 0 {
			t.Errorf("nobody is matched by %s: %v", rule, rules)
		}
	}
	shown := func() int { return len(c.UCServer.State(false).Push.People) }
	wait(t, "everybody who takes part, and nobody else, is pushed", func() bool { return shown() == status.Results["takesPart"] })

	// Who leaves UCServer is withdrawn with the next sync, who comes is there.
	first := users.Members()[0]
	users.Remove(first.ID)
	wait(t, "who left is withdrawn", func() bool { return users.Idle() && shown() == status.Results["takesPart"]-1 })
	users.Put(ucserver.Member{ID: "new", Name: first.Name + ".new", UPN: first.Name})
	wait(t, "the account is another user's now", func() bool { return users.Idle() && shown() == status.Results["takesPart"] })
	if breaches := append(users.Violations(), c.UCServer.Inbox().Violations()...); len(breaches) > 0 {
		t.Errorf("breaches of the contract: %q", breaches)
	}
}

package cloud_test

import (
	"net/http"
	"testing"

	"procallteams/dev/cloud"
	"procallteams/dev/entra"
)

// TestAnUnsteadyIdentityEndpointDelaysNothingAndIsCounted: it answers 500 to a process
// that starts, and now and then afterwards.
func TestAnUnsteadyIdentityEndpointDelaysNothingAndIsCounted(t *testing.T) {
	c := start(t, cloud.Options{Users: 10, Seed: 1, Members: true, Schedule: "* * * * * *"})
	integration, err := c.Integrate(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	wait(t, "everybody is pushed", func() bool { return len(c.UCServer.State(false).Push.People) > 5 })

	if err := c.Host.Kill("app", 0); err != nil {
		t.Fatal(err)
	}
	for _, fault := range []entra.Fault{{Count: 4}, {Probability: 0.15, Seed: 1}} {
		fault.Endpoint, fault.Kind = entra.EndpointIdentity, entra.FaultOutage
		if err := c.Entra.Inject(fault); err != nil {
			t.Fatal(err)
		}
	}
	person := c.Accounts[1].UPN
	if err := c.Graph.Set(person, "DoNotDisturb", "Presenting"); err != nil {
		t.Fatal(err)
	}
	wait(t, "the change arrives", func() bool { return pushed(c, person, "DoNotDisturb") })
	var status struct {
		Sync struct {
			Error    string
			Oddities map[string]int
		}
		Grants []struct{ Kind, State string }
	}
	wait(t, "status counts the failures", func() bool {
		err := c.API(t.Context(), integration.Browser, http.MethodGet, "status", nil, &status)
		return err == nil && status.Sync.Oddities["identity endpoint unsteady"] >= 4
	})
	for _, grant := range status.Grants {
		if grant.State != "granted" {
			t.Errorf("the %s consent is %q", grant.Kind, grant.State)
		}
	}
	if len(status.Grants) == 0 || status.Sync.Error != "" {
		t.Errorf("status = %+v", status)
	}
}

// pushed reports whether UCServer was told that a person has an availability.
func pushed(c *cloud.Cloud, user, availability string) bool {
	for _, person := range c.UCServer.State(false).Push.People {
		if person.User == user && person.Availability == availability {
			return true
		}
	}
	return false
}

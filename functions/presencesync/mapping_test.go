package presencesync_test

import (
	"errors"
	"testing"

	"procallteams/internal/presence"
	"procallteams/internal/settings"
)

func (o *office) maps(overrides ...presence.Override) {
	o.t.Helper()
	o.change(func(i *settings.Integration) { i.Mapping = settings.MappingOf(overrides) })
}

// contributes demands what the feed contributes for the last change.
func (o *office) contributes(after uint64, want presence.ProCallState) {
	o.t.Helper()
	changes := o.since(after)
	if len(changes) != 1 || changes[0].Outcome.ProCall.State != want {
		o.t.Errorf("changes = %+v; want one that contributes %q", changes, want)
	}
}

var meetings = presence.Override{Availability: presence.Busy, Activity: presence.InAMeeting, Contribution: presence.Contribution{State: presence.ProCallBusy}}

func TestAnEditOfTheMappingReachesExactlyWhomItConcernsWithinOneSync(t *testing.T) {
	o := newOffice(t)
	ada, bob := o.hire("ada@contoso.com"), o.hire("bob@contoso.com")
	o.says(ada, "Busy", "InAMeeting")
	o.says(bob, "Busy", "InACall")
	o.tick()
	before := o.head()
	o.maps(meetings)
	o.tick()
	o.want(before, "ada@contoso.com Busy/InAMeeting teams")
	o.contributes(before, presence.ProCallBusy)
	before = o.head()
	o.tick()
	o.want(before)
	o.maps()
	o.restart() // whichever process does it
	o.tick()
	o.want(before, "ada@contoso.com Busy/InAMeeting teams")
	o.contributes(before, "")
}

func TestAnEditOfTheMappingWaitsForNobodyWhoCanNotBeRead(t *testing.T) {
	o := newOffice(t)
	o.says(o.hire("ada@contoso.com"), "Busy", "InAMeeting")
	o.maps(meetings)
	o.tick()
	before := o.head()
	o.tokens.err = errors.New("no token")
	o.maps()
	o.tick()
	o.contributes(before, "")
	o.tokens.err = nil
	before = o.head()
	o.tick()
	o.want(before)
}

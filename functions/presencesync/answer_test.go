package presencesync_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	simulated "procallteams/dev/graph"
)

func TestAFailedBatchFailsOnlyItself(t *testing.T) {
	o := newOffice(t)
	o.teams.AddMembers(700)
	o.tick()
	first := o.head()
	o.teams.Inject(simulated.Fault{Kind: simulated.Truncate, Path: "getPresencesByUserId", Count: 1})
	o.tick()
	o.want(first)
	if beat := o.look().Heartbeat; beat.Failed != 1 || beat.Requests != 2 || beat.Error != "" {
		t.Errorf("heartbeat = %+v; want one of two batches to fail", beat)
	}
}

func TestAnswersThatAreNotAsDocumentedNeverInventAPresence(t *testing.T) {
	for _, tt := range []struct {
		name  string
		fault simulated.Fault
	}{
		{"HTML", simulated.Fault{Kind: simulated.HTML}},
		{"no list", simulated.Fault{Kind: simulated.Body, Body: json.RawMessage(`{"value":null}`)}},
		{"an empty object", simulated.Fault{Kind: simulated.Body, Body: json.RawMessage(`{}`)}},
		{"cut JSON", simulated.Fault{Kind: simulated.Truncate}},
		{"a directory record instead of a presence", simulated.Fault{Kind: simulated.NoAvailability}},
		{"a user nobody asked for", simulated.Fault{Kind: simulated.Foreign}},
		{"everybody twice", simulated.Fault{Kind: simulated.Duplicate}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			o := newOffice(t)
			o.says(o.hire("ada@contoso.com"), "Busy", "InACall")
			o.tick()
			first := o.head()
			tt.fault.Path = "getPresencesByUserId"
			fault := o.teams.Inject(tt.fault)
			o.tick()
			o.want(first)
			o.teams.Clear(fault)
			o.tick()
			o.want(first)
			if beat := o.look().Heartbeat; beat.Error != "" {
				t.Errorf("it did not recover: %+v", beat)
			}
		})
	}
}

func TestADirectoryRecordInPlaceOfAPresenceIsAMissingPerson(t *testing.T) {
	o := newOffice(t)
	ada, bob := o.hire("ada@contoso.com"), o.hire("bob@contoso.com")
	o.says(ada, "Busy", "InACall")
	o.says(bob, "Busy", "InACall")
	o.tick()
	first := o.head()
	o.teams.Inject(simulated.Fault{Kind: simulated.NoAvailability, Path: "getPresencesByUserId", Users: []string{string(ada)}})
	o.says(bob, "Away", "Away")
	o.tick()
	o.want(first, "bob@contoso.com Away/Away teams")
	second := o.head()
	for range 13 { // a tick takes time as well
		o.now = o.now.Add(time.Minute)
		o.tick()
	}
	o.want(second)
	for range 2 {
		o.now = o.now.Add(time.Minute)
		o.tick()
	}
	o.want(second, "ada@contoso.com PresenceUnknown/PresenceUnknown missing")
	if n := o.look().Heartbeat.Oddities["answer without availability"]; n < 10 {
		t.Errorf("%d answers without availability were counted", n)
	}
}

func TestACloudWithoutPresencesIsNamedAndRemovesNobody(t *testing.T) {
	o := newOffice(t)
	for range 3 {
		o.says(o.hire(fmt.Sprintf("user%d@contoso.com", len(o.teams.Users()))), "Busy", "InACall")
	}
	o.tick()
	first, grants := o.head(), len(o.tokens.refused)
	o.teams.Inject(simulated.Fault{Kind: simulated.Status, Path: "getPresencesByUserId", Status: http.StatusNotFound, Code: "Request_ResourceNotFound",
		Message: "Resource 'presence' does not exist or one of its queried reference-property objects are not present."})
	for range 3 {
		o.now = o.now.Add(time.Minute)
		o.tick()
	}
	o.want(first)
	beat := o.look().Heartbeat
	if beat.ErrorCode != "no-presence-here" || !strings.Contains(beat.Error, "AZURE_CLOUD and GRAPH_ENDPOINT") {
		t.Errorf("heartbeat %q: %s", beat.ErrorCode, beat.Error)
	}
	if len(o.tokens.refused) != grants {
		t.Error("a grant was doubted because of it")
	}
	o.teams.Clear("")
	o.tick()
	o.want(first)
	if beat := o.look().Heartbeat; beat.Error != "" {
		t.Errorf("it did not recover: %+v", beat)
	}
}

func TestAnUnknownValueContributesNothingAndIsCounted(t *testing.T) {
	o := newOffice(t)
	o.says(o.hire("ada@contoso.com"), "Busy", "InACall")
	o.tick()
	first := o.head()
	o.teams.Inject(simulated.Fault{Kind: simulated.Unknown, Path: "getPresencesByUserId", Value: "somethingNew"})
	o.tick()
	o.want(first, "ada@contoso.com PresenceUnknown/PresenceUnknown teams")
	counted := 0
	for kind, n := range o.look().Heartbeat.Oddities {
		if strings.Contains(strings.ToLower(kind), "somethingnew") {
			counted += n
		}
	}
	if counted == 0 {
		t.Errorf("oddities = %v; want the value counted", o.look().Heartbeat.Oddities)
	}
}

func TestAnOlderAnswerDoesNotTurnTimeBack(t *testing.T) {
	o := newOffice(t)
	ada := o.hire("ada@contoso.com")
	item := func(availability, activity, sequence string) json.RawMessage {
		return json.RawMessage(`{"id":"` + string(ada) + `","availability":"` + availability + `","activity":"` + activity + `","sequenceNumber":"` + sequence + `"}`)
	}
	o.teams.Inject(simulated.Fault{Kind: simulated.Items, Path: "getPresencesByUserId", Users: []string{string(ada)}, Items: []json.RawMessage{
		item("Busy", "InACall", "A0000000020"), item("Available", "Available", "A0000000019"),
	}})
	for range 20 {
		o.tick()
	}
	o.want(0, "ada@contoso.com Busy/InACall teams")
}

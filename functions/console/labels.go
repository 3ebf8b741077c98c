package console

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
)

// labels are the page's names of what the contract calls a field.
var labels = map[string]string{
	"tenant": "Tenant", "clientId": "Application (client) id", "certificate": "Name of the certificate",
	"pushUrl": "Address that receives pushes", "pushAuthority": "Authority of UCServer's private certificate",
	"onlySignedIn": "Only while signed in to Teams",
	"profile":      "It may read and not write", "name": "Name of a new credential", "scopes": "It may",
	"mapping": "Lines", newAvailability: "Availability in Teams", newActivity: "Activity in Teams", newChoice: "Means to ProCall",
	fieldGroups: "Groups", fieldUsers: "People", fieldExcludedGroups: "Groups that are excluded",
	fieldExcludedUsers: "People who are excluded", fieldPilot: "Pilot groups",
}

// directions are named within sentences as well.
var directions = strings.NewReplacer("teamsToProCall", "Teams to ProCall", "proCallToTeams", "ProCall to Teams")

// fieldName is where a sentence of a refusal begins: a field, mostly, or an entry of
// one, such as users[0].
var fieldName = regexp.MustCompile(`(^|; |: )([a-zA-Z]+)(?:\[([0-9]+)\])?: `)

// labelled writes a refusal's sentences with the labels of the form. What is no field
// stays as it is.
func labelled(text string) string {
	return fieldName.ReplaceAllStringFunc(directions.Replace(text), func(found string) string {
		part := fieldName.FindStringSubmatch(found)
		label, known := labels[part[2]]
		if !known {
			return found
		}
		if n, err := strconv.Atoi(part[3]); err == nil {
			label += fmt.Sprintf(", entry %d", n+1)
		}
		return part[1] + label + ": "
	})
}

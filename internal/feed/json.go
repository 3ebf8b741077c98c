package feed

import (
	"encoding/json"
	"time"

	"procallteams/internal/presence"
)

// MarshalJSON writes the change as polls, pushes and snapshots carry it (design:
// "A change", api/openapi.yaml: Change). The same change always gives the same
// bytes, so that a retry sends what was sent before.
func (c Change) MarshalJSON() ([]byte, error) {
	if c.Kind == Removed {
		return json.Marshal(struct {
			ID     ID              `json:"id"`
			Kind   Kind            `json:"type"`
			User   string          `json:"user"`
			UCID   string          `json:"ucId,omitempty"`
			Entra  presence.UserID `json:"entraId"`
			Reason RemovedReason   `json:"reason"`
		}{c.ID, c.Kind, c.User, c.UCID, c.Entra, c.Reason})
	}
	o := c.Outcome
	return json.Marshal(struct {
		ID           ID                    `json:"id"`
		Kind         Kind                  `json:"type"`
		User         string                `json:"user"`
		UCID         string                `json:"ucId,omitempty"`
		Entra        presence.UserID       `json:"entraId"`
		Availability presence.Availability `json:"availability"`
		Activity     presence.Activity     `json:"activity"`
		OutOfOffice  bool                  `json:"outOfOffice"`
		Source       presence.Source       `json:"source"`
		ObservedAt   time.Time             `json:"observedAt"`
		ProCall      presence.ProCall      `json:"procall"`
	}{c.ID, c.Kind, c.User, c.UCID, c.Entra, o.Availability, o.Activity, o.OutOfOffice, o.Source, c.ObservedAt, o.View()})
}

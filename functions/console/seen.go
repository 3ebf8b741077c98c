package console

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"net/url"

	"procallteams/internal/access"
	"procallteams/internal/settings"
)

// seenOf tells apart what the form of a step shows: the part of the settings that it
// covers. A form sends it along, so that one that was loaded before somebody else's
// change does not undo that.
func seenOf(step string, s settings.Integration) string {
	var covered any
	switch step {
	case "app":
		covered = []any{s.Tenant, s.ClientID, s.Credential, s.Certificate, s.Registration, s.Profile}
	case "directions":
		covered = []any{s.TeamsToProCall, s.ProCallToTeams, s.Paused, s.AlsoWrite, s.OnlySignedIn, s.LookUps}
	case "push":
		covered = []any{s.PushURL}
	case "mapping":
		covered = []any{s.Mapping}
	}
	text, err := json.Marshal(covered)
	if err != nil {
		return "" // texts and switches: it can't be
	}
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:8])
}

// unchanged returns the version of the settings that a form may change, or
// [access.ErrRace] when they are not those any more that it showed.
func (f *Function) unchanged(ctx context.Context, step string, form url.Values) (int64, error) {
	current, _, err := f.Editor.Store.Load(ctx)
	if err != nil {
		return 0, err
	}
	if seen := form.Get("seen"); seen != "" && seen != seenOf(step, current) {
		return 0, access.ErrRace
	}
	return current.Version, nil
}

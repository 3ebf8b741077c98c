package console

import (
	"context"
	_ "embed"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"golang.org/x/text/language"

	"procallteams/internal/access"
	"procallteams/internal/consent"
	"procallteams/internal/entra/aadsts"
	"procallteams/internal/health"
	"procallteams/internal/page"
	"procallteams/internal/settings"
)

//go:embed consents.html
var consentsText string

// Grants is what an administrator does with consents here.
type Grants interface {
	// Disconnect: see [consent.Service.Disconnect].
	Disconnect(ctx context.Context, who string, kind consent.Kind, account string) error
	// UseAgain: see [consent.Service.UseAgain].
	UseAgain(ctx context.Context, who string) error
}

// grant is one consent as the page shows it.
type grant struct {
	consent.Grant
	Title, Why, Button string
	Registration       settings.Registration
}

// grants are all stored consents to the app registration in use, and a line for each
// kind that has none.
func grants(stored []consent.Grant, s settings.Integration) []grant {
	var shown []grant
	for _, g := range []grant{
		{consent.Grant{Kind: consent.Admin, State: consent.Required}, "Admin consent", "An administrator of the tenant lets the bridge read and write presences without a person. It keeps working when passwords change.", "Consent for the organisation", s.Registration},
		{consent.Grant{Kind: consent.User, State: consent.Required}, "User consent", "A person lets the bridge read presences in their name. Optional once the admin consent works.", "Sign in and consent", s.Registration},
	} {
		kind := g.Kind
		found := false
		for _, one := range stored {
			if one.Kind == kind && (one.ClientID == "" || one.ClientID == s.ClientID) {
				g.Grant, found = one, true
				shown = append(shown, g)
			}
		}
		if !found {
			shown = append(shown, g)
		}
	}
	return shown
}

// Tone is the colour of the state's badge.
func (g grant) Tone() string {
	switch g.State {
	case consent.Granted:
		return "ok"
	case consent.Waiting, consent.Expiring, consent.Unverified, consent.Unconfirmed:
		return "wait"
	case consent.Required:
		return ""
	}
	return "bad"
}

// Word is the state for people.
func (g grant) Word() string {
	if g.Disconnected {
		return "disconnected"
	}
	return wordOf(g.State)
}

func wordOf(state consent.State) string {
	switch state {
	case consent.Granted:
		return "works"
	case consent.Expiring:
		return "works, its credential ends soon"
	case consent.Waiting:
		return "waiting for Microsoft"
	case consent.Required:
		return "not given"
	case consent.Reauthorize:
		return "needed again"
	case consent.Blocked:
		return "blocked"
	case consent.Unverified:
		return "not proven yet"
	case consent.Unconfirmed:
		return "to be confirmed"
	}
	return string(state)
}

// Again is the text of the button.
func (g grant) Again() string {
	if g.Works() || g.Account.ObjectID != "" {
		return "Renew"
	}
	return g.Button
}

// Quiet reports whether nothing waits for the button of a consent: it works, or it
// was never given and something else carries reading.
func (v view) Quiet(g grant) bool {
	_, carried := consent.Carrier(v.State.Grants, consent.Reading)
	return g.Works() || g.Kind == consent.User && g.State == consent.Required && carried
}

// Who names the account of a user consent.
func (g grant) Who() string { return nameOf(g.Account) }

func nameOf(a consent.Account) string {
	if a.Name != "" && a.UPN != "" {
		return a.Name + " (" + a.UPN + ")"
	}
	return a.Name + a.UPN
}

// Advice is what an operator must know about this kind of refusal; nil when it works,
// or may work by itself soon.
func (g grant) Advice(lang string) *aadsts.Advice {
	if _, known := g.Class.Texts(g.Registration); !known || g.Works() || g.State == consent.Waiting {
		return nil
	}
	advice := g.Class.Advice(language.Make(lang), g.Registration)
	return &advice
}

// Step is what to do, unless the advice says it in more words.
func (g grant) Step(lang string) string {
	if g.Advice(lang) != nil && g.Class.Says(g.NextStep, g.Registration) {
		return ""
	}
	return g.NextStep
}

// Gap is how the permissions differ from what is needed.
func (g grant) Gap(s settings.Integration) consent.Gap {
	return consent.Compare(g.Kind, g.Permissions, s)
}

// Ends says when the credential of the app registration ends, where that is known.
func (g grant) Ends(now time.Time) string {
	if g.CredentialEnds.IsZero() {
		return ""
	}
	verb := "ends"
	if !now.Before(g.CredentialEnds) {
		verb = "ended"
	}
	return "The " + consent.CredentialName(g.CredentialKind) + " " + verb + " on " + g.CredentialEnds.UTC().Format(time.DateOnly) + " (" + consent.DaysLeft(g.CredentialEnds, now) + ")."
}

// Accepted says after "Save and check" what Entra made of the app registration: what
// is stored may still be refused.
func (v view) Accepted(n notice) notice {
	s := v.State.Settings
	if s.Tenant == "" || s.ClientID == "" {
		return notice{"wait", n.Text + " It needs a tenant and a client id."}
	}
	for _, g := range v.Grants {
		switch {
		case g.Kind != consent.Admin:
		case g.Works():
			return notice{n.Tone, n.Text + " Microsoft accepts it."}
		case g.Class == aadsts.AdminConsent:
			return notice{n.Tone, n.Text + " Microsoft accepts it. Next: the admin consent."}
		case g.Reason != "":
			return notice{"bad", n.Text + " But it can't be used yet: " + page.Sentence(withCode(g.Reason, g.Code)) + " " + g.NextStep}
		}
	}
	return n
}

// withCode adds the vendor's code to a reason that does not name it.
func withCode(reason, code string) string {
	if code == "" || strings.Contains(reason, code) {
		return reason
	}
	return strings.TrimSuffix(reason, ".") + " (" + code + ")"
}

// past is one change of state.
type past struct{ consent.Transition }

// Change says what changed.
func (p past) Change() string {
	if p.From == "" || p.From == p.To {
		return wordOf(p.To)
	}
	return wordOf(p.From) + " → " + wordOf(p.To)
}

// Past is the history, the newest first.
func (g grant) Past() []past {
	var lines []past
	for _, t := range slices.Backward(g.History) {
		lines = append(lines, past{t})
	}
	return lines
}

// UseAgain reports whether the grant was taken out of use and may come back without
// Microsoft.
func (g grant) UseAgain() bool { return g.Kind == consent.Admin && g.Disconnected }

// MayDisconnect reports whether there is something to disconnect.
func (g grant) MayDisconnect() bool {
	if g.Kind == consent.User {
		return g.SecretVersion != ""
	}
	return !g.Disconnected && !g.GivenAt.IsZero()
}

// carriedBy says who carries a use and what would happen if it failed.
func carriedBy(stored []consent.Grant, use consent.Use) string {
	c := health.CarriageOf(stored, use)
	switch {
	case c.Carrier == nil:
		return "no consent carries it."
	case c.Carrier.Account != nil:
		return "carried by " + nameOf(*c.Carrier.Account) + ". " + c.IfItFailed
	}
	return "carried by the admin consent. " + c.IfItFailed
}

// removal is the page that asks before a consent is disconnected.
type removal struct {
	Grant       grant
	Consequence string
}

// disconnecting asks before a consent is disconnected.
func (f *Function) disconnecting(w http.ResponseWriter, r *http.Request) {
	state, err := f.Read(r.Context())
	if err != nil {
		f.unavailable(w, r, err)
		return
	}
	q := r.URL.Query()
	for _, g := range grants(state.Grants, state.Settings) {
		if string(g.Kind) == q.Get("kind") && g.Account.ObjectID == q.Get("account") && g.MayDisconnect() {
			page.Render(w, http.StatusOK, page.Page{
				Title: "Disconnect the " + string(g.Kind) + " consent?", User: who(access.AdministratorFrom(r.Context())),
				Body: page.Execute(texts, "disconnect", removal{g, consequence(state.Grants, g.Grant)}),
			})
			return
		}
	}
	f.home(w, r, http.StatusNotFound, shown{Notice: notice{"bad", "There is no such consent, or it is disconnected already."}})
}

// consequence says what becomes of both uses without a grant.
func consequence(stored []consent.Grant, without consent.Grant) string {
	left := slices.DeleteFunc(slices.Clone(stored), func(g consent.Grant) bool {
		return g.Kind == without.Kind && g.Account.ObjectID == without.Account.ObjectID
	})
	var parts []string
	for _, use := range []consent.Use{consent.Reading, consent.Writing} {
		before, now := health.CarriageOf(stored, use), health.CarriageOf(left, use)
		switch {
		case before.Carrier == nil:
		case now.Carrier == nil:
			parts = append(parts, "Then "+string(use)+" stops.")
		case now.Carrier.Account != nil:
			parts = append(parts, "Then "+string(use)+" is carried by "+nameOf(*now.Carrier.Account)+".")
		default:
			parts = append(parts, "Then "+string(use)+" is carried by the admin consent.")
		}
	}
	return strings.Join(parts, " ")
}

// disconnect does it.
func (f *Function) disconnect(ctx context.Context, who string, form url.Values) error {
	kind, ok := consent.ParseKind(form.Get("kind"))
	if !ok {
		return refusal{text: "There is no such consent."}
	}
	err := f.Grants.Disconnect(ctx, who, kind, form.Get("account"))
	if errors.Is(err, consent.ErrNoGrant) {
		return refusal{text: "There is no such consent, or it is disconnected already."}
	}
	return err
}

// noticed says within which time a consent given or removed elsewhere is seen.
func noticed(s settings.Integration) string {
	if every := s.ConsentCheckEvery(); every > time.Minute {
		return every.String()
	}
	return "a minute or two"
}

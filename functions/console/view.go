package console

import (
	"context"
	_ "embed"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"procallteams/functions/status"
	"procallteams/internal/access"
	"procallteams/internal/calls"
	"procallteams/internal/consent"
	"procallteams/internal/entra/aadsts"
	"procallteams/internal/health"
	"procallteams/internal/host"
	"procallteams/internal/page"
	"procallteams/internal/report"
	"procallteams/internal/settings"
)

//go:embed console.html
var text string

var texts = page.Parse("console", text+peopleText+lookupText+checkText+appText+consentsText+directionsText+mappingText)

// notice is one sentence at the top; Tone is ok, wait, bad or empty for none.
type notice struct{ Tone, Text string }

// shown is what one answer shows beside the state. Secrets are shown once.
type shown struct {
	Notice     notice
	Token      token
	PushSecret string
	// Kept is the refused form, so that nothing must be typed again.
	Kept url.Values
	// Faults are of fields in it.
	Faults faults
}

// made reports whether there is something that a redirect would lose.
func (s shown) made() bool { return s.Token.Value != "" || s.PushSecret != "" }

// signInWait is how long the sign-in page waits for what it stands on: a vault
// that is silent must not hide the other way in.
const signInWait = 2 * time.Second

// welcome is the sign-in.
func (f *Function) welcome(w http.ResponseWriter, r *http.Request, code int, n notice) {
	next := r.URL.Query().Get("next")
	if next == "" {
		next = r.PostFormValue("next")
	}
	f.welcomeTo(w, r, code, n, next)
}

// welcomeTo is [Function.welcome], and leads to next.
func (f *Function) welcomeTo(w http.ResponseWriter, r *http.Request, code int, n notice, next string) {
	ctx, cancel := context.WithTimeout(r.Context(), signInWait)
	defer cancel()
	entra := f.SignIn != nil && f.appKnown(ctx)
	if unmade := f.makeCode(ctx); n == (notice{}) {
		n = unmade
	}
	vault, _, _ := strings.Cut(f.KeyVault.Hostname(), ".")
	page.Render(w, code, page.Page{Title: "Sign in", Refused: code >= http.StatusBadRequest, Body: page.Execute(texts, "welcome", map[string]any{
		"Notice": n, "Next": onward(next), "Vault": vault, "Secret": access.SetupCodeName, "Role": AdminRole,
		"Entra": entra,
	})})
}

// makeCode sees to it that there is a set-up code, and says so when there is none.
func (f *Function) makeCode(ctx context.Context) notice {
	if f.made.Load() {
		return notice{}
	}
	_, err := f.Setup.Code.Ensure(ctx)
	if err == nil {
		f.made.Store(true)
		return notice{}
	}
	host.Log(ctx, f.Log).Error("set-up code could not be made", "error", err.Error())
	if ctx.Err() != nil {
		return notice{"bad", "The Key Vault or the storage does not answer at the moment, so the set-up code can't be checked. Wait a minute and load this page again; if it stays, check both in the Azure portal."}
	}
	return notice{"bad", "The set-up code can't be made or read: " + err.Error() + "."}
}

// appKnown reports whether there is an app registration to sign in with.
func (f *Function) appKnown(ctx context.Context) bool {
	current, _, err := f.Editor.Store.Load(ctx)
	return err == nil && current.Tenant != "" && current.ClientID != ""
}

// view is the data of the page.
type view struct {
	shown
	State      report.State
	Overall    health.DirectionState
	Directions []direction
	Read       health.Direction
	Grants     []grant
	Another    bool   // somebody signed in, so another person may stand by
	Reading    string // who carries each use, and what would happen if it failed
	WritingBy  string
	// NoticedWithin is when consent given elsewhere is seen; Lang the language for advice.
	NoticedWithin, Lang string
	Obstacles           []consent.Obstacle
	// Delegated and Application are the permissions that the registration lists.
	Delegated, Application []string
	Findings               []health.Finding
	Redirects              []string
	Machines               []access.Credential
	Scopes                 []access.Scope
	Warnings               []string
	Outbound               status.Outbound
	AppFixed               map[string]bool
	Tenant                 string // as typed, when it was refused
	ClientID               string
	PushURL                string
	Name                   string // of the credential that was refused
	HasSecret              bool   // a client secret comes from an app setting
	Credential             credentialForm
	Ticked                 map[string]bool
	Rules                  []rulesForm
	People                 bool // there is a page of the people
	Options                []options
	Writing                bool // calls are written, or were
	Reporters              []string
	Now                    time.Time
	Watched                bool // the page loads itself again
}

// direction is one as the page shows it; Fact is what was seen of it last.
type direction struct {
	health.Direction
	Title, Fact string
}

// facts say of both directions what was seen last; nothing before there was anything.
func (v view) facts() (reading, writing string) {
	if beat := v.State.Heartbeat; !beat.AsOf.IsZero() {
		reading = fmt.Sprintf("Last read %s, for %s.", v.Ago(beat.AsOf), counted(beat.Users, "person", "people"))
	}
	if w := v.State.Writer; v.Writing && !w.LastWrite.IsZero() {
		writing = fmt.Sprintf("%s shown in Teams, last write %s.", counted(w.Held, "call", "calls"), v.Ago(w.LastWrite))
	}
	return reading, writing
}

func counted(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprint(n, " ", many)
}

// home is the page.
func (f *Function) home(w http.ResponseWriter, r *http.Request, code int, s shown) {
	state, err := f.Read(r.Context())
	var machines []access.Credential
	if err == nil {
		machines, err = f.Credentials.List(r.Context())
	}
	// What was made is shown even when the rest can't be read: there is no second
	// time.
	if err != nil && s.Token == (token{}) && s.PushSecret == "" {
		f.unavailable(w, r, err)
		return
	}
	v := f.view(state, machines, s)
	f.tell(r.Context(), state.Settings.Tenant, v.Rules)
	v.Credential = f.credentialForm(r.Context(), state, s.Kept)
	v.Credential.faults = s.Faults
	if name := r.URL.Query().Get("done"); name == "app" || name == "secret" {
		v.Notice = v.Accepted(v.Notice)
	}
	if saved := v.Idle(); saved != "" && v.Notice == done["directions"] {
		v.Notice = notice{"wait", "Saved. " + saved + " See step 3."}
	}
	v.Lang = aadsts.Preferred(r.Header.Get("Accept-Language")).String()
	v.Watched = r.URL.Query().Get("watch") == "yes" && v.Changing()
	p := page.Page{Title: "Teams and ProCall", Here: "/api/console", Refused: code >= http.StatusBadRequest, User: who(access.AdministratorFrom(r.Context())), Body: page.Execute(texts, "home", v)}
	if v.Watched {
		p.Refresh = refresh(v)
	}
	page.Render(w, code, p)
}

// Changing reports whether something is about to change by itself.
func (v view) Changing() bool { return refresh(v) > 0 }

// refresh is how often the page loads itself while something is about to change and
// somebody only watches: what is being typed would be lost.
func refresh(v view) time.Duration {
	waiting := slices.ContainsFunc(v.Grants, func(g grant) bool { return g.State == consent.Waiting })
	if waiting || v.Read.State == health.Starting {
		return 15 * time.Second
	}
	return 0
}

func who(administrator string) string {
	if administrator == access.BySetupCode {
		return "Signed in with the set-up code"
	}
	return "Signed in as " + administrator
}

func (f *Function) view(state report.State, machines []access.Credential, s shown) view {
	now := f.Now().UTC()
	v := view{
		shown: s, State: state, Findings: health.Assess(now, state.Input), Scopes: access.Scopes, Warnings: f.Warnings, Outbound: f.Outbound,
		Tenant: state.Settings.Tenant, ClientID: state.Settings.ClientID, PushURL: state.Settings.PushURL,
		HasSecret: f.SecretFixed, Now: now, AppFixed: map[string]bool{}, Ticked: ticked(state.Settings, s.Kept), Options: allOptions,
		Redirects: f.Redirects, People: f.Storage != nil,
		Rules: []rulesForm{
			rulesOf("teamsToProCall", "Teams to ProCall", state.Settings.TeamsToProCall, s.Kept),
			rulesOf("proCallToTeams", "ProCall to Teams", state.Settings.ProCallToTeams, s.Kept),
		},
		Writing: state.Settings.ProCallToTeams.On() || state.Writer.Held > 0 || len(state.Reporters) > 0,
	}
	for _, name := range state.Fixed {
		v.AppFixed[name] = true
	}
	keep(s.Kept, &v.Tenant, "tenant")
	keep(s.Kept, &v.ClientID, "clientId")
	keep(s.Kept, &v.PushURL, "pushUrl")
	keep(s.Kept, &v.Name, "name")
	directions := health.Directions(now, state.Input)
	v.Overall, v.Read = health.Overall(directions), directions[0]
	reading, writing := v.facts()
	v.Directions = []direction{{directions[0], "Teams to ProCall", reading}, {directions[1], "ProCall to Teams", writing}}
	v.Grants = grants(state.Grants, state.Settings)
	v.Another = slices.ContainsFunc(v.Grants, func(g grant) bool { return g.Kind == consent.User && g.Account.ObjectID != "" })
	v.Reading, v.WritingBy = carriedBy(state.Grants, consent.Reading), carriedBy(state.Grants, consent.Writing)
	bare := settings.Integration{Profile: state.Settings.Profile} // whatever the rules name
	v.Delegated, v.Application = consent.Wanted(consent.User, bare), consent.Wanted(consent.Admin, bare)
	v.NoticedWithin, v.Obstacles = noticed(state.Settings), consent.Obstacles(state.Settings.Registration)
	for _, c := range machines {
		if c.Revoked.IsZero() {
			v.Machines = append(v.Machines, c)
		}
	}
	v.Reporters = v.reporters(machines)
	return v
}

// options are boxes of step 3 about the direction from ProCall to Teams.
type options struct {
	Legend string
	Boxes  []box
}

type box struct{ Name, Title, Text string }

// HintID is the id of its explanation.
func (b box) HintID() string { return b.Name + ".hint" }

var allOptions = []options{{"ProCall to Teams also writes", []box{
	{"ringing", "Ringing", "A call that rings shows as “In a call”, before anybody answers it."},
	{"wrapUp", "Wrap-up", "Work after a call shows as “In a call” until UCServer ends it."},
	{"appointment", "Appointments in ProCall", "An appointment shows as “In a conference call” when it makes busy, as “Away” when it makes absent. Teams knows the Outlook calendar by itself."},
	{"doNotDisturb", "Do not disturb", "A “Do not disturb” chosen in ProCall becomes the person's own choice in Teams, always with an end. It is taken back only while it is still ours."},
}}, {"ProCall to Teams writes calls", []box{
	{"onlySignedIn", "Only while signed in to Teams", "Without this, a call makes a person who is signed out of Teams look as if they were there and in a call. Needs Teams to ProCall."},
}}, {"Helpdesk", []box{
	{"noHelpdesk", "Refuse look-ups of single people", "Nobody can ask “why is this person red?” any more, neither here nor by a machine."},
}}}

// ticked are the boxes of step 3: as stored, or as they were when the form was
// refused.
func ticked(s settings.Integration, kept url.Values) map[string]bool {
	if kept.Get("step") == "directions" {
		boxes := map[string]bool{}
		for name := range kept {
			boxes[name] = true
		}
		return boxes
	}
	return map[string]bool{
		"paused": s.Paused, "noHelpdesk": !s.LookUps.On(),
		"ringing": s.AlsoWrite.Ringing, "wrapUp": s.AlsoWrite.WrapUp, "appointment": s.AlsoWrite.Appointment,
		"doNotDisturb": s.AlsoWrite.DoNotDisturb, "onlySignedIn": s.OnlySignedIn,
	}
}

// reporters says of everybody who reports calls when they were last heard.
func (v view) reporters(machines []access.Credential) []string {
	var lines []string
	for _, id := range slices.Sorted(maps.Keys(v.State.Reporters)) {
		r := v.State.Reporters[id]
		name := id
		if i := slices.IndexFunc(machines, func(c access.Credential) bool { return c.ID == id }); i >= 0 {
			name = machines[i].Name
		}
		line := name + ": heard " + v.Ago(r.Seen)
		switch {
		case r.Need == calls.NeedExpired:
			line += fmt.Sprintf("; its lease ended at %s, and with it %d calls", v.At(r.NeedSince), r.Ended)
		case r.Need != "":
			line += "; has to send its complete list"
		default:
			line += "; its calls count until " + v.At(r.Until)
		}
		lines = append(lines, line)
	}
	return lines
}

// Apart is the code, unless the reason holds it already.
func (d direction) Apart() string {
	if strings.Contains(d.Reason, d.Code) {
		return ""
	}
	return d.Code
}

// Tone is the colour of the state's badge.
func (d direction) Tone() string { return tone(d.State) }

func tone(state health.DirectionState) string {
	switch state {
	case health.Working:
		return "ok"
	case health.Starting, health.Paused:
		return "wait"
	case health.AuthorizationRequired, health.StaleState:
		return "bad"
	}
	return ""
}

// Actor is who must act on a finding; empty where nothing is to be done.
func (v view) Actor(f health.Finding) string {
	if strings.HasPrefix(f.NextStep, "Nothing") {
		return ""
	}
	return actor(f.Who)
}

// Ago says how long ago t was, exactly enough for a person.
func (v view) Ago(t time.Time) string {
	d := v.Now.Sub(t)
	switch {
	case t.IsZero():
		return "never"
	case d < 2*time.Second:
		return "just now"
	case d < 2*time.Minute:
		return fmt.Sprintf("%d seconds ago", d/time.Second)
	case d < 2*time.Hour:
		return fmt.Sprintf("%d minutes ago", d/time.Minute)
	}
	return t.UTC().Format("2006-01-02 15:04 UTC")
}

// Coarse is a time that is known to ten minutes only.
func (v view) Coarse(t time.Time) string {
	if t.IsZero() {
		return "not used yet"
	}
	return "last used around " + t.UTC().Format("2006-01-02 15:04 UTC")
}

// At is a moment, for details.
func (v view) At(t time.Time) string { return t.UTC().Format("2006-01-02 15:04:05 UTC") }

// HasScope reports whether a box is ticked: at first, or as it was when the form was
// refused.
func (v view) HasScope(s access.Scope) bool {
	if v.Kept.Has("name") {
		return slices.Contains(v.Kept["scope"], string(s))
	}
	return s == access.Read
}

// Field is what stands around one field.
func (v view) Field(id string, hints ...string) field { return v.Faults.Field(id, hints...) }

// Seen is what a form sends along.
func (v view) Seen(step string) string { return seenOf(step, v.State.Settings) }

package console

import (
	_ "embed"
	"net/http"
	"strings"
	"time"

	"procallteams/functions/users"
	"procallteams/internal/access"
	"procallteams/internal/host"
	"procallteams/internal/matching"
	"procallteams/internal/page"
	"procallteams/internal/presence"
	"procallteams/internal/userlist"
)

//go:embed lookup.html
var lookupText string

// lookupView is the data of the page about one person; Found is nil when there is no
// answer, and Notice says why.
type lookupView struct {
	Notice notice
	Name   string // that was asked for, to correct it
	Off    bool   // look-ups are switched off
	Found  *found
}

// ask is the form of a look-up: the name to correct, and what says why.
type ask struct{ Name, By string }

// Ask is the form for the next person, or for the same one when nobody was found.
func (v lookupView) Ask() ask {
	switch {
	case v.Found != nil:
		return ask{}
	case v.Notice.Text != "":
		return ask{v.Name, "notice"}
	}
	return ask{Name: v.Name}
}

// Ask is the empty form.
func (peopleView) Ask() ask { return ask{} }

// lookUp answers who one person is and why ProCall and Teams show what they show. The
// name comes in the body, so that no log of addresses holds it.
func (f *Function) lookUp(w http.ResponseWriter, r *http.Request) {
	if err := r.ParseForm(); err != nil || len(r.PostForm) == 0 {
		f.lookupPage(w, r, http.StatusBadRequest, lookupView{Notice: notice{"bad", notWhole}})
		return
	}
	v := lookupView{Name: strings.TrimSpace(r.PostForm.Get("name"))}
	answer, err := f.LookUp(r.Context(), access.Caller{Administrator: access.AdministratorFrom(r.Context())}, v.Name)
	if err != nil {
		d, expected := users.Explain(err)
		if !expected {
			host.Log(r.Context(), f.Log).Error("console", "step", "lookup", "error", err.Error())
		}
		v.Notice = notice{"bad", page.Sentence(d.Title) + " " + page.Sentence(d.Detail) + " " + d.NextStep}
		v.Off = d.Type == users.TypeOff
		f.lookupPage(w, r, d.Status, v)
		return
	}
	v.Found = &found{answer}
	f.lookupPage(w, r, http.StatusOK, v)
}

func (f *Function) lookupPage(w http.ResponseWriter, r *http.Request, code int, v lookupView) {
	page.Render(w, code, page.Page{Title: "Why is this person red?", Here: "/api/console/people", Refused: code >= http.StatusBadRequest, User: who(access.AdministratorFrom(r.Context())), Body: page.Execute(texts, "lookup", v)})
}

// found is the answer about one person, in plain words.
type found struct{ users.Answer }

// Why is the reason in one sentence: which source wins.
func (a found) Why() string {
	if a.WhyNot != "" {
		text := "The bridge is not the reason: this person does not take part, since " + a.WhyNot + "."
		if a.Session.State != "none" {
			text += " What it wrote to Teams earlier is being taken back."
		}
		return text
	}
	return page.Sentence(a.inProCall())
}

// inProCall names the source that wins in ProCall.
func (a found) inProCall() string {
	switch {
	case a.TeamsToProCall != nil && !a.TeamsToProCall.TakesPart:
		return "UCServer alone decides what ProCall shows: Teams is not read for this person" + a.call()
	case a.Teams == nil:
		return "UCServer alone decides what ProCall shows: nothing was read from Teams about this person yet" + a.call()
	case a.Teams.Source == presence.FromTeams && a.Teams.ProCall.State != nil:
		return "Teams is the reason: it shows " + a.shown() + ", which UCServer takes as " + inWords(string(*a.Teams.ProCall.State)) + a.call()
	case a.Teams.Source == presence.FromTeams:
		return "Teams is not the reason: it shows " + a.shown() + ", which adds nothing to ProCall" + a.call()
	}
	return contributesNothing[a.Teams.Source] + a.call()
}

// contributesNothing says, for each source but Teams, why UCServer is told nothing.
var contributesNothing = map[presence.Source]string{
	presence.FromBridge:  "UCServer's own call is what Teams shows: the bridge wrote it there, so it adds nothing to ProCall",
	presence.FromMissing: "UCServer alone decides what ProCall shows: Microsoft Graph has stopped answering for this person",
	presence.FromStale:   "UCServer alone decides what ProCall shows: Teams has not been readable for too long",
	presence.FromPause:   "UCServer alone decides what ProCall shows: an administrator paused the bridge",
}

// call is the clause about what UCServer reports itself, and why Teams does not show it.
func (a found) call() string {
	for _, r := range a.Reports {
		if !r.Counts || r.External || len(r.Reasons) == 0 {
			continue
		}
		text := "; UCServer itself reports " + a.Says(r)
		if (a.Session.State != "held" || a.Session.Hidden) && a.Session.Reason != "" {
			text += ", which Teams does not show: " + a.Session.Reason
		}
		return text
	}
	return ""
}

// shown is what Teams shows: "Busy (InACall)".
func (a found) shown() string {
	text := string(a.Teams.Availability)
	if activity := string(a.Teams.Activity); activity != text {
		text += " (" + activity + ")"
	}
	return text
}

// Visible writes out what no screen shows of a name.
func (found) Visible(name string) string { return matching.Visible(name) }

// Direction says whether the person takes part in a direction, and by which rule.
func (found) Direction(d *userlist.Decision) string {
	if d == nil {
		return "no: who is on only one side takes part in nothing"
	}
	text := "no, "
	if d.TakesPart {
		text = "yes, "
	}
	for rule, word := range decided {
		if rule.String() == d.Rule {
			text += word
		}
	}
	if d.By != "" {
		text += " (" + d.By + ")"
	}
	if d.Unknown {
		text += ", whose members are not known"
	}
	return text
}

// Matched says by which rule the account and the user are one, or why they are not.
func (a found) Matched() string {
	m := a.Match
	if m == nil {
		return ""
	}
	text := because[m.Outcome]
	if m.Outcome == "matched" {
		text = "matched"
	}
	if why := because[m.Reason]; why != "" {
		text = why
	}
	if m.Rule != "" {
		text += " by " + m.Rule
	}
	switch {
	case m.Outcome == "matched":
	case m.Account != nil:
		text += ": " + m.Account.UPN
	case m.User != nil:
		text += ": " + m.User.Name
	}
	if m.Conflict != nil {
		text += ": " + strings.Join(everyName(m.Conflict), ", ")
	}
	return text
}

func everyName(c *userlist.Conflict) (names []string) {
	for _, u := range c.Users {
		names = append(names, u.Name)
	}
	for _, a := range c.Accounts {
		names = append(names, a.UPN)
	}
	if c.More {
		names = append(names, "and others")
	}
	return names
}

// Adds says what Teams' presence means to UCServer.
func (a found) Adds() string {
	if a.Teams.ProCall.State == nil {
		return "nothing"
	}
	return inWords(string(*a.Teams.ProCall.State))
}

// From says where the presence comes from.
func (a found) From() string {
	return map[presence.Source]string{
		presence.FromTeams: "Teams itself", presence.FromBridge: "the bridge, which wrote UCServer's call there",
		presence.FromMissing: "nowhere: Microsoft Graph has stopped answering for this person",
		presence.FromStale:   "nowhere: Teams has not been readable for too long", presence.FromPause: "nowhere: the bridge is paused",
	}[a.Teams.Source]
}

// Arrived says whether UCServer has what it is to be told.
func (a found) Arrived() string {
	switch push := a.Told.Push; {
	case push == nil:
		return "not pushed: a connector that polls reads it by itself"
	case push.Confirmed:
		return "yes, confirmed by the push target"
	case push.Problem != "":
		return "no: " + push.Problem
	}
	return "not confirmed yet"
}

// Says is what a reporter says: "busy (call)".
func (found) Says(r users.Said) string {
	text := inWords(string(r.State))
	if len(r.Reasons) > 0 {
		text += " (" + inWords(strings.Join(r.Reasons, ", ")) + ")"
	}
	if r.External {
		text += ", caused by Teams"
	}
	if r.Manual != nil {
		text += ", chosen by hand: " + inWords(string(r.Manual.State))
	}
	return text
}

// Keeps says where the thing stands that the bridge keeps in Teams.
func (found) Keeps(s users.Standing) string {
	text := kept[string(s.State)]
	if s.Hidden {
		text += ", but Teams shows something else"
	}
	return text
}

var kept = map[string]string{
	"none": "nothing", "pending": "nothing yet: it is to be written", "held": "written to Teams and confirmed", "waiting": "nothing now: it is held back",
	"clearing": "being taken back", "refused": "nothing: Microsoft Graph refuses this person",
}

// standing is one thing that the bridge keeps in Teams, as the page shows it.
type standing struct {
	Of found
	S  users.Standing
}

// Kept is for the template, which dereferences pointers.
func (a found) Kept(s users.Standing) standing { return standing{a, s} }

// At is a moment, for the page.
func (found) At(t time.Time) string { return t.UTC().Format("2006-01-02 15:04:05 UTC") }

// inWords makes words of a code of the contract: "doNotDisturb" is "do not disturb".
func inWords(code string) string {
	var text strings.Builder
	for _, r := range code {
		if 'A' <= r && r <= 'Z' {
			text.WriteByte(' ')
			r += 'a' - 'A'
		}
		text.WriteRune(r)
	}
	return text.String()
}

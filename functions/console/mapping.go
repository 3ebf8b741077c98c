package console

import (
	"context"
	_ "embed"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"procallteams/internal/access"
	"procallteams/internal/page"
	"procallteams/internal/presence"
	"procallteams/internal/settings"
)

//go:embed mapping.html
var mappingText string

// choice is one meaning that a presence may have.
type choice struct {
	Code, Title  string
	contribution presence.Contribution
}

var choices = []choice{
	{"nothing", "nothing", presence.Contribution{}},
	{"busy", "busy", presence.Contribution{State: presence.ProCallBusy}},
	{"call", "busy, in a call", presence.Contribution{State: presence.ProCallBusy, Reasons: presence.CallReason}},
	{"doNotDisturb", "do not disturb", presence.Contribution{State: presence.ProCallDoNotDisturb}},
	{"absent", "absent", presence.Contribution{State: presence.ProCallAbsent}},
}

// drop takes a line of the installation away that the table does not have.
const drop = "drop"

func choiceOf(c presence.Contribution) choice {
	return choices[slices.IndexFunc(choices, func(one choice) bool { return one.contribution == c })]
}

// Prefix of the fields of lines, and the fields of one more line.
const (
	linePrefix      = "line."
	newAvailability = "newAvailability"
	newActivity     = "newActivity"
	newChoice       = "newChoice"
)

// mappingView is the data of the page of the mapping.
type mappingView struct {
	Notice notice
	Faults faults
	Seen   string
	Groups []mappingGroup
	Own    int // lines that are not the default
	// Availability, Activities and Choices are of one more line.
	Availability        string
	Activities, Choices []option
}

// mappingGroup are the lines of one availability.
type mappingGroup struct {
	Code, Title string
	Lines       []mappingLine
}

// mappingLine is one select: what a presence means, by default and here.
type mappingLine struct {
	ID, Title string
	Options   []option
	// Default is what the line means by default; empty unless it was changed.
	Default string
}

type option struct {
	Code, Title string
	Chosen      bool
}

// Field is what stands around one field.
func (v mappingView) Field(id string, hints ...string) field { return v.Faults.Field(id, hints...) }

// mapping is the page that says what a presence in Teams means to ProCall.
func (f *Function) mapping(w http.ResponseWriter, r *http.Request, code int, v mappingView, kept url.Values) {
	current, _, err := f.Editor.Store.Load(r.Context())
	if err != nil {
		f.unavailable(w, r, err)
		return
	}
	overrides := current.Mapping.Overrides()
	v.Seen, v.Own = seenOf("mapping", current), len(overrides)
	v.Groups = groupsOfLines(overrides, kept)
	v.Availability, v.Choices = kept.Get(newAvailability), optionsOf(kept.Get(newChoice), "", "")
	for _, a := range presence.Activities {
		v.Activities = append(v.Activities, option{string(a), titled(string(a)), kept.Get(newActivity) == string(a)})
	}
	page.Render(w, code, page.Page{Title: "What Teams means to ProCall", Here: "/api/console/mapping", Refused: code >= http.StatusBadRequest, User: who(access.AdministratorFrom(r.Context())), Body: page.Execute(texts, "mapping", v)})
}

// groupsOfLines are all lines, as stored, or as they were chosen when the form was
// refused.
func groupsOfLines(overrides []presence.Override, kept url.Values) (groups []mappingGroup) {
	usual := usualLines()
	for _, l := range presence.NewMapping(overrides).Lines() {
		if n := len(groups); n == 0 || groups[n-1].Code != string(l.Availability) {
			groups = append(groups, mappingGroup{Code: string(l.Availability), Title: titled(string(l.Availability))})
		}
		id := lineID(l.Availability, l.Activity)
		now := choiceOf(contributed(l)).Code
		if kept.Has(id) {
			now = kept.Get(id)
		}
		line := mappingLine{ID: id, Title: "every other"}
		if l.Activity != "" {
			line.Title = lower(titled(string(l.Activity)))
		}
		def, known := usual[id]
		extra := ""
		if !known {
			extra = "as every other"
		}
		line.Options = optionsOf(now, def.Code, extra)
		if line.Default = extra; l.Own && known {
			line.Default = def.Title
		}
		last := &groups[len(groups)-1]
		last.Lines = append(last.Lines, line)
	}
	return groups
}

// usualLines are the defaults by the fields' ids.
func usualLines() map[string]choice {
	usual := map[string]choice{}
	for _, l := range (presence.Mapping{}).Lines() {
		usual[lineID(l.Availability, l.Activity)] = choiceOf(contributed(l))
	}
	return usual
}

func contributed(l presence.Line) presence.Contribution {
	var c presence.Contribution
	if l.ProCall.State != nil {
		c.State = *l.ProCall.State
	}
	if len(l.ProCall.Reasons) > 0 {
		c.Reasons = presence.CallReason
	}
	return c
}

// optionsOf are the choices of a line; extra is the one that takes the line away.
func optionsOf(chosen, usual, extra string) (options []option) {
	if extra != "" {
		options = append(options, option{drop, extra + " (take this line away)", chosen == drop})
	}
	for _, c := range choices {
		o := option{c.Code, c.Title, c.Code == chosen}
		if c.Code == usual {
			o.Title += " (default)"
		}
		options = append(options, o)
	}
	return options
}

func lineID(availability presence.Availability, activity presence.Activity) string {
	return linePrefix + string(availability) + "." + string(activity)
}

// titled writes a word of Graph for people: "BeRightBack" is "Be right back".
func titled(code string) string {
	words := strings.TrimSpace(inWords(code))
	return strings.ToUpper(words[:1]) + words[1:]
}

func lower(text string) string { return strings.ToLower(text[:1]) + text[1:] }

// saveMapping stores what was chosen.
func (f *Function) saveMapping(ctx context.Context, form url.Values) error {
	usual := usualLines()
	added, err := addedLine(form, usual)
	if err != nil {
		return err
	}
	return f.edit(ctx, "mapping", form, func(i *settings.Integration) {
		if form.Has("reset") {
			i.Mapping = ""
			return
		}
		i.Mapping = settings.MappingOf(append(chosenLines(i.Mapping.Overrides(), usual, form), added...))
	})
}

// chosenLines are the lines that are not the default. What the form says nothing of
// stays as it is.
func chosenLines(stored []presence.Override, usual map[string]choice, form url.Values) (chosen []presence.Override) {
	for _, l := range presence.NewMapping(stored).Lines() {
		id := lineID(l.Availability, l.Activity)
		o := presence.Override{Availability: l.Availability, Activity: l.Activity, Contribution: contributed(l)}
		i := slices.IndexFunc(choices, func(c choice) bool { return c.Code == form.Get(id) })
		if i >= 0 {
			o.Contribution = choices[i].contribution
		}
		def, known := usual[id]
		switch {
		case known && def.contribution == o.Contribution:
		case form.Get(id) == drop:
		case i < 0 && !l.Own:
		default:
			chosen = append(chosen, o)
		}
	}
	return chosen
}

// addedLine is one more line, where the form has one.
func addedLine(form url.Values, usual map[string]choice) ([]presence.Override, error) {
	if form.Has("reset") || form.Get(newAvailability) == "" && form.Get(newActivity) == "" {
		return nil, nil
	}
	availability, known := presence.ParseAvailability(form.Get(newAvailability))
	if !known {
		return nil, refusal{"Choose an availability for the new line.", newAvailability}
	}
	activity, known := presence.ParseActivity(form.Get(newActivity))
	if !known {
		return nil, refusal{"Choose an activity for the new line; every other has its line above.", newActivity}
	}
	id := lineID(availability, activity)
	if _, taken := usual[id]; taken || form.Has(id) {
		return nil, refusal{titled(string(availability)) + ", " + lower(titled(string(activity))) + " has a line above: choose there.", newActivity}
	}
	i := slices.IndexFunc(choices, func(c choice) bool { return c.Code == form.Get(newChoice) })
	if i < 0 {
		return nil, refusal{"Choose what the new line means to ProCall.", newChoice}
	}
	return []presence.Override{{Availability: availability, Activity: activity, Contribution: choices[i].contribution}}, nil
}

// changeMapping is the step of that page.
func (f *Function) changeMapping(w http.ResponseWriter, r *http.Request) {
	if err := r.ParseForm(); err != nil || len(r.PostForm) == 0 {
		f.mapping(w, r, http.StatusBadRequest, mappingView{Notice: notice{"bad", notWhole}}, nil)
		return
	}
	if err := f.saveMapping(r.Context(), r.PostForm); err != nil {
		text, code := f.explain(r.Context(), err)
		f.mapping(w, r, code, mappingView{Notice: notice{"bad", text}, Faults: faultsOf(err)}, r.PostForm)
		return
	}
	f.changed(r.Context(), "mapping")
	w.Header().Set("Cache-Control", "no-store")
	http.Redirect(w, r, "/api/console/mapping?done=mapping", http.StatusSeeOther)
}

// MappingNow says for the page that leads here how much of it was changed.
func (v view) MappingNow() string {
	switch n := len(v.State.Settings.Mapping.Overrides()); n {
	case 0:
		return "as by default"
	case 1:
		return "one line is not the default"
	default:
		return strconv.Itoa(n) + " lines are not the default"
	}
}

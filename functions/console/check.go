package console

import (
	_ "embed"
	"net/http"
	"strings"

	"procallteams/internal/access"
	"procallteams/internal/check"
	"procallteams/internal/page"
)

//go:embed check.html
var checkText string

// checkView is the data of the page of the check; Report is nil before it ran.
type checkView struct{ Report *check.Report }

// Lines are the steps as the page shows them.
func (v checkView) Lines() []line {
	lines := make([]line, len(v.Report.Checks))
	for i, result := range v.Report.Checks {
		lines[i] = line{result}
	}
	return lines
}

// Failures is how many steps failed by themselves.
func (v checkView) Failures() int {
	n := 0
	for _, result := range v.Report.Checks {
		if result.State == check.Failed {
			n++
		}
	}
	return n
}

// line is one step.
type line struct{ check.Result }

// Tone is the colour of the badge.
func (l line) Tone() string {
	switch l.State {
	case check.OK:
		return "ok"
	case check.Note:
		return "wait"
	case check.Failed:
		return "bad"
	}
	return ""
}

// Word is the text of the badge.
func (l line) Word() string {
	return map[check.State]string{check.OK: "ok", check.Note: "note", check.Off: "off", check.Failed: "fails", check.NotTried: "not tried"}[l.State]
}

// Whose names the account of a user consent.
func (l line) Whose() string {
	if l.Account == nil {
		return ""
	}
	return nameOf(*l.Account)
}

// Actor is who must act; empty where nothing is to be done.
func (l line) Actor() string {
	if strings.HasPrefix(l.NextStep, "Nothing") {
		return ""
	}
	return actor(l.Who)
}

// actor is who must act, in words that a page can show.
func actor(who string) string {
	switch who {
	case "administrator":
		return "an administrator of the tenant or of the bridge"
	case "operator":
		return "whoever runs the function app in Azure"
	case "connector":
		return "whoever runs UCServer's connector"
	}
	return who
}

// Says is the evidence as a sentence.
func (l line) Says() string {
	text := l.Detail
	if l.State == check.NotTried {
		text = "not tried, because " + text
	}
	return page.Sentence(text)
}

// checking is the page that offers the check.
func (f *Function) checking(w http.ResponseWriter, r *http.Request) { f.checkPage(w, r, checkView{}) }

// checked runs the check and shows what it found.
func (f *Function) checked(w http.ResponseWriter, r *http.Request) {
	report := f.Check(r.Context())
	f.checkPage(w, r, checkView{Report: &report})
}

func (f *Function) checkPage(w http.ResponseWriter, r *http.Request, v checkView) {
	page.Render(w, http.StatusOK, page.Page{Title: "The check", Here: "/api/console/check", User: who(access.AdministratorFrom(r.Context())), Body: page.Execute(texts, "check", v)})
}

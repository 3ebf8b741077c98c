package console_test

import (
	"net/url"
	"regexp"
	"strings"
	"testing"

	"procallteams/internal/presence"
	"procallteams/internal/settings"
)

// formOf is what a browser sends when nothing is touched on the page of the mapping.
func formOf(page string) url.Values {
	form := url.Values{"seen": {regexp.MustCompile(`name="seen" value="([0-9a-f]+)"`).FindStringSubmatch(page)[1]}}
	for _, field := range regexp.MustCompile(`(?s)<select id="([^"]+)" name[^>]*>(.*?)</select>`).FindAllStringSubmatch(page, -1) {
		chosen := regexp.MustCompile(`value="([^"]*)" selected`).FindStringSubmatch(field[2])
		if chosen == nil { // the first one, as browsers do
			chosen = regexp.MustCompile(`value="([^"]*)"`).FindStringSubmatch(field[2])
		}
		form.Set(field[1], chosen[1])
	}
	return form
}

func (w *world) overrides() string {
	w.t.Helper()
	text, err := w.stored().Mapping.MarshalJSON()
	if err != nil {
		w.t.Fatal(err)
	}
	return string(text)
}

func TestTheMappingIsChangedLineByLineAndBack(t *testing.T) {
	w := start(t, settings.Overrides{})
	w.signIn()
	w.register()
	home := w.get("/api/console")
	has(t, home, `href="/api/console/mapping"`, "as by default")
	version := w.stored().Version
	page := w.get("/api/console/mapping").Body.String()
	if lines := strings.Count(page, `<th scope="row">`); lines != len((presence.Mapping{}).Lines()) || strings.Contains(page, "changed</span>") {
		t.Errorf("%d lines are shown, or one as changed", lines)
	}
	form := formOf(page)
	if answer := w.post("mapping", form); answer.Code != 303 || w.stored().Version != version {
		t.Errorf("sent as it is = %d, version %d; was %d", answer.Code, w.stored().Version, version)
	}

	form.Set("line.Busy.InAMeeting", "busy")
	form.Set("line.Away.", "absent")
	form.Set("line.DoNotDisturb.Presenting", "nothing")
	form.Set("newAvailability", "Away")
	form.Set("newActivity", "OffWork")
	form.Set("newChoice", "call")
	answer := w.post("mapping", form)
	const want = `[{"availability":"Away","state":"absent"},{"availability":"Away","activity":"OffWork","state":"busy","reasons":["call"]},` +
		`{"availability":"Busy","activity":"InAMeeting","state":"busy"},{"availability":"DoNotDisturb","activity":"Presenting","state":null}]`
	if answer.Code != 303 || w.overrides() != want {
		t.Errorf("= %d %s; want %s", answer.Code, w.overrides(), want)
	}
	after := w.get(answer.Header().Get("Location"))
	has(t, after, "Saved.", "4 lines are not the default", "default: nothing", "default: do not disturb", "default: as every other", `<option value="drop">as every other (take this line away)`,
		`<option value="nothing">nothing (default)`, `<option value="busy" selected>busy</option>`)
	has(t, w.get("/api/console"), "4 lines are not the default")
	form = formOf(after.Body.String())
	version = w.stored().Version
	if answer := w.post("mapping", form); answer.Code != 303 || w.stored().Version != version {
		t.Errorf("the changed one sent as it is = %d, %s", answer.Code, w.overrides())
	}
	form.Set("line.Away.OffWork", "drop")
	form.Set("line.DoNotDisturb.Presenting", "doNotDisturb")
	form.Del("line.Away.") // a form that does not know the line
	w.post("mapping", form)
	if got := w.overrides(); got != `[{"availability":"Away","state":"absent"},{"availability":"Busy","activity":"InAMeeting","state":"busy"}]` {
		t.Errorf("after taking lines away: %s", got)
	}
	form = formOf(w.get("/api/console/mapping").Body.String())
	form.Set("reset", "yes")
	form.Set("line.Away.", "busy")
	if answer := w.post("mapping", form); answer.Code != 303 || w.overrides() != "[]" {
		t.Errorf("back to the default = %d %s", answer.Code, w.overrides())
	}
}

func TestALineOfTheMappingThatIsRefusedSaysWhy(t *testing.T) {
	w := start(t, settings.Overrides{})
	w.signIn()
	w.register()
	for _, row := range []struct{ availability, activity, choice, field, says string }{
		{"Busy", "", "busy", "newActivity", "Choose an activity"},
		{"", "InACall", "busy", "newAvailability", "Choose an availability"},
		{"Busy", "InACall", "nothing", "newActivity", "Busy, in a call has a line above"},
		{"<script>alert(1)</script>", "😀", "busy", "newAvailability", "Choose an availability"},
		{"Busy", strings.Repeat("x", 10_000), "busy", "newActivity", "Choose an activity"},
		{"Away", "OffWork", "purple", "newChoice", "Choose what"},
	} {
		form := formOf(w.get("/api/console/mapping").Body.String())
		form.Set("line.Busy.InAMeeting", "absent")
		form.Set("newAvailability", row.availability)
		form.Set("newActivity", row.activity)
		form.Set("newChoice", row.choice)
		answer := w.post("mapping", form)
		page := answer.Body.String()
		if answer.Code != 422 || w.overrides() != "[]" || strings.Contains(page, "<script>alert") {
			t.Errorf("%.20q, %.20q = %d, %s", row.availability, row.activity, answer.Code, w.overrides())
		}
		if text := described(t, page, row.field); !strings.Contains(text, row.says) {
			t.Errorf("beside %s stands %q", row.field, text)
		}
		has(t, answer, "Not done: ", `href="#`+row.field+`"`, `<option value="absent" selected>`)
	}
	for _, form := range []url.Values{{"line.Busy.InACall": {"purple"}}, {"line.Purple.": {"busy"}}, {"x": {"y"}}} {
		if answer := w.post("mapping", form); answer.Code != 303 || w.overrides() != "[]" {
			t.Errorf("%v = %d %s", form, answer.Code, w.overrides())
		}
	}
	if answer := w.post("mapping", nil); answer.Code != 400 {
		t.Errorf("an empty form = %d", answer.Code)
	}
}

func TestTheMappingOfAnOldPageDoesNotUndoAnother(t *testing.T) {
	w := start(t, settings.Overrides{})
	w.signIn()
	w.register()
	form := formOf(w.get("/api/console/mapping").Body.String())
	form.Set("line.Busy.InAMeeting", "busy")
	w.post("mapping", form)
	form.Set("line.Busy.InAMeeting", "absent")
	answer := w.post("mapping", form)
	if answer.Code != 412 || !strings.Contains(w.overrides(), `"state":"busy"`) {
		t.Errorf("= %d %s", answer.Code, w.overrides())
	}
	has(t, answer, "Nothing was saved", `<option value="absent" selected>`)
	w.cookie = nil
	if answer := w.get("/api/console/mapping"); answer.Code != 303 || answer.Header().Get("Location") != "/api/console?next=%2Fapi%2Fconsole%2Fmapping" {
		t.Errorf("without a session = %d %s", answer.Code, answer.Header().Get("Location"))
	}
	if answer := w.post("mapping", form); answer.Code != 403 {
		t.Errorf("a change without a session = %d", answer.Code)
	}
}

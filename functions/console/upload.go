package console

import (
	"context"
	"errors"
	"fmt"
	"io"
	"mime"
	"mime/multipart"
	"net/http"
	"strconv"
	"strings"

	"procallteams/functions/directory"
	"procallteams/functions/usermatching"
	"procallteams/internal/access"
	"procallteams/internal/host"
	"procallteams/internal/matching"
	"procallteams/internal/namelist"
	"procallteams/internal/problem"
)

// Largest bodies of the two uploads: the file's own limit, and the form around it.
const (
	maxNames = namelist.MaxBytes + 64<<10
	maxUsers = 100_000_000
)

// upload is a form with a file.
type upload struct {
	Step, Title, Text, Accept string
	InForce                   string // what is in force now
	Download                  string // its address
	Confirms                  bool
	Removable                 bool // what is in force may be taken away
}

// offers are the uploads that this bridge takes.
func (f *Function) offers(all roster) (list []upload) {
	if f.TakeNames != nil {
		u := upload{Step: "usermatching", Title: "usermatching.csv", Accept: ".csv,text/csv",
			Text:    "Two columns: the Entra user name (UPN) and the UCServer user name. Only for people whom nothing else matches; it goes before every other rule.",
			InForce: "None is in force."}
		if all.list.Blob != "" {
			u.InForce = fmt.Sprintf("Names in force: %d, since %s.", all.list.Lines, all.list.At.UTC().Format("2006-01-02 15:04 UTC"))
			u.Download = "/api/usermatching"
		}
		list = append(list, u)
	}
	if f.TakeUsers != nil {
		u := upload{Step: "users", Title: "UCServer's users", Accept: ".ndjson,.jsonl,application/x-ndjson", Confirms: true,
			Text:    "The complete list, as a connector sends it: one JSON object on each line, the last one counts the others. Only without a connector that sends it.",
			InForce: "UCServer's users are not known: the name in usermatching.csv, else the UPN, is taken for the UCServer user name."}
		if all.sent.Blob != "" {
			u.InForce = fmt.Sprintf("Users in force: %d, since %s.", all.sent.Count, all.sent.At.UTC().Format("2006-01-02 15:04 UTC"))
			u.Download, u.Removable = "/api/v1/directory?limit=200000", true
		}
		list = append(list, u)
	}
	return list
}

// errForm says that an upload is none of ours.
var errForm = errors.New("the form did not arrive whole; try again")

// sent is an upload's form: what stands before the file, and the file; none where what
// is in force is to be taken away.
type sent struct {
	fields map[string]string
	file   io.Reader
}

// formOf reads a form up to its file, which comes last. It is streamed, so that it is
// in memory once.
func formOf(r *http.Request) (sent, error) {
	kind, parameters, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if err != nil || kind != "multipart/form-data" {
		return sent{}, errForm
	}
	form := sent{fields: map[string]string{}}
	parts := multipart.NewReader(r.Body, parameters["boundary"])
	for {
		part, err := parts.NextPart()
		if err != nil {
			return sent{}, errForm
		}
		if part.FormName() == "file" {
			if part.FileName() == "" {
				return sent{}, errors.New("choose a file first")
			}
			form.file = part
			return form, nil
		}
		value, err := io.ReadAll(io.LimitReader(part, 1<<10))
		if err != nil {
			return sent{}, errForm
		}
		form.fields[part.FormName()] = strings.TrimSpace(string(value))
	}
}

// take is a step of the page with a file.
func (f *Function) take(w http.ResponseWriter, r *http.Request, name string) {
	form, err := formOf(r)
	if err != nil {
		f.people(w, r, http.StatusBadRequest, peopleView{Notice: notice{"bad", "Nothing was taken in: " + err.Error() + "."}})
		return
	}
	var did effects
	var explain func(error) (problem.Details, bool)
	if name == "usermatching" {
		did, err = f.takeNames(r.Context(), form)
		explain = usermatching.Explain
	} else {
		did, err = f.takeUsers(r.Context(), form)
		explain = directory.Explain
	}
	f.outcome(w, r, name, did, err, explain)
}

// removeUsers is the step that takes the list of UCServer's users away.
func (f *Function) removeUsers(w http.ResponseWriter, r *http.Request) {
	if err := r.ParseForm(); err != nil || len(r.PostForm) == 0 {
		f.people(w, r, http.StatusBadRequest, peopleView{Notice: notice{"bad", "Nothing was changed: " + errForm.Error() + "."}})
		return
	}
	fields := map[string]string{"confirm": strings.TrimSpace(r.PostForm.Get("confirm")), "dryRun": r.PostForm.Get("dryRun")}
	did, err := f.takeUsers(r.Context(), sent{fields: fields})
	f.outcome(w, r, "users/remove", did, err, directory.Explain)
}

// outcome shows the page with what a step did, or why it was refused.
func (f *Function) outcome(w http.ResponseWriter, r *http.Request, name string, did effects, err error, explain func(error) (problem.Details, bool)) {
	if err != nil {
		d, expected := explain(err)
		if !expected {
			host.Log(r.Context(), f.Log).Error("console", "step", name, "error", err.Error())
		}
		f.people(w, r, d.Status, refusedUpload(name, d))
		return
	}
	f.changed(r.Context(), name)
	f.people(w, r, http.StatusOK, peopleView{Notice: notice{"ok", did.text}, Turns: did.turns, MoreTurns: did.count - len(did.turns)})
}

// effects are what an upload does, or would do.
type effects struct {
	text  string
	turns []string // the first people whose match changes
	count int      // of all whose match changes
}

// maxTurns is how many people the page lists.
const maxTurns = 100

func (e *effects) add(name, effect, before, after string) {
	if e.count++; len(e.turns) == maxTurns {
		return
	}
	line := matching.Visible(name) + ": " + effect
	if before != "" {
		line += ", before " + matching.Visible(before)
	}
	if after != "" {
		line += ", now " + matching.Visible(after)
	}
	e.turns = append(e.turns, line)
}

func (f *Function) takeNames(ctx context.Context, form sent) (did effects, err error) {
	receipt, err := f.TakeNames(ctx, usermatching.Upload{Who: access.AdministratorFrom(ctx), From: form.file, DryRun: form.fields["dryRun"] == "yes"})
	if err != nil {
		return did, err
	}
	var text strings.Builder
	fmt.Fprintf(&text, "usermatching.csv was read. Names: %d, warnings: %d. ", receipt.Names, receipt.WarningCount)
	for _, w := range receipt.Warnings[:min(len(receipt.Warnings), 10)] {
		text.WriteString(at(w.Line, w.Text) + ". ")
	}
	if c := receipt.Changes; c != nil {
		text.WriteString(turns(c.Gained, c.Lost, c.Moved))
		for _, t := range c.Accounts {
			did.add(t.Name, t.Effect, t.Before, t.After)
		}
		did.count = c.Gained + c.Lost + c.Moved
	}
	did.text = text.String() + stored(receipt.Stored, form)
	return did, nil
}

func (f *Function) takeUsers(ctx context.Context, form sent) (did effects, err error) {
	confirm, err := strconv.Atoi(form.fields["confirm"])
	if err != nil {
		confirm = -1
	}
	do := directory.Replace
	if form.file == nil {
		do = directory.Remove
	}
	receipt, err := f.TakeUsers(ctx, directory.Step{
		Who: access.AdministratorFrom(ctx), Do: do, From: form.file, Confirm: confirm, DryRun: form.fields["dryRun"] == "yes",
	})
	if err != nil {
		return did, err
	}
	text := fmt.Sprintf("UCServer's users: %d on the list; %d added, %d changed, %d removed. ", receipt.Count, receipt.Added, receipt.Changed, receipt.Removed)
	if c := receipt.Turns(); c != nil {
		text += turns(c.Gained, c.Lost, c.Moved)
		for line := range receipt.Lines() {
			if line.Turns == "" {
				continue
			}
			now := ""
			if line.Account != nil && line.Turns != matching.Lost.String() {
				now = line.Account.UPN
			}
			did.add(line.Name, line.Turns, "", now)
		}
	}
	did.text = text + stored(receipt.Stored, form)
	return did, nil
}

func turns(gained, lost, moved int) string {
	return fmt.Sprintf("People who are matched anew: %d, no longer: %d, with somebody else: %d. ", gained, lost, moved)
}

func stored(is bool, form sent) string {
	switch {
	case is:
		return "Stored; it takes effect with the next sync."
	case form.fields["dryRun"] == "yes":
		return "Nothing was stored: this was a trial."
	}
	return "Nothing was stored: the same is in force already."
}

// maxFaults is how many faults the page lists.
const maxFaults = 100

func refusedUpload(name string, d problem.Details) peopleView {
	v := peopleView{Notice: notice{"bad", sentence(d.Title) + sentence(d.Detail) + sentence(d.NextStep)}}
	if d.Confirm != nil {
		again := "choose the file again and "
		if name == "users/remove" {
			again = ""
		}
		v.Notice.Text = sentence(d.Title) + sentence(d.Detail) + fmt.Sprintf("Look why. If it is meant, %senter %d as confirmation.", again, *d.Confirm)
	}
	for _, fault := range d.Faults[:min(len(d.Faults), maxFaults)] {
		line := at(fault.Line, fault.Text)
		if fault.Repair != "" {
			line += " – " + fault.Repair
		}
		v.Faults = append(v.Faults, line)
	}
	v.More = d.FaultCount - len(v.Faults)
	return v
}

// at says where something is; line 0 is the whole file.
func at(line int, text string) string {
	if line == 0 {
		return strings.ToUpper(text[:1]) + text[1:]
	}
	return fmt.Sprintf("Line %d: %s", line, text)
}

func sentence(text string) string {
	if text == "" {
		return ""
	}
	return strings.TrimSuffix(text, ".") + ". "
}

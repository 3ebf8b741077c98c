package health

import (
	"fmt"
	"maps"
	"slices"
	"time"

	"procallteams/internal/calls"
	"procallteams/internal/consent"
)

// behindAfter is how long a report may wait for the writer before that is called
// out: a queue that sleeps may take two minutes.
const behindAfter = 2 * time.Minute

// writing judges the direction from ProCall to Teams: the cause before its
// consequences.
func writing(now time.Time, in Input) []Finding {
	if !in.Settings.Writes() {
		if f, ok := failingWrites(now, in); ok && in.Writer.Held > 0 {
			f.Title = "What the bridge left in Teams can't be cleared"
			return []Finding{f}
		}
		return nil
	}
	found := reporting(now, in)
	if f, ok := unlisted(now, in); ok {
		found = append(found, f)
	}
	grant, allowed := consent.Carrier(in.Grants, consent.Writing)
	failure, failing := failingWrites(now, in)
	switch {
	case !allowed:
		found = append(found, required(RequiredWrite, "Writing calls to Teams needs the admin consent", grant))
	case failing:
		found = append(found, failure)
	case !in.DueSince.IsZero() && now.Sub(in.DueSince) > behindAfter:
		found = append(found, Finding{
			Code: WritesBehind, Fault: true, Title: "Calls reach Teams late", Since: in.DueSince,
			Detail:   "the oldest report that is not written yet is from " + stamp(in.DueSince),
			NextStep: "Give presenceset an always-ready instance; look at the budget for Graph (graphBudget) when many calls begin at once.", Who: "operator",
		})
	}
	if n := in.Writer.Refused; n > 0 {
		found = append(found, Finding{
			Code: WritesRefused, Title: fmt.Sprintf("Microsoft refuses to write the presence of %s", people(n)), Detail: "each is tried again after an hour, then once a day",
			NextStep: "Look one of them up on the console (People) for the reason: often an account without a Teams licence.", Who: "administrator",
		})
	}
	return found
}

// unlisted judges the directory where no presences are read: a sync reads it then
// for the reports alone.
func unlisted(now time.Time, in Input) (Finding, bool) {
	beat := in.Heartbeat
	if in.Settings.Reads() || beat.Error == "" || now.Sub(beat.ErrorSince) <= patience {
		return Finding{}, false
	}
	return Finding{
		Code: StaleReading, Fault: true, Title: "The tenant's directory can't be read", Detail: beat.Error, Since: beat.ErrorSince,
		NextStep: "Run the check on the console; it names the part that fails. Reports about people who are known already count meanwhile.", Who: "operator",
	}, true
}

func failingWrites(now time.Time, in Input) (Finding, bool) {
	w := in.Writer
	if w.Error == "" || now.Sub(w.ErrorSince) <= patience {
		return Finding{}, false
	}
	grant, allowed := consent.Carrier(in.Grants, consent.Writing)
	if allowed && w.ErrorCode == "authorization-required" && grant.Since.After(w.At) {
		return Finding{}, false // somebody consented meanwhile: the next try shows it
	}
	return Finding{
		Code: WritesFailing, Fault: true, Title: "Calls can't be written to Teams", Detail: w.Error, Since: w.ErrorSince,
		NextStep: "Run the check on the console; it names the part that fails.", Who: "operator",
	}, true
}

// reporting judges those who say who is on the phone.
func reporting(now time.Time, in Input) []Finding {
	var found []Finding
	for _, id := range slices.Sorted(maps.Keys(in.Reporters)) {
		r := in.Reporters[id]
		switch {
		case r.Need == calls.NeedExpired, r.Need == "" && now.After(r.Until.Add(patience)): // its end is still to be noted
			found = append(found, silent(r))
		case r.Need != "":
			found = append(found, Finding{
				Code: ReporterListNeeded, Title: "A reporter of calls has to send its complete list", Since: r.NeedSince,
				Detail:   "credential " + r.ID + ": " + needs[r.Need] + "; until then nothing else is accepted from it",
				NextStep: "Nothing: a connector sends it when it is told so. If this stays, look at the connector's log.", Who: "connector",
			})
		}
	}
	return found
}

var needs = map[calls.Need]string{
	calls.NeedFirst:  "it never sent one",
	calls.NeedMissed: "something that it reported was not kept",
}

func silent(r calls.Reporter) Finding {
	f := Finding{
		Code: ReporterSilent, Fault: true, Title: "UCServer reports no calls any more", Since: r.Seen,
		Detail:   "credential " + r.ID + " was last heard at " + stamp(r.Seen) + "; its lease ended",
		NextStep: "Start the connector beside UCServer, and see whether it reaches the bridge. If this one is gone for good, revoke its credential.", Who: "connector",
	}
	if r.Ended > 0 {
		f.Detail += fmt.Sprintf(", and with it the calls of %s in Teams", people(r.Ended))
	}
	return f
}

func people(n int) string {
	if n == 1 {
		return "one person"
	}
	return fmt.Sprintf("%d people", n)
}

// judgeWriting fills in a direction that is on.
func judgeWriting(now time.Time, in Input, d *Direction) {
	grant, _ := consent.Carrier(in.Grants, consent.Writing)
	found := writing(now, in)
	if i := slices.IndexFunc(found, func(f Finding) bool { return f.Code == RequiredWrite }); i >= 0 {
		d.blocked(found[i], grant.Code)
		return
	}
	d.Carrier, d.State, d.Since = consent.Admin, Working, grant.Since
	if i := slices.IndexFunc(found, func(f Finding) bool { return f.Fault }); i >= 0 {
		f := found[i]
		d.State, d.Since, d.Reason, d.NextStep = StaleState, f.Since, f.Title+": "+f.Detail, f.NextStep
		return
	}
	if !slices.ContainsFunc(slices.Collect(maps.Values(in.Reporters)), func(r calls.Reporter) bool { return r.Need == "" }) {
		d.State, d.Since = Starting, time.Time{}
		d.Reason = "no complete list of calls was sent yet"
		d.NextStep = "Let UCServer's connector send PUT /api/v1/telephony, with a credential of scope report."
	}
}

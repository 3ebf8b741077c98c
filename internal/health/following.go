package health

import (
	"fmt"
	"time"

	"procallteams/internal/consent"
	"procallteams/internal/directory"
)

// unreadAfter is how long the directory may stay unread before that is told: it changes
// slowly, and Graph asks for pauses.
const unreadAfter = 5 * time.Minute

// following judges whether changes in Entra are still heard of. What is known goes on
// meanwhile, so it is a note. Without a consent that is told already.
func following(now time.Time, in Input) (Finding, bool) {
	_, allowed := consent.Carrier(in.Grants, consent.Reading)
	if !allowed || in.Unread == "" || in.Settings.Paused || now.Sub(in.UnreadSince) <= unreadAfter {
		return Finding{}, false
	}
	return Finding{
		Code: DirectoryUnread, Title: "Changes of accounts or groups are not read from Entra", Detail: in.Unread, Since: in.UnreadSince,
		NextStep: "Give the app registration the permission that is named, with admin consent, if one is; else see whether it passes. What was known before stays in use; a group that was never read admits nobody.", Who: "administrator",
	}, true
}

// missingAfter is how long a group may be missing before that is told: Entra is asked
// every ten minutes, so it was not found twice.
const missingAfter = 15 * time.Minute

// missing judges whether the rules name an Entra group that there is not.
func missing(now time.Time, in Input) (Finding, bool) {
	absent := in.Absent
	if absent.Group == "" || now.Sub(absent.Since) <= missingAfter {
		return Finding{}, false
	}
	f := Finding{
		Code: GroupMissing, Title: "Entra does not have a group that the rules name", Detail: "group " + absent.Group, Since: absent.Since,
		NextStep: "If it was deleted by mistake, restore it in Entra (Groups, Deleted groups); else take it out of the rules on the console. ", Who: "administrator",
	}
	if absent.Others > 0 {
		f.Detail += fmt.Sprintf(", and %d more", absent.Others)
	}
	if absent.Deleted {
		f.NextStep += "Nobody takes part by it any more."
	} else {
		f.NextStep += "Who was in it takes part until " + stamp(absent.Since.Add(directory.GoneAfter)) + "."
	}
	f.NextStep += " Whom it excludes stays excluded until you take it out."
	return f, true
}

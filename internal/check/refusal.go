package check

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"procallteams/internal/consent"
	"procallteams/internal/entra/aadsts"
	"procallteams/internal/outbound"
	"procallteams/internal/settings"
)

// explain adds what consent, Entra and the way out know about an error.
func explain(f found, err error) found {
	if way, is := errors.AsType[*outbound.Error](err); is {
		f.detail, f.code, f.next, f.who = way.Cause, string(way.Kind), way.NextStep(), "operator"
	}
	if refusal, is := errors.AsType[*aadsts.Error](err); is {
		f.detail, f.code = refusal.Said(), refusal.Code
		f.next, f.who = orElse(refusal.Step, f.next), whoOf(refusal.Class)
	}
	if missing, is := errors.AsType[*consent.RequiredError](err); is {
		f.detail, f.code = missing.Cause, missing.Code
		if !missing.Since.IsZero() {
			f.detail += ", since " + missing.Since.UTC().Format("2006-01-02 15:04:05 UTC")
		}
		f.next, f.who = orElse(missing.Step, "Open /api/console and give the "+string(missing.Kind)+" consent again."), "administrator"
	}
	if unset, is := errors.AsType[*consent.UnsetError](err); is {
		f.detail, f.next, f.who = unset.What+" is not set", unset.Sentence(), "administrator"
	}
	return f
}

func whoOf(class aadsts.Class) string {
	switch class {
	case aadsts.Transient, aadsts.Defect:
		return "operator"
	}
	return "administrator"
}

// described is the credential in words, and when it ends.
func described(c consent.CredentialUse, now time.Time) string {
	text := map[settings.CredentialKind]string{
		settings.Federated: "the bridge's managed identity, as a federated credential", settings.CertificateInKeyVault: "a certificate from Key Vault",
		settings.SecretInKeyVault: "a client secret",
	}[c.Kind]
	switch {
	case c.Kind == settings.Federated:
		return text + ", which never ends"
	case c.Ends.IsZero():
		return text + " whose end is not known"
	}
	return fmt.Sprintf("%s, which ends on %s (%s)", text, c.Ends.UTC().Format(time.DateOnly), consent.DaysLeft(c.Ends, now))
}

// count is a number of things in words: "1 role", "3 roles".
func count(n int, thing string) string {
	if n == 1 {
		return "1 " + thing
	}
	return fmt.Sprintf("%d %ss", n, thing)
}

// gapIn says how permissions differ from what is needed, and whether something is
// missing. Nothing is said when all is as it should be.
func gapIn(gap consent.Gap, shared bool, kind consent.Kind) (text, next string) {
	var parts []string
	permission := map[consent.Kind]string{consent.Admin: "application", consent.User: "delegated"}[kind]
	if len(gap.Missing) > 0 {
		parts = append(parts, "missing: "+strings.Join(gap.Missing, ", "))
		next = "Add " + strings.Join(gap.Missing, " and ") + " to the app registration as " + permission + " permission, then give the " + string(kind) + " consent again."
		if shared {
			next = "Give the " + string(kind) + " consent again. If it stays missing, whoever hosts the bridge must add " + strings.Join(gap.Missing, " and ") + " to the shared app registration."
		}
	}
	if len(gap.Superfluous) > 0 {
		parts = append(parts, "more than needed: "+strings.Join(gap.Superfluous, ", "))
		if next == "" {
			next = "Nothing must be done; the bridge works with less. To take it back, remove it from the app registration's API permissions and revoke it under Enterprise applications, Permissions."
			if shared {
				next = "Nothing must be done; the bridge works with less. Whoever hosts the bridge decides what its app registration asks for."
			}
		}
	}
	if len(gap.Unused) > 0 {
		parts = append(parts, strings.Join(gap.Unused, ", ")+" is not needed while no rule names an Entra group")
	}
	return strings.Join(parts, "; "), next
}

// Package integration changes the settings entity, for the console and for the
// integration API alike: what is fixed stays fixed, what can be checked is
// checked live, and every change has an audit entry.
//
// No I/O of its own: storage keeps the settings, entra resolves tenants.
package integration

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"

	"procallteams/internal/access"
	"procallteams/internal/secret"
	"procallteams/internal/settings"
)

// Store keeps the settings.
type Store interface {
	// Load returns the settings with app settings applied, and the JSON names of
	// the fields that these fix.
	Load(ctx context.Context) (settings.Integration, []string, error)
	// Save stores next if its Version is still the stored one ([access.ErrRace]
	// otherwise) and returns it with its new version.
	Save(ctx context.Context, next settings.Integration) (settings.Integration, error)
}

// Tenants resolves a tenant's id or one of its domains to its id, at Entra. Its
// errors say what is wrong in the administrator's words.
type Tenants interface {
	ResolveTenant(ctx context.Context, tenantOrDomain string) (string, error)
}

// FixedError reports that app settings fix the fields.
type FixedError struct{ Fields []string }

func (e *FixedError) Error() string {
	return strings.Join(e.Fields, ", ") + ": fixed by an app setting of the function app; change it there"
}

// InvalidError reports values that are not possible, one sentence each.
type InvalidError struct{ Faults error }

func (e *InvalidError) Error() string { return e.Faults.Error() }
func (e *InvalidError) Unwrap() error { return e.Faults }

// TenantError reports what Entra said about the tenant.
type TenantError struct{ Err error }

func (e *TenantError) Error() string { return "tenant: " + e.Err.Error() }
func (e *TenantError) Unwrap() error { return e.Err }

// Editor changes settings.
type Editor struct {
	Store   Store
	Tenants Tenants
	Audit   access.Auditor
	// PushSecret signs pushes; it is made with the first push address.
	PushSecret *access.Kept
	// Changed is told of every change after it was stored, for the tenant before and
	// the one after: whoever works with the settings need not wait for the next tick.
	// A crash may skip it. Nil: nobody is told.
	Changed func(ctx context.Context, tenant string)
	Now     func() time.Time
}

// Change loads the settings, lets edit change them and stores the result. A
// version that is not negative must be the stored one ([access.ErrRace]).
//
// When the first push address was set, the signing secret comes back, to be
// shown once; else the secret is empty.
func (e Editor) Change(ctx context.Context, who string, version int64, edit func(*settings.Integration)) (settings.Integration, secret.Text, error) {
	nothing := secret.Text{}
	current, fixed, err := e.Store.Load(ctx)
	if err != nil {
		return settings.Integration{}, nothing, err
	}
	if version >= 0 && version != current.Version {
		return settings.Integration{}, nothing, access.ErrRace
	}
	apply := func(next settings.Integration) settings.Integration {
		edit(&next)
		next.Version = current.Version
		next.Tenant, next.ClientID = tidy(next.Tenant), tidy(next.ClientID)
		next.PushURL, next.PushAuthority = strings.TrimSpace(next.PushURL), settings.TidyAuthority(next.PushAuthority)
		next.TeamsToProCall, next.ProCallToTeams = next.TeamsToProCall.Tidy(), next.ProCallToTeams.Tidy()
		return next
	}
	next := apply(current)
	if next.Tenant != current.Tenant && next.Tenant != "" && !slices.Contains(fixed, "tenant") {
		tenant, err := e.Tenants.ResolveTenant(ctx, next.Tenant)
		if err != nil {
			return settings.Integration{}, nothing, &TenantError{err}
		}
		if current.Tenant != "" && tenant != current.Tenant {
			// What was switched on for one tenant is not on for another, unless this
			// change says so.
			off := current
			off.TeamsToProCall, off.ProCallToTeams, off.AlsoWrite = settings.Nobody, settings.Nobody, settings.AlsoWrite{}
			next = apply(off)
		}
		next.Tenant = tenant
	}
	changed := differences(current, next)
	if refused := slices.DeleteFunc(slices.Clone(changed), func(name string) bool { return !slices.Contains(fixed, name) }); len(refused) > 0 {
		return settings.Integration{}, nothing, &FixedError{refused}
	}
	if err := next.Validate(); err != nil {
		return settings.Integration{}, nothing, &InvalidError{err}
	}
	if len(changed) == 0 {
		return current, nothing, nil
	}
	if current.Tenant != "" && next.Tenant == "" {
		return settings.Integration{}, nothing, &InvalidError{errors.New("tenant: can be replaced by another one, not removed; pause or switch off instead")}
	}
	// The secret first: pushes begin with the address, and must be signed.
	shown := nothing
	if next.PushURL != "" && current.PushURL == "" {
		if shown, err = e.firstPushSecret(ctx); err != nil {
			return settings.Integration{}, nothing, err
		}
	}
	if err := e.Audit.Record(ctx, next.Tenant, access.Change{Who: who, What: "settings changed", Fields: changed, At: e.Now()}); err != nil {
		return settings.Integration{}, nothing, fmt.Errorf("record the change: %w", err)
	}
	saved, err := e.Store.Save(ctx, next)
	if err != nil {
		return settings.Integration{}, nothing, err
	}
	e.tell(ctx, current.Tenant, saved.Tenant)
	return saved, shown, nil
}

// tell wakes whoever works for the tenants that a change touches.
func (e Editor) tell(ctx context.Context, before, after string) {
	if e.Changed == nil {
		return
	}
	// The change is stored: it counts even if the administrator closed the page.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
	defer cancel()
	if after != "" {
		e.Changed(ctx, after)
	}
	if before != "" && before != after {
		e.Changed(ctx, before)
	}
}

// firstPushSecret makes the signing secret, unless there is one already: that
// one was shown before, and replacing it is a step of its own. One that was
// disabled or deleted in Key Vault is made anew.
func (e Editor) firstPushSecret(ctx context.Context) (secret.Text, error) {
	_, err := e.PushSecret.Get(ctx)
	if !errors.Is(err, access.ErrUnknown) && !errors.Is(err, secret.ErrNotFound) {
		return secret.Text{}, err
	}
	return e.PushSecret.Ensure(ctx)
}

// ReplacePushSecret makes a new signing secret and returns it, to be shown once.
// Pushes are signed with it from now on.
func (e Editor) ReplacePushSecret(ctx context.Context, who string) (secret.Text, error) {
	current, _, err := e.Store.Load(ctx)
	if err != nil {
		return secret.Text{}, err
	}
	if err := e.Audit.Record(ctx, current.Tenant, access.Change{Who: who, What: "push secret replaced", At: e.Now()}); err != nil {
		return secret.Text{}, fmt.Errorf("record the change: %w", err)
	}
	return e.PushSecret.Replace(ctx)
}

// tidy trims what people paste, and writes a GUID as it is stored.
func tidy(text string) string {
	text = strings.TrimSpace(text)
	if id, err := uuid.Parse(text); err == nil {
		return id.String()
	}
	return strings.ToLower(text)
}

// differences returns the JSON names of the fields that differ.
func differences(a, b settings.Integration) []string {
	var names []string
	for _, f := range []struct {
		name string
		same bool
	}{
		{"tenant", a.Tenant == b.Tenant},
		{"clientId", a.ClientID == b.ClientID},
		{"credential", a.Credential == b.Credential},
		{"certificate", a.Certificate == b.Certificate},
		{"registration", a.Registration == b.Registration},
		{"profile", a.Profile == b.Profile},
		{"consentCheckSeconds", a.ConsentCheck == b.ConsentCheck},
		{"teamsToProCall", a.TeamsToProCall == b.TeamsToProCall},
		{"proCallToTeams", a.ProCallToTeams == b.ProCallToTeams},
		{"mapping", a.Mapping == b.Mapping},
		{"alsoWrite", a.AlsoWrite == b.AlsoWrite},
		{"onlySignedIn", a.OnlySignedIn == b.OnlySignedIn},
		{"helpdesk", a.LookUps == b.LookUps},
		{"paused", a.Paused == b.Paused},
		{"pushUrl", a.PushURL == b.PushURL},
		{"pushAuthority", a.PushAuthority == b.PushAuthority},
		{"staleAfterSeconds", a.StaleAfter == b.StaleAfter},
		{"graphBudget", a.GraphBudget == b.GraphBudget},
		{"retentionHours", a.Retention == b.Retention},
	} {
		if !f.same {
			names = append(names, f.name)
		}
	}
	return names
}

package console

import (
	"context"
	_ "embed"
	"errors"
	"net/url"
	"strings"
	"time"

	"procallteams/internal/access"
	"procallteams/internal/appcredential"
	"procallteams/internal/consent"
	"procallteams/internal/host"
	"procallteams/internal/report"
	"procallteams/internal/secret"
	"procallteams/internal/settings"
)

//go:embed app.html
var appText string

// AppCredential is what proves the app registration.
type AppCredential interface {
	// Kind is the kind that is in force.
	Kind(settings.Integration) settings.CredentialKind
	// Trust is what a federated credential must hold; false without an identity.
	Trust(ctx context.Context, tenant string) (appcredential.Trust, bool)
	// SetSecret stores the client secret and when it ends, or with an empty value its
	// end alone. Its errors are fit to be shown.
	SetSecret(ctx context.Context, value secret.Text, ends time.Time) error
}

// credentialForm is the part of step 1 about what proves the registration.
type credentialForm struct {
	Kind        settings.CredentialKind
	Identity    bool // there is a managed identity to choose
	Trust       appcredential.Trust
	Certificate string
	Ends        string // as typed, when the form was refused
	Known       string // until when the one in force is valid, empty when nobody knows
	Tomorrow    string
	Shared      bool // the registration belongs to whoever hosts the bridge
	ReadOnly    bool // it may not write

	faults
}

// Is reports whether a kind is ticked.
func (c credentialForm) Is(kind string) bool { return string(c.Kind) == kind }

func (f *Function) credentialForm(ctx context.Context, state report.State, kept url.Values) credentialForm {
	// An identity endpoint that is away costs the page no more than this.
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	current := state.Settings
	form := credentialForm{
		Kind: f.App.Kind(current), Certificate: current.Certificate, Tomorrow: f.Now().UTC().AddDate(0, 0, 1).Format(time.DateOnly),
		Shared: current.Registration == settings.SharedRegistration, ReadOnly: current.Profile == settings.ReadOnlyProfile,
	}
	form.Trust, form.Identity = f.App.Trust(ctx, current.Tenant)
	for _, g := range state.Grants {
		if g.Kind == consent.Admin && !g.CredentialEnds.IsZero() {
			form.Known = g.CredentialEnds.UTC().Format(time.DateOnly)
		}
	}
	if kept.Has("clientId") {
		form.Kind, form.Certificate, form.Ends = settings.CredentialKind(kept.Get("credential")), kept.Get("certificate"), kept.Get("secretEnds")
		form.Shared, form.ReadOnly = kept.Has("shared"), kept.Has("readOnly")
	}
	return form
}

// saveApp stores the registration and what proves it, as far as that is given, and
// lets Entra look at it.
func (f *Function) saveApp(ctx context.Context, who string, form url.Values) (string, error) {
	value := secret.New(strings.TrimSpace(form.Get("clientSecret")))
	kind := settings.CredentialKind(form.Get("credential"))
	var ends time.Time
	if text := form.Get("secretEnds"); text != "" {
		var err error
		if ends, err = time.Parse(time.DateOnly, text); err != nil {
			return "", refusal{"The end date is not a date such as 2027-11-26.", "secretEnds"}
		}
	}
	switch {
	case value.Empty():
	case kind == "":
		kind = settings.SecretInKeyVault
	case kind != settings.SecretInKeyVault:
		return "", refusal{"A client secret is entered, but another credential is chosen: choose the client secret, or empty that field.", "clientSecret"}
	}
	version, err := f.unchanged(ctx, "app", form)
	if err != nil {
		return "", err
	}
	saved, _, err := f.Editor.Change(ctx, who, version, func(i *settings.Integration) {
		i.Tenant, i.ClientID = form.Get("tenant"), form.Get("clientId")
		if form.Has("kind") { // boxes that are not ticked are absent
			i.Registration, i.Profile = registrationOf(form), profileOf(form)
		}
	})
	if err != nil {
		return "", err
	}
	done := "app"
	if kind == settings.SecretInKeyVault && (!value.Empty() || !ends.IsZero()) {
		if done, err = f.storeSecret(ctx, who, saved.Tenant, value, ends); err != nil {
			return "", err
		}
	}
	// The kind last: a secret that is refused takes nothing away from what works.
	if _, _, err = f.Editor.Change(ctx, who, -1, func(i *settings.Integration) {
		if kind != "" {
			i.Credential = kind
		}
		if kind == settings.CertificateInKeyVault {
			i.Certificate = strings.TrimSpace(form.Get("certificate"))
		}
	}); err != nil {
		return "", err
	}
	// A fresh token shows at once whether Entra accepts all that; upkeep looks again
	// anyway.
	ctx, cancel := context.WithTimeout(ctx, 15*time.Second)
	defer cancel()
	if err := f.Probe(ctx); err != nil {
		host.Log(ctx, f.Log).Warn("probe after a change of the app registration", "error", err.Error())
	}
	return done, nil
}

func registrationOf(form url.Values) settings.Registration {
	if form.Has("shared") {
		return settings.SharedRegistration
	}
	return settings.OwnRegistration
}

func profileOf(form url.Values) settings.Profile {
	if form.Has("readOnly") {
		return settings.ReadOnlyProfile
	}
	return settings.FullProfile
}

// storeSecret stores a client secret, or its end alone, with an entry in the audit
// trail before.
func (f *Function) storeSecret(ctx context.Context, who, tenant string, value secret.Text, ends time.Time) (done string, err error) {
	what, done := "client secret replaced", "secret"
	if value.Empty() {
		what, done = "end date of the client secret set", "ends"
	}
	if err := f.Editor.Audit.Record(ctx, tenant, access.Change{Who: who, What: what, At: f.Now()}); err != nil {
		return "", err
	}
	err = f.App.SetSecret(ctx, value, ends)
	if refused, ok := errors.AsType[*appcredential.SecretError](err); ok {
		return "", refusal{strings.ToUpper(refused.Error()[:1]) + refused.Error()[1:], "clientSecret"}
	}
	return done, err
}

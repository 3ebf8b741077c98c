package console

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"strings"

	"procallteams/internal/access"
	"procallteams/internal/consent"
	"procallteams/internal/host"
	"procallteams/internal/integration"
	"procallteams/internal/secret"
	"procallteams/internal/settings"
)

// done are the notices that a query may call up: fixed texts, so that a link
// can't put words into our mouth.
var done = map[string]notice{
	"app":          {"ok", "The app registration is saved."},
	"secret":       {"ok", "The client secret is stored in Key Vault."},
	"ends":         {"ok", "The client secret's end date is stored in Key Vault."},
	"mapping":      {"ok", "Saved. Whose presence means something else now is told with the next sync."},
	"directions":   {"ok", "Saved. Changes take effect within seconds."},
	"push":         {"ok", "The push address is saved."},
	"resumed":      {"ok", "Pushes go on."},
	"authority":    {"ok", "Saved. Pushes are tried again at once."},
	"revoked":      {"ok", "The credential is revoked. It is refused within 5 seconds."},
	"disconnected": {"ok", "Disconnected. What Microsoft keeps can be revoked there."},
	"used":         {"ok", "It is used again. Its state below says whether it works."},
}

// notWhole is said of a form without its fields.
const notWhole = "The form did not arrive whole. Try again."

// refusal is a text that stands on the page instead of the change; field is the one
// that it is about, empty for none.
type refusal struct{ text, field string }

func (e refusal) Error() string { return e.text }

// change does one step. Without a secret to show it ends with a redirect, so
// that a reload repeats nothing.
func (f *Function) change(w http.ResponseWriter, r *http.Request, name string) {
	// Every form has a field that is always sent: the Functions host may send a request without a body
	// again and again (host 4.1037), and some steps must happen once.
	if err := r.ParseForm(); err != nil || len(r.PostForm) == 0 {
		f.home(w, r, http.StatusBadRequest, shown{Notice: notice{"bad", notWhole}})
		return
	}
	ctx, form := r.Context(), r.PostForm
	who := access.AdministratorFrom(ctx)
	var result shown
	var flash string
	var err error
	switch name {
	case "signout":
		if err = f.Gate.End(w, r); err == nil {
			w.Header().Set("Cache-Control", "no-store")
			http.Redirect(w, r, "/api/console", http.StatusSeeOther)
			return
		}
	case "app":
		flash, err = f.saveApp(ctx, who, form)
	case "directions":
		flash, err = "directions", f.edit(ctx, name, form, directionsOf(form))
	case "credential":
		result.Token, err = f.credential(ctx, who, form)
	case "credential/rotate":
		var c access.Credential
		c, result.Token.Value, err = rotated(f.Credentials.Rotate(ctx, who, form.Get("id")))
		result.Token.Name = c.Name
	case "credential/revoke":
		flash, err = "revoked", f.Credentials.Revoke(ctx, who, form.Get("id"))
	case "push":
		flash = "push"
		var made secret.Text
		var version int64
		if version, err = f.unchanged(ctx, name, form); err == nil {
			_, made, err = f.Editor.Change(ctx, who, version, func(i *settings.Integration) { i.PushURL = form.Get("pushUrl") })
		}
		result.PushSecret = made.Reveal()
	case "push/secret":
		var made secret.Text
		made, err = f.Editor.ReplacePushSecret(ctx, who)
		result.PushSecret = made.Reveal()
	case "push/authority/remove":
		flash, err = "authority", f.setAuthority(ctx, "")
	case "push/resume":
		flash, err = "resumed", f.resume(ctx)
	case "disconnect":
		flash, err = "disconnected", f.disconnect(ctx, who, form)
	case "use-again":
		flash, err = "used", f.Grants.UseAgain(ctx, who)
	case "check":
		f.checked(w, r)
		return
	default:
		f.home(w, r, http.StatusNotFound, shown{Notice: notice{"bad", "There is no such step."}})
		return
	}
	switch {
	case err != nil && result.PushSecret == "":
		f.refuse(w, r, err)
	case err != nil: // the secret exists, only its predecessor could not be disabled
		host.Log(ctx, f.Log).Warn("console", "step", name, "error", err.Error())
		f.home(w, r, http.StatusOK, result)
	case result.made():
		f.home(w, r, http.StatusOK, result)
	default:
		f.changed(ctx, name)
		w.Header().Set("Cache-Control", "no-store")
		http.Redirect(w, r, "/api/console?done="+flash, http.StatusSeeOther)
	}
}

// changed notes in the log that a step was done.
func (f *Function) changed(ctx context.Context, step string) {
	host.Log(ctx, f.Log).Info("changed on the console", "step", step)
}

// edit changes the settings that a form shows.
func (f *Function) edit(ctx context.Context, step string, form url.Values, edit func(*settings.Integration)) error {
	version, err := f.unchanged(ctx, step, form)
	if err == nil {
		_, _, err = f.Editor.Change(ctx, access.AdministratorFrom(ctx), version, edit)
	}
	return err
}

// directionsOf applies the form of step 3: boxes that are not ticked are absent.
func directionsOf(form url.Values) func(*settings.Integration) {
	of := func(name string) settings.Participation { return settings.By(posted(name, form)) }
	yes := func(name string) bool { return form.Get(name) == "yes" }
	return func(i *settings.Integration) {
		i.TeamsToProCall, i.ProCallToTeams, i.Paused = of("teamsToProCall"), of("proCallToTeams"), yes("paused")
		i.OnlySignedIn, i.LookUps = yes("onlySignedIn"), settings.OnUnlessOff{}
		if yes("noHelpdesk") {
			i.LookUps = settings.SwitchedOff
		}
		i.AlsoWrite = settings.AlsoWrite{Ringing: yes("ringing"), WrapUp: yes("wrapUp"), Appointment: yes("appointment"), DoNotDisturb: yes("doNotDisturb")}
	}
}

// token is a credential's token, shown once.
type token struct{ Name, Value string }

func rotated(c access.Credential, value secret.Text, err error) (access.Credential, string, error) {
	return c, value.Reveal(), err
}

func (f *Function) credential(ctx context.Context, who string, form url.Values) (token, error) {
	var scopes []access.Scope
	for _, scope := range form["scope"] {
		scopes = append(scopes, access.Scope(scope))
	}
	name := strings.TrimSpace(form.Get("name"))
	if err := access.ValidateRequest(name, scopes); err != nil {
		return token{}, &integration.InvalidError{Faults: err}
	}
	c, value, err := rotated(f.Credentials.Create(ctx, who, name, scopes))
	return token{c.Name, value}, err
}

func (f *Function) resume(ctx context.Context) error {
	tenant, err := f.Gate.Tenant(ctx)
	if err != nil || tenant == "" {
		return err
	}
	return f.Resume(ctx, tenant)
}

// refuse shows the page with what stands against the change, and what to do.
func (f *Function) refuse(w http.ResponseWriter, r *http.Request, err error) {
	text, code := f.explain(r.Context(), err)
	f.home(w, r, code, shown{Notice: notice{"bad", text}, Kept: r.PostForm, Faults: faultsOf(err)})
}

// stale is what a form is told that shows settings which are not in force any more.
const stale = "Nothing was saved: since this page was loaded, these settings were changed in another tab, by somebody else or by a program. " +
	"Your entries still stand in the form. Load the page anew to see what is in force, or save again to replace it."

// explain says what stands against a change, and what to do.
func (f *Function) explain(ctx context.Context, err error) (text string, code int) {
	code = http.StatusUnprocessableEntity
	_, unset := errors.AsType[*consent.UnsetError](err)
	own, isOwn := errors.AsType[refusal](err)
	switch {
	case isOwn:
		return own.text, code
	case unset:
		return err.Error(), code
	case errors.Is(err, access.ErrUnknown):
		return "There is no such credential any more.", code
	case errors.Is(err, access.ErrNoTenant):
		return "Save the tenant first (step 1): a credential belongs to a tenant.", code
	case errors.Is(err, access.ErrRace):
		return stale, http.StatusPreconditionFailed
	}
	d, expected := integration.Explain(err)
	if !expected {
		host.Log(ctx, f.Log).Error("console", "error", err.Error())
	}
	if _, invalid := errors.AsType[*integration.InvalidError](err); invalid {
		d.Detail = labelled(d.Detail)
	}
	return strings.ReplaceAll(d.Title+". "+d.Detail+". "+d.NextStep, "..", "."), d.Status
}

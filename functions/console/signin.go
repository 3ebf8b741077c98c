package console

import (
	"errors"
	"net/http"
	"net/url"
	"path"
	"slices"
	"strings"

	"github.com/google/uuid"

	"procallteams/internal/access"
	"procallteams/internal/consent"
	"procallteams/internal/entra/aadsts"
	"procallteams/internal/host"
	"procallteams/internal/page"
	"procallteams/internal/secret"
)

// signIn starts a sign-in with Entra (GET), or ends it (POST from Microsoft's
// site, posted on by our own page).
func (f *Function) signIn(w http.ResponseWriter, r *http.Request) {
	if f.SignIn == nil {
		page.Render(w, http.StatusNotFound, page.Page{Title: "There is no such page", Body: page.Execute(texts, "lost", nil)})
		return
	}
	if r.Method != http.MethodPost {
		f.SignIn.StartSignIn(w, r)
		return
	}
	// Read before Microsoft is asked: a session must not begin in a tenant that was
	// set meanwhile.
	tenant, err := f.Gate.Tenant(r.Context())
	if err != nil {
		f.unavailable(w, r, err)
		return
	}
	who, err := f.SignIn.FinishSignIn(w, r)
	refusal, refused := errors.AsType[*aadsts.Error](err)
	switch {
	case errors.Is(err, consent.ErrAnswered):
	case refused && who.Silent && refusal.Permanent(): // Microsoft has a question, mostly
		f.welcomeTo(w, r, http.StatusForbidden, notice{"wait", "You signed in more than an hour ago, so Microsoft was asked again, and wants you to sign in once more."}, who.Next)
	case err != nil:
		host.Log(r.Context(), f.Log).Warn("sign-in", "error", err.Error())
		f.welcomeTo(w, r, http.StatusForbidden, notice{"bad", "Microsoft did not sign you in. " + notSignedIn(err)}, who.Next)
	case slices.Contains(who.Roles, AdminRole):
		f.begin(w, r, access.Session{Administrator: who.Account.ObjectID, Tenant: tenant, UserName: who.Account.UPN}, who.Next)
	default:
		host.Log(r.Context(), f.Log).Warn("sign-in without the administrator's role", "account", who.Account.ObjectID)
		f.welcomeTo(w, r, http.StatusForbidden, notice{"bad", "Microsoft knows you, but you lack the app role " + AdminRole +
			". Assign it in the Entra admin center (Enterprise applications, Users and groups), or use the set-up code."}, who.Next)
	}
}

// notSignedIn says why Entra let nobody in, and what to do.
func notSignedIn(err error) string {
	refusal, ok := errors.AsType[*aadsts.Error](err)
	if !ok {
		return page.Sentence(err.Error())
	}
	said := refusal.Said()
	if refusal.Code != "" {
		said += " (" + refusal.Code + ")"
	}
	text := said + ". " + refusal.Step
	switch refusal.Class {
	case aadsts.Credential, aadsts.Tenant, aadsts.Defect:
		text += " The set-up code opens this page meanwhile."
	}
	return text
}

// provesAgain has Microsoft say once an hour whether who signed in with Entra still is an
// administrator, and reports whether the browser is on its way there. The session ends
// first, so that the set-up code is offered to whoever does not come back.
func (f *Function) provesAgain(w http.ResponseWriter, r *http.Request, session access.Session) bool {
	// After a form browsers follow redirects to our own pages alone (CSP form-action).
	afterForm := r.URL.Query().Has("done")
	if f.SignIn == nil || !session.Unproven(f.Now()) || r.Method != http.MethodGet || !page.Wanted(r) || afterForm {
		return false
	}
	to, err := f.SignIn.SignInAgain(w, r, session.UserName, access.Here(r))
	if err == nil {
		err = f.Gate.End(w, r)
	}
	if err != nil { // the session lasts a little longer
		host.Log(r.Context(), f.Log).Info("administrator not proven again", "error", err.Error())
		return false
	}
	w.Header().Set("Cache-Control", "no-store")
	http.Redirect(w, r, to, http.StatusSeeOther)
	return true
}

// code signs in with the set-up code.
func (f *Function) code(w http.ResponseWriter, r *http.Request) {
	posted := secret.New(r.PostFormValue("code"))
	if posted.Empty() {
		// The Functions host may send a request without a body again and again (host
		// 4.1037): it is no wrong code.
		f.welcome(w, r, http.StatusBadRequest, notice{"bad", notWhole})
		return
	}
	// The client's address, as the platform's front end saw it; the host's own
	// X-Forwarded-For is the front end (functions host 4.1037).
	err := f.Setup.Check(r.Context(), posted, r.Header.Get("Client-Ip"))
	if paused, ok := errors.AsType[*access.PausedError](err); ok {
		f.welcome(w, r, http.StatusTooManyRequests, notice{"bad", "Too many wrong codes. Try again after " + paused.Until.UTC().Format("15:04:05") + " UTC."})
		return
	}
	switch {
	case errors.Is(err, access.ErrWrongCode):
		host.Log(r.Context(), f.Log).Warn("wrong set-up code")
		f.welcome(w, r, http.StatusForbidden, notice{"bad", "That is not the set-up code. Copy the value of the current version in Key Vault."})
	case err != nil:
		host.Log(r.Context(), f.Log).Error("set-up code could not be checked", "error", err.Error())
		f.welcome(w, r, http.StatusServiceUnavailable, notice{"bad", "The code could not be checked: " + err.Error() + "."})
	default:
		f.begin(w, r, access.Session{Administrator: access.BySetupCode}, r.PostFormValue("next"))
	}
}

// begin starts the session, notes it in the audit trail, and leads on.
func (f *Function) begin(w http.ResponseWriter, r *http.Request, session access.Session, next string) {
	tenant, err := f.Gate.Tenant(r.Context())
	if err == nil {
		err = f.Editor.Audit.Record(r.Context(), tenant, access.Change{Who: session.Administrator, What: "signed in", At: f.Now()})
	}
	if err == nil {
		err = f.Gate.Begin(w, r, session)
	}
	if err != nil {
		f.unavailable(w, r, err)
		return
	}
	host.Log(r.Context(), f.Log).Info("administrator signed in", "administrator", session.Administrator)
	w.Header().Set("Cache-Control", "no-store")
	http.Redirect(w, r, landing(onward(next)), http.StatusSeeOther)
}

// front is the console's first page.
const front = "/api/console"

// onward is where a sign-in leads: a page of our own with its query, else the console.
func onward(next string) string {
	to, err := url.Parse(next)
	if err != nil || to.Scheme != "" || to.Host != "" || to.User != nil || to.Opaque != "" || !leads(to.Path) {
		return front
	}
	clean := url.URL{Path: to.Path, RawQuery: to.Query().Encode()}
	return clean.String()
}

// leads reports whether a path is one of our own pages that a person may want.
func leads(to string) bool {
	switch to {
	case front, "/api/consent/user", "/api/consent/admin", "/api/status", "/api/integration", "/api/credentials", "/api/health":
		return true
	case "/api/console/signin", "/api/console/code":
		return false
	}
	return strings.HasPrefix(to, front+"/") && path.Clean(to) == to
}

// landing is where a form that signs in ends. A consent redirects to Microsoft, where
// browsers let no form of ours end (CSP form-action): from there on it is a link.
func landing(next string) string {
	to, err := url.Parse(next)
	if err != nil || !strings.HasPrefix(to.Path, "/api/consent/") {
		return next
	}
	if account := to.Query().Get("account"); uuid.Validate(account) == nil {
		return front + "#grant-" + account
	}
	return front + "#consents"
}

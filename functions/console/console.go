// Package console is the HTTP function of the administrator's door: one plain
// page that leads from the first sign-in to presences that travel.
//
//	GET  console            the page, or the sign-in
//	POST console/code       sign in with the set-up code
//	GET  console/signin     sign in with Entra; Microsoft posts back to it
//	POST console/<step>     one change, answered with 303 back to the page
//	GET  console/people     who takes part, who does not, and why
//	POST console/lookup     one person: who that is, and why what is shown is shown
//	GET  console/mapping    what a presence in Teams means to ProCall, and POST to change it
//	GET  console/disconnect asks before a consent is disconnected
//	POST console/check      everything tried, with what was seen
//	POST console/usermatching, console/users
//	                        a file, answered with the page of the people
//
// A change that makes a secret is answered with the page that shows it, once.
// The page works without JavaScript; nothing here decides what is allowed, the
// packages access and integration do.
package console

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"procallteams/functions/directory"
	"procallteams/functions/status"
	"procallteams/functions/usermatching"
	"procallteams/functions/users"
	"procallteams/internal/access"
	"procallteams/internal/check"
	"procallteams/internal/consent"
	"procallteams/internal/entra/aadsts"
	"procallteams/internal/host"
	"procallteams/internal/integration"
	"procallteams/internal/page"
	"procallteams/internal/problem"
	"procallteams/internal/report"
	"procallteams/internal/secret"
	"procallteams/internal/storage"
)

// AdminRole is the app role that makes a person an administrator of the bridge.
const AdminRole = "Bridge.Admin"

// SignIn is administrators' sign-in with Entra.
type SignIn interface {
	// StartSignIn sends the browser to Microsoft.
	StartSignIn(w http.ResponseWriter, r *http.Request)
	// FinishSignIn returns who came back from Microsoft. It returns
	// consent.ErrAnswered when it has answered the request itself.
	FinishSignIn(w http.ResponseWriter, r *http.Request) (consent.SignedIn, error)
}

// Function is the code of function.json beside this file. It does its own gate
// keeping, since the sign-in needs no session.
type Function struct {
	Gate        *access.Gate
	Setup       access.SetupCode
	SignIn      SignIn // nil: no sign-in with Entra
	Editor      integration.Editor
	Credentials access.Credentials
	Read        func(context.Context) (report.State, error)
	// Check tries everything that the bridge stands on.
	Check func(context.Context) check.Report

	// App is what proves the app registration. SecretFixed says that an app setting
	// holds its secret.
	App         AppCredential
	SecretFixed bool
	// Grants disconnects consents.
	Grants Grants
	// Probe looks at the admin consent now instead of within a minute.
	Probe func(context.Context) error
	// Resume lets pushes go on after a 410.
	Resume func(ctx context.Context, tenant string) error

	// Storage is where the page of the people reads from. Nil: there is no such page.
	Storage *storage.Storage
	// TakeNames and TakeUsers take in what an administrator uploads there. Nil: not
	// offered.
	TakeNames func(context.Context, usermatching.Upload) (*usermatching.Receipt, error)
	TakeUsers func(context.Context, directory.Step) (*directory.Receipt, error)

	// LookUp answers for one person. Nil: not offered.
	LookUp func(context.Context, access.Caller, string) (users.Answer, error)

	// Redirects are the addresses to register with Entra, exactly as they are sent.
	Redirects []string
	KeyVault  *url.URL
	Warnings  []string // of the app settings
	Outbound  status.Outbound
	Now       func() time.Time
	Log       *slog.Logger

	made   atomic.Bool // the set-up code is known to exist
	strays strays
}

// ServeHTTP serves every page under console.
func (f *Function) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if f.Gate.SentHome(w, r) {
		return
	}
	name := strings.Trim(r.PathValue("page"), "/")
	if name == "signin" {
		f.signIn(w, r)
		return
	}
	switch r.Method {
	case http.MethodGet, http.MethodHead, http.MethodPost:
	default:
		problem.MethodNotAllowed(w, "GET, HEAD, POST")
		return
	}
	if f.Gate.Elsewhere(r) {
		problem.Write(w, access.CrossOrigin())
		return
	}
	session, err := f.Gate.Session(r)
	if err != nil && !errors.Is(err, access.ErrUnknown) {
		f.unavailable(w, r, err)
		return
	}
	signedIn := err == nil
	r = r.WithContext(access.WithAdministrator(r.Context(), session.Administrator))
	r.Body = http.MaxBytesReader(w, r.Body, f.limit(name, signedIn))
	switch {
	case r.Method == http.MethodPost && name == "code":
		f.code(w, r)
	case r.Method == http.MethodPost && !signedIn:
		f.welcome(w, r, http.StatusForbidden, notice{"bad", "Your session has ended. Sign in and repeat the change; nothing was changed."})
	case r.Method == http.MethodPost && f.takes(name):
		f.take(w, r, name)
	case r.Method == http.MethodPost && name == "users/remove" && f.TakeUsers != nil:
		f.removeUsers(w, r)
	case r.Method == http.MethodPost && name == "lookup" && f.LookUp != nil:
		f.lookUp(w, r)
	case r.Method == http.MethodPost && name == "push/authority":
		f.takeAuthority(w, r)
	case r.Method == http.MethodPost && name == "mapping":
		f.changeMapping(w, r)
	case r.Method == http.MethodPost:
		f.change(w, r, name)
	case name == "lookup": // a reload after the session's end, or a typed address
		http.Redirect(w, r, "/api/console/people", http.StatusSeeOther)
	case (name == "people" || name == "check" || name == "mapping") && !signedIn:
		http.Redirect(w, r, "/api/console?next=/api/console/"+name, http.StatusSeeOther)
	case name == "people" && f.Storage != nil:
		f.people(w, r, http.StatusOK, peopleView{})
	case name == "disconnect" && !signedIn:
		http.Redirect(w, r, "/api/console", http.StatusSeeOther)
	case name == "disconnect" && signedIn:
		f.disconnecting(w, r)
	case name == "check":
		f.checking(w, r)
	case name == "mapping":
		f.mapping(w, r, http.StatusOK, mappingView{Notice: done[r.URL.Query().Get("done")]}, nil)
	case name != "":
		page.Render(w, http.StatusNotFound, page.Page{Title: "There is no such page", Body: page.Execute(texts, "lost", nil)})
	case !signedIn:
		f.welcome(w, r, http.StatusOK, notice{})
	default:
		f.home(w, r, http.StatusOK, shown{Notice: done[r.URL.Query().Get("done")]})
	}
}

// takes reports whether a step brings a file.
func (f *Function) takes(name string) bool {
	return name == "usermatching" && f.TakeNames != nil || name == "users" && f.TakeUsers != nil
}

// limit is how large a body may be.
func (f *Function) limit(name string, signedIn bool) int64 {
	switch {
	case !signedIn || !f.takes(name):
		return 64 << 10
	case name == "users":
		return maxUsers
	}
	return maxNames
}

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
	switch {
	case errors.Is(err, consent.ErrAnswered):
		return
	case err != nil:
		host.Log(r.Context(), f.Log).Warn("sign-in", "error", err.Error())
		f.welcome(w, r, http.StatusForbidden, notice{"bad", "Microsoft did not sign you in. " + notSignedIn(err)})
		return
	}
	if slices.Contains(who.Roles, AdminRole) {
		f.begin(w, r, who.Account.ObjectID, tenant)
		return
	}
	host.Log(r.Context(), f.Log).Warn("sign-in without the administrator's role", "account", who.Account.ObjectID)
	f.welcome(w, r, http.StatusForbidden, notice{"bad", "Microsoft knows you, but you lack the app role " + AdminRole +
		". Assign it in the Entra admin center (Enterprise applications, Users and groups), or use the set-up code."})
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
		f.begin(w, r, access.BySetupCode, "")
	}
}

// begin starts the session, notes it in the audit trail, and leads on. of is the
// tenant of an administrator who signed in with Entra.
func (f *Function) begin(w http.ResponseWriter, r *http.Request, who, of string) {
	tenant, err := f.Gate.Tenant(r.Context())
	if err == nil {
		err = f.Editor.Audit.Record(r.Context(), tenant, access.Change{Who: who, What: "signed in", At: f.Now()})
	}
	if err == nil {
		err = f.Gate.Begin(w, r, who, of)
	}
	if err != nil {
		f.unavailable(w, r, err)
		return
	}
	host.Log(r.Context(), f.Log).Info("administrator signed in", "administrator", who)
	w.Header().Set("Cache-Control", "no-store")
	next := onward(r.PostFormValue("next"))
	if strings.HasPrefix(next, "/api/consent/") {
		// A consent redirects to Microsoft, where browsers let no form of ours end
		// (CSP form-action): from here on it is a link.
		next = "/api/console#consents"
	}
	http.Redirect(w, r, next, http.StatusSeeOther)
}

// onward is where a sign-in leads: a page of our own, else the console.
func onward(next string) string {
	for _, known := range []string{"/api/console/people", "/api/console/check", "/api/console/mapping", "/api/consent/user", "/api/consent/admin", "/api/status", "/api/integration", "/api/credentials", "/api/health"} {
		if next == known {
			return known
		}
	}
	return "/api/console"
}

func (f *Function) unavailable(w http.ResponseWriter, r *http.Request, err error) {
	host.Log(r.Context(), f.Log).Error("console", "error", err.Error())
	page.Render(w, http.StatusServiceUnavailable, page.Page{
		Title: "The bridge can't reach its storage or its Key Vault",
		Body:  page.Execute(texts, "unavailable", err.Error()),
	})
}

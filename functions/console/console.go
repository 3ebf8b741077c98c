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
	"procallteams/internal/host"
	"procallteams/internal/integration"
	"procallteams/internal/page"
	"procallteams/internal/problem"
	"procallteams/internal/report"
	"procallteams/internal/storage"
)

// AdminRole is the app role that makes a person an administrator of the bridge.
const AdminRole = "Bridge.Admin"

// SignIn is administrators' sign-in with Entra.
type SignIn interface {
	// StartSignIn sends the browser to Microsoft.
	StartSignIn(w http.ResponseWriter, r *http.Request)
	// SignInAgain: see [consent.Service.SignInAgain].
	SignInAgain(w http.ResponseWriter, r *http.Request, userName, next string) (string, error)
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
	if signedIn && f.provesAgain(w, r, session) {
		return
	}
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
	case !signedIn && slices.Contains([]string{"people", "check", "mapping", "disconnect"}, name):
		http.Redirect(w, r, "/api/console?next="+url.QueryEscape(access.Here(r)), http.StatusSeeOther)
	case name == "people" && f.Storage != nil:
		f.people(w, r, http.StatusOK, peopleView{})
	case name == "disconnect":
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

func (f *Function) unavailable(w http.ResponseWriter, r *http.Request, err error) {
	host.Log(r.Context(), f.Log).Error("console", "error", err.Error())
	page.Render(w, http.StatusServiceUnavailable, page.Page{
		Title: "The bridge can't reach its storage or its Key Vault",
		Body:  page.Execute(texts, "unavailable", err.Error()),
	})
}

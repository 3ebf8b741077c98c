package access

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"procallteams/internal/host"
	"procallteams/internal/page"
	"procallteams/internal/problem"
)

// Gate stands before every HTTP function. Build one, share it.
type Gate struct {
	// Public is the only address that browsers use.
	Public      *url.URL
	Credentials CredentialStore
	Sessions    SessionStore
	// Tenant returns the tenant in use, empty for none.
	Tenant func(context.Context) (string, error)
	Now    func() time.Time
	Log    *slog.Logger

	once       sync.Once
	protection *http.CrossOriginProtection
	known      known
}

// Caller is who passed [Gate.Either]: an administrator, else a machine.
type Caller struct {
	Administrator string // empty for a machine
	Consumer      Consumer
}

// Machine lets credentials with scope pass.
func (g *Gate) Machine(scope Scope, next func(http.ResponseWriter, *http.Request, Consumer)) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if consumer, ok := g.machine(w, r, scope); ok {
			next(w, r, consumer)
		}
	})
}

// Either lets administrators pass, and credentials with scope.
func (g *Gate) Either(scope Scope, next func(http.ResponseWriter, *http.Request, Caller)) http.Handler {
	administrator := g.Administrator(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		next(w, r, Caller{Administrator: AdministratorFrom(r.Context())})
	}))
	machine := g.Machine(scope, func(w http.ResponseWriter, r *http.Request, c Consumer) { next(w, r, Caller{Consumer: c}) })
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "" {
			machine.ServeHTTP(w, r)
			return
		}
		administrator.ServeHTTP(w, r)
	})
}

// machine authenticates the request, or answers it and reports false.
func (g *Gate) machine(w http.ResponseWriter, r *http.Request, scope Scope) (Consumer, bool) {
	refuse := func(challenge string, d problem.Details) (Consumer, bool) {
		if d.Status != http.StatusServiceUnavailable {
			w.Header().Set("WWW-Authenticate", `Bearer realm="procallteams"`+challenge) // RFC 6750 3
		}
		d.Invocation = host.Invocation(r.Context())
		problem.Write(w, d)
		return Consumer{}, false
	}
	kind, presented, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	id, text, ok := parseToken(strings.TrimSpace(presented))
	if !strings.EqualFold(kind, "Bearer") || !ok {
		return refuse("", problem.Details{
			Type: "/problems/credential-missing", Title: "A machine credential is needed", Status: http.StatusUnauthorized,
			Detail:   "The Authorization header is missing, or is not of the form: Bearer ptb_<id>_<secret>.",
			NextStep: "Send the token that the console showed when the credential was created.", Who: "connector",
		})
	}
	tenant, credential, err := g.lookup(r.Context(), id)
	if err != nil && !errors.Is(err, ErrUnknown) {
		host.Log(r.Context(), g.Log).Error("credentials could not be read", "error", err.Error())
		return refuse("", Unavailable(err))
	}
	// The zero credential matches nothing, after the same work.
	if !credential.matches(text) {
		return refuse(`, error="invalid_token"`, problem.Details{
			Type: "/problems/credential-refused", Title: "This credential is not accepted", Status: http.StatusUnauthorized,
			Detail:   "It was mistyped or cut off, it was revoked, its secret was replaced, or it belongs to a tenant that is not in use any more.",
			NextStep: "Compare it with what the console showed; else ask an administrator for a new one.", Who: "administrator",
		})
	}
	if !credential.Allows(scope) {
		return refuse(`, error="insufficient_scope", scope="`+string(scope)+`"`, problem.Details{
			Type: "/problems/scope-missing", Title: "This credential may not do that", Status: http.StatusForbidden,
			Detail:   "The scope " + string(scope) + " is missing.",
			NextStep: "Create a credential with that scope.", Who: "administrator",
		})
	}
	g.markUsed(r.Context(), tenant, credential)
	return Consumer{ID: credential.ID, Tenant: tenant, Scopes: credential.Scopes}, true
}

// Unavailable is the answer while something that the bridge stands on cannot be
// reached.
func Unavailable(err error) problem.Details {
	return problem.Details{
		Type: "/problems/storage-unreachable", Title: "The bridge can't reach its storage or its Key Vault", Status: http.StatusServiceUnavailable,
		Detail: err.Error(), NextStep: "Wait a minute. If it stays, check the storage account, the vault and the roles of the bridge's identity.", Who: "operator",
	}
}

// Elsewhere reports whether a request that may change something was sent by a
// page of another origin, such as Microsoft's form_post.
func (g *Gate) Elsewhere(r *http.Request) bool {
	g.once.Do(func() {
		g.protection = http.NewCrossOriginProtection()
		// r.Host is not the browser's under the host's proxying, so the public
		// address is what counts.
		if err := g.protection.AddTrustedOrigin(g.Public.Scheme + "://" + g.Public.Host); err != nil {
			panic(err) // settings.Load checked the address
		}
	})
	return g.protection.Check(r) != nil
}

// Administrator lets signed-in administrators pass, on the public address and
// from our own pages only. A browser that asks for a page is led to the sign-in.
func (g *Gate) Administrator(next http.Handler) http.Handler {
	return g.AdministratorOr(next, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if page.Wanted(r) {
			http.Redirect(w, r, "/api/console?next="+url.QueryEscape(Here(r)), http.StatusSeeOther)
			return
		}
		problem.Write(w, problem.Details{
			Type: "/problems/sign-in-required", Title: "An administrator must be signed in", Status: http.StatusUnauthorized,
			Detail:   "There is no session, or it ended: an hour after Microsoft last said who you are, 8 hours after the set-up code, or because another tenant was set.",
			NextStep: "Sign in at /api/console.", Who: "administrator", Invocation: host.Invocation(r.Context()),
		})
	}))
}

// AdministratorOr is [Gate.Administrator] with an answer of its own for whoever is
// not signed in, or not any more.
func (g *Gate) AdministratorOr(next, stranger http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if g.SentHome(w, r) {
			return
		}
		if g.Elsewhere(r) {
			problem.Write(w, CrossOrigin())
			return
		}
		session, err := g.Session(r)
		switch {
		case errors.Is(err, ErrUnknown):
			stranger.ServeHTTP(w, r)
		case err != nil:
			host.Log(r.Context(), g.Log).Error("session could not be read", "error", err.Error())
			problem.Write(w, Unavailable(err))
		default:
			next.ServeHTTP(w, r.WithContext(WithAdministrator(r.Context(), session.Administrator)))
		}
	})
}

// CrossOrigin is the answer to a change that another site's page asked for.
func CrossOrigin() problem.Details {
	return problem.Details{
		Type: "/problems/cross-origin", Title: "Another site asked for this", Status: http.StatusForbidden,
		Detail:   "The request came from a page that is not the bridge's own.",
		NextStep: "Open the console at its public address and try again.", Who: "administrator",
	}
}

// SentHome redirects a page that was opened under another host name than the
// public address to the same path there, and reports whether it did: cookies set
// elsewhere would be missing when Microsoft sends the browser back. Headers decide
// only whether to redirect, never where to. It does so once: a reverse proxy at the
// public address may send another host name on, whatever the browser asked for.
func (g *Gate) SentHome(w http.ResponseWriter, r *http.Request) bool {
	if !page.Wanted(r) {
		return false
	}
	seen := r.Header.Get("X-Forwarded-Host") // set by the host under proxying
	if seen == "" {
		seen = r.Host
	}
	public := canonical(g.Public.Scheme, g.Public.Host)
	if slices.ContainsFunc(strings.Split(seen, ","), func(name string) bool { return canonical(g.Public.Scheme, name) == public }) {
		return false
	}
	if r.URL.Query().Has(sentHome) {
		return false
	}
	target := *g.Public
	target.Path, target.RawQuery = r.URL.Path, strings.TrimPrefix(r.URL.RawQuery+"&"+sentHome+"=1", "&")
	w.Header().Set("Cache-Control", "no-store")
	http.Redirect(w, r, target.String(), http.StatusSeeOther)
	return true
}

// Here is the address of the page that was asked for, as a sign-in takes it to lead back
// there: path and query.
func Here(r *http.Request) string {
	query := r.URL.Query()
	query.Del(sentHome)
	here := url.URL{Path: r.URL.Path, RawQuery: query.Encode()}
	return here.String()
}

// sentHome marks an address to which a browser was sent home.
const sentHome = "home"

// canonical is a host name in lower case, without the scheme's default port.
func canonical(scheme, name string) string {
	name = strings.ToLower(strings.TrimSpace(name))
	if bare, port, err := net.SplitHostPort(name); err == nil && (scheme == "https" && port == "443" || scheme == "http" && port == "80") {
		return bare
	}
	return name
}

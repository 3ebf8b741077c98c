// Package consent gets and keeps the two permissions that the bridge lives on,
// and hands out access tokens for Microsoft Graph.
//
//	GET  consent/{grant}           -> 303 to Microsoft, one cookie per trip
//	GET  consent/admin/callback    -> a claim: only triggers a check
//	POST consent/user/callback     -> posted on to ourselves, then redeemed once
//	GET  consent/{grant}/callback?trip=...  the outcome, in words
//
// A grant's row is the truth for all processes; a process keeps only access
// tokens. What a trip left behind after a crash:
//
//	before its row:             nothing; the code expires in ten minutes
//	after its row:              "begun", shown as unfinished; start again
//	after Key Vault's version:  a version that no row names; start again
//	after the grant's row:      the grant works; the trip shows as unfinished
//
// The admin consent is proven by a fresh app-only token, never by a callback.
// No SDK here: entra, keyvault and storage implement the ports.
package consent

import (
	"context"
	"fmt"
	"log/slog"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/time/rate"

	"procallteams/internal/entra/aadsts"
	"procallteams/internal/secret"
	"procallteams/internal/settings"
)

// Config are the Service's dependencies.
type Config struct {
	Settings  Settings
	Addresses Addresses
	Issuer    Issuer
	Vault     Vault
	Grants    Grants
	Flows     Flows
	// Read makes one harmless read of Graph with a token and returns Graph's
	// status: 200 when the permission works, 403 when it does not.
	Read func(ctx context.Context, token secret.Text) (status int, err error)
	// Public is the bridge's address; redirect URIs are built from it alone.
	Public *url.URL
	// Administrator returns who called, as access.AdministratorFrom does.
	Administrator func(context.Context) string
	// Audit records what an administrator is about to do, before it is done.
	Audit func(ctx context.Context, tenant, who, what string, fields ...string) error
	Log   *slog.Logger
	Now   func() time.Time // nil: the system's clock
}

// Service is the consent of one installation. It is safe for concurrent use.
type Service struct {
	Config
	starts  *rate.Limiter // of consents, by administrators
	signIns *rate.Limiter // by anybody

	mu     sync.Mutex
	tokens map[string]*slot // by tenant, client id and account
}

// New returns a Service. Nothing is contacted yet.
func New(config Config) *Service {
	if config.Now == nil {
		config.Now = time.Now
	}
	return &Service{
		Config: config,
		// Ten starts in a row are normal, a flood is not. A stranger's flood stops no
		// administrator who is signed in.
		starts:  rate.NewLimiter(rate.Every(2*time.Second), 20),
		signIns: rate.NewLimiter(rate.Every(2*time.Second), 20),
		tokens:  map[string]*slot{},
	}
}

// RedirectURI returns the address to register for a grant, under platform "Web".
func (s *Service) RedirectURI(kind Kind) string {
	return s.Public.String() + callbackPath(kind)
}

func callbackPath(kind Kind) string { return "/api/consent/" + string(kind) + "/callback" }

func (s *Service) now() time.Time { return s.Now().UTC() }

// app returns the app registration.
func (s *Service) app(ctx context.Context) (App, error) {
	integration, _, err := s.Settings.Load(ctx)
	if err != nil {
		return App{}, err
	}
	return appOf(integration)
}

// UnsetError reports that an administrator has not yet said what the bridge
// needs to talk to Microsoft.
type UnsetError struct{ What, Step string }

// refusal says it as Entra would, for a row that the missing thing keeps from working.
func (e *UnsetError) refusal() *aadsts.Error {
	return &aadsts.Error{Class: aadsts.Credential, Cause: e.What + " is missing", Step: e.Sentence()}
}

// Sentence is Step as one.
func (e *UnsetError) Sentence() string {
	return strings.ToUpper(e.Step[:1]) + e.Step[1:] + "."
}

func (e *UnsetError) Error() string { return e.What + " is missing: " + e.Step }

func appOf(i settings.Integration) (App, error) {
	switch {
	case i.Tenant == "":
		return App{}, &UnsetError{"the tenant", "enter the tenant id on the bridge's page"}
	case i.ClientID == "":
		return App{}, &UnsetError{"the client id", "enter the client id of the app registration on the bridge's page"}
	}
	return App{Tenant: i.Tenant, ClientID: i.ClientID}, nil
}

// ordered returns grants in the order of use: admin first, then the healthiest
// users.
func ordered(grants []Grant) []Grant {
	out := slices.Clone(grants)
	slices.SortStableFunc(out, func(a, b Grant) int {
		if a.Kind != b.Kind {
			return strings.Compare(string(a.Kind), string(b.Kind)) // "admin" < "user"
		}
		if c := rank(a) - rank(b); c != 0 {
			return c
		}
		return b.GivenAt.Compare(a.GivenAt)
	})
	return out
}

// Healthier reports whether g is nearer to being used than other.
func (g Grant) Healthier(other Grant) bool { return rank(g) < rank(other) }

// rank orders states from healthy to useless.
func rank(g Grant) int {
	return slices.Index([]State{Granted, Expiring, Waiting, Unverified, Reauthorize, Blocked, Unconfirmed, Declined, Required}, g.State)
}

// change applies edit to a grant's row until it is stored, reading it anew when
// another process was faster. edit reports false to leave the row as it is. A
// row that is absent is edited as start, and inserted. A change of state is in the
// same write as its line of history, and is logged once.
func (s *Service) change(ctx context.Context, tenant string, start Grant, edit func(*Grant) bool) (Grant, error) {
	var tried Transition
	for range 5 {
		grants, err := s.Grants.Grants(ctx, tenant)
		if err != nil {
			return Grant{}, fmt.Errorf("read grants: %w", err)
		}
		grant := start
		grant.ETag = ""
		for _, g := range grants {
			if g.Kind == start.Kind && g.Account.ObjectID == start.Account.ObjectID {
				grant = g
			}
		}
		before := grant.latest()
		if !edit(&grant) {
			if tried != (Transition{}) && before == tried { // stored, only the answer was lost
				s.tell(ctx, grant)
			}
			return grant, nil
		}
		tried = Transition{}
		if latest := grant.latest(); latest != before {
			tried = latest
		}
		saved, err := s.Grants.SaveGrant(ctx, tenant, grant)
		if err == nil {
			if tried != (Transition{}) {
				s.tell(ctx, saved)
			}
			return saved, nil
		}
		if !isChanged(err) {
			return Grant{}, fmt.Errorf("store grant: %w", err)
		}
	}
	return Grant{}, fmt.Errorf("store grant: %w", ErrChanged)
}

// tell logs a grant's latest change of state.
func (s *Service) tell(ctx context.Context, g Grant) {
	level := slog.LevelInfo
	t := g.latest()
	if !g.Works() && t.From != "" && t.To != Waiting && !g.Disconnected {
		level = slog.LevelWarn
	}
	s.Log.Log(ctx, level, "consent changed", "grant", string(g.Kind), "account", g.Account.ObjectID,
		"state", string(t.To), "before", string(t.From), "code", t.Code, "class", string(g.Class), "entraTrace", t.TraceID)
}

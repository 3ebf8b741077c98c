package entra

import (
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"time"
)

// Command is the body of POST /_control/{action}; each action reads the members
// it needs. The actions tenant, user, app, identity and fault take a [Tenant],
// [User], [App], [Identity] or [Fault] instead.
type Command struct {
	Tenant  string    `json:"tenant"`
	Client  string    `json:"client"`
	User    string    `json:"user"`  // object id
	Names   []string  `json:"names"` // permissions, or object ids
	On      bool      `json:"on"`
	Also    bool      `json:"also"`    // user-consent: the approval workflow
	Seconds float64   `json:"seconds"` // durations
	Word    string    `json:"word"`    // OAuth's error
	Secret  string    `json:"secret"`
	Expires time.Time `json:"expires"`
	// Federated replaces the federated identity credentials; Certificates, each in
	// PEM, the certificates.
	Federated    []Federated `json:"federated"`
	Certificates []string    `json:"certificates"`
}

func (s *Simulator) controlCertificates(c Command) error {
	var list []*x509.Certificate
	for _, text := range c.Certificates {
		block, _ := pem.Decode([]byte(text))
		if block == nil {
			return errors.New("a certificate is not in PEM")
		}
		certificate, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return fmt.Errorf("read certificate: %w", err)
		}
		list = append(list, certificate)
	}
	return s.SetCertificates(c.Tenant, c.Client, list...)
}

func (c Command) duration() time.Duration { return time.Duration(c.Seconds * float64(time.Second)) }

// commands are the switches, by action.
func (s *Simulator) commands() map[string]func(Command) error {
	done := func(do func(Command)) func(Command) error {
		return func(c Command) error { do(c); return nil }
	}
	ofUser := func(do func(string) error) func(Command) error {
		return func(c Command) error { return do(c.User) }
	}
	switchUser := func(do func(string, bool) error) func(Command) error {
		return func(c Command) error { return do(c.User, c.On) }
	}
	ofApp := func(do func(tenant, client string) error) func(Command) error {
		return func(c Command) error { return do(c.Tenant, c.Client) }
	}
	switchApp := func(do func(tenant, client string, on bool) error) func(Command) error {
		return func(c Command) error { return do(c.Tenant, c.Client, c.On) }
	}
	return map[string]func(Command) error{
		"grant-application":  func(c Command) error { return s.GrantApplication(c.Tenant, c.Client, c.Names...) },
		"revoke-application": func(c Command) error { return s.RevokeApplication(c.Tenant, c.Client, c.Names...) },
		"grant-delegated":    func(c Command) error { return s.GrantDelegated(c.Tenant, c.Client, c.User, c.Names...) },
		"revoke-delegated":   func(c Command) error { return s.RevokeDelegated(c.Tenant, c.Client, c.User, c.Names...) },
		"user-consent":       func(c Command) error { return s.SetUserConsentPolicy(c.Tenant, c.On, c.Also) },
		"hide-tenant":        func(c Command) error { return s.HideTenant(c.Tenant, c.On) },
		"approve-requests":   ofApp(s.ApproveRequests),
		"deny-requests":      ofApp(s.DenyRequests),
		"risky":              switchApp(s.SetRisky),
		"suppress-callback":  done(func(c Command) { s.SuppressCallback(c.On) }),
		"decline-next":       done(func(Command) { s.DeclineNext() }),
		"consent-delay":      done(func(c Command) { s.SetConsentDelay(c.duration()) }),

		"secret":               func(c Command) error { return s.SetSecret(c.Tenant, c.Client, c.Secret, c.Expires) },
		"add-secret":           func(c Command) error { return s.AddSecret(c.Tenant, c.Client, c.Secret, c.Expires) },
		"remove-secret":        func(c Command) error { return s.RemoveSecret(c.Tenant, c.Client, c.Secret) },
		"expire-secrets":       ofApp(s.ExpireSecrets),
		"renew-secrets":        ofApp(s.RenewSecrets),
		"federated":            func(c Command) error { return s.SetFederated(c.Tenant, c.Client, c.Federated...) },
		"federated-delay":      done(func(c Command) { s.SetFederatedDelay(c.duration()) }),
		"mismatch-federated":   switchApp(s.MismatchFederated),
		"certificates":         s.controlCertificates,
		"app-enabled":          switchApp(s.SetAppEnabled),
		"assignment":           func(c Command) error { return s.RequireAssignment(c.Tenant, c.Client, c.Names...) },
		"remove-app":           ofApp(s.RemoveApp),
		"restore-app":          ofApp(s.RestoreApp),
		"remove-principal":     ofApp(s.RemovePrincipal),
		"restore-principal":    ofApp(s.RestorePrincipal),
		"remove-redirect-uris": switchApp(s.RemoveRedirectURIs),

		"change-password":         ofUser(s.ChangePassword),
		"self-service-reset":      ofUser(s.SelfServiceReset),
		"expire-password":         ofUser(s.ExpirePassword),
		"reset-password":          ofUser(s.ResetPassword),
		"reset-password-in-azure": ofUser(s.ResetPasswordInAzure),
		"revoke-sessions":         ofUser(s.RevokeSessions),
		"disable":                 ofUser(s.Disable),
		"enable":                  ofUser(s.Enable),
		"remove-user":             ofUser(s.RemoveUser),
		"restore-user":            ofUser(s.RestoreUser),
		"expire-grant":            ofUser(s.ExpireGrant),

		"require-mfa":           ofUser(s.RequireMFA),
		"age-mfa":               ofUser(s.AgeMFA),
		"require-registration":  ofUser(s.RequireRegistration),
		"end-sign-in-frequency": ofUser(s.EndSignInFrequency),
		"drop-demands":          ofUser(s.DropDemands),
		"challenge-claims":      switchUser(s.ChallengeClaims),
		"conditional-access":    switchUser(s.ConditionalAccess),
		"block-servers":         switchUser(s.BlockServers),
		"require-device":        switchUser(s.RequireDevice),
		"block-risk":            switchUser(s.BlockRisk),
		"blocked-word":          done(func(c Command) { s.SetBlockedWord(c.Word) }),

		"legacy-cancel":        done(func(c Command) { s.SetLegacyCancel(c.Word) }),
		"unknown-tenant-error": done(func(c Command) { s.SetUnknownTenantError(c.Word) }),
		"roll-keys":            func(Command) error { return s.RollKeys() },
		"token-lifetime":       done(func(c Command) { s.SetTokenLifetime(c.duration()) }),
		"clear-faults":         done(func(Command) { s.ClearFaults() }),
		"quiet":                done(func(Command) { s.Quiet() }),
	}
}

// serveControl answers 204, 404 for an unknown action, 400 with a sentence.
func (s *Simulator) serveControl(w http.ResponseWriter, r *http.Request) {
	action := r.PathValue("action")
	var err error
	switch action {
	case "tenant":
		err = decodeThen(r, s.AddTenant)
	case "user":
		err = decodeThen(r, s.AddUser)
	case "app":
		err = decodeThen(r, s.AddApp)
	case "identity":
		err = decodeThen(r, s.AddIdentity)
	case "fault":
		err = decodeThen(r, s.Inject)
	default:
		do := s.commands()[action]
		if do == nil {
			http.Error(w, "no such action; there are tenant, user, app, identity, fault, "+strings.Join(slices.Sorted(maps.Keys(s.commands())), ", "), http.StatusNotFound)
			return
		}
		err = decodeThen(r, do)
	}
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	w.WriteHeader(http.StatusNoContent)
}

func decodeThen[T any](r *http.Request, do func(T) error) error {
	var value T
	decoder := json.NewDecoder(http.MaxBytesReader(nil, r.Body, 1<<20))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&value); err != nil {
		return fmt.Errorf("read body: %w", err)
	}
	return do(value)
}

// state is what GET /_control/state shows: no secrets.
type state struct {
	Tenants []tenantState `json:"tenants"`
	// On names the obstacles that stand in the way now, with whose they are.
	On       []string       `json:"on"`
	Grants   map[string]int `json:"tokenRequests"`
	Requests map[string]int `json:"requests"`
}

type tenantState struct {
	Tenant
	UserConsent bool        `json:"userConsent"`
	Users       []userState `json:"users"`
	Apps        []appState  `json:"apps"`
}

type userState struct {
	User
	Disabled bool `json:"disabled"`
	Blocked  bool `json:"blocked"`
}

type appState struct {
	ClientID    string              `json:"clientId"`
	Name        string              `json:"name"`
	Disabled    bool                `json:"disabled"`
	Application []string            `json:"application"` // granted
	Everyone    []string            `json:"everyone"`    // delegated, granted tenant-wide
	Personal    map[string][]string `json:"personal"`    // delegated, by object id
	Asked       []string            `json:"asked"`       // users who requested approval
}

func (s *Simulator) state() state {
	s.mu.Lock()
	defer s.mu.Unlock()
	st := state{Grants: maps.Clone(s.grants), Requests: maps.Clone(s.requests), On: []string{}}
	for _, o := range s.standing() {
		st.On = append(st.On, o.name+" "+o.whose)
	}
	for _, t := range s.tenants {
		ts := tenantState{Tenant: t.Tenant, UserConsent: !t.consentOff}
		for _, u := range t.present() {
			ts.Users = append(ts.Users, userState{User: u.User, Disabled: u.disabled, Blocked: u.block != nil})
		}
		for _, a := range t.apps {
			if !a.removedAt.IsZero() {
				continue
			}
			as := appState{
				ClientID: a.ClientID, Name: a.Name, Disabled: a.disabled,
				Application: slices.Sorted(maps.Keys(a.roles)), Everyone: slices.Sorted(maps.Keys(a.everyone)),
				Personal: map[string][]string{}, Asked: slices.Sorted(maps.Keys(a.asked)),
			}
			for oid, names := range a.personal {
				as.Personal[oid] = slices.Sorted(maps.Keys(names))
			}
			ts.Apps = append(ts.Apps, as)
		}
		st.Tenants = append(st.Tenants, ts)
	}
	return st
}

func (s *Simulator) serveState(w http.ResponseWriter, _ *http.Request) {
	writeJSON(w, http.StatusOK, s.state())
}

package entra

import (
	"crypto/subtle"
	"crypto/x509"
	"net/http"
	"net/url"
	"slices"
	"time"
)

// clientSecret is one of a registration's client secrets.
type clientSecret struct {
	value   string
	expires time.Time // zero: never
}

// SetSecret replaces all client secrets by one; zero expires never.
func (s *Simulator) SetSecret(tenantID, clientID, secret string, expires time.Time) error {
	return s.changeApp(tenantID, clientID, func(a *app) error {
		a.secrets = nil
		s.addSecret(a, secret, expires)
		return nil
	})
}

// AddSecret adds a client secret beside those that exist, as a rotation does.
func (s *Simulator) AddSecret(tenantID, clientID, secret string, expires time.Time) error {
	return s.changeApp(tenantID, clientID, func(a *app) error { s.addSecret(a, secret, expires); return nil })
}

// RemoveSecret deletes one client secret.
func (s *Simulator) RemoveSecret(tenantID, clientID, secret string) error {
	return s.changeApp(tenantID, clientID, func(a *app) error {
		a.secrets = slices.DeleteFunc(a.secrets, func(c clientSecret) bool { return c.value == secret })
		return nil
	})
}

// ExpireSecrets ends every client secret now; RenewSecrets lets them live again.
func (s *Simulator) ExpireSecrets(tenantID, clientID string) error {
	return s.changeApp(tenantID, clientID, func(a *app) error {
		for i := range a.secrets {
			a.secrets[i].expires = s.now()
		}
		return nil
	})
}

// RenewSecrets undoes [Simulator.ExpireSecrets], which the portal cannot: it is
// for a person who plays.
func (s *Simulator) RenewSecrets(tenantID, clientID string) error {
	return s.changeApp(tenantID, clientID, func(a *app) error {
		for i := range a.secrets {
			a.secrets[i].expires = time.Time{}
		}
		return nil
	})
}

func (s *Simulator) addSecret(a *app, secret string, expires time.Time) {
	if secret != "" {
		a.secrets = append(a.secrets, clientSecret{secret, expires})
		s.secrets = append(s.secrets, secret)
	}
}

// SetCertificates replaces the certificate credentials.
func (s *Simulator) SetCertificates(tenantID, clientID string, certificates ...*x509.Certificate) error {
	return s.changeApp(tenantID, clientID, func(a *app) error { a.Certificates = certificates; return nil })
}

// SetFederated replaces the federated identity credentials. Those that are new
// count after the delay of [Simulator.SetFederatedDelay].
func (s *Simulator) SetFederated(tenantID, clientID string, credentials ...Federated) error {
	return s.changeApp(tenantID, clientID, func(a *app) error {
		since := map[Federated]time.Time{}
		for _, f := range credentials {
			since[f] = s.now().Add(s.switches.federatedDelay)
			if known, held := a.federatedSince[f]; held {
				since[f] = known
			}
		}
		a.Federated, a.federatedSince = credentials, since
		return nil
	})
}

// MismatchFederated lets somebody have mistyped the subject of every federated
// identity credential (700213), or corrects it.
func (s *Simulator) MismatchFederated(tenantID, clientID string, on bool) error {
	return s.changeApp(tenantID, clientID, func(a *app) error { a.mismatched = on; return nil })
}

// SetFederatedDelay is how long after [Simulator.SetFederated] a new federated
// identity credential is not known yet; some minutes have been seen.
func (s *Simulator) SetFederatedDelay(d time.Duration) {
	s.set(func(sw *switches) { sw.federatedDelay = d })
}

// presented reads client id and secret from the body, or else from HTTP Basic.
func presented(r *http.Request) (clientID, secret string) {
	clientID, secret = r.PostForm.Get("client_id"), r.PostForm.Get("client_secret")
	id, password, found := r.BasicAuth()
	if !found || clientID != "" && secret != "" {
		return clientID, secret
	}
	id, errID := url.QueryUnescape(id)
	password, errPassword := url.QueryUnescape(password)
	if errID != nil || errPassword != nil {
		return "", ""
	}
	return id, password
}

// authenticate checks a secret or an assertion.
func (s *Simulator) authenticate(a *app, secret string, form url.Values) *refusal {
	assertion := form.Get("client_assertion")
	switch {
	case assertion != "" && form.Get("client_assertion_type") != assertionType:
		return refuse(900144, "The request body must contain the following parameter: 'client_assertion_type'.")
	case assertion != "":
		return s.authenticateAssertion(a, assertion)
	case secret == "":
		return refuse(7000218, "The request body must contain the following parameter: 'client_assertion' or 'client_secret'.").as("invalid_client")
	}
	known := false
	for _, c := range a.secrets {
		if subtle.ConstantTimeCompare([]byte(secret), []byte(c.value)) != 1 {
			continue
		}
		if c.expires.IsZero() || s.now().Before(c.expires) {
			return nil
		}
		known = true
	}
	if known {
		return refuse(7000222, "The provided client secret keys for app '%s' are expired. Visit the Azure portal to create new keys for your app: https://aka.ms/NewClientSecret, or consider using certificate credentials for added security: https://aka.ms/certCreds.", a.ClientID).as("invalid_client")
	}
	return refuse(7000215, "Invalid client secret provided. Ensure the secret being sent in the request is the client secret value, not the client secret ID, for a secret added to app '%s'.", a.ClientID).as("invalid_client")
}

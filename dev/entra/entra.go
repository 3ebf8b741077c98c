// Package entra simulates the part of Microsoft Entra ID that a web app with one
// delegated and one application grant meets: discovery, keys, sign-in and consent
// pages, admin consent, the token endpoint, and the identity endpoint of an App
// Service.
//
//	browser:      /{tenant}/oauth2/v2.0/authorize -> account -> consent -> redirect URI
//	              /{tenant}/v2.0/adminconsent, /{tenant}/adminconsent
//	back channel: /{tenant}/v2.0/.well-known/openid-configuration, .../keys,
//	              /{tenant}/oauth2/v2.0/token, /msi/token
//	by hand:      / (a menu like the portal), /_control/{action} (JSON)
//
// One [Simulator] serves all of it on any number of listeners: SDKs insist on
// https, a person's browser must see no certificate warning. It refuses what
// Entra refuses, with Entra's numbers, and a grant is not a token: consents, refresh
// tokens and access tokens live and die separately. Sources are Microsoft's
// identity platform documentation and public captures; where they are silent the
// comment says INFER.
//
// Not simulated: continuous access evaluation of app-only tokens, hybrid flows,
// device code, federated domains, B2B guests.
package entra

import (
	"crypto/rand"
	"crypto/rsa"
	"encoding/hex"
	"maps"
	"net/http"
	"strings"
	"sync"
	"time"
)

// globalGraph is what a scope without a resource means.
const globalGraph = "https://graph.microsoft.com"

// Config is what a simulator is made of. URLs and resources may be set later by
// [Simulator.SetURLs] and [Simulator.SetResources], once listeners have ports.
type Config struct {
	// Now is the clock of every lifetime; time.Now when nil.
	Now func() time.Time
	// BrowserURL is the base of the pages a person sees, BackchannelURL that of
	// everything else and of the issuer. No trailing slash.
	BrowserURL, BackchannelURL string
	// GraphResource is Graph in this cloud; https://graph.microsoft.com when empty.
	// Scopes without a resource always mean https://graph.microsoft.com.
	GraphResource string
	// VaultResource is the resource in the vault's challenge; https://vault.azure.net
	// when empty.
	VaultResource string
	// IdentityHeader is the secret that callers of /msi/token present; random when
	// empty.
	IdentityHeader string
	// Keys sign the tokens, the first one now. Two are generated when there are
	// fewer.
	Keys []*rsa.PrivateKey
}

// Simulator is one simulated cloud with any number of tenants. It is safe for
// concurrent use.
type Simulator struct {
	now func() time.Time
	mux *http.ServeMux

	mu             sync.Mutex // guards everything below
	browser        string
	backchannel    string
	graph          string
	vault          string
	identityHeader string
	keys           []signingKey // the first one signs, all are published
	tenants        []*tenant
	identities     []Identity
	attempts       map[string]*attempt
	sessions       map[string]*browserSession
	codes          map[string]*codeGrant
	refresh        map[string]*refreshGrant
	access         map[string]accessToken
	secrets        []string
	faults         []*Fault
	requests       map[string]int
	grants         map[string]int
	switches       switches
}

// switches change how the whole simulator behaves.
type switches struct {
	suppressCallback bool
	declineNext      bool
	consentDelay     time.Duration
	tokenLifetime    time.Duration
	federatedDelay   time.Duration
	legacyCancel     string
	unknownTenant    string
	blockedWord      string
}

// New makes a simulator without tenants.
func New(cfg Config) (*Simulator, error) {
	s := &Simulator{
		now:            cfg.Now,
		browser:        strings.TrimSuffix(cfg.BrowserURL, "/"),
		backchannel:    strings.TrimSuffix(cfg.BackchannelURL, "/"),
		graph:          strings.TrimSuffix(cfg.GraphResource, "/"),
		vault:          strings.TrimSuffix(cfg.VaultResource, "/"),
		identityHeader: cfg.IdentityHeader,
		attempts:       map[string]*attempt{},
		sessions:       map[string]*browserSession{},
		codes:          map[string]*codeGrant{},
		refresh:        map[string]*refreshGrant{},
		access:         map[string]accessToken{},
		requests:       map[string]int{},
		grants:         map[string]int{},
		switches:       switches{legacyCancel: "permission_denied", unknownTenant: "invalid_request", blockedWord: "interaction_required"},
	}
	if s.now == nil {
		s.now = time.Now
	}
	if s.graph == "" {
		s.graph = globalGraph
	}
	if s.vault == "" {
		s.vault = "https://vault.azure.net"
	}
	if s.identityHeader == "" {
		s.identityHeader = rand.Text()
	}
	s.secrets = append(s.secrets, s.identityHeader)
	keys, err := newSigningKeys(cfg.Keys, s.now())
	if err != nil {
		return nil, err
	}
	s.keys = keys
	s.mux = s.routes()
	return s, nil
}

// SetURLs sets the bases of the browser's pages and of the back channel.
func (s *Simulator) SetURLs(browser, backchannel string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.browser, s.backchannel = strings.TrimSuffix(browser, "/"), strings.TrimSuffix(backchannel, "/")
}

// SetResources sets the resources that tokens can be asked for.
func (s *Simulator) SetResources(graph, vault string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.graph, s.vault = strings.TrimSuffix(graph, "/"), strings.TrimSuffix(vault, "/")
}

// IdentityHeader is the value of IDENTITY_HEADER for the app under test.
func (s *Simulator) IdentityHeader() string { return s.identityHeader }

// ServeHTTP serves pages, back channel, identity endpoint and control API, dated by
// the simulator's clock.
func (s *Simulator) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Date", s.now().UTC().Format(http.TimeFormat))
	s.mux.ServeHTTP(w, r)
}

func (s *Simulator) routes() *http.ServeMux {
	mux := http.NewServeMux()
	handle := func(pattern, endpoint string, h http.HandlerFunc) {
		mux.Handle(pattern, s.faulty(endpoint, h))
	}
	handle("GET /{tenant}/v2.0/.well-known/openid-configuration", EndpointDiscovery, s.serveDiscovery)
	handle("GET /common/discovery/instance", EndpointDiscovery, s.serveInstanceDiscovery)
	handle("GET /{tenant}/discovery/v2.0/keys", EndpointKeys, s.serveKeys)
	handle("/{tenant}/oauth2/v2.0/token", EndpointToken, s.serveToken)
	handle("/{tenant}/oauth2/v2.0/authorize", EndpointAuthorize, s.serveAuthorize)
	handle("GET /{tenant}/v2.0/adminconsent", EndpointAdminConsent, s.serveAdminConsent)
	handle("GET /{tenant}/adminconsent", EndpointAdminConsent, s.serveLegacyAdminConsent)
	handle("POST /{tenant}/signin/account", EndpointPages, s.serveAccount)
	handle("POST /{tenant}/signin/consent", EndpointPages, s.serveConsent)
	handle("POST /{tenant}/signin/interrupt", EndpointPages, s.serveInterrupt)
	handle("GET /{tenant}/oauth2/v2.0/logout", EndpointPages, s.serveLogout)
	handle("GET /msi/token", EndpointIdentity, s.serveIdentity)
	mux.HandleFunc("POST /_control/{action}", s.serveControl)
	mux.HandleFunc("GET /_control/state", s.serveState)
	mux.HandleFunc("GET /{$}", s.serveMenu)
	mux.HandleFunc("POST /_menu", s.servePlay)
	return mux
}

// IssuedSecrets lists every client secret, authorization code, refresh, access and
// id token, browser session and identity header that exists or ever existed here.
// None may be found in what the app under test stores or logs.
func (s *Simulator) IssuedSecrets() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]string(nil), s.secrets...)
}

// TokenRequests counts token requests by grant_type, refused ones included; key
// "identity" counts those of the identity endpoint.
func (s *Simulator) TokenRequests() map[string]int {
	s.mu.Lock()
	defer s.mu.Unlock()
	counts := make(map[string]int, len(s.grants))
	maps.Copy(counts, s.grants)
	return counts
}

// Requests counts the requests of one endpoint, those that a fault answered
// included.
func (s *Simulator) Requests(endpoint string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.requests[endpoint]
}

// secret makes an opaque value as long as Entra's and remembers it.
func (s *Simulator) secret(prefix string, blocks int) string {
	var b strings.Builder
	b.WriteString(prefix)
	for range blocks {
		b.WriteString(rand.Text())
	}
	s.secrets = append(s.secrets, b.String())
	return b.String()
}

func guid() string {
	var b [16]byte
	_, _ = rand.Read(b[:])
	b[6], b[8] = b[6]&0x0f|0x40, b[8]&0x3f|0x80
	h := hex.EncodeToString(b[:])
	return h[:8] + "-" + h[8:12] + "-" + h[12:16] + "-" + h[16:20] + "-" + h[20:]
}

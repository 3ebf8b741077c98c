package entra

import (
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"strings"
	"time"
)

const (
	codeLifetime    = 10 * time.Minute
	refreshLifetime = 90 * 24 * time.Hour // of each refresh token; a new one restarts it
)

// refreshGrant is what one sign-in of one user at one client is good for. Every
// refresh token made of it is a copy with its own issue time: old ones stay valid.
type refreshGrant struct {
	app    *app
	user   *user
	scopes scopes
	issued time.Time
	// revocations and demands of the user when the person signed in.
	revocations, demands int
	// claims are those that the sign-in began with.
	claims  string
	expired bool
}

// codeGrant is an authorization code.
type codeGrant struct {
	refreshGrant
	redirectURI       string
	challenge, method string
	nonce             string
	used              bool
}

// serveToken is the token endpoint.
func (s *Simulator) serveToken(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	body, refused := s.redeem(r)
	if refused != nil {
		s.writeRefusal(w, r, refused)
		return
	}
	writeJSON(w, http.StatusOK, body)
}

// redeem answers a request whose form was read.
func (s *Simulator) redeem(r *http.Request) (map[string]any, *refusal) {
	if r.Method != http.MethodPost {
		return nil, refuse(900561, "The endpoint only accepts POST requests. Received a %s request.", r.Method)
	}
	kind := r.PostForm.Get("grant_type")
	if kind == "" {
		return nil, refuse(900144, "The request body must contain the following parameter: 'grant_type'.")
	}
	s.grants[kind]++
	t, refused := s.findTenant(r.PathValue("tenant"))
	if refused != nil {
		return nil, refused
	}
	if r.Header.Get("Origin") != "" {
		return nil, refuse(9002326, "Cross-origin token redemption is permitted only for the 'Single-Page Application' client-type. Request origin: '%s'.", r.Header.Get("Origin"))
	}
	clientID, secret := presented(r)
	a, refused := t.findApp(clientID)
	if refused != nil {
		return nil, refused
	}
	if refused := s.authenticate(a, secret, r.PostForm); refused != nil {
		return nil, refused
	}
	if a.principal == "" {
		// INFER: the status, by analogy to other refusals of a client.
		return nil, refuse(7000229, "The client application %s is missing service principal in the tenant %s. See instructions here: https://go.microsoft.com/fwlink/?linkid=2225119", a.ClientID, t.ID).as("invalid_client")
	}
	switch kind {
	case "client_credentials":
		return s.redeemClient(a, r)
	case "authorization_code":
		return s.redeemCode(a, r)
	case "refresh_token":
		return s.redeemRefresh(a, r)
	}
	return nil, refuse(70003, "The app requested an unsupported grant type '%s'.", kind).as("unsupported_grant_type")
}

// redeemClient answers app-only tokens, before any consent too: then without
// roles.
func (s *Simulator) redeemClient(a *app, r *http.Request) (map[string]any, *refusal) {
	text := r.PostForm.Get("scope")
	if text == "" {
		return nil, refuse(900144, "The request body must contain the following parameter: 'scope'.")
	}
	sc, refused := s.parseScopes(text, a, false)
	if refused != nil {
		return nil, refused
	}
	if !sc.all {
		return nil, refuse(1002012, "The provided value for scope %s is not valid. Client credential flows must have a scope value with /.default suffixed to the resource identifier (application ID URI).", text).as("invalid_scope")
	}
	lifetime := s.lifetime(r.PostForm.Get("claims"))
	token, err := s.appToken(a, sc.resource, lifetime)
	if err != nil {
		return nil, broken(err)
	}
	return tokenBody(token, lifetime), nil
}

func (s *Simulator) redeemCode(a *app, r *http.Request) (map[string]any, *refusal) {
	g := s.codes[r.PostForm.Get("code")]
	switch {
	case r.PostForm.Get("code") == "":
		return nil, refuse(900144, "The request body must contain the following parameter: 'code'.")
	case g == nil:
		return nil, refuse(9002313, "Invalid request. Request is malformed or invalid.").as("invalid_grant")
	case g.app != a && strings.EqualFold(g.app.ClientID, a.ClientID):
		return nil, refuse(700005, "Provided Authorization Code is intended to use against other tenant, thus rejected.").as("invalid_grant")
	case g.app != a:
		return nil, refuse(70000, "The provided value for the 'code' parameter is not valid. The code was issued to another client.").as("invalid_grant")
	case g.used:
		return nil, refuse(54005, "OAuth2 Authorization code was already redeemed, please retry with a new valid code or use an existing refresh token.").as("invalid_grant")
	case !s.now().Before(g.issued.Add(codeLifetime)):
		return nil, refuse(70008, "The provided authorization code or refresh token has expired due to inactivity. Send a new interactive authorization request for this user and resource.").as("invalid_grant")
	case r.PostForm.Get("redirect_uri") != g.redirectURI:
		return nil, refuse(500112, "The reply address '%s' does not match the reply address '%s' provided when requesting Authorization code.", r.PostForm.Get("redirect_uri"), g.redirectURI).as("invalid_grant")
	case !g.verified(r.PostForm.Get("code_verifier")):
		return nil, refuse(501481, "The Code_Verifier does not match the code_challenge supplied in the authorization request.").as("invalid_grant")
	}
	if refused := s.mayContinue(&g.refreshGrant); refused != nil {
		return nil, refused
	}
	sc, refused := s.narrow(g.scopes, r.PostForm.Get("scope"), a)
	if refused != nil {
		return nil, refused
	}
	// INFER: a refused redemption leaves the code usable, only success uses it up.
	g.used = true
	next := g.refreshGrant
	return s.userTokens(&next, sc, g.nonce, r)
}

// verified compares a verifier with the challenge. A verifier that nobody
// announced is ignored.
func (g *codeGrant) verified(verifier string) bool {
	switch {
	case g.challenge == "":
		return true
	case g.method == "S256":
		sum := sha256.Sum256([]byte(verifier))
		verifier = base64.RawURLEncoding.EncodeToString(sum[:])
	}
	return subtle.ConstantTimeCompare([]byte(verifier), []byte(g.challenge)) == 1
}

func (s *Simulator) redeemRefresh(a *app, r *http.Request) (map[string]any, *refusal) {
	g := s.refresh[r.PostForm.Get("refresh_token")]
	switch {
	case r.PostForm.Get("refresh_token") == "":
		return nil, refuse(900144, "The request body must contain the following parameter: 'refresh_token'.")
	case g == nil:
		return nil, refuse(9002313, "Invalid request. Request is malformed or invalid.").as("invalid_grant")
	case !strings.EqualFold(g.app.ClientID, a.ClientID):
		return nil, refuse(70000, "Provided grant is invalid or malformed.").as("invalid_grant")
	case g.expired || !s.now().Before(g.issued.Add(refreshLifetime)):
		return nil, refuse(700082, "The refresh token has expired due to inactivity. The token was issued on %s and was inactive for 90.00:00:00.", precise(g.issued)).as("invalid_grant").sub("bad_token")
	}
	if refused := s.mayContinue(g); refused != nil {
		return nil, refused
	}
	// A refresh token belongs to a user and a client, not to a tenant: at another
	// tenant that has the app it works when consent exists there.
	next := *g
	next.app = a
	sc, refused := s.narrow(g.scopes, r.PostForm.Get("scope"), a)
	if refused != nil {
		return nil, refused
	}
	return s.userTokens(&next, sc, "", r)
}

// narrow reads the optional scope of a redemption; without it the scopes of the
// sign-in hold.
func (s *Simulator) narrow(asked scopes, text string, a *app) (scopes, *refusal) {
	if text == "" {
		return asked, nil
	}
	return s.parseScopes(text, a, true)
}

// userTokens answers a redemption by or for a user. Named permissions must be
// consented to; without names the answer holds whatever still is.
func (s *Simulator) userTokens(g *refreshGrant, sc scopes, nonce string, r *http.Request) (map[string]any, *refusal) {
	explicit := r.PostForm.Get("scope") != ""
	granted := sc.granted(g.app, g.user)
	missing := sc.resource != "" && len(granted) == 0
	for _, name := range sc.named {
		missing = missing || explicit && !g.app.allows(g.user, name)
	}
	if missing {
		return nil, g.app.notConsented()
	}
	offline := g.scopes.has("offline_access")
	signIn := g.scopes.signIn
	if explicit {
		signIn = sc.signIn
	}
	g.scopes, g.issued = scopes{
		text: g.scopes.text, signIn: signIn, resource: sc.resource, named: sc.named, all: sc.all, short: sc.short,
	}, s.now()
	claims := r.PostForm.Get("claims")
	lifetime, scope := s.lifetime(claims), g.scopes.answer(granted)
	token, err := s.userToken(g, granted, scope, lifetime, handlesChallenges(claims))
	if err != nil {
		return nil, broken(err)
	}
	body := tokenBody(token, lifetime)
	body["scope"] = scope
	if g.scopes.has("openid") {
		id, err := s.idToken(g, nonce)
		if err != nil {
			return nil, broken(err)
		}
		body["id_token"] = id
	}
	if offline {
		// INFER: a refresh that does not ask for offline_access again keeps it.
		if !g.scopes.has("offline_access") {
			g.scopes.signIn = append([]string{"offline_access"}, g.scopes.signIn...)
		}
		fresh := s.secret("1.AX", 14)
		s.refresh[fresh] = g
		body["refresh_token"] = fresh
	}
	if r.PostForm.Get("client_info") == "1" {
		info, _ := json.Marshal(map[string]string{"uid": g.user.ObjectID, "utid": g.user.tenant.ID}) // strings always encode
		body["client_info"] = base64.RawURLEncoding.EncodeToString(info)
	}
	return body, nil
}

func (a *app) notConsented() *refusal {
	return refuse(65001, "The user or administrator has not consented to use the application with ID '%s' named '%s'. Send an interactive authorization request for this user and resource.", a.ClientID, a.Name).as("invalid_grant").sub("consent_required")
}

func tokenBody(token string, lifetime time.Duration) map[string]any {
	seconds := int(lifetime / time.Second)
	return map[string]any{"token_type": "Bearer", "expires_in": seconds, "ext_expires_in": seconds, "access_token": token}
}

// broken is a fault of the simulator itself.
func broken(err error) *refusal {
	r := refuse(90033, "A transient error has occurred. Please try again. (%v)", err).as("temporarily_unavailable")
	r.status = http.StatusServiceUnavailable
	return r
}

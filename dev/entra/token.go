package entra

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"time"
)

// Claims is what a resource learns from an access token.
type Claims struct {
	TenantID string
	AppID    string
	// ObjectID is the signed-in user; empty for an app-only token.
	ObjectID string
	Scopes   []string // delegated permissions
	Roles    []string // application permissions, as they were when it was issued
	Audience string
	Expires  time.Time
}

// accessToken is an issued access token: what it says, and for a client that handles
// claims challenges whose it is and which critical events it has outlived.
type accessToken struct {
	Claims
	user     *user // nil: nobody's, or the client handles no challenges
	critical int
}

// ChallengeError says that a token was ended by a critical event before its time
// (continuous access evaluation), and what a new one must carry. Only tokens of
// clients that said that they handle this (xms_cc=cp1) end so. INFER: at once;
// Microsoft says within fifteen minutes.
type ChallengeError struct{ Claims string }

func (e *ChallengeError) Error() string { return "access token was ended by a critical event" }

// ClaimsChallenge returns the claims request, JSON.
func (e *ChallengeError) ClaimsChallenge() string { return e.Claims }

// ErrToken says that a token was not issued here or has expired.
var ErrToken = errors.New("access token is not valid")

// VerifyAccessToken reads a token as the resource that it is for would: it must
// have been issued here and not be expired, nor ended ([ChallengeError]). The
// caller compares Audience.
func (s *Simulator) VerifyAccessToken(token string) (Claims, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	issued, found := s.access[token]
	now := s.now()
	switch {
	case !found:
		return Claims{}, fmt.Errorf("%w: unknown", ErrToken)
	case !now.Before(issued.Expires):
		return Claims{}, fmt.Errorf("%w: expired at %s", ErrToken, issued.Expires.UTC().Format(time.RFC3339))
	case issued.user != nil && issued.critical != issued.user.critical:
		return Claims{}, &ChallengeError{fmt.Sprintf(`{"access_token":{"nbf":{"essential":true,"value":"%d"}}}`, now.Unix())}
	}
	return issued.Claims, nil
}

// VerifyFor is [Simulator.VerifyAccessToken] for one audience.
func (s *Simulator) VerifyFor(audience, token string) (Claims, error) {
	claims, err := s.VerifyAccessToken(token)
	if err == nil && claims.Audience != audience {
		return Claims{}, fmt.Errorf("%w: audience is %s", ErrToken, claims.Audience)
	}
	return claims, err
}

// handlesChallenges reports whether a claims request says so (xms_cc=cp1).
func handlesChallenges(claimsRequest string) bool {
	var asked struct {
		AccessToken struct {
			XmsCC struct {
				Values []string `json:"values"`
			} `json:"xms_cc"`
		} `json:"access_token"`
	}
	_ = json.Unmarshal([]byte(claimsRequest), &asked) // an unreadable request asks for nothing
	values := asked.AccessToken.XmsCC.Values
	return slices.Contains(values, "cp1") || slices.Contains(values, "CP1")
}

// lifetime is 60 to 90 minutes at random, as Entra's, or 28 hours for a client
// that says it handles claims challenges.
func (s *Simulator) lifetime(claimsRequest string) time.Duration {
	switch {
	case s.switches.tokenLifetime > 0:
		return s.switches.tokenLifetime
	case handlesChallenges(claimsRequest):
		return 28 * time.Hour
	}
	return time.Duration(3600+rand.IntN(1801)) * time.Second
}

// appToken makes an app-only token. Roles are those that are in effect now; there
// may be none, which is no error.
func (s *Simulator) appToken(a *app, resource string, lifetime time.Duration) (string, error) {
	now := s.now()
	var roles []string
	if resource == s.graph {
		for _, name := range slices.Sorted(maps.Keys(a.roles)) {
			if !a.roles[name].After(now) {
				roles = append(roles, name)
			}
		}
	}
	claims := s.accessClaims(a.tenant, a.ClientID, resource, lifetime)
	claims["oid"], claims["sub"], claims["idtyp"] = a.principal, a.principal, "app"
	if len(roles) > 0 {
		claims["roles"] = roles
	}
	return s.record(claims, accessToken{Claims: Claims{
		TenantID: a.tenant.ID, AppID: a.ClientID, Roles: roles, Audience: resource, Expires: now.Add(lifetime),
	}})
}

// userToken makes a delegated token; challenged says that the client handles claims
// challenges.
func (s *Simulator) userToken(g *refreshGrant, granted []string, scope string, lifetime time.Duration, challenged bool) (string, error) {
	u := g.user
	resource := g.scopes.resource
	if resource == "" {
		resource = s.graph // sign-in only: Graph's userinfo
	}
	claims := s.accessClaims(g.app.tenant, g.app.ClientID, resource, lifetime)
	claims["oid"], claims["sub"], claims["idtyp"] = u.ObjectID, pairwise(u, g.app), "user"
	claims["name"], claims["upn"], claims["unique_name"], claims["scp"] = u.Name, u.UPN, u.UPN, scope
	issued := accessToken{Claims: Claims{
		TenantID: g.app.tenant.ID, AppID: g.app.ClientID, ObjectID: u.ObjectID, Scopes: granted,
		Audience: resource, Expires: s.now().Add(lifetime),
	}}
	if challenged {
		issued.user, issued.critical = u, u.critical
	}
	return s.record(claims, issued)
}

// accessClaims are those of the version 1 shape that Graph's tokens have.
func (s *Simulator) accessClaims(t *tenant, clientID, resource string, lifetime time.Duration) map[string]any {
	now := s.now()
	return map[string]any{
		"aud": resource, "iss": "https://sts.windows.net/" + t.ID + "/", "tid": t.ID, "ver": "1.0",
		"appid": clientID, "appidacr": "1", "uti": guid(),
		"iat": now.Add(-5 * time.Minute).Unix(), "nbf": now.Add(-5 * time.Minute).Unix(), "exp": now.Add(lifetime).Unix(),
	}
}

// record signs an access token and remembers what it says.
func (s *Simulator) record(claims map[string]any, issued accessToken) (string, error) {
	token, err := s.sign(claims)
	if err == nil {
		s.access[token] = issued
	}
	return token, err
}

// idToken makes a version 2 id token. oid, name and preferred_username need scope
// profile; iat and nbf lie five minutes back as in Microsoft's samples.
func (s *Simulator) idToken(g *refreshGrant, nonce string) (string, error) {
	now, u := s.now(), g.user
	claims := map[string]any{
		"ver": "2.0", "iss": s.issuer(g.app.tenant), "aud": g.app.ClientID, "tid": g.app.tenant.ID,
		"sub": pairwise(u, g.app), "uti": guid(),
		"iat": now.Add(-5 * time.Minute).Unix(), "nbf": now.Add(-5 * time.Minute).Unix(), "exp": now.Add(time.Hour).Unix(),
	}
	if nonce != "" {
		claims["nonce"] = nonce
	}
	if g.scopes.has("profile") {
		claims["oid"], claims["name"], claims["preferred_username"] = u.ObjectID, u.Name, u.UPN
	}
	if g.scopes.has("email") {
		claims["email"] = u.UPN
	}
	if len(u.AppRoles) > 0 {
		claims["roles"] = u.AppRoles
	}
	return s.sign(claims)
}

// pairwise is a subject that no other app sees.
func pairwise(u *user, a *app) string {
	sum := sha256.Sum256([]byte(u.ObjectID + " " + a.ClientID))
	return base64.RawURLEncoding.EncodeToString(sum[:])
}

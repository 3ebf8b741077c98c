package entra

import (
	"crypto/subtle"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
)

// ExchangeAudience is what a managed identity's token must be for to stand in for
// an app's secret; the US government's and China's clouds have their own.
const ExchangeAudience = "api://AzureADTokenExchange"

var exchangeAudiences = []string{ExchangeAudience, ExchangeAudience + "USGov", ExchangeAudience + "China"}

// identityLifetime: the platform caches an identity's token for about a day.
const identityLifetime = 24 * time.Hour

// serveIdentity is the identity endpoint of an App Service (IDENTITY_ENDPOINT),
// version 2019-08-01.
func (s *Simulator) serveIdentity(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.grants["identity"]++
	query := r.URL.Query()
	refuseIdentity := func(status int, message string) {
		writeJSON(w, status, map[string]any{"statusCode": status, "message": message, "correlationId": guid()})
	}
	if subtle.ConstantTimeCompare([]byte(r.Header.Get("X-IDENTITY-HEADER")), []byte(s.identityHeader)) != 1 {
		// INFER: the status of a wrong header.
		refuseIdentity(http.StatusUnauthorized, "The X-IDENTITY-HEADER header is missing or wrong.")
		return
	}
	if query.Get("api-version") != "2019-08-01" {
		refuseIdentity(http.StatusBadRequest, "The api-version '"+query.Get("api-version")+"' is not supported.")
		return
	}
	identity := s.identity(query.Get("client_id"))
	if identity == nil {
		refuseIdentity(http.StatusBadRequest, "No User Assigned or Delegated Managed Identity found for specified ClientId/ResourceId/PrincipalId.")
		return
	}
	t, resource := s.tenant(identity.TenantID), strings.TrimSuffix(query.Get("resource"), "/")
	if !s.knowsResource(resource) && !slices.Contains(exchangeAudiences, resource) && resource != "https://storage.azure.com" {
		refuseIdentity(http.StatusBadRequest, "AADSTS500011: The resource principal named "+resource+" was not found in the tenant named "+t.ID+".")
		return
	}
	expires := s.now().Add(identityLifetime)
	claims := s.accessClaims(t, identity.ClientID, resource, identityLifetime)
	claims["oid"], claims["sub"], claims["idtyp"], claims["appidacr"] = identity.ObjectID, identity.ObjectID, "app", "2"
	if slices.Contains(exchangeAudiences, resource) {
		claims["iss"], claims["ver"] = s.issuer(t), "2.0"
	}
	token, err := s.record(claims, accessToken{Claims: Claims{TenantID: t.ID, AppID: identity.ClientID, Audience: resource, Expires: expires}})
	if err != nil {
		refuseIdentity(http.StatusInternalServerError, err.Error())
		return
	}
	writeJSON(w, http.StatusOK, map[string]any{
		"access_token": token, "expires_on": strconv.FormatInt(expires.Unix(), 10),
		"resource": query.Get("resource"), "token_type": "Bearer", "client_id": identity.ClientID,
	})
}

func (s *Simulator) identity(clientID string) *Identity {
	for i := range s.identities {
		if clientID == "" && s.identities[i].System || clientID != "" && strings.EqualFold(s.identities[i].ClientID, clientID) {
			return &s.identities[i]
		}
	}
	return nil
}

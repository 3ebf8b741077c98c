package entra

import (
	"net/http"
	"net/url"
	"strings"
)

// serveDiscovery answers OpenID Connect discovery. A domain in the path still
// gives the issuer with the tenant's GUID, and the endpoints for many tenants give
// the literal {tenantid}.
func (s *Simulator) serveDiscovery(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	name, id := r.PathValue("tenant"), "{tenantid}"
	if name != "common" && name != "organizations" {
		t, refused := s.findTenant(name)
		if refused != nil {
			s.writeRefusal(w, r, refused)
			return
		}
		name, id = t.ID, t.ID
	}
	graphHost := strings.TrimPrefix(s.graph, "https://")
	writeJSON(w, http.StatusOK, map[string]any{
		"token_endpoint":                        s.backchannel + "/" + name + "/oauth2/v2.0/token",
		"token_endpoint_auth_methods_supported": []string{"client_secret_post", "private_key_jwt", "client_secret_basic"},
		"jwks_uri":                              s.backchannel + "/" + name + "/discovery/v2.0/keys",
		"response_modes_supported":              []string{"query", "fragment", "form_post"},
		"subject_types_supported":               []string{"pairwise"},
		"id_token_signing_alg_values_supported": []string{"RS256"},
		"response_types_supported":              []string{"code", "id_token", "code id_token", "id_token token"},
		"scopes_supported":                      []string{"openid", "profile", "email", "offline_access"},
		"issuer":                                s.backchannel + "/" + id + "/v2.0",
		"request_uri_parameter_supported":       false,
		"authorization_endpoint":                s.browser + "/" + name + "/oauth2/v2.0/authorize",
		"end_session_endpoint":                  s.browser + "/" + name + "/oauth2/v2.0/logout",
		"claims_supported":                      []string{"sub", "iss", "aud", "exp", "iat", "nonce", "preferred_username", "name", "tid", "ver"},
		"tenant_region_scope":                   "EU",
		"cloud_instance_name":                   "microsoftonline.com",
		"cloud_graph_host_name":                 "graph.windows.net",
		"msgraph_host":                          graphHost,
		"rbac_url":                              "https://pas.windows.net",
	})
}

// serveInstanceDiscovery tells SDKs which hosts are the same authority.
func (s *Simulator) serveInstanceDiscovery(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	asked, err := url.Parse(r.URL.Query().Get("authorization_endpoint"))
	if err != nil || asked.Host == "" {
		s.writeRefusal(w, r, refuse(900144, "The request body must contain the following parameter: 'authorization_endpoint'."))
		return
	}
	tenantName, _, _ := strings.Cut(strings.TrimPrefix(asked.Path, "/"), "/")
	writeJSON(w, http.StatusOK, map[string]any{
		"tenant_discovery_endpoint": s.backchannel + "/" + tenantName + "/v2.0/.well-known/openid-configuration",
		"api-version":               "1.1",
		"metadata": []map[string]any{{
			"preferred_network": asked.Host, "preferred_cache": asked.Host, "aliases": []string{asked.Host},
		}},
	})
}

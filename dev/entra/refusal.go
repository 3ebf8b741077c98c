package entra

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"time"
)

// refusal is an AADSTS error. It becomes JSON at the token endpoint, parameters of
// a callback, or a page.
type refusal struct {
	status   int
	word     string // OAuth's error
	number   int    // AADSTS; 0 when Entra gives none
	text     string
	suberror string
	claims   string // a claims challenge, JSON
}

// refuse makes a refusal with status 400 and word invalid_request.
func refuse(number int, format string, args ...any) *refusal {
	return &refusal{status: http.StatusBadRequest, word: "invalid_request", number: number, text: fmt.Sprintf(format, args...)}
}

func (r *refusal) as(word string) *refusal {
	r.word = word
	if word == "invalid_client" {
		r.status = http.StatusUnauthorized
	}
	return r
}

func (r *refusal) sub(suberror string) *refusal {
	r.suberror = suberror
	return r
}

// challenge adds a claims request that a new sign-in may carry.
func (r *refusal) challenge() *refusal {
	r.claims = `{"access_token":{"capolids":{"essential":true,"values":["` + guid() + `"]}}}`
	return r
}

const timestampLayout = "2006-01-02 15:04:05Z"

// description is the text with its trace. Callbacks part it by line ends, the
// token endpoint by blanks, as captures of both show.
func (r *refusal) description(now time.Time, separator, trace, correlation string) string {
	text := r.text
	if r.number != 0 {
		text = "AADSTS" + strconv.Itoa(r.number) + ": " + text
	}
	return text + separator + "Trace ID: " + trace + separator + "Correlation ID: " + correlation +
		separator + "Timestamp: " + now.UTC().Format(timestampLayout)
}

func (r *refusal) uri() string {
	return "https://login.microsoftonline.com/error?code=" + strconv.Itoa(r.number)
}

// writeRefusal answers in the token endpoint's JSON.
func (s *Simulator) writeRefusal(w http.ResponseWriter, req *http.Request, r *refusal) {
	trace, correlation := guid(), req.Header.Get("client-request-id")
	if !guidPattern.MatchString(correlation) {
		correlation = guid()
	}
	now := s.now()
	body := map[string]any{
		"error":             r.word,
		"error_description": r.description(now, " ", trace, correlation),
		"error_codes":       []int{r.number},
		"timestamp":         now.UTC().Format(timestampLayout),
		"trace_id":          trace,
		"correlation_id":    correlation,
		"error_uri":         r.uri(),
	}
	if r.suberror != "" {
		body["suberror"] = r.suberror
	}
	if r.claims != "" {
		body["claims"] = r.claims
	}
	writeJSON(w, r.status, body)
}

func writeJSON(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	w.Header().Set("Cache-Control", "no-store, no-cache")
	w.Header().Set("x-ms-request-id", guid())
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(body) // the peer went away
}

// findTenant resolves the first path segment. Single-tenant apps are not served on
// the endpoints for many tenants.
func (s *Simulator) findTenant(name string) (*tenant, *refusal) {
	switch {
	case name == "common" || name == "organizations" || name == "consumers":
		return nil, refuse(50194, "Application is not configured as a multi-tenant application. Usage of the /%s endpoint is not supported for such apps. Use a tenant-specific endpoint or configure the application to be multi-tenant.", name)
	case s.tenant(name) != nil && !s.tenant(name).hidden:
		return s.tenant(name), nil
	case !guidPattern.MatchString(name) && !domainPattern.MatchString(name):
		return nil, refuse(900023, "Specified tenant identifier '%s' is neither a valid DNS name, nor a valid external domain.", name)
	}
	return nil, refuse(90002, "Tenant '%s' not found. Check to make sure you have the correct tenant ID and are signing into the correct cloud. Check with your subscription administrator, this may happen if there are no active subscriptions for the tenant.", name).as(s.switches.unknownTenant)
}

func (t *tenant) findApp(clientID string) (*app, *refusal) {
	a := t.app(clientID)
	switch {
	case clientID == "":
		return nil, refuse(900144, "The request body must contain the following parameter: 'client_id'.")
	case a == nil:
		return nil, refuse(700016, "Application with identifier '%s' was not found in the directory '%s'. This can happen if the application has not been installed by the administrator of the tenant or consented to by any user in the tenant. You may have sent your authentication request to the wrong tenant.", clientID, t.ID).as("unauthorized_client")
	case a.disabled:
		return nil, refuse(7000112, "Application '%s'(%s) is disabled.", a.ClientID, a.Name).as("unauthorized_client")
	}
	return a, nil
}

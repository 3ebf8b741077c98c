package keyvault

import (
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

const (
	valueLimit = 25 * 1024
	tagLimit   = 15
	textLimit  = 256
	pageLimit  = 25
)

var namePattern = regexp.MustCompile(`^[0-9A-Za-z-]{1,127}$`)

func (s *Simulator) routes() *http.ServeMux {
	mux := http.NewServeMux()
	handle := func(pattern, operation string, h func(http.ResponseWriter, *http.Request) *failure) {
		mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) { s.serve(w, r, operation, h) })
	}
	handle("PUT /secrets/{name}", "set", s.setSecret)
	handle("GET /secrets/{name}", "get", s.getSecret)
	handle("GET /secrets/{name}/{$}", "get", s.getSecret)
	handle("GET /secrets/{name}/{version}", "get", s.getSecret)
	handle("PATCH /secrets/{name}", "update", s.updateSecret)
	handle("PATCH /secrets/{name}/{$}", "update", s.updateSecret)
	handle("PATCH /secrets/{name}/{version}", "update", s.updateSecret)
	handle("DELETE /secrets/{name}", "delete", s.deleteSecret)
	handle("GET /secrets", "list", s.listSecrets)
	handle("GET /secrets/{name}/versions", "list", s.listVersions)
	handle("GET /deletedsecrets", "list", s.listDeleted)
	handle("GET /deletedsecrets/{name}", "get", s.getDeleted)
	handle("POST /deletedsecrets/{name}/recover", "recover", s.recoverSecret)
	handle("DELETE /deletedsecrets/{name}", "purge", s.purgeSecret)
	mux.HandleFunc("POST /_control/{action}", s.serveControl)
	return mux
}

// ServeHTTP serves the REST interface and the control API.
func (s *Simulator) ServeHTTP(w http.ResponseWriter, r *http.Request) { s.mux.ServeHTTP(w, r) }

// failure is an error answer.
type failure struct {
	status  int
	code    string
	message string
	inner   string
}

func fail(status int, code, format string, args ...any) *failure {
	return &failure{status: status, code: code, message: fmt.Sprintf(format, args...)}
}

func (s *Simulator) serve(w http.ResponseWriter, r *http.Request, operation string, h func(http.ResponseWriter, *http.Request) *failure) {
	w.Header().Set("x-ms-keyvault-service-version", "1.9.2000.1")
	w.Header().Set("x-ms-request-id", versionID())
	if s.misbehave(w, r, operation) {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	f := s.authenticate(w, r)
	if f == nil && r.URL.Query().Get("api-version") == "" {
		f = fail(http.StatusBadRequest, "BadParameter", "api-version must be specified")
	}
	if f == nil && s.forbidden[operation] {
		f = fail(http.StatusForbidden, "Forbidden", "Caller is not authorized to perform action on resource.\r\nIf role assignments, deny assignments or role definitions were changed recently, please observe propagation time.")
		f.inner = "ForbiddenByRbac"
	}
	if f == nil {
		s.expire()
		f = h(w, r)
	}
	if f != nil {
		writeFailure(w, f)
	}
}

// authenticate answers the challenge that clients learn tenant and resource from.
func (s *Simulator) authenticate(w http.ResponseWriter, r *http.Request) *failure {
	resource := s.resource
	if resource == "" {
		resource = ResourceFor(r.Host)
	}
	token, found := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	if found {
		err := s.cfg.VerifyToken(token)
		if err == nil {
			return nil
		}
		w.Header().Set("WWW-Authenticate", fmt.Sprintf(`Bearer authorization="%s", resource="%s"`, s.authority, resource))
		return fail(http.StatusUnauthorized, "Unauthorized", "Error validating token: %v", err)
	}
	w.Header().Set("WWW-Authenticate", fmt.Sprintf(`Bearer authorization="%s", resource="%s"`, s.authority, resource))
	return fail(http.StatusUnauthorized, "Unauthorized", "AKV10000: Request is missing a Bearer or PoP token.")
}

func writeFailure(w http.ResponseWriter, f *failure) {
	body := map[string]any{"code": f.code, "message": f.message}
	if f.inner != "" {
		body["innererror"] = map[string]any{"code": f.inner}
	}
	writeJSON(w, f.status, map[string]any{"error": body})
}

func writeJSON(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	w.Header().Set("Cache-Control", "no-cache")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(body) // the peer went away
}

// parameters are the body of set and update. Absent members change nothing.
type parameters struct {
	Value       *string           `json:"value"`
	ContentType *string           `json:"contentType"`
	Tags        map[string]string `json:"tags"`
	Attributes  *struct {
		Enabled *bool  `json:"enabled"`
		NBF     *int64 `json:"nbf"`
		Exp     *int64 `json:"exp"`
	} `json:"attributes"`
}

func readParameters(w http.ResponseWriter, r *http.Request) (parameters, *failure) {
	var p parameters
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, 1<<20))
	if err != nil || json.Unmarshal(body, &p) != nil {
		return p, fail(http.StatusBadRequest, "BadParameter", "Property has invalid value or the body is no JSON object.")
	}
	if p.ContentType != nil && len(*p.ContentType) > textLimit-1 {
		return p, fail(http.StatusBadRequest, "BadParameter", "The contentType is longer than 255 characters.")
	}
	if len(p.Tags) > tagLimit {
		return p, fail(http.StatusBadRequest, "BadParameter", "A secret can have at most 15 tags.")
	}
	for name, value := range p.Tags {
		if len(name) > textLimit || len(value) > textLimit {
			return p, fail(http.StatusBadRequest, "BadParameter", "Tag names and values can have at most 256 characters.")
		}
	}
	return p, nil
}

func (p parameters) apply(v *Version) {
	if p.ContentType != nil {
		v.ContentType = *p.ContentType
	}
	if p.Tags != nil {
		v.Tags = maps.Clone(p.Tags)
	}
	if p.Attributes == nil {
		return
	}
	if p.Attributes.Enabled != nil {
		v.Enabled = *p.Attributes.Enabled
	}
	if p.Attributes.NBF != nil {
		v.NotBefore = p.Attributes.NBF
	}
	if p.Attributes.Exp != nil {
		v.Expires = p.Attributes.Exp
	}
}

// attributes of a version; times in Unix seconds.
func attributes(v *Version) map[string]any {
	a := map[string]any{
		"enabled": v.Enabled, "created": v.Created.Unix(), "updated": v.Updated.Unix(),
		"recoveryLevel": "Recoverable+Purgeable", "recoverableDays": 90,
	}
	if v.NotBefore != nil {
		a["nbf"] = *v.NotBefore
	}
	if v.Expires != nil {
		a["exp"] = *v.Expires
	}
	return a
}

// item is a version without its value: what lists show. full adds the version to
// the id.
func item(r *http.Request, name string, v *Version, full bool) map[string]any {
	id := "https://" + r.Host + "/secrets/" + name
	if full {
		id += "/" + v.ID
	}
	b := map[string]any{"id": id, "attributes": attributes(v)}
	if v.ContentType != "" {
		b["contentType"] = v.ContentType
	}
	if len(v.Tags) > 0 {
		b["tags"] = v.Tags
	}
	return b
}

func bundle(r *http.Request, name string, v *Version) map[string]any {
	b := item(r, name, v, true)
	b["value"] = v.Value
	return b
}

func (f *secret) latest() *Version { return f.versions[len(f.versions)-1] }

func (s *Simulator) setSecret(w http.ResponseWriter, r *http.Request) *failure {
	name := r.PathValue("name")
	if !namePattern.MatchString(name) {
		return fail(http.StatusBadRequest, "BadParameter", "The request URI contains an invalid name: %s", name)
	}
	p, f := readParameters(w, r)
	switch {
	case f != nil:
		return f
	case p.Value == nil:
		return fail(http.StatusBadRequest, "BadParameter", "Property value is required.")
	case len(*p.Value) > valueLimit:
		return fail(http.StatusBadRequest, "BadParameter", "The value of the secret is larger than 25k bytes.")
	case s.deleted[key(name)] != nil:
		f := fail(http.StatusConflict, "Conflict", "Secret %s is currently in a deleted but recoverable state, and its name cannot be reused; in this state, the secret can only be recovered or purged.", name)
		f.inner = "ObjectIsDeletedButRecoverable"
		return f
	case s.recovering[key(name)] > 0:
		s.recovering[key(name)]--
		f := fail(http.StatusConflict, "Conflict", "Secret %s is currently being recovered. Please try again later.", name)
		f.inner = "ObjectIsBeingRecovered"
		return f
	}
	v := s.store(name, *p.Value)
	p.apply(v)
	writeJSON(w, http.StatusOK, bundle(r, s.live[key(name)].name, v))
	return nil
}

// find resolves name and optional version.
func (s *Simulator) find(r *http.Request) (*secret, *Version, *failure) {
	name, version := r.PathValue("name"), r.PathValue("version")
	found := s.live[key(name)]
	missing := fail(http.StatusNotFound, "SecretNotFound", "A secret with (name/id) %s was not found in this key vault. If you recently deleted this secret you may be able to recover it using the correct recovery command. For help resolving this issue, please see https://go.microsoft.com/fwlink/?linkid=2125182", strings.TrimSuffix(name+"/"+version, "/"))
	if found == nil {
		return nil, nil, missing
	}
	if version == "" {
		return found, found.latest(), nil
	}
	for _, v := range found.versions {
		if v.ID == version {
			return found, v, nil
		}
	}
	return nil, nil, missing
}

func (s *Simulator) getSecret(w http.ResponseWriter, r *http.Request) *failure {
	found, v, f := s.find(r)
	if f != nil {
		return f
	}
	if !v.Enabled {
		f := fail(http.StatusForbidden, "Forbidden", "Operation get is not allowed on a disabled secret.")
		f.inner = "SecretDisabled"
		return f
	}
	writeJSON(w, http.StatusOK, bundle(r, found.name, v))
	return nil
}

// updateSecret changes attributes, content type and tags, and makes no version.
func (s *Simulator) updateSecret(w http.ResponseWriter, r *http.Request) *failure {
	found, v, f := s.find(r)
	if f != nil {
		return f
	}
	p, f := readParameters(w, r)
	if f != nil {
		return f
	}
	p.apply(v)
	v.Updated = s.cfg.Now().UTC().Truncate(time.Second)
	writeJSON(w, http.StatusOK, item(r, found.name, v, true))
	return nil
}

// page answers a part of a list; $skiptoken is the offset.
func page(w http.ResponseWriter, r *http.Request, items []map[string]any) *failure {
	query := r.URL.Query()
	size, offset := pageLimit, 0
	if text := query.Get("maxresults"); text != "" {
		n, err := strconv.Atoi(text)
		if err != nil || n < 1 || n > pageLimit {
			return fail(http.StatusBadRequest, "BadParameter", "maxresults must be between 1 and 25.")
		}
		size = n
	}
	if text := query.Get("$skiptoken"); text != "" {
		n, err := strconv.Atoi(text)
		if err != nil || n < 0 {
			return fail(http.StatusBadRequest, "BadParameter", "The $skiptoken is not valid.")
		}
		offset = min(n, len(items))
	}
	end := min(offset+size, len(items))
	body := map[string]any{"value": items[offset:end], "nextLink": nil}
	if end < len(items) {
		query.Set("$skiptoken", strconv.Itoa(end))
		body["nextLink"] = "https://" + r.Host + r.URL.Path + "?" + query.Encode()
	}
	writeJSON(w, http.StatusOK, body)
	return nil
}

func (s *Simulator) listSecrets(w http.ResponseWriter, r *http.Request) *failure {
	items := []map[string]any{}
	for _, name := range sortedNames(s.live) {
		items = append(items, item(r, name, s.live[key(name)].latest(), false))
	}
	return page(w, r, items)
}

func (s *Simulator) listVersions(w http.ResponseWriter, r *http.Request) *failure {
	name := r.PathValue("name")
	items := []map[string]any{}
	if found := s.live[key(name)]; found != nil {
		// INFER: the service promises no order; by id is not by age.
		versions := slices.Clone(found.versions)
		slices.SortFunc(versions, func(a, b *Version) int { return strings.Compare(a.ID, b.ID) })
		for _, v := range versions {
			items = append(items, item(r, found.name, v, true))
		}
	}
	return page(w, r, items)
}

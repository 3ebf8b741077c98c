// Package integration is the HTTP function that shows and replaces the settings
// administrators edit.
package integration

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"procallteams/internal/access"
	"procallteams/internal/host"
	editing "procallteams/internal/integration"
	"procallteams/internal/problem"
	"procallteams/internal/reply"
	"procallteams/internal/secret"
	"procallteams/internal/settings"
)

// Function is the code of function.json beside this file. It is served behind
// access.Gate.Administrator.
type Function struct {
	Editor editing.Editor
	// Resume lets pushes go on after the target answered 410, or after a wait: called
	// when a change names the push address, also the same one again, or its authority.
	Resume func(ctx context.Context, tenant string) error
	Log    *slog.Logger
}

// view is api/openapi.yaml, IntegrationView.
type view struct {
	settings.Integration
	Fixed      []string `json:"fixed"`
	PushSecret string   `json:"pushSecret,omitempty"`
}

// ServeHTTP answers GET and PUT.
func (f Function) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	switch r.Method {
	case http.MethodGet, http.MethodHead:
		f.show(w, r, secret.Text{})
	case http.MethodPut:
		f.replace(w, r)
	default:
		problem.MethodNotAllowed(w, "GET, HEAD, PUT")
	}
}

func (f Function) show(w http.ResponseWriter, r *http.Request, pushSecret secret.Text) {
	current, fixed, err := f.Editor.Store.Load(r.Context())
	if err != nil {
		f.refuse(w, r, err)
		return
	}
	if fixed == nil {
		fixed = []string{}
	}
	w.Header().Set("ETag", etag(current.Version))
	reply.JSON(w, http.StatusOK, view{current, fixed, pushSecret.Reveal()})
}

func etag(version int64) string { return `"` + strconv.FormatInt(version, 10) + `"` }

func (f Function) replace(w http.ResponseWriter, r *http.Request) {
	var body json.RawMessage
	if err := reply.Decode(w, r, &body); err != nil {
		reply.BadRequest(w, err.Error())
		return
	}
	var named struct {
		Version       *int64  `json:"version"`
		PushURL       *string `json:"pushUrl"`
		PushAuthority *string `json:"pushAuthority"`
	}
	edit, err := editOf(body, &named)
	if err != nil {
		reply.BadRequest(w, err.Error())
		return
	}
	version, ok := versionOf(r.Header.Get("If-Match"), named.Version)
	if !ok {
		reply.BadRequest(w, "send the version that you read, as version or as If-Match; the two must agree")
		return
	}
	saved, pushSecret, err := f.Editor.Change(r.Context(), access.AdministratorFrom(r.Context()), version, edit)
	if err != nil {
		f.refuse(w, r, err)
		return
	}
	host.Log(r.Context(), f.Log).Info("settings changed")
	if (named.PushURL != nil || named.PushAuthority != nil) && saved.PushURL != "" && saved.Tenant != "" {
		if err := f.Resume(r.Context(), saved.Tenant); err != nil {
			f.refuse(w, r, err)
			return
		}
	}
	f.show(w, r, pushSecret)
}

// editOf checks a body and returns what applies it: fields that it leaves out
// keep their values, and so do members of alsoWrite.
func editOf(body json.RawMessage, named any) (func(*settings.Integration), error) {
	var probe settings.Integration
	decoder := json.NewDecoder(strings.NewReader(string(body)))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&probe); err != nil {
		if wrong, ok := errors.AsType[*json.UnmarshalTypeError](err); ok {
			return nil, errors.New(wrong.Field + ": must not be a " + wrong.Value)
		}
		return nil, errors.New("the body must be an object with fields of the settings only")
	}
	if err := json.Unmarshal(body, named); err != nil {
		return nil, errors.New("version: must be a number")
	}
	if name, found := null(body); found {
		return nil, errors.New(name + ": must not be null; leave it out to keep its value")
	}
	return func(i *settings.Integration) {
		// Decoded once already, so this cannot fail.
		_ = json.Unmarshal(body, i)
	}, nil
}

// null names a member whose value is null, which would be taken for one that is
// left out.
func null(body json.RawMessage) (string, bool) {
	var members map[string]json.RawMessage
	if err := json.Unmarshal(body, &members); err != nil {
		return "", false // no object
	}
	for _, name := range slices.Sorted(maps.Keys(members)) {
		if string(members[name]) == "null" {
			return name, true
		}
		if inner, found := null(members[name]); found {
			return name + "." + inner, true
		}
	}
	return "", false
}

// versionOf is the version that the caller has read, from the header, the body,
// or both.
func versionOf(header string, named *int64) (int64, bool) {
	if header == "" {
		if named == nil || *named < 0 {
			return 0, false
		}
		return *named, true
	}
	version, err := strconv.ParseInt(strings.Trim(strings.TrimPrefix(header, "W/"), `"`), 10, 64)
	return version, err == nil && version >= 0 && (named == nil || *named == version)
}

func (f Function) refuse(w http.ResponseWriter, r *http.Request, err error) {
	d, expected := editing.Explain(err)
	d.Invocation = host.Invocation(r.Context())
	if !expected {
		host.Log(r.Context(), f.Log).Error("settings", "error", err.Error())
	}
	problem.Write(w, d)
}

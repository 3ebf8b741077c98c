// Package credentials is the HTTP function through which administrators list,
// create, rotate and revoke machine credentials.
package credentials

import (
	"errors"
	"log/slog"
	"net/http"
	"time"

	"procallteams/internal/access"
	"procallteams/internal/host"
	"procallteams/internal/problem"
	"procallteams/internal/reply"
	"procallteams/internal/secret"
)

// Function is the code of function.json beside this file. It is served behind
// access.Gate.Administrator.
type Function struct {
	Credentials access.Credentials
	Log         *slog.Logger
}

// shown is a credential as the contract shows it: api/openapi.yaml, Credential.
type shown struct {
	ID       string         `json:"id"`
	Name     string         `json:"name"`
	Scopes   []access.Scope `json:"scopes"`
	Created  time.Time      `json:"created"`
	LastUsed time.Time      `json:"lastUsed,omitzero"`
	Revoked  time.Time      `json:"revoked,omitzero"`
	Secrets  int            `json:"secrets"`
	Token    string         `json:"token,omitempty"`
}

func show(c access.Credential, token secret.Text) shown {
	return shown{c.ID, c.Name, c.Scopes, c.Created, c.LastUsed, c.Revoked, len(c.Hashes), token.Reveal()}
}

// request is the body of a POST: a new credential, or a second secret for one.
type request struct {
	Name   string         `json:"name"`
	Scopes []access.Scope `json:"scopes"`
	ID     string         `json:"id"`
	Rotate bool           `json:"rotate"`
}

// ServeHTTP answers GET, POST and DELETE.
func (f Function) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	switch r.Method {
	case http.MethodGet, http.MethodHead:
		f.list(w, r)
	case http.MethodPost:
		f.create(w, r)
	case http.MethodDelete:
		f.revoke(w, r)
	default:
		problem.MethodNotAllowed(w, "GET, HEAD, POST, DELETE")
	}
}

func (f Function) list(w http.ResponseWriter, r *http.Request) {
	all, err := f.Credentials.List(r.Context())
	if err != nil {
		f.refuse(w, r, err)
		return
	}
	answer := struct {
		Credentials []shown `json:"credentials"`
	}{[]shown{}}
	for _, c := range all {
		answer.Credentials = append(answer.Credentials, show(c, secret.Text{}))
	}
	reply.JSON(w, http.StatusOK, answer)
}

func (f Function) create(w http.ResponseWriter, r *http.Request) {
	var body request
	if err := reply.Decode(w, r, &body); err != nil {
		reply.BadRequest(w, err.Error())
		return
	}
	who := access.AdministratorFrom(r.Context())
	var credential access.Credential
	var token secret.Text
	var err error
	switch {
	case body.Rotate && body.ID != "" && body.Name == "" && body.Scopes == nil:
		credential, token, err = f.Credentials.Rotate(r.Context(), who, body.ID)
	case !body.Rotate && body.ID == "":
		if err := access.ValidateRequest(body.Name, body.Scopes); err != nil {
			problem.Write(w, problem.Details{
				Type: "/problems/invalid", Title: "This credential is not possible", Status: http.StatusUnprocessableEntity,
				Detail: err.Error(), NextStep: "Correct the fields named here.", Who: "administrator",
			})
			return
		}
		credential, token, err = f.Credentials.Create(r.Context(), who, body.Name, body.Scopes)
	default:
		reply.BadRequest(w, `either {"name","scopes"} for a new credential, or {"id","rotate":true} for a second secret`)
		return
	}
	if err != nil {
		f.refuse(w, r, err)
		return
	}
	host.Log(r.Context(), f.Log).Info("credential issued", "credential", credential.ID, "rotated", body.Rotate)
	reply.JSON(w, http.StatusCreated, show(credential, token))
}

func (f Function) revoke(w http.ResponseWriter, r *http.Request) {
	id := r.URL.Query().Get("id")
	if id == "" || len(id) > 64 {
		reply.BadRequest(w, "id: the credential to revoke is missing")
		return
	}
	if err := f.Credentials.Revoke(r.Context(), access.AdministratorFrom(r.Context()), id); err != nil {
		f.refuse(w, r, err)
		return
	}
	host.Log(r.Context(), f.Log).Info("credential revoked", "credential", id)
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(http.StatusNoContent)
}

func (f Function) refuse(w http.ResponseWriter, r *http.Request, err error) {
	switch {
	case errors.Is(err, access.ErrUnknown):
		problem.Write(w, problem.Details{
			Type: "/problems/not-found", Title: "There is no such credential", Status: http.StatusNotFound,
			Detail: "It never existed, was revoked, or belongs to another tenant.", NextStep: "List the credentials.", Who: "administrator",
		})
	case errors.Is(err, access.ErrNoTenant):
		problem.Write(w, problem.Details{
			Type: "/problems/no-tenant", Title: "A credential belongs to a tenant, and none is set yet", Status: http.StatusConflict,
			NextStep: "Set the tenant on the console first.", Who: "administrator",
		})
	case errors.Is(err, access.ErrRace):
		problem.Write(w, problem.Details{
			Type: "/problems/changed-meanwhile", Title: "Somebody else changes this credential right now", Status: http.StatusConflict,
			NextStep: "Try again.", Who: "administrator",
		})
	default:
		host.Log(r.Context(), f.Log).Error("credentials", "error", err.Error())
		problem.Write(w, access.Unavailable(err))
	}
}

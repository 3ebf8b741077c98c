package keyvault

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/runtime"

	"procallteams/internal/secret"
)

// Error is a refusal by Key Vault or on the way to it. Its text is fit for logs
// and pages.
type Error struct {
	Verb, Name string // "store", "refresh-..."
	Status     int    // HTTP status; 0 when nothing answered
	Code       string // Key Vault's code, the inner one where it gave two
	// Cause says what happened, Step what to do and who must do it.
	Cause, Step string
	// Transient says that waiting may help.
	Transient bool

	kind error
}

func (e *Error) Error() string {
	text := e.Verb + " secret " + e.Name + ": " + e.Cause
	if e.Code != "" {
		text += " (" + e.Code + ")"
	}
	if e.Step != "" {
		text += ": " + e.Step
	}
	return text
}

// Unwrap leads to secret.ErrNotFound, or to the identity's own error.
func (e *Error) Unwrap() error { return e.kind }

// inner returns the most specific code of a refusal. The SDK reports the outer
// one ("Conflict").
func inner(err error) string {
	response, ok := errors.AsType[*azcore.ResponseError](err)
	if !ok {
		return ""
	}
	var answer struct {
		Error struct {
			Inner struct {
				Code string `json:"code"`
			} `json:"innererror"`
		} `json:"error"`
	}
	if response.RawResponse != nil {
		if body, err := runtime.Payload(response.RawResponse); err == nil && json.Unmarshal(body, &answer) == nil && answer.Error.Inner.Code != "" {
			return answer.Error.Inner.Code
		}
	}
	return response.ErrorCode
}

func refusal(ctx context.Context, verb, name string, err error) error {
	e := &Error{Verb: verb, Name: name}
	response, ok := errors.AsType[*azcore.ResponseError](err)
	if !ok {
		return unreached(ctx, e, err)
	}
	e.Status, e.Code = response.StatusCode, inner(err)
	switch {
	case e.Status == http.StatusNotFound:
		e.kind, e.Cause = secret.ErrNotFound, "Key Vault holds no such secret"
		e.Step = "if somebody deleted it, an administrator of the vault recovers it under Manage deleted secrets"
	case e.Code == "SecretDisabled":
		e.kind, e.Cause = secret.ErrNotFound, "the secret's version is disabled"
		e.Step = "an administrator of the vault enables it"
	case e.Code == "ForbiddenByFirewall" || e.Code == "ForbiddenByConnection":
		e.Cause = "Key Vault's firewall does not let the function app in"
		e.Step = "an administrator of the vault allows the app's network"
	case e.Status == http.StatusForbidden:
		e.Cause = "the bridge's identity may not do this"
		e.Step = "an administrator of the vault assigns it the role Key Vault Secrets Officer (this can take some minutes)"
	case e.Status == http.StatusUnauthorized:
		e.Cause = "Key Vault does not accept the bridge's identity"
		e.Step = "an administrator checks that the vault and the function app belong to the same tenant"
	case e.Status == http.StatusTooManyRequests:
		e.Cause, e.Transient = "Key Vault throttles", true
	case e.Status >= 500:
		e.Cause, e.Transient = fmt.Sprintf("Key Vault is in trouble (answered %d)", e.Status), true
	default:
		e.Cause = fmt.Sprintf("Key Vault answered %d", e.Status)
	}
	return e
}

// unreached names what stood between us and Key Vault. Addresses in the SDK's
// texts hold names of secrets only, but the innermost word is what helps.
func unreached(ctx context.Context, e *Error, err error) error {
	e.Transient = true
	if identity, ok := errors.AsType[interface {
		error
		Identity() bool
	}](err); ok {
		e.Cause, e.kind = identity.Error(), identity
		return e
	}
	e.Cause = "Key Vault does not answer"
	if ctx.Err() != nil {
		e.kind = ctx.Err()
	}
	for {
		address, ok := errors.AsType[*url.Error](err)
		if !ok {
			return e
		}
		err = address.Err
		e.Cause = "Key Vault does not answer: " + err.Error()
	}
}

// unrecoverable says who must recover the name that a deleted secret holds.
func unrecoverable(ctx context.Context, name string, err error) error {
	e := &Error{
		Verb: "store", Name: name, Code: inner(err),
		Cause: "a deleted secret holds this name and could not be recovered",
		Step:  "an administrator of the vault recovers or purges it under Manage deleted secrets, then try again",
	}
	if response, ok := errors.AsType[*azcore.ResponseError](err); ok {
		e.Status = response.StatusCode
	}
	if ctx.Err() != nil {
		e.Transient, e.kind = true, ctx.Err()
	}
	return e
}

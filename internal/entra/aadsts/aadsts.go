// Package aadsts judges Microsoft Entra's refusals: how bad they are, what
// caused them in an administrator's words, and what to do.
//
// Entra says what happened twice: by an OAuth error word (invalid_grant) and by
// numbers (AADSTS50173). Microsoft's documentation tells programs to use the
// word, yet captures show words that point the wrong way, so a number that is
// listed in [codes] decides; an unlisted one gets the class of the word. Where
// an answer holds several numbers, the specific one decides. No I/O, no SDK.
package aadsts

import (
	"encoding/json"
	"errors"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Class says who can cure a refusal.
type Class string

// Classes of a refusal.
const (
	Reauthorize  Class = "RU"  // a person signs in again
	AdminConsent Class = "AC"  // an administrator consents
	Credential   Class = "CR"  // the app registration's secret
	Tenant       Class = "TC"  // settings of the tenant, the account or the registration
	Policy       Class = "PO"  // a policy of the tenant
	Transient    Class = "TR"  // Microsoft's side: wait
	Canceled     Class = "UC"  // the person said no
	Defect       Class = "BUG" // our request is wrong
)

// Error is a refusal by Entra, reduced to what may be shown and logged: neither
// the answer's body nor its description is kept, since both may quote requests.
type Error struct {
	// Code is the number that decides, such as "AADSTS50173"; empty when Entra
	// gave none.
	Code    string
	Numbers []int
	// Word and SubError are OAuth's error and Microsoft's suberror.
	Word, SubError string
	// TraceID and CorrelationID find the event in Entra's sign-in log.
	TraceID, CorrelationID string
	// Status is the HTTP status; 0 when nothing answered, or for a callback.
	Status int
	Class  Class
	// Cause says what happened, Step what to do, in an administrator's words.
	Cause, Step string
	// Claims is what a new sign-in should carry so that this refusal does not come
	// again (a claims challenge, JSON); mostly empty.
	Claims string
	// Wait is how long Entra asks to be left alone (Retry-After); mostly zero.
	Wait time.Duration
	// Detail is the network's own word when nothing answered, such as an
	// unknown certificate issuer.
	Detail string
}

func (e *Error) Error() string {
	text := "Entra refused"
	if e.Class == Transient {
		text = "Entra did not answer properly"
	}
	text += ": " + e.Cause
	switch {
	case e.Code != "":
		text += " (" + e.Code + ")"
	case e.Word != "":
		text += " (" + e.Word + ")"
	case e.Status != 0:
		text += " (HTTP " + strconv.Itoa(e.Status) + ")"
	case e.Detail != "":
		text += " (" + e.Detail + ")"
	}
	return text
}

// Said is the cause and who says it, in a sentence without its full stop.
func (e *Error) Said() string {
	if strings.Contains(e.Cause, "Entra") {
		return strings.ToUpper(e.Cause[:1]) + e.Cause[1:]
	}
	return "Microsoft Entra: " + e.Cause
}

// Permanent reports whether waiting does not help.
func (e *Error) Permanent() bool { return e.Class != Transient }

// Replicating reports whether Entra may not know a federated credential yet that
// was just made. Whoever knows when that was makes the refusal [Transient].
func (e *Error) Replicating() bool {
	return e.Class == Transient && e.Has(700211, 700212, 700213, 7002137, 7002138, 70021)
}

// Has reports whether Entra named one of numbers.
func (e *Error) Has(numbers ...int) bool {
	for _, have := range e.Numbers {
		if slices.Contains(numbers, have) {
			return true
		}
	}
	return false
}

var (
	number = regexp.MustCompile(`AADSTS(\d{4,8})`)
	words  = regexp.MustCompile(`^[a-z_]{1,64}$`)
	guid   = regexp.MustCompile(`^[0-9a-fA-F-]{36}$`)
)

// tokenWords are what Entra's token and discovery endpoints call a refusal (RFC 6749,
// OpenID Connect Core, and Microsoft's own). A proxy that refuses has words of its own,
// and may misuse OAuth's access_denied, which Entra says to browsers only.
var tokenWords = []string{
	"invalid_request", "invalid_client", "invalid_grant", "unauthorized_client", "unsupported_grant_type", "unsupported_response_type",
	"invalid_scope", "invalid_resource", "invalid_tenant", "interaction_required", "login_required", "consent_required",
	"temporarily_unavailable", "server_error",
}

// FromAnswer judges an answer of the token or discovery endpoint that is not
// 200. A body that is not Entra's JSON, or speaks other words, counts as trouble on the
// way.
func FromAnswer(status int, body []byte) *Error {
	var answer struct {
		Error       string `json:"error"`
		SubError    string `json:"suberror"`
		Description string `json:"error_description"`
		Codes       []int  `json:"error_codes"`
		Trace       string `json:"trace_id"`
		Correlation string `json:"correlation_id"`
		Claims      string `json:"claims"`
	}
	err := json.Unmarshal(body, &answer)
	// A member of another type than today's must not make each refusal look like trouble.
	if _, odd := errors.AsType[*json.UnmarshalTypeError](err); err != nil && !odd || answer.Error == "" {
		return Unreachable(status)
	}
	codes := slices.DeleteFunc(answer.Codes, func(n int) bool { return n <= 0 })
	e := judge(answer.Error, answer.SubError, answer.Description, codes, status)
	if e.Code == "" && !slices.Contains(tokenWords, answer.Error) {
		return Unreachable(status) // Entra names a number or one of its words
	}
	if guid.MatchString(answer.Trace) {
		e.TraceID = answer.Trace
	}
	if guid.MatchString(answer.Correlation) {
		e.CorrelationID = answer.Correlation
	}
	if len(answer.Claims) <= maxClaims && json.Valid([]byte(answer.Claims)) {
		e.Claims = answer.Claims
	}
	return e
}

// maxClaims bounds a claims challenge, which travels in an address.
const maxClaims = 1500

var traces = regexp.MustCompile(`(Trace|Correlation) ID: ([0-9a-fA-F-]{36})`)

// FromCallback judges the error parameters of a browser's return. They are
// anybody's claim: only words and numbers of the known forms are kept.
func FromCallback(word, description string) *Error {
	e := judge(word, "", description, nil, 0)
	for _, match := range traces.FindAllStringSubmatch(description, 2) {
		if match[1] == "Trace" {
			e.TraceID = match[2]
		} else {
			e.CorrelationID = match[2]
		}
	}
	return e
}

// Unreachable is the refusal for an answer that is not Entra's, or for none
// (status 0).
func Unreachable(status int) *Error {
	e := &Error{Status: status, Class: Transient, Cause: "Microsoft Entra could not be reached", Step: "Nothing: the bridge tries again by itself."}
	switch {
	case status == http.StatusTooManyRequests:
		e.Cause = "Microsoft Entra throttles this app"
	case status != 0:
		e.Cause = "Microsoft Entra, or a proxy before it, is in trouble"
	}
	return e
}

func judge(word, suberror, description string, numbers []int, status int) *Error {
	e := &Error{Numbers: numbers, Status: status}
	if words.MatchString(word) {
		e.Word = word
	}
	if words.MatchString(suberror) {
		e.SubError = suberror
	}
	if len(e.Numbers) == 0 {
		for _, match := range number.FindAllStringSubmatch(description, 4) {
			if n, err := strconv.Atoi(match[1]); err == nil {
				e.Numbers = append(e.Numbers, n)
			}
		}
	}
	if len(e.Numbers) > 8 {
		e.Numbers = e.Numbers[:8]
	}
	decisive, known := 0, code{}
	for _, n := range e.Numbers {
		c, ok := codes[n]
		if decisive == 0 || ok && (known.class == "" || known.general) {
			decisive, known = n, c
		}
	}
	if decisive != 0 {
		e.Code = "AADSTS" + strconv.Itoa(decisive)
	}
	if known.class == "" {
		known = byWord(e.Word, e.SubError, status)
	}
	e.Class, e.Cause, e.Step = known.class, known.cause, known.step
	return e
}

// byWord is the class of a refusal whose number says nothing to us.
func byWord(word, suberror string, status int) code {
	switch {
	case status == http.StatusTooManyRequests, status >= 500:
		e := Unreachable(status)
		return code{class: e.Class, cause: e.Cause, step: e.Step}
	case suberror == "consent_required", word == "consent_required":
		return code{class: Reauthorize, cause: "the consent is missing or was withdrawn", step: "Give consent again."}
	case suberror == "message_only":
		return code{class: Policy, cause: "a policy of the tenant stands against it", step: "Look up the sign-in in Entra's sign-in log; it names the policy."}
	}
	switch word {
	case "invalid_grant", "interaction_required", "login_required":
		return code{class: Reauthorize, cause: "Entra wants the person to sign in again", step: "Sign in again."}
	case "invalid_client":
		return code{class: Credential, cause: "Entra does not accept the app registration's credential", step: "Create a new client secret and store its value on the bridge's page."}
	case "unauthorized_client", "invalid_tenant", "invalid_resource":
		return code{class: Tenant, cause: "the app registration or the tenant does not fit", step: entries}
	case "temporarily_unavailable", "server_error":
		return code{class: Transient, cause: "Microsoft Entra is in trouble", step: "Nothing: the bridge tries again by itself."}
	case "access_denied", "permission_denied":
		return code{class: Canceled, cause: "the sign-in or the consent was declined", step: "Start again when you are ready."}
	case "invalid_request", "invalid_scope", "unsupported_grant_type", "unsupported_response_type":
		return code{class: Defect, cause: "Entra does not understand the bridge's request", step: "Report this code as a defect of the bridge."}
	}
	return code{class: Reauthorize, cause: "Entra refused without a reason that is known here", step: "Look up the code in Microsoft's list, then sign in again."}
}

package aadsts

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
)

func TestRefusalsAreClassified(t *testing.T) {
	body := func(word, suberror string, numbers ...int) []byte {
		b, err := json.Marshal(map[string]any{
			"error": word, "suberror": suberror, "error_codes": numbers,
			"error_description": "AADSTS1: secret-code-in-description", "trace_id": "1c0ffee0-0000-4000-8000-000000000001",
		})
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	for _, row := range []struct {
		name   string
		status int
		body   []byte
		class  Class
		code   string
	}{
		{"revoked sessions want a new sign-in", 400, body("invalid_grant", "", 50173), Reauthorize, "AADSTS50173"},
		{"a disabled account is the tenant's matter", 400, body("invalid_grant", "", 50057), Tenant, "AADSTS50057"},
		{"a known number outranks a wrong word", 400, body("invalid_client", "", 50011), Tenant, "AADSTS50011"},
		{"the specific one of several numbers decides", 400, body("invalid_grant", "", 70002, 54005), Reauthorize, "AADSTS54005"},
		{"whatever their order", 400, body("invalid_grant", "", 70008, 70002), Reauthorize, "AADSTS70008"},
		{"a general number alone decides", 401, body("invalid_client", "", 70002), Credential, "AADSTS70002"},
		{"an unknown number gets the word's class", 400, body("interaction_required", "", 999999), Reauthorize, "AADSTS999999"},
		{"an unknown number beside a known one is ignored", 400, body("invalid_grant", "", 999999, 53003), Policy, "AADSTS53003"},
		{"message_only is a policy", 400, body("interaction_required", "message_only", 999999), Policy, "AADSTS999999"},
		{"an expired secret is the credential", 401, body("invalid_client", "", 7000222), Credential, "AADSTS7000222"},
		{"an outage passes", 503, body("temporarily_unavailable", "", 90033), Transient, "AADSTS90033"},
		{"throttling in plain text passes", 429, []byte("Too Many Requests"), Transient, ""},
		{"a 400 that is no JSON passes", 400, []byte("<html>"), Transient, ""},
		{"no known word at 500 passes", 500, body("strange", ""), Transient, ""},
	} {
		t.Run(row.name, func(t *testing.T) {
			got := FromAnswer(row.status, row.body)
			if got.Class != row.class || got.Code != row.code {
				t.Errorf("FromAnswer = %s %s; want %s %s", got.Class, got.Code, row.class, row.code)
			}
			if got.Cause == "" || got.Step == "" {
				t.Error("a refusal has no cause or no next step")
			}
			if strings.Contains(fmt.Sprintf("%+v %v", *got, got), "secret-code") {
				t.Error("the description was kept")
			}
		})
	}
}

func TestAConsentThatIsMissingIsCalledThatWhateverTheNumber(t *testing.T) {
	for _, body := range []string{
		`{"error":"invalid_grant","suberror":"consent_required","error_codes":[999999]}`,
		`{"error":"consent_required","error_codes":[999999]}`,
	} {
		if e := FromAnswer(400, []byte(body)); e.Class != Reauthorize || e.Cause != "the consent is missing or was withdrawn" {
			t.Errorf("%s = %s: %s", body, e.Class, e.Cause)
		}
	}
}

func TestARefusalIsReadThoughOneOfItsMembersChanges(t *testing.T) {
	for name, body := range map[string]string{
		"numbers are words":      `{"error":"invalid_grant","error_codes":["50173"],"error_description":"AADSTS50173: x"}`,
		"numbers are one number": `{"error":"invalid_grant","error_codes":50173,"error_description":"AADSTS50173: x"}`,
		"claims are an object":   `{"claims":{"access_token":{}},"error":"invalid_grant","error_codes":[50173]}`,
		"the sub-error is none":  `{"suberror":null,"error":"invalid_grant","error_codes":[50173]}`,
	} {
		if e := FromAnswer(400, []byte(body)); e.Class != Reauthorize || e.Code != "AADSTS50173" {
			t.Errorf("%s: %s %s", name, e.Class, e.Code)
		}
	}
}

func TestCallbackErrorsKeepOnlyKnownForms(t *testing.T) {
	e := FromCallback("<script>", "AADSTS65004: <b>no</b>\r\nTrace ID: 1c0ffee0-0000-4000-8000-000000000001\r\nCorrelation ID: x")
	if e.Class != Canceled || e.Code != "AADSTS65004" || e.Word != "" || e.TraceID == "" || e.CorrelationID != "" {
		t.Errorf("FromCallback = %+v", e)
	}
	if e := FromCallback("access_denied", "the user canceled the authentication"); e.Class != Canceled || e.Code != "" {
		t.Errorf("cancel on the sign-in page = %+v", e)
	}
	if e := FromCallback("consent_required", "AADSTS65004: The resource owner denied"); e.Class != Canceled {
		t.Errorf("older wording of a declined consent = %s", e.Class)
	}
}

func TestEveryCodeSaysWhatToDo(t *testing.T) {
	for n, c := range codes {
		if c.class == "" || c.cause == "" || c.step == "" {
			t.Errorf("AADSTS%d lacks class, cause or step", n)
		}
	}
}

func TestAClaimsChallengeIsKeptWhereItIsOne(t *testing.T) {
	for claims, want := range map[string]string{
		`{"access_token":{"capolids":{"essential":true,"values":["c1"]}}}`: `{"access_token":{"capolids":{"essential":true,"values":["c1"]}}}`,
		"not JSON":                            "",
		`"` + strings.Repeat("x", 2000) + `"`: "",
		"":                                    "",
	} {
		body, err := json.Marshal(map[string]any{"error": "interaction_required", "error_codes": []int{50076}, "claims": claims})
		if err != nil {
			t.Fatal(err)
		}
		if got := FromAnswer(400, body).Claims; got != want {
			t.Errorf("claims %.40q are kept as %q", claims, got)
		}
	}
}

func TestWhoSaysItIsSaidOnce(t *testing.T) {
	for _, row := range []struct{ cause, want string }{
		{"the account is disabled", "Microsoft Entra: the account is disabled"},
		{"Microsoft Entra throttles this app", "Microsoft Entra throttles this app"},
		{"Entra saw the same request too often", "Entra saw the same request too often"},
		{"the bridge's clock is 9m0s ahead of Microsoft's", "Microsoft Entra: the bridge's clock is 9m0s ahead of Microsoft's"},
		{"multi-factor authentication at Entra", "Multi-factor authentication at Entra"},
	} {
		if got := (&Error{Cause: row.cause}).Said(); got != row.want {
			t.Errorf("Said() of %q = %q; want %q", row.cause, got, row.want)
		}
	}
}

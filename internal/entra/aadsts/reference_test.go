package aadsts

import (
	"fmt"
	"testing"
)

// documented are Entra's numbers and who can cure them, transcribed from "Microsoft
// Entra authentication and authorization error codes" and from captures of real
// answers; two classes where the document allows either.
var documented = []struct {
	numbers []int
	classes []Class
}{
	{[]int{50173, 700082, 70008, 70000, 50076, 50074, 50078, 50079, 50072, 50089, 50132, 50133, 50058}, []Class{Reauthorize}},
	{[]int{50055, 50144, 50056, 50125, 50135, 50126, 16000, 54005}, []Class{Reauthorize}},
	{[]int{70043}, []Class{Reauthorize, Policy}},
	{[]int{50053}, []Class{Reauthorize, Transient}},
	{[]int{65001}, []Class{Reauthorize, AdminConsent}},
	{[]int{501481, 50147, 501491}, []Class{Reauthorize, Defect}},
	{[]int{700084, 50057, 50034, 51004, 50020, 16003, 50014, 90072, 50105, 65005, 650056, 650057, 650052, 650054, 500011}, []Class{Tenant}},
	{[]int{700025, 700016, 70001, 700011, 7000229, 7000112, 1000031, 90002, 900023, 50059, 50128}, []Class{Tenant}},
	{[]int{90038, 900439, 900382, 900432, 50011, 70004, 900971, 50194, 700005, 50001, 50049, 51000}, []Class{Tenant}},
	{[]int{65004}, []Class{Canceled}},
	{[]int{90094, 90093, 90008, 90095, 900941, 900981}, []Class{AdminConsent}},
	{[]int{7000215, 70002, 50012, 7000222, 7000218, 7000216, 700027, 700030, 50048, 700024, 700021}, []Class{Credential}},
	{[]int{700211, 700212, 700213, 7002137, 7002138, 70021, 700229}, []Class{Credential}},
	{[]int{500133}, []Class{Credential, Transient}},
	{[]int{1002012, 700054, 70005, 70011, 28002, 28003, 700022, 700023, 9002313, 90014, 900144, 90023, 900561, 90100, 70003}, []Class{Defect}},
	{[]int{53003, 530032, 530035, 53000, 53001, 53002, 50097, 50129, 50155, 53004, 53011, 530034, 50131, 530084, 500021, 500022, 50002, 500212, 500213}, []Class{Policy}},
	{[]int{50033, 50087, 50088, 90006, 90012, 90024, 90033, 90090, 90091, 90055, 40010, 50000}, []Class{Transient}},
	{[]int{50196}, []Class{Transient, Defect}},
}

func TestEveryDocumentedNumberHasItsClass(t *testing.T) {
	for _, row := range documented {
		for _, n := range row.numbers {
			body := fmt.Appendf(nil, `{"error":"invalid_grant","error_codes":[%d]}`, n)
			got := FromAnswer(400, body)
			fits := false
			for _, class := range row.classes {
				fits = fits || got.Class == class
			}
			if _, known := codes[n]; !fits || !known {
				t.Errorf("AADSTS%d: class %s, listed %t; want %s", n, got.Class, known, row.classes)
			}
		}
	}
}

func TestWhatAProxyAnswersIsNoRefusalByEntra(t *testing.T) {
	for name, answer := range map[string]struct {
		status int
		body   string
	}{
		"a page":                           {403, "<html>Access denied by policy</html>"},
		"a page that wants a login":        {407, "<html>Proxy authentication required</html>"},
		"nothing":                          {400, ""},
		"a word of its own":                {403, `{"error":"blocked_by_gateway"}`},
		"a sentence":                       {403, `{"error":"The request was blocked by a rule."}`},
		"an object":                        {401, `{"error":{"code":"Forbidden","message":"no"}}`},
		"a word of OAuth that it misuses":  {403, `{"error":"access_denied"}`},
		"a list":                           {400, `["error"]`},
		"another document":                 {404, `{"message":"no such host"}`},
		"a portal that a hotel would show": {200, "<html>Welcome</html>"},
	} {
		got := FromAnswer(answer.status, []byte(answer.body))
		if got.Permanent() {
			t.Errorf("%s (%d) = %s %s: it counts against the consent", name, answer.status, got.Class, got.Cause)
		}
	}
	// Entra's own words and numbers count, also where we do not know them.
	for _, body := range []string{`{"error":"strange","error_codes":[999999]}`, `{"error":"invalid_grant"}`, `{"error":"access_denied","error_codes":[65004]}`} {
		if got := FromAnswer(400, []byte(body)); !got.Permanent() {
			t.Errorf("%s = %s", body, got.Class)
		}
	}
}

package consentcallback_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"

	devEntra "procallteams/dev/entra"
	"procallteams/internal/consent"
)

func TestBothConsentsConnectAndReadingPrefersTheApp(t *testing.T) {
	w := newWorld(t)
	status, page := w.consentUser(w.reader)
	if status != 200 || !strings.Contains(page, "Connected") || !strings.Contains(page, "Rita Reader") || !strings.Contains(page, "/api/consent/admin") {
		t.Fatalf("user consent ends with %d %s", status, page)
	}
	token, err := w.read()
	if err != nil || token.Kind != consent.User || token.Account != w.reader || w.graph(token.Value) != 200 {
		t.Errorf("ReadToken = %v %s, %v; want the reader's", token.Kind, token.Account, err)
	}
	status, page = w.consentAdmin()
	if status != 200 || !strings.Contains(page, "Connected") || strings.Contains(page, "/api/consent/user") {
		t.Fatalf("admin consent ends with %d %s", status, page)
	}
	if token, err = w.read(); err != nil || token.Kind != consent.Admin || w.graph(token.Value) != 200 {
		t.Errorf("ReadToken = %v, %v; want app-only", token.Kind, err)
	}
	if token, err = w.service.WriteToken(t.Context(), w.tenant, w.grants()); err != nil || token.Kind != consent.Admin {
		t.Errorf("WriteToken = %v, %v", token.Kind, err)
	}
	for _, use := range []consent.Use{consent.Reading, consent.Writing} {
		if g, ok := w.carrier(use); !ok || g.Kind != consent.Admin {
			t.Errorf("%s stands on %+v, %t; want the admin consent", use, g, ok)
		}
	}
}

func TestTheAdminConsentAloneCarriesBothDirections(t *testing.T) {
	w := newWorld(t)
	w.consentAdmin()
	if token, err := w.read(); err != nil || token.Kind != consent.Admin || w.graph(token.Value) != 200 {
		t.Errorf("ReadToken = %v, %v", token.Kind, err)
	}
	if token, err := w.service.WriteToken(t.Context(), w.tenant, w.grants()); err != nil || token.Kind != consent.Admin {
		t.Errorf("WriteToken = %v, %v", token.Kind, err)
	}
	reported, err := w.service.Report(t.Context())
	must(t, err)
	for _, use := range []consent.Use{consent.Reading, consent.Writing} {
		if g, ok := consent.Carrier(reported, use); !ok || g.Kind != consent.Admin {
			t.Errorf("%s stands on %+v, %t", use, g, ok)
		}
		if g, ok := consent.Standby(reported, use); ok {
			t.Errorf("%s would go on with %+v; want nothing", use, g)
		}
	}
}

func TestANoNeverOverridesAConsentThatWorks(t *testing.T) {
	w := newWorld(t)
	w.consentUser(w.reader)
	w.consentAdmin()
	for kind, answers := range map[string][]url.Values{
		"user": {
			{"error": {"access_denied"}, "error_description": {"AADSTS65004: declined"}},
			{"error": {"access_denied"}, "error_description": {"AADSTS90094: an administrator must"}},
			{"error": {"interaction_required"}, "error_description": {"AADSTS53003: blocked"}},
		},
		"admin": {
			{"error": {"access_denied"}, "error_description": {"AADSTS65004: declined"}, "admin_consent": {"True"}},
			{"error": {"permission_denied"}, "error_description": {"The admin canceled the request"}, "admin_consent": {"True"}},
		},
	} {
		for _, answer := range answers {
			b := w.browser(w.admin)
			answer.Set("state", query(t, b.begin(kind)).Get("state"))
			back := devEntra.Callback{Method: http.MethodPost, URL: public + "/api/consent/user/callback", Form: answer}
			if kind == "admin" {
				back = devEntra.Callback{Method: http.MethodGet, URL: public + "/api/consent/admin/callback?" + answer.Encode()}
			}
			if status, page := b.land(back); status != 200 || !strings.Contains(page, "Not connected") {
				t.Errorf("%s %v ends with %d", kind, answer["error_description"], status)
			}
			if !w.grant(w.reader).Works() || !w.grant("").Works() {
				t.Errorf("%s %v: grants are %s and %s", kind, answer["error_description"], w.grant(w.reader).State, w.grant("").State)
			}
			if n := len(w.grants()); n != 2 {
				t.Errorf("%s %v: %d grants are shown; want the two that were there", kind, answer["error_description"], n)
			}
		}
	}
}

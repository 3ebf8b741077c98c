package consentcallback_test

import (
	"strings"
	"testing"

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

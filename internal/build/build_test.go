package build_test

import (
	"net/http"
	"net/http/httptest"
	"testing"

	"procallteams/internal/build"
)

func TestARefusalNamesTheBuildAndNotTheVersion(t *testing.T) {
	refuse := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusUnauthorized) })
	for version, want := range map[string]string{
		"v1.2.0+0123456789ab":          "c294fe472316ca61",
		"v1.2.0+0123456789ab-modified": "7a749057bef3b3b4",
		"":                             "",
	} {
		answer := httptest.NewRecorder()
		build.Named(version, refuse).ServeHTTP(answer, httptest.NewRequest("GET", "/", nil))
		if got := answer.Header().Get("Bridge-Build"); answer.Code != http.StatusUnauthorized || got != want || got != build.Fingerprint(version) {
			t.Errorf("version %q: %d, build %q; want %q", version, answer.Code, got, want)
		}
	}
}

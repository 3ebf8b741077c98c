package status_test

import (
	"context"
	"encoding/json"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"procallteams/functions/status"
	"procallteams/internal/access"
	"procallteams/internal/report"
	"procallteams/internal/settings"
)

func TestTheProxyInUseIsShownWithoutItsPassword(t *testing.T) {
	proxy, err := settings.ParseProxy("http://svc:s3cret@proxy.contoso.com:8080")
	if err != nil {
		t.Fatal(err)
	}
	proxy.Source, proxy.Bypass = "OUTBOUND_PROXY", []string{"10.0.0.0/8"}
	f := status.Function{
		Read:      func(context.Context) (report.State, error) { return report.State{}, nil },
		Consumers: func(context.Context) ([]access.Credential, error) { return nil, nil },
		Outbound:  status.OutboundOf(settings.Bootstrap{Proxy: proxy}), Now: time.Now, Log: slog.New(slog.DiscardHandler),
	}
	shown := func(caller access.Caller) (any, string) {
		w := httptest.NewRecorder()
		f.ServeCaller(w, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/api/status", nil), caller)
		var answer map[string]any
		if err := json.Unmarshal(w.Body.Bytes(), &answer); err != nil {
			t.Fatal(err)
		}
		return answer["outbound"], w.Body.String()
	}
	want := map[string]any{"proxy": map[string]any{
		"address": "http://proxy.contoso.com:8080", "user": "svc", "source": "OUTBOUND_PROXY", "bypass": []any{"10.0.0.0/8"},
	}}
	got, text := shown(access.Caller{Administrator: "ada"})
	if diff := cmp.Diff(want, got); diff != "" || strings.Contains(text, "s3cret") {
		t.Errorf("outbound (-want +got):\n%s", diff)
	}
	if got, text := shown(access.Caller{}); got != nil || strings.Contains(text, "contoso.com") {
		t.Errorf("a monitor sees %s", text)
	}
	if line := f.Outbound.Proxy.String(); line != "http://proxy.contoso.com:8080 as svc, from OUTBOUND_PROXY" {
		t.Errorf("in one line: %s", line)
	}
}

package storage

import (
	"crypto/rand"
	"errors"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"

	"procallteams/dev/azurite"
	"procallteams/internal/secret"
	"procallteams/internal/settings"
)

// forbidding is Azurite's services behind somebody who refuses everything, as Azure
// does until a role of the identity is active, while it is told to.
func forbidding(t *testing.T, refuses *atomic.Bool) azurite.Endpoints {
	t.Helper()
	front := func(behind string) string {
		target, err := url.Parse(behind)
		if err != nil {
			t.Fatal(err)
		}
		proxy := &httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) { r.SetURL(target) }}
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if !refuses.Load() {
				proxy.ServeHTTP(w, r)
				return
			}
			const code = "AuthorizationPermissionMismatch"
			w.Header().Set("x-ms-error-code", code)
			w.Header().Set("Content-Type", "application/json")
			w.WriteHeader(http.StatusForbidden)
			_, _ = w.Write([]byte(`{"odata.error":{"code":"` + code + `","message":{"lang":"en-US","value":"This request is not authorized to perform this operation using this permission."}}}`))
		}))
		t.Cleanup(server.Close)
		return server.URL
	}
	real := azurite.ForTest(t).Endpoints()
	return azurite.Endpoints{Blob: front(real.Blob), Queue: front(real.Queue), Table: front(real.Table)}
}

func TestARoleThatIsNotActiveYetIsNamedAndWaitedForWithoutARestart(t *testing.T) {
	var refuses atomic.Bool
	refuses.Store(true)
	name := "t" + strings.ToLower(rand.Text())
	s, err := open(settings.Storage{ConnectionString: secret.New(forbidding(t, &refuses).ConnectionString())}, nil, nil, name, name)
	if err != nil {
		t.Fatal(err)
	}
	ctx := t.Context()
	steps := map[string]func() error{
		"read a row":    func() error { _, err := s.Get(ctx, "p", "none"); return err },
		"write a row":   func() error { _, err := s.Insert(ctx, Row{Partition: "p", Key: rand.Text()}); return err },
		"a transaction": func() error { return s.Transact(ctx, []Write{{InsertRow, Row{Partition: "p", Key: rand.Text()}}}) },
		"list rows": func() error {
			for _, err := range s.Range(ctx, "p", "a", "b") {
				return err
			}
			return nil
		},
		"write a blob": func() error { return s.PutBlob(ctx, "p/blob", []byte("x")) },
		"read a blob":  func() error { _, err := s.GetBlob(ctx, "p/other"); return err },
		"a message":    func() error { return s.WakePusher(ctx, "p") },
	}
	for range 2 {
		for step, do := range steps {
			refusal, ok := errors.AsType[*Error](do())
			if !ok || refusal.Status != http.StatusForbidden || !strings.Contains(refusal.Error(), "a data role is missing for the bridge's identity, or not active yet") {
				t.Errorf("%s = %v; want the role named", step, refusal)
			}
		}
	}
	refuses.Store(false) // ten minutes later
	for step, do := range steps {
		if err := do(); err != nil && !errors.Is(err, ErrNotFound) {
			t.Errorf("%s, once the role is active = %v", step, err)
		}
	}
}

package squid_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"procallteams/dev/squid"
)

func TestTheProxyKnowsNamesAndPasswordsAndWritesThemDown(t *testing.T) {
	server := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "hello") }))
	defer server.Close()
	p, err := squid.Start(t.Context(), squid.Options{Names: []string{"example.com", "denied.test"}, Denied: []string{"denied.test"}, User: "svc", Password: "s3cret"})
	if err != nil {
		t.Fatal(err)
	}
	defer p.Stop()
	port := server.URL[strings.LastIndex(server.URL, ":"):]
	get := func(host string, user *url.Userinfo) error {
		transport := server.Client().Transport.(*http.Transport).Clone()
		transport.Proxy = http.ProxyURL(&url.URL{Scheme: "http", Host: p.Address, User: user})
		defer transport.CloseIdleConnections()
		response, err := (&http.Client{Transport: transport}).Get("https://" + host + port)
		if err != nil {
			return err
		}
		return response.Body.Close()
	}
	if err := get("example.com", url.UserPassword("svc", "s3cret")); err != nil {
		t.Errorf("with the password: %v", err)
	}
	for host, user := range map[string]*url.Userinfo{"example.com": url.UserPassword("svc", "wrong"), "denied.test": url.UserPassword("svc", "s3cret")} {
		if err := get(host, user); err == nil {
			t.Errorf("%s as %v is let through", host, user)
		}
	}
	p.Halt()
	log, err := p.Log()
	if err != nil || len(log) != 3 {
		t.Fatalf("log %v, %v", log, err)
	}
	seen := map[string]string{}
	for _, r := range log {
		seen[r.Status+" "+strings.TrimSuffix(r.Host, port)] = r.Method + " " + r.User
	}
	if seen["200 example.com"] != "CONNECT svc" || seen["407 example.com"] == "" || seen["403 denied.test"] == "" {
		t.Errorf("log %v", log)
	}
}

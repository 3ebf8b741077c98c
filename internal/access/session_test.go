package access_test

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"procallteams/internal/access"
)

// signIn returns the session cookie of a new administrator.
func (w *world) signIn(who string) *http.Cookie {
	w.t.Helper()
	answer := httptest.NewRecorder()
	if err := w.gate.Begin(answer, httptest.NewRequest("POST", "/api/console/code", nil), access.Session{Administrator: who, Tenant: w.tenant}); err != nil {
		w.t.Fatal(err)
	}
	cookies := answer.Result().Cookies()
	if len(cookies) != 1 {
		w.t.Fatalf("cookies = %v", cookies)
	}
	return cookies[0]
}

func (w *world) visit(r *http.Request) *httptest.ResponseRecorder {
	answer := httptest.NewRecorder()
	w.gate.Administrator(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		_, _ = rw.Write([]byte(access.AdministratorFrom(r.Context())))
	})).ServeHTTP(answer, r)
	return answer
}

func request(method, path string, header ...string) *http.Request {
	r := httptest.NewRequest(method, path, strings.NewReader("x=1"))
	r.Host = "bridge.example"
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	return r
}

func TestASessionLastsAsLongAsItIsKnownWhoThatIs(t *testing.T) {
	w := start(t)
	for who, lasts := range map[string]time.Duration{"oid-1": 75 * time.Minute, access.BySetupCode: 8 * time.Hour} {
		cookie := w.signIn(who)
		if cookie.Name != "__Host-ptb-session" || !cookie.Secure || !cookie.HttpOnly || cookie.SameSite != http.SameSiteLaxMode || cookie.Path != "/" || cookie.Domain != "" || len(cookie.Value) < 52 || cookie.MaxAge != int(lasts.Seconds()) {
			t.Errorf("cookie = %+v", cookie)
		}
		visit := func() int {
			r := request("GET", "/api/status")
			r.AddCookie(cookie)
			return w.visit(r).Code
		}
		w.now = w.now.Add(lasts - time.Second)
		if got := visit(); got != 200 {
			t.Errorf("%s: signed in = %d", who, got)
		}
		w.now = w.now.Add(time.Second)
		if got := visit(); got != 401 {
			t.Errorf("%s: after %s = %d", who, lasts, got)
		}
		cookie = w.signIn(who)
		r := request("POST", "/api/console/signout")
		r.AddCookie(cookie)
		if err := w.gate.End(httptest.NewRecorder(), r); err != nil {
			t.Fatal(err)
		}
		if got := visit(); got != 401 {
			t.Errorf("%s: signed out = %d", who, got)
		}
	}
}

func TestWhoSignedInWithEntraIsToBeAskedForAgainAfterAnHour(t *testing.T) {
	began := time.Date(2026, 11, 25, 12, 0, 0, 0, time.UTC)
	for _, row := range []struct {
		who   string
		after time.Duration
		want  bool
	}{{"oid-1", 59 * time.Minute, false}, {"oid-1", time.Hour, true}, {access.BySetupCode, 7 * time.Hour, false}} {
		if got := (access.Session{Administrator: row.who, Began: began}).Unproven(began.Add(row.after)); got != row.want {
			t.Errorf("%s after %s: %t", row.who, row.after, got)
		}
	}
}

func TestWithoutASessionPeopleAreLedToTheConsoleAndMachinesAreTold(t *testing.T) {
	w := start(t)
	page := w.visit(request("GET", "/api/consent/user", "Accept", "text/html,*/*"))
	if page.Code != 303 || page.Header().Get("Location") != "/api/console?next=%2Fapi%2Fconsent%2Fuser" {
		t.Errorf("a page = %d to %q", page.Code, page.Header().Get("Location"))
	}
	page = w.visit(request("GET", "/api/consent/user?account=a%26b&home=1", "Accept", "text/html,*/*"))
	if to := page.Header().Get("Location"); to != "/api/console?next="+url.QueryEscape("/api/consent/user?account=a%26b") {
		t.Errorf("a page with a query leads to %q", to)
	}
	forged := request("GET", "/api/status")
	forged.AddCookie(&http.Cookie{Name: "__Host-ptb-session", Value: strings.Repeat("A", 52)})
	if answer := w.visit(forged); answer.Code != 401 || !strings.Contains(answer.Body.String(), "/problems/sign-in-required") {
		t.Errorf("a forged session = %d %s", answer.Code, answer.Body)
	}
}

func TestOnlyOurOwnPagesMayChangeAnything(t *testing.T) {
	w := start(t)
	cookie := w.signIn("oid-1")
	for _, test := range []struct {
		name   string
		header []string
		want   int
	}{
		{"our page", []string{"Sec-Fetch-Site", "same-origin", "Origin", "https://bridge.example"}, 200},
		{"our page, the host hides our name", []string{"Origin", "https://bridge.example", "Host", "127.0.0.1:1234"}, 200},
		{"no browser", nil, 200},
		{"another site", []string{"Sec-Fetch-Site", "cross-site", "Origin", "https://evil.example"}, 403},
		{"a sibling", []string{"Sec-Fetch-Site", "same-site", "Origin", "https://evil.bridge.example"}, 403},
		{"an old browser on another site", []string{"Origin", "https://evil.example"}, 403},
	} {
		t.Run(test.name, func(t *testing.T) {
			r := request("POST", "/api/credentials", test.header...)
			if r.Header.Get("Host") != "" {
				r.Host = r.Header.Get("Host")
			}
			r.AddCookie(cookie)
			if answer := w.visit(r); answer.Code != test.want {
				t.Errorf("= %d %s; want %d", answer.Code, answer.Body, test.want)
			}
		})
	}
}

// Case C22: redirect URIs and cookies need the one public address.
func TestAPageUnderAnotherHostNameIsSentToThePublicAddress(t *testing.T) {
	w := start(t)
	const accept, html = "Accept", "text/html"
	for _, test := range []struct {
		name   string
		host   string
		header []string
		want   string // Location of a 303 home, empty when the page is served or asks to sign in
	}{
		{"the public name", "bridge.example", []string{accept, html}, ""},
		{"the public name with its port, in capitals", "BRIDGE.example:443", []string{accept, html}, ""},
		{"proxying hides the host", "127.0.0.1:4711", []string{accept, html, "X-Forwarded-Host", "bridge.example"}, ""},
		{"the platform's own name", "ptb-h4sh.azurewebsites.net", []string{accept, html}, "https://bridge.example/api/consent/user?x=1&home=1"},
		{"a forged header only leads home", "ptb-h4sh.azurewebsites.net", []string{accept, html, "X-Forwarded-Host", "evil.example", "X-Forwarded-Proto", "http"}, "https://bridge.example/api/consent/user?x=1&home=1"},
		{"a program", "ptb-h4sh.azurewebsites.net", nil, ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			r := request("GET", "/api/consent/user?x=1", test.header...)
			r.Host = test.host
			answer := w.visit(r)
			if got := answer.Header().Get("Location"); test.want != "" && got != test.want || test.want == "" && strings.HasPrefix(got, "http") {
				t.Errorf("Location = %q; want %q", got, test.want)
			}
			if len(answer.Result().Cookies()) != 0 {
				t.Error("a cookie was set before the browser came home")
			}
		})
	}
}

func TestAProxyThatSendsAnotherHostNameOnMakesNoLoop(t *testing.T) {
	w := start(t)
	to := "/api/consent/user"
	for range 4 {
		r := request("GET", to, "Accept", "text/html", "X-Forwarded-Host", "ptb-h4sh.azurewebsites.net")
		r.Host = "127.0.0.1:4711" // as the Functions host proxies
		location := w.visit(r).Header().Get("Location")
		home, elsewhere := strings.CutPrefix(location, "https://bridge.example")
		if !elsewhere {
			if !strings.HasPrefix(location, "/api/console?next=") {
				t.Errorf("the page behind the proxy leads to %q; want the sign-in", location)
			}
			return
		}
		to = home
	}
	t.Error("the browser is sent home again and again")
}

func TestEitherTakesMachinesAndAdministrators(t *testing.T) {
	w := start(t)
	_, token := w.create(access.Monitor)
	_, reader := w.create(access.Read)
	handler := w.gate.Either(access.Monitor, func(rw http.ResponseWriter, _ *http.Request, c access.Caller) {
		_, _ = rw.Write([]byte(c.Administrator + "/" + c.Consumer.Tenant))
	})
	serve := func(r *http.Request) (int, string) {
		answer := httptest.NewRecorder()
		handler.ServeHTTP(answer, r)
		return answer.Code, answer.Body.String()
	}
	if code, body := serve(request("GET", "/api/health", "Authorization", "Bearer "+token)); code != 200 || body != "/"+w.tenant {
		t.Errorf("monitor = %d %s", code, body)
	}
	if code, _ := serve(request("GET", "/api/health", "Authorization", "Bearer "+reader)); code != 403 {
		t.Errorf("reader = %d", code)
	}
	r := request("GET", "/api/health")
	r.AddCookie(w.signIn("oid-1"))
	if code, body := serve(r); code != 200 || body != "oid-1/" {
		t.Errorf("administrator = %d %s", code, body)
	}
	// A machine's credential never opens what is an administrator's.
	if answer := w.visit(request("GET", "/api/credentials", "Authorization", "Bearer "+token)); answer.Code != 401 {
		t.Errorf("a machine at an administrator's door = %d", answer.Code)
	}
}

func TestASessionBelongsToTheTenantInWhichItBegan(t *testing.T) {
	w := start(t)
	entra, code := w.signIn("oid-1"), w.signIn(access.BySetupCode)
	visit := func(cookie *http.Cookie) int {
		r := request("GET", "/api/status")
		r.AddCookie(cookie)
		return w.visit(r).Code
	}
	former := w.tenant
	w.tenant = "another"
	if visit(entra) != 401 || visit(code) != 200 {
		t.Errorf("after another tenant was set: %d by Entra, %d by the set-up code; want 401 and 200", visit(entra), visit(code))
	}
	w.tenant = former
	if visit(entra) != 200 {
		t.Errorf("the tenant that it began in = %d", visit(entra))
	}
}

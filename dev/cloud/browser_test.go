package cloud

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
)

func TestTheBrowserKeepsTheRulesOfCookies(t *testing.T) {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /start", func(w http.ResponseWriter, r *http.Request) {
		http.SetCookie(w, &http.Cookie{Name: "__Host-s", Value: "1", Path: "/", Secure: true, HttpOnly: true, SameSite: http.SameSiteLaxMode})
		http.Redirect(w, r, r.URL.Query().Get("to"), http.StatusFound)
	})
	mux.HandleFunc("/show", func(w http.ResponseWriter, r *http.Request) {
		_, err := r.Cookie("__Host-s")
		w.Header().Set("Content-Type", "text/html")
		_, _ = w.Write([]byte(r.Method + " cookie=" + map[bool]string{true: "yes", false: "no"}[err == nil] + " site=" + r.Header.Get("Sec-Fetch-Site") + " code=" + r.FormValue("code")))
	})
	bridge := httptest.NewServer(mux)
	defer bridge.Close()
	local := strings.Replace(bridge.URL, "127.0.0.1", "localhost", 1)
	signIn := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/html")
		if r.Method == http.MethodGet {
			_, _ = w.Write([]byte(`<form method="post"><input type="hidden" name="flow" value="7"><input name="who"><button id="go" name="b" value="1">Go</button></form>`))
			return
		}
		if r.FormValue("flow") != "7" || r.FormValue("who") != "ada" || r.FormValue("b") != "1" {
			http.Error(w, "the form is incomplete", http.StatusBadRequest)
			return
		}
		_, _ = w.Write([]byte(`<form method="post" action="` + local + `/show"><input type="hidden" name="code" value="c1"><button>Go on</button></form><script>document.forms[0].submit()</script>`))
	}))
	defer signIn.Close()

	b := NewBrowser(nil)
	page, err := b.Open(t.Context(), local+"/start?to="+url.QueryEscape(signIn.URL+"/authorize"))
	if err != nil {
		t.Fatal(err)
	}
	if page, err = b.Click(t.Context(), page, "go", url.Values{"who": {"ada"}}); err != nil {
		t.Fatal(err)
	}
	if want := "POST cookie=no site=cross-site code=c1"; page.Body != want {
		t.Errorf("the form_post from another site arrives as %q; want %q", page.Body, want)
	}
	if page, err = b.Open(t.Context(), local+"/show"); err != nil || page.Body != "GET cookie=yes site=none code=" {
		t.Errorf("a typed address arrives as %q, %v", page.Body, err)
	}
	if page, err = b.Open(t.Context(), bridge.URL+"/show"); err != nil || page.Body != "GET cookie=no site=none code=" {
		t.Errorf("another host gets %q, %v", page.Body, err)
	}
}

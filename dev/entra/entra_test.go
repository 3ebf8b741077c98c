package entra_test

import (
	"context"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"procallteams/dev/entra"
)

const (
	tenantID    = "3f2b1c7e-0000-4000-8000-000000000001"
	foreignID   = "3f2b1c7e-0000-4000-8000-000000000002"
	clientID    = "7a1d0000-0000-4000-8000-00000000000a"
	otherClient = "7a1d0000-0000-4000-8000-00000000000b"
	adaID       = "aaaaaaaa-0000-4000-8000-000000000001" // administrator
	bobID       = "aaaaaaaa-0000-4000-8000-000000000002"
	eveID       = "aaaaaaaa-0000-4000-8000-000000000003" // of another tenant
	secret      = "the~client~secret"
	redirect    = "http://localhost:7071/api/consent/user/callback"
	adminBack   = "http://localhost:7071/api/consent/admin/callback"
	graph       = "https://graph.microsoft.com"
	readScope   = "openid profile offline_access " + graph + "/Presence.Read.All"
	verifier    = "a-verifier-that-is-long-enough-for-the-rules-0123456789"
)

// testKeys are made once: RSA keys are slow to make and no test needs its own.
var testKeys = sync.OnceValue(func() []*rsa.PrivateKey {
	keys := make([]*rsa.PrivateKey, 2)
	for i := range keys {
		keys[i], _ = rsa.GenerateKey(rand.Reader, 2048)
	}
	return keys
})

// world is a simulator on two listeners with a clock of its own.
type world struct {
	*entra.Simulator
	t           *testing.T
	browser     *httptest.Server
	backchannel *httptest.Server

	mu  sync.Mutex
	now time.Time
}

func (c *world) clock() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *world) advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

func start(t *testing.T) *world {
	t.Helper()
	c := &world{t: t, now: time.Now()}
	sim, err := entra.New(entra.Config{Now: c.clock, Keys: testKeys()})
	if err != nil {
		t.Fatal(err)
	}
	c.Simulator = sim
	c.browser = httptest.NewServer(sim)
	c.backchannel = httptest.NewTLSServer(sim)
	t.Cleanup(c.browser.Close)
	t.Cleanup(c.backchannel.Close)
	sim.SetURLs(c.browser.URL, c.backchannel.URL)
	for _, err := range []error{
		sim.AddTenant(entra.Tenant{ID: tenantID, Domain: "contoso.com"}),
		sim.AddTenant(entra.Tenant{ID: foreignID, Domain: "fabrikam.com"}),
		sim.AddUser(entra.User{TenantID: tenantID, ObjectID: adaID, UPN: "ada@contoso.com", Name: "Ada", Admin: true, AppRoles: []string{"Bridge.Admin"}}),
		sim.AddUser(entra.User{TenantID: tenantID, ObjectID: bobID, UPN: "bob@contoso.com", Name: "Bob"}),
		sim.AddUser(entra.User{TenantID: foreignID, ObjectID: eveID, UPN: "eve@fabrikam.com", Name: "Eve"}),
		sim.AddApp(entra.App{
			TenantID: tenantID, ClientID: clientID, Name: "Bridge", Secret: secret, RedirectURIs: []string{redirect, adminBack},
			Delegated:   []string{"Presence.Read.All", "User.ReadBasic.All"},
			Application: []string{"Presence.ReadWrite.All", "User.Read.All"},
		}),
		sim.AddApp(entra.App{TenantID: tenantID, ClientID: otherClient, Name: "Other", Secret: "another~secret", RedirectURIs: []string{redirect}}),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	return c
}

// authorizeURL is a right request, changed by pairs; an empty value drops the name.
func (c *world) authorizeURL(changes ...string) string {
	sum := sha256.Sum256([]byte(verifier))
	q := url.Values{
		"client_id": {clientID}, "response_type": {"code"}, "redirect_uri": {redirect}, "scope": {readScope},
		"state": {"st.a+te/="}, "nonce": {"n0nce"},
		"code_challenge": {base64.RawURLEncoding.EncodeToString(sum[:])}, "code_challenge_method": {"S256"},
	}
	for i := 0; i+1 < len(changes); i += 2 {
		q.Set(changes[i], changes[i+1])
		if changes[i+1] == "" {
			q.Del(changes[i])
		}
	}
	return c.browser.URL + "/" + tenantID + "/oauth2/v2.0/authorize?" + q.Encode()
}

func (c *world) adminURL(changes ...string) string {
	q := url.Values{"client_id": {clientID}, "redirect_uri": {adminBack}, "scope": {graph + "/.default"}, "state": {"adm"}}
	for i := 0; i+1 < len(changes); i += 2 {
		q.Set(changes[i], changes[i+1])
	}
	return c.browser.URL + "/" + tenantID + "/v2.0/adminconsent?" + q.Encode()
}

// visit clicks through and fails the test when no callback comes.
func (c *world) visit(p entra.Person, start string) url.Values {
	c.t.Helper()
	back, err := p.Visit(c.t.Context(), start)
	if err != nil {
		c.t.Fatalf("visit: %v", err)
	}
	return back.Values()
}

// stuck clicks through and returns the number of the page where it ends.
func (c *world) stuck(p entra.Person, start string) int {
	c.t.Helper()
	back, err := p.Visit(c.t.Context(), start)
	page, isPage := errors.AsType[*entra.PageError](err)
	if !isPage {
		c.t.Fatalf("visit ended with %v, %v; want a page", back.Values(), err)
	}
	return page.Number
}

type answer struct {
	status int
	header http.Header
	raw    string

	AccessToken  string `json:"access_token"`
	RefreshToken string `json:"refresh_token"`
	IDToken      string `json:"id_token"`
	Scope        string
	ExpiresIn    int    `json:"expires_in"`
	ClientInfo   string `json:"client_info"`
	Error        string
	Description  string `json:"error_description"`
	Codes        []int  `json:"error_codes"`
	Suberror     string
	Claims       string
	Timestamp    string
}

func (a answer) number() int {
	if len(a.Codes) == 0 {
		return 0
	}
	return a.Codes[0]
}

// token posts to the token endpoint of the tenant with id and secret.
func (c *world) token(pairs ...string) answer {
	c.t.Helper()
	return c.tokenAt(tenantID, pairs...)
}

func (c *world) tokenAt(tenant string, pairs ...string) answer {
	c.t.Helper()
	form := url.Values{"client_id": {clientID}, "client_secret": {secret}}
	for i := 0; i+1 < len(pairs); i += 2 {
		form.Set(pairs[i], pairs[i+1])
		if pairs[i+1] == "" {
			form.Del(pairs[i])
		}
	}
	return c.send(http.MethodPost, c.backchannel.URL+"/"+tenant+"/oauth2/v2.0/token", form, nil)
}

func (c *world) send(method, target string, form url.Values, header http.Header) answer {
	c.t.Helper()
	request, err := http.NewRequestWithContext(c.t.Context(), method, target, strings.NewReader(form.Encode()))
	if err != nil {
		c.t.Fatal(err)
	}
	request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	maps.Copy(request.Header, header)
	response, err := c.backchannel.Client().Do(request)
	if err != nil {
		c.t.Fatal(err)
	}
	defer response.Body.Close()
	raw, err := io.ReadAll(response.Body)
	if err != nil {
		c.t.Fatal(err)
	}
	got := answer{status: response.StatusCode, header: response.Header, raw: string(raw)}
	if strings.HasPrefix(response.Header.Get("Content-Type"), "application/json") {
		if err := json.Unmarshal(raw, &got); err != nil {
			c.t.Fatalf("answer %s: %v", raw, err)
		}
	}
	return got
}

func (c *world) redeem(code string, pairs ...string) answer {
	c.t.Helper()
	return c.token(append([]string{
		"grant_type", "authorization_code", "code", code, "redirect_uri", redirect, "code_verifier", verifier,
	}, pairs...)...)
}

func (c *world) refresh(token string, pairs ...string) answer {
	c.t.Helper()
	return c.token(append([]string{"grant_type", "refresh_token", "refresh_token", token}, pairs...)...)
}

func (c *world) appOnly(pairs ...string) answer {
	c.t.Helper()
	return c.token(append([]string{"grant_type", "client_credentials", "scope", graph + "/.default"}, pairs...)...)
}

// signIn is a whole user consent of ada, from click to tokens.
func (c *world) signIn(changes ...string) answer {
	c.t.Helper()
	got := c.redeem(c.visit(entra.Person{ObjectID: adaID}, c.authorizeURL(changes...)).Get("code"))
	if got.status != http.StatusOK {
		c.t.Fatalf("redeem code: %d %s", got.status, got.raw)
	}
	return got
}

// claims decodes a token's payload.
func claims(t *testing.T, token string) map[string]any {
	t.Helper()
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		t.Fatalf("token has %d parts", len(parts))
	}
	payload, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil {
		t.Fatal(err)
	}
	var decoded map[string]any
	if err := json.Unmarshal(payload, &decoded); err != nil {
		t.Fatal(err)
	}
	return decoded
}

func wantRefusal(t *testing.T, got answer, status int, word string, number int) {
	t.Helper()
	if got.status != status || got.Error != word || got.number() != number {
		t.Errorf("refused with %d %s %d (%s); want %d %s %d", got.status, got.Error, got.number(), got.Description, status, word, number)
	}
}

func get(ctx context.Context, t *testing.T, client *http.Client, target string) (*http.Response, string) {
	t.Helper()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, target, nil)
	if err != nil {
		t.Fatal(err)
	}
	response, err := client.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response, string(body)
}

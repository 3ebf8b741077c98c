package cloud

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
)

// Integration is a bridge that was set up: what the console shows once.
type Integration struct {
	Token      string // machine credential with the scopes read, report, directory and monitor
	PushSecret string // signing secret of pushes
	// Browser is signed in as administrator.
	Browser *Browser
}

// Integrate does what an administrator does on the first day: [Cloud.Prepare],
// and both consents on Microsoft's pages.
func (c *Cloud) Integrate(ctx context.Context) (*Integration, error) {
	i, err := c.Prepare(ctx)
	if err != nil {
		return nil, err
	}
	for _, grant := range []string{"user", "admin"} {
		if _, err := c.Consent(ctx, i.Browser, grant, 0); err != nil {
			return nil, err
		}
	}
	return i, nil
}

// Prepare signs in with the set-up code, enters tenant and application, whose
// credential is the managed identity, switches everyone on, makes a credential for
// UCServer, and enters the push address there and the push secret here. Only the
// consents are left.
func (c *Cloud) Prepare(ctx context.Context) (*Integration, error) {
	b := NewBrowser(nil)
	if err := c.signIn(ctx, b); err != nil {
		return nil, err
	}
	if err := c.register(ctx, b); err != nil {
		return nil, err
	}
	i := &Integration{Browser: b}
	var settings map[string]any
	if err := c.API(ctx, b, http.MethodGet, "integration", nil, &settings); err != nil {
		return nil, err
	}
	delete(settings, "fixed")
	settings["teamsToProCall"], settings["proCallToTeams"], settings["pushUrl"] = "everyone", "everyone", c.PushURL
	var stored struct {
		PushSecret string `json:"pushSecret"`
	}
	if err := c.API(ctx, b, http.MethodPut, "integration", settings, &stored); err != nil {
		return nil, err
	}
	if i.PushSecret = stored.PushSecret; i.PushSecret == "" {
		return nil, errors.New("switch everyone on: the answer shows no push secret")
	}
	if err := c.UCServer.SetSecrets(i.PushSecret); err != nil {
		return nil, err
	}
	var issued struct {
		Token string `json:"token"`
	}
	request := map[string]any{"name": "UCServer", "scopes": []string{"read", "report", "directory", "monitor"}}
	if err := c.API(ctx, b, http.MethodPost, "credentials", request, &issued); err != nil {
		return nil, err
	}
	i.Token = issued.Token
	return i, nil
}

func (c *Cloud) signIn(ctx context.Context, b *Browser) error {
	code, err := c.SetupCode(ctx)
	if err != nil {
		return err
	}
	page, err := b.Open(ctx, c.URL+"/api/console")
	if err != nil {
		return err
	}
	if page, err = b.Fill(ctx, page, url.Values{"code": {code}}); err != nil {
		return fmt.Errorf("sign in with the set-up code: %w", err)
	}
	if page.Status != http.StatusOK {
		return fmt.Errorf("sign in with the set-up code: the console answered %d", page.Status)
	}
	return nil
}

func (c *Cloud) register(ctx context.Context, b *Browser) error {
	page, err := b.Open(ctx, c.URL+"/api/console")
	if err != nil {
		return err
	}
	page, err = b.Fill(ctx, page, url.Values{"tenant": {Domain}, "clientId": {ClientID}})
	if err != nil {
		return fmt.Errorf("enter the app registration: %w", err)
	}
	if page.Status != http.StatusOK {
		return fmt.Errorf("enter the app registration: the console answered %d", page.Status)
	}
	return nil
}

// API calls an administrator's JSON route below /api/ with the session of b. in
// and out may be nil.
func (c *Cloud) API(ctx context.Context, b *Browser, method, path string, in, out any) error {
	var body io.Reader
	if in != nil {
		text, err := json.Marshal(in)
		if err != nil {
			return fmt.Errorf("call %s: %w", path, err)
		}
		body = bytes.NewReader(text)
	}
	target, err := url.Parse(c.URL + "/api/" + path)
	if err != nil {
		return fmt.Errorf("call %s: %w", path, err)
	}
	r, err := http.NewRequestWithContext(ctx, method, target.String(), body)
	if err != nil {
		return fmt.Errorf("call %s: %w", path, err)
	}
	r.Header.Set("Accept", "application/json")
	r.Header.Set("Sec-Fetch-Site", "same-origin")
	if in != nil {
		r.Header.Set("Content-Type", "application/json")
		r.Header.Set("Origin", c.URL)
	}
	for _, cookie := range b.cookies[target.Hostname()] {
		if b.sends(cookie, target, method, false) {
			r.AddCookie(cookie)
		}
	}
	answer, err := b.client.Do(r)
	if err != nil {
		return fmt.Errorf("call %s: %w", path, errors.Unwrap(err))
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(io.LimitReader(answer.Body, 4<<20))
	if err != nil {
		return fmt.Errorf("call %s: %w", path, err)
	}
	if answer.StatusCode/100 != 2 {
		return fmt.Errorf("call %s %s: %d %s", method, path, answer.StatusCode, strings.TrimSpace(string(text)))
	}
	if out != nil {
		if err := json.Unmarshal(text, out); err != nil {
			return fmt.Errorf("call %s: %w", path, err)
		}
	}
	return nil
}

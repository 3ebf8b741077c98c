package cloud

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"golang.org/x/net/html"
)

// Browser walks pages as a person's browser without a screen does: redirects,
// cookies with their Secure and SameSite rules, forms, buttons, the headers
// Origin and Sec-Fetch-Site, and pages that submit themselves. As browsers do, it
// treats http on this machine as trustworthy. It is not safe for concurrent use.
type Browser struct {
	client  *http.Client
	cookies map[string][]*http.Cookie // by host without port
	// Visited collects every address that was opened, and Pages every body, for
	// scans.
	Visited []string
	Pages   []string
}

// maxHops bounds redirects and self-submitting pages of one click.
const maxHops = 20

// NewBrowser returns a browser without cookies. transport may be nil.
func NewBrowser(transport http.RoundTripper) *Browser {
	return &Browser{
		client: &http.Client{
			Transport: transport, Timeout: time.Minute,
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
		cookies: map[string][]*http.Cookie{},
	}
}

// Page is what the browser shows.
type Page struct {
	URL    *url.URL
	Status int
	Body   string
	Header http.Header
	forms  []form
	links  map[string]string // address by element id
}

// form is one form of a page with the values that it would submit.
type form struct {
	method, action string
	values         url.Values
	fields         []string // names that a person can fill
	buttons        []button
}

type button struct{ id, name, value, action string }

// Open goes to an address as if it was typed.
func (b *Browser) Open(ctx context.Context, address string) (*Page, error) {
	return b.walk(ctx, http.MethodGet, address, nil, nil)
}

// Click presses the button or follows the link with this element id, after
// filling the fields of its form.
func (b *Browser) Click(ctx context.Context, page *Page, id string, fill url.Values) (*Page, error) {
	if address, ok := page.links[id]; ok {
		return b.walk(ctx, http.MethodGet, address, nil, page.URL)
	}
	for _, f := range page.forms {
		for _, button := range f.buttons {
			if button.id == id {
				return b.submit(ctx, page, f, &button, fill)
			}
		}
	}
	return nil, fmt.Errorf("click %s on %s: no such button or link (status %d)", id, page.URL.Path, page.Status)
}

// Has reports whether the page has a button or link with this element id.
func (p *Page) Has(id string) bool {
	if _, ok := p.links[id]; ok {
		return true
	}
	for _, f := range p.forms {
		for _, button := range f.buttons {
			if button.id == id {
				return true
			}
		}
	}
	return false
}

// Fill submits the form that has all the fields of fill by its first button.
func (b *Browser) Fill(ctx context.Context, page *Page, fill url.Values) (*Page, error) {
	for _, f := range page.forms {
		has := true
		for name := range fill {
			has = has && slices.Contains(f.fields, name)
		}
		if has {
			var first *button
			if len(f.buttons) > 0 {
				first = &f.buttons[0]
			}
			return b.submit(ctx, page, f, first, fill)
		}
	}
	return nil, fmt.Errorf("fill a form on %s: none has these fields (status %d)", page.URL.Path, page.Status)
}

func (b *Browser) submit(ctx context.Context, page *Page, f form, pressed *button, fill url.Values) (*Page, error) {
	values := url.Values{}
	for name, list := range f.values {
		values[name] = slices.Clone(list)
	}
	action := f.action
	if pressed != nil {
		if pressed.name != "" {
			values.Set(pressed.name, pressed.value)
		}
		if pressed.action != "" {
			action = pressed.action
		}
	}
	maps.Copy(values, fill)
	target, err := page.URL.Parse(action)
	if err != nil {
		return nil, fmt.Errorf("submit a form of %s: %w", page.URL.Path, err)
	}
	if f.method == http.MethodGet {
		target.RawQuery = values.Encode()
		values = nil
	}
	return b.walk(ctx, f.method, target.String(), values, page.URL)
}

// walk sends one request and follows redirects and self-submitting pages.
func (b *Browser) walk(ctx context.Context, method, address string, values url.Values, from *url.URL) (*Page, error) {
	for range maxHops {
		target, err := url.Parse(address)
		if err != nil {
			return nil, fmt.Errorf("open a page: %w", err)
		}
		if from != nil {
			target = from.ResolveReference(target)
		}
		page, err := b.send(ctx, method, target, values, from)
		if err != nil {
			return nil, err
		}
		if location := page.Header.Get("Location"); location != "" && page.Status >= 300 && page.Status < 400 {
			if page.Status != http.StatusTemporaryRedirect && page.Status != http.StatusPermanentRedirect {
				method, values = http.MethodGet, nil
			}
			// Whoever began the walk stays its initiator, unless it was typed.
			if address, err = resolve(target, location); err != nil {
				return nil, err
			}
			continue
		}
		if f, ok := page.selfSubmitting(); ok {
			next, err := resolve(target, f.action)
			if err != nil {
				return nil, err
			}
			method, address, values, from = f.method, next, f.values, target
			continue
		}
		return page, nil
	}
	return nil, errors.New("open a page: redirected in circles")
}

func resolve(base *url.URL, text string) (string, error) {
	u, err := base.Parse(text)
	if err != nil {
		return "", fmt.Errorf("follow a page: %w", err)
	}
	return u.String(), nil
}

func (b *Browser) send(ctx context.Context, method string, target *url.URL, values url.Values, from *url.URL) (*Page, error) {
	var body io.Reader
	if values != nil {
		body = strings.NewReader(values.Encode())
	}
	r, err := http.NewRequestWithContext(ctx, method, target.String(), body)
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", target.Path, err)
	}
	r.Header.Set("Accept", "text/html,application/xhtml+xml;q=0.9,*/*;q=0.8")
	r.Header.Set("Sec-Fetch-Mode", "navigate")
	r.Header.Set("Sec-Fetch-Dest", "document")
	crossSite := from != nil && from.Hostname() != target.Hostname()
	switch {
	case from == nil:
		r.Header.Set("Sec-Fetch-Site", "none")
	case crossSite:
		r.Header.Set("Sec-Fetch-Site", "cross-site")
	case from.Host != target.Host || from.Scheme != target.Scheme:
		r.Header.Set("Sec-Fetch-Site", "same-site")
	default:
		r.Header.Set("Sec-Fetch-Site", "same-origin")
	}
	if body != nil {
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		if from != nil {
			r.Header.Set("Origin", from.Scheme+"://"+from.Host)
		}
	}
	for _, cookie := range b.cookies[target.Hostname()] {
		if b.sends(cookie, target, method, crossSite) {
			r.AddCookie(cookie)
		}
	}
	b.Visited = append(b.Visited, target.String())
	answer, err := b.client.Do(r)
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", target.Path, errors.Unwrap(err))
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(io.LimitReader(answer.Body, 4<<20))
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", target.Path, err)
	}
	b.keep(target.Hostname(), answer.Cookies())
	b.Pages = append(b.Pages, string(text))
	page := &Page{URL: target, Status: answer.StatusCode, Body: string(text), Header: answer.Header, links: map[string]string{}}
	if strings.HasPrefix(answer.Header.Get("Content-Type"), "text/html") {
		page.parse(text)
	}
	return page, nil
}

// sends reports whether a cookie goes with a request (RFC 6265bis 5.8.3): Secure
// ones to https and this machine, Lax ones not with a cross-site POST.
func (b *Browser) sends(c *http.Cookie, target *url.URL, method string, crossSite bool) bool {
	trusted := target.Scheme == "https" || target.Hostname() == "localhost" || target.Hostname() == "127.0.0.1"
	switch {
	case c.Secure && !trusted, c.Path != "" && !strings.HasPrefix(target.Path, c.Path):
		return false
	case crossSite && c.SameSite == http.SameSiteStrictMode:
		return false
	case crossSite && method != http.MethodGet && c.SameSite != http.SameSiteNoneMode:
		return false
	}
	return c.Expires.IsZero() || time.Now().Before(c.Expires)
}

func (b *Browser) keep(host string, set []*http.Cookie) {
	for _, c := range set {
		b.cookies[host] = slices.DeleteFunc(b.cookies[host], func(old *http.Cookie) bool { return old.Name == c.Name && old.Path == c.Path })
		if c.MaxAge < 0 || !c.Expires.IsZero() && !time.Now().Before(c.Expires) {
			continue
		}
		if c.MaxAge > 0 {
			c.Expires = time.Now().Add(time.Duration(c.MaxAge) * time.Second)
		}
		b.cookies[host] = append(b.cookies[host], c)
	}
}

// parse reads forms, buttons and links.
func (p *Page) parse(text []byte) {
	root, err := html.Parse(bytes.NewReader(text))
	if err != nil {
		return
	}
	var current *form
	for node := range root.Descendants() {
		if node.Type != html.ElementNode {
			continue
		}
		at := func(name string) string {
			for _, a := range node.Attr {
				if a.Key == name {
					return a.Val
				}
			}
			return ""
		}
		has := func(name string) bool {
			return slices.ContainsFunc(node.Attr, func(a html.Attribute) bool { return a.Key == name })
		}
		switch node.Data {
		case "a":
			if id := at("id"); id != "" {
				p.links[id] = at("href")
			}
			continue
		case "form":
			p.forms = append(p.forms, form{method: strings.ToUpper(at("method")), action: at("action"), values: url.Values{}})
			current = &p.forms[len(p.forms)-1]
			if current.method == "" {
				current.method = http.MethodGet
			}
			continue
		}
		if current == nil || has("disabled") || !within(node, "form") {
			continue
		}
		switch kind := at("type"); {
		case node.Data == "button" && (kind == "" || kind == "submit"), node.Data == "input" && kind == "submit":
			current.buttons = append(current.buttons, button{at("id"), at("name"), at("value"), at("formaction")})
		case node.Data == "input" && (kind == "checkbox" || kind == "radio"):
			current.fields = append(current.fields, at("name"))
			if has("checked") {
				value := at("value")
				if value == "" {
					value = "on"
				}
				current.values.Add(at("name"), value)
			}
		case node.Data == "input" && kind == "hidden":
			current.values.Add(at("name"), at("value"))
		case node.Data == "input":
			current.fields = append(current.fields, at("name"))
			current.values.Add(at("name"), at("value"))
		case node.Data == "select" || node.Data == "textarea":
			current.fields = append(current.fields, at("name"))
		}
	}
}

func within(node *html.Node, element string) bool {
	for parent := range node.Ancestors() {
		if parent.Type == html.ElementNode && parent.Data == element {
			return true
		}
	}
	return false
}

// selfSubmitting returns the form of a page whose script submits it at once: the
// form_post answer of a sign-in, and pages that pass it on.
func (p *Page) selfSubmitting() (form, bool) {
	if len(p.forms) == 1 && len(p.forms[0].fields) == 0 && strings.Contains(p.Body, ".submit()") {
		return p.forms[0], true
	}
	return form{}, false
}

package entra

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"regexp"
	"strconv"
	"strings"

	"golang.org/x/net/html"
)

// Person clicks through the simulator's pages as somebody at a browser would,
// without a browser.
type Person struct {
	ObjectID     string // the account to pick; empty cancels on the sign-in page
	Decline      bool   // cancels on the consent page
	Organization bool   // ticks "on behalf of your organization" where it is shown
	Request      bool   // asks administrators for approval where that is offered
	Return       bool   // goes back to the app where approval is needed
	Instead      string // the account to pick where the first one leads nowhere
	// WithoutFactor gives up where a new password or a second factor is wanted.
	WithoutFactor bool
	// Client talks to the simulator; its Jar keeps the sign-in for later visits.
	// Nil is a new browser.
	Client *http.Client
}

// Callback is where the pages sent the browser in the end, not yet requested.
type Callback struct {
	Method string // GET, or POST for form_post
	URL    string // with the query of a GET
	Form   url.Values
}

// Values are the callback's parameters, wherever they travel.
func (c Callback) Values() url.Values {
	if c.Method == http.MethodPost {
		return c.Form
	}
	u, err := url.Parse(c.URL)
	if err != nil {
		return nil
	}
	return u.Query()
}

// PageError is a page that leads nowhere: what the person is left with.
type PageError struct {
	Status int
	Number int    // AADSTS; 0 when the page shows none
	Text   string // of the whole page
}

func (e *PageError) Error() string {
	return fmt.Sprintf("page without a way on, status %d, AADSTS%d", e.Status, e.Number)
}

var numberPattern = regexp.MustCompile(`AADSTS(\d+)`)

// Visit opens start, a URL of the simulator, and clicks on until a page sends the
// browser elsewhere. It returns a *[PageError] when no page does.
func (p Person) Visit(ctx context.Context, start string) (Callback, error) {
	client := http.Client{}
	if p.Client != nil {
		client = *p.Client
	}
	client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	if client.Jar == nil {
		client.Jar, _ = cookiejar.New(nil) // never fails
	}
	home, err := url.Parse(start)
	if err != nil {
		return Callback{}, fmt.Errorf("read start URL: %w", err)
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, start, nil)
	for range 20 {
		if err != nil {
			return Callback{}, fmt.Errorf("make request: %w", err)
		}
		response, body, errDo := fetch(&client, request)
		if errDo != nil {
			return Callback{}, errDo
		}
		if location, errLocation := response.Location(); errLocation == nil {
			if location.Host != home.Host {
				return Callback{Method: http.MethodGet, URL: location.String()}, nil
			}
			request, err = http.NewRequestWithContext(ctx, http.MethodGet, location.String(), nil)
			continue
		}
		forms := readForms(body)
		if form, found := forms["callback"]; found {
			return Callback{Method: http.MethodPost, URL: form.action, Form: form.fields}, nil
		}
		form, errClick := p.click(forms)
		if errClick != nil {
			return Callback{}, pageError(response.StatusCode, body)
		}
		target := home.ResolveReference(&url.URL{Path: form.action})
		request, err = http.NewRequestWithContext(ctx, http.MethodPost, target.String(), strings.NewReader(form.fields.Encode()))
		if err == nil {
			request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		}
	}
	return Callback{}, errors.New("the pages never end")
}

func fetch(client *http.Client, request *http.Request) (*http.Response, string, error) {
	response, err := client.Do(request)
	if err != nil {
		return nil, "", fmt.Errorf("open page: %w", err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(io.LimitReader(response.Body, 1<<20))
	if err != nil {
		return nil, "", fmt.Errorf("read page: %w", err)
	}
	return response, string(body), nil
}

var errNoForm = errors.New("no form to click")

// click fills the one form that the person would use next. After it, the person is
// whoever signs in instead.
func (p *Person) click(forms map[string]form) (form, error) {
	if f, found := forms["another"]; found && p.Instead != "" {
		p.ObjectID, p.Instead = p.Instead, ""
		f.fields.Set("another", "1")
		return f, nil
	}
	if f, found := forms["accounts"]; found {
		if p.ObjectID == "" {
			f = forms["other"]
			f.fields.Set("cancel", "1")
			return f, nil
		}
		f.fields.Set("user", p.ObjectID)
		return f, nil
	}
	if f, found := forms["interrupt"]; found && !p.WithoutFactor {
		return f, nil
	}
	if f, found := forms["approval"]; found && (p.Request || p.Return) {
		f.fields.Set("answer", "request")
		if p.Return {
			f.fields.Set("answer", "return")
		}
		return f, nil
	}
	f, found := forms["consent"]
	if !found {
		return f, errNoForm
	}
	if p.Organization {
		f.fields.Set("organization", "1")
	}
	f.fields.Set("answer", "accept")
	if p.Decline {
		f.fields.Set("answer", "decline")
	}
	return f, nil
}

func pageError(status int, body string) error {
	number := 0
	if match := numberPattern.FindStringSubmatch(body); match != nil {
		number, _ = strconv.Atoi(match[1]) // digits only
	}
	return &PageError{Status: status, Number: number, Text: body}
}

type form struct {
	action string
	fields url.Values // hidden ones
}

// readForms finds the forms of a page by their id.
func readForms(body string) map[string]form {
	forms := map[string]form{}
	var current string
	tokens := html.NewTokenizer(strings.NewReader(body))
	for {
		switch tokens.Next() {
		case html.ErrorToken:
			return forms
		case html.StartTagToken, html.SelfClosingTagToken:
			token := tokens.Token()
			attributes := map[string]string{}
			for _, a := range token.Attr {
				attributes[a.Key] = a.Val
			}
			switch token.Data {
			case "form":
				current = attributes["id"]
				forms[current] = form{action: attributes["action"], fields: url.Values{}}
			case "input":
				if f, found := forms[current]; found && attributes["type"] == "hidden" {
					f.fields.Set(attributes["name"], attributes["value"])
				}
			}
		}
	}
}

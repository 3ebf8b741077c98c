package poll_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"procallteams/internal/contract"
	"procallteams/internal/feed"
	"procallteams/internal/poll"
	"procallteams/internal/problem"
)

// call serves one GET of the changes' address, held to the contract.
func call(t *testing.T, query string, header http.Header, serve http.HandlerFunc) *httptest.ResponseRecorder {
	t.Helper()
	r := httptest.NewRequest("GET", "/api/v1/presence/changes", nil)
	r.URL.RawQuery = query
	if header != nil {
		r.Header = header
	}
	answer := httptest.NewRecorder()
	contract.Handler(t, serve).ServeHTTP(answer, r)
	return answer
}

func details(t *testing.T, answer *httptest.ResponseRecorder) problem.Details {
	t.Helper()
	var d problem.Details
	if err := json.Unmarshal(answer.Body.Bytes(), &d); err != nil {
		t.Fatalf("%v: %s", err, answer.Body)
	}
	if d.Status != answer.Code || d.NextStep == "" || d.Who == "" {
		t.Errorf("%d with %s; want the same status, a next step and who", answer.Code, answer.Body)
	}
	return d
}

func TestParametersAreReadAsTheContractHasThem(t *testing.T) {
	const long = "0123456789"
	for _, tt := range []struct {
		name, query string
		text        string
		number      int
		token       string
		refused     bool
	}{
		{"nothing", "", "", 7, "", false},
		{"everything", "text=a%20b&number=10&token=YWJj", "a b", 10, "abc", false},
		{"the lowest number", "number=1", "", 1, "", false},
		{"below it", "number=0", "", 0, "", true},
		{"above the highest", "number=11", "", 0, "", true},
		{"no number", "number=x", "", 0, "", true},
		{"an empty number", "number=", "", 0, "", true},
		{"a number with a sign", "number=%2B5", "", 0, "", true},
		{"a number in another form", "number=05", "", 0, "", true},
		{"a number beyond every type", "number=" + long + long + long, "", 0, "", true},
		{"an empty token", "token=", "", 0, "", true},
		{"a padded token", "token=YQ%3D%3D", "", 0, "", true},
		{"a token with loose bits", "token=YR", "", 0, "", true},
		{"a token with a line end", "token=YWJj%0A", "", 0, "", true},
		{"a token that is too long", "token=" + strings.Repeat("A", 12), "", 0, "", true},
		{"a parameter twice", "text=a&text=a", "", 0, "", true},
		{"another case", "Text=a", "", 0, "", true},
		{"an unknown one", "other=a", "", 0, "", true},
		{"a semicolon", "text=a;number=5", "", 0, "", true},
		{"a broken escape", "text=%z", "", 0, "", true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := httptest.NewRequest("GET", "/", nil)
			r.URL.RawQuery = tt.query
			p := poll.ParametersOf(r)
			text, number, token := p.Text("text"), p.Number("number", 1, 10, 7), p.Token("token", 8)
			if refused := p.Refuse(httptest.NewRecorder(), r); refused != tt.refused {
				t.Fatalf("refused = %t; want %t", refused, tt.refused)
			}
			if !tt.refused && (text != tt.text || number != tt.number || token != tt.token) {
				t.Errorf("read %q, %d, %q; want %q, %d, %q", text, number, token, tt.text, tt.number, tt.token)
			}
		})
	}
}

func TestARefusedQueryNamesEveryFaultAndRepeatsNothing(t *testing.T) {
	answer := call(t, "number=99&token=%21&text=a&text=b&secret-name=secret-value", nil, func(w http.ResponseWriter, r *http.Request) {
		p := poll.ParametersOf(r)
		p.Text("text")
		p.Number("number", 1, 10, 7)
		p.Token("token", 8)
		if !p.Refuse(w, r) {
			t.Error("nothing is refused")
		}
	})
	d := details(t, answer)
	if d.Type != "/problems/bad-request" || answer.Code != 400 {
		t.Errorf("answer = %d %s", answer.Code, answer.Body)
	}
	for _, word := range []string{"text is given more than once", "number is not a whole number from 1 to 10", "token was never given out", "does not know"} {
		if !strings.Contains(d.Detail, word) {
			t.Errorf("the detail %q lacks %q", d.Detail, word)
		}
	}
	if strings.Contains(answer.Body.String(), "secret-") {
		t.Errorf("the refusal repeats the query: %s", answer.Body)
	}
}

func TestErrorsAreRefusalsOfTheContract(t *testing.T) {
	for _, tt := range []struct {
		name   string
		err    error
		status int
		kind   string
		who    string
		retry  string
	}{
		{"a malformed cursor", fmt.Errorf("%w: no index", feed.ErrMalformedCursor), 400, "/problems/cursor-malformed", "connector", ""},
		{"another epoch", &feed.GoneError{Reason: feed.GoneEpoch}, 410, "/problems/cursor-gone", "connector", ""},
		{"wrapped", fmt.Errorf("read: %w", &feed.GoneError{Reason: feed.GoneAncient}), 410, "/problems/cursor-gone", "connector", ""},
		{"storage is away", errors.New("storage does not answer"), 503, "/problems/storage-unreachable", "operator", "5"},
		{"storage is slow", context.DeadlineExceeded, 503, "/problems/storage-unreachable", "operator", "5"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			answer := call(t, "", nil, func(w http.ResponseWriter, r *http.Request) { poll.Refuse(w, r, tt.err) })
			d := details(t, answer)
			if d.Status != tt.status || d.Type != tt.kind || d.Who != tt.who || answer.Header().Get("Retry-After") != tt.retry {
				t.Errorf("answer = %v %s; want %d %s for the %s, Retry-After %q", answer.Header(), answer.Body, tt.status, tt.kind, tt.who, tt.retry)
			}
		})
	}
}

func TestRefusalsStayReadableUnderCompression(t *testing.T) {
	answer := call(t, "", http.Header{"Accept-Encoding": {"gzip"}}, func(w http.ResponseWriter, r *http.Request) {
		poll.Gzip(w, r, func(w http.ResponseWriter, r *http.Request) {
			poll.Refuse(w, r, &feed.GoneError{Reason: feed.GoneEpoch})
		})
	})
	if d := details(t, answer); d.Status != 410 || answer.Header().Get("Content-Type") != "application/problem+json" {
		t.Errorf("answer = %v %s", answer.Header(), answer.Body)
	}
}

func TestOtherMethodsNeverReachTheFunction(t *testing.T) {
	for _, method := range []string{"HEAD", "POST", "PUT", "DELETE", "OPTIONS"} {
		answer := httptest.NewRecorder()
		poll.Gzip(answer, httptest.NewRequest(method, "/", nil), func(http.ResponseWriter, *http.Request) { t.Errorf("%s reached the function", method) })
		if answer.Code != 405 || answer.Header().Get("Allow") != "GET" {
			t.Errorf("%s = %d, Allow %q", method, answer.Code, answer.Header().Get("Allow"))
		}
	}
}

func TestAnswersAreJSONThatNobodyKeeps(t *testing.T) {
	answer := httptest.NewRecorder()
	if err := poll.Write(answer, poll.Freshness{Health: poll.Health{Status: "ok", Codes: []string{}}}); err != nil {
		t.Fatal(err)
	}
	text, _ := io.ReadAll(answer.Body)
	// Never read: asOf is there, and null.
	if want := `{"asOf":null,"stale":false,"staleReason":"","health":{"status":"ok","codes":[]}}` + "\n"; string(text) != want {
		t.Errorf("answer = %s; want %s", text, want)
	}
	if h := answer.Header(); h.Get("Content-Type") != "application/json" || h.Get("Cache-Control") != "no-store" {
		t.Errorf("header = %v", h)
	}
}

func TestAViewIsSharedWhileItIsRecentAndReadAnewOnDemand(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var reads []time.Duration
		began := time.Now()
		feeds := poll.Feeds{Watch: &feed.Watch[poll.View]{Every: time.Second, Read: func(context.Context, string) (poll.View, error) {
			reads = append(reads, time.Since(began))
			return poll.View{Head: feed.Head{Last: feed.ID{Append: uint64(len(reads))}}}, nil
		}}}
		get := func(read func(context.Context, string) (poll.View, error), want uint64) {
			t.Helper()
			if view, err := read(t.Context(), "tenant"); err != nil || view.Head.Last.Append != want {
				t.Errorf("after %v: read %d, %v; want read %d", time.Since(began), view.Head.Last.Append, err, want)
			}
		}
		get(feeds.Recent, 1)
		time.Sleep(700 * time.Millisecond)
		get(feeds.Recent, 1)
		get(feeds.Anew, 2) // waits for the second to pass
		get(feeds.Recent, 2)
		time.Sleep(1500 * time.Millisecond)
		get(feeds.Recent, 3)
		if want := []time.Duration{0, time.Second, 2500 * time.Millisecond}; !slices.Equal(reads, want) {
			t.Errorf("read at %v; want %v", reads, want)
		}
	})
}

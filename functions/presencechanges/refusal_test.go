package presencechanges_test

import (
	"encoding/base64"
	"math/rand/v2"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"procallteams/internal/access"
	"procallteams/internal/feed"
	"procallteams/internal/feed/feedtest"
)

// refused checks that a is the refusal with this status and type, in all its parts.
func refused(t *testing.T, a answer, status int, problem string) {
	t.Helper()
	if a.status != status || a.Type != problem {
		t.Errorf("answer = %d %s; want %d %s", a.status, a.text, status, problem)
	}
	if a.Title == "" || a.NextStep == "" || a.Who == "" {
		t.Errorf("the refusal does not say what to do and who must do it: %s", a.text)
	}
	if got := a.header.Get("Content-Type"); got != "application/problem+json" {
		t.Errorf("the refusal is of type %q", got)
	}
	if len(a.Changes)+len(a.Items) > 0 || strings.Contains(a.text, "domain.local") {
		t.Errorf("the refusal carries presences: %s", a.text)
	}
}

const (
	malformed = "/problems/cursor-malformed"
	gone      = "/problems/cursor-gone"
	bad       = "/problems/bad-request"
)

func TestCursorsThatCannotBeContinuedAreRefusedWithTheReason(t *testing.T) {
	theirs := newWorld(t)
	theirs.append(feedtest.Busy(7))
	w := newWorld(t)
	p := w.process(time.Millisecond)
	w.append(feedtest.Busy(1), feedtest.Busy(2))
	mine := w.book.At()
	cursor := func(epoch string, append uint64, index uint32) string {
		return feed.Position{Epoch: epoch, ID: feed.ID{Append: append, Index: index}}.Cursor()
	}
	raw := base64.RawURLEncoding.EncodeToString
	for _, tt := range []struct {
		name, cursor string
		status       int
		problem      string
	}{
		{"an empty one", "", 400, malformed},
		{"blanks", "x y", 400, malformed},
		{"padded", mine.Cursor() + "=", 400, malformed},
		{"with a line end", mine.Cursor() + "\n", 400, malformed},
		{"the other base64 alphabet", "+/+/", 400, malformed},
		{"a NUL byte", "\x00", 400, malformed},
		{"100 KB", strings.Repeat("A", 100_000), 400, malformed},
		{"another version", raw([]byte{2, 1, 1, 'A'}), 400, malformed},
		{"only a version", raw([]byte{1}), 400, malformed},
		{"a number that ends too early", raw([]byte{1, 0x80}), 400, malformed},
		{"a number beyond 64 bits", raw(append([]byte{1}, "\xff\xff\xff\xff\xff\xff\xff\xff\xff\x7f\x01A"...)), 400, malformed},
		{"a number that is written longer than needed", raw([]byte{1, 0x81, 0x00, 1, 'A'}), 400, malformed},
		{"an epoch with a key's characters", raw([]byte("\x01\x01\x01A' or PartitionKey ne '")), 400, malformed},
		{"an epoch that leads elsewhere", raw([]byte("\x01\x01\x01../B")), 400, malformed},
		{"a place without an epoch", raw([]byte{1, 1, 1}), 400, malformed},
		{"an id as text", mine.ID.String(), 400, malformed},
		{"of an unknown epoch", cursor("NOSUCH", 1, 1), 410, gone},
		{"of another tenant", theirs.book.At().Cursor(), 410, gone},
		{"an index that the append does not have", cursor(mine.Epoch, 1, 3), 410, gone},
		{"beyond the head", cursor(mine.Epoch, 2, 1), 410, gone},
		{"far beyond the head", cursor(mine.Epoch, 1<<64-1, 1<<32-1), 410, gone},
	} {
		t.Run(tt.name, func(t *testing.T) {
			refused(t, p.changes(url.Values{"cursor": {tt.cursor}}), tt.status, tt.problem)
			began := time.Now()
			refused(t, p.changes(url.Values{"cursor": {tt.cursor}, "wait": {"25"}}), tt.status, tt.problem)
			if time.Since(began) > 10*time.Second {
				t.Error("the refusal waited")
			}
		})
	}
}

func TestQueriesOutsideOfTheContractAreRefused(t *testing.T) {
	w := newWorld(t)
	p := w.process(time.Millisecond)
	w.append(feedtest.Busy(1), feedtest.Busy(2))
	first := p.snapshot(url.Values{"limit": {"1"}})
	cursor, token := "cursor="+first.Cursor, "pageToken="+first.NextPageToken
	for _, query := range []string{
		"limit=0", "limit=1001", "limit=-1", "limit=abc", "limit=", "limit", "limit=+5", "limit=%2B5", "limit=05", "limit=5.0", "limit=1e2", "limit=0x10",
		"limit=%EF%BC%95", "limit=99999999999999999999", "limit=5&limit=5", "limit=5,6",
		"tenant=x", "Limit=5", "epoch=x", "limit=5;wait=1", "%zz", "limit=%", "=", "limit%00=5",
	} {
		t.Run(query, func(t *testing.T) {
			refused(t, p.do(request{path: snapshotPath, query: query}), 400, bad)
			refused(t, p.do(request{path: changesPath, query: cursor + "&" + query}), 400, bad)
		})
	}
	for _, query := range []string{
		"wait=26", "wait=-1", "wait=1s", "wait=1.5", "wait=", "wait", "wait=00", "wait=99999999999999999999", "wait=1&wait=1", cursor, token,
	} {
		t.Run("changes "+query, func(t *testing.T) {
			began := time.Now()
			refused(t, p.do(request{path: changesPath, query: cursor + "&" + query}), 400, bad)
			if time.Since(began) > 10*time.Second {
				t.Error("the refusal waited")
			}
		})
	}
	for _, query := range []string{"pageToken=", "pageToken", "pageToken=!", "pageToken=" + strings.Repeat("A", 100_000), token + "&" + token, token + "=", cursor, "wait=1"} {
		t.Run("snapshot "+query[:min(len(query), 40)], func(t *testing.T) { refused(t, p.do(request{path: snapshotPath, query: query}), 400, bad) })
	}
	t.Run("no cursor", func(t *testing.T) { refused(t, p.do(request{path: changesPath}), 400, malformed) })
	t.Run("all faults at once", func(t *testing.T) {
		a := p.do(request{path: changesPath, query: cursor + "&limit=0&wait=26&x=1"})
		refused(t, a, 400, bad)
		for _, word := range []string{"limit", "wait", "does not know"} {
			if !strings.Contains(a.text, word) {
				t.Errorf("the refusal does not name %s: %s", word, a.text)
			}
		}
	})
}

func TestOnlyGETIsKnown(t *testing.T) {
	p := newWorld(t).process(time.Millisecond)
	for _, path := range []string{snapshotPath, changesPath} {
		for _, method := range []string{"POST", "PUT", "PATCH", "DELETE", "OPTIONS", "HEAD", "PROPFIND"} {
			a := p.do(request{method: method, path: path, query: "x=1"})
			if allow := a.header.Get("Allow"); a.status != 405 || allow != "GET" {
				t.Errorf("%s %s = %d, Allow %q", method, path, a.status, allow)
			}
			if method != "HEAD" {
				refused(t, a, 405, "/problems/method-not-allowed")
			}
		}
	}
}

func TestCredentialsThatMayNotReadAreRefusedWithTheReason(t *testing.T) {
	w := newWorld(t)
	p := w.process(time.Millisecond)
	w.append(feedtest.Busy(1))
	cursor := "cursor=" + w.book.At().Cursor()
	_, monitor := w.credential(access.Monitor)
	_, others := w.credential(access.Report, access.Directory, access.Monitor)
	_, foreign := newWorld(t).credential(access.Read)
	revoked, revokedToken := w.credential(access.Read)
	rotated, oldToken := w.credential(access.Read)
	if err := w.issuer.Revoke(t.Context(), "administrator", revoked); err != nil {
		t.Fatal(err)
	}
	for range 2 { // the newest two stay valid
		if _, _, err := w.issuer.Rotate(t.Context(), "administrator", rotated); err != nil {
			t.Fatal(err)
		}
	}
	_, secret, _ := strings.Cut(strings.TrimPrefix(w.token, "ptb_"), "_")
	const missing, wrong, scope = "/problems/credential-missing", "/problems/credential-refused", "/problems/scope-missing"
	for _, tt := range []struct {
		name, authorization string
		status              int
		problem             string
	}{
		{"none", "", 401, missing},
		{"no scheme", w.token, 401, missing},
		{"another scheme", "Basic " + base64.StdEncoding.EncodeToString([]byte("a:b")), 401, missing},
		{"an empty token", "Bearer ", 401, missing},
		{"another kind of token", "Bearer eyJhbGciOiJub25lIn0.e30.", 401, missing},
		{"no secret", "Bearer ptb_" + w.id, 401, missing},
		{"an empty secret", "Bearer ptb_" + w.id + "_", 401, missing},
		{"an empty id", "Bearer ptb__" + secret, 401, missing},
		{"100 KB", "Bearer ptb_" + w.id + "_" + strings.Repeat("A", 100_000), 401, missing},
		{"an unknown id", "Bearer ptb_aaaaaaaaaaaa_" + secret, 401, wrong},
		{"a wrong secret", "Bearer ptb_" + w.id + "_" + strings.Repeat("A", len(secret)), 401, wrong},
		{"a secret that is cut", "Bearer " + w.token[:len(w.token)-1], 401, wrong},
		{"a secret in lower case", "Bearer ptb_" + w.id + "_" + strings.ToLower(secret), 401, wrong},
		{"the secret of another credential", "Bearer ptb_" + revoked + "_" + secret, 401, wrong},
		{"revoked", "Bearer " + revokedToken, 401, wrong},
		{"a secret that was replaced twice", "Bearer " + oldToken, 401, wrong},
		{"of another tenant", "Bearer " + foreign, 401, wrong},
		{"a monitor's", "Bearer " + monitor, 403, scope},
		{"every scope but read", "Bearer " + others, 403, scope},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if len(tt.authorization) > 50_000 {
				// net/http takes headers of up to 1 MiB; the gate does not.
				tt.authorization = tt.authorization[:50_000]
			}
			for _, r := range []request{{path: snapshotPath}, {path: changesPath, query: cursor}, {path: changesPath, query: "x=1"}, {method: "POST", path: changesPath}} {
				r.authorization = &tt.authorization
				a := p.do(r)
				refused(t, a, tt.status, tt.problem)
				if !strings.HasPrefix(a.header.Get("WWW-Authenticate"), "Bearer ") {
					t.Errorf("%d without WWW-Authenticate", a.status)
				}
				if strings.Contains(a.text, secret) {
					t.Error("the refusal repeats a secret")
				}
			}
		})
	}
}

func TestACredentialThatIsRevokedStopsWithinFiveSeconds(t *testing.T) {
	w := newWorld(t)
	p := w.process(time.Millisecond)
	if a := p.snapshot(nil); a.status != 200 {
		t.Fatalf("snapshot = %d %s", a.status, a.text)
	}
	if err := w.issuer.Revoke(t.Context(), "administrator", w.id); err != nil {
		t.Fatal(err)
	}
	w.ahead.Store(int64(5 * time.Second))
	refused(t, p.snapshot(nil), 401, "/problems/credential-refused")
}

func TestBeforeATenantIsSetNoCredentialIsAccepted(t *testing.T) {
	w := newWorld(t)
	p := w.process(time.Millisecond)
	w.tenant = ""
	refused(t, p.snapshot(nil), 401, "/problems/credential-refused")
}

func TestNoCursorAndNoTokenReadsAnotherTenant(t *testing.T) {
	theirs := newWorld(t)
	for n := range 10 { // the same people, so that nothing but the tenant keeps them apart
		c := feedtest.Busy(n)
		c.User = "theirs" + c.User
		theirs.append(c)
	}
	at := theirs.process(time.Millisecond)
	list := at.snapshot(url.Values{"limit": {"2"}})
	w := newWorld(t)
	p := w.process(time.Millisecond)
	for n := range 5 {
		w.append(feedtest.Busy(n), feedtest.Free(10+n))
	}
	own := p.snapshot(url.Values{"limit": {"2"}})

	// As they are, then bent at random: the answer is ours or none.
	for _, tt := range []struct{ path, name, value string }{
		{changesPath, "cursor", theirs.book.At().Cursor()},
		{changesPath, "cursor", feed.Position{Epoch: theirs.book.At().Epoch}.Cursor()},
		{changesPath, "cursor", list.Cursor},
		{snapshotPath, "pageToken", list.NextPageToken},
	} {
		refused(t, p.do(request{path: tt.path, query: url.Values{tt.name: {tt.value}}.Encode()}), 410, gone)
	}
	random := rand.New(rand.NewPCG(4, 8))
	statuses := map[int]int{}
	for range 400 {
		path, name, value := changesPath, "cursor", []string{own.Cursor, list.Cursor}[random.IntN(2)]
		if random.IntN(2) == 0 {
			path, name, value = snapshotPath, "pageToken", []string{own.NextPageToken, list.NextPageToken}[random.IntN(2)]
		}
		decoded, err := base64.RawURLEncoding.DecodeString(value)
		if err != nil {
			t.Fatal(err)
		}
		for range 1 + random.IntN(3) {
			i := random.IntN(len(decoded))
			switch random.IntN(3) {
			case 0:
				decoded[i] ^= 1 << random.IntN(8)
			case 1:
				decoded = append(decoded[:i], decoded[min(i+1, len(decoded)-1):]...)
			case 2:
				decoded = append(decoded, byte(random.IntN(256)))
			}
		}
		a := p.do(request{path: path, query: name + "=" + base64.RawURLEncoding.EncodeToString(decoded)})
		statuses[a.status]++
		if a.status != http.StatusOK && a.status != http.StatusBadRequest && a.status != http.StatusGone {
			t.Errorf("%s %x = %d %s", name, decoded, a.status, a.text)
		}
		for _, item := range append(a.Items, a.Changes...) {
			if strings.HasPrefix(item.User, "theirs") {
				t.Errorf("%s %x reads another tenant: %s", name, decoded, item.text)
			}
		}
	}
	if statuses[http.StatusOK] == 0 || statuses[http.StatusBadRequest] == 0 || statuses[http.StatusGone] == 0 {
		t.Errorf("answers by status = %v; the attack should have met all three", statuses)
	}
}

func TestWithoutStorageTheAnswerSaysSoAndWhenToComeBack(t *testing.T) {
	t.Parallel() // the storage client tries again for some seconds
	w := newWorld(t)
	p := w.process(time.Millisecond)
	w.append(feedtest.Busy(1))
	p.snapshot(nil)
	_ = p.wire.Close()
	for _, r := range []request{{path: snapshotPath}, {path: changesPath, query: "cursor=" + w.book.At().Cursor()}} {
		a := p.do(r)
		refused(t, a, 503, "/problems/storage-unreachable")
		if strings.Contains(a.text, w.tenant) || strings.Contains(a.text, "entry-") {
			t.Errorf("the refusal tells keys of rows: %s", a.text)
		}
	}
}

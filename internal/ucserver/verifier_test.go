package ucserver_test

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"procallteams/internal/secret"
	"procallteams/internal/ucserver"
)

// verify is what a receiver written in JavaScript does with the published
// library: it prints the type of the verified body, or throws.
const verify = `
const { Webhook } = require("standardwebhooks");
const { secret, headers, body } = JSON.parse(require("fs").readFileSync(0, "utf8"));
console.log(new Webhook(secret).verify(body, headers).type);`

// TestAPushIsAcceptedByAnotherPublishedLibrary uses the verifier for JavaScript,
// so that a misunderstanding of the Go library can't hide on both sides.
func TestAPushIsAcceptedByAnotherPublishedLibrary(t *testing.T) {
	root, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(root, "node_modules", "standardwebhooks")); err != nil {
		t.Fatal("the published verifier is not installed: npm ci")
	}
	var received struct {
		Secret  string            `json:"secret"`
		Headers map[string]string `json:"headers"`
		Body    string            `json:"body"`
	}
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		received.Body, received.Headers = string(body), map[string]string{}
		for _, name := range []string{"webhook-id", "webhook-timestamp", "webhook-signature"} {
			received.Headers[name] = r.Header.Get(name)
		}
	}))
	defer server.Close()
	received.Secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSwMfKQ9r8GKYo="
	outcome := ucserver.Client{}.Push(t.Context(), ucserver.Delivery{
		URL: server.URL, ID: "0123456789abcdef0123456789abcdef", Body: []byte(`{"type":"presence.changes","user":"müller"}`), Secret: secret.New(received.Secret),
	})
	if outcome.Result != ucserver.Delivered {
		t.Fatalf("Push() = %+v", outcome)
	}
	run := func() (string, error) {
		input, err := json.Marshal(received)
		if err != nil {
			t.Fatal(err)
		}
		command := exec.CommandContext(t.Context(), "node", "-e", verify)
		command.Dir, command.Stdin = root, bytes.NewReader(input)
		out, err := command.Output()
		return string(bytes.TrimSpace(out)), err
	}
	if kind, err := run(); err != nil || kind != "presence.changes" {
		t.Errorf("the verifier says %q, %v", kind, err)
	}
	received.Body += " "
	if kind, err := run(); err == nil {
		t.Errorf("the verifier accepts a changed body: %q", kind)
	}
}

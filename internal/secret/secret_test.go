package secret_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"procallteams/internal/secret"
)

func TestTextNeverPrintsItsValue(t *testing.T) {
	const value = "0.AXoAtoken"
	bare := secret.New(value)
	type hidden struct {
		inner secret.Text
		Outer secret.Text
		list  []secret.Text
		ptr   *secret.Text
	}
	nested := hidden{bare, bare, []secret.Text{bare}, &bare}

	var out bytes.Buffer
	for _, v := range []any{bare, &bare, nested, &nested, map[string]any{"k": bare, "n": nested}, []any{bare}} {
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x"} {
			fmt.Fprintf(&out, verb+"\n", v)
		}
		if text, err := json.Marshal(v); err == nil {
			out.Write(text)
		}
		slog.New(slog.NewJSONHandler(&out, nil)).Info("value", "v", v)
		slog.New(slog.NewTextHandler(&out, nil)).Info("value", "v", v)
	}
	hex := fmt.Sprintf("%x", value)
	if got := out.String(); strings.Contains(got, value) || strings.Contains(got, hex) {
		t.Errorf("the secret was printed:\n%s", got)
	}
	if bare.Reveal() != value {
		t.Errorf("Reveal() = %q; want the value", bare.Reveal())
	}
}

func TestZeroTextIsEmpty(t *testing.T) {
	var zero secret.Text
	if !zero.Empty() || !zero.Equal(secret.New("")) || zero.Equal(secret.New("x")) {
		t.Error("the zero Text is not the empty secret")
	}
}

// Package contract holds handlers to api/openapi.yaml. It is imported by tests
// only.
package contract

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/pb33f/libopenapi"
	validator "github.com/pb33f/libopenapi-validator"
	"github.com/pb33f/libopenapi-validator/config"
	validation "github.com/pb33f/libopenapi-validator/errors"
	"github.com/pb33f/libopenapi-validator/schema_validation"
)

// parse reads the document once per test process.
var parse = sync.OnceValues(func() (libopenapi.Document, error) {
	text, err := read()
	if err != nil {
		return nil, err
	}
	document, err := libopenapi.NewDocument(text)
	if err != nil {
		return nil, fmt.Errorf("read api/openapi.yaml: %w", err)
	}
	return document, nil
})

// load compiles the document once per test process.
var load = sync.OnceValues(func() (validator.Validator, error) {
	document, err := parse()
	if err != nil {
		return nil, err
	}
	if ok, faults := schema_validation.ValidateOpenAPIDocument(document); !ok {
		return nil, fmt.Errorf("api/openapi.yaml is not OpenAPI 3.1: %s", describe(faults))
	}
	// Who may call is the gates' business and tested there.
	v, faults := validator.NewValidator(document, config.WithFormatAssertions(), config.WithoutSecurityValidation())
	if len(faults) > 0 {
		return nil, fmt.Errorf("read api/openapi.yaml: %w", faults[0])
	}
	return v, nil
})

// read finds the document from wherever the test runs.
func read() ([]byte, error) {
	dir, err := os.Getwd()
	if err != nil {
		return nil, err
	}
	for {
		text, err := os.ReadFile(filepath.Join(dir, "api", "openapi.yaml"))
		if err == nil || filepath.Dir(dir) == dir {
			return text, err
		}
		dir = filepath.Dir(dir)
	}
}

// Document returns the validator, for what is neither request nor answer.
func Document(t testing.TB) validator.Validator {
	t.Helper()
	v, err := load()
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// Handler wraps handler so that every answer is checked against the document, and
// every request that was answered with success: a refused request need not keep
// to the contract, its answer must.
func Handler(t testing.TB, handler http.Handler) http.Handler {
	t.Helper()
	v := Document(t)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var body []byte
		if r.Body != nil {
			body, _ = io.ReadAll(r.Body)
		}
		copied := func() *http.Request {
			request := r.Clone(r.Context())
			request.Body = io.NopCloser(bytes.NewReader(body))
			return request
		}
		recorder := httptest.NewRecorder()
		handler.ServeHTTP(recorder, copied())
		answer := recorder.Result()
		content := recorder.Body.Bytes()
		if r.Method != http.MethodHead {
			check(t, v, copied(), answer, content)
		}
		maps.Copy(w.Header(), answer.Header)
		w.WriteHeader(answer.StatusCode)
		_, _ = w.Write(content)
	})
}

// Push checks the body of a push against the webhook that its type names.
func Push(t testing.TB, body []byte) {
	t.Helper()
	document, err := parse()
	if err != nil {
		t.Fatal(err)
	}
	model, err := document.BuildV3Model()
	if err != nil {
		t.Fatal(err)
	}
	var push struct{ Type string }
	if err := json.Unmarshal(body, &push); err != nil {
		t.Errorf("push is no JSON: %v", err)
		return
	}
	webhook, ok := map[string]string{"presence.changes": "presenceChanges", "presence.snapshot": "presenceSnapshot"}[push.Type]
	if !ok {
		t.Errorf("push of type %q is not in the contract", push.Type)
		return
	}
	item, _ := model.Model.Webhooks.Get(webhook)
	media, _ := item.Post.RequestBody.Content.Get("application/json")
	schema := media.Schema.Schema()
	if ok, faults := schema_validation.NewSchemaValidator(config.WithFormatAssertions()).ValidateSchemaBytes(schema, body); !ok {
		t.Errorf("push breaks the contract: %s\n%s", describe(faults), body)
	}
}

func check(t testing.TB, v validator.Validator, r *http.Request, answer *http.Response, content []byte) {
	t.Helper()
	where := fmt.Sprintf("%s %s answered with %d", r.Method, r.URL.Path, answer.StatusCode)
	if answer.StatusCode == http.StatusMethodNotAllowed {
		// The document cannot describe methods that an address does not have.
		if answer.Header.Get("Content-Type") != "application/problem+json" || answer.Header.Get("Allow") == "" {
			t.Errorf("%s without a problem document and Allow", where)
		}
		return
	}
	body, _ := io.ReadAll(r.Body)
	if answer.StatusCode < 300 {
		for _, part := range parts(r.Header, body) {
			r.Body = io.NopCloser(bytes.NewReader(part))
			if ok, faults := v.ValidateHttpRequest(r); !ok {
				t.Errorf("%s although the request breaks the contract: %s\n%s", where, describe(faults), part)
			}
		}
	}
	for _, part := range parts(answer.Header, content) {
		answer.Body = io.NopCloser(bytes.NewReader(part))
		if ok, faults := v.ValidateHttpResponse(r, answer); !ok {
			t.Errorf("%s, which breaks the contract: %s\n%s", where, describe(faults), part)
		}
	}
}

// parts are what a schema of the document speaks of: the body, or each line of it
// where it is lines of JSON.
func parts(h http.Header, body []byte) [][]byte {
	if h.Get("Content-Type") != "application/x-ndjson" {
		return [][]byte{body}
	}
	var lines [][]byte
	for line := range bytes.Lines(body) {
		if len(bytes.TrimSpace(line)) > 0 {
			lines = append(lines, line)
		}
	}
	return lines
}

func describe(faults []*validation.ValidationError) string {
	var text strings.Builder
	for _, fault := range faults {
		fmt.Fprintf(&text, "\n  %s: %s", fault.Message, fault.Reason)
		for _, detail := range fault.SchemaValidationErrors {
			fmt.Fprintf(&text, "\n    %s: %s", detail.FieldPath, detail.Reason)
		}
	}
	return text.String()
}

package usermatching_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"procallteams/internal/matching"
	"procallteams/internal/presence"
)

// BenchmarkUpload100k takes in a file of 100,000 lines, for 100,000 people on each
// side, in the place of another.
func BenchmarkUpload100k(b *testing.B) {
	const n = 100_000
	w := inTenant(b, "bench")
	accounts, users := make([]matching.Account, n), make([]matching.User, n)
	var files [2]strings.Builder
	for i := range n {
		accounts[i] = matching.Account{ID: presence.UserID(fmt.Sprintf("%08d-0000-4000-8000-000000000000", i)), UPN: fmt.Sprintf("user%06d@contoso.com", i)}
		users[i] = matching.User{ID: fmt.Sprintf("%06d", i), Name: fmt.Sprintf("first.last%06d@domain.local", i)}
		for turn := range files {
			fmt.Fprintf(&files[turn], "user%06d@contoso.com,first.last%06d@domain.local\n", i, (i+turn)%n)
		}
	}
	w.people(accounts, users)
	for i := 0; b.Loop(); i++ {
		r := httptest.NewRequestWithContext(b.Context(), http.MethodPut, "/api/usermatching", strings.NewReader(files[i%2].String()))
		r.Header.Set("Cookie", w.cookie)
		r.Header.Set("Content-Type", "text/csv")
		recorder := httptest.NewRecorder()
		w.gated.ServeHTTP(recorder, r)
		if recorder.Code != http.StatusOK {
			b.Fatal(recorder.Body)
		}
	}
}

package directory_test

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"runtime"
	"testing"
	"time"

	"procallteams/internal/matching"
	"procallteams/internal/presence"
)

// crowd is a list of n users as a directory has them, and the accounts that they
// match.
func crowd(n int) ([]byte, []matching.Account) {
	var list bytes.Buffer
	accounts := make([]matching.Account, n)
	for i := range n {
		fmt.Fprintf(&list, `{"id":"%032x","name":"first.last%06d@domain.local","upn":"first.last%06d@contoso.com","samAccountName":"CONTOSO\\fl%06d","objectGUID":"00112233-4455-6677-8899-%012x","objectSID":"S-1-5-21-1004336348-1177238915-682003330-%d","mail":"first.last%06d@contoso.com","sip":"sip:first.last%06d@contoso.com","groups":["Everybody","Department %d","Site %d"]}`+"\n",
			i, i, i, i, i, i, i, i, i%300, i%40)
		accounts[i] = matching.Account{
			ID: presence.UserID(fmt.Sprintf("%08x-0000-4000-8000-000000000000", i)), UPN: fmt.Sprintf("first.last%06d@contoso.com", i), Mail: fmt.Sprintf("first.last%06d@contoso.com", i),
			SAM: fmt.Sprintf("fl%06d", i), Domain: "contoso.com", Proxies: []string{fmt.Sprintf("SMTP:first.last%06d@contoso.com", i)},
		}
	}
	fmt.Fprintf(&list, `{"count":%d}`, n)
	return list.Bytes(), accounts
}

// BenchmarkUpload sends complete lists. Its peak counts the list and its copy that the
// test sends, and the accounts that the test made: far more than half of it.
func BenchmarkUpload(b *testing.B) {
	for _, n := range []int{1000, 100_000, 200_000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			list, accounts := crowd(n)
			w := newWorld(b)
			w.know(accounts...)
			b.SetBytes(int64(len(list)))
			b.ReportAllocs()
			server := httptest.NewServer(w.handler)
			defer server.Close()
			peak := watchHeap(b)
			for i := 0; b.Loop(); i++ {
				// Another list each time, or nothing would be stored.
				body := bytes.Replace(list, []byte("sip:"), fmt.Appendf(nil, "sip:%d", i), 1)
				if i > 0 {
					b.StopTimer()
					w.sync()
					runtime.GC()
					b.StartTimer()
				}
				r, err := http.NewRequestWithContext(b.Context(), http.MethodPut, server.URL+"/api/v1/directory", bytes.NewReader(body))
				w.must(err)
				r.Header.Set("Authorization", "Bearer "+w.token)
				r.Header.Set("Content-Type", "application/x-ndjson")
				answer, err := server.Client().Do(r)
				w.must(err)
				size, err := io.Copy(io.Discard, answer.Body)
				w.must(err)
				_ = answer.Body.Close()
				if answer.StatusCode != 200 {
					b.Fatal(answer.Status)
				}
				b.ReportMetric(float64(size)/1e6, "MB-answer")
			}
			b.ReportMetric(float64(peak())/(1<<20), "MiB-peak")
		})
	}
}

// watchHeap returns a function that tells how large the heap was at most.
func watchHeap(b *testing.B) func() uint64 {
	b.Helper()
	done, result := make(chan struct{}), make(chan uint64)
	go func() {
		var most uint64
		for ticker := time.NewTicker(20 * time.Millisecond); ; {
			select {
			case <-ticker.C:
				var m runtime.MemStats
				runtime.ReadMemStats(&m)
				most = max(most, m.HeapInuse)
			case <-done:
				ticker.Stop()
				result <- most
				return
			}
		}
	}()
	return func() uint64 { close(done); return <-result }
}

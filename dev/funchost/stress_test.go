package funchost_test

import (
	"fmt"
	"net/http"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"procallteams/dev/azurite"
	"procallteams/dev/funchost"
)

func TestKillsUnderLoadLeaveTheHostWholeAndStopLeavesNoGoroutine(t *testing.T) {
	queue, name := newQueue(t)
	app := newApp(t).http("any", "any/{*rest}").queue("push", name).timer("tick", "* * * * * *")
	transport := &http.Transport{MaxIdleConnsPerHost: 32}
	client := &http.Client{Transport: transport, Timeout: deadline}
	get(t, azurite.ForTest(t).Endpoints().Blob)
	before := runtime.NumGoroutine()
	h := app.start(funchost.Options{
		Storage: azurite.ForTest(t).ConnectionString(), Supervise: true,
		Layout: funchost.Layout{PerGroup: true, HTTP: 2, Queue: 2, OnDemand: true},
	})
	stop := make(chan struct{})
	var callers sync.WaitGroup
	var served, failed, refused atomic.Int64
	for range 16 {
		callers.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				response, err := client.Get(h.URL() + "/api/any/x")
				if err != nil {
					t.Error(err)
					return
				}
				_ = response.Body.Close()
				switch response.StatusCode {
				case 200:
					served.Add(1)
				case http.StatusInternalServerError: // a life that ended took it along
					failed.Add(1)
				case http.StatusServiceUnavailable: // between two lives
					refused.Add(1)
					time.Sleep(5 * time.Millisecond) // as a client would
				default:
					t.Errorf("status %d", response.StatusCode)
				}
			}
		})
	}
	sent := 0
	for n := range 8 {
		for range 5 {
			enqueue(t, queue, fmt.Sprint(sent))
			sent++
		}
		for _, group := range []string{"http", "function:push", "function:tick"} {
			_ = h.Kill(group, n%2) // none may run there yet
		}
		goal := served.Load() + 200
		eventually(t, "answers after a kill", func() bool { return served.Load() >= goal })
	}
	close(stop)
	callers.Wait()
	eventually(t, "empty queue", func() bool { return messages(t, queue) == 0 })
	t.Logf("%d answers, %d failures, %d refusals", served.Load(), failed.Load(), refused.Load())
	if failed.Load() > 16*8 {
		t.Errorf("%d calls failed; want at most those that 16 callers had in flight at 8 ends of a life", failed.Load())
	}
	start := time.Now()
	h.Stop()
	if d := time.Since(start); d > 20*time.Second {
		t.Errorf("Stop took %v", d)
	}
	transport.CloseIdleConnections()
	eventually(t, "end of all goroutines", func() bool { return runtime.NumGoroutine() <= before+4 })
}

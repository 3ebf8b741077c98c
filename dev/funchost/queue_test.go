package funchost_test

import (
	"encoding/base64"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"procallteams/dev/azurite"
	"procallteams/dev/funchost"
)

func queueHost(t *testing.T, function string, o funchost.Options) (*testApp, *funchost.Host, string) {
	t.Helper()
	_, name := newQueue(t)
	app := newApp(t).queue(function, name)
	o.Storage = azurite.ForTest(t).ConnectionString()
	return app, app.start(o), name
}

func TestAMessageIsDeletedAfterSuccessAndPoisonedAfterTheLastFailure(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		name, function, message string
		calls, poisoned         int
	}{
		{"200 with a JSON body is success", "push", "hello", 1, 0},
		{"500 is a failure", "failing", "hello", 3, 1},
		{"text is a failure", "plain", "hello", 3, 1},
		{"a redirect is followed, and its answer counts", "moved", "hello", 1, 0},
		{"what is not UTF-8 is never handed over", "push", "\xff\xfe", 0, 1},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			app, _, name := queueHost(t, row.function, funchost.Options{})
			queue, poison := openQueue(t, name), openQueue(t, name+"-poison")
			enqueue(t, queue, row.message)
			eventually(t, "settled message", func() bool { return messages(t, queue) == 0 && messages(t, poison) == row.poisoned })
			if got := app.received(); len(got) != row.calls {
				t.Errorf("%d calls; want %d", len(got), row.calls)
			}
			if row.poisoned == 0 {
				return
			}
			response, err := poison.DequeueMessage(t.Context(), nil)
			if err != nil || len(response.Messages) != 1 {
				t.Fatalf("read poison queue: %v", err)
			}
			if want := base64.StdEncoding.EncodeToString([]byte(row.message)); *response.Messages[0].MessageText != want {
				t.Errorf("poison message %q; want %q", *response.Messages[0].MessageText, want)
			}
		})
	}
}

func TestAMessageThatIsNotBase64GoesStraightToThePoisonQueue(t *testing.T) {
	t.Parallel()
	app, h, name := queueHost(t, "push", funchost.Options{})
	enqueueRaw(t, openQueue(t, name), "not base64!")
	poison := openQueue(t, name+"-poison")
	eventually(t, "poison message", func() bool { return messages(t, poison) == 1 })
	if len(app.received()) != 0 {
		t.Error("the handler was called")
	}
	if !strings.Contains(h.Output(), "Message decoding has failed!") {
		t.Error("the host does not say why")
	}
}

func TestAnEmptyAnswerHangsUntilTheTimeoutAndThenTheProcessIsKilled(t *testing.T) {
	t.Parallel()
	_, name := newQueue(t)
	app := newApp(t).queue("bare", name)
	app.host["functionTimeout"] = "00:00:01"
	h := app.start(funchost.Options{Storage: azurite.ForTest(t).ConnectionString()})
	enqueue(t, openQueue(t, name), "x")
	eventually(t, "explanation", func() bool { return strings.Contains(h.Output(), "empty body") })
	eventually(t, "restart", func() bool { return h.Processes()[0].Restarts >= 1 })
}

func TestTheLeaseIsRenewedWhileTheHandlerWorks(t *testing.T) {
	t.Parallel()
	app, _, name := queueHost(t, "waiting", funchost.Options{QueueLease: time.Second, Layout: funchost.Layout{PerGroup: true, Queue: 2}})
	queue := openQueue(t, name)
	for range 3 {
		enqueue(t, queue, "x")
	}
	eventually(t, "empty queue", func() bool { return messages(t, queue) == 0 })
	if got := len(app.received()); got != 3 {
		t.Errorf("%d calls for 3 messages", got)
	}
}

func TestAFunctionThatWasScaledToZeroTakesTheFirstMessageLate(t *testing.T) {
	t.Parallel()
	const cold, quiet = time.Second, 500 * time.Millisecond
	app, _, name := queueHost(t, "push", funchost.Options{Cold: cold, Quiet: quiet})
	queue := openQueue(t, name)
	for n, wake := range []string{"first", "after a pause"} {
		time.Sleep(2 * quiet) // the quiet that is tested
		began := time.Now()
		enqueue(t, queue, wake)
		eventually(t, wake, func() bool { return len(app.received()) == n+1 })
		if took := time.Since(began); took < cold {
			t.Errorf("the message %q was taken after %v; want %v at least", wake, took, cold)
		}
	}
}

func TestHeldQueuesKeepTheirMessages(t *testing.T) {
	t.Parallel()
	app, h, name := queueHost(t, "push", funchost.Options{})
	queue := openQueue(t, name)
	h.HoldQueues(true)
	enqueue(t, queue, "x")
	time.Sleep(300 * time.Millisecond) // several polls
	if got := len(app.received()); got != 0 || messages(t, queue) != 1 {
		t.Errorf("%d calls while the queues are held, and %d messages", got, messages(t, queue))
	}
	h.HoldQueues(false)
	eventually(t, "call", func() bool { return len(app.received()) == 1 })
}

func TestBatchSizeOneAndNoThresholdIsOneAtATime(t *testing.T) {
	t.Parallel()
	_, name := newQueue(t)
	app := newApp(t).queue("waiting", name)
	queues := app.host["extensions"].(map[string]any)["queues"].(map[string]any)
	queues["batchSize"], queues["newBatchThreshold"] = 1, 0
	var running, most int
	calls := make(chan funchost.Invocation, 100)
	h := app.start(funchost.Options{Storage: azurite.ForTest(t).ConnectionString(), OnInvocation: func(i funchost.Invocation) { calls <- i }})
	queue := openQueue(t, name)
	for range 3 {
		enqueue(t, queue, "x")
	}
	for done := 0; done < 3; {
		select {
		case i := <-calls:
			if i.Done {
				done++
				running--
			} else {
				running++
			}
			most = max(most, running)
		case <-time.After(deadline):
			t.Fatal("no invocation")
		}
	}
	h.Stop()
	if most != 1 {
		t.Errorf("%d at once; want 1", most)
	}
}

func TestTwoInstancesShareAQueueAndAKilledOneLosesNothing(t *testing.T) {
	t.Parallel()
	_, name := newQueue(t)
	app := newApp(t).queue("waiting", name)
	queues := app.host["extensions"].(map[string]any)["queues"].(map[string]any)
	queues["batchSize"], queues["newBatchThreshold"] = 1, 0
	h := app.start(funchost.Options{Storage: azurite.ForTest(t).ConnectionString(), Layout: funchost.Layout{PerGroup: true, Queue: 2, OnDemand: true}, Supervise: true})
	queue := openQueue(t, name)
	for range 4 {
		enqueue(t, queue, "x")
	}
	app.await(2)
	if err := h.Kill("function:waiting", 0); err != nil {
		t.Fatal(err)
	}
	eventually(t, "empty queue", func() bool { return messages(t, queue) == 0 })
	if n := messages(t, openQueue(t, name+"-poison")); n != 0 {
		t.Errorf("%d poison messages", n)
	}
	pids := map[int]bool{}
	for _, r := range app.received() {
		pids[r.PID] = true
	}
	if got := len(app.received()); got != 5 || len(pids) < 2 {
		t.Errorf("%d calls in %d processes; want 5 (one again) in two or three", got, len(pids))
	}
}

func TestAMessageOfAnInstanceThatVanishedComesBackWhenItsLeaseIsOver(t *testing.T) {
	t.Parallel()
	app, h, name := queueHost(t, "waiting", funchost.Options{QueueLease: 3 * time.Second, Supervise: true})
	queue := openQueue(t, name)
	enqueue(t, queue, "x")
	first := app.await(1)[0]
	if err := h.Vanish("function:waiting", 0); err != nil {
		t.Fatal(err)
	}
	second := app.await(2)[1]
	if gap := second.Time.Sub(first.Time); gap < 2500*time.Millisecond {
		t.Errorf("the message came back after %v; want the rest of its lease", gap)
	}
	if !strings.Contains(second.Body, `"DequeueCount":"2"`) {
		t.Errorf("the second delivery says %s", second.Body)
	}
	eventually(t, "empty queue", func() bool { return messages(t, queue) == 0 })
}

func TestStoppingWhileABatchIsUnderWayHidesNothing(t *testing.T) {
	t.Parallel()
	wire, err := azurite.NewWire(azurite.ForTest(t).Endpoints())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = wire.Close() })
	queue, name := newQueue(t)
	enqueue(t, queue, "x")
	answered, stopping := make(chan struct{}), make(chan struct{})
	var once sync.Once
	wire.OnResponse(func(kind string, _ *http.Request, _ int) {
		if kind == "queue.dequeue" {
			once.Do(func() {
				close(answered)
				<-stopping
				time.Sleep(100 * time.Millisecond) // a slow network, while the host ends
			})
		}
	})
	h := newApp(t).queue("push", name).start(funchost.Options{Storage: wire.ConnectionString()})
	select {
	case <-answered:
	case <-time.After(deadline):
		t.Fatal("the host does not poll")
	}
	close(stopping)
	h.Stop()
	peeked, err := queue.PeekMessages(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	if hidden := messages(t, queue) - len(peeked.Messages); hidden != 0 {
		t.Errorf("%d message is hidden from everybody", hidden)
	}
}

func TestPlainEncodingAndBinaryData(t *testing.T) {
	t.Parallel()
	_, name := newQueue(t)
	app := newApp(t).function("push", map[string]any{"type": "queueTrigger", "name": "wakeup", "queueName": name, "dataType": "binary"})
	app.host["extensions"].(map[string]any)["queues"].(map[string]any)["messageEncoding"] = "none"
	app.start(funchost.Options{Storage: azurite.ForTest(t).ConnectionString()})
	enqueueRaw(t, openQueue(t, name), `{"Id":"x"}`)
	got := app.await(1)[0].Body
	if !strings.HasPrefix(got, `{"Data":{"wakeup":"`+base64.StdEncoding.EncodeToString([]byte(`{"Id":"x"}`))+`"},`) || strings.Contains(got, `\"x\"`) {
		t.Errorf("the handler received %s; want base64 and nothing merged", got)
	}
}

func TestTheAdminAPIFiresQueuesAndTimers(t *testing.T) {
	t.Parallel()
	_, name := newQueue(t)
	app := newApp(t).queue("push", name).timer("tick", "0 0 0 1 1 *")
	h := app.start(funchost.Options{Storage: azurite.ForTest(t).ConnectionString()})
	json := map[string]string{"Content-Type": "application/json"}
	for path, want := range map[string]int{"push": 202, "Tick": 202, "other": 404} {
		if got := send(t, "POST", h.URL()+"/admin/functions/"+path, strings.NewReader(`{"input":"hi"}`), json); got.Status != want {
			t.Errorf("%s: %d; want %d", path, got.Status, want)
		}
	}
	if got := send(t, "POST", h.URL()+"/admin/functions/push", strings.NewReader(`{}`), nil); got.Status != 415 {
		t.Errorf("without a content type: %d; want 415", got.Status)
	}
	list := app.await(2)
	slices.SortFunc(list, func(a, b received) int { return strings.Compare(a.Target, b.Target) })
	for n, want := range []string{`"Metadata":{"DequeueCount":"0",`, `"Metadata":{"timer":"\"\"",`} {
		if !strings.Contains(list[n].Body, want) {
			t.Errorf("%s received %s; want %s", list[n].Target, list[n].Body, want)
		}
	}
	if strings.Contains(list[0].Body, `"Id"`) {
		t.Error("a message fired by hand has an Id")
	}
}

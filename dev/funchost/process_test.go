package funchost_test

import (
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"procallteams/dev/azurite"
	"procallteams/dev/funchost"
)

func pid(h *funchost.Host) int { return h.Processes()[0].PID }

func TestTheHandlerGetsItsSettingsArgumentsAndFolder(t *testing.T) {
	app := newApp(t).http("status", "status")
	executable := app.custom()["description"].(map[string]any)["defaultExecutablePath"]
	app.custom()["description"] = map[string]any{
		"defaultExecutablePath": executable,
		"arguments":             []string{"arg two", "%FX_UNSET%", "%FX_SETTING%", "%FUNCTIONS_CUSTOMHANDLER_PORT%", `"c d"`},
	}
	app.write("local.settings.json", map[string]any{"Values": map[string]string{"FX_SETTING": "local", "FX_LOCAL": "local"}})
	t.Setenv("FX_INHERITED", "inherited")
	h := app.start(funchost.Options{Env: map[string]string{"FX_SETTING": "set-val"}, Storage: "UseDevelopmentStorage=true"})
	if err := h.AwaitReady(t.Context()); err != nil {
		t.Fatal(err)
	}
	var started struct{ Args, Env []string }
	for line := range strings.Lines(h.Output()) {
		if _, text, ok := strings.Cut(line, "[app#0] info: started "); ok {
			if err := json.Unmarshal([]byte(text), &started); err != nil {
				t.Fatal(err)
			}
		}
	}
	env := map[string]string{}
	for _, pair := range started.Env {
		name, value, _ := strings.Cut(pair, "=")
		env[name] = value
	}
	port := env["FUNCTIONS_CUSTOMHANDLER_PORT"]
	if want := []string{"arg", "two", "set-val", port, "c d"}; !slices.Equal(started.Args, want) {
		t.Errorf("arguments %q; want %q", started.Args, want)
	}
	root, err := filepath.EvalSymlinks(app.root)
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{
		"FX_SETTING": "set-val", "FX_LOCAL": "local", "FX_INHERITED": "inherited",
		"AzureWebJobsStorage":       "UseDevelopmentStorage=true",
		"FUNCTIONS_APP_ROOT_PATH":   root,
		"FUNCTIONS_HTTPWORKER_PORT": port, "FUNCTIONS_HTTPWORKER_ID": env["FUNCTIONS_CUSTOMHANDLER_WORKER_ID"],
	} {
		if env[name] != want {
			t.Errorf("%s = %q; want %q", name, env[name], want)
		}
	}
	if port == "" || env["FUNCTIONS_CUSTOMHANDLER_WORKER_ID"] == "" {
		t.Error("no port or no worker id")
	}
	eventually(t, "lines with levels", func() bool {
		return strings.Contains(h.Output(), "[app#0] fail: an Error line\n") && strings.Contains(h.Output(), "[app#0] warn: a WARNing line\n")
	})
}

func TestAKilledHandlerIsStartedAgainOnTheSamePortTwiceAndThenTheHostStops(t *testing.T) {
	t.Parallel()
	app := newApp(t).http("any", "any/{*rest}")
	h := app.start(funchost.Options{})
	if err := h.AwaitReady(t.Context()); err != nil {
		t.Fatal(err)
	}
	port := h.Processes()[0].Port
	for n := 1; n <= 3; n++ {
		old := pid(h)
		if err := h.Kill("http", 0); err != nil {
			t.Fatal(err)
		}
		if n == 3 {
			break
		}
		eventually(t, "new handler", func() bool { p := h.Processes()[0]; return p.State == "running" && p.PID != old })
		if got := get(t, h.URL()+"/api/any/x"); got.Status != 200 {
			t.Errorf("after kill %d the client got %d", n, got.Status)
		}
		if p := h.Processes()[0]; p.Port != port || p.Restarts != n {
			t.Errorf("after kill %d: port %d, %d restarts; want port %d", n, p.Port, p.Restarts, port)
		}
	}
	select {
	case <-h.Done():
	case <-time.After(deadline):
		t.Fatal("the host goes on after the third crash")
	}
	if !strings.Contains(h.Output(), "Exceeded http worker restart retry count. Shutting down Functions Host") {
		t.Error("the host does not say why it stopped")
	}
	if got := get(t, h.URL()+"/api/any/x"); got.Err == nil {
		t.Errorf("a stopped host answered %d", got.Status)
	}
}

func TestOneGetThatCrashesTheHandlerStopsTheHostAndASupervisorStartsItAgain(t *testing.T) {
	t.Parallel()
	app := newApp(t).http("any", "any/{*rest}")
	h := app.start(funchost.Options{Supervise: true})
	if got := get(t, h.URL()+"/api/any/crash"); got.Status != 500 {
		t.Errorf("the client got %d; want 500", got.Status)
	}
	eventually(t, "stopped host", func() bool { return strings.Contains(h.Output(), "Exceeded http worker restart retry count") })
	eventually(t, "503 or a new life", func() bool { s := get(t, h.URL()+"/api/any/x").Status; return s == 503 || s == 200 })
	eventually(t, "new life", func() bool { return get(t, h.URL()+"/api/any/x").Status == 200 })
	crashes := slices.DeleteFunc(app.received(), func(r received) bool { return !strings.HasSuffix(r.Target, "/crash") })
	if len(crashes) != 3 {
		t.Errorf("the handler received the request %d times; want 3", len(crashes))
	}
}

func TestAPostThatCrashesTheHandlerIsSentOnce(t *testing.T) {
	t.Parallel()
	app := newApp(t).http("any", "any/{*rest}")
	h := app.start(funchost.Options{})
	if got := send(t, "POST", h.URL()+"/api/any/crash", strings.NewReader("a"), nil); got.Status != 500 {
		t.Errorf("the client got %d; want 500", got.Status)
	}
	eventually(t, "new handler", func() bool { p := h.Processes()[0]; return p.State == "running" && p.Restarts == 1 })
	if list := app.received(); len(list) != 1 {
		t.Errorf("the handler received %v", targets(list))
	}
}

func TestExitCodesDecideWhatFollows(t *testing.T) {
	t.Parallel()
	t.Run("0 is never restarted and messages end in the poison queue without a call", func(t *testing.T) {
		queue, name := newQueue(t)
		app := newApp(t).http("any", "any/{*rest}").queue("push", name)
		h := app.start(funchost.Options{Storage: azurite.ForTest(t).ConnectionString()})
		if got := send(t, "POST", h.URL()+"/api/any/exit0", strings.NewReader("a"), nil); got.Status != 500 {
			t.Errorf("status %d", got.Status)
		}
		eventually(t, "end of the handler", func() bool { return h.Processes()[0].State == "exited" })
		if got := get(t, h.URL()+"/api/any/x"); got.Status != 500 {
			t.Errorf("a call afterwards got %d; want 500", got.Status)
		}
		enqueue(t, queue, "x")
		poison := openQueue(t, name+"-poison")
		eventually(t, "poison message", func() bool { return messages(t, poison) == 1 })
		if list := app.received(); len(list) != 1 {
			t.Errorf("the handler received %v", targets(list))
		}
	})
	t.Run("200 is restarted and not counted", func(t *testing.T) {
		app := newApp(t).http("any", "any/{*rest}")
		h := app.start(funchost.Options{})
		for n := 1; n <= 4; n++ {
			send(t, "POST", h.URL()+"/api/any/exit200", strings.NewReader("a"), nil)
			eventually(t, "new handler", func() bool { p := h.Processes()[0]; return p.State == "running" && p.Restarts == n })
		}
	})
	t.Run("a handler that ends at once is started three times", func(t *testing.T) {
		app := newApp(t).http("any", "any/{*rest}")
		h := app.start(funchost.Options{Env: map[string]string{"RECORDER_EXIT": "3"}})
		select {
		case <-h.Done():
		case <-time.After(deadline):
			t.Fatal("the host goes on")
		}
		if n := h.Processes()[0].Restarts; n != 2 {
			t.Errorf("%d restarts; want 2", n)
		}
	})
}

func TestAHandlerThatNeverAnswersIsKilledAfterInitializationTimeout(t *testing.T) {
	t.Parallel()
	app := newApp(t).http("any", "any/{*rest}")
	app.custom()["initializationTimeout"] = "00:00:00.2"
	h := app.start(funchost.Options{Env: map[string]string{"RECORDER_MUTE": "1"}})
	select {
	case <-h.Done():
	case <-time.After(deadline):
		t.Fatal("the host waits for ever")
	}
	if got := strings.Count(h.Output(), "initializing HttpWorker timed out"); got != 3 {
		t.Errorf("%d time-outs; want 3", got)
	}
}

func TestAFunctionThatTimesOutTakesItsProcessWithIt(t *testing.T) {
	t.Parallel()
	app := newApp(t).http("any", "any/{*rest}")
	app.host["functionTimeout"] = "00:00:01"
	h := app.start(funchost.Options{})
	if err := h.AwaitReady(t.Context()); err != nil {
		t.Fatal(err)
	}
	old := pid(h)
	start := time.Now()
	late := make(chan answer, 1)
	go func() { late <- get(t, h.URL()+"/api/any/wait?for=20s") }()
	app.await(1)
	other := make(chan answer, 1)
	go func() {
		// Half a second before the kill, in the same process.
		<-time.After(2500*time.Millisecond - time.Since(start))
		other <- send(t, "POST", h.URL()+"/api/any/wait?for=20s", strings.NewReader("a"), nil)
	}()
	if got := <-late; got.Status != 500 && got.Err == nil {
		t.Errorf("the client got %d; want 500", got.Status)
	}
	if d := time.Since(start); d < 2900*time.Millisecond || d > 10*time.Second {
		t.Errorf("the client waited %v; want the time-out and 2 s more", d)
	}
	if got := <-other; got.Status != 500 {
		t.Errorf("the other call got %d; want 500", got.Status)
	}
	eventually(t, "new handler", func() bool { p := h.Processes()[0]; return p.State == "running" && p.PID != old })
	select {
	case <-h.Done():
		t.Error("the host stopped; a time-out is not counted")
	default:
	}
}

func TestTwoFunctionsThatTimeOutTogetherStopTheHost(t *testing.T) {
	t.Parallel()
	app := newApp(t).http("any", "any/{*rest}")
	app.host["functionTimeout"] = "00:00:01"
	h := app.start(funchost.Options{})
	if err := h.AwaitReady(t.Context()); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		go func() {
			response, err := http.Post(h.URL()+"/api/any/wait?for=20s", "text/plain", strings.NewReader("a"))
			if err == nil {
				_ = response.Body.Close()
			}
		}()
	}
	select {
	case <-h.Done():
	case <-time.After(deadline):
		t.Fatal("the host goes on")
	}
}

func TestStopLeavesNoHandlerBehind(t *testing.T) {
	t.Parallel()
	app := newApp(t).http("any", "any/{*rest}").timer("tick", "* * * * * *")
	h := app.start(funchost.Options{Layout: funchost.Layout{PerGroup: true, HTTP: 2}})
	if err := h.AwaitReady(t.Context()); err != nil {
		t.Fatal(err)
	}
	processes := h.Processes()
	if len(processes) != 3 {
		t.Fatalf("%d instances; want 3", len(processes))
	}
	h.Stop()
	for _, p := range processes {
		if syscall.Kill(p.PID, 0) == nil {
			t.Errorf("process %d of %s still exists", p.PID, p.Group)
		}
	}
}

func TestDrainingLetsCallsFinish(t *testing.T) {
	t.Parallel()
	app := newApp(t).http("any", "any/{*rest}")
	h := app.start(funchost.Options{Drain: deadline})
	done := make(chan answer, 1)
	go func() { done <- get(t, h.URL()+"/api/any/wait?for=500ms") }()
	app.await(1)
	h.Stop()
	if got := <-done; got.Status != 200 {
		t.Errorf("the running call got %d, %v; want 200", got.Status, got.Err)
	}
}

func TestBrokenApps(t *testing.T) {
	t.Parallel()
	t.Run("no executable: 503", func(t *testing.T) {
		app := newApp(t).http("any", "any")
		app.custom()["description"] = map[string]any{"defaultExecutablePath": ""}
		if got := get(t, app.start(funchost.Options{}).URL()+"/api/any"); got.Status != 503 {
			t.Errorf("status %d; want 503", got.Status)
		}
	})
	t.Run("an executable that is missing: calls wait, then the host stops", func(t *testing.T) {
		app := newApp(t).http("any", "any")
		app.custom()["description"] = map[string]any{"defaultExecutablePath": "missing"}
		app.custom()["initializationTimeout"] = "00:00:00.1"
		h := app.start(funchost.Options{})
		if got := get(t, h.URL()+"/api/any"); got.Status != 500 && got.Err == nil {
			t.Errorf("status %d; want 500", got.Status)
		}
		select {
		case <-h.Done():
		case <-time.After(deadline):
			t.Fatal("the host goes on")
		}
	})
	t.Run("a broken route stops the host", func(t *testing.T) {
		app := newApp(t).http("any", "bad/{")
		app.write("host.json", app.host)
		if _, err := funchost.Start(t.Context(), funchost.Options{ScriptRoot: app.root}); err == nil || !strings.Contains(err.Error(), "bad/{") {
			t.Errorf("Start said %v; want the template", err)
		}
	})
	t.Run("what is not simulated is in error", func(t *testing.T) {
		app := newApp(t).http("any", "any")
		trigger := func(more map[string]any) map[string]any {
			more["type"], more["direction"], more["name"] = "httpTrigger", "in", "req"
			return more
		}
		output := map[string]any{"type": "http", "direction": "out", "name": "res"}
		app.function("keyed", trigger(map[string]any{"authLevel": "function"}), output)
		app.function("bydefault", trigger(map[string]any{}), output)
		app.function("envelope", trigger(map[string]any{"authLevel": "anonymous"}), map[string]any{"type": "queue", "direction": "out", "name": "q"})
		app.function("outputs", map[string]any{"type": "timerTrigger", "name": "timer", "schedule": "0 0 0 1 1 *"}, map[string]any{"type": "queue", "direction": "out", "name": "q"})
		app.write("retries/function.json", map[string]any{
			"retry":    map[string]any{"strategy": "fixedDelay", "maxRetryCount": 4, "delayInterval": "00:00:10"},
			"bindings": []any{map[string]any{"type": "timerTrigger", "name": "timer", "schedule": "0 0 0 1 1 *"}},
		})
		why := map[string]string{}
		for _, f := range app.start(funchost.Options{}).Functions() {
			if f.Err != nil {
				why[f.Name] = f.Err.Error()
			}
		}
		for name, want := range map[string]string{
			"keyed": "function keys", "bydefault": "function keys", "envelope": "HTTP envelope", "outputs": "output bindings", "retries": "retry policies",
		} {
			if !strings.Contains(why[name], want) {
				t.Errorf("%s: %q; want %s", name, why[name], want)
			}
		}
		if len(why) != 5 {
			t.Errorf("in error: %v; want 5", why)
		}
	})
	t.Run("one broken function leaves the others alone", func(t *testing.T) {
		app := newApp(t).http("any", "any/{*rest}").
			timer("nosetting", "%MISSING%").timer("nocron", "1 2 3").queue("short", "ab").queue("noqueue", "%MISSING%").
			function("bus", map[string]any{"type": "serviceBusTrigger", "name": "x"})
		if err := os.WriteFile(filepath.Join(app.root, "bus", "function.json"), []byte(`{"bindings":[{"type":"serviceBusTrigger"`), 0o644); err != nil {
			t.Fatal(err)
		}
		h := app.start(funchost.Options{Storage: "UseDevelopmentStorage=true"})
		broken := 0
		for _, f := range h.Functions() {
			if f.Err != nil {
				broken++
			}
		}
		if broken != 5 {
			t.Errorf("%d functions in error; want 5: %+v", broken, h.Functions())
		}
		if got := get(t, h.URL()+"/api/any/x"); got.Status != 200 {
			t.Errorf("the good one answered %d", got.Status)
		}
	})
}

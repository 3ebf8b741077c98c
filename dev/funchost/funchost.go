// Package funchost simulates the Azure Functions host as far as a custom handler
// can tell: it reads host.json and function.json, starts handler processes, and
// calls them for HTTP requests, timers and queue messages.
//
// It does what the real host (4.1037) was seen to do, faults included; what it
// sends is held to recorded transcripts (testdata). Go sends headers in its own
// order, so their order is not the real one; names, values and bodies are.
//
// On Flex Consumption every timer and queue function runs on instances of its
// own and all HTTP functions share theirs; [Layout] does the same here, one
// handler process an instance. On one machine the real host (and Core Tools) runs
// everything in one process: the zero Layout.
//
// Not simulated: the HTTP envelope of default mode (HTTP functions are only
// forwarded or proxied), output bindings, retry policies, function keys,
// custom-handler routes in host.json. A function that asks for one of the first
// four is in error here, and the reason says so.
//
// Start here: [Start]. app.go reads the app, instance.go and worker.go keep a
// handler process alive, invoke.go calls it, server.go, forward.go and proxy.go
// serve HTTP, timer.go and queue.go are the listeners.
package funchost

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// Version is what the host says it is.
const Version = "4.1037.0.0"

// Mode says how HTTP functions are called.
type Mode string

// Modes; the empty one is decided by host.json, where proxying wins.
const (
	ModeFromHostJSON Mode = ""
	Forwarding       Mode = "forwarding"
	Proxying         Mode = "proxying"
)

// Layout says how many handler processes there are. The zero Layout is one for
// everything, group "app".
type Layout struct {
	// PerGroup gives the groups "http" and "function:<name>" (each queue and each
	// timer function) processes of their own.
	PerGroup bool
	// HTTP and Queue are the numbers of instances of the http group and of each
	// queue function's group; zero means one. A timer function has one.
	HTTP, Queue int
	// OnDemand starts an instance's process when it is first needed.
	OnDemand bool
}

// Options of a host. ScriptRoot is required.
type Options struct {
	// ScriptRoot is the folder of host.json.
	ScriptRoot string
	// Addr is where HTTP is served; empty means 127.0.0.1 and a free port.
	Addr string
	// Env holds app settings. They win over this process's own environment, which
	// handlers inherit too, and both win over local.settings.json.
	Env map[string]string
	// Storage is the connection string in AzureWebJobsStorage; empty leaves the
	// setting to Env. Without either, queue functions are in error.
	Storage string
	Mode    Mode
	Layout  Layout
	// Supervise starts a stopped host (or instance) again after a second, as Azure
	// does. Meanwhile callers get 503.
	Supervise bool
	// Log receives the host's and the handlers' lines; may be nil.
	Log io.Writer
	// OutputLimit bounds what [Host.Output] keeps, in bytes; zero means 64 MiB.
	OutputLimit int
	// QueueLease is how long a received message is hidden, renewed at half time;
	// zero means the real host's 10 minutes.
	QueueLease time.Duration
	// Cold is how late a queue function without an always-ready instance picks up the
	// first message after Quiet without one (zero means 30 s): Flex Consumption has
	// scaled it to zero then, and up to two minutes were seen. Zero: it never sleeps.
	Cold, Quiet time.Duration
	// Drain is how long Stop lets running invocations finish. The real host takes
	// up to 30 s; zero kills at once.
	Drain time.Duration
	// OnInvocation, when set, is called at the start of each invocation and at its
	// end (Done), by several goroutines.
	OnInvocation func(Invocation)
	// Now is the clock of timers and of what handlers are told; time.Now when nil.
	Now func() time.Time
}

// Invocation tells of one call of a handler.
type Invocation struct {
	ID       string
	Function string
	Group    string
	Instance int
	Done     bool
	Duration time.Duration // when Done
	Err      error         // when Done; nil is success
}

// ProcessInfo tells of one instance and its handler process.
type ProcessInfo struct {
	Group    string
	Instance int
	PID      int // 0 while none runs
	Port     int
	Restarts int    // starts beyond the first
	State    string // idle, starting, running, exited, failed or stopped
}

// FunctionInfo tells of one function folder.
type FunctionInfo struct {
	Name    string
	Trigger string // httpTrigger, timerTrigger, queueTrigger
	Group   string
	Err     error // why the host does not run it
}

// Host is a running host.
type Host struct {
	options    Options
	app        *app
	settings   map[string]string // the environment of handlers, and of %NAME%
	output     *output
	listener   net.Listener
	server     *http.Server
	instances  []*instance
	statuses   statuses
	next       atomic.Uint64 // round robin over HTTP instances
	heldTimer  atomic.Bool
	queues     sync.RWMutex // held for reading while a queue's messages are handled
	heldQueues bool
	storage    *http.Transport // of the queues; its connections end with the host
	clockJumps bool            // Options.Now was given: look at it often
	activity   time.Duration   // how long a proxied request may be silent

	cancel  context.CancelFunc
	running sync.WaitGroup
	done    chan struct{}
	end     sync.Once
}

// Start reads the app and starts it. It returns when HTTP is served and, without
// Layout.OnDemand, the handler processes are being started: calls wait for them.
func Start(ctx context.Context, o Options) (*Host, error) {
	injected := o.Now != nil
	if !injected {
		o.Now = time.Now
	}
	if o.Quiet == 0 {
		o.Quiet = 30 * time.Second
	}
	if o.QueueLease == 0 {
		o.QueueLease = 10 * time.Minute
	}
	if o.Addr == "" {
		o.Addr = "127.0.0.1:0"
	}
	h := &Host{
		options:    o,
		clockJumps: injected,
		output:     newOutput(o.Log, o.OutputLimit),
		activity:   240 * time.Second,
		done:       make(chan struct{}),
		storage:    http.DefaultTransport.(*http.Transport).Clone(),
	}
	settings, err := readSettings(o)
	if err != nil {
		return nil, err
	}
	h.settings = settings
	if h.app, err = readApp(o.ScriptRoot, settings); err != nil {
		return nil, err
	}
	for _, f := range h.app.functions {
		if f.err != nil {
			h.logf("fail", "The '%s' function is in error: %v", f.name, f.err)
		}
	}
	if h.listener, err = (&net.ListenConfig{}).Listen(ctx, "tcp4", o.Addr); err != nil {
		return nil, fmt.Errorf("listen for HTTP: %w", err)
	}
	h.server = &http.Server{Handler: h, ReadHeaderTimeout: 30 * time.Second}
	if err := h.layOut(); err != nil {
		_ = h.listener.Close()
		return nil, err
	}
	run, cancel := context.WithCancel(context.WithoutCancel(ctx))
	h.cancel = cancel
	for _, i := range h.instances {
		h.running.Go(func() { i.run(run) })
	}
	go func() { _ = h.server.Serve(h.listener) }()
	return h, nil
}

// layOut makes the instances. A host without functions starts no handler.
func (h *Host) layOut() error {
	layout := h.options.Layout
	if !layout.PerGroup {
		if !slices.ContainsFunc(h.app.functions, func(f *function) bool { return f.err == nil }) {
			return nil
		}
		return h.addInstance("app", 0, h.app.functions)
	}
	numbers := map[string]int{"httpTrigger": max(layout.HTTP, 1), "queueTrigger": max(layout.Queue, 1), "timerTrigger": 1}
	groups := map[string][]*function{}
	var order []string
	for _, f := range h.app.functions {
		if f.err != nil {
			continue
		}
		group := f.group()
		if groups[group] == nil {
			order = append(order, group)
		}
		groups[group] = append(groups[group], f)
	}
	for _, group := range order {
		for n := range numbers[groups[group][0].trigger] {
			if err := h.addInstance(group, n, groups[group]); err != nil {
				return err
			}
		}
	}
	return nil
}

func (h *Host) addInstance(group string, index int, functions []*function) error {
	port := h.app.port
	if port == 0 || len(h.instances) > 0 {
		var err error
		if port, err = freePort(h.instances); err != nil {
			return err
		}
	}
	h.instances = append(h.instances, newInstance(h, group, index, port, functions))
	return nil
}

// URL is where HTTP is served, http://127.0.0.1:<port>.
func (h *Host) URL() string { return "http://" + h.listener.Addr().String() }

// Done is closed when the host has stopped, by Stop or by itself: without a
// supervisor, too many crashes of the handler stop it.
func (h *Host) Done() <-chan struct{} { return h.done }

// Stop stops the host: no new calls, then SIGKILL for the handlers, without a
// signal before. It returns when they are gone and may be called again.
func (h *Host) Stop() {
	h.shutDown(h.options.Drain)
	<-h.done
}

// shutDown ends everything once. It must not be called by a goroutine that
// h.running waits for.
func (h *Host) shutDown(drain time.Duration) {
	h.end.Do(func() {
		_ = h.listener.Close()
		if drain > 0 {
			for _, i := range h.instances {
				i.stopListening()
			}
			ctx, cancel := context.WithTimeout(context.Background(), drain)
			h.awaitCalls(ctx)
			_ = h.server.Shutdown(ctx)
			cancel()
		}
		h.cancel()
		_ = h.server.Close()
		h.running.Wait()
		h.storage.CloseIdleConnections()
		close(h.done)
	})
}

// awaitCalls returns when no invocation runs or ctx ends.
func (h *Host) awaitCalls(ctx context.Context) {
	ticker := time.NewTicker(10 * time.Millisecond)
	defer ticker.Stop()
	for slices.ContainsFunc(h.instances, (*instance).busy) {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
	}
}

// Kill ends an instance's handler process with SIGKILL; the host goes on and
// applies its restart policy. In the one-process layout any group names the one
// process. It is an error when no process runs there.
func (h *Host) Kill(group string, instance int) error {
	for _, i := range h.instances {
		if i.serves(group, instance) {
			return i.kill()
		}
	}
	return fmt.Errorf("kill a handler: there is no instance %d of %s", instance, group)
}

// Vanish ends an instance, host and handler, as when its machine is lost: nothing
// is settled, and the messages it held stay hidden for the rest of their lease.
// With a supervisor a new one takes its place.
func (h *Host) Vanish(group string, instance int) error {
	for _, i := range h.instances {
		if i.serves(group, instance) {
			return i.vanish()
		}
	}
	return fmt.Errorf("vanish: there is no instance %d of %s", instance, group)
}

// Processes lists the instances.
func (h *Host) Processes() []ProcessInfo {
	var list []ProcessInfo
	for _, i := range h.instances {
		list = append(list, i.info())
	}
	return list
}

// Functions lists the function folders, in the order in which routes match.
func (h *Host) Functions() []FunctionInfo {
	var list []FunctionInfo
	for _, f := range h.app.functions {
		list = append(list, FunctionInfo{f.name, f.trigger, f.group(), f.err})
	}
	return list
}

// HoldTimers keeps all timers from firing, as all timers of an app were once seen
// dead while HTTP went on; false lets them go on at their next occurrence.
func (h *Host) HoldTimers(hold bool) { h.heldTimer.Store(hold) }

// HoldQueues leaves all queues' messages where they are, as if queue functions were scaled
// to zero. It returns when the messages that were being handled are done.
func (h *Host) HoldQueues(hold bool) {
	h.queues.Lock()
	defer h.queues.Unlock()
	h.heldQueues = hold
}

// Output is everything logged so far, the host's lines and the handlers', or the
// newest part of it (Options.OutputLimit).
func (h *Host) Output() string { return h.output.String() }

// AwaitReady returns when every instance's handler answers; with Layout.OnDemand
// it starts them.
func (h *Host) AwaitReady(ctx context.Context) error {
	for _, i := range h.instances {
		if _, err := i.ready(ctx); err != nil {
			return fmt.Errorf("await handler of %s, instance %d: %w", i.group, i.index, err)
		}
	}
	return nil
}

func (h *Host) logf(level, format string, args ...any) {
	h.output.line("host", level, fmt.Sprintf(format, args...))
}

// freePort finds a port below the range that the kernel gives to outgoing
// connections: a handler must find it free again after each restart.
func freePort(taken []*instance) (int, error) {
	for range 200 {
		port := 15000 + rand.IntN(15000)
		if slices.ContainsFunc(taken, func(i *instance) bool { return i.port == port }) {
			continue
		}
		listener, err := net.Listen("tcp4", fmt.Sprintf("127.0.0.1:%d", port))
		if err != nil {
			continue
		}
		return port, listener.Close()
	}
	return 0, errors.New("find a free port for a handler: none between 15000 and 30000")
}

// readSettings merges the environment, Env and local.settings.json.
func readSettings(o Options) (map[string]string, error) {
	settings := map[string]string{}
	for _, pair := range os.Environ() {
		name, value, _ := strings.Cut(pair, "=")
		settings[name] = value
	}
	maps.Copy(settings, o.Env)
	if o.Storage != "" {
		settings["AzureWebJobsStorage"] = o.Storage
	}
	local, err := readLocalSettings(o.ScriptRoot)
	if err != nil {
		return nil, err
	}
	for name, value := range local {
		if _, set := settings[name]; !set {
			settings[name] = value
		}
	}
	return settings, nil
}

package funchost

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"
)

// States of an instance.
const (
	idle     = "idle"     // nobody needed it yet
	starting = "starting" // the handler does not answer yet
	running  = "running"
	exited   = "exited"  // the handler ended with code 0: no restart, calls fail
	failed   = "failed"  // the handler could not be started: no restart, calls wait
	stopped  = "stopped" // this host has given up
)

const (
	probeInterval   = 25 * time.Millisecond
	errorWindow     = 30 * time.Minute
	timeoutGrace    = 2 * time.Second
	superviseAfter  = time.Second
	countedErrors   = 3
	intentionalExit = 200
)

var errStopped = errors.New("the host is stopped")

// instance is one host with one handler process. Its lives follow each other
// when a supervisor starts a stopped host again.
type instance struct {
	host      *Host
	group     string
	index     int
	port      int
	functions []*function
	client    *http.Client // to the handler; follows redirects
	transport *http.Transport

	demand chan struct{} // capacity 1: somebody needs the process

	mu       sync.Mutex
	state    string
	changed  chan struct{} // closed and replaced at each change of state
	worker   *worker
	starts   int
	errors   []time.Time // counted ones
	calls    map[*call]struct{}
	stop     context.CancelCauseFunc // ends this life
	vanished bool                    // this life ended without settling anything
	unlisten context.CancelFunc      // ends this life's listeners
}

func newInstance(h *Host, group string, index, port int, functions []*function) *instance {
	transport := &http.Transport{
		// The real host's own calls go through HTTP_PROXY when it is set; here nobody
		// sets it for loopback by accident.
		Proxy:                 nil,
		MaxIdleConnsPerHost:   256,
		IdleConnTimeout:       100 * time.Second,
		DisableCompression:    true,
		ExpectContinueTimeout: time.Second,
	}
	return &instance{
		host: h, group: group, index: index, port: port, functions: functions,
		transport: transport, client: &http.Client{Transport: transport},
		demand: make(chan struct{}, 1), state: idle, changed: make(chan struct{}),
		calls: map[*call]struct{}{},
	}
}

func (i *instance) name() string { return i.group + "#" + strconv.Itoa(i.index) }

// serves reports whether group and index mean this instance.
func (i *instance) serves(group string, index int) bool {
	return i.group == "app" || i.group == group && i.index == index
}

func (i *instance) info() ProcessInfo {
	i.mu.Lock()
	defer i.mu.Unlock()
	info := ProcessInfo{Group: i.group, Instance: i.index, Port: i.port, State: i.state, Restarts: max(i.starts-1, 0)}
	if i.worker != nil {
		info.PID = i.worker.process.PID()
	}
	return info
}

func (i *instance) set(state string) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.state = state
	close(i.changed)
	i.changed = make(chan struct{})
}

// run lives until ctx ends, or until the host gives up and nobody supervises it.
func (i *instance) run(ctx context.Context) {
	for {
		i.live(ctx)
		if ctx.Err() != nil {
			return
		}
		if !i.host.options.Supervise {
			if i.group == "app" {
				// In its own goroutine: shutting down waits for this one.
				go i.host.shutDown(0)
			}
			return
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(superviseAfter):
		}
	}
}

// live is one life: the listeners, and the handler with its restarts.
func (i *instance) live(ctx context.Context) {
	ctx, stop := context.WithCancelCause(ctx)
	listen, unlisten := context.WithCancel(ctx)
	i.mu.Lock()
	i.stop, i.unlisten, i.errors, i.vanished = stop, unlisten, nil, false
	i.mu.Unlock()
	var listeners sync.WaitGroup
	defer listeners.Wait()
	// Before waiting: the invocations of this life die with it.
	defer i.cutCalls()
	defer i.set(stopped)
	defer stop(errStopped)
	i.set(idle)
	if i.host.app.executable == "" {
		i.host.logf("fail", "WorkerDescription DefaultExecutablePath cannot be empty")
		i.set(failed)
		<-ctx.Done()
		return
	}
	now := i.host.options.Now() // timers are armed before the handler is ready
	for _, f := range i.functions {
		switch {
		case f.err != nil || f.disabled:
		case f.trigger == "timerTrigger":
			listeners.Go(func() { i.listenTimer(listen, f, now) })
		case f.trigger == "queueTrigger":
			listeners.Go(func() { i.listenQueue(listen, f) })
		}
	}
	if i.host.options.Layout.OnDemand {
		select {
		case <-ctx.Done():
			return
		case <-i.demand:
		}
	}
	for i.serve(ctx) {
	}
	i.transport.CloseIdleConnections()
	if cause := context.Cause(ctx); cause != nil && !errors.Is(cause, context.Canceled) {
		i.host.logf("fail", "%s: %v", i.name(), cause)
	}
}

// cutCalls ends what still runs, such as a request that is being sent again.
func (i *instance) cutCalls() {
	i.mu.Lock()
	defer i.mu.Unlock()
	for c := range i.calls {
		c.cancel(errStopped)
	}
}

// stopListening lets no new timer or queue invocation begin.
func (i *instance) stopListening() {
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.unlisten != nil {
		i.unlisten()
	}
}

// serve runs one handler process and reports whether another one follows.
func (i *instance) serve(ctx context.Context) bool {
	i.set(starting)
	var lastErrors []string
	w, err := i.launch(&lastErrors)
	if err != nil {
		i.host.logf("fail", "Failed to start Worker Channel. %v", err)
		i.set(failed)
		<-ctx.Done()
		return false
	}
	defer func() {
		w.process.Kill()
		i.mu.Lock()
		i.worker = nil
		i.mu.Unlock()
	}()
	answers, err := i.probe(ctx, w)
	switch {
	case ctx.Err() != nil:
		return false
	case err != nil:
		return i.count(err)
	case answers:
		i.set(running)
	}
	select {
	case <-ctx.Done():
		return false
	case text := <-w.restart:
		i.host.logf("warn", "A function timeout has occurred. Restarting worker process executing invocationId '%s'.", text)
		return true
	case <-w.process.Done():
	}
	switch code := w.process.ExitCode(); code {
	case 0:
		i.host.logf("warn", "%s: the handler ended with code 0, so it is not started again and every call fails", i.name())
		i.set(exited)
		<-ctx.Done()
		return false
	case intentionalExit:
		return true
	default:
		return i.count(fmt.Errorf("language worker process exited. Pid=%d: %s exited with code %d (0x%X): %s",
			w.process.PID(), i.host.app.executable, code, code, strings.Join(lastErrors, ",")))
	}
}

// count counts an error of the handler and reports whether it is started again.
func (i *instance) count(err error) bool {
	i.host.logf("fail", "%s: %v", i.name(), err)
	i.mu.Lock()
	now := time.Now()
	if n := len(i.errors); n > 0 && now.Sub(i.errors[n-1]) > errorWindow {
		i.errors = nil
	}
	i.errors = append(i.errors, now)
	again := len(i.errors) < countedErrors
	i.mu.Unlock()
	if !again {
		i.host.logf("fail", "%s: Exceeded http worker restart retry count. Shutting down Functions Host", i.name())
	}
	return again
}

func (i *instance) base() string { return "http://127.0.0.1:" + strconv.Itoa(i.port) }

// ready waits until the handler has answered the probe; it starts one that waits
// for demand.
func (i *instance) ready(ctx context.Context) (*worker, error) {
	var patience <-chan time.Time
	for {
		i.mu.Lock()
		state, changed, w := i.state, i.changed, i.worker
		i.mu.Unlock()
		switch state {
		case running, exited:
			return w, nil
		case stopped:
			return nil, errStopped
		case idle:
			select {
			case i.demand <- struct{}{}:
			default:
			}
		case failed:
			if patience == nil {
				patience = time.After(4 * i.host.app.start)
			}
		}
		select {
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		case <-changed:
		case <-patience:
			err := errors.New("final functionDispatcher state: Initializing. Initialization timed out and host is shutting down")
			i.giveUp(err)
			return nil, err
		}
	}
}

// giveUp ends this life for good; a supervisor may begin another one.
func (i *instance) giveUp(cause error) {
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.stop != nil {
		i.stop(cause)
	}
}

// vanish ends this life as a power failure does.
func (i *instance) vanish() error {
	i.mu.Lock()
	live := i.stop != nil && i.state != stopped
	i.vanished = i.vanished || live
	i.mu.Unlock()
	if !live {
		return fmt.Errorf("vanish: %s is stopped", i.name())
	}
	i.giveUp(errors.New("the instance has vanished"))
	return nil
}

func (i *instance) hasVanished() bool {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.vanished
}

func (i *instance) stopped() bool {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.state == stopped
}

// kill sends SIGKILL to the handler and does not wait for what the host does then.
func (i *instance) kill() error {
	i.mu.Lock()
	w := i.worker
	i.mu.Unlock()
	if w == nil {
		return fmt.Errorf("kill a handler: none runs in %s", i.name())
	}
	w.process.Kill()
	return nil
}

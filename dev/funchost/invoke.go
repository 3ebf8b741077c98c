package funchost

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/google/uuid"
)

// call is one invocation. Its context ends when its time-out has run out and the
// grace after it, and then its process is killed.
type call struct {
	instance *instance
	function *function
	id       string
	started  time.Time
	ctx      context.Context
	cancel   context.CancelCauseFunc

	mu       sync.Mutex
	timer    *time.Timer
	timedOut time.Time // zero: not
	ended    bool
}

// errTimedOut is the cause of a call's cancelled context.
var errTimedOut = errors.New("timeout value was exceeded by function")

// begin registers an invocation. The caller must end it.
func (i *instance) begin(ctx context.Context, f *function) *call {
	c := &call{instance: i, function: f, id: uuid.NewString(), started: time.Now()}
	c.ctx, c.cancel = context.WithCancelCause(ctx)
	i.mu.Lock()
	i.calls[c] = struct{}{}
	i.mu.Unlock()
	c.tell(Invocation{})
	if limit := i.host.app.timeout; limit > 0 {
		c.mu.Lock()
		c.timer = time.AfterFunc(limit, c.expire)
		c.mu.Unlock()
	}
	return c
}

// end finishes the invocation and returns its final error: one that answered only
// in the grace has failed all the same.
func (c *call) end(err error) error {
	c.mu.Lock()
	c.ended = true
	if c.timer != nil {
		c.timer.Stop()
	}
	if !c.timedOut.IsZero() && err == nil {
		err = errTimedOut
	}
	c.mu.Unlock()
	c.cancel(nil)
	i := c.instance
	i.mu.Lock()
	delete(i.calls, c)
	i.mu.Unlock()
	c.tell(Invocation{Done: true, Err: err})
	if err != nil {
		i.host.logf("fail", "%s: Executed 'Functions.%s' (Failed, Id=%s, Duration=%dms): %v", i.name(), c.function.name, c.id, time.Since(c.started).Milliseconds(), err)
	}
	return err
}

func (c *call) tell(what Invocation) {
	i := c.instance
	if i.host.options.OnInvocation == nil {
		return
	}
	what.ID, what.Function, what.Group, what.Instance = c.id, c.function.name, i.group, i.index
	if what.Done {
		what.Duration = time.Since(c.started)
	}
	i.host.options.OnInvocation(what)
}

// expire runs when functionTimeout is over. The invocation has failed; after the
// grace its process is killed and all other calls in it die too.
func (c *call) expire() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.ended {
		return
	}
	c.timedOut = time.Now()
	c.instance.host.logf("fail", "%s: Timeout value of %v exceeded by function 'Functions.%s' (Id: '%s'). Initiating cancellation.",
		c.instance.name(), c.instance.host.app.timeout, c.function.name, c.id)
	c.timer = time.AfterFunc(timeoutGrace, c.kill)
}

// kill ends the grace. Two invocations that timed out at about the same moment
// stop the whole host: the second disposal of one process throws.
func (c *call) kill() {
	c.mu.Lock()
	ended, at := c.ended, c.timedOut
	c.mu.Unlock()
	if ended {
		return
	}
	i := c.instance
	together := false
	i.mu.Lock()
	w := i.worker
	for other := range i.calls {
		if other != c && other.expiredWithin(at, 100*time.Millisecond) {
			together = true
		}
	}
	i.mu.Unlock()
	if together {
		i.giveUp(errors.New("an unhandled exception has occurred. Host is shutting down: two invocations timed out at the same moment"))
	} else if w != nil {
		select {
		case w.restart <- c.id:
		default:
		}
	}
	c.cancel(errTimedOut)
}

func (c *call) expiredWithin(at time.Time, distance time.Duration) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return !c.ended && !c.timedOut.IsZero() && c.timedOut.Sub(at).Abs() <= distance
}

func (i *instance) busy() bool {
	i.mu.Lock()
	defer i.mu.Unlock()
	return len(i.calls) > 0
}

// invoke calls a timer or queue function: POST /<name> with an envelope.
func (i *instance) invoke(ctx context.Context, f *function, envelope []byte) error {
	c := i.begin(ctx, f)
	return c.end(c.post(envelope))
}

func (c *call) post(envelope []byte) error {
	i := c.instance
	if _, err := i.ready(c.ctx); err != nil {
		return err
	}
	request, err := http.NewRequestWithContext(c.ctx, http.MethodPost, i.base()+"/"+c.function.name, bytes.NewReader(envelope))
	if err != nil {
		return fmt.Errorf("make request: %w", err)
	}
	request.ContentLength = -1 // chunked, as in Azure
	request.Header = http.Header{
		"Content-Type": {"application/json; charset=utf-8"},
		"User-Agent":   {agent},
		versionHeader:  {Version},
		idHeader:       {c.id},
	}
	response, err := i.client.Do(request)
	if err != nil {
		return c.cause(fmt.Errorf("call handler: %w", err))
	}
	defer func() { _ = response.Body.Close() }()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		return c.cause(fmt.Errorf("read handler's answer: %w", err))
	}
	if response.StatusCode/100 != 2 {
		return fmt.Errorf("response status code does not indicate success: %s", response.Status)
	}
	if text := bytes.TrimSpace(body); len(text) == 0 || string(text) == "null" {
		i.host.logf("warn", "%s: '%s' answered %d with an empty body (or null): the invocation does not end before functionTimeout, and then the process is killed. Answer {}.",
			i.name(), c.function.name, response.StatusCode)
		<-c.ctx.Done()
		return context.Cause(c.ctx)
	}
	return c.read(response.Header.Get("Content-Type"), body)
}

// The host's headers in its own case, which differs from Go's.
const (
	versionHeader = "X-Azure-Functions-HostVersion"
	idHeader      = "X-Azure-Functions-InvocationId"
)

const agent = "Azure-Functions-Host/" + Version

// read checks an answer and logs what it wants logged.
func (c *call) read(contentType string, body []byte) error {
	media, _, err := mime.ParseMediaType(contentType)
	if err != nil || media != "application/json" && media != "text/json" {
		return fmt.Errorf("invalid HttpResponseMessage: content type %q", contentType)
	}
	var answer struct {
		Outputs     map[string]any
		Logs        []any
		ReturnValue any
	}
	if err := json.Unmarshal(body, &answer); err != nil {
		return fmt.Errorf("invalid HttpResponseMessage: %w", err)
	}
	for _, entry := range answer.Logs {
		switch entry.(type) {
		case map[string]any, []any:
			return errors.New("invalid HttpResponseMessage: Logs holds more than strings")
		}
	}
	for _, entry := range answer.Logs {
		c.instance.host.logf("info", "[Function.%s.User] %v", c.function.name, entry)
	}
	return nil
}

// cause names the reason of a call that was cut short by its time-out.
func (c *call) cause(err error) error {
	if reason := context.Cause(c.ctx); errors.Is(reason, errTimedOut) {
		return reason
	}
	return err
}

// refused reports that nobody listens: no byte was sent.
func refused(err error) bool { return errors.Is(err, syscall.ECONNREFUSED) }

// dropped reports that a connection ended before an answer began.
func dropped(err error) bool {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE) {
		return true
	}
	// net/http has no value for this one.
	return err != nil && strings.Contains(err.Error(), "server closed idle connection")
}

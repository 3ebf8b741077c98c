package funchost

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"os/exec"
	"slices"
	"strconv"
	"time"

	"github.com/google/uuid"

	"procallteams/dev/child"
)

// worker is one handler process.
type worker struct {
	process *child.Process
	restart chan string // capacity 1: a function timed out, the text says which
}

// launch starts a process with the five variables that the host adds.
func (i *instance) launch(lastErrors *[]string) (*worker, error) {
	a := i.host.app
	port, id := strconv.Itoa(i.port), uuid.NewString()
	environ := map[string]string{}
	maps.Copy(environ, i.host.settings)
	maps.Copy(environ, map[string]string{
		"FUNCTIONS_CUSTOMHANDLER_PORT": port, "FUNCTIONS_HTTPWORKER_PORT": port,
		"FUNCTIONS_CUSTOMHANDLER_WORKER_ID": id, "FUNCTIONS_HTTPWORKER_ID": id,
		"FUNCTIONS_APP_ROOT_PATH": a.root,
	})
	cmd := exec.Command(a.program(), a.words(environ)...)
	cmd.Dir = a.directory
	for name, value := range environ {
		cmd.Env = append(cmd.Env, name+"="+value)
	}
	slices.Sort(cmd.Env)
	cmd.Stdout = &console{output: i.host.output, source: i.name()}
	cmd.Stderr = &console{output: i.host.output, source: i.name(), errors: true, last: lastErrors}
	// A grandchild that keeps the pipes must not keep a dead handler alive.
	cmd.WaitDelay = time.Second
	process, err := child.Start(cmd)
	if err != nil {
		return nil, err
	}
	w := &worker{process: process, restart: make(chan string, 1)}
	i.mu.Lock()
	i.worker = w
	i.starts++
	i.mu.Unlock()
	return w, nil
}

// probe asks GET / until anything answers or the process has ended. Only a
// refused connection means "not yet"; the limit is a number of polls, as in the
// real host, so it is a bit longer than initializationTimeout.
func (i *instance) probe(ctx context.Context, w *worker) (answers bool, err error) {
	for polls := 0; time.Duration(polls)*probeInterval < i.host.app.start; polls++ {
		request, err := http.NewRequestWithContext(ctx, http.MethodGet, i.base()+"/", nil)
		if err != nil {
			return false, fmt.Errorf("make readiness probe: %w", err)
		}
		request.Header.Set("User-Agent", "") // none is sent
		response, err := i.transport.RoundTrip(request)
		if err == nil {
			return true, response.Body.Close()
		}
		if !refused(err) && ctx.Err() == nil {
			select {
			case <-w.process.Done():
			default:
				return true, nil
			}
		}
		select {
		case <-ctx.Done():
			return false, ctx.Err()
		case <-w.process.Done():
			return false, nil
		case <-time.After(probeInterval):
		}
	}
	return false, errors.New("initializing HttpWorker timed out")
}

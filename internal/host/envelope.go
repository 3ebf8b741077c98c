package host

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"time"
)

// maxEnvelope bounds a timer or queue request: a message has at most 64 KiB and
// is encoded twice.
const maxEnvelope = 1 << 20

// Tick is one firing of a timer.
type Tick struct {
	// PastDue says that the host missed an occurrence (only at its start).
	PastDue bool
}

// Timer registers a timer function. run's error fails the invocation; the host
// does not repeat it before the next occurrence.
func (h *Host) Timer(name, binding string, run func(context.Context, Tick) error) {
	h.functions = append(h.functions, Function{Name: name, Trigger: "timerTrigger", Binding: binding})
	h.work(name, binding, func(ctx context.Context, data json.RawMessage) error {
		// {"Schedule":…,"ScheduleStatus":…,"IsPastDue":false}, an object; called
		// through the admin API it may be anything.
		var timer struct{ IsPastDue bool }
		_ = json.Unmarshal(data, &timer)
		return run(ctx, Tick{PastDue: timer.IsPastDue})
	})
}

// Queue registers a queue function. run gets the message's text. Its error fails
// the invocation: the host delivers the message again and moves it to the poison
// queue in the end, so run returns nil for every fault that it has recorded.
func (h *Host) Queue(name, binding, queue string, run func(ctx context.Context, message []byte) error) {
	h.functions = append(h.functions, Function{Name: name, Trigger: "queueTrigger", Binding: binding, Queue: queue})
	h.work(name, binding, func(ctx context.Context, data json.RawMessage) error {
		return run(ctx, messageText(data))
	})
}

// messageText undoes the encoding of a queue message. The real host sends a JSON
// string that holds a JSON string ("\"hello\""); the documentation shows a
// single one; with dataType binary or an object payload other forms occur. What
// can't be decoded further is the text.
func messageText(data json.RawMessage) []byte {
	var once string
	if json.Unmarshal(data, &once) != nil {
		return data
	}
	var twice string
	if strings.HasPrefix(once, `"`) && json.Unmarshal([]byte(once), &twice) == nil {
		return []byte(twice)
	}
	return []byte(once)
}

// work registers POST /<name> for a timer or queue function.
func (h *Host) work(name, binding string, run func(context.Context, json.RawMessage) error) {
	h.mux.HandleFunc("POST /"+name, func(w http.ResponseWriter, r *http.Request) {
		r, end := h.begin(r, name, WorkDeadline)
		log := Log(r.Context(), h.log)
		start := time.Now()
		data, err := decodeEnvelope(w, r, binding)
		if err == nil {
			err = h.protected(r.Context(), run, data)
		}
		end(err == nil)
		if err != nil {
			log.Error("invocation failed", "error", err.Error(), "millis", time.Since(start).Milliseconds())
			answer(w, http.StatusInternalServerError, "the invocation failed; its log line says why")
			return
		}
		log.Debug("invocation done", "millis", time.Since(start).Milliseconds())
		answer(w, http.StatusOK, "")
	})
}

func (h *Host) protected(ctx context.Context, run func(context.Context, json.RawMessage) error, data json.RawMessage) (err error) {
	defer func() {
		if value := recover(); value != nil {
			err = recovered(ctx, h.log, value)
		}
	}()
	return run(ctx, data)
}

// decodeEnvelope returns the trigger's own value. Metadata is skipped: payloads
// can overwrite all of it, even "sys".
func decodeEnvelope(w http.ResponseWriter, r *http.Request, binding string) (json.RawMessage, error) {
	var envelope struct {
		Data map[string]json.RawMessage
	}
	// The host sends chunked bodies, so the length is unknown.
	if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxEnvelope)).Decode(&envelope); err != nil {
		return nil, fmt.Errorf("decode invocation: %w", err)
	}
	data, ok := envelope.Data[binding]
	if !ok {
		return nil, fmt.Errorf("decode invocation: no value for binding %q", binding)
	}
	return data, nil
}

// answer writes what the host can read: always JSON, never empty.
func answer(w http.ResponseWriter, status int, note string) {
	body := []byte("{}")
	if note != "" {
		body, _ = json.Marshal(map[string]string{"error": note})
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_, _ = w.Write(body)
}

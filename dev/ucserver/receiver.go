package ucserver

import (
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"regexp"
	"strconv"
	"time"
)

// tolerance is how far a signed timestamp may be from the receiver's clock.
const tolerance = 5 * time.Minute

// webhookID is what an id may look like: no full stop, since id.timestamp.body
// is what is signed.
var webhookID = regexp.MustCompile(`^[A-Za-z0-9_-]{1,64}$`)

// Pushes counts what came to POST /push.
type Pushes struct {
	Attempts int         `json:"attempts"`
	Answers  map[int]int `json:"answers"` // by status; 0 is a cut connection
	Ignored  int         `json:"ignored"` // answered 2xx, nothing new in it
	// OtherBytes counts retries of a range whose body was not the same bytes.
	OtherBytes int `json:"otherBytes"`
}

// Pushes returns the counters of the receiver.
func (s *Server) Pushes() Pushes {
	s.mu.Lock()
	defer s.mu.Unlock()
	p := s.pushes
	p.Answers = map[int]int{}
	maps.Copy(p.Answers, s.pushes.Answers)
	return p
}

// refusal is an answer of the receiver that is not 2xx.
type refusal struct {
	status int
	title  string
}

func (e refusal) Error() string { return e.title }

// receive answers POST /push by the receiver's rules.
func (s *Server) receive(w http.ResponseWriter, r *http.Request) {
	status := 0
	s.mu.Lock()
	s.pushes.Attempts++
	skew := s.skew
	s.mu.Unlock()
	defer func() {
		s.mu.Lock()
		s.pushes.Answers[status]++
		s.mu.Unlock()
	}()
	w.Header().Set("Date", s.now().Add(skew).UTC().Format(http.TimeFormat))

	dropAfter := false
	for _, f := range s.hit() {
		switch f.Kind {
		case Slow:
			select {
			case <-time.After(time.Duration(f.Milliseconds) * time.Millisecond):
			case <-r.Context().Done():
				return
			}
		case Drop:
			panic(http.ErrAbortHandler)
		case DropAfter:
			dropAfter = true
		case Redirect:
			status = http.StatusTemporaryRedirect
			w.Header().Set("Location", f.Location)
			w.WriteHeader(status)
			return
		case Status:
			if f.RetryAfter > 0 {
				w.Header().Set("Retry-After", strconv.Itoa(f.RetryAfter))
			}
			status = f.Status
			problem(w, status, "as the fault says")
			return
		}
	}

	err := s.accept(w, r, skew)
	if refused, ok := errors.AsType[refusal](err); ok {
		status = refused.status
		problem(w, status, refused.title)
		return
	}
	if dropAfter {
		panic(http.ErrAbortHandler)
	}
	status = http.StatusOK
	epoch, to := s.inbox.held()
	body, _ := json.Marshal(map[string]string{"epoch": epoch, "to": to.String()})
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	_, _ = w.Write(body)
	s.mu.Lock()
	hook := s.onAnswered
	s.mu.Unlock()
	if hook != nil {
		// Flushed first: the hook may end the sender's process, which must have
		// the whole answer by then.
		_ = http.NewResponseController(w).Flush()
		hook()
	}
}

// accept verifies and takes one delivery. Its error is a refusal.
func (s *Server) accept(w http.ResponseWriter, r *http.Request, skew time.Duration) error {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, 4<<20))
	if err != nil {
		return refusal{http.StatusBadRequest, "the body could not be read"}
	}
	if err := s.verify(r.Header, body, skew); err != nil {
		return err
	}
	if r.Header.Get("Content-Type") != "application/json" {
		s.inbox.breach("content type %q", r.Header.Get("Content-Type"))
		return refusal{http.StatusUnsupportedMediaType, "the content type is not application/json"}
	}
	if len(body) > maxBytes {
		s.inbox.breach("body of %d bytes", len(body))
		return refusal{http.StatusRequestEntityTooLarge, "the body is larger than 256 KiB"}
	}
	push, changes, err := readPush(body)
	if err != nil {
		s.inbox.breach("push: %v", err)
		return refusal{http.StatusBadRequest, err.Error()}
	}

	s.receiving.Lock()
	defer s.receiving.Unlock()
	if s.tenant == "" {
		s.tenant, s.consumer = push.Tenant, push.Consumer
	}
	if push.Tenant != s.tenant || push.Consumer != s.consumer {
		s.inbox.breach("push for tenant %s and consumer %s came to tenant %s and consumer %s", push.Tenant, push.Consumer, s.tenant, s.consumer)
		return refusal{http.StatusForbidden, "this receiver belongs to another tenant or consumer"}
	}
	s.compareRetry(r.Header.Get("webhook-id"), push, changes, body)
	if push.Type == typeSnapshot {
		return s.takePart(push)
	}
	return s.takeChanges(push)
}

// verify checks the signature over exactly the bytes received, then the time.
// The library's own check of the time knows no other clock than the machine's.
func (s *Server) verify(header http.Header, body []byte, skew time.Duration) error {
	s.mu.Lock()
	verifiers := s.verifiers
	s.mu.Unlock()
	if len(verifiers) == 0 {
		return refusal{http.StatusUnauthorized, "this receiver has no signing secret yet"}
	}
	if id := header.Get("webhook-id"); !webhookID.MatchString(id) {
		s.inbox.breach("webhook-id %q", id)
		return refusal{http.StatusBadRequest, "webhook-id is missing or holds other than letters, digits, _ and -"}
	}
	signed := false
	for _, v := range verifiers {
		signed = signed || v.VerifyIgnoringTimestamp(body, header) == nil
	}
	if !signed {
		return refusal{http.StatusUnauthorized, "no signature matches"}
	}
	seconds, err := strconv.ParseInt(header.Get("webhook-timestamp"), 10, 64)
	if err != nil {
		return refusal{http.StatusBadRequest, "webhook-timestamp is not a number"}
	}
	if age := s.now().Add(skew).Sub(time.Unix(seconds, 0)).Abs(); age > tolerance {
		return refusal{http.StatusBadRequest, "webhook-timestamp is more than five minutes off"}
	}
	return nil
}

// takeChanges applies the receiver's rules to a push of changes: one that ends
// at or before the place held is answered and ignored, one that begins beyond
// it, or belongs to another epoch, is a gap.
func (s *Server) takeChanges(push pushBody) error {
	epoch, held := s.inbox.held()
	if epoch == "" && push.From.Compare(Position{}) == 0 {
		epoch = push.Epoch // the beginning needs no snapshot
	}
	if push.Epoch != epoch || push.From.Compare(held) > 0 {
		return refusal{http.StatusConflict, fmt.Sprintf("this receiver stands at %s of epoch %q and needs a snapshot", held, epoch)}
	}
	if push.To.Compare(held) <= 0 && len(push.Changes) > 0 {
		s.mu.Lock()
		s.pushes.Ignored++
		s.mu.Unlock()
	}
	// What is ignored goes through the inbox as well, which logs and counts it.
	s.inbox.take(push.Epoch, *push.To, push.Changes)
	s.inbox.listen(push.Freshness, len(push.Changes))
	return nil
}

// unfinished is a snapshot of which parts are still to come.
type unfinished struct {
	id, epoch string
	to        Position
	parts     int
	next      int // the part that is due
	items     []Change
}

// takePart collects a part of a snapshot and replaces everything after the last
// one. A new snapshot voids an unfinished one; a part that came before is
// answered and ignored.
func (s *Server) takePart(push pushBody) error {
	epoch, held := s.inbox.held()
	u := &s.snapshot
	if push.Snapshot != u.id {
		if push.Epoch == epoch && push.To.Compare(held) < 0 {
			s.ignore(push)
			return nil
		}
		if push.Part != 1 {
			return refusal{http.StatusConflict, fmt.Sprintf("part %d of a snapshot that did not begin here", push.Part)}
		}
		*u = unfinished{id: push.Snapshot, epoch: push.Epoch, to: *push.To, parts: push.Parts, next: 1}
	}
	switch {
	case push.Epoch != u.epoch || *push.To != u.to || push.Parts != u.parts:
		s.inbox.breach("the parts of snapshot %s disagree about epoch, to or parts", push.Snapshot)
		return refusal{http.StatusBadRequest, "the parts of the snapshot disagree"}
	case push.Part < u.next:
		s.ignore(push)
		return nil
	case push.Part > u.next:
		return refusal{http.StatusConflict, fmt.Sprintf("part %d of the snapshot is due", u.next)}
	}
	u.items = append(u.items, push.Changes...)
	u.next++
	if u.next > u.parts {
		s.inbox.replace(u.epoch, u.to, u.items)
		u.items = nil
	}
	s.inbox.listen(push.Freshness, max(1, len(push.Changes)))
	return nil
}

func (s *Server) ignore(push pushBody) {
	s.mu.Lock()
	s.pushes.Ignored++
	s.mu.Unlock()
	s.inbox.listen(push.Freshness, max(1, len(push.Changes)))
}

// retries remembers recent deliveries, to hold the sender to its promise that a
// retry repeats id and content.
type retries struct {
	byRange map[string]sent
	byID    map[string]string
	order   []string
}

type sent struct {
	id            string
	changes, body [sha256.Size]byte
}

func (s *Server) compareRetry(id string, push pushBody, changes, body []byte) {
	if push.Type == typeChanges && *push.From == *push.To {
		return // heartbeats of one place differ in asOf
	}
	key := fmt.Sprintf("%s %v %s %s %d/%d", push.Epoch, push.From, push.To, push.Snapshot, push.Part, push.Parts)
	now := sent{id, sha256.Sum256(changes), sha256.Sum256(body)}
	s.mu.Lock()
	known := &s.seen
	if known.byRange == nil {
		known.byRange, known.byID = map[string]sent{}, map[string]string{}
	}
	before, again := known.byRange[key]
	other, reused := known.byID[id]
	if !again {
		known.byRange[key], known.byID[id] = now, key
		known.order = append(known.order, key)
		if len(known.order) > 10_000 {
			oldest := known.order[0]
			delete(known.byID, known.byRange[oldest].id)
			delete(known.byRange, oldest)
			known.order = known.order[1:]
		}
	}
	if again && before.body != now.body {
		s.pushes.OtherBytes++
	}
	s.mu.Unlock()
	switch {
	case again && before.id != id:
		s.inbox.breach("a retry of %s came with another webhook-id", key)
	case again && before.changes != now.changes:
		s.inbox.breach("a retry of %s holds other changes", key)
	case reused && other != key:
		s.inbox.breach("webhook-id of %s is used again for %s", other, key)
	}
}

func problem(w http.ResponseWriter, status int, title string) {
	body, _ := json.Marshal(map[string]any{"type": "about:blank", "title": title, "status": status})
	w.Header().Set("Content-Type", "application/problem+json")
	w.WriteHeader(status)
	_, _ = w.Write(body)
}

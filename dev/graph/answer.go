package graph

import (
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"net/http"
	"strconv"
	"sync"
	"time"
)

// Request is one line of the request log.
type Request struct {
	At              time.Time `json:"at"`
	Method          string    `json:"method"`
	Path            string    `json:"path"`
	Query           string    `json:"query,omitempty"`
	Status          int       `json:"status"` // 0 when the connection was cut instead
	IDs             int       `json:"ids,omitempty"`
	Body            string    `json:"body,omitempty"` // of writes only
	AppID           string    `json:"appId,omitempty"`
	ClientRequestID string    `json:"clientRequestId,omitempty"`
}

type requestLog struct {
	mu   sync.Mutex
	list []Request
}

func (l *requestLog) add(r Request, limit int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.list) >= limit {
		l.list = append(l.list[:0], l.list[limit/10+1:]...)
	}
	l.list = append(l.list, r)
}

// Requests returns the Graph requests so far, oldest first.
func (s *Simulator) Requests() []Request {
	s.requests.mu.Lock()
	defer s.requests.mu.Unlock()
	return append([]Request(nil), s.requests.list...)
}

// recorder is the ResponseWriter of one Graph request. Answers are one Write
// after their Content-Length, so that faults can cut them.
type recorder struct {
	http.ResponseWriter
	request  Request
	items    []*activeFault // faults on the items of a presence answer
	truncate bool
	drop     bool          // after the work was done
	late     time.Duration // from taking a write to its work
}

func (w *recorder) Unwrap() http.ResponseWriter { return w.ResponseWriter }

func (w *recorder) WriteHeader(status int) {
	if w.drop {
		panic(http.ErrAbortHandler)
	}
	w.request.Status = status
	w.ResponseWriter.WriteHeader(status)
}

func (w *recorder) Write(p []byte) (int, error) {
	if w.request.Status == 0 {
		w.WriteHeader(http.StatusOK)
	}
	if w.truncate {
		_, _ = w.ResponseWriter.Write(p[:len(p)/2])
		_ = http.NewResponseController(w.ResponseWriter).Flush()
		panic(http.ErrAbortHandler)
	}
	return w.ResponseWriter.Write(p)
}

// identify puts the ids of the request on the answer (Graph: use the API: error
// handling): an own one, and the caller's echoed.
func (w *recorder) identify(r *http.Request) {
	h := w.Header()
	h.Set("request-id", newGUID())
	h.Set("x-ms-ags-diagnostic", `{"ServerInfo":{"DataCenter":"Simulated","Slice":"E","Ring":"1","ScaleUnit":"001","RoleInstance":"SIM000"}}`)
	if id := r.Header.Get("client-request-id"); id != "" {
		w.request.ClientRequestID = id
		h.Set("client-request-id", id)
	}
}

func newGUID() string {
	var b [16]byte
	_, _ = rand.Read(b[:]) // crypto/rand never fails
	return formatGUID(b)
}

func formatGUID(b [16]byte) string {
	b[6], b[8] = b[6]&0x0f|0x40, b[8]&0x3f|0x80
	h := hex.EncodeToString(b[:])
	return h[:8] + "-" + h[8:12] + "-" + h[12:16] + "-" + h[16:20] + "-" + h[20:]
}

func isGUID[T ~string | ~[]byte](s T) bool {
	if len(s) != 36 {
		return false
	}
	for i := range len(s) {
		c := s[i]
		switch i {
		case 8, 13, 18, 23:
			if c != '-' {
				return false
			}
		default:
			if (c < '0' || c > '9') && (c < 'a' || c > 'f') && (c < 'A' || c > 'F') {
				return false
			}
		}
	}
	return true
}

// graphError is the envelope of every refusal.
type graphError struct {
	Error struct {
		Code       string            `json:"code"`
		Message    string            `json:"message"`
		InnerError map[string]string `json:"innerError"`
	} `json:"error"`
}

// refuse answers with Graph's error envelope, and with a challenge on 401.
func refuse(w http.ResponseWriter, r *http.Request, status int, code, message string) {
	id := w.Header().Get("request-id")
	client := r.Header.Get("client-request-id")
	if client == "" {
		client = id
	}
	var e graphError
	e.Error.Code, e.Error.Message = code, message
	e.Error.InnerError = map[string]string{"date": time.Now().UTC().Format("2006-01-02T15:04:05"), "request-id": id, "client-request-id": client}
	if status == http.StatusTooManyRequests {
		e.Error.InnerError["code"], e.Error.InnerError["status"], e.Error.InnerError["message"] = "429", "429", "Please retry after"
	}
	if status == http.StatusUnauthorized && w.Header().Get("WWW-Authenticate") == "" {
		w.Header().Set("WWW-Authenticate", `Bearer realm="", authorization_uri="https://login.microsoftonline.com/common/oauth2/authorize", client_id="00000003-0000-0000-c000-000000000000"`)
	}
	answerJSON(w, status, e)
}

func answerJSON(w http.ResponseWriter, status int, v any) {
	body, err := json.Marshal(v)
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	answer(w, status, "application/json; odata.metadata=minimal; odata.streaming=true; IEEE754Compatible=false; charset=utf-8", body)
}

func answer(w http.ResponseWriter, status int, contentType string, body []byte) {
	w.Header().Set("Content-Type", contentType)
	w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(status)
	_, _ = w.Write(body)
}

// answerEmpty is how the write calls succeed: 200 without a body.
func answerEmpty(w http.ResponseWriter) {
	w.Header().Set("Content-Length", "0")
	w.WriteHeader(http.StatusOK)
}

package funchost_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"procallteams/dev/azurite"
)

// TestMain lets the test binary play the custom handler: the host starts it with
// RECORDER set to the file that it writes what it received to.
func TestMain(m *testing.M) {
	if path := os.Getenv("RECORDER"); path != "" {
		record(path)
		return
	}
	os.Exit(azurite.Main(m))
}

// received is one request as the handler saw it.
type received struct {
	PID     int
	Time    time.Time
	Method  string
	Target  string
	Header  map[string][]string // with Host, Content-Length, Transfer-Encoding
	Body    string
	Aborted bool // written a second time when the request was cut
}

type recorder struct {
	mu      sync.Mutex
	file    *os.File
	release chan struct{}
}

func (rec *recorder) write(r received) {
	r.PID, r.Time = os.Getpid(), time.Now()
	line, err := json.Marshal(r)
	if err != nil {
		panic(err)
	}
	rec.mu.Lock()
	defer rec.mu.Unlock()
	if _, err := rec.file.Write(append(line, '\n')); err != nil {
		panic(err)
	}
}

// record is the handler: it writes down each request and behaves as the last
// element of the path says.
func record(path string) {
	if text := os.Getenv("RECORDER_EXIT"); text != "" {
		code, _ := strconv.Atoi(text)
		os.Exit(code)
	}
	if os.Getenv("RECORDER_MUTE") != "" {
		select {}
	}
	file, err := os.OpenFile(path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		panic(err)
	}
	environ, _ := json.Marshal(map[string]any{"args": os.Args[1:], "env": os.Environ()})
	fmt.Println("started", string(environ))
	fmt.Fprintln(os.Stderr, "an Error line")
	fmt.Fprintln(os.Stderr, "a WARNing line")
	rec := &recorder{file: file, release: make(chan struct{})}
	listener, err := net.Listen("tcp4", "127.0.0.1:"+os.Getenv("FUNCTIONS_CUSTOMHANDLER_PORT"))
	if err != nil {
		panic(err)
	}
	panic(http.Serve(listener, rec))
}

func (rec *recorder) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	got := received{Method: r.Method, Target: r.RequestURI, Header: r.Header.Clone()}
	got.Header["Host"] = []string{r.Host}
	if len(r.TransferEncoding) > 0 {
		got.Header["Transfer-Encoding"] = r.TransferEncoding
	}
	behaviour := r.URL.Path[strings.LastIndexByte(r.URL.Path, '/')+1:]
	if behaviour == "early" { // before the body is read
		rec.write(got)
		got.Body = "early"
	}
	body, err := io.ReadAll(r.Body)
	got.Body += string(body)
	got.Aborted = err != nil
	rec.write(got)
	controller := http.NewResponseController(w)
	answer := func(status int, contentType, body string) {
		w.Header().Set("Content-Type", contentType)
		w.WriteHeader(status)
		_, _ = io.WriteString(w, body)
	}
	switch behaviour {
	case "drop":
		conn, _, err := controller.Hijack()
		if err == nil {
			_ = conn.Close()
		}
	case "crash":
		os.Exit(1)
	case "exit0":
		os.Exit(0)
	case "exit200":
		os.Exit(200)
	case "failing":
		answer(500, "text/plain", "no")
	case "plain":
		answer(200, "text/plain", "{}")
	case "bare":
		w.WriteHeader(200)
	case "moved":
		http.Redirect(w, r, "/", http.StatusFound)
	case "stream":
		w.WriteHeader(200)
		for _, part := range []string{"one", "two"} {
			_ = controller.Flush()
			<-rec.release
			_, _ = io.WriteString(w, part)
		}
	case "release": // lets stream go on
		rec.release <- struct{}{}
		answer(200, "text/plain", "ok")
	case "partial":
		w.Header().Set("Content-Length", "10")
		_, _ = io.WriteString(w, "half")
		_ = controller.Flush()
		panic(http.ErrAbortHandler)
	case "wait":
		d, _ := time.ParseDuration(r.URL.Query().Get("for"))
		select {
		case <-r.Context().Done():
			got.Aborted = true
			rec.write(got)
		case <-time.After(d):
		}
		answer(200, "application/json", `{"ok":true}`)
	case "waiting": // a queue or timer function
		time.Sleep(time.Second)
		answer(200, "application/json", "{}")
	case "teapot":
		w.Header().Set("ETag", `"7"`)
		w.Header().Add("Set-Cookie", "a=1; Path=/")
		w.Header().Add("Set-Cookie", "b=2; Path=/")
		answer(418, "application/json", `{"ok":true}`)
	default:
		w.Header().Set("ETag", `"7"`)
		w.Header().Add("Set-Cookie", "a=1; Path=/")
		w.Header().Add("Set-Cookie", "b=2; Path=/")
		answer(200, "application/json", `{"ok":true}`)
	}
}

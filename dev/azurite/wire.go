package azurite

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"strings"
	"sync"
	"time"
)

// Wire stands in front of the three services and sees every request: what the
// budgets for storage operations are measured with. Shared-key signatures stay
// valid, since they cover path and query but not the host.
//
// A request's kind is service and operation:
//
//	table.query table.get table.insert table.merge table.replace table.delete
//	table.transaction, and table.transaction.insert etc. for each change in it
//	table.create-table table.delete-table table.list-tables
//	queue.enqueue queue.dequeue queue.peek queue.update queue.delete queue.clear
//	queue.create-queue queue.delete-queue queue.properties queue.list-queues
//	blob.get blob.head blob.put blob.put-block blob.delete blob.list blob.lease
//	blob.create-container blob.delete-container blob.container
//
// and "<service>.other" for the rest.
type Wire struct {
	endpoints Endpoints
	servers   []*http.Server
	transport *http.Transport

	mu     sync.Mutex
	counts map[string]int
	hook   func(kind string, r *http.Request, status int)
}

// NewWire listens on three free loopback ports in front of behind, which speaks
// plain http.
func NewWire(behind Endpoints) (*Wire, error) {
	w := &Wire{
		counts:    map[string]int{},
		transport: &http.Transport{MaxIdleConnsPerHost: 256, DisableCompression: true},
	}
	for _, service := range []struct {
		name, behind string
		front        *string
	}{
		{"blob", behind.Blob, &w.endpoints.Blob},
		{"queue", behind.Queue, &w.endpoints.Queue},
		{"table", behind.Table, &w.endpoints.Table},
	} {
		front, err := w.serve(service.name, service.behind)
		if err != nil {
			w.Close()
			return nil, fmt.Errorf("stand in front of the %s service: %w", service.name, err)
		}
		*service.front = front
	}
	return w, nil
}

func (w *Wire) serve(service, behind string) (front string, err error) {
	target, err := url.Parse(behind)
	if err != nil {
		return "", err
	}
	listener, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	proxy := &httputil.ReverseProxy{
		Transport: w.transport,
		Rewrite:   func(r *httputil.ProxyRequest) { r.SetURL(target) },
		ModifyResponse: func(response *http.Response) error {
			// The service has acted, its client does not know yet: a kill point.
			w.saw(response.Request, response.StatusCode)
			return nil
		},
		ErrorHandler: func(rw http.ResponseWriter, _ *http.Request, _ error) { rw.WriteHeader(http.StatusBadGateway) },
	}
	server := &http.Server{
		ReadHeaderTimeout: 30 * time.Second,
		Handler: http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
			kind := kindOf(service, r)
			var parts []string
			if kind == "table.transaction" {
				body, err := io.ReadAll(r.Body)
				if err != nil {
					rw.WriteHeader(http.StatusBadRequest)
					return
				}
				r.Body = io.NopCloser(bytes.NewReader(body))
				parts = changes(body)
				r = r.WithContext(context.WithValue(r.Context(), rowsKey{}, rows(body)))
			}
			w.count(kind, parts)
			r.Header.Set(kindHeader, kind)
			proxy.ServeHTTP(rw, r)
		}),
	}
	w.servers = append(w.servers, server)
	go func() { _ = server.Serve(listener) }()
	return "http://" + listener.Addr().String(), nil
}

// kindHeader carries the kind from the request's arrival to its answer. Azurite
// ignores it, and it is not among the headers that a signature covers.
const kindHeader = "Wire-Kind"

func (w *Wire) count(kind string, parts []string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.counts[kind]++
	for _, part := range parts {
		w.counts[kind+"."+part]++
	}
}

func (w *Wire) saw(r *http.Request, status int) {
	w.mu.Lock()
	hook := w.hook
	w.mu.Unlock()
	if hook != nil {
		hook(r.Header.Get(kindHeader), r, status)
	}
}

type rowsKey struct{}

// Rows are the keys of the rows that a transaction changes, in order. r is what
// the hook of [Wire.OnResponse] got.
func Rows(r *http.Request) []string {
	keys, _ := r.Context().Value(rowsKey{}).([]string)
	return keys
}

// OnResponse sets what is called when a service has answered and before its
// client hears of it: whoever is killed in there has done the thing without
// knowing it. [Rows] says what a "table.transaction" with status 202 changed. hook may
// be called by several goroutines at once; nil removes it.
func (w *Wire) OnResponse(hook func(kind string, r *http.Request, status int)) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.hook = hook
}

// Counts are the requests by kind since the start or the last Reset.
func (w *Wire) Counts() map[string]int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return maps.Clone(w.counts)
}

// Operations is the number of requests since the start or the last Reset; a
// transaction is one, whatever it holds.
func (w *Wire) Operations() int {
	total := 0
	for kind, n := range w.Counts() {
		if !strings.HasPrefix(kind, "table.transaction.") {
			total += n
		}
	}
	return total
}

// Reset forgets the counts.
func (w *Wire) Reset() {
	w.mu.Lock()
	defer w.mu.Unlock()
	clear(w.counts)
}

// Endpoints are the addresses in front.
func (w *Wire) Endpoints() Endpoints { return w.endpoints }

// ConnectionString leads through the wire.
func (w *Wire) ConnectionString() string { return w.endpoints.ConnectionString() }

// Close stops listening and cuts what is open.
func (w *Wire) Close() error {
	var errs []error
	for _, server := range w.servers {
		errs = append(errs, server.Close())
	}
	w.transport.CloseIdleConnections()
	return errors.Join(errs...)
}

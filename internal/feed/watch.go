package feed

import (
	"context"
	"sync"
	"time"
)

// watchTimeout bounds one shared read.
const watchTimeout = 10 * time.Second

// Watch shares reads among everybody who waits for news of a tenant: at most one
// per interval and tenant in this process, however many ask, and none while
// nobody does. The zero value with Read and Every set is ready.
type Watch[T any] struct {
	Read  func(ctx context.Context, tenant string) (T, error)
	Every time.Duration

	mu    sync.Mutex
	slots map[string]*slot[T]
}

// slot is one tenant's last read and the one under way; Watch.mu guards it.
type slot[T any] struct {
	began   time.Time // of the last finished read; zero before the first
	value   T
	err     error
	running chan struct{} // closed when the read under way is finished
}

// Get returns what a read gave that began at since or later. It waits for one
// until ctx ends. An error of the read is shared like its value.
func (w *Watch[T]) Get(ctx context.Context, tenant string, since time.Time) (T, error) {
	for {
		w.mu.Lock()
		if w.slots == nil {
			w.slots = map[string]*slot[T]{}
		}
		s := w.slots[tenant]
		if s == nil {
			s = &slot[T]{}
			w.slots[tenant] = s
		}
		if !s.began.IsZero() && !s.began.Before(since) {
			value, err := s.value, s.err
			w.mu.Unlock()
			return value, err
		}
		if s.running == nil {
			s.running = make(chan struct{})
			// Not the caller's context: others wait for the same read.
			go w.read(context.WithoutCancel(ctx), tenant, s, time.Until(s.began.Add(w.Every)))
		}
		running := s.running
		w.mu.Unlock()
		select {
		case <-running:
		case <-ctx.Done():
			var none T
			return none, ctx.Err()
		}
	}
}

func (w *Watch[T]) read(ctx context.Context, tenant string, s *slot[T], pause time.Duration) {
	time.Sleep(pause)
	ctx, cancel := context.WithTimeout(ctx, watchTimeout)
	defer cancel()
	began := time.Now()
	value, err := w.Read(ctx, tenant)
	w.mu.Lock()
	defer w.mu.Unlock()
	s.began, s.value, s.err = began, value, err
	close(s.running)
	s.running = nil
}

// Shelf keeps a warm book per tenant. The zero value is ready.
type Shelf struct {
	mu    sync.Mutex
	books map[string]*Warm
}

// Of returns the tenant's warm book, the same one at every call.
func (s *Shelf) Of(tenant string) *Warm {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.books == nil {
		s.books = map[string]*Warm{}
	}
	if s.books[tenant] == nil {
		s.books[tenant] = &Warm{}
	}
	return s.books[tenant]
}

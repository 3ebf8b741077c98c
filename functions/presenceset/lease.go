package presenceset

import (
	"context"
	"errors"
	"sync"
	"time"

	"procallteams/internal/session"
	"procallteams/internal/storage"
)

const (
	// leaseTime is how long a writer may work without renewing; a crash delays the
	// next one by as much.
	leaseTime = 5 * time.Second
	renewTime = time.Second
	// spare is how much of the lease must be left for a call to be sent.
	spare = time.Second
)

var (
	// errLost reports that another process has the lease, or may have it.
	errLost = errors.New("the writer's lease is lost")
	// errOld reports that a step was stored which we don't know: by another writer, or
	// by one that lost the lease while its request was under way.
	errOld = errors.New("what is known of sessions is old")
)

// lease is the writer's row in our hands. It renews itself until it is stopped or
// lost.
type lease struct {
	*Function
	tenant string
	// lost is closed when the lease can't be renewed.
	lost chan struct{}
	// ending, closed, ends renewing; cancel also cuts a renewal that is under way.
	ending chan struct{}
	cancel context.CancelFunc
	done   chan struct{}

	mu     sync.Mutex
	writer session.Writer
}

// take takes the lease from the version in row. [storage.ErrChanged]: another
// process was faster.
func (f *Function) take(ctx context.Context, tenant string, row session.Writer) (*lease, error) {
	row.Holder, row.Until = f.holder, f.Now().Add(leaseTime).UTC()
	saved, err := f.Written.SaveWriter(ctx, tenant, row)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(ctx)
	l := &lease{Function: f, tenant: tenant, writer: saved, lost: make(chan struct{}), ending: make(chan struct{}), done: make(chan struct{}), cancel: cancel}
	go l.keep(ctx)
	return l, nil
}

// keep renews. A write that fails is made up for at the next tick, while the lease
// lasts.
func (l *lease) keep(ctx context.Context) {
	defer close(l.done)
	ticker := time.NewTicker(renewTime)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-l.ending:
			return
		case <-ticker.C:
		}
		renewing, stop := context.WithTimeout(ctx, max(l.left(), time.Millisecond))
		err := l.save(renewing, l.row(), leaseTime)
		stop()
		if ctx.Err() != nil {
			return
		}
		if errors.Is(err, storage.ErrChanged) || err != nil && l.left() <= 0 {
			close(l.lost)
			return
		}
	}
}

func (l *lease) row() session.Writer {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.writer
}

// left is how long the lease lasts.
func (l *lease) left() time.Duration { return l.row().Until.Sub(l.Now()) }

func (l *lease) save(ctx context.Context, row session.Writer, lasts time.Duration) error {
	row.Until = time.Time{}
	if lasts > 0 {
		row.Until = l.Now().Add(lasts).UTC()
	}
	saved, err := l.Written.SaveWriter(ctx, l.tenant, row)
	if err != nil {
		return err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.writer = saved
	return nil
}

// stop ends renewing at once. The row may have changed without our knowing it: then
// what follows finds [storage.ErrChanged].
func (l *lease) stop() {
	l.cancel()
	<-l.done
}

// release puts the lease back with what edit notes in the row, and returns the
// row's new version. It waits for a renewal that is under way: one that was cut
// off would look like another writer's.
func (l *lease) release(ctx context.Context, edit func(*session.Writer)) (string, error) {
	close(l.ending)
	<-l.done
	l.cancel()
	row := l.row()
	row.Holder = ""
	edit(&row)
	err := l.save(ctx, row, 0)
	if errors.Is(err, storage.ErrChanged) {
		return "", errLost
	}
	return l.row().Version, err
}

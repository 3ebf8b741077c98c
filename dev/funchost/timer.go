package funchost

import (
	"context"
	"sync"
	"time"
)

// status is a timer's ScheduleStatus. The real host keeps it in a blob; here it
// lives as long as the Host and outlives its instances.
type status struct{ last, next, updated time.Time }

type statuses struct {
	mu sync.Mutex
	by map[string]status
}

func (s *statuses) get(name string) (status, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	found, ok := s.by[name]
	return found, ok
}

func (s *statuses) set(name string, new status) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.by == nil {
		s.by = map[string]status{}
	}
	s.by[name] = new
}

// listenTimer fires a timer function from now until ctx ends. Runs never overlap: the next
// occurrence is computed from the start of the last run, so one that took too long
// is followed at once by one late run.
func (i *instance) listenTimer(ctx context.Context, f *function, now time.Time) {
	h := i.host
	next := f.schedule.Next(now)
	known, ok := h.statuses.get(f.name)
	switch {
	case f.monitor && ok && now.After(known.next):
		i.runTimer(ctx, f, known.next, known.next, true)
		next = f.schedule.Next(h.options.Now())
	case f.runOnStartup:
		i.runTimer(ctx, f, now, next, false)
	}
	for {
		if f.monitor {
			known, _ = h.statuses.get(f.name)
			known.next = next
			h.statuses.set(f.name, known)
		}
		if !i.sleepUntil(ctx, next) {
			return
		}
		start := h.options.Now()
		if start.Before(next) {
			start = next // an early clock must not fire twice
		}
		if h.heldTimer.Load() {
			h.logf("info", "%s: timer '%s' is held", i.name(), f.name)
		} else {
			i.runTimer(ctx, f, start, next, false)
		}
		next = f.schedule.Next(start)
	}
}

// sleepUntil waits for the host's clock to reach t.
func (i *instance) sleepUntil(ctx context.Context, t time.Time) bool {
	for {
		wait := t.Sub(i.host.options.Now())
		if wait <= 0 {
			return ctx.Err() == nil
		}
		if i.host.clockJumps {
			wait = min(wait, 50*time.Millisecond)
		}
		timer := time.NewTimer(wait)
		select {
		case <-ctx.Done():
			timer.Stop()
			return false
		case <-timer.C:
		}
	}
}

// runTimer calls the function for the occurrence at due and records the run at
// start. Failures are logged and the schedule goes on.
func (i *instance) runTimer(ctx context.Context, f *function, start, due time.Time, late bool) {
	h := i.host
	known, _ := h.statuses.get(f.name)
	known.next = due
	envelope := timerEnvelope(f, h.options.Now(), known, late, false)
	// Invocations outlive the listener, so that a stopping host can drain.
	_ = i.invoke(context.WithoutCancel(ctx), f, envelope)
	if f.monitor {
		h.statuses.set(f.name, status{last: start, next: f.schedule.Next(start), updated: start})
	}
}

// fire runs a function once for the admin API.
func (i *instance) fire(f *function, input *string) {
	h := i.host
	now := h.options.Now()
	if f.trigger == "timerTrigger" {
		known, _ := h.statuses.get(f.name)
		if known.next.IsZero() {
			known.next = f.schedule.Next(now)
		}
		_ = i.invoke(context.Background(), f, timerEnvelope(f, now, known, false, true))
		return
	}
	if input == nil {
		h.logf("fail", "%s: Executed 'Functions.%s' (Failed): Unable to convert trigger to IStorageQueueMessage", i.name(), f.name)
		return
	}
	_ = i.invoke(context.Background(), f, firedEnvelope(f, now, *input))
}

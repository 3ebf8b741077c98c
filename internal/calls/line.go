package calls

import (
	"context"
	"slices"
	"sync"
	"time"
)

// line is where the batches of one reporter wait in this process while one of them
// is stored: two at once would only overwrite each other's reading. Reports that
// have come meanwhile are stored together, so that many small requests cost no
// more than their number in one.
type line struct {
	busy chan struct{} // holds one while a batch is being stored

	mu      sync.Mutex
	waiting []*waiting
}

// waiting is one batch of reports in the line.
type waiting struct {
	epoch   int64
	entries []Entry
	done    chan struct{} // closed when receipt and err are there
	receipt Receipt
	err     error
}

const (
	// together is how many items are stored at once.
	together = 1000
	// storing bounds it, since it is not bound to the one request that does it for
	// the others.
	storing = 60 * time.Second
)

func (l *Ledger) lineOf(tenant, reporter string) *line {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.lines == nil {
		l.lines = map[string]*line{}
	}
	key := tenant + "/" + reporter
	if l.lines[key] == nil {
		l.lines[key] = &line{busy: make(chan struct{}, 1)}
	}
	return l.lines[key]
}

func (q *line) enter(ctx context.Context) error {
	select {
	case q.busy <- struct{}{}:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (q *line) leave() { <-q.busy }

// report waits until the batch is stored by take, on its own or together with
// others.
func (q *line) report(ctx context.Context, epoch int64, entries []Entry, take func(context.Context, []Entry) (Receipt, error)) (Receipt, error) {
	own := &waiting{epoch: epoch, entries: entries, done: make(chan struct{})}
	q.mu.Lock()
	q.waiting = append(q.waiting, own)
	q.mu.Unlock()
	select {
	case <-own.done:
		return own.receipt, own.err
	case q.busy <- struct{}{}:
	case <-ctx.Done():
		q.withdraw(own)
		return Receipt{}, ctx.Err()
	}
	defer q.leave()
	if group := q.group(own); len(group) > 0 {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), storing)
		defer cancel()
		serve(ctx, group, take)
	}
	return own.receipt, own.err
}

// group takes own and what can be stored with it out of the line. It is empty when
// own was stored just now.
func (q *line) group(own *waiting) []*waiting {
	q.mu.Lock()
	defer q.mu.Unlock()
	if !slices.Contains(q.waiting, own) {
		return nil
	}
	group, rest, items := []*waiting{own}, []*waiting(nil), len(own.entries)
	for _, w := range q.waiting {
		switch {
		case w == own:
		case w.epoch == own.epoch && items+len(w.entries) <= together:
			group = append(group, w)
			items += len(w.entries)
		default:
			rest = append(rest, w)
		}
	}
	q.waiting = rest
	return group
}

func (q *line) withdraw(own *waiting) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.waiting = slices.DeleteFunc(q.waiting, func(w *waiting) bool { return w == own })
}

// serve stores a group and hands everybody the results of their own items.
func serve(ctx context.Context, group []*waiting, take func(context.Context, []Entry) (Receipt, error)) {
	var entries []Entry
	for _, w := range group {
		entries = append(entries, w.entries...)
	}
	receipt, err := take(ctx, entries)
	outcomes := receipt.Outcomes
	for _, w := range group {
		w.receipt, w.err = receipt, err
		if err == nil {
			w.receipt.Outcomes, outcomes = outcomes[:len(w.entries)], outcomes[len(w.entries):]
		}
		close(w.done)
	}
}

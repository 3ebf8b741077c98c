package presencesync

import (
	"cmp"
	"context"
	"errors"
	"math"
	"net/http"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"
	"golang.org/x/time/rate"

	"procallteams/internal/consent"
	"procallteams/internal/graph"
	"procallteams/internal/presence"
)

// pace sets the limiter to reading's share and returns the effective interval:
// the schedule's, or longer when the share does not suffice for everybody.
func (r *run) pace() time.Duration {
	perSecond := r.settings.ReadingRate()
	if limit := rate.Limit(perSecond); r.limit.Limit() != limit {
		r.limit.SetLimit(limit)
	}
	needed := time.Duration(math.Ceil(float64(len(r.ids))/graph.MaxIDs) / perSecond * float64(time.Second))
	return max(r.Interval, needed)
}

// batch is one request's users, ids[from:to], and what Graph said.
type batch struct {
	from, to int
	answer   graph.Answer
	at       time.Time // when the answer arrived
	err      error
}

// errNotAsked marks a batch that was left out after Graph asked for a pause.
var errNotAsked = errors.New("not asked: Graph wants a pause")

// read reads everybody who takes part and finds what changed. It leaves a quarter
// of the time to store what came of it: a Graph that hangs is a failure to be
// noted like any other.
func (r *run) read(all context.Context) *failure {
	ctx, cancel := askingTime(all)
	defer cancel()
	token, failure := r.ready(ctx)
	if failure != nil {
		return failure
	}
	r.beat.Interval = r.pace().Milliseconds()

	batches := make([]batch, 0, len(r.ids)/graph.MaxIDs+1)
	for from := 0; from < len(r.ids); from += graph.MaxIDs {
		batches = append(batches, batch{from: from, to: min(from+graph.MaxIDs, len(r.ids))})
	}
	if failure := r.askAll(ctx, token, batches); failure != nil {
		return failure
	}
	if failure := r.judge(all, batches); failure != nil {
		return failure
	}
	if failure := r.readSessions(all); failure != nil {
		return failure
	}
	r.compare(batches)
	return nil
}

// askingTime bounds the time that Graph may take.
func askingTime(all context.Context) (context.Context, context.CancelFunc) {
	end, _ := all.Deadline()
	return context.WithTimeout(all, time.Until(end)*3/4)
}

// ready gets a token and makes sure that it is known who takes part.
func (r *run) ready(ctx context.Context) (consent.Token, *failure) {
	if failure := r.paused(); failure != nil {
		return consent.Token{}, failure
	}
	token, err := r.Tokens.ReadToken(ctx, r.tenant.id, r.now.Grants)
	if err != nil {
		return consent.Token{}, failed(&tokenError{err})
	}
	if failure := r.known(ctx); failure != nil {
		return consent.Token{}, failure
	}
	r.beat.Users = len(r.people)
	return token, nil
}

// known makes sure that it is known who takes part.
func (r *run) known(ctx context.Context) *failure {
	if unread := r.ensureAccounts(ctx); unread != nil {
		return unread
	}
	if r.directory == nil {
		return &failure{code: directoryUnreadable, err: cmp.Or(r.unknown, errFaster)}
	}
	return nil
}

// keepDirectory makes sure that it is known who takes part, for reports about
// calls, while no presence is read.
func (r *run) keepDirectory(all context.Context) {
	if r.directory != nil && !r.accountsLost {
		r.succeeded()
		return
	}
	ctx, cancel := askingTime(all)
	defer cancel()
	failure := r.paused()
	if failure == nil {
		failure = r.known(ctx)
	}
	if failure != nil {
		r.note("directory", failure)
		return
	}
	r.beat.Users = 0
	r.succeeded()
}

// paused is a failure while Graph wants to be left alone.
func (r *run) paused() *failure {
	if wait := r.now.ThrottledUntil.Sub(r.start); wait > 0 {
		return failed(&graph.ThrottledError{Status: 429, RetryAfter: wait})
	}
	return nil
}

// ask sends the requests that have no answer yet, under the limiter, and stops
// sending when Graph asks for a pause.
func (r *run) ask(ctx context.Context, token consent.Token, batches []batch) {
	var paused atomic.Bool
	var sent atomic.Int64
	var group errgroup.Group
	group.SetLimit(inFlight)
	for i := range batches {
		b := &batches[i]
		if b.answer.States != nil {
			continue
		}
		group.Go(func() error {
			if b.err = r.limit.Wait(ctx); b.err != nil {
				return nil
			}
			if paused.Load() {
				b.err = errNotAsked
				return nil
			}
			sent.Add(1)
			b.answer, b.err = r.Graph.Presences(ctx, token.Value, r.ids[b.from:b.to])
			b.at = r.Now()
			if _, ok := errors.AsType[*graph.ThrottledError](b.err); ok {
				paused.Store(true)
			}
			return nil
		})
	}
	_ = group.Wait() // each batch keeps its own error
	r.beat.Requests += int(sent.Load())
}

// maxTokens bounds the tokens that one sync tries: a fresh one for each grant, and
// the next grants.
const maxTokens = 8

// askAll asks for everybody. What Graph refuses is asked for again, with other tokens
// and by other grants, within the same sync.
func (r *run) askAll(ctx context.Context, token consent.Token, batches []batch) *failure {
	repeated := false
	for range maxTokens {
		r.beat.Carrier = string(token.Kind)
		r.ask(ctx, token, batches)
		status, answered := refusals(batches)
		if status == 0 {
			return nil
		}
		if answered { // 401 comes and goes: once more with the same token
			if repeated {
				return nil
			}
			repeated = true
			continue
		}
		var failure *failure
		if token, failure = r.nextToken(ctx, token, status); failure != nil {
			return failure
		}
	}
	return nil
}

// nextToken returns another token than the one that Graph refused: a fresh one, or the
// next grant's.
func (r *run) nextToken(ctx context.Context, refused consent.Token, status int) (consent.Token, *failure) {
	r.tell(ctx, refused, status)
	token, err := r.Tokens.ReadToken(ctx, r.tenant.id, r.now.Grants)
	if err != nil {
		return consent.Token{}, failed(&tokenError{err})
	}
	return token, nil
}

// tell notes that Graph refused a token, and reads the grants anew.
func (r *run) tell(ctx context.Context, refused consent.Token, status int) {
	if err := r.Tokens.Refused(ctx, r.tenant.id, refused, status); err != nil {
		r.log.Warn("refusal not noted", "error", err.Error())
	}
	// Nothing but the grants: the head must be the one from before Graph was asked.
	if now, err := r.Storage.Now(ctx, r.tenant.id); err == nil {
		r.now.Grants = now.Grants
	}
}

// unauthorized reports whether Graph did not take the token at all.
func unauthorized(err error) bool {
	refusal, ok := errors.AsType[*graph.Error](err)
	return ok && refusal.Status == http.StatusUnauthorized
}

// refusals returns the status by which Graph refused the token for some batches, 0
// for none, and whether it answered others.
func refusals(batches []batch) (status int, answered bool) {
	for _, b := range batches {
		if refusal, ok := errors.AsType[*graph.Error](b.err); ok && refusal.Refused() {
			status = refusal.Status
		}
		answered = answered || b.err == nil
	}
	return status, answered
}

// judge notes pauses and failed batches. It is a failure when none succeeded.
func (r *run) judge(ctx context.Context, batches []batch) *failure {
	var first error
	answered := len(batches) == 0
	for _, b := range batches {
		key := r.ids[b.from]
		if b.err == nil {
			answered = true
			delete(r.silent, key)
			r.odd.addAll(b.answer.Oddities)
			continue
		}
		r.beat.Failed++
		if _, ok := r.silent[key]; !ok {
			r.silent[key] = r.start
		}
		if pause, ok := errors.AsType[*graph.ThrottledError](b.err); ok {
			r.pauseFor(ctx, pause.RetryAfter)
			first = b.err
		}
		if first == nil {
			first = b.err
		}
	}
	if !answered {
		return failed(first)
	}
	if r.beat.Failed > 0 && r.start.Sub(r.logged) >= time.Minute {
		r.log.Warn("some presences not read", "batches", len(batches), "failed", r.beat.Failed, "error", first.Error())
		r.logged = r.start
	}
	return nil
}

// unheard reports that a batch has failed for so long that what is published
// about its people must be withdrawn.
func (r *run) unheard(first presence.UserID) bool {
	since, ok := r.silent[first]
	return ok && r.start.Sub(since) >= r.settings.StaleAfterDuration()
}

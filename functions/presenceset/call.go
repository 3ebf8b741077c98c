package presenceset

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"time"

	"procallteams/internal/consent"
	"procallteams/internal/graph"
	"procallteams/internal/health"
	"procallteams/internal/host"
	"procallteams/internal/presence"
	"procallteams/internal/session"
	"procallteams/internal/telemetry"
)

// callTime is the deadline of one call to Graph.
const callTime = 10 * time.Second

// flight is one call and, when it came back, its answer.
type flight struct {
	id       presence.UserID
	step     session.Step
	begun    time.Time // when its intent was noted
	reported time.Time // when the report came that it acts on, zero for a renewal or a repetition
	clientID string
	// held says that the person's Do not disturb is ours, as far as is known, maybe
	// that it may be.
	held, maybe bool
	failures    int // of the same deed, in a row
	token       consent.Token

	answer session.Answer // when err is nil
	err    error
}

var (
	// errNotSent reports that a call was not sent: its intent is too old, or the
	// lease ends.
	errNotSent = errors.New("the call to Graph was not sent")
	// errSignedOut reports that nobody can say what the person chose.
	errSignedOut = errors.New("the person is not signed in to Teams")
)

// launch makes the call beside the turn.
func (t *turn) launch(f *flight) {
	t.underway.Add(1)
	go func() {
		ctx, cancel := context.WithTimeout(t.calling, callTime)
		defer cancel()
		f.answer, f.err = t.call(ctx, f)
		t.underway.Add(-1)
		t.results <- f
	}()
}

// call sends one deed, provided that we may still write.
func (t *turn) call(ctx context.Context, f *flight) (session.Answer, error) {
	if f.step.Subject == session.Quiet {
		if theirs, err := t.theirs(ctx, f); err != nil || theirs {
			return session.Theirs, err
		}
	}
	if t.lease.left() < spare || t.Now().Sub(f.begun) > session.SendTime || ctx.Err() != nil {
		return "", errNotSent
	}
	token := f.token.Value
	switch {
	case f.step.Subject == session.Quiet && f.step.Deed == session.Set:
		return session.Done, t.Graph.SetDoNotDisturb(ctx, token, f.id, f.step.Lifetime)
	case f.step.Subject == session.Quiet:
		return session.Done, t.Graph.ClearPreferred(ctx, token, f.id)
	case f.step.Deed == session.Set:
		return session.Done, t.Graph.SetPresence(ctx, token, f.id, f.clientID, f.step.Pair, presence.LifetimeOf(f.step.Lifetime))
	}
	return session.Done, t.Graph.ClearPresence(ctx, token, f.id, f.clientID)
}

// theirs looks whether the preferred presence is the person's own: Do not disturb
// that is there before ours, Appear offline, which ours would make visible, or
// anything else where ours should be.
func (t *turn) theirs(ctx context.Context, f *flight) (bool, error) {
	answer, err := t.Graph.Presences(ctx, f.token.Value, []presence.UserID{f.id})
	if err != nil {
		if _, refused := errors.AsType[*graph.Error](err); refused {
			return false, err
		}
		return false, errors.Join(errNotSent, err) // reading does nothing
	}
	shown := presence.Classic(answer.States[0])
	ours := shown.Availability == presence.DoNotDisturb && shown.Activity == presence.Activity(presence.DoNotDisturb)
	switch {
	case f.step.Deed == session.Set && !f.held:
		return shown.Availability == presence.DoNotDisturb && !f.maybe || shown.Activity == presence.OffWork, nil
	case ours:
		return false, nil
	case shown.Availability == presence.Offline || shown.Availability == presence.PresenceUnknown || shown.Availability == "":
		return false, errSignedOut
	}
	return true, nil
}

// land takes an answer in.
func (t *turn) land(ctx context.Context, f *flight) {
	reply, again := t.judge(ctx, f)
	if again {
		t.limit.AllowN(t.Now(), 1) // it counts, though nobody asked whether it may
		t.launch(f)
		return
	}
	delete(t.flying, f.id)
	now := t.Now().UTC()
	t.measure(ctx, f, reply, now)
	p := t.people[f.id]
	p.End(now, f.step, reply)
	p.look, p.idle = now, false
	t.changed[f.id] = true
	if reply.Answer == session.Done {
		t.wrote, t.proven, t.failure = now, true, nil
	}
}

// measure has a call counted.
func (t *turn) measure(ctx context.Context, f *flight, reply session.Reply, now time.Time) {
	done := telemetry.Write{
		Refused: reply.Answer == session.Refused, Unseen: reply.Answer == session.Unseen, Throttled: reply.Status == http.StatusTooManyRequests,
	}
	if reply.Answer == session.Done {
		done.Set, done.Clear = f.step.Deed == session.Set, f.step.Deed == session.Clear
		if !f.reported.IsZero() {
			done.Age = max(0, now.Sub(f.reported))
		}
	}
	if reply.Status != 0 {
		done.Took = now.Sub(f.begun)
	}
	t.Meter.Add(ctx, done)
}

// judge says what an answer means to the person, or that the call is to be made
// once more, with another token.
func (t *turn) judge(ctx context.Context, f *flight) (reply session.Reply, again bool) {
	if f.err == nil {
		return session.Reply{Answer: f.answer, Status: http.StatusOK}, false
	}
	if pause, ok := errors.AsType[*graph.ThrottledError](f.err); ok {
		t.pauseFor(ctx, pause.RetryAfter)
		t.fail(ctx, failed(f.err))
		reply = session.Reply{Answer: session.Failed, Status: pause.Status}
		if pause.Status != http.StatusTooManyRequests { // something in between may say so of what was done
			reply.Answer = session.Unseen
		}
		return reply, false
	}
	if errors.Is(f.err, errNotSent) || errors.Is(f.err, errSignedOut) {
		return session.Reply{Answer: session.Failed}, false
	}
	refusal, ok := errors.AsType[*graph.Error](f.err)
	if !ok {
		t.fail(ctx, failed(f.err))
		return session.Reply{Answer: session.Unseen}, false
	}
	reply = session.Reply{Answer: session.Refused, Status: refusal.Status, Code: refusal.Code}
	switch {
	case refusal.Refused():
		return t.refused(ctx, f, reply)
	case !aboutThePerson(refusal.Status):
		t.fail(ctx, failed(f.err))
		reply.Answer = session.Unseen
	}
	return reply, false
}

// aboutThePerson reports whether a status may be Graph's word about one person. Others
// are faults on its side, or come from something in between.
func aboutThePerson(status int) bool {
	return status >= http.StatusBadRequest && status < http.StatusInternalServerError &&
		status != http.StatusRequestTimeout && status != http.StatusProxyAuthRequired && status != http.StatusMisdirectedRequest
}

// patience is how often in a row 401 is answered before it is taken for an answer
// about the person: it has been seen to come and go.
const patience = 3

// refused tells a refusal of the token from one of the person: the former once per
// turn, with a fresh token.
func (t *turn) refused(ctx context.Context, f *flight, reply session.Reply) (session.Reply, bool) {
	unauthorized := reply.Status == http.StatusUnauthorized
	switch {
	case !f.token.Value.Equal(t.token.Value):
	case t.doubted, t.proven && !unauthorized:
		if unauthorized && f.failures < patience {
			reply.Answer = session.Failed
		}
		return reply, false
	default:
		if err := t.Tokens.Refused(ctx, t.tenant, t.token, reply.Status); err != nil {
			host.Log(ctx, t.Log).Warn("refusal not noted", "error", err.Error())
		}
		t.token, t.doubted = consent.Token{}, true
		if view, err := t.Look(ctx, t.tenant); err == nil {
			t.view.Grants = view.Grants
		}
	}
	if !t.authorized(ctx) {
		reply.Answer = session.Failed
		return reply, false
	}
	f.token = t.token
	return reply, true
}

// authorized makes sure that there is a token.
func (t *turn) authorized(ctx context.Context) bool {
	if t.barred || !t.token.Value.Empty() {
		return !t.barred
	}
	// Another app's token would make a session that nothing can clear.
	own := slices.DeleteFunc(slices.Clone(t.view.Grants), func(g consent.Grant) bool { return g.ClientID != t.view.Settings.ClientID })
	token, err := t.Tokens.WriteToken(ctx, t.tenant, own)
	if err != nil {
		t.barred = true
		t.fail(ctx, withoutToken(err))
		return false
	}
	t.token = token
	return true
}

// pauseFor notes how long Graph asked this app to wait, for all processes.
func (t *turn) pauseFor(ctx context.Context, wait time.Duration) {
	until := t.Now().Add(wait).UTC()
	if !until.After(t.until) {
		return
	}
	t.until = until
	if err := t.Throttle(ctx, t.tenant, until); err != nil {
		host.Log(ctx, t.Log).Warn("pause not stored", "error", err.Error())
	}
}

// Stable codes of the writer's error.
const (
	authorizationRequired = "authorization-required"
	tokenUnavailable      = "token-unavailable"
	throttled             = "throttled"
	unreachable           = "graph-unreachable"
)

// failure is why nothing can be written.
type failure struct {
	code string
	err  error
}

// maxError bounds what the row keeps of an error, in bytes: others wrote parts of
// it.
const maxError = 2000

func (f *failure) Error() string {
	return health.Clip(f.err.Error(), maxError)
}

func failed(err error) *failure {
	if _, ok := errors.AsType[*graph.ThrottledError](err); ok {
		return &failure{throttled, err}
	}
	return &failure{unreachable, err}
}

func withoutToken(err error) *failure {
	if _, ok := errors.AsType[*consent.RequiredError](err); ok {
		return &failure{authorizationRequired, err}
	}
	return &failure{tokenUnavailable, err}
}

// fail notes a failure, and logs the first of its kind in a turn.
func (t *turn) fail(ctx context.Context, failure *failure) {
	if t.failure == nil || t.failure.code != failure.code {
		host.Log(ctx, t.Log).Warn("calls not written to Teams", "code", failure.code, "error", failure.Error())
	}
	t.failure = failure
}

package presencesync

import (
	"context"
	"errors"
	"time"

	"procallteams/internal/feed"
	"procallteams/internal/telemetry"
)

// measure has the run counted. err is what became of it.
func (r *run) measure(ctx context.Context, err error) {
	discarded := errors.Is(err, feed.ErrLostRace)
	done := telemetry.Sync{
		Failed: r.beat.Error != "" || err != nil && !discarded, Discarded: discarded,
		Throttled: r.now.ThrottledUntil.After(r.start),
		Changes:   r.beat.Changes, Requests: r.beat.Requests, FailedBatches: r.beat.Failed,
		Users: r.beat.Users, Unmatched: r.beat.Unmatched, Ambiguous: r.beat.Ambiguous, Missing: len(r.missing),
		Took: r.Now().Sub(r.start), Interval: time.Duration(r.beat.Interval) * time.Millisecond,
	}
	if !r.began.IsZero() {
		done.Gap = r.start.Sub(r.began)
	}
	r.began = r.start
	r.Meter.Add(ctx, done)
}

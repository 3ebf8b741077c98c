package upkeep

import (
	"cmp"
	"context"
	"log/slog"
	"time"

	"procallteams/internal/calls"
	"procallteams/internal/consent"
	"procallteams/internal/health"
	"procallteams/internal/host"
	"procallteams/internal/report"
)

// Standing writes down, once a minute, how the bridge stands and what somebody
// should know: the lines state and finding (docs/log-schema.md), which alert rules
// are made of. It relies on no other timer, so it tells that syncs stand still.
type Standing struct {
	Read func(context.Context) (report.State, error)
	Now  func() time.Time
	Log  *slog.Logger
}

// Do is a [Duty].
func (s Standing) Do(ctx context.Context) error {
	state, err := s.Read(ctx)
	if err != nil {
		return err
	}
	now, log := s.Now(), host.Log(ctx, s.Log)
	found := health.Assess(now, state.Input)
	for _, f := range found {
		log.LogAttrs(ctx, slog.LevelWarn, "finding", findingFields(now, f)...)
	}
	log.LogAttrs(ctx, slog.LevelInfo, "state", stateFields(now, state.Input, found)...)
	return nil
}

func findingFields(now time.Time, f health.Finding) []slog.Attr {
	return []slog.Attr{
		slog.String("code", string(f.Code)), slog.Bool("fault", f.Fault), slog.String("title", f.Title), slog.String("detail", f.Detail),
		since("sinceSeconds", now, f.Since), slog.String("who", f.Who),
	}
}

func stateFields(now time.Time, in health.Input, found []health.Finding) []slog.Attr {
	directions := health.Directions(now, in)
	faults := 0
	for _, f := range found {
		if f.Fault {
			faults++
		}
	}
	fields := []slog.Attr{
		slog.String("overall", string(health.Overall(directions))),
		slog.String("teamsToProCall", string(directions[0].State)), slog.String("proCallToTeams", string(directions[1].State)),
		slog.Int("faults", faults), slog.Int("notes", len(found)-faults),
	}
	fields = append(fields, reading(now, in)...)
	fields = append(fields, delivering(now, in)...)
	fields = append(fields, writing(now, in)...)
	return append(fields, allowed(now, in)...)
}

func reading(now time.Time, in health.Input) []slog.Attr {
	asOf := in.Heartbeat.AsOf
	if !in.Settings.Reads() {
		asOf = time.Time{}
	}
	return []slog.Attr{
		since("asOfSeconds", now, asOf), slog.Int("users", in.Heartbeat.Users),
		slog.Int64("throttledSeconds", max(0, seconds(in.Throttled.Sub(now)))),
	}
}

func delivering(now time.Time, in health.Input) []slog.Attr {
	behind, behindSince, polled := slog.Any("pushBehind", nil), time.Time{}, time.Time{}
	if in.Push != nil && in.Settings.PushURL != "" {
		behind, behindSince = slog.Uint64("pushBehind", in.Push.Behind), in.Push.BehindSince
	}
	if in.Pollers != nil {
		polled = in.Pollers.LastUsed
	}
	return []slog.Attr{behind, since("pushBehindSeconds", now, behindSince), since("pollSeconds", now, polled), slog.Int("poisoned", in.Poisoned)}
}

func writing(now time.Time, in health.Input) []slog.Attr {
	due := int64(0)
	if !in.DueSince.IsZero() {
		due = max(0, seconds(now.Sub(in.DueSince)))
	}
	leases := 0
	for _, r := range in.Reporters {
		if r.Need == calls.Need("") && r.Until.After(now) {
			leases++
		}
	}
	return []slog.Attr{
		slog.Int64("dueSeconds", due), slog.Int("held", in.Writer.Held), slog.Int("refused", in.Writer.Refused), slog.Int("reporters", leases),
	}
}

func allowed(now time.Time, in health.Input) []slog.Attr {
	best, ends := map[consent.Kind]consent.Grant{}, time.Time{}
	for _, g := range in.Grants {
		if g.ClientID != "" && g.ClientID != in.Settings.ClientID {
			continue // of another app registration
		}
		if known, ok := best[g.Kind]; !ok || g.Healthier(known) {
			best[g.Kind] = g
		}
		if !g.CredentialEnds.IsZero() {
			ends = g.CredentialEnds
		}
	}
	days := slog.Any("credentialDays", nil)
	if !ends.IsZero() {
		days = slog.Int64("credentialDays", int64(ends.Sub(now).Hours()/24))
	}
	return []slog.Attr{
		slog.String("userGrant", string(cmp.Or(best[consent.User].State, consent.Required))),
		slog.String("adminGrant", string(cmp.Or(best[consent.Admin].State, consent.Required))), days,
	}
}

// since is how long ago something was, null when that is not known.
func since(name string, now, at time.Time) slog.Attr {
	if at.IsZero() {
		return slog.Any(name, nil)
	}
	return slog.Int64(name, max(0, seconds(now.Sub(at))))
}

func seconds(d time.Duration) int64 { return int64(d / time.Second) }

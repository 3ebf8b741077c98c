package funchost

import (
	"fmt"
	"strings"
	"time"

	"github.com/robfig/cron/v3"
)

// schedule says when a timer fires next, strictly after t.
type schedule interface{ Next(t time.Time) time.Time }

// every is a constant schedule, hh:mm:ss.
type every time.Duration

func (e every) Next(t time.Time) time.Time { return t.Add(time.Duration(e)) }

// utc makes an NCRONTAB schedule mean UTC, the time zone of Azure. Unlike
// NCRONTAB the library fires when either day field matches if both are given.
type utc struct{ cron.Schedule }

func (u utc) Next(t time.Time) time.Time { return u.Schedule.Next(t.UTC()) }

var (
	sixFields  = cron.NewParser(cron.Second | cron.Minute | cron.Hour | cron.Dom | cron.Month | cron.Dow)
	fiveFields = cron.NewParser(cron.Minute | cron.Hour | cron.Dom | cron.Month | cron.Dow)
)

// parseSchedule reads {second} {minute} {hour} {day} {month} {day of week}, the
// same without seconds, or hh:mm:ss.
func parseSchedule(text string) (schedule, error) {
	parser := sixFields
	switch len(strings.Fields(text)) {
	case 6:
	case 5:
		parser = fiveFields
	default:
		span, err := parseTimeSpan(text)
		if err != nil || span <= 0 {
			return nil, fmt.Errorf("the schedule expression '%s' was not recognized as a valid cron expression or timespan string", text)
		}
		return every(span), nil
	}
	s, err := parser.Parse(text)
	if err != nil {
		return nil, fmt.Errorf("the schedule expression '%s' is not valid: %w", text, err)
	}
	return utc{s}, nil
}

// moreOftenThanMinutely reports whether two occurrences lie closer together than
// a minute: such timers have no schedule status.
func moreOftenThanMinutely(s schedule) bool {
	t := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	for range 100 {
		next := s.Next(t)
		if following := s.Next(next); following.Sub(next) < time.Minute {
			return true
		}
		t = next
	}
	return false
}

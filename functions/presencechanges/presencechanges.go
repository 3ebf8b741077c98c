// Package presencechanges is the HTTP function that tells UCServer what changed
// after its cursor, at once or as soon as there is something.
package presencechanges

import (
	"context"
	"log/slog"
	"net/http"
	"time"

	"procallteams/internal/access"
	"procallteams/internal/feed"
	"procallteams/internal/host"
	"procallteams/internal/poll"
	"procallteams/internal/telemetry"
)

// maxWait is the longest long poll, in seconds: part of the contract, and below
// what proxies between UCServer and Azure put up with.
const maxWait = 25

// Function is the code of function.json beside this file.
type Function struct {
	Feeds poll.Feeds
	Log   *slog.Logger
	Meter *telemetry.Meter
}

// Answer holds the changes after the cursor that was asked with, and the cursor
// to ask with next. Nothing new: the same cursor, no changes.
type Answer struct {
	Epoch  string `json:"epoch"`
	Cursor string `json:"cursor"`
	poll.Freshness
	Changes []feed.Change `json:"changes"`
}

// ServeConsumer answers an authenticated machine.
func (f Function) ServeConsumer(w http.ResponseWriter, r *http.Request, consumer access.Consumer) {
	poll.Gzip(w, r, func(w http.ResponseWriter, r *http.Request) { f.serve(w, r, consumer.Tenant) })
}

func (f Function) serve(w http.ResponseWriter, r *http.Request, tenant string) {
	parameters := poll.ParametersOf(r)
	cursor := parameters.Text("cursor")
	limit := parameters.Number("limit", 1, poll.MaxLimit, poll.DefaultLimit)
	wait := parameters.Number("wait", 0, maxWait, 0)
	if parameters.Refuse(w, r) {
		return
	}
	from, err := feed.ParseCursor(cursor)
	if err != nil {
		poll.Refuse(w, r, err)
		return
	}
	answer, err := f.changes(r.Context(), tenant, from, limit, time.Duration(wait)*time.Second)
	if r.Context().Err() != nil {
		return // the client is gone, nobody reads an answer
	}
	f.Meter.Add(r.Context(), poll.Measure(len(answer.Changes), err))
	if err == nil {
		err = poll.Write(w, answer)
	} else {
		poll.Refuse(w, r, err)
	}
	if err != nil {
		host.Log(r.Context(), f.Log).Info("changes not served", "error", err.Error())
	}
}

func (f Function) changes(ctx context.Context, tenant string, from feed.Position, limit int, wait time.Duration) (Answer, error) {
	view, err := f.Feeds.Recent(ctx, tenant)
	if err != nil {
		return Answer{}, err
	}
	if beyond(from, view.Head) {
		// Another process may know a newer head.
		if view, err = f.Feeds.Anew(ctx, tenant); err != nil {
			return Answer{}, err
		}
	}
	waiting, cancel := context.WithTimeout(ctx, wait)
	defer cancel()
	for wait > 0 && from == position(from, view.Head) {
		next, err := f.Feeds.Anew(waiting, tenant)
		if waiting.Err() != nil {
			break // nothing new, which is an answer
		}
		if err != nil {
			return Answer{}, err
		}
		view = next
	}
	if view.Head.Epoch == "" && from == (feed.Position{}) {
		return Answer{Cursor: from.Cursor(), Freshness: view.Freshness, Changes: []feed.Change{}}, nil
	}
	changes, to, err := feed.Read(ctx, f.Feeds.Open(tenant), view.Head, from, limit)
	if err != nil {
		return Answer{}, err
	}
	if changes == nil {
		changes = []feed.Change{}
	}
	return Answer{Epoch: to.Epoch, Cursor: to.Cursor(), Freshness: view.Freshness, Changes: changes}, nil
}

// position is the head's place as a client that stands there would name it: the
// beginning of no feed has no epoch.
func position(from feed.Position, head feed.Head) feed.Position {
	if from == (feed.Position{}) && head.Epoch != "" {
		return feed.Position{Epoch: head.Epoch} // never equal: there is something to read
	}
	return head.Position()
}

// beyond reports whether head can't say what from is: it is newer, or of another
// epoch.
func beyond(from feed.Position, head feed.Head) bool {
	return from != (feed.Position{}) && (from.Epoch != head.Epoch || from.Compare(head.Last) > 0)
}

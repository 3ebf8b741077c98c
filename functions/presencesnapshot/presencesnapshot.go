// Package presencesnapshot is the HTTP function that tells UCServer the current
// state of everybody who takes part, page by page.
package presencesnapshot

import (
	"context"
	"encoding/base64"
	"errors"
	"log/slog"
	"net/http"
	"strings"

	"procallteams/internal/access"
	"procallteams/internal/feed"
	"procallteams/internal/host"
	"procallteams/internal/poll"
	"procallteams/internal/presence"
	"procallteams/internal/telemetry"
)

// Function is the code of function.json beside this file.
type Function struct {
	Feeds poll.Feeds
	Log   *slog.Logger
	Meter *telemetry.Meter
}

// Answer is one page. The client keeps the first page's cursor and continues from
// there: pages are read from the state as it is then, and states converge.
type Answer struct {
	Epoch  string `json:"epoch"`
	Cursor string `json:"cursor"`
	// NextPageToken is left out on the last page.
	NextPageToken string `json:"nextPageToken,omitempty"`
	poll.Freshness
	Items []feed.Change `json:"items"`
}

// ServeConsumer answers an authenticated machine.
func (f Function) ServeConsumer(w http.ResponseWriter, r *http.Request, consumer access.Consumer) {
	poll.Gzip(w, r, func(w http.ResponseWriter, r *http.Request) { f.serve(w, r, consumer.Tenant) })
}

func (f Function) serve(w http.ResponseWriter, r *http.Request, tenant string) {
	parameters := poll.ParametersOf(r)
	limit := parameters.Number("limit", 1, poll.MaxLimit, poll.DefaultLimit)
	token := parameters.Token("pageToken", maxToken)
	if parameters.Refuse(w, r) {
		return
	}
	answer, err := f.page(r.Context(), tenant, token, limit)
	f.Meter.Add(r.Context(), poll.Measure(len(answer.Items), err))
	if err == nil {
		err = poll.Write(w, answer)
	} else {
		poll.Refuse(w, r, err)
	}
	if err != nil {
		host.Log(r.Context(), f.Log).Warn("snapshot not served", "error", err.Error())
	}
}

// maxToken bounds a page token: a cursor, a full stop and an object id.
const maxToken = 192

// tokenOf names the page behind a user, of a state that is not older than at.
func tokenOf(at feed.Position, after presence.UserID) string {
	return base64.RawURLEncoding.EncodeToString([]byte(at.Cursor() + "." + string(after)))
}

func (f Function) page(ctx context.Context, tenant, token string, limit int) (Answer, error) {
	var least feed.Position
	cursor, after, _ := strings.Cut(token, ".")
	view, err := f.Feeds.Recent(ctx, tenant)
	if err == nil && token != "" {
		if least, err = feed.ParseCursor(cursor); err != nil {
			return Answer{}, err
		}
		if least.Epoch != view.Head.Epoch || least.Compare(view.Head.Last) > 0 {
			// Another process made the page before, from a newer head. A page that is
			// older than the cursor of the first one would lose what lies between.
			view, err = f.Feeds.Anew(ctx, tenant)
		}
		if err == nil && (least.Epoch != view.Head.Epoch || least.Compare(view.Head.Last) > 0) {
			return Answer{}, &feed.GoneError{Reason: feed.GoneEpoch}
		}
	}
	if err != nil {
		return Answer{}, err
	}
	answer := Answer{Freshness: view.Freshness, Cursor: feed.Position{}.Cursor(), Items: []feed.Change{}}
	if view.Head.Epoch == "" {
		return answer, nil
	}
	store, books := f.Feeds.Open(tenant), f.Feeds.Books.Of(tenant)
	book, err := books.Book(ctx, store, view.Head)
	if _, gone := errors.AsType[*feed.GoneError](err); gone {
		// Retention may have passed an old head; the newest one always works.
		if view, err = f.Feeds.Anew(ctx, tenant); err == nil {
			book, err = books.Book(ctx, store, view.Head)
		}
	}
	if err != nil {
		return Answer{}, err
	}
	// One more than asked for tells whether there is another page.
	items, at := book.Page(presence.UserID(after), limit+1)
	if len(items) > limit {
		items = items[:limit]
		answer.NextPageToken = tokenOf(at, items[limit-1].Entra)
	}
	answer.Epoch, answer.Cursor, answer.Items = at.Epoch, at.Cursor(), items
	return answer, nil
}

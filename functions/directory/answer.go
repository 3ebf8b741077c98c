package directory

import (
	"context"
	"errors"
	"io"
	"iter"
	"net/http"

	"github.com/klauspost/compress/gzhttp"

	"procallteams/internal/directory"
	"procallteams/internal/host"
	"procallteams/internal/reply"
	"procallteams/internal/storage"
	"procallteams/internal/userlist"
)

// summary is the last line of every answer. Without it the answer was cut off.
type summary struct {
	// Count is how many users the list has.
	Count int `json:"count"`
	// Judged says that the other side is known, so that the lines say who takes part.
	Judged  bool                    `json:"judged"`
	Results map[userlist.Result]int `json:"results"` // of the lines
	// Next is where the next page begins; empty on the last one, and in answers to
	// what was sent.
	Next string `json:"next,omitempty"`
	*done
}

// done is what a step did to the list.
type done struct {
	Added   int `json:"added"`
	Changed int `json:"changed"`
	Removed int `json:"removed"`
	// Stored is false for a dry run, and when nothing is different.
	Stored bool            `json:"stored"`
	Turns  *userlist.Turns `json:"turns,omitempty"`
}

// Lines are one for each user before and after, or for each change.
func (r *Receipt) Lines() iter.Seq[userlist.Line] {
	if r.changes != nil {
		return r.judgement.Changed(r.before, r.changes, r.effects)
	}
	return r.judgement.Replaced(r.before)
}

// Turns counts who gains or loses a match; nil while that is not known.
func (r *Receipt) Turns() *userlist.Turns { return r.judgement.Turns() }

// Write writes the lines, and the last one.
func (r *Receipt) Write(to io.Writer) error {
	return userlist.Write(to, r.Lines(), func(counts map[userlist.Result]int) any {
		return summary{
			Count: r.Count, Judged: r.judgement.Report != nil, Results: counts,
			done: &done{r.Added, r.Changed, r.Removed, r.Stored, r.Turns()},
		}
	})
}

// page is a part of the list.
type page struct {
	etag      string
	judgement userlist.Judgement
	after     string
	limit     int
}

func (p *page) write(to io.Writer) error {
	last, n := "", 0
	lines := func(yield func(userlist.Line) bool) {
		for line := range p.judgement.Listed(p.after, p.limit) {
			last, n = line.ID, n+1
			if !yield(line) {
				return
			}
		}
	}
	return userlist.Write(to, lines, func(counts map[userlist.Result]int) any {
		s := summary{Count: len(p.judgement.Users), Judged: p.judgement.Report != nil, Results: counts}
		if n == p.limit && last != p.judgement.Users[len(p.judgement.Users)-1].ID {
			s.Next = last
		}
		return s
	})
}

// read reads a part of the list, and how it stands with its users.
func (f *Function) read(ctx context.Context, tenant, after string, limit int) (*page, error) {
	f.turn.Lock()
	defer f.turn.Unlock()
	var p *page
	err := again(func() (err error) {
		now, _, err := f.now(ctx, tenant)
		if err != nil {
			return err
		}
		now, users, err := f.users(ctx, tenant, now)
		if errors.Is(err, ErrRace) {
			return storage.ErrNotFound
		}
		if err != nil {
			return err
		}
		if now.Users.Blob == "" {
			return errNoList
		}
		p = &page{etag: reply.TagOf(now.Users.Blob), after: after, limit: limit}
		p.judgement, err = f.inForce(ctx, now, users)
		return err
	})
	return p, err
}

// again calls do once more when what a row pointed at was replaced this instant: the
// newest always works.
func again(do func() error) error {
	err := do()
	if errors.Is(err, storage.ErrNotFound) {
		err = do()
	}
	return err
}

// inForce says how it stands with the list in force, nil for none: what the sync stored, when it
// is made of that list, else what the next one will make of it.
func (f *Function) inForce(ctx context.Context, now storage.Now, users *directory.Users) (userlist.Judgement, error) {
	if !isInForce(now) {
		return f.judge(ctx, now, users)
	}
	j := userlist.Judgement{}
	if users != nil {
		j.Users = users.People
	}
	var err error
	if j.Directory, err = f.Storage.Directory(ctx, now.Directory); err == nil {
		j.Report, err = f.Storage.Report(ctx, now.Directory)
	}
	return j, err
}

// isInForce reports whether what the sync stored is made of what is stored now.
func isInForce(now storage.Now) bool {
	return now.Directory.Report != "" && now.Directory.Inputs == fingerprint(now)
}

// answer sends lines. They can't fail any more but for the connection.
func (f *Function) answer(w http.ResponseWriter, r *http.Request, etag string, write func(io.Writer) error) {
	h := w.Header()
	h.Set("Content-Type", "application/x-ndjson")
	h.Set("Cache-Control", "no-store")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("ETag", etag)
	gzhttp.GzipHandler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodHead {
			return
		}
		if err := write(w); err != nil {
			host.Log(r.Context(), f.Log).Info("answer not delivered", "error", "the connection ended")
		}
	})).ServeHTTP(w, r)
}

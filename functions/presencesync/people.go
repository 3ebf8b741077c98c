package presencesync

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"time"

	"procallteams/internal/consent"
	"procallteams/internal/directory"
	"procallteams/internal/graph"
	"procallteams/internal/matching"
	"procallteams/internal/storage"
)

const (
	// directoryAge is the age from which the directory is read anew.
	directoryAge = 15 * time.Minute
	// refreshPause is the least time between two tries that failed.
	refreshPause = time.Minute
)

// ensureDirectory makes sure that it is known who takes part. A directory that
// is merely old serves this run; it is read anew when the run is done.
func (r *run) ensureDirectory(ctx context.Context, token consent.Token) *failure {
	ref := r.now.Directory
	if r.names == "" {
		_, fingerprint, err := r.readNames()
		if err != nil {
			return &failure{code: directoryUnreadable, err: err}
		}
		r.names = fingerprint
	}
	if ref.Blob != "" && ref.Blob != r.loaded {
		d, err := r.Storage.Directory(ctx, ref)
		switch {
		case errors.Is(err, storage.ErrNotFound):
			ref.Blob = "" // somebody removed it, or replaced it this instant
		case err != nil:
			return &failure{code: directoryUnreadable, err: err}
		default:
			r.use(d, ref.Blob)
		}
	}
	age := r.start.Sub(ref.At)
	// The admin consent came after the user consent: now guests and disabled
	// accounts can be told apart.
	better := ref.Basic && token.Kind == consent.Admin
	switch {
	case ref.Blob == "", ref.Matching != r.names, better, r.off && age > refreshPause:
		if ref.Blob != "" && r.start.Before(r.nextRefresh) {
			return nil
		}
		if err := r.refresh(ctx, token); err != nil {
			if r.directory != nil && ref.Blob != "" {
				r.log.Warn("directory not read; the one before stays in use", "error", err.Error())
				return nil
			}
			if pause, ok := errors.AsType[*graph.ThrottledError](err); ok {
				r.pauseFor(ctx, pause.RetryAfter)
			}
			failure := failed(err)
			if failure.code == refused {
				failure.next = "the app registration needs User.Read.All (application), or a user consent"
			}
			return failure
		}
	case age >= directoryAge && !r.start.Before(r.nextRefresh):
		r.refreshLater, r.refreshToken = true, token
	}
	return nil
}

func (r *run) use(d *directory.Directory, blob string) {
	r.adoptDirectory(d, blob)
	r.ambiguous = d.Count(directory.Ambiguous)
}

// refreshAfter reads the directory when the run's own work is done; the next run
// finds it.
func (r *run) refreshAfter(ctx context.Context) {
	if err := r.refresh(ctx, r.refreshToken); err != nil {
		r.log.Warn("directory not read; the one before stays in use", "error", err.Error())
	}
	r.refreshToken = consent.Token{}
}

// refresh reads the directory from Graph, stores it and uses it.
func (r *run) refresh(ctx context.Context, token consent.Token) error {
	r.nextRefresh = r.start.Add(refreshPause)
	names, fingerprint, err := r.readNames()
	if err != nil {
		return err
	}
	detail := graph.Full
	if token.Kind == consent.User {
		detail = graph.Basic
	}
	at := r.Now()
	d, err := directory.Build(r.Graph.Users(ctx, token.Value, detail), names)
	if err != nil {
		if pause, ok := errors.AsType[*graph.ThrottledError](err); ok {
			r.nextRefresh = r.Now().Add(max(pause.RetryAfter, refreshPause))
		}
		return err
	}
	if len(d.People) == 0 && r.directory != nil && len(r.directory.People) > 0 {
		// Somebody gave the consent. Believing it would remove everybody.
		return fmt.Errorf("read users: %w", &graph.FormError{What: "it lists nobody"})
	}
	ref, err := r.Storage.PutDirectory(ctx, r.tenant.id, r.now.Directory, d, directory.Ref{At: at, Matching: fingerprint, Basic: detail == graph.Basic})
	if ref.Blob == "" {
		return err
	}
	if err != nil {
		r.log.Warn("a directory blob was left behind", "error", err.Error())
	}
	r.names, r.nextRefresh = fingerprint, time.Time{}
	r.use(d, ref.Blob)
	r.log.Info("directory read", "accounts", len(d.People), "takePart", len(r.people), "ambiguous", r.ambiguous)
	return nil
}

// readNames reads usermatching.csv. A file with faults names nobody: its people
// keep their UPNs as names, and the faults are counted and logged.
func (r *run) readNames() (matching.List, string, error) {
	file, err := os.ReadFile(r.Names)
	if errors.Is(err, fs.ErrNotExist) || r.Names == "" {
		return matching.List{}, "none", nil
	}
	if err != nil {
		return matching.List{}, "", fmt.Errorf("read usermatching.csv: %w", err)
	}
	list, err := matching.Parse(file)
	if err != nil {
		r.odd.add("usermatching.csv has faults", 1)
		r.log.Error("usermatching.csv has faults", "error", err.Error())
	}
	for i, w := range list.Warnings {
		if i == 10 {
			r.log.Warn("usermatching.csv", "more", len(list.Warnings)-i)
			break
		}
		r.log.Warn("usermatching.csv", "line", w.Line, "warning", w.Text)
	}
	return list, matching.Fingerprint(file), nil
}

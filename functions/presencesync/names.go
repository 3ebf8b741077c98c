package presencesync

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"

	"procallteams/internal/directory"
	"procallteams/internal/matching"
	"procallteams/internal/storage"
)

// importNames takes in the package's usermatching.csv, once: when no file was ever
// imported or uploaded. Later one that differs from the file in use is only warned
// about, since somebody has uploaded that. One that names nobody, as the package has
// it at first, is none: names may come with a later package. It looks once per process.
func (r *run) importNames(ctx context.Context) {
	if r.namesSeen || r.Names == "" {
		return
	}
	err := r.importFile(ctx)
	switch {
	case err == nil, errors.Is(err, fs.ErrNotExist):
		r.namesSeen = true
	case errors.Is(err, storage.ErrChanged): // an administrator was faster: the next run compares
	default:
		r.namesSeen = true
		r.odd.add("usermatching.csv of the package is not used", 1)
		r.log.Error("usermatching.csv of the package is not used", "error", err.Error())
	}
}

func (r *run) importFile(ctx context.Context) error {
	file, err := os.ReadFile(r.Names)
	if err != nil {
		return err
	}
	fingerprint := matching.Fingerprint(file)
	if r.now.List.Fingerprint == fingerprint {
		return nil
	}
	list, err := matching.Parse(file)
	if err != nil {
		return err
	}
	if list.Len() == 0 {
		return nil
	}
	if r.now.List.Blob != "" {
		r.odd.add("usermatching.csv of the package differs from the one in use", 1)
		r.log.Warn("usermatching.csv of the package differs from the one in use, which stays; upload it to use it")
		return nil
	}
	r.warnAbout(list.Warnings)
	ref, err := r.Storage.PutList(ctx, r.tenant.id, r.now.List, file, directory.ListRef{At: r.Now(), Lines: list.Len(), Fingerprint: fingerprint, Source: directory.FromPackage})
	if err != nil {
		return fmt.Errorf("import usermatching.csv: %w", err)
	}
	r.now.List = ref
	return nil
}

func (r *run) warnAbout(warnings []matching.Warning) {
	for i, w := range warnings {
		if i == 10 {
			r.log.Warn("usermatching.csv", "more", len(warnings)-i)
			break
		}
		r.log.Warn("usermatching.csv", "line", w.Line, "warning", w.Text)
	}
}

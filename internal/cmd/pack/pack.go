package main

import (
	"archive/zip"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"slices"
	"strings"
	"time"

	"procallteams/internal/build"
)

// handlerLimit is what the handler may weigh, in bytes: instances fetch and start
// it whenever one is added.
const handlerLimit = 25_000_000

// written is the time of every entry: what a build adds to its sources is no news.
var written = time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC)

// pack writes the files of dist into file. It refuses a folder that lacks
// something, and one that holds anything else, such as local.settings.json with its
// secrets. A refused folder leaves the old file.
func pack(dist, file string) error {
	tree := os.DirFS(dist)
	names, err := contents(tree)
	if err != nil {
		return fmt.Errorf("%s: %w", dist, err)
	}
	next := file + ".new"
	out, err := os.Create(next)
	if err != nil {
		return err
	}
	defer os.Remove(next)
	if err := errors.Join(write(out, tree, names), out.Close()); err != nil {
		return err
	}
	return os.Rename(next, file)
}

// contents lists the files of a folder that command dist laid out, in order.
func contents(tree fs.FS) ([]string, error) {
	var names, strangers []string
	err := fs.WalkDir(tree, ".", func(name string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		if !belongs(name) || !entry.Type().IsRegular() {
			strangers = append(strangers, name)
		}
		names = append(names, name)
		return nil
	})
	if err != nil {
		return nil, err
	}
	if len(strangers) > 0 {
		return nil, fmt.Errorf("%s does not belong into the package: run make build again", strings.Join(strangers, ", "))
	}
	for _, name := range []string{"host.json", "handler", "config/usermatching.csv"} {
		if !slices.Contains(names, name) {
			return nil, fmt.Errorf("%s is missing: run make build", name)
		}
	}
	if info, err := fs.Stat(tree, "handler"); err != nil || info.Size() > handlerLimit {
		return nil, errors.Join(err, fmt.Errorf("the handler is larger than %d MB", handlerLimit/1_000_000))
	}
	slices.Sort(names)
	return names, nil
}

// belongs reports whether command dist lays out a file of that name.
func belongs(name string) bool {
	switch name {
	case "host.json", "handler", "config/usermatching.csv", build.File:
		return true
	}
	dir, base := path.Split(name)
	return base == "function.json" && strings.Count(dir, "/") == 1
}

func write(out io.Writer, tree fs.FS, names []string) error {
	archive := zip.NewWriter(out)
	for _, name := range names {
		header := &zip.FileHeader{Name: name, Method: zip.Deflate, Modified: written}
		// Whatever the folder's own modes say: it may lie on a file system without any.
		header.SetMode(0o644)
		if name == "handler" {
			header.SetMode(0o755)
		}
		entry, err := archive.CreateHeader(header)
		if err != nil {
			return err
		}
		text, err := fs.ReadFile(tree, name)
		if err != nil {
			return err
		}
		if _, err := entry.Write(text); err != nil {
			return err
		}
	}
	return archive.Close()
}

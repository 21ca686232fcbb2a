package resolvers

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/fsnotify/fsnotify"

	"bonsai/bootstrap/cluster"
)

const (
	// settle is how long a change has to last: programs write these files in several steps.
	settle = 200 * time.Millisecond
	// lookAgain is how often the files are read without a notice, for folders that appear later and for file systems without
	// notices.
	lookAgain = 30 * time.Second
)

// Follow calls f with the resolvers of this machine, at once and after each change, until ctx ends. Rewriting a file with the
// same servers and domains is not a change. What cannot be read or watched is logged; the rest is followed.
func (f Files) Follow(ctx context.Context, log *slog.Logger, each func(cluster.Resolvers)) {
	var events <-chan fsnotify.Event // nil, which never delivers, without a watcher
	var lost <-chan error
	watcher, err := fsnotify.NewWatcher()
	if err != nil {
		log.Warn("changes of this machine's resolvers are seen late", "cause", err, "pause", lookAgain)
	} else {
		defer func() { _ = watcher.Close() }()
		events, lost = watcher.Events, watcher.Errors
	}
	known := false
	var last cluster.Resolvers
	tick := time.NewTicker(lookAgain)
	defer tick.Stop()
	var settled <-chan time.Time
	for {
		if err == nil {
			f.watch(watcher, log)
		}
		switch now, err := f.Read(); {
		case err != nil:
			log.Warn("the resolvers of this machine are not followed", "cause", err)
		case !known || !same(now, last):
			if known {
				now.Since = time.Now() // also if the file was put there with an older time
			}
			known, last = true, now
			log.Debug("resolvers of this machine", "servers", now.Servers, "loopback", now.Loopback, "search", now.Search, "since", now.Since)
			each(now)
		}
		settled = nil
		for wake := false; !wake; {
			select {
			case <-ctx.Done():
				return
			case e := <-events:
				if settled == nil && f.concerns(e.Name) {
					settled = time.After(settle)
				}
			case err := <-lost:
				log.Debug("notices about this machine's resolvers are missing", "err", err)
			case <-settled:
				wake = true
			case <-tick.C:
				wake = true
			}
		}
	}
}

// watched are the folders in which files are replaced when the resolvers change, and the files, which may be mounted from a folder
// elsewhere: who writes to one there is not seen in its folder here.
func (f Files) watched() (list []string) {
	add := func(path string) {
		if !slices.Contains(list, path) {
			list = append(list, path)
		}
	}
	for _, path := range []string{f.ResolvConf, f.Resolved} {
		// The folder of the link, and that of the file: either may be replaced.
		add(filepath.Dir(path))
		file := target(path)
		add(filepath.Dir(file))
		if _, err := os.Stat(file); err == nil {
			add(file)
		}
	}
	return list
}

// target is the file that a path leads to; the path itself if it leads nowhere yet.
func target(path string) string {
	if to, err := filepath.EvalSymlinks(path); err == nil {
		return to
	}
	return path
}

// concerns reports whether a file is one of those that are read.
func (f Files) concerns(name string) bool {
	for _, path := range []string{f.ResolvConf, f.Resolved} {
		if name == path || name == target(path) || filepath.Base(name) == filepath.Base(path) {
			return true
		}
	}
	return false
}

// watch makes the watcher watch the folders and files as they are now.
func (f Files) watch(w *fsnotify.Watcher, log *slog.Logger) {
	watched, have := f.watched(), w.WatchList()
	for _, path := range watched {
		if slices.Contains(have, path) {
			continue
		}
		if err := w.Add(path); err != nil {
			log.Debug("changes of this machine's resolvers are seen late", "err", fmt.Errorf("watch %s: %w", path, err))
		}
	}
	for _, path := range have {
		if !slices.Contains(watched, path) {
			_ = w.Remove(path) // gone already, or it makes needless notices
		}
	}
}

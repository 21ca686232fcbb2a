package registrystore

import (
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"

	"golang.org/x/sys/unix"
)

// claimed is how long a push that has not ended keeps what it needs, after it last asked for it or received some of it.
const claimed = time.Hour

// Collected is what Collect or Trim has removed.
type Collected struct {
	// Manifests had no tag, Blobs were parts of no manifest; Bytes is what both took.
	Manifests int   `json:"manifests"`
	Blobs     int   `json:"blobs"`
	Bytes     int64 `json:"bytes"`
	// Kept is how many bytes the store has now.
	Kept int64 `json:"kept"`
}

// Collect removes what no tag leads to: manifests, content, and uploads that nobody continues. What a push that is under way needs
// stays.
func (s *Store) Collect() (done Collected, err error) {
	if _, err := os.Stat(s.dir); errors.Is(err, fs.ErrNotExist) {
		return done, nil
	}
	unlock, err := s.lock(unix.LOCK_EX)
	if err != nil {
		return done, err
	}
	defer unlock()
	now := time.Now()
	claims, err := s.claims(now)
	if err != nil {
		return done, err
	}
	keep := map[string]bool{}
	for digest := range claims {
		keep[digest] = true
	}
	repositories, err := s.Repositories()
	if err != nil {
		return done, err
	}
	for _, r := range repositories {
		n, err := s.collectRepository(r, claims, keep)
		if err != nil {
			return done, err
		}
		done.Manifests += n
	}
	err = s.eachBlob(func(digest string, info fs.FileInfo) error {
		if keep[digest] {
			done.Kept += info.Size()
			return nil
		}
		if err := os.Remove(s.blobPath(digest)); err != nil {
			return err
		}
		done.Blobs++
		done.Bytes += info.Size()
		return nil
	})
	done.Blobs = max(0, done.Blobs-done.Manifests) // manifests are content, too
	return done, errors.Join(err, s.dropUploads(now))
}

// collectRepository removes manifests that nothing leads to, and adds what the others need to keep.
func (s *Store) collectRepository(r string, claims, keep map[string]bool) (removed int, err error) {
	all, err := s.manifests(r)
	if err != nil {
		return 0, err
	}
	tags, err := s.Tags(r)
	if err != nil && !errors.Is(err, ErrNotFound) {
		return 0, err
	}
	seen := map[string]bool{} // what is kept in this repository, and has been followed
	mark := func(digest string) {
		keep[digest] = true
		for _, d := range s.reach(r, digest, seen) {
			keep[d] = true
		}
	}
	for _, tag := range tags {
		if d, _, err := s.Resolve(r, tag); err == nil {
			mark(d.Digest)
		}
	}
	subjects := map[string]string{} // of signatures and the like: they stay as long as what they are about
	for _, digest := range all {
		if claims[digest] {
			mark(digest)
		}
		data, _, err := s.ReadManifest(r, digest)
		var m Manifest
		if err == nil && json.Unmarshal(data, &m) == nil && m.Subject != nil {
			subjects[digest] = m.Subject.Digest
		}
	}
	for again := true; again; {
		again = false
		for digest, subject := range subjects {
			if seen[subject] && !seen[digest] {
				mark(digest)
				again = true
			}
		}
	}
	for _, digest := range all {
		if seen[digest] {
			continue
		}
		if err := os.Remove(s.manifestLink(r, digest)); err != nil {
			return removed, err
		}
		removed++
	}
	if len(all) == removed && len(tags) == 0 {
		s.dropRepository(r)
	}
	return removed, nil
}

// dropRepository removes the folders of a repository that has nothing any more, and those above it that become empty.
func (s *Store) dropRepository(r string) {
	dir := s.path("repositories", r)
	_ = os.Remove(filepath.Join(dir, "_tags"))      // fails unless it is empty
	_ = os.Remove(filepath.Join(dir, "_manifests")) // the same
	for root := s.path("repositories"); dir != root; dir = filepath.Dir(dir) {
		if os.Remove(dir) != nil {
			return
		}
	}
}

// claims returns what pushes that are under way need, and forgets those that are over.
func (s *Store) claims(now time.Time) (map[string]bool, error) {
	found := map[string]bool{}
	all, err := names(s.path("claims"))
	for _, name := range all {
		digest := digestPrefix + name
		info, err := os.Stat(s.path("claims", name))
		if err != nil || !ValidDigest(digest) {
			continue
		}
		if now.Sub(info.ModTime()) > claimed {
			_ = os.Remove(s.path("claims", name)) // the next one tries again
			continue
		}
		found[digest] = true
	}
	return found, err
}

func (s *Store) dropUploads(now time.Time) error {
	all, err := names(s.path("uploads"))
	for _, name := range all {
		file := s.path("uploads", name)
		if info, err := os.Stat(file); err == nil && now.Sub(info.ModTime()) > claimed {
			if err := os.Remove(file); err != nil && !errors.Is(err, fs.ErrNotExist) {
				return err
			}
		}
	}
	return err
}

func (s *Store) eachBlob(f func(digest string, info fs.FileInfo) error) error {
	return filepath.WalkDir(s.path("blobs"), func(file string, d fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err != nil || d.IsDir() {
			return err
		}
		digest := digestPrefix + d.Name()
		info, err := d.Info()
		if errors.Is(err, fs.ErrNotExist) || !ValidDigest(digest) {
			return nil
		}
		if err != nil {
			return err
		}
		return f(digest, info)
	})
}

// Use returns how many bytes the store has.
func (s *Store) Use() (bytes int64, err error) {
	err = s.eachBlob(func(_ string, info fs.FileInfo) error { bytes += info.Size(); return nil })
	return bytes, err
}

// Trim removes content, that which was used least recently first, until no more than limit bytes are left. It is for a store whose
// content can be fetched again.
func (s *Store) Trim(limit int64) (done Collected, err error) {
	type blob struct {
		digest string
		size   int64
		used   time.Time
	}
	var all []blob
	err = s.eachBlob(func(digest string, info fs.FileInfo) error {
		all = append(all, blob{digest, info.Size(), info.ModTime()})
		done.Kept += info.Size()
		return nil
	})
	if err != nil {
		return done, err
	}
	slices.SortFunc(all, func(a, b blob) int { return a.used.Compare(b.used) })
	for _, b := range all {
		if done.Kept <= limit {
			break
		}
		if err := os.Remove(s.blobPath(b.digest)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return done, err
		}
		done.Blobs++
		done.Bytes += b.size
		done.Kept -= b.size
	}
	now := time.Now()
	_, err = s.claims(now) // which forgets old ones
	return done, errors.Join(err, s.dropUploads(now))
}

// Clear removes everything, except what is being received, and returns how many bytes that were.
func (s *Store) Clear() (freed int64, err error) {
	if _, err := os.Stat(s.dir); errors.Is(err, fs.ErrNotExist) {
		return 0, nil
	}
	unlock, err := s.lock(unix.LOCK_EX)
	if err != nil {
		return 0, err
	}
	defer unlock()
	if freed, err = s.Use(); err != nil {
		return 0, err
	}
	return freed, errors.Join(os.RemoveAll(s.path("repositories")), os.RemoveAll(s.path("blobs")), os.RemoveAll(s.path("claims")))
}

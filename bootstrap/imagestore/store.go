// Package imagestore keeps the content of images on this machine: what "bonsai image load" and "image build" brought, so that
// nodes that come later get it when neither the engine nor another node has it any more.
//
// Content is addressed by digest, as in an OCI layout (blobs/sha256/HEX): manifests and configurations as their writer made
// them, layers as they came. The store does not know names: which image is called what is recorded by each cluster, and
// Collect removes what none of them names. All files are private.
//
// Begin reading at Store. archive.go reads and writes archives; image.go finds what belongs to an image.
package imagestore

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/gofrs/flock"
)

// Store is a folder of content. It need not exist. The methods may be called by several processes at once.
type Store struct{ dir string }

// New returns the store in a folder.
func New(dir string) Store { return Store{dir: dir} }

// Dir is the store's folder.
func (s Store) Dir() string { return s.dir }

// ErrMissing means that the store lacks some content.
var ErrMissing = errors.New("not in the image store")

// lockPause is between two attempts to take the lock.
const lockPause = 20 * time.Millisecond

// Use keeps content that is there, or is put there, from being collected until release is called.
func (s Store) Use(ctx context.Context) (release func(), err error) {
	return s.lock(ctx, (*flock.Flock).TryRLockContext)
}

func (s Store) lock(ctx context.Context, take func(*flock.Flock, context.Context, time.Duration) (bool, error)) (release func(), err error) {
	for _, dir := range []string{s.dir, s.Blobs(), s.partial()} {
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return nil, fmt.Errorf("open the image store: %w", err)
		}
	}
	lock := flock.New(filepath.Join(s.dir, "lock"), flock.SetPermissions(0o600))
	if _, err := take(lock, ctx, lockPause); err != nil {
		return nil, fmt.Errorf("lock the image store: %w", err)
	}
	return sync.OnceFunc(func() { _ = lock.Unlock() }), nil
}

// Blobs is the folder that has the content, in files named by the hex of their digests.
func (s Store) Blobs() string { return filepath.Join(s.dir, "blobs", "sha256") }

// partial has the files that are being written.
func (s Store) partial() string { return filepath.Join(s.dir, "partial") }

// path is where content is stored; empty if the digest is not one.
func (s Store) path(digest string) string {
	name, ok := strings.CutPrefix(digest, "sha256:")
	if sum, err := hex.DecodeString(name); !ok || err != nil || len(sum) != sha256.Size || strings.ToLower(name) != name {
		return ""
	}
	return filepath.Join(s.Blobs(), name)
}

// Has reports whether the store has content. Call Use first, if it has to stay.
func (s Store) Has(digest string) bool {
	p := s.path(digest)
	if p == "" {
		return false
	}
	_, err := os.Stat(p)
	return err == nil
}

// Open returns content; the caller closes it. What it reads is not compared with the digest again.
func (s Store) Open(digest string) (*os.File, error) {
	p := s.path(digest)
	if p == "" {
		return nil, fmt.Errorf("%q is not a digest of sha256", digest)
	}
	f, err := os.Open(p)
	if errors.Is(err, fs.ErrNotExist) {
		err = fmt.Errorf("%s: %w", digest, ErrMissing)
	}
	return f, err
}

// Blob is a piece of content.
type Blob struct {
	Digest string
	Size   int64
}

// Put stores all of r. If want is not empty, another content is an error, and is not stored. Call Use first.
//
// It does not wait until the disk has the content, which would take most of the time of a load: a node compares what it gets
// with the digest, and Verify finds what was damaged.
func (s Store) Put(r io.Reader, want string) (b Blob, err error) {
	f, err := os.CreateTemp(s.partial(), "blob-*")
	if err != nil {
		return b, fmt.Errorf("write to the image store: %w", err)
	}
	defer func() {
		if err != nil {
			_ = errors.Join(f.Close(), os.Remove(f.Name()))
		}
	}()
	sum := sha256.New()
	if b.Size, err = pour(f, sum, r); err != nil {
		return b, err
	}
	b.Digest = digestOf(sum.Sum(nil))
	if want != "" && b.Digest != want {
		return b, fmt.Errorf("content of %s has the digest %s", want, b.Digest)
	}
	if err := f.Close(); err != nil {
		return b, fmt.Errorf("write to the image store: %w", err)
	}
	// Content of the same digest is replaced: it is the same, or was damaged.
	if err := os.Rename(f.Name(), s.path(b.Digest)); err != nil {
		return b, fmt.Errorf("write to the image store: %w", err)
	}
	return b, nil
}

// copySize is large, so that copying takes few calls.
const copySize = 1 << 20

// pour writes all of r into a file and a hash, and returns how much that was. It reads, writes and hashes at the same time, which take
// about as long as each other.
func pour(file io.Writer, sum hash.Hash, r io.Reader) (size int64, err error) {
	var busy sync.WaitGroup
	defer busy.Wait()
	var written error // of the part before
	var parts [2][]byte
	for i := 0; ; i = 1 - i {
		if parts[i] == nil {
			parts[i] = make([]byte, copySize)
		}
		n, err := fill(parts[i], r)
		busy.Wait()
		if written != nil {
			return size, written
		}
		part := parts[i][:n]
		size += int64(n)
		if errors.Is(err, io.EOF) {
			_, _ = sum.Write(part) // never fails
			_, err = file.Write(part)
			return size, err
		}
		if err != nil {
			return size, err
		}
		busy.Go(func() { _, _ = sum.Write(part) })
		busy.Go(func() { _, written = file.Write(part) })
	}
}

// fill reads until a part is full. Unlike io.ReadFull it passes the reader's errors on, of which only io.EOF is the end.
func fill(part []byte, r io.Reader) (n int, err error) {
	for n < len(part) && err == nil {
		var m int
		m, err = r.Read(part[n:])
		n += m
	}
	return n, err
}

func digestOf(sum []byte) string { return "sha256:" + hex.EncodeToString(sum) }

// Verify reads content again, and removes and returns what is not what its digest says, or is missing.
func (s Store) Verify(digests []string) (damaged []string) {
	for _, d := range digests {
		if s.verify(d) != nil {
			damaged = append(damaged, d)
			if p := s.path(d); p != "" {
				_ = os.Remove(p)
			}
		}
	}
	return damaged
}

func (s Store) verify(digest string) error {
	f, err := s.Open(digest)
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }()
	sum := sha256.New()
	if _, err := io.Copy(sum, f); err != nil {
		return err
	}
	if got := digestOf(sum.Sum(nil)); got != digest {
		return fmt.Errorf("content of %s has the digest %s", digest, got)
	}
	return nil
}

// Collect removes what no image of targets needs, and what interrupted writers left, and returns how many bytes that freed.
// It waits until nobody uses the store. targets is called then, so that it knows of what was just recorded.
func (s Store) Collect(ctx context.Context, targets func() ([]string, error)) (freed int64, err error) {
	if _, err := os.Stat(s.dir); errors.Is(err, fs.ErrNotExist) {
		return 0, nil
	}
	release, err := s.lock(ctx, (*flock.Flock).TryLockContext)
	if err != nil {
		return 0, err
	}
	defer release()
	roots, err := targets()
	if err != nil {
		return 0, err
	}
	err = s.each(roots, func(path string, bytes int64) error {
		if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("collect the image store: %w", err)
		}
		freed += bytes
		return nil
	})
	return freed, err
}

// Unneeded is how many bytes Collect would free if nobody used the store.
func (s Store) Unneeded(targets []string) (bytes int64, err error) {
	err = s.each(targets, func(_ string, n int64) error {
		bytes += n
		return nil
	})
	return bytes, err
}

// each calls f with each file that no image of targets needs, and its size.
func (s Store) each(targets []string, f func(path string, bytes int64) error) error {
	keep := map[string]bool{}
	for _, target := range targets {
		for _, d := range s.Reachable(target) {
			keep[strings.TrimPrefix(d, "sha256:")] = true
		}
	}
	for _, dir := range []string{s.Blobs(), s.partial()} {
		entries, err := os.ReadDir(dir)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("read the image store: %w", err)
		}
		for _, e := range entries {
			info, err := e.Info()
			if keep[e.Name()] || err != nil {
				continue
			}
			if err := f(filepath.Join(dir, e.Name()), info.Size()); err != nil {
				return err
			}
		}
	}
	return nil
}

// Size returns the bytes on disk, all together, and what each of the targets takes; what several share counts for each.
func (s Store) Size(targets []string) (total int64, each map[string]int64, err error) {
	sizes := map[string]int64{}
	for _, dir := range []string{s.Blobs(), s.partial()} {
		entries, err := os.ReadDir(dir)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return 0, nil, fmt.Errorf("measure the image store: %w", err)
		}
		for _, e := range entries {
			if info, err := e.Info(); err == nil {
				sizes["sha256:"+e.Name()] = info.Size()
				total += info.Size()
			}
		}
	}
	each = map[string]int64{}
	for _, target := range targets {
		each[target] = 0
		for _, d := range s.Reachable(target) {
			each[target] += sizes[d]
		}
	}
	return total, each, nil
}

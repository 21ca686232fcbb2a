// Package registrystore keeps images on disk as a registry needs them: content by digest, and for each repository which manifests
// and tags it has. The registry of a cluster is one, the cache of all registries another.
//
// Several processes may use a store at once: the daemon of a cluster and a command, or the daemons of all clusters. Files appear
// whole, under their names. A lock file keeps Collect apart from what says that content is needed.
//
//	blobs/sha256/AB/HEX                   content, manifests too
//	repositories/NAME/_manifests/HEX      that the repository has this manifest, and its media type
//	repositories/NAME/_tags/TAG           which manifest that is
//	uploads/ID, uploads/ID.hash           what has been received of a blob, and the state of its digest
//	claims/HEX                            that a push which has not ended needs this content
//
// Nothing is kept in memory. Begin reading at Store.
package registrystore

import (
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// ErrNotFound is returned for what a store does not have.
var ErrNotFound = errors.New("it is not in the store")

// used is how exact the time is at which a blob was used last: a file is not touched more often.
const used = 10 * time.Minute

// Store is a store in a folder, which does not have to exist. It is safe for concurrent use.
type Store struct{ dir string }

// Open returns the store in a folder. It creates nothing.
func Open(dir string) *Store { return &Store{dir} }

var (
	repositoryPattern = regexp.MustCompile(`^[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*(/[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*)*$`)
	tagPattern        = regexp.MustCompile(`^[a-zA-Z0-9_][a-zA-Z0-9._-]{0,127}$`)
)

// maxRepository is the length of a name, so that it can be a path.
const maxRepository = 255

// ValidRepository reports whether a repository can have that name (https://github.com/opencontainers/distribution-spec).
func ValidRepository(name string) bool {
	return len(name) <= maxRepository && repositoryPattern.MatchString(name)
}

// ValidTag reports whether a tag can have that name.
func ValidTag(tag string) bool { return tagPattern.MatchString(tag) }

const digestPrefix = "sha256:"

// ValidDigest reports whether text is a digest of SHA-256, the only kind that a store has.
func ValidDigest(text string) bool {
	hexed, ok := strings.CutPrefix(text, digestPrefix)
	if !ok || len(hexed) != 64 || strings.ToLower(hexed) != hexed {
		return false
	}
	_, err := hex.DecodeString(hexed)
	return err == nil
}

func (s *Store) path(parts ...string) string {
	return filepath.Join(append([]string{s.dir}, parts...)...)
}

// blobPath is where the content of a valid digest is.
func (s *Store) blobPath(digest string) string {
	hexed := digest[len(digestPrefix):]
	return s.path("blobs", "sha256", hexed[:2], hexed)
}

// Blob opens content; the caller closes it. ErrNotFound says that there is none.
func (s *Store) Blob(digest string) (f *os.File, size int64, err error) {
	if !ValidDigest(digest) {
		return nil, 0, ErrNotFound
	}
	f, err = os.Open(s.blobPath(digest))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, 0, ErrNotFound
	}
	if err != nil {
		return nil, 0, err
	}
	info, err := f.Stat()
	if err != nil {
		return nil, 0, errors.Join(err, f.Close())
	}
	if now := time.Now(); now.Sub(info.ModTime()) > used {
		_ = os.Chtimes(f.Name(), now, now) // only Trim reads it, and may err
	}
	return f, info.Size(), nil
}

// Size returns how large content is. ErrNotFound says that there is none.
func (s *Store) Size(digest string) (int64, error) {
	if !ValidDigest(digest) {
		return 0, ErrNotFound
	}
	info, err := os.Stat(s.blobPath(digest))
	if errors.Is(err, fs.ErrNotExist) {
		return 0, ErrNotFound
	}
	if err != nil {
		return 0, err
	}
	return info.Size(), nil
}

// RemoveBlob removes content.
func (s *Store) RemoveBlob(digest string) error {
	unlock, err := s.lock(unix.LOCK_SH)
	if err != nil {
		return err
	}
	defer unlock()
	if _, err := s.Size(digest); err != nil {
		return err
	}
	return os.Remove(s.blobPath(digest))
}

// Claim says that a push which is under way needs content, and returns its size. Collect spares it for claimed, or until a manifest
// names it.
func (s *Store) Claim(digest string) (int64, error) {
	unlock, err := s.lock(unix.LOCK_SH)
	if err != nil {
		return 0, err
	}
	defer unlock()
	size, err := s.Size(digest)
	if err != nil {
		return 0, err
	}
	return size, s.claim(digest)
}

func (s *Store) claimPath(digest string) string { return s.path("claims", digest[len(digestPrefix):]) }

// claim is Claim with the lock held.
func (s *Store) claim(digest string) error {
	file := s.claimPath(digest)
	now := time.Now()
	if err := os.Chtimes(file, now, now); err == nil {
		return nil
	}
	if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
		return err
	}
	return os.WriteFile(file, nil, 0o600)
}

// lock takes the store's lock, shared (LOCK_SH) by whoever needs content, alone (LOCK_EX) by Collect. A process that ends releases it.
func (s *Store) lock(how int) (unlock func(), err error) {
	if err := os.MkdirAll(s.dir, 0o700); err != nil {
		return nil, fmt.Errorf("make the folder of images: %w", err)
	}
	f, err := os.OpenFile(s.path("lock"), os.O_CREATE|os.O_RDONLY, 0o600)
	if err != nil {
		return nil, fmt.Errorf("lock the images: %w", err)
	}
	for {
		err = unix.Flock(int(f.Fd()), how)
		if !errors.Is(err, unix.EINTR) {
			break
		}
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("lock the images: %w", err), f.Close())
	}
	return func() { _ = f.Close() }, nil
}

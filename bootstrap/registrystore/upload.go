package registrystore

import (
	"bytes"
	"crypto/rand"
	"crypto/sha256"
	"encoding"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"

	"golang.org/x/sys/unix"
)

// ErrDigest says that content is not what its digest says.
var ErrDigest = errors.New("the content has another digest")

// Upload is content that is being received, in one piece or several, by this process or another one after it. It is for one
// goroutine.
type Upload struct {
	// ID is its name until Commit.
	ID    string
	store *Store
	file  *os.File
	hash  hash.Hash
	size  int64
}

var uploadPattern = regexp.MustCompile(`^[0-9a-f]{32}$`)

// Begin begins an upload. The caller closes it; Resume continues with it then.
func (s *Store) Begin() (*Upload, error) {
	if err := os.MkdirAll(s.path("uploads"), 0o700); err != nil {
		return nil, err
	}
	random := make([]byte, 16)
	_, _ = rand.Read(random) // never fails
	u := &Upload{ID: hex.EncodeToString(random), store: s, hash: sha256.New()}
	var err error
	if u.file, err = os.OpenFile(s.path("uploads", u.ID), os.O_CREATE|os.O_EXCL|os.O_RDWR, 0o600); err != nil {
		return nil, err
	}
	return u, nil
}

// Resume goes on with an upload. ErrNotFound says that there is none of that name.
func (s *Store) Resume(id string) (*Upload, error) {
	if !uploadPattern.MatchString(id) {
		return nil, ErrNotFound
	}
	f, err := os.OpenFile(s.path("uploads", id), os.O_RDWR, 0)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, ErrNotFound
	}
	if err != nil {
		return nil, err
	}
	// Two clients that continue the same upload would mix up its content.
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		return nil, errors.Join(fmt.Errorf("another request continues this upload: %w", err), f.Close())
	}
	u := &Upload{ID: id, store: s, file: f, hash: sha256.New()}
	if err := u.recall(); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return u, nil
}

// recall reads the state of the digest, or computes it again if that was not written.
func (u *Upload) recall() error {
	info, err := u.file.Stat()
	if err != nil {
		return err
	}
	u.size = info.Size()
	if state, err := os.ReadFile(u.file.Name() + ".hash"); err == nil {
		sum, rest, ok := bytes.Cut(state, []byte{'\n'})
		if ok && string(sum) == fmt.Sprint(u.size) && u.hash.(encoding.BinaryUnmarshaler).UnmarshalBinary(rest) == nil {
			_, err = u.file.Seek(u.size, io.SeekStart)
			return err
		}
	}
	u.hash.Reset()
	u.size, err = io.Copy(u.hash, u.file)
	return err
}

// Size is how much has been received.
func (u *Upload) Size() int64 { return u.size }

// chunk is how much is read at once. A push has one of these for each layer that is on its way.
const chunk = 256 << 10

// Append receives what r has. If it fails, what was received until then is part of the upload.
func (u *Upload) Append(r io.Reader) error {
	_, err := io.CopyBuffer(u, struct{ io.Reader }{r}, make([]byte, chunk))
	return err
}

// Write receives a piece.
func (u *Upload) Write(p []byte) (int, error) {
	n, err := u.file.Write(p)
	_, _ = u.hash.Write(p[:n]) // never fails
	u.size += int64(n)
	return n, err
}

// File is where what has been received is until Commit, for others to read.
func (u *Upload) File() string { return u.store.path("uploads", u.ID) }

// Close ends the work with an upload that goes on later.
func (u *Upload) Close() error {
	if u.file == nil {
		return nil
	}
	state, err := u.hash.(encoding.BinaryMarshaler).MarshalBinary()
	if err == nil {
		err = os.WriteFile(u.file.Name()+".hash", append(fmt.Appendf(nil, "%d\n", u.size), state...), 0o600)
	}
	return errors.Join(err, u.end())
}

func (u *Upload) end() error {
	f := u.file
	u.file = nil
	return f.Close()
}

// Abort removes the upload.
func (u *Upload) Abort() error {
	if u.file == nil {
		return nil
	}
	name := u.file.Name()
	_ = os.Remove(name + ".hash") // it may not exist
	return errors.Join(os.Remove(name), u.end())
}

// Digest is that of what has been received.
func (u *Upload) Digest() string { return digestPrefix + hex.EncodeToString(u.hash.Sum(nil)) }

// Commit makes the upload content of the store, which a push that is under way needs. ErrDigest says that it is not what digest
// says; then it is removed.
func (u *Upload) Commit(digest string) error {
	if got := u.Digest(); got != digest {
		return errors.Join(fmt.Errorf("%w: %s", ErrDigest, got), u.Abort())
	}
	// Else what a machine that loses power leaves under this name would count as the content for ever.
	if err := u.file.Sync(); err != nil {
		return errors.Join(err, u.Abort())
	}
	unlock, err := u.store.lock(unix.LOCK_SH)
	if err != nil {
		return err
	}
	defer unlock()
	to, from := u.store.blobPath(digest), u.file.Name()
	_ = os.Remove(from + ".hash") // it may not exist
	if err := os.MkdirAll(filepath.Dir(to), 0o700); err != nil {
		return err
	}
	if err := os.Rename(from, to); err != nil {
		return err
	}
	return errors.Join(u.end(), u.store.claim(digest))
}

// Put makes data content of the store, and returns its digest.
func (s *Store) Put(data []byte) (string, error) {
	u, err := s.Begin()
	if err != nil {
		return "", err
	}
	if err := u.Append(bytes.NewReader(data)); err != nil {
		return "", errors.Join(err, u.Abort())
	}
	digest := u.Digest()
	return digest, u.Commit(digest)
}

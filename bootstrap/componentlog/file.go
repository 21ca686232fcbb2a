package componentlog

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
)

// maxSize is the size at which a file is rotated. One older generation is kept as NAME.log.1, so that a component takes
// at most 20 MB of disk, about a day of a busy API server.
const maxSize = 10 << 20

// File appends to a file that takes, like those of a Set, at most 20 MB with its older generation. It is created with the
// first Write, each of which should have whole lines.
func File(path string) io.WriteCloser { return &rotatingFile{path: path, max: maxSize} }

// rotatingFile appends to a file and renames it to PATH.1 when it has grown to max. The zero file pointer means that it
// is not open (yet).
type rotatingFile struct {
	path string
	max  int64
	// opened, if set, is called with each new file.
	opened func(*os.File)

	mu   sync.Mutex // guards what follows
	file *os.File
	size int64
}

func (r *rotatingFile) Write(p []byte) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.file != nil && r.size+int64(len(p)) > r.max {
		if err := r.rotate(); err != nil {
			return 0, err
		}
	}
	if r.file == nil {
		if err := r.open(); err != nil {
			return 0, err
		}
	}
	n, err := r.file.Write(p)
	r.size += int64(n)
	return n, err
}

func (r *rotatingFile) Close() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.close()
}

func (r *rotatingFile) close() error {
	if r.file == nil {
		return nil
	}
	err := r.file.Close()
	r.file, r.size = nil, 0
	return err
}

func (r *rotatingFile) open() error {
	// 0700 and 0600: logs name people's workloads, and at high verbosity their contents.
	f, err := os.OpenFile(r.path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if errors.Is(err, fs.ErrNotExist) {
		if err = os.MkdirAll(filepath.Dir(r.path), 0o700); err != nil {
			return err
		}
		f, err = os.OpenFile(r.path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	}
	if err != nil {
		return err
	}
	info, err := f.Stat()
	if err != nil {
		return errors.Join(err, f.Close())
	}
	r.file, r.size = f, info.Size()
	if r.opened != nil {
		r.opened(f)
	}
	return nil
}

func (r *rotatingFile) rotate() error {
	if err := r.close(); err != nil {
		return err
	}
	return os.Rename(r.path, r.path+".1")
}

// lockedWriter makes a redirected component's writer safe for many goroutines.
type lockedWriter struct {
	mu sync.Mutex // guards w
	w  io.Writer
}

func (l *lockedWriter) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.w.Write(p)
}

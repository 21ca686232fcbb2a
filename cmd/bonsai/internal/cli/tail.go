package cli

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"time"

	"bonsai/bootstrap/fault"
)

// tailer shows the end of a file that may grow and be rotated meanwhile.
type tailer struct {
	path   string
	lines  int // from the end; negative: all
	follow bool
}

// pollInterval is how often a followed file is looked at; log lines are read by people.
const pollInterval = 200 * time.Millisecond

func (t tailer) copy(ctx context.Context, w io.Writer) error {
	f, err := os.Open(t.path)
	if errors.Is(err, fs.ErrNotExist) {
		return fault.Newf(fault.NotRunning, "there is no log %s yet", t.path)
	}
	if err != nil {
		return fault.New(fault.State, "read a log", err)
	}
	defer func() { _ = f.Close() }()
	if err := seekLines(f, t.lines); err != nil {
		return fault.New(fault.State, "read a log", err)
	}
	ticker := time.NewTicker(pollInterval)
	defer ticker.Stop()
	for {
		if _, err := io.Copy(w, f); err != nil {
			return fmt.Errorf("read %s: %w", t.path, err)
		}
		if !t.follow {
			return nil
		}
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
		}
		if next := t.rotated(f); next != nil {
			_, err := io.Copy(w, f) // what came in before the change
			_ = f.Close()
			if f = next; err != nil {
				return fmt.Errorf("read %s: %w", t.path, err)
			}
		}
	}
}

// rotated returns the file that has taken f's place, nil if none has. A file that shrank is read again from its begin.
func (t tailer) rotated(f *os.File) *os.File {
	there, err := os.Stat(t.path)
	if err != nil {
		return nil // between two generations
	}
	ours, err := f.Stat()
	if err != nil {
		return nil
	}
	at, err := f.Seek(0, io.SeekCurrent)
	if err != nil || os.SameFile(there, ours) && there.Size() >= at {
		return nil
	}
	next, err := os.Open(t.path)
	if err != nil {
		return nil
	}
	return next
}

// seekLines goes to where the last n lines begin.
func seekLines(f *os.File, n int) error {
	if n < 0 {
		return nil
	}
	end, err := f.Seek(0, io.SeekEnd)
	if err != nil || n == 0 {
		return err
	}
	buf := make([]byte, 64<<10)
	// The line break at the very end closes the last line and begins none.
	for at, from := end, end-1; at > 0; {
		size := min(at, int64(len(buf)))
		at -= size
		if _, err := f.ReadAt(buf[:size], at); err != nil {
			return err
		}
		part := buf[:min(size, from-at)]
		for i := bytes.LastIndexByte(part, '\n'); i >= 0; i = bytes.LastIndexByte(part[:i], '\n') {
			if n--; n == 0 {
				_, err := f.Seek(at+int64(i)+1, io.SeekStart)
				return err
			}
		}
		from = at
	}
	_, err = f.Seek(0, io.SeekStart)
	return err
}

package componentlog

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"time"
)

// followInterval is how often a followed file is checked; log lines are read by people.
const followInterval = 200 * time.Millisecond

// Tail copies the last lines of a log file (negative: all of it) to w. With follow it continues with appended lines,
// across rotations, until ctx ends, which is not an error then. A file that does not exist is fs.ErrNotExist.
func Tail(ctx context.Context, path string, lines int, follow bool, w io.Writer) error {
	f, err := os.Open(path)
	if err != nil {
		return fmt.Errorf("open log: %w", err)
	}
	defer func() { _ = f.Close() }()
	if err := seekLines(f, lines); err != nil {
		return fmt.Errorf("read log %s: %w", path, err)
	}
	tick := time.NewTicker(followInterval)
	defer tick.Stop()
	for {
		if _, err := io.Copy(w, f); err != nil {
			return fmt.Errorf("read log %s: %w", path, err)
		}
		if !follow {
			return nil
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		if next := rotated(f, path); next != nil {
			_, err := io.Copy(w, f) // what came in before the change
			_ = f.Close()
			if f = next; err != nil {
				return fmt.Errorf("read log %s: %w", path, err)
			}
		}
	}
}

// rotated returns the file that has replaced f, nil if none has. A file that shrank is read again from its start.
func rotated(f *os.File, path string) *os.File {
	there, err := os.Stat(path)
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
	next, err := os.Open(path)
	if err != nil {
		return nil
	}
	return next
}

// seekLines seeks to the start of the last n lines.
func seekLines(f *os.File, n int) error {
	if n < 0 {
		return nil
	}
	end, err := f.Seek(0, io.SeekEnd)
	if err != nil || n == 0 {
		return err
	}
	buf := make([]byte, 64<<10)
	// The line break at the very end closes the last line and does not start another one.
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

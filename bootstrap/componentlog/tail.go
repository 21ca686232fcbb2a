package componentlog

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"time"
)

// followInterval is how often Tail looks for more; a person reads slower.
const followInterval = 200 * time.Millisecond

// Tail copies the last lines of a log file (0 or less: all of it) to w. With follow it goes on with what is appended,
// through rotations, until ctx ends, which is no error then.
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
		if _, err := io.Copy(w, f); err != nil || !follow {
			return err
		}
		if next, err := reopened(f, path); err != nil {
			return err
		} else if next != nil {
			_ = f.Close()
			f = next
			continue
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

// reopened returns the file that path is now, if it is another one than f.
func reopened(f *os.File, path string) (*os.File, error) {
	ours, err := f.Stat()
	if err != nil {
		return nil, err
	}
	there, err := os.Stat(path)
	if err != nil || os.SameFile(ours, there) {
		return nil, nil // between two files of a rotation there is none: look again later
	}
	return os.Open(path)
}

// seekLines moves f to where its last n lines begin.
func seekLines(f *os.File, n int) error {
	if n <= 0 {
		return nil
	}
	end, err := f.Seek(0, io.SeekEnd)
	if err != nil {
		return err
	}
	block := make([]byte, 32<<10)
	for pos := end; pos > 0; {
		size := min(int64(len(block)), pos)
		pos -= size
		if _, err := f.ReadAt(block[:size], pos); err != nil {
			return err
		}
		for i := size; i > 0; {
			i = int64(bytes.LastIndexByte(block[:i], '\n'))
			if i < 0 {
				break
			}
			if pos+i == end-1 {
				continue // ends the last line
			}
			if n--; n == 0 {
				_, err := f.Seek(pos+i+1, io.SeekStart)
				return err
			}
		}
	}
	_, err = f.Seek(0, io.SeekStart)
	return err
}

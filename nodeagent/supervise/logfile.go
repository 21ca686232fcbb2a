package supervise

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"time"
)

const (
	// maxLog is the size at which a log is moved to NAME.1; a component takes at most twice that, plus what it writes
	// between two checks.
	maxLog     = 10 << 20
	checkEvery = 30 * time.Second
)

// logFile is a log that child processes write to directly. Since they keep the file open, it cannot be renamed: it is
// copied and truncated, which loses what is written in between. Every writer appends, so truncating is safe.
type logFile struct {
	file *os.File
	max  int64
}

func openLog(path string) (*logFile, error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_APPEND|os.O_RDWR, 0o640)
	if err != nil {
		return nil, fmt.Errorf("open log: %w", err)
	}
	l := &logFile{file: f, max: maxLog}
	if err := l.bound(); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return l, nil
}

// File is passed to the child.
func (l *logFile) File() *os.File { return l.file }

// Close closes our own handle.
func (l *logFile) Close() error { return l.file.Close() }

// keepBounded checks the size until ctx ends. After a failure (a full disk) the log stays as it is.
func (l *logFile) keepBounded(ctx context.Context) {
	ticker := time.NewTicker(checkEvery)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
			_ = l.bound()
		}
	}
}

func (l *logFile) bound() error {
	info, err := l.file.Stat()
	if err != nil || info.Size() < l.max {
		return err
	}
	old, err := os.OpenFile(l.file.Name()+".1", os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o640)
	if err != nil {
		return fmt.Errorf("rotate log: %w", err)
	}
	_, err = io.Copy(old, io.NewSectionReader(l.file, 0, info.Size()))
	if err := errors.Join(err, old.Close()); err != nil {
		return fmt.Errorf("rotate log: %w", err)
	}
	return l.file.Truncate(0)
}

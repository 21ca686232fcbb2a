// Package lastwords keeps why a process ended, for others to read afterwards.
//
// A process that has no file descriptor or no disk left has to be able to say so. So the file is opened, and its room on
// the disk taken, while all is well (Open). The Go runtime writes a panic into the same file. What a process said first
// counts: the rest follows from it.
//
// A process that ends in order withdraws its file. A file without words therefore means that the process was killed
// before it could say anything. Begin reading at Open and Read.
package lastwords

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"runtime/debug"
	"strings"
	"sync"
)

// room is what is reserved on the disk: a reason, and the stack of the goroutine that panicked.
const room = 16 << 10

// maxReason is how much of a reason is kept.
const maxReason = 4 << 10

// end ends a reason in the file; the Go runtime separates a panic's text from the stack in the same way.
const end = "\n\n"

// Record is the open file of a running process.
type Record struct {
	path string

	mu   sync.Mutex // guards the rest
	file *os.File
	said bool
}

// Open empties the file at path, or creates it, for this process, and makes it the place of the Go runtime's crash
// reports; they go to stderr as well.
func Open(path string) (*Record, error) {
	// Appending, because the runtime writes to a copy of the descriptor.
	f, err := os.OpenFile(path, os.O_CREATE|os.O_TRUNC|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, err
	}
	// A file system that cannot do this keeps no room; the words are lost only if it is full.
	_ = reserve(f, room)
	if err := debug.SetCrashOutput(f, debug.CrashOptions{}); err != nil {
		return nil, fmt.Errorf("have crash reports written to %s: %w", path, errors.Join(err, f.Close()))
	}
	return &Record{path: path, file: f}, nil
}

// Say records why the process is about to end; only the first reason is kept. It needs no descriptor and no room.
func (r *Record) Say(reason string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	reason = strings.TrimSpace(reason)
	for strings.Contains(reason, end) {
		reason = strings.ReplaceAll(reason, end, "\n")
	}
	if r.said || r.file == nil || reason == "" {
		return
	}
	r.said = true
	_, _ = r.file.WriteString(reason[:min(len(reason), maxReason)] + end)
}

// Close ends the record of a process that goes on without it; the file stays.
func (r *Record) Close() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.file == nil {
		return nil
	}
	err := errors.Join(debug.SetCrashOutput(nil, debug.CrashOptions{}), r.file.Close())
	r.file = nil
	return err
}

// Withdraw removes the file: the process ends in order.
func (r *Record) Withdraw() error {
	return errors.Join(r.Close(), Forget(r.path))
}

// Forget removes the file of a process that has ended.
func Forget(path string) error {
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// Read returns the reason in the file at path, "" if it has none. left reports whether there is a file at all: the
// process has not ended in order, or it is still running.
func Read(path string) (reason string, left bool) {
	reason, _, left = Report(path)
	return reason, left
}

// Report is Read, with what follows the reason: the stack of the goroutine that panicked, if any.
func Report(path string) (reason, stack string, left bool) {
	f, err := os.Open(path)
	if err != nil {
		return "", "", false
	}
	defer func() { _ = f.Close() }()
	text, err := io.ReadAll(io.LimitReader(f, room))
	if err != nil {
		return "", "", true
	}
	reason, stack, _ = strings.Cut(strings.TrimSpace(string(text)), end)
	if strings.HasPrefix(reason, "goroutine ") {
		return "", string(text), true // the runtime writes the reasons of its own fatal errors to stderr only
	}
	return reason, strings.TrimSpace(stack), true
}

package tui

import (
	"io"
	"os"
	"sync"
)

// shareWriter lets the program and others write to one terminal, one write at a time. What is a file stays one: the
// program asks it for its size.
func shareWriter(out io.Writer) io.Writer {
	if f, ok := out.(*os.File); ok {
		return &sharedFile{File: f}
	}
	return &sharedWriter{w: out}
}

type sharedFile struct {
	*os.File
	mu sync.Mutex // held while something is written
}

func (f *sharedFile) Write(p []byte) (int, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.File.Write(p)
}

type sharedWriter struct {
	mu sync.Mutex // guards w
	w  io.Writer
}

func (s *sharedWriter) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.w.Write(p)
}

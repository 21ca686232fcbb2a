// Package componentlog gives each component of a process that runs several its own log file.
//
// Kubernetes' components log through one process-wide klog. A Set distributes klog's records (klog.SetSlogLogger with
// Set.Handler) to one file per component: a record belongs to the component whose source package wrote it. Records from
// libraries that all components share (client-go…) go to the process's default component, unless the component was
// given its own logger (Set.ComponentHandler), which upstream's contextual logging passes on to the libraries it calls.
//
// The package imports only the standard library. Begin reading at Set.
package componentlog

import (
	"cmp"
	"context"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
)

// Prefix maps the code of one package tree to a component.
type Prefix struct {
	// Package is an import path; it stands for the package and all packages below it. The longest match wins.
	Package string
	// Component names the log file, without ".log".
	Component string
}

// Set is the log files of one process. Its methods may be called from any goroutine.
type Set struct {
	// Level is the least important level that is written; klog's V(n) is slog's level -n. It may be changed at any
	// time; zero is klog's V(0).
	Level slog.LevelVar

	// levels are those of components that log more than Level says.
	levels map[string]slog.Level

	dir   string
	def   string
	table []Prefix
	byPC  sync.Map // uintptr → string; a program has few thousand log statements

	mu     sync.Mutex // guards what follows
	files  map[string]io.Writer
	errors []loggedError // the last few
}

// New returns a set whose files are in dir. Records that match no entry of table belong to the component def. A file is
// opened at its first record; until the folder is writable, records go to the process's stderr.
func New(dir, def string, table []Prefix) *Set {
	sorted := slices.Clone(table)
	slices.SortStableFunc(sorted, func(a, b Prefix) int { return cmp.Compare(len(b.Package), len(a.Package)) })
	return &Set{dir: dir, def: def, table: sorted, files: map[string]io.Writer{}}
}

// Verbose makes a component log more, as klog's -v does. Call it before the first record.
func (s *Set) Verbose(component string, v int) {
	if s.levels == nil {
		s.levels = map[string]slog.Level{}
	}
	s.levels[component] = slog.Level(-v)
}

// level is the least important level that a component writes; that of any component for "".
func (s *Set) level(component string) slog.Level {
	level := s.Level.Level()
	for name, more := range s.levels {
		if component == "" || name == component {
			level = min(level, more)
		}
	}
	return level
}

// Redirect sends a component's records to w instead of a file; w gets whole lines, one Write each, never concurrently.
// Call it before the first record.
func (s *Set) Redirect(component string, w io.Writer) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.files[component] = &lockedWriter{w: w}
}

// Attach is for a component whose file is also the process's stdout and stderr, for what does not log, such as a panic: they
// follow it through rotations. If stderr leads elsewhere, such as to a terminal, the component's records go there. Call it
// before the first record.
func (s *Set) Attach(component string) {
	path := filepath.Join(s.dir, component+".log")
	file, err := os.Stat(path)
	stderr, statErr := os.Stderr.Stat()
	if err != nil || statErr != nil || !os.SameFile(file, stderr) {
		s.Redirect(component, os.Stderr)
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.files[component] = &rotatingFile{path: path, max: maxSize, opened: becomeOutput}
}

// Handler sorts records by the package that wrote them.
func (s *Set) Handler() slog.Handler { return &handler{set: s} }

// ComponentHandler writes every record to one component's file.
func (s *Set) ComponentHandler(component string) slog.Handler {
	return &handler{set: s, component: component}
}

// Writer returns the raw log file of a component, for output that is already text (etcd, a child process). Each Write
// should contain whole lines, so that a rotation never cuts one.
func (s *Set) Writer(component string) io.Writer {
	s.mu.Lock()
	defer s.mu.Unlock()
	w, ok := s.files[component]
	if !ok {
		w = &rotatingFile{path: filepath.Join(s.dir, component+".log"), max: maxSize}
		s.files[component] = w
	}
	return w
}

// Close closes the files. A later record opens its file again, so that nothing logged while a process ends is lost.
func (s *Set) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	var first error
	for _, w := range s.files {
		if c, ok := w.(io.Closer); ok {
			first = cmp.Or(first, c.Close())
		}
	}
	return first
}

// componentAt returns the component of the code at pc, or def if there is none.
func (s *Set) componentAt(pc uintptr) string {
	if pc == 0 {
		return s.def
	}
	if c, ok := s.byPC.Load(pc); ok {
		return c.(string)
	}
	c := s.componentOf(frameAt(pc).Function)
	s.byPC.Store(pc, c)
	return c
}

// componentOf matches a function's full name ("k8s.io/kubernetes/pkg/proxy/nftables.(*Proxier).sync").
func (s *Set) componentOf(function string) string {
	for _, p := range s.table {
		rest, ok := strings.CutPrefix(function, p.Package)
		if ok && (rest == "" || rest[0] == '/' || rest[0] == '.') {
			return p.Component
		}
	}
	return s.def
}

func frameAt(pc uintptr) runtime.Frame {
	f, _ := runtime.CallersFrames([]uintptr{pc}).Next()
	return f
}

// handler is the slog.Handler of a set, with the attributes and groups that With added.
type handler struct {
	set       *Set
	component string // "" sorts by package
	prefix    string // of keys: open groups, each with a dot
	attrs     []byte // formatted, with a leading space each
}

var _ slog.Handler = (*handler)(nil)

func (h *handler) Enabled(_ context.Context, l slog.Level) bool {
	return l >= h.set.level(h.component)
}

func (h *handler) Handle(_ context.Context, r slog.Record) error {
	component := h.component
	if component == "" {
		component = h.set.componentAt(r.PC)
		if r.Level < h.set.level(component) {
			return nil
		}
	}
	line := appendHeader(make([]byte, 0, 256), r)
	header := len(line)
	line = appendMessage(line, r.Message)
	line = append(line, h.attrs...)
	r.Attrs(func(a slog.Attr) bool {
		line = appendAttr(line, h.prefix, a)
		return true
	})
	if r.Level >= slog.LevelError {
		h.set.noteError(r, component, string(line[header:]))
	}
	_, err := h.set.Writer(component).Write(append(line, '\n'))
	if err != nil {
		_, err = os.Stderr.Write(append(line, '\n'))
	}
	return err
}

func (h *handler) WithAttrs(attrs []slog.Attr) slog.Handler {
	clone := *h
	clone.attrs = slices.Clip(h.attrs)
	for _, a := range attrs {
		clone.attrs = appendAttr(clone.attrs, h.prefix, a)
	}
	return &clone
}

func (h *handler) WithGroup(name string) slog.Handler {
	if name == "" {
		return h
	}
	clone := *h
	clone.prefix += name + "."
	return &clone
}

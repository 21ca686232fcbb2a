package componentlog_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-logr/logr"
	"go.uber.org/goleak"
	"k8s.io/klog/v2"

	"bonsai/bootstrap/componentlog"
)

func TestMain(m *testing.M) {
	if dir := os.Getenv(envDir); dir != "" {
		logAndPanic(dir)
	}
	goleak.VerifyTestMain(m)
}

// self is this test's own package; "here" stands for any component that is determined by its package.
const self = "bonsai/bootstrap/componentlog_test"

func newSet(t *testing.T, table ...componentlog.Prefix) (*componentlog.Set, string) {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "logs")
	s := componentlog.New(dir, "default", table)
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s, dir
}

func content(t *testing.T, dir, component string) string {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(dir, component+".log"))
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		t.Fatal(err)
	}
	return string(b)
}

// Each of klog's ways to log must arrive with the caller's own place in the source, or the sorting is worthless.
func TestKlogRecordsAreSortedByTheirCaller(t *testing.T) {
	s, dir := newSet(t, componentlog.Prefix{Package: self, Component: "here"})
	klog.SetSlogLogger(slog.New(s.Handler()))
	t.Cleanup(klog.ClearLogger)
	ctx := context.Background()

	klog.InfoS("one")
	klog.Infof("two %d", 2)
	klog.ErrorS(errors.New("no"), "three")
	klog.Warning("four")
	klog.V(0).InfoS("five")
	klog.FromContext(ctx).Info("six")
	klog.FromContext(ctx).WithName("n").WithValues("k", "v").Error(nil, "seven")
	klog.LoggerWithValues(klog.Background(), "a", 1).V(0).Info("eight")

	if got := content(t, dir, "default"); got != "" {
		t.Errorf("records of the default component: %q, want none", got)
	}
	lines := strings.Split(strings.TrimSpace(content(t, dir, "here")), "\n")
	if len(lines) != 8 {
		t.Fatalf("got %d lines, want 8:\n%s", len(lines), strings.Join(lines, "\n"))
	}
	header := regexp.MustCompile(`^[IWE]\d{4} \d\d:\d\d:\d\d\.\d{6} componentlog_test\.go:\d+\] `)
	for _, l := range lines {
		if !header.MatchString(l) {
			t.Errorf("line %q does not begin with the header of this file", l)
		}
	}
}

func TestLongestPrefixWins(t *testing.T) {
	s, dir := newSet(t,
		componentlog.Prefix{Package: "bonsai", Component: "wide"},
		componentlog.Prefix{Package: self, Component: "exact"},
		componentlog.Prefix{Package: self + "x", Component: "other"},
		// A prefix of the name that ends inside a path element is another package.
		componentlog.Prefix{Package: strings.TrimSuffix(self, "t"), Component: "cut"},
	)
	slog.New(s.Handler()).Info("m")
	if got := content(t, dir, "exact"); !strings.HasSuffix(got, "] m\n") {
		t.Errorf("exact.log = %q, want the record", got)
	}
}

func TestComponentHandlerIgnoresThePackage(t *testing.T) {
	s, dir := newSet(t, componentlog.Prefix{Package: self, Component: "here"})
	logr.FromSlogHandler(s.ComponentHandler("given")).Info("m")
	if got := content(t, dir, "given"); !strings.Contains(got, "] m\n") {
		t.Errorf("given.log = %q, want the record", got)
	}
}

type nilError struct{ text string }

func (e *nilError) Error() string { return e.text }

func TestLineFormat(t *testing.T) {
	pod := klog.KRef("ns", "web")
	for name, tc := range map[string]struct {
		log  func(*slog.Logger)
		want string
	}{
		"plain":          {func(l *slog.Logger) { l.Info("node ready") }, `node ready`},
		"values":         {func(l *slog.Logger) { l.Info("m", "n", 3, "s", "a b", "ok", true) }, `m n=3 s="a b" ok=true`},
		"error":          {func(l *slog.Logger) { l.Error("m", "err", fmt.Errorf("x: %w", os.ErrExist)) }, `m err="x: file already exists"`},
		"duration":       {func(l *slog.Logger) { l.Info("m", "took", 1500*time.Millisecond) }, `m took="1.5s"`},
		"object":         {func(l *slog.Logger) { l.Info("m", "pod", pod) }, `m pod="ns/web"`},
		"group":          {func(l *slog.Logger) { l.WithGroup("g").Info("m", slog.Group("h", "a", 1)) }, `m g.h.a=1`},
		"with":           {func(l *slog.Logger) { l.With("a", 1).WithGroup("g").With("b", 2).Info("m", "c", 3) }, `m a=1 g.b=2 g.c=3`},
		"two lines":      {func(l *slog.Logger) { l.Info("a\nb", "v", "c\nd") }, `"a\nb" v="c\nd"`},
		"trailing lines": {func(l *slog.Logger) { l.Info("a\n") }, `a`},
		"struct":         {func(l *slog.Logger) { l.Info("m", "v", struct{ A, B int }{1, 2}) }, `m v="{A:1 B:2}"`},
		"panics":         {func(l *slog.Logger) { l.Info("m", "err", (*nilError)(nil)) }, `m err="<panic: runtime error: invalid memory address or nil pointer dereference>"`},
		"nil":            {func(l *slog.Logger) { l.Info("m", "v", nil) }, `m v="<nil>"`},
	} {
		t.Run(name, func(t *testing.T) {
			s, dir := newSet(t)
			tc.log(slog.New(s.Handler()))
			_, got, _ := strings.Cut(content(t, dir, "default"), "] ")
			if got != tc.want+"\n" {
				t.Errorf("got  %q\nwant %q", got, tc.want+"\n")
			}
		})
	}
}

func TestLevel(t *testing.T) {
	s, dir := newSet(t)
	l := logr.FromSlogHandler(s.Handler())
	l.V(2).Info("hidden")
	s.Level.Set(-2)
	l.V(2).Info("shown")
	l.V(3).Info("hidden too")
	if got := content(t, dir, "default"); strings.Count(got, "\n") != 1 || !strings.Contains(got, "shown") {
		t.Errorf("default.log = %q, want one line with shown", got)
	}
}

func TestRedirect(t *testing.T) {
	s, dir := newSet(t)
	var buf bytes.Buffer
	s.Redirect("default", &buf)
	slog.New(s.Handler()).Warn("careful")
	if !strings.HasPrefix(buf.String(), "W") || !strings.Contains(buf.String(), "careful") {
		t.Errorf("redirected to %q, want the warning", buf.String())
	}
	if got := content(t, dir, "default"); got != "" {
		t.Errorf("default.log = %q, want no file", got)
	}
}

func TestFileIsRotatedAndPrivate(t *testing.T) {
	s, dir := newSet(t)
	w := s.Writer("big")
	chunk := bytes.Repeat([]byte("x"), 1<<20)
	for range 25 {
		if _, err := w.Write(chunk); err != nil {
			t.Fatal(err)
		}
	}
	var total int64
	for _, name := range []string{"big.log", "big.log.1"} {
		info, err := os.Stat(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		if info.Size() > 10<<20 {
			t.Errorf("%s has %d bytes, want 10 MiB at most", name, info.Size())
		}
		if info.Mode().Perm() != 0o600 {
			t.Errorf("%s has mode %v, want 0600", name, info.Mode())
		}
		total += info.Size()
	}
	if total != 15<<20 {
		t.Errorf("kept %d bytes, want the newest 15 MiB", total)
	}
}

func TestManyWriters(t *testing.T) {
	s, dir := newSet(t, componentlog.Prefix{Package: self, Component: "here"})
	l := slog.New(s.Handler())
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			for j := range 100 {
				l.Info("m", "i", i, "j", j)
			}
		})
	}
	wg.Wait()
	lines := strings.Split(strings.TrimSpace(content(t, dir, "here")), "\n")
	if len(lines) != 800 {
		t.Fatalf("got %d lines, want 800", len(lines))
	}
	whole := regexp.MustCompile(`\] m i=\d j=\d+$`)
	for _, line := range lines {
		if !whole.MatchString(line) {
			t.Fatalf("broken line %q", line)
		}
	}
}

func TestLogsAfterClose(t *testing.T) {
	s, dir := newSet(t)
	l := slog.New(s.Handler())
	l.Info("before")
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	l.Info("after")
	if got := content(t, dir, "default"); strings.Count(got, "\n") != 2 {
		t.Errorf("default.log = %q, want two lines", got)
	}
}

// giveUp is a component that ends the process.
func giveUp(s *componentlog.Set, meanwhile func()) string {
	klog.ErrorS(errors.New("no room"), "post-start hook failed")
	meanwhile()
	return s.LastError()
}

func TestTheLastErrorIsThatOfTheGoroutineThatExits(t *testing.T) {
	s, _ := newSet(t, componentlog.Prefix{Package: self, Component: "here"})
	if got := s.LastError(); got != "" {
		t.Errorf("before any error: %q", got)
	}
	klog.SetSlogLogger(slog.New(s.Handler()))
	t.Cleanup(klog.ClearLogger)
	other := make(chan func())
	go func() {
		for f := range other {
			f()
		}
	}()
	defer close(other)
	got := giveUp(s, func() {
		done := make(chan struct{})
		other <- func() {
			slog.New(s.ComponentHandler("other")).Error("also in trouble")
			klog.InfoS("not an error")
			close(done)
		}
		<-done
	})
	if want := `here: post-start hook failed err="no room"`; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	for range 100 { // what this goroutine has logged is forgotten
		slog.New(s.ComponentHandler("other")).Error("still in trouble")
	}
	if want := "other: still in trouble"; s.LastError() != want {
		t.Errorf("got %q, want %q", s.LastError(), want)
	}
}

package bonsaitest

import (
	"context"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// Start starts a cluster that ends with the test, and returns when it can be used. Tests that run in parallel may each start
// theirs. If it cannot be started, the test fails at once.
func Start(t testing.TB, options ...Option) *Cluster {
	t.Helper()
	c, err := New(t.Context(), options...)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("cluster %s is ready in %s", c.Name, c.Took.Round(time.Millisecond))
	t.Cleanup(func() {
		ctx := context.Background() // that of the test has ended
		if t.Failed() {
			t.Log(c.report(ctx, artifacts(t)))
			if os.Getenv(EnvKeep) != "" {
				t.Logf("cluster %s is kept; delete it with:  %s delete -p %s", c.Name, c.executable, c.Name)
				return
			}
		}
		if err := c.Delete(ctx); err != nil {
			t.Error(err)
		}
	})
	return c
}

// Shared is a cluster that the tests of a package share:
//
//	var shared bonsaitest.Shared
//
//	func TestMain(m *testing.M) { os.Exit(shared.Main(m, bonsaitest.Nodes(2))) }
//
//	func TestOperator(t *testing.T) {
//		cluster := shared.Cluster(t)
//		namespace := cluster.Namespace(t)
//		…
//	}
//
// The first test that asks for it starts it, so that a run of other tests starts none. The zero value is ready to use; without
// Main it has no options, and ends with the test's process.
type Shared struct {
	mu      sync.Mutex // guards the rest, and is held during the start
	options []Option
	cluster *Cluster
	err     error
	failed  bool // a test that used it failed
}

// Main runs the tests, deletes the cluster if one was started, and returns the code to exit with.
func (s *Shared) Main(m interface{ Run() int }, options ...Option) int {
	s.mu.Lock()
	s.options = options
	s.mu.Unlock()
	code := m.Run()
	s.mu.Lock()
	defer s.mu.Unlock()
	c := s.cluster
	if c == nil {
		return code
	}
	ctx := context.Background()
	if s.failed {
		fmt.Fprintln(os.Stderr, c.report(ctx, os.Getenv(EnvArtifacts)))
		if os.Getenv(EnvKeep) != "" {
			fmt.Fprintf(os.Stderr, "cluster %s is kept; delete it with:  %s delete -p %s\n", c.Name, c.executable, c.Name)
			return code
		}
	}
	if err := c.Delete(ctx); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return max(code, 1)
	}
	return code
}

// Cluster returns the cluster. The first call starts it; others wait for that, and return it at once afterwards. If it cannot
// be started, all tests that ask for it fail.
func (s *Shared) Cluster(t testing.TB) *Cluster {
	t.Helper()
	s.mu.Lock()
	if s.cluster == nil && s.err == nil {
		s.cluster, s.err = New(context.Background(), s.options...) // it outlives the test
		if s.err == nil {
			t.Logf("cluster %s is ready in %s", s.cluster.Name, s.cluster.Took.Round(time.Millisecond))
		}
	}
	c, err := s.cluster, s.err
	s.mu.Unlock()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if t.Failed() {
			s.mu.Lock()
			defer s.mu.Unlock()
			s.failed = true
		}
	})
	return c
}

// reportLimit bounds the look at a cluster whose test has failed.
const reportLimit = 30 * time.Second

// report is what somebody needs who sees only the output of a failed test. With a folder, everything that is known about the
// cluster is written into a file there.
func (c *Cluster) report(ctx context.Context, dir string) string {
	ctx, cancel := context.WithTimeout(ctx, reportLimit)
	defer cancel()
	var b strings.Builder
	fmt.Fprintf(&b, "cluster %s after the failure:", c.Name)
	look := func(verb string, args ...string) {
		out, err := c.run(ctx, append([]string{verb, "-p", c.Name}, args...))
		fmt.Fprintf(&b, "\n==== bonsai %s\n%s", strings.Join(append([]string{verb}, args...), " "), strings.TrimSpace(out.out))
		if err != nil {
			fmt.Fprintf(&b, "\n%v\n%s", err, strings.TrimSpace(out.err))
		}
	}
	look("status")
	if len(c.access.Nodes) > 0 {
		look("kubectl", "--", "get", "pods", "-A", "-o", "wide")
	}
	look("logs", "daemon", "--tail", "20")
	look("logs", "kube-apiserver", "--tail", "20")
	if dir == "" {
		fmt.Fprintf(&b, "\n(%s=FOLDER keeps everything that is known about it, %s=1 the cluster itself)", EnvArtifacts, EnvKeep)
		return b.String()
	}
	file := filepath.Join(dir, c.Name+".tar.gz")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		fmt.Fprintf(&b, "\n%v", err)
		return b.String()
	}
	if _, err := c.Bonsai(ctx, "bundle", "-o", file); err != nil {
		fmt.Fprintf(&b, "\n%v", err)
	} else {
		fmt.Fprintf(&b, "\neverything that is known about it:  bonsai bundle open %s", file)
	}
	return b.String()
}

// artifacts is the folder for what outlives a failed test, "" if nobody wants that.
func artifacts(t testing.TB) string {
	if dir := os.Getenv(EnvArtifacts); dir != "" {
		return dir
	}
	// Without the flag, the folder of a test goes with it.
	if f := flag.Lookup("test.artifacts"); f == nil || f.Value.String() != "true" {
		return ""
	}
	if keeps, ok := t.(interface{ ArtifactDir() string }); ok { // since Go 1.26
		return keeps.ArtifactDir()
	}
	return ""
}

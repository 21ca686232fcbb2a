// Package harness runs the built bonsai against the real container engine for the end-to-end tests: clusters with their
// own names and state folders, images built from this repository, helpers that wait, and a check after each cluster
// that nothing of it is left.
//
// Its assertions about containers use the engine's own command line, not bonsai. Begin reading at New.
package harness

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"bonsai/bootstrap/wait"
)

// Label ties everything in the engine to a cluster, as documented in docs/architecture.md.
const Label = "io.bonsai.cluster"

// NodeLabel names the node that a container or volume is.
const NodeLabel = "io.bonsai.node"

// Main is TestMain's body. Without the executable or an engine no test is meaningful, so that is a failure and not a
// skip; with -short nothing runs.
func Main(m *testing.M) {
	if short() {
		fmt.Println("end-to-end tests are left out with -short")
		return
	}
	if _, err := os.Stat(Binary()); err != nil {
		fmt.Fprintf(os.Stderr, "%s is missing: run make first\n", Binary())
		os.Exit(1)
	}
	if out, err := exec.Command("docker", "version").CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "no container engine to test with: %v\n%s", err, out)
		os.Exit(1)
	}
	code := m.Run()
	images.remove()
	os.Exit(code)
}

// short reads the flag itself: testing.Short needs parsed flags, which TestMain does not have yet.
func short() bool {
	for _, a := range os.Args[1:] {
		if a == "-test.short" || a == "-test.short=true" {
			return true
		}
	}
	return false
}

// Root is the repository's folder.
func Root() string {
	dir, err := os.Getwd() // tests run in their package's folder
	if err != nil {
		panic(err)
	}
	for ; dir != filepath.Dir(dir); dir = filepath.Dir(dir) {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			return dir
		}
	}
	panic("this test runs outside the repository")
}

// Binary is the executable under test.
func Binary() string {
	if path := os.Getenv("BONSAI"); path != "" {
		return path
	}
	return filepath.Join(Root(), "bin/bonsai")
}

// Scale multiplies the limit of every wait, as in the product.
func Scale(d time.Duration) time.Duration { return wait.FromEnv().Of(d) }

// Home is a user's environment: a state folder and a kubeconfig, and the names of the clusters created there.
type Home struct {
	Dir, Kubeconfig string
	// Env is added to the environment of each command.
	Env []string
	// Binary is another executable than the one under test; empty: that one.
	Binary string
	// Wrap comes before each command, to run it in another environment.
	Wrap []string

	mu    sync.Mutex // guards names
	names []string
}

// NewHome creates an environment that is removed with the test, with every cluster that was created in it.
func NewHome(t *testing.T) *Home {
	t.Helper()
	dir, err := os.MkdirTemp("", "bt-")
	if err != nil {
		t.Fatal(err)
	}
	h := &Home{Dir: filepath.Join(dir, "home"), Kubeconfig: filepath.Join(dir, "kubeconfig")}
	t.Cleanup(func() {
		h.cleanUp(t)
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	return h
}

// Name returns a unique cluster name, and has the cluster cleaned up with the home.
func (h *Home) Name() string {
	b := make([]byte, 3)
	_, _ = rand.Read(b)
	name := "bt-" + hex.EncodeToString(b)
	h.mu.Lock()
	defer h.mu.Unlock()
	h.names = append(h.names, name)
	return name
}

// Result is how a command ended.
type Result struct {
	Stdout, Stderr string
	Code           int
	Took           time.Duration
}

func (r Result) String() string {
	return fmt.Sprintf("exit code %d after %s\nstdout: %s\nstderr: %s", r.Code, r.Took.Round(time.Millisecond), r.Stdout, r.Stderr)
}

// Command prepares a bonsai command in this home; the caller runs it.
func (h *Home) Command(ctx context.Context, args ...string) *exec.Cmd {
	args = slices.Concat(h.Wrap, []string{cmp.Or(h.Binary, Binary())}, args)
	cmd := exec.CommandContext(ctx, args[0], args[1:]...)
	cmd.Env = append(os.Environ(), "BONSAI_HOME="+h.Dir, "KUBECONFIG="+h.Kubeconfig, "NO_COLOR=1")
	cmd.Env = append(cmd.Env, h.Env...)
	// A command that hangs gets the signal that a user would send, and then SIGKILL.
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	cmd.WaitDelay = Scale(30 * time.Second)
	return cmd
}

// Run runs a bonsai command to its end, which it must reach within five minutes.
func (h *Home) Run(t *testing.T, args ...string) Result {
	t.Helper()
	return h.RunWithInput(t, nil, args...)
}

// RunWithInput is Run with a standard input.
func (h *Home) RunWithInput(t *testing.T, stdin io.Reader, args ...string) Result {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), Scale(5*time.Minute))
	defer cancel()
	cmd := h.Command(ctx, args...)
	var stdout, stderr bytes.Buffer
	cmd.Stdin, cmd.Stdout, cmd.Stderr = stdin, &stdout, &stderr
	began := time.Now()
	err := cmd.Run()
	r := Result{stdout.String(), stderr.String(), cmd.ProcessState.ExitCode(), time.Since(began)}
	if ctx.Err() != nil {
		t.Fatalf("bonsai %s did not end: %s", strings.Join(args, " "), r)
	}
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatalf("bonsai %s: %v", strings.Join(args, " "), err)
	}
	return r
}

// Docker runs the engine's command line and returns what it printed.
func Docker(t *testing.T, args ...string) string {
	t.Helper()
	out, err := TryDocker(args...)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// TryDocker is Docker for commands that may fail.
func TryDocker(args ...string) (string, error) {
	var stdout, stderr bytes.Buffer
	cmd := exec.Command("docker", args...)
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil {
		return "", fmt.Errorf("docker %s: %w\n%s", strings.Join(args, " "), err, stderr.String())
	}
	return strings.TrimSpace(stdout.String()), nil
}

// Until repeats check until it returns nil, and fails the test with its last error when the limit is reached.
func Until(t *testing.T, limit time.Duration, what string, check func() error) {
	t.Helper()
	ticker := time.NewTicker(100 * time.Millisecond)
	defer ticker.Stop()
	deadline := time.Now().Add(Scale(limit))
	for {
		err := check()
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("timed out after %s waiting for: %s: %v", Scale(limit), what, err)
		}
		<-ticker.C
	}
}

// Follow runs "bonsai VERB -p NAME ARGS..." until stop is called, and returns the lines that it has printed.
func (c *Cluster) Follow(t *testing.T, verb string, args ...string) (lines <-chan string, stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	cmd := c.Command(ctx, c.args(verb, args)...)
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	out, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		cancel()
		t.Fatalf("bonsai %s %s: %v", verb, strings.Join(args, " "), err)
	}
	ch := make(chan string, 10000)
	go func() {
		defer close(ch)
		for scanner := bufio.NewScanner(out); scanner.Scan(); {
			ch <- scanner.Text()
		}
		_ = cmd.Wait() // it was interrupted
	}()
	return ch, func() {
		cancel()
		for range ch {
		}
	}
}

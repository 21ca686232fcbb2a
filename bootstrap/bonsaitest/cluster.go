package bonsaitest

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
)

// Variables of the environment.
const (
	// EnvExecutable names the file of bonsai to run.
	EnvExecutable = "BONSAI_BIN"
	// EnvKeep, if it is not empty, keeps the clusters of failed tests. They do not end with the process then.
	EnvKeep = "BONSAI_TEST_KEEP"
	// EnvArtifacts names a folder for what is known about the clusters of failed tests.
	EnvArtifacts = "BONSAI_TEST_ARTIFACTS"
)

// Cluster is a running cluster. Its methods may be called from any goroutine.
type Cluster struct {
	// Name is that of the cluster on this machine, for "bonsai status -p NAME" and the like. It is unique.
	Name string
	// Took is how long the start took, as this process saw it.
	Took time.Duration

	access     access
	config     *rest.Config
	executable string
	home       string // "": the user's
}

// Step is one part of a start, from Begin to End after its beginning.
type Step struct {
	Step  string        `json:"step"`
	Title string        `json:"title"`
	Begin time.Duration `json:"beginNanos"`
	End   time.Duration `json:"endNanos"`
}

// New starts a cluster for code that has no testing.TB, and returns when its API server is ready, and its nodes are if there
// are any. The caller deletes it; if this process ends before, bonsai does.
func New(ctx context.Context, options ...Option) (*Cluster, error) {
	s := newSettings(options)
	executable, err := findExecutable(ctx, s.executable)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeoutCause(ctx, s.limit, fmt.Errorf("the cluster is not ready after %s", s.limit))
	defer cancel()
	c := &Cluster{Name: newName(filepath.Base(os.Args[0])), executable: executable, home: s.home}
	owner := os.Getpid()
	if os.Getenv(EnvKeep) != "" {
		owner = 0
	}
	began := time.Now()
	said, err := c.run(ctx, s.start(c.Name, owner))
	c.Took = time.Since(began)
	if c.access, err = readStart(said, err); err != nil {
		return nil, fmt.Errorf("start a cluster with %s: %w", executable, err)
	}
	if c.config, err = clientcmd.BuildConfigFromFlags("", c.access.Kubeconfig); err != nil {
		return nil, errors.Join(fmt.Errorf("read the kubeconfig of cluster %s: %w", c.Name, err), c.Delete(context.WithoutCancel(ctx)))
	}
	// Nobody else has to be spared.
	c.config.QPS, c.config.Burst = 1000, 2000
	return c, nil
}

// Config is a configuration with which clients may do everything. Each call returns a new one, which the caller may change.
func (c *Cluster) Config() *rest.Config { return rest.CopyConfig(c.config) }

// Kubeconfig is the file with the same, for programs such as kubectl and helm. It goes with the cluster.
func (c *Cluster) Kubeconfig() string { return c.access.Kubeconfig }

// Nodes are the names of its nodes.
func (c *Cluster) Nodes() []string { return append([]string(nil), c.access.Nodes...) }

// Steps are what its start did, in the order of their beginning.
func (c *Cluster) Steps() []Step { return append([]Step(nil), c.access.Timeline.Steps...) }

// Bonsai runs a verb of bonsai on the cluster, such as "image load web:1" or "kubectl -- apply -f x.yaml", and returns what it
// printed. If it fails, the error has what it said.
func (c *Cluster) Bonsai(ctx context.Context, verb string, args ...string) (string, error) {
	said, err := c.run(ctx, append([]string{verb, "-p", c.Name}, args...))
	if err != nil {
		return said.out, fmt.Errorf("bonsai %s: %w\n%s", strings.Join(append([]string{verb}, args...), " "), err, strings.TrimSpace(said.err))
	}
	return said.out, nil
}

// deleteLimit bounds a delete whose context has no end of its own.
const deleteLimit = time.Minute

// Delete deletes the cluster and everything in it. One that is gone already is not an error.
func (c *Cluster) Delete(ctx context.Context) error {
	ctx, cancel := context.WithTimeoutCause(ctx, deleteLimit, errors.New("the cluster is not deleted after "+deleteLimit.String()))
	defer cancel()
	_, err := c.Bonsai(ctx, "delete")
	var exit *exec.ExitError
	if errors.As(err, &exit) && exit.ExitCode() == exitNotFound {
		return nil
	}
	return err
}

// exitNotFound is bonsai's exit code if there is no such cluster.
const exitNotFound = 30

// said is what a command printed.
type said struct{ out, err string }

// run runs bonsai to its end. When ctx ends, it gets the signal that a user would send, so that it can take back what it did.
func (c *Cluster) run(ctx context.Context, args []string) (said, error) {
	cmd := exec.CommandContext(ctx, c.executable, args...)
	cmd.Env = append(os.Environ(), "NO_COLOR=1")
	if c.home != "" {
		cmd.Env = append(cmd.Env, "BONSAI_HOME="+c.home)
	}
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	cmd.WaitDelay = 30 * time.Second
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	err := cmd.Run()
	if ctx.Err() != nil {
		err = errors.Join(context.Cause(ctx), err)
	}
	return said{stdout.String(), stderr.String()}, err
}

// maxProgram is how much of a program's name is in those of its clusters, which have 30 characters at most.
const maxProgram = 16

// newName is a name that no other cluster has. It begins with that of the test's program, which is its package's.
func newName(program string) string {
	program = strings.ToLower(strings.TrimSuffix(strings.TrimSuffix(program, ".exe"), ".test"))
	clean := strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= '0' && r <= '9' {
			return r
		}
		return '-'
	}, program)
	clean = strings.Trim(clean[:min(len(clean), maxProgram)], "-")
	if clean == "" {
		clean = "test"
	}
	random := make([]byte, 5)
	_, _ = io.ReadFull(rand.Reader, random) // it does not fail
	return clean + "-" + hex.EncodeToString(random)
}

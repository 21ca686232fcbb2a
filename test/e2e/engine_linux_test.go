package e2e

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"bonsai/bootstrap/cluster"
	"bonsai/test/e2e/harness"
)

// ownEngine is a container engine of a test's own, in a network of its own, so that the machine's can stay as it is.
type ownEngine struct {
	dir, socket string
	driver      string
	enter       []string // goes before a command to run it in that network
	process     *exec.Cmd
	log         bytes.Buffer
}

// newEngine makes the network, and ends everything with the test; nothing runs yet.
func newEngine(t *testing.T) *ownEngine {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("an engine of its own needs root")
	}
	for _, program := range []string{"dockerd", "nsenter", "ip"} {
		if _, err := exec.LookPath(program); err != nil {
			t.Skip(err)
		}
	}
	dir, err := os.MkdirTemp("", "bt-engine-")
	if err != nil {
		t.Fatal(err)
	}
	holder := exec.Command("sleep", "infinity")
	holder.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNET, Pdeathsig: syscall.SIGKILL}
	if err := holder.Start(); err != nil {
		t.Skipf("a network of its own: %v", err)
	}
	e := &ownEngine{
		dir: dir, socket: filepath.Join(dir, "docker.sock"), driver: harness.Docker(t, "info", "--format", "{{.Driver}}"),
		enter: []string{"nsenter", "--net=/proc/" + strconv.Itoa(holder.Process.Pid) + "/ns/net", "--"},
	}
	t.Cleanup(func() {
		e.stop(t)
		_ = holder.Process.Kill()
		_ = holder.Wait()
		if t.Failed() {
			t.Logf("the engine's log ends with\n%s", lastBytes(e.log.Bytes(), 5000))
		}
		// It mounts its folder on itself and, when containers may run on, leaves that.
		_ = syscall.Unmount(filepath.Join(dir, "data"), syscall.MNT_DETACH)
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	if out, err := e.command("ip", "link", "set", "lo", "up").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return e
}

func lastBytes(data []byte, n int) []byte { return data[max(0, len(data)-n):] }

func (e *ownEngine) command(args ...string) *exec.Cmd {
	args = slices.Concat(e.enter, args)
	return exec.Command(args[0], args[1:]...)
}

// start starts the engine, which lets containers run on while it is restarted, or not, and returns when it answers.
func (e *ownEngine) start(t *testing.T, liveRestore bool) {
	t.Helper()
	e.process = e.command("dockerd", "--host", "unix://"+e.socket, "--data-root", filepath.Join(e.dir, "data"), "--exec-root", filepath.Join(e.dir, "exec"),
		"--pidfile", filepath.Join(e.dir, "pid"), "--config-file", filepath.Join(e.dir, "none.json"), "--storage-driver", e.driver,
		"--live-restore="+strconv.FormatBool(liveRestore))
	e.process.Stdout, e.process.Stderr = &e.log, &e.log
	if err := os.WriteFile(filepath.Join(e.dir, "none.json"), []byte("{}"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := e.process.Start(); err != nil {
		t.Fatal(err)
	}
	harness.Until(t, time.Minute, "an answer of the engine", func() error { _, err := e.docker("version"); return err })
}

// stop ends the engine in order, which stops its containers if it was started so.
func (e *ownEngine) stop(t *testing.T) {
	t.Helper()
	if e.process == nil {
		return
	}
	if err := e.process.Process.Signal(syscall.SIGTERM); err != nil {
		t.Error(err)
	}
	_ = e.process.Wait()
	e.process = nil
}

func (e *ownEngine) docker(args ...string) (string, error) {
	return harness.TryDocker(append([]string{"--host", "unix://" + e.socket}, args...)...)
}

// TestEngineRestart: a cluster is usable again within ten seconds after its engine, whether that stops the nodes or lets them
// run meanwhile. Then the cluster is usable all the time.
func TestEngineRestart(t *testing.T) {
	c := harness.New(t)
	e := newEngine(t)
	c.Env, c.Wrap = []string{"DOCKER_HOST=unix://" + e.socket}, e.enter
	e.start(t, false)
	defer func() { // the engine has to run for it
		c.Must(t, "delete")
		c.Wrap = nil
	}()
	c.Start(t, "--nodes", "2")
	c.LoadImages(t)
	c.Kubectl(t, "create", "deployment", "web", "--image", harness.Testpod, "--replicas", "2", "--", "testpod", "serve")
	c.Kubectl(t, "rollout", "status", "deployment/web", "--timeout", "60s")

	// usable: everything is as before, and pods can be entered.
	usable := func() error {
		if s, code := c.Status(t); code != 0 && !onlyRestarts(s) {
			return fmt.Errorf("status exits with %d: %+v", code, s.Problems)
		}
		if r := c.Bonsai(t, "kubectl", "--", "exec", "deployment/web", "--", "testpod", "fetch", "https://10.96.0.1:443/readyz"); r.Code != 0 {
			return fmt.Errorf("a pod cannot be used: %s", r)
		}
		return nil
	}
	harness.Until(t, time.Minute, "a usable cluster", usable)
	containers := func() string {
		t.Helper()
		ids, err := e.docker("ps", "-q", "--filter", "label="+harness.Label+"="+c.Name)
		if err == nil {
			ids, err = e.docker(append([]string{"inspect", "--format", "{{.Name}} {{.State.StartedAt}}"}, strings.Fields(ids)...)...)
		}
		if err != nil {
			t.Fatal(err)
		}
		return ids
	}
	for _, meanwhile := range []bool{false, true} {
		t.Run(map[bool]string{false: "that stops the nodes", true: "that lets the nodes run"}[meanwhile], func(t *testing.T) {
			before := containers()
			e.stop(t)
			if meanwhile {
				if r := c.Bonsai(t, "kubectl", "--", "exec", "deployment/web", "--", "testpod", "fetch", "https://10.96.0.1:443/readyz"); r.Code != 0 {
					t.Errorf("without its engine: %s", r)
				}
			}
			e.start(t, true)
			began := time.Now()
			harness.Until(t, 10*time.Second, "a usable cluster", usable)
			t.Logf("usable %s after the engine", time.Since(began).Round(10*time.Millisecond))
			if after := containers(); (after == before) != meanwhile {
				t.Errorf("the containers are %s, were %s", after, before)
			}
		})
	}
}

// onlyRestarts reports whether nothing is wrong except that something was restarted not long ago.
func onlyRestarts(s cluster.Snapshot) bool {
	for _, p := range s.Problems {
		if p.Severity == cluster.SeverityError {
			return false
		}
	}
	return s.Phase == cluster.PhaseRunning
}

package e2e

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"bonsai/bootstrap/cluster"
	"bonsai/test/e2e/harness"
)

// TestTheControlPlaneOutlivesWhatStartedIt starts API servers without nodes in ways in which scripts do.
func TestTheControlPlaneOutlivesWhatStartedIt(t *testing.T) {
	h := harness.NewHome(t)
	for name, script := range map[string]string{
		"a killed process group": `setsid sh -c '"$0" start -p "$1" --nodes 0; kill -9 0' "$1" "$2"; true`,
		"a terminal that closes": `script -qc "$1 start -p $2 --nodes 0" /dev/null`,
		"a reader that ends":     `"$1" start -p "$2" --nodes 0 2>&1 | head -n 1`,
	} {
		t.Run(name, func(t *testing.T) {
			c := &harness.Cluster{Home: h, Name: h.Name()}
			run(t, h, nil, script, c.Name)
			// The command itself may have been killed before it was done.
			harness.Until(t, 30*time.Second, "the API server", func() error {
				ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
				defer cancel()
				return h.Command(ctx, "kubectl", "-p", c.Name, "--", "get", "--raw", "/readyz").Run()
			})
			c.Must(t, "delete")
		})
	}
}

// TestAControlPlaneThatWentWithItsNamespace is what happens in a sandbox or a step of a CI job.
func TestAControlPlaneThatWentWithItsNamespace(t *testing.T) {
	c := harness.New(t)
	run(t, c.Home, &syscall.SysProcAttr{
		Cloneflags:  syscall.CLONE_NEWUSER | syscall.CLONE_NEWPID,
		UidMappings: []syscall.SysProcIDMap{{ContainerID: os.Getuid(), HostID: os.Getuid(), Size: 1}},
		GidMappings: []syscall.SysProcIDMap{{ContainerID: os.Getgid(), HostID: os.Getgid(), Size: 1}},
	}, `"$1" start -p "$2" --nodes 0`, c.Name)
	s, _ := c.Status(t)
	if len(s.Problems) != 1 || !strings.Contains(s.Problems[0].Summary, "killed together with what started it") ||
		!strings.Contains(s.Problems[0].HintText(), "--foreground") {
		t.Errorf("status: %+v", s.Problems)
	}
	c.Must(t, "start")
	if s, code := c.Status(t); code != 0 || len(s.Problems) != 0 {
		t.Errorf("after a start: exit code %d, %+v", code, s.Problems)
	}
}

// TestEtcdWithoutRoomOnTheDisk fills the disk of the state folder, which is a small one.
func TestEtcdWithoutRoomOnTheDisk(t *testing.T) {
	c := harness.New(t)
	if err := os.MkdirAll(c.Dir, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Mount("none", c.Dir, "tmpfs", 0, "size=100m"); err != nil {
		t.Skipf("mount a small disk: %v", err)
	}
	defer func() {
		c.Must(t, "delete")
		if err := syscall.Unmount(c.Dir, 0); err != nil {
			t.Error(err)
		}
	}()
	c.Must(t, "start", "--nodes", "0")
	filler, err := os.Create(filepath.Join(c.Dir, "filler"))
	if err != nil {
		t.Fatal(err)
	}
	for err == nil {
		_, err = filler.Write(make([]byte, 4096))
	}
	// The guardian restarts it, in vain and with growing pauses, and status keeps to the cause.
	harness.Until(t, 90*time.Second, "status to say what etcd needs", func() error {
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		_ = c.Command(ctx, "kubectl", "-p", c.Name, "--", "create", "configmap", "big-"+time.Now().Format("150405.000"), "--from-literal=x="+strings.Repeat("x", 100000)).Run()
		s, _ := c.Status(t)
		for _, p := range s.Problems {
			if problemSays(p, "no space left on device") && strings.Contains(p.HintText(), "df -h") {
				return nil
			}
		}
		return fmt.Errorf("its problems are %+v", s.Problems)
	})
	if err := errors.Join(filler.Close(), os.Remove(filler.Name())); err != nil {
		t.Fatal(err)
	}
	c.Must(t, "start")
}

func problemSays(p cluster.Problem, text string) bool {
	return strings.Contains(p.Summary+p.Cause, text)
}

// run runs a shell script with the executable and the cluster's name as $1 and $2.
func run(t *testing.T, h *harness.Home, attr *syscall.SysProcAttr, script, name string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), harness.Scale(2*time.Minute))
	defer cancel()
	cmd := h.Command(ctx)
	cmd.Path, cmd.Args = "/bin/sh", []string{"sh", "-c", script, "sh", harness.Binary(), name}
	cmd.SysProcAttr = attr
	out, err := cmd.CombinedOutput()
	if attr != nil && err != nil && strings.Contains(err.Error(), "fork/exec") {
		t.Skipf("this machine allows no namespaces: %v", err)
	}
	if _, ended := errors.AsType[*exec.ExitError](err); err != nil && !ended {
		t.Fatalf("%v\n%s", err, out)
	}
	t.Logf("%s", out)
}

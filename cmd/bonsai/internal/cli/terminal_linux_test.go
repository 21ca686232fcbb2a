package cli

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/term"

	"bonsai/test/pty"
)

// onTerminal runs the command line with all its streams on a new pseudo-terminal and returns what appeared there.
func onTerminal(t *testing.T, home string, env []string, args ...string) string {
	t.Helper()
	out, err := typedOnTerminal(t, home, env, "", args...)
	if err != nil {
		t.Fatalf("%v: %v\n%s", args, err, out)
	}
	return out
}

// typedOnTerminal is onTerminal for a user who has typed something, and a command that may fail.
func typedOnTerminal(t *testing.T, home string, env []string, typed string, args ...string) (string, error) {
	t.Helper()
	master, slave := pty.Open(t)
	defer func() { _ = master.Close() }()
	before, err := term.GetState(int(slave.Fd()))
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), os.Args[0], args...)
	cmd.Args[0] = "bonsai" // see TestMain
	cmd.Stdin, cmd.Stdout, cmd.Stderr = slave, slave, slave
	cmd.Env = append([]string{"HOME=" + home, "PATH=" + os.Getenv("PATH"), "TERM=xterm", "LC_ALL=C.UTF-8", "GORACE=atexit_sleep_ms=0"}, env...)
	cmd.Dir = home
	if _, err := master.WriteString(typed); err != nil {
		t.Fatal(err)
	}
	runErr := cmd.Run()
	if after, err := term.GetState(int(slave.Fd())); err != nil || fmt.Sprint(after) != fmt.Sprint(before) {
		t.Errorf("the terminal was left in another state: %v", err)
	}
	_ = slave.Close()
	var out bytes.Buffer
	_, _ = io.Copy(&out, master) // EIO is how a terminal without processes ends
	return out.String(), runErr
}

func TestDeleteForeignAsks(t *testing.T) {
	home := t.TempDir()
	foreign := `[{"Cluster": "ci", "ID": "k3f9aaaaaaaa", "Containers": ["ci-1-k3f9"], "Volumes": ["ci-1-k3f9-var"]}]`
	if err := os.WriteFile(filepath.Join(home, "foreign.json"), []byte(foreign), 0o600); err != nil {
		t.Fatal(err)
	}
	for answer, removed := range map[string]bool{"y\n": true, "yes\n": true, "\n": false, "n\n": false, "\x04": false} {
		out, err := typedOnTerminal(t, home, nil, answer, "delete", "--foreign", "ci")
		for _, want := range []string{"Cluster ci (ID k3f9aaaaaaaa)", "container  ci-1-k3f9", "volume     ci-1-k3f9-var", "[y/N]"} {
			if !strings.Contains(out, want) {
				t.Errorf("%q is not in %q", want, out)
			}
		}
		if got := strings.Contains(out, "was removed from"); got != removed || (err == nil) != removed {
			t.Errorf("after the answer %q: %v\n%s", answer, err, out)
		}
	}
}

func TestPruneOfAClusterAsks(t *testing.T) {
	home := t.TempDir()
	onTerminal(t, home, nil, "start", "-p", "dev")
	use := `{"items": [{"cluster": "dev", "kind": "checkpoint", "name": "auto-1", "bytes": 300000, "offered": true}]}`
	for answer, removed := range map[string]bool{"y\n": true, "\n": false, "n\n": false, "\x04": false} {
		if err := os.WriteFile(filepath.Join(home, "disk.json"), []byte(use), 0o600); err != nil {
			t.Fatal(err)
		}
		out, err := typedOnTerminal(t, home, nil, answer, "prune", "-p", "dev", "--checkpoints")
		if !strings.Contains(out, "checkpoint auto-1, 300 kB") || !strings.Contains(out, "[y/N]") {
			t.Errorf("it asked %q", out)
		}
		left, readErr := os.ReadFile(filepath.Join(home, "disk.json"))
		if readErr != nil || strings.Contains(string(left), "auto-1") == removed || (err == nil) != removed {
			t.Errorf("after the answer %q: %v, %v\n%s", answer, err, readErr, out)
		}
	}
}

func TestTerminal(t *testing.T) {
	home := t.TempDir()
	out := onTerminal(t, home, nil, "start")
	for _, want := range []string{"\x1b[32m✓\x1b[0m Certificates", "\x1b[33m!\x1b[0m engine", "\x1b[1A\r\x1b[J", "bonsai is ready"} {
		if !strings.Contains(out, want) {
			t.Errorf("%q is not in %q", want, out)
		}
	}
	if strings.Contains(out, "Node a\x1b[31m") {
		t.Errorf("text of the cluster reached the terminal as it was: %q", out)
	}
	if out = onTerminal(t, home, []string{"NO_COLOR=1"}, "start"); strings.Contains(out, "m✓") || !strings.Contains(out, "✓") {
		t.Errorf("NO_COLOR: %q", out)
	}
	if out = onTerminal(t, home, []string{"TERM=dumb"}, "start"); strings.Contains(out, "\x1b") || !strings.Contains(out, "ok      Certificates") {
		t.Errorf("TERM=dumb: %q", out)
	}
	if out = onTerminal(t, home, []string{"LC_ALL=C"}, "start"); strings.Contains(out, "✓") || !strings.Contains(out, "ok ") {
		t.Errorf("LC_ALL=C: %q", out)
	}
	if out = onTerminal(t, home, nil, "ssh"); !strings.Contains(out, "tty=true") {
		t.Errorf("ssh: %q", out)
	}
	log := filepath.Join(home, ".bonsai/clusters/bonsai/logs/etcd.log")
	if err := os.WriteFile(log, []byte("a\x1b[2Jb\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if out = onTerminal(t, home, nil, "logs", "etcd"); !strings.Contains(out, "a?[2Jb") {
		t.Errorf("logs: %q", out)
	}
}

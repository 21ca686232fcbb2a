package kubelet

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// stageMode makes the test binary play a node, the kubelet in it, or a pod with a user namespace.
const stageMode = "KUBELET_TEST_STAGE"

func TestMain(m *testing.M) {
	if mode := os.Getenv(stageMode); mode != "" {
		if err := stage(mode); err != nil {
			fmt.Fprintln(os.Stderr, mode+":", err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// shielded is what the stages report.
type shielded struct {
	// Panic is the kernel's setting as the kubelet reads it, Node as the node reads it afterwards.
	Panic, Node string
	// Covered are the node's mounts below /proc and /sys that a pod's fresh ones would reveal.
	Covered []string
	// Pod is why the kernel refuses a fresh /proc in a user namespace, empty if it does not.
	Pod string
}

func stage(mode string) error {
	switch mode {
	case "node": // with shared mounts, as hostprep makes them
		if err := unix.Mount("", "/", "", unix.MS_SHARED|unix.MS_REC, ""); err != nil {
			return err
		}
		var s shielded
		if err := inStage("kubelet", unix.CLONE_NEWNS, &s); err != nil {
			return err
		}
		s.Node = panicSetting()
		mounts, err := os.ReadFile("/proc/self/mounts")
		if err != nil {
			return err
		}
		for line := range strings.Lines(string(mounts)) {
			if path := strings.Fields(line)[1]; strings.HasPrefix(path, "/proc/sys/kernel") || strings.HasPrefix(path, "/proc/sys/vm") {
				s.Covered = append(s.Covered, path)
			}
		}
		return json.NewEncoder(os.Stdout).Encode(s)
	case "kubelet":
		dir, err := os.MkdirTemp("", "")
		if err != nil {
			return err
		}
		defer os.RemoveAll(dir)
		shieldKernel(dir, slog.New(slog.NewTextHandler(os.Stderr, nil)))
		s := shielded{Panic: panicSetting()}
		// Its children see what it sees; the node must not. So the pod is made from the namespace of process "node".
		node := fmt.Sprintf("/proc/%d/ns/mnt", os.Getppid())
		cmd := exec.Command("nsenter", "--mount="+node, "unshare", "--user", "--map-root-user", "--mount", "--pid", "--fork", "--net",
			"mount", "-t", "proc", "proc", "/proc")
		if out, err := cmd.CombinedOutput(); err != nil {
			s.Pod = errors.Join(err, errors.New(string(out))).Error()
		}
		return json.NewEncoder(os.Stdout).Encode(s)
	}
	return errors.New("unknown")
}

// inStage runs the test binary as mode in namespaces of its own.
func inStage(mode string, namespaces uintptr, v any) error {
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), stageMode+"="+mode)
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: namespaces}
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return fmt.Errorf("%w: %s", err, stderr.String())
	}
	if stderr.Len() > 0 {
		return errors.New(stderr.String())
	}
	return json.Unmarshal(out, v)
}

func panicSetting() string {
	data, _ := os.ReadFile("/proc/sys/kernel/panic")
	return strings.TrimSpace(string(data))
}

// The kubelet reads what it wants to set, the node's own settings stay visible, and a pod with a user namespace gets its
// /proc, which the kernel refuses while parts of the node's are covered.
func TestKernelSettingsAreHiddenFromTheKubeletOnly(t *testing.T) {
	for _, tool := range []string{"nsenter", "unshare"} {
		if _, err := exec.LookPath(tool); err != nil {
			t.Skip(err)
		}
	}
	before := panicSetting()
	if before == "10" {
		t.Skip("the machine has the value that the kubelet wants")
	}
	var s shielded
	if err := inStage("node", unix.CLONE_NEWNS, &s); err != nil {
		if errors.Is(err, os.ErrPermission) {
			t.Skip("needs the right to mount:", err)
		}
		t.Fatal(err)
	}
	if s.Panic != "10" {
		t.Errorf("the kubelet reads kernel.panic %q, want 10", s.Panic)
	}
	if s.Node != before || panicSetting() != before {
		t.Errorf("kernel.panic was %q, the node reads %q, the machine %q", before, s.Node, panicSetting())
	}
	if len(s.Covered) > 0 {
		t.Errorf("the node's %s are covered", s.Covered)
	}
	if s.Pod != "" {
		t.Errorf("a fresh /proc in a user namespace is refused: %s", s.Pod)
	}
}

func TestOwnProcRefusesTheNodesNamespace(t *testing.T) {
	if err := ownProc(); err == nil { // shared with the go command
		t.Error("mounts would be seen by the whole machine, want an error")
	}
}

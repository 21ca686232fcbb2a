package cmd

import (
	"bufio"
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// groups returns a run of tools/groups.sh whose "make" is a script.
func groups(t *testing.T, script string, names ...string) *exec.Cmd {
	t.Helper()
	fake := filepath.Join(t.TempDir(), "make")
	if err := os.WriteFile(fake, []byte("#!/bin/sh\n"+script), 0o700); err != nil {
		t.Fatal(err)
	}
	tool, err := filepath.Abs("../tools/groups.sh")
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), tool, names...)
	cmd.Env = append(os.Environ(), "MAKE="+fake)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // as a shell does, so that a signal reaches all of it
	return cmd
}

func TestAllGroupsRunAndTheEndSaysWhatFailed(t *testing.T) {
	cmd := groups(t, `case $1 in
style) echo "a.go:1:2: line too long"; exit 1 ;;
unit) printf -- '--- FAIL: TestOne (0.00s)\n    --- FAIL: TestOne/sub (0.00s)\nFAIL\tbonsai/a\t0.1s\nok  \tbonsai/b\t0.1s\n'; exit 2 ;;
*) printf 'ok  \tbonsai/c\t0.1s\n' ;;
esac
`, "style=cold 1m, warm 1s", "unit", "all")
	out, err := cmd.CombinedOutput()
	if code := cmd.ProcessState.ExitCode(); code != 1 {
		t.Errorf("exit code %d (%v), want 1", code, err)
	}
	text := string(out)
	_, end, _ := strings.Cut(text, "bonsai/c")
	for _, want := range []string{"style", "line too long", "unit", "TestOne/sub", "bonsai/a", "2 of 3 groups failed"} {
		if !strings.Contains(end, want) {
			t.Errorf("the end does not name %q:\n%s", want, text)
		}
	}
	if strings.Contains(end, "bonsai/b") {
		t.Errorf("the end names what passed:\n%s", text)
	}
	for _, want := range []string{"group 1 of 3: style", "cold 1m, warm 1s", "group 2 of 3: unit", "group 3 of 3: all"} {
		if n := strings.Count(text, want); n == 0 {
			t.Errorf("no line %q:\n%s", want, text)
		}
	}
}

func TestGroupsThatPass(t *testing.T) {
	out, err := groups(t, "echo fine\n", "style", "unit").CombinedOutput()
	if err != nil || !strings.Contains(string(out), "2 groups passed") {
		t.Errorf("%v\n%s", err, out)
	}
}

func TestInterruptEndsTheGroups(t *testing.T) {
	ready := filepath.Join(t.TempDir(), "ready")
	if err := syscall.Mkfifo(ready, 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := groups(t, `echo "FAIL	bonsai/a	0.1s"
echo up > `+ready+`
sleep 600
`, "style", "unit")
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	f, err := os.Open(ready) // until the group runs
	if err != nil {
		t.Fatal(err)
	}
	_, err = bufio.NewReader(f).ReadString('\n')
	_ = f.Close()
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = cmd.Wait() // its code is checked
	}()
	// A shell that is just starting a program may miss one.
	again := time.NewTicker(100 * time.Millisecond)
	defer again.Stop()
	for running := true; running; {
		_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGINT)
		select {
		case <-ended:
			running = false
		case <-again.C:
		}
	}
	text := out.String()
	if code := cmd.ProcessState.ExitCode(); code != 130 {
		t.Errorf("exit code %d, want 130\n%s", code, text)
	}
	if strings.Contains(text, "group 2") || !strings.Contains(text, "interrupted in style") {
		t.Errorf("it went on, or does not say where it ended:\n%s", text)
	}
}

package componentlog_test

import (
	"bytes"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"bonsai/bootstrap/componentlog"
)

// envDir makes the test binary be a process that logs to its own stderr, in that folder, and then panics.
const envDir = "COMPONENTLOG_TEST_DIR"

// logAndPanic is that process.
func logAndPanic(dir string) {
	s := componentlog.New(dir, "default", nil)
	s.Attach("daemon")
	log := slog.New(s.ComponentHandler("daemon"))
	line := strings.Repeat("x", 64<<10)
	for range 40 << 4 { // 40 MB
		log.Info(line)
	}
	panic("the end")
}

// TestStderrFollowsTheFile: what a process says at its end is in the newest file, however often that was rotated.
func TestStderrFollowsTheFile(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "daemon.log")
	out, err := os.OpenFile(path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	cmd := exec.Command(os.Args[0])
	cmd.Env, cmd.Stdout, cmd.Stderr = append(os.Environ(), envDir+"="+dir), out, out
	if err := cmd.Run(); err == nil {
		t.Fatal("it did not panic")
	}
	newest, err := os.ReadFile(path)
	if err != nil || !bytes.Contains(newest, []byte("panic: the end")) {
		t.Errorf("the panic is not in the newest file: %v", err)
	}
	var names []string
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		names = append(names, e.Name())
		if info, err := e.Info(); err != nil || info.Size() > 10<<20+64<<10 {
			t.Errorf("%s: %v, %v", e.Name(), info, err)
		}
	}
	if len(names) != 2 {
		t.Errorf("the files are %v", names)
	}
}

// TestStderrIsElsewhere: records go where the user sees them.
func TestStderrIsElsewhere(t *testing.T) {
	dir := t.TempDir()
	cmd := exec.Command(os.Args[0])
	var seen bytes.Buffer
	cmd.Env, cmd.Stderr = append(os.Environ(), envDir+"="+dir), &seen
	if err := cmd.Run(); err == nil {
		t.Fatal("it did not panic")
	}
	if seen.Len() < 40<<20 || !bytes.Contains(seen.Bytes(), []byte("panic: the end")) {
		t.Errorf("%d bytes came to stderr", seen.Len())
	}
	if entries, _ := os.ReadDir(dir); len(entries) != 0 {
		t.Errorf("there are files: %v", entries)
	}
}

package lastwords_test

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"

	"bonsai/bootstrap/lastwords"
)

// full fills the disk of path, says so, and checks that it can be read.
func full(r *lastwords.Record, path string) {
	f, err := os.Create(filepath.Join(filepath.Dir(path), "filler"))
	if err != nil {
		panic(err)
	}
	for err == nil {
		_, err = f.Write(make([]byte, 4096))
	}
	if !errors.Is(err, syscall.ENOSPC) {
		panic(err)
	}
	r.Say("no room: " + err.Error())
	if reason, _ := lastwords.Read(path); reason != "no room: "+err.Error() {
		panic("read " + reason)
	}
	os.Exit(0)
}

// TestAFullDisk is in namespaces of its own, where anybody may mount.
func TestAFullDisk(t *testing.T) {
	dir := t.TempDir()
	script := `mount -t tmpfs -o size=256k none "$1" && exec "$2"`
	cmd := exec.CommandContext(t.Context(), "/bin/sh", "-c", script, "sh", dir, os.Args[0])
	cmd.Env = append(os.Environ(), envWay+"=full "+filepath.Join(dir, "crash.txt"))
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWUSER | syscall.CLONE_NEWNS,
		UidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getuid(), Size: 1}},
		GidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getgid(), Size: 1}}}
	out, err := cmd.CombinedOutput()
	if _, ran := errors.AsType[*exec.ExitError](err); err != nil && !ran {
		t.Skipf("this machine allows no user namespaces: %v", err)
	}
	if err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}

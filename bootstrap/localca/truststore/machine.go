package truststore

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
)

// Here is this machine, for the user of this process. It implements Machine.
type Here struct{ home string }

// NewHere returns this machine. Without a folder of the user's, only the system's store is found.
func NewHere() Here {
	home, _ := os.UserHomeDir()
	return Here{home: home}
}

// OS implements Machine.
func (Here) OS() string { return runtime.GOOS }

// Home implements Machine.
func (h Here) Home() string { return h.home }

// Root implements Machine.
func (Here) Root() bool { return os.Geteuid() == 0 }

// Exists implements Machine.
func (Here) Exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

// Glob implements Machine.
func (Here) Glob(pattern string) []string {
	all, _ := filepath.Glob(pattern) // the patterns are ours; those in the name of a folder find nothing
	return all
}

// Read implements Machine.
func (Here) Read(path string) ([]byte, error) { return os.ReadFile(path) }

// Has implements Machine. Programs of the system's are found where the path of a user does not lead, too.
func (Here) Has(program string) bool { return find(program) != "" }

func find(program string) string {
	if path, err := exec.LookPath(program); err == nil {
		return path
	}
	for _, dir := range []string{"/usr/sbin", "/sbin"} {
		path := filepath.Join(dir, program)
		if info, err := os.Stat(path); err == nil && !info.IsDir() {
			return path
		}
	}
	return ""
}

// Run implements Machine. What the program prints on both of its outputs is returned if it fails.
func (Here) Run(ctx context.Context, args []string) (string, error) {
	program := find(args[0])
	if program == "" {
		program = args[0]
	}
	cmd := exec.CommandContext(ctx, program, args[1:]...)
	out, err := cmd.Output()
	if failed, ok := errors.AsType[*exec.ExitError](err); ok {
		return string(out) + string(failed.Stderr), err
	}
	return string(out), err
}

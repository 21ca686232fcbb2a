package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"

	"bonsai/bootstrap/statedir"
)

// deleting returns what deletes a cluster for its daemon: bonsai's own command, which ends the daemon and outlives it.
func deleting(state statedir.Cluster) func(context.Context) error {
	return func(ctx context.Context) error {
		executable, err := os.Executable()
		if err != nil {
			return fmt.Errorf("find this executable: %w", err)
		}
		root := filepath.Dir(filepath.Dir(state.Dir()))
		// What it prints has no reader when the daemon is gone.
		cmd := exec.CommandContext(ctx, executable, "delete", "-p", state.Name)
		cmd.Env = append(os.Environ(), statedir.EnvHome+"="+root)
		cmd.Dir = root
		cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
		if err := cmd.Run(); err != nil {
			return fmt.Errorf("bonsai delete -p %s: %w", state.Name, err)
		}
		return nil
	}
}

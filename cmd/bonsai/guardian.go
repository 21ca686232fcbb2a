package main

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"

	"bonsai/bootstrap/guardian"
	"bonsai/bootstrap/payload"
	"bonsai/bootstrap/statedir"
)

// guardBy returns what keeps a guardian beside the daemon of a cluster.
func guardBy(state statedir.Cluster, log *slog.Logger) (func(context.Context), error) {
	executable, err := os.Executable()
	if err != nil {
		return nil, fmt.Errorf("find this executable: %w", err)
	}
	return func(ctx context.Context) {
		guardian.Keep(ctx, state, executable, func() []*exec.Cmd { return guardianCommands(state, executable, log) }, log)
	}, nil
}

// guardianCommands are the small program, and the whole executable, which does the same but takes thirty times the memory:
// for builds without the small one, and for a state folder in which nothing can be executed.
func guardianCommands(state statedir.Cluster, executable string, log *slog.Logger) []*exec.Cmd {
	cmds := []*exec.Cmd{exec.Command(executable, "role", "guardian", "--cluster", state.Name)}
	program, err := payload.Guardian()
	if err == nil {
		var path string
		if path, err = state.WriteGuardian(program); err == nil {
			cmds = append([]*exec.Cmd{exec.Command(path, "--cluster", state.Name)}, cmds...)
		}
	}
	if err != nil {
		log.Info("the guardian is a process of the whole executable", "cause", err)
	}
	for _, cmd := range cmds {
		cmd.Env = append(os.Environ(), statedir.EnvHome+"="+filepath.Dir(filepath.Dir(state.Dir())))
		cmd.Dir = state.Dir() // not the user's folder, which could not be unmounted then
	}
	return cmds
}

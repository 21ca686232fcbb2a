package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"

	"bonsai/bootstrap/cluster"
	"bonsai/bootstrap/fault"
	"bonsai/bootstrap/statedir"
)

// pausing returns what pauses or unpauses a cluster for its daemon: bonsai's own command, with that verb. So there is one way to
// do it, under the cluster's lock, and the daemon never talks to the container engine. Its fault is that of the command.
func pausing(state statedir.Cluster, verb ...string) func(context.Context) error {
	return func(ctx context.Context) error {
		executable, err := os.Executable()
		if err != nil {
			return fmt.Errorf("find this executable: %w", err)
		}
		cmd := exec.CommandContext(ctx, executable, append(verb, "-p", state.Name, "-o", "json")...)
		cmd.Env = append(os.Environ(), statedir.EnvHome+"="+filepath.Dir(filepath.Dir(state.Dir())))
		cmd.Dir = state.Dir()
		var said bytes.Buffer
		cmd.Stderr = &said
		err = cmd.Run()
		switch {
		case err == nil:
			return nil
		case ctx.Err() != nil:
			return context.Cause(ctx)
		}
		lines := bytes.Split(bytes.TrimSpace(said.Bytes()), []byte("\n"))
		var p cluster.Problem
		if json.Unmarshal(lines[len(lines)-1], &p) == nil && p.Kind != "" {
			return fault.FromProblem(p)
		}
		return fault.New(fault.Internal, verb[0]+" cluster "+state.Name, fmt.Errorf("%w: %s", err, lines[len(lines)-1]))
	}
}

package nodeagent

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"bonsai/bootstrap/cluster"
	"bonsai/bootstrap/wait"
	"bonsai/nodeagent/agentapi"
)

// UseProxy makes the node's containerd pull through proxy, and returns when it does. A process cannot change what its
// environment says about proxies, so one with another environment is ended; the agent, whose state is asked for, starts it
// again. Pods are not affected.
func UseProxy(ctx context.Context, proxy cluster.Proxy, state func(context.Context) (agentapi.State, error)) error {
	ended := 0
	for {
		s, err := state(ctx)
		if err != nil {
			return errors.Join(err, context.Cause(ctx))
		}
		for _, c := range s.Components {
			if c.Name != "containerd" || c.PID == 0 || c.Phase != cluster.PhaseRunning {
				continue
			}
			same, err := hasProxy(c.PID, proxy)
			switch {
			case errors.Is(err, errNoEnvironment): // it has just begun, or ended
			case err != nil:
				return err
			case same:
				return nil
			case c.PID != ended:
				if err := unix.Kill(c.PID, unix.SIGTERM); err != nil && !errors.Is(err, unix.ESRCH) {
					return fmt.Errorf("end containerd (process %d): %w", c.PID, err)
				}
				ended = c.PID
			}
		}
		if err := wait.Pause(ctx, 50*time.Millisecond); err != nil {
			return err
		}
	}
}

// Restart ends a component, which the agent, whose state is asked for, starts again; it returns when the new one runs. Pods
// are not affected.
func Restart(ctx context.Context, component string, state func(context.Context) (agentapi.State, error)) error {
	ended := 0
	for {
		s, err := state(ctx)
		if err != nil {
			return errors.Join(err, context.Cause(ctx))
		}
		for _, c := range s.Components {
			switch {
			case c.Name != component || c.PID == 0:
			case ended == 0:
				if err := unix.Kill(c.PID, unix.SIGTERM); err != nil && !errors.Is(err, unix.ESRCH) {
					return fmt.Errorf("end %s (process %d): %w", component, c.PID, err)
				}
				ended = c.PID
			case c.PID != ended && c.Phase == cluster.PhaseRunning:
				return nil
			}
		}
		if err := wait.Pause(ctx, 50*time.Millisecond); err != nil {
			return err
		}
	}
}

// errNoEnvironment is the error of a process that has not executed its program yet, or has ended.
var errNoEnvironment = errors.New("the process has no environment")

// hasProxy reports whether a process was started with exactly this proxy.
func hasProxy(pid int, proxy cluster.Proxy) (bool, error) {
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/environ", pid))
	switch {
	case errors.Is(err, os.ErrNotExist), errors.Is(err, unix.ESRCH), err == nil && len(data) == 0:
		return false, errNoEnvironment
	case err != nil:
		return false, fmt.Errorf("read the environment of process %d: %w", pid, err)
	}
	var have []string
	for entry := range strings.SplitSeq(string(data), "\x00") {
		name, _, _ := strings.Cut(entry, "=")
		if slices.Contains(cluster.ProxyVariables(), name) {
			have = append(have, entry)
		}
	}
	return slices.Equal(have, proxy.Environment()), nil
}

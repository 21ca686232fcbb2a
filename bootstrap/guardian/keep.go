package guardian

import (
	"context"
	"errors"
	"log/slog"
	"os/exec"
	"syscall"
	"time"

	"bonsai/bootstrap/statedir"
)

// keepInterval is how often a daemon looks whether it has a guardian.
const keepInterval = 5 * time.Second

// Keep records that the cluster is meant to run, starts its guardian, and starts another one whenever that has died, until
// ctx ends. The daemon calls it once the control plane is ready. commands makes the guardian's process, the
// first of them that can be started.
func Keep(ctx context.Context, state statedir.Cluster, executable string, commands func() []*exec.Cmd, log *slog.Logger) {
	if err := state.SaveIntent(executable); err != nil {
		log.Error("the control plane has no guardian", "err", err)
		return
	}
	tick := time.NewTicker(keepInterval)
	defer tick.Stop()
	for {
		if _, wanted := state.Intent(); !wanted {
			return // it is about to be stopped
		}
		if !state.GuardianAlive() {
			if err := launch(commands()); err != nil {
				log.Error("the control plane has no guardian", "err", err)
			}
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// launch starts a guardian, which outlives this process.
func launch(cmds []*exec.Cmd) error {
	var errs []error
	for _, cmd := range cmds {
		// Away from the daemon's process group and terminal: what is sent to those must not reach both.
		cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
		if err := cmd.Start(); err != nil {
			errs = append(errs, err)
			continue
		}
		go func() { _ = cmd.Wait() }() // ends with the process, which usually outlives this one
		return nil
	}
	return errors.Join(errs...)
}

// Command bonsai-init is process 1 of a node container. It does three things: it keeps bonsai-agent running, it reaps
// the orphans that pods leave behind, and it passes "docker stop" on to the agent and waits for it.
//
// It is a separate program because process 1 must not die: whatever happens in the agent, the container and its pods
// keep running. It uses only the standard library.
package main

import (
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
	"time"
)

const (
	// firstPause is short because the node's pods have no cluster DNS during it.
	firstPause = 10 * time.Millisecond
	lastPause  = 5 * time.Second
	// healthy is how long an agent must have run for the pauses to start over when it exits.
	healthy = 10 * time.Second
)

func main() {
	signals := make(chan os.Signal, 8)
	signal.Notify(signals, syscall.SIGTERM, syscall.SIGINT, syscall.SIGCHLD)
	i := supervisor{command: []string{"/opt/bonsai/bin/bonsai-agent", "run"}, log: os.Stderr}
	i.run(signals)
}

// supervisor runs one command and waits for all children, its own and the adopted ones. Since nothing else calls wait
// in this process, no exit status is lost.
type supervisor struct {
	command []string
	log     io.Writer

	pid     int // of the running command, 0 if none
	started time.Time
	pause   time.Duration
}

// run returns after SIGTERM or SIGINT, once the command has ended. The engine decides how long that may take: it kills
// the container when its grace period is over.
func (s *supervisor) run(signals <-chan os.Signal) {
	restart := time.NewTimer(0)
	for stopping := false; ; {
		select {
		case <-restart.C:
			if !s.start() {
				restart.Reset(s.nextPause())
			}
		case sig := <-signals:
			if sig == syscall.SIGCHLD {
				if s.reap() && !stopping {
					restart.Reset(s.nextPause())
				}
				break
			}
			stopping = true
			restart.Stop()
			if s.pid != 0 {
				// The agent knows one way to stop, whatever signal came.
				_ = syscall.Kill(s.pid, syscall.SIGTERM)
			}
		}
		if stopping && s.pid == 0 {
			return
		}
	}
}

func (s *supervisor) start() bool {
	s.started = time.Now()
	pid, err := syscall.ForkExec(s.command[0], s.command, &syscall.ProcAttr{
		Env:   os.Environ(),
		Files: []uintptr{0, 1, 2},
	})
	if err != nil {
		s.logf("start %s: %v", s.command[0], err)
		return false
	}
	s.pid = pid
	return true
}

// reap collects all dead children and reports whether the command was among them. One SIGCHLD may stand for many.
func (s *supervisor) reap() (ended bool) {
	for {
		var status syscall.WaitStatus
		pid, err := syscall.Wait4(-1, &status, syscall.WNOHANG, nil)
		if err == syscall.EINTR {
			continue
		}
		if err != nil || pid <= 0 {
			return ended
		}
		if pid != s.pid {
			continue
		}
		s.pid, ended = 0, true
		s.logf("%s exited after %v: %s", s.command[0], time.Since(s.started).Round(time.Millisecond), describe(status))
	}
}

// nextPause doubles from the first to the last pause, and starts over if the command had been healthy for a while.
func (s *supervisor) nextPause() time.Duration {
	if s.pause = min(2*s.pause, lastPause); s.pause == 0 || time.Since(s.started) >= healthy {
		s.pause = firstPause
	}
	s.logf("starting %s in %v", s.command[0], s.pause)
	return s.pause
}

func (s *supervisor) logf(format string, args ...any) {
	fmt.Fprintf(s.log, "%s bonsai-init: "+format+"\n", append([]any{time.Now().UTC().Format(time.RFC3339)}, args...)...)
}

func describe(status syscall.WaitStatus) string {
	if status.Signaled() {
		return "killed by signal " + status.Signal().String()
	}
	return fmt.Sprintf("exit status %d", status.ExitStatus())
}

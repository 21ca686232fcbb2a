package bootstrap

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"bonsai/bootstrap/cluster"
	"bonsai/bootstrap/componentlog"
	"bonsai/bootstrap/fault"
	"bonsai/bootstrap/lastwords"
	"bonsai/bootstrap/spawn"
	"bonsai/bootstrap/statedir"
)

func crashFile(state statedir.Cluster) string { return filepath.Join(state.Dir(), spawn.CrashFile) }

// lastWords is the reason that a daemon left when it ended, nil if it left none.
func lastWords(state statedir.Cluster) error {
	reason, left := lastwords.Read(crashFile(state))
	switch {
	case reason != "":
		return errors.New(reason)
	case left:
		if panicked := componentlog.PanicIn(componentlog.LastTroubles(state.LogFile("daemon"), evidenceLines)); panicked != "" {
			return errors.New(panicked)
		}
	}
	return nil
}

// restartConcerns is for how long after a restart of the control plane it is a problem. The record stays.
const restartConcerns = time.Hour

// RestartProblem is that of a control plane which runs, but was restarted not long ago; nil if it was not.
func RestartProblem(state statedir.Cluster, r *cluster.Restarts, now time.Time) *cluster.Problem {
	if r == nil || len(r.List) == 0 || now.Sub(r.List[0].Last) > restartConcerns {
		return nil
	}
	last := r.List[0]
	p := &cluster.Problem{
		Kind: cluster.ProblemRestarted, Severity: cluster.SeverityWarning, Object: "daemon", Since: last.Last, Evidence: last.Log,
		Summary: "the control plane's process exited unexpectedly, and was restarted", Cause: last.Reason,
	}
	if last.Reason != "" {
		p.Advice = remedies(errors.New(last.Reason), state)
	} else {
		p.Cause, p.Evidence, p.Advice = "it was killed, and had no time to say why", nil, []cluster.Advice{killedAdvice()}
	}
	if last.Times > 1 {
		p.Cause += fmt.Sprintf(" (%d times since %s)", last.Times, last.First.Local().Format(time.DateTime))
	}
	p.Advice = append(p.Advice, cluster.Advise("see the whole record", cluster.Bonsai("status").With("-o", "json")))
	return p
}

// restarting adds to the problem of a daemon that is gone what its guardian does about it.
func restarting(p *cluster.Problem, r *cluster.Restarts, now time.Time) {
	p.Summary += ", and is being restarted"
	if r == nil || len(r.List) == 0 {
		return
	}
	if r.Next.After(now) {
		p.Retry = r.Next
		p.Summary = fmt.Sprintf("%s at %s", p.Summary, r.Next.Local().Format(time.TimeOnly))
	}
	if last := r.List[0]; last.Error != "" {
		p.Cause = last.Error
	}
	if n := r.List[0].Times; n > 1 {
		p.Cause += fmt.Sprintf(" (%d times since %s)", n, r.List[0].First.Local().Format(time.DateTime))
	}
}

// ended is the problem of a cluster whose daemon is gone although nobody stopped it; nil if it was stopped in order.
func ended(state statedir.Cluster, s *cluster.Snapshot) *cluster.Problem {
	p := gone(state, s)
	_, wanted := state.Intent()
	if p == nil && wanted && s.Restarts != nil && len(s.Restarts.List) > 0 && s.Restarts.List[0].Error != "" {
		// What the last try has left is only its error.
		p = &cluster.Problem{
			Kind: string(fault.ControlPlane), Severity: cluster.SeverityError, Object: "daemon", Summary: "the control plane's process exited unexpectedly",
			Advice: append(remedies(errors.New(s.Restarts.List[0].Error), state), cluster.Advise("start it again", cluster.Bonsai("start").Cure())),
		}
	}
	if p != nil && wanted && state.GuardianAlive() {
		restarting(p, s.Restarts, s.Time)
	}
	return p
}

// gone is ended without a look at the guardian.
func gone(state statedir.Cluster, s *cluster.Snapshot) *cluster.Problem {
	p := &cluster.Problem{Kind: string(fault.ControlPlane), Severity: cluster.SeverityError, Object: "daemon"}
	again := cluster.Advise("start it again", cluster.Bonsai("start").Cure())
	if reason := lastWords(state); reason != nil {
		p.Summary, p.Cause, p.Evidence = "the control plane's process exited unexpectedly", reason.Error(), componentlog.LastTroubles(state.LogFile("daemon"), evidenceLines)
		p.Advice = append(remedies(reason, state), again)
		return p
	}
	if _, left := lastwords.Read(crashFile(state)); !left && !headless(s) {
		return nil
	}
	rest := "; the nodes keep running without it"
	if !headless(s) {
		rest = ""
	}
	d, _ := state.Daemon()
	switch d.Fate() {
	case statedir.Rebooted:
		p.Summary, p.Cause, p.Advice = "the control plane ended when this machine was restarted"+rest, "nothing starts it automatically", []cluster.Advice{
			again, cluster.Advise("have clusters started with this machine", cluster.Bonsai("autostart", "enable").OfNone().Change()),
		}
	case statedir.Elsewhere:
		p.Summary, p.Advice = "the control plane was killed together with what started it"+rest, append([]cluster.Advice{again}, outlive("")...)
		p.Cause = "it was started in a pid namespace of its own (a container, a sandbox or a step of a CI job), and ended with that"
	case statedir.Cleared:
		group := filepath.Base(d.Cgroup)
		p.Summary, p.Advice = "the control plane was killed, probably together with what started it"+rest, append([]cluster.Advice{again}, outlive(group)...)
		p.Cause = "it was a part of " + group + ", which has ended with all its processes"
	default:
		p.Summary, p.Cause, p.Advice = "the control plane's process was killed"+rest, "it had no time to say why", []cluster.Advice{again, killedAdvice()}
	}
	if rest != "" {
		p.Cause += "; running pods continue, but nothing is scheduled, repaired or answered"
	}
	return p
}

// outlive is what keeps a control plane that ends with its control group, or with what else started it.
func outlive(group string) (advice []cluster.Advice) {
	if strings.HasPrefix(group, "session-") { // of systemd-logind, with KillUserProcesses=yes
		advice = append(advice, cluster.Advise("to keep it after a logout, let this user's programs go on first", cluster.Program("loginctl", "enable-linger").Change()))
	}
	return append(advice, cluster.Advise("to keep it, start it where it may stay", cluster.Bonsai("start").With("--foreground").Change()))
}

// remedies are what to do about the reason of an exit, as far as it is known. The texts are those of the kernel and of
// etcd.
func remedies(reason error, state statedir.Cluster) []cluster.Advice {
	has := func(texts ...string) bool {
		return slices.ContainsFunc(texts, func(text string) bool { return strings.Contains(reason.Error(), text) })
	}
	switch {
	case has(syscall.ENOSPC.Error(), syscall.EDQUOT.Error()):
		return []cluster.Advice{cluster.Advise("make room on the disk first", cluster.Program("df", "-h").On(state.Dir()))}
	case has(syscall.EMFILE.Error()):
		return []cluster.Advice{cluster.Advise("raise the limit of open files of this user first; it is", cluster.Program("ulimit", "-Hn"))}
	case has(syscall.ENFILE.Error()):
		return []cluster.Advice{cluster.Advise("raise the machine's limit of open files first; it is", cluster.Program("sysctl", "fs.file-max"))}
	case has("in use by another process"):
		return []cluster.Advice{cluster.Advise("end that process first; see which it is", cluster.Program("fuser", "-v").On(filepath.Join(state.Etcd(), "member", "snap", "db")))}
	case has("etcd: ") && has("wal: ", "snap: ", "failed to open WAL", "failed to read WAL", "failed to repair WAL", "crc mismatch", "corrupt"),
		has("etcd's data") && has("is damaged"):
		advice := []cluster.Advice{
			cluster.Advise("etcd's data is damaged; restore a copy of its folder, or delete the cluster", cluster.Bonsai("delete").Change()),
		}
		if last := lastCheckpoint(state); last != "" {
			advice = slices.Insert(advice, 0, cluster.Advise("etcd's data is damaged; go back to the last checkpoint", cluster.Bonsai("checkpoint", "restore").On(last).Change()))
		}
		return advice
	}
	return nil
}

// killedAdvice is for processes that were killed by SIGKILL.
func killedAdvice() cluster.Advice {
	return cluster.Advise("it was killed; check whether this machine ran out of memory (oom)", cluster.Program("sudo", "dmesg"))
}

// killDaemon kills the cluster's daemon at once; nobody has to wonder why it ended.
func (m *Manager) killDaemon(ctx context.Context, state statedir.Cluster) error {
	if err := state.DropIntent(); err != nil {
		return err
	}
	d, ok := state.Daemon()
	if !ok || !state.DaemonAlive() {
		return m.waitUnguarded(ctx, state)
	}
	// The lock proves that a daemon is running; the file written under it names its process.
	if d.Fate() != statedir.Running {
		return m.endElsewhere(ctx, state)
	}
	if err := syscall.Kill(d.PID, syscall.SIGKILL); err != nil && !errors.Is(err, syscall.ESRCH) {
		return fault.New(fault.State, fmt.Sprintf("end the daemon (process %d)", d.PID), err)
	}
	ctx, cancel := m.limit(ctx, 5*time.Second, "the killed daemon to end")
	defer cancel()
	return errors.Join(state.WaitDaemonGone(ctx), lastwords.Forget(crashFile(state)), m.waitUnguarded(ctx, state))
}

// endElsewhere ends a daemon whose process number means nothing here, or another process.
func (m *Manager) endElsewhere(ctx context.Context, state statedir.Cluster) error {
	ctx, cancel := m.limit(ctx, daemonStopLimit, "the daemon to end in order")
	defer cancel()
	err := m.clientOf(state).Stop(ctx)
	if err == nil {
		err = state.WaitDaemonGone(ctx)
	}
	if err != nil {
		return fault.New(fault.State, "end the daemon, which runs in another pid namespace", err).
			Advise("end it in the container or sandbox in which it was started")
	}
	return nil
}

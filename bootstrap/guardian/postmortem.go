package guardian

import (
	"path/filepath"
	"strings"
	"time"

	"bonsai/bootstrap/cluster"
	"bonsai/bootstrap/componentlog"
	"bonsai/bootstrap/lastwords"
	"bonsai/bootstrap/spawn"
	"bonsai/bootstrap/statedir"
)

// logLines is how many lines of a log are kept with an end of the daemon.
const logLines = 12

func crashFile(state statedir.Cluster) string { return filepath.Join(state.Dir(), spawn.CrashFile) }

// endedInOrder reports whether the newest daemon withdrew its last words.
func endedInOrder(state statedir.Cluster) bool {
	_, left := lastwords.Read(crashFile(state))
	return !left
}

// postMortem gathers what is known about the end of the daemon, before the next one overwrites it.
func (g *guardian) postMortem(now time.Time) cluster.Restart {
	e := cluster.Restart{Last: now}
	var left bool
	e.Reason, e.Stack, left = lastwords.Report(crashFile(g.State))
	logs := "daemon"
	if component, _, found := strings.Cut(e.Reason, ": "); found && filepath.Base(component) == component {
		if lines := componentlog.LastTroubles(g.State.LogFile(component), logLines); len(lines) > 0 {
			logs, e.Log = component, lines
		}
	}
	if logs == "daemon" {
		e.Log = componentlog.LastTroubles(g.State.LogFile(logs), logLines)
	}
	if e.Reason == "" && left {
		e.Reason = componentlog.PanicIn(e.Log)
	}
	d, known := g.State.Daemon()
	if known && !d.Started.IsZero() {
		e.Ran = now.Sub(d.Started).Round(time.Millisecond)
	}
	if p := g.started; p != nil && known && p.PID() == d.PID { // a child of this process, which has ended
		<-p.Done
		e.Exit = exitOf(p)
	}
	return e
}

// exitOf is how a daemon that was started here has ended.
func exitOf(p *spawn.Process) string {
	if p.Err == nil {
		return "it exited without an error"
	}
	return p.Err.Error()
}

package statedir

import (
	"os"
	"os/exec"
	"testing"
)

func TestFate(t *testing.T) {
	self := thisProcess()
	if self.Ticks == "" || self.Boot == "" || self.Namespace == "" {
		t.Fatalf("this process is %+v", self)
	}
	ended := exec.CommandContext(t.Context(), "true")
	if err := ended.Run(); err != nil {
		t.Fatal(err)
	}
	with := func(change func(*Process)) Process {
		p := self
		change(&p)
		return p
	}
	for name, tc := range map[string]struct {
		process Process
		want    Fate
	}{
		"itself":                       {self, Running},
		"of an older bonsai":           {Process{PID: os.Getpid()}, Running},
		"its number given to another":  {with(func(p *Process) { p.Ticks = "1" }), Ended},
		"before a restart":             {with(func(p *Process) { p.Boot = "other" }), Rebooted},
		"in a container":               {with(func(p *Process) { p.Namespace = "pid:[1]" }), Elsewhere},
		"no longer there":              {with(func(p *Process) { p.PID, p.Cgroup = ended.Process.Pid, "" }), Ended},
		"gone with its session":        {with(func(p *Process) { p.PID, p.Cgroup = ended.Process.Pid, "/sys/fs/cgroup/gone.scope" }), Cleared},
		"gone before its session":      {with(func(p *Process) { p.PID, p.Cgroup = ended.Process.Pid, "/" }), Ended},
		"in a session that is no more": {with(func(p *Process) { p.Cgroup = "/sys/fs/cgroup/gone.scope" }), Running},
	} {
		if name == "gone with its session" && self.Cgroup == "" {
			continue // there is no hierarchy with names here
		}
		if got := tc.process.Fate(); got != tc.want {
			t.Errorf("%s: %s, want %s", name, got, tc.want)
		}
	}
}

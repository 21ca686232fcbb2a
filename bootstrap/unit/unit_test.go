package unit

import "testing"

func TestManagerFor(t *testing.T) {
	const login, app, service = "/user.slice/user-1000.slice/session-3.scope",
		"/user.slice/user-1000.slice/user@1000.service/app.slice/vte-spawn-1.scope", "/system.slice/actions.runner.service"
	for name, tc := range map[string]struct {
		place Place
		want  Manager
	}{
		"a login":                         {Place{Cgroup: login, UID: 1000}, None},
		"a login of somebody who stays":   {Place{Cgroup: login, UID: 1000, Lingers: true}, User},
		"a window":                        {Place{Cgroup: app, UID: 1000}, User},
		"a service":                       {Place{Cgroup: service, UID: 1000}, User},
		"a service of root":               {Place{Cgroup: service}, System},
		"a login of root":                 {Place{Cgroup: "/user.slice/user-0.slice/session-1.scope"}, System},
		"a container":                     {Place{Cgroup: "/", UID: 1000}, None},
		"a container of Docker":           {Place{Cgroup: "/docker/0123456789ab"}, None},
		"systemd itself, or no group":     {Place{Cgroup: "/init.scope"}, None},
		"a system without control groups": {Place{UID: 1000}, None},
	} {
		if got := ManagerFor(tc.place); got != tc.want {
			t.Errorf("%s: %s, want %s", name, got, tc.want)
		}
	}
}

func TestCgroupIn(t *testing.T) {
	for text, want := range map[string]string{
		"0::/user.slice/a.scope\n":                                   "/user.slice/a.scope",
		"3:pids:/x\n1:name=systemd:/system.slice/a.service\n0::/y\n": "/system.slice/a.service",
		"": "",
	} {
		if got := cgroupIn(text); got != want {
			t.Errorf("%q: %q, want %q", text, got, want)
		}
	}
}

package cluster

import (
	"slices"
	"strings"
	"testing"
)

func TestMountsAreReadAsTheyAreWritten(t *testing.T) {
	for text, want := range map[string]Mount{
		"/src:/src":         {Host: "/src", Path: "/src"},
		"/src:/mnt/src:ro":  {Host: "/src", Path: "/mnt/src", ReadOnly: true},
		"/src/:/mnt/src:rw": {Host: "/src", Path: "/mnt/src"},
		"src:/src":          {Host: "/home/me/src", Path: "/src"},
		"../data:/data:ro":  {Host: "/home/data", Path: "/data", ReadOnly: true},
		".:/etc/app":        {Host: "/home/me", Path: "/etc/app"},
		"/d:/var/local":     {Host: "/d", Path: "/var/local"},
	} {
		got, err := ParseMount(text, "/home/me")
		if err != nil || got != want {
			t.Errorf("%q: %+v, %v", text, got, err)
		}
		if again, err := ParseMount(got.String(), "/elsewhere"); err != nil || again != want {
			t.Errorf("%q is written as %q, which is %+v, %v", text, got, again, err)
		}
	}
	for text, want := range map[string]string{
		"":                           "HOST:PATH[:ro]",
		"/src":                       "HOST:PATH[:ro]",
		"/src:/src:rx":               "HOST:PATH[:ro]",
		":/src":                      "names no path of this machine",
		"/src:":                      "not an absolute path in the node",
		"/src:src":                   "not an absolute path in the node",
		"/src:/a/../b":               "not an absolute path in the node",
		"/src:/":                     "/ of the node cannot be replaced",
		"/src:/var":                  "/var of the node cannot be replaced; use a folder of your own, such as /mnt/var",
		"/src:/var/lib/kubelet/pods": "/var/lib/kubelet of a node is the system's",
		"/src:/etc/bonsai":           "/etc/bonsai of a node is the system's",
		"/src:/opt/bonsai/x":         "/opt/bonsai of a node is the system's",
		"/src:/run/docker.sock":      "/run of a node is the system's",
		"/src:/proc":                 "/proc of a node is the system's",
		"/src:/sys/fs/cgroup":        "/sys of a node is the system's",
		"/src:/usr/bin/tool":         "/usr/bin of a node is the system's",
		"/s\nrc:/src":                "a line break",
	} {
		if m, err := ParseMount(text, "/home/me"); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %+v, %v, want %q", text, m, err, want)
		}
	}
}

func TestAPathHasOneMount(t *testing.T) {
	a, b, c := Mount{Host: "/a", Path: "/x"}, Mount{Host: "/b", Path: "/x"}, Mount{Host: "/c", Path: "/w"}
	list := []Mount{a}
	if got := MountWith(list, b, c); !slices.Equal(got, []Mount{c, b}) || list[0] != a {
		t.Errorf("got %v of %v", got, list)
	}
	if got := MountWithout(list, "/x"); len(got) != 0 || len(list) != 1 {
		t.Errorf("got %v", got)
	}
}

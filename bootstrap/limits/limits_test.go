package limits

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"bonsai/bootstrap/fault"
)

func TestJudge(t *testing.T) {
	three := Demand{Nodes: 3, ControlPlane: true}
	for name, c := range map[string]struct {
		facts  Facts
		demand Demand
		want   string
	}{
		"nothing is known": {nil, three, ""},
		"plenty":           {Facts{InotifyInstances: {Limit: 8192, Used: 100}, OpenFiles: {Limit: 1 << 20, Used: 1 << 12}}, three, ""},
		"three clusters have used it up": {
			Facts{InotifyInstances: {Limit: 128, Used: 117}}, three,
			"short: 11 of 128 inotify instances are left, and 3 nodes take 39",
		},
		"it fits": {Facts{InotifyInstances: {Limit: 128, Used: 73}}, three, ""},
		"it just fits": {
			Facts{InotifyInstances: {Limit: 128, Used: 89}}, three,
			"near: 39 of 128 inotify instances are left, and 3 nodes take 39, without pods",
		},
		"it fits, and on cgroup v2 pods need more": {
			Facts{InotifyInstances: {Limit: 128, Used: 73}}, Demand{Nodes: 3, ControlPlane: true, CgroupV2: true},
			"near: 55 of 128 inotify instances are left, and 3 nodes take 39, without pods",
		},
		"more is used than is allowed": {
			Facts{InotifyInstances: {Limit: 128, Used: 200}}, Demand{Nodes: 1},
			"short: 0 of 128 inotify instances are left, and 1 node takes 9",
		},
		"not everything is seen": {
			Facts{InotifyInstances: {Limit: 128, Used: 126, AtLeast: true}}, Demand{Nodes: 1},
			"short: at most 2 of 128 inotify instances are left, and 1 node takes 9",
		},
		"nothing starts":   {Facts{InotifyInstances: {Limit: 128, Used: 128}}, Demand{}, ""},
		"no limit":         {Facts{InotifyInstances: {Limit: 0, Used: 128}}, three, ""},
		"pods may need it": {Facts{AsyncIO: {Limit: 65536, Used: 65000}}, three, "near: 536 of 65536 asynchronous I/O requests are left"},
		"half of it":       {Facts{AsyncIO: {Limit: 65536, Used: 32000}}, three, ""},
		"a full disk": {
			Facts{Disk: {Limit: 8 << 30, Used: 8<<30 - 1<<20}}, three,
			"short: 1 MiB of 8192 MiB of the disk space of the container engine are free, and 3 nodes take 48 MiB",
		},
		"a disk that is nearly full": {
			Facts{Disk: {Limit: 8 << 30, Used: 8<<30 - 500<<20}}, Demand{Nodes: 1},
			"near: 500 MiB of 8192 MiB of the disk space of the container engine are free, and 1 node takes 16 MiB",
		},
	} {
		t.Run(name, func(t *testing.T) {
			var got []string
			for _, v := range Judge(c.facts, c.demand) {
				grade := map[Grade]string{Near: "near", Short: "short"}[v.Grade]
				got = append(got, grade+": "+v.String())
			}
			if text := strings.Join(got, "\n"); text != c.want {
				t.Errorf("got  %s\nwant %s", text, c.want)
			}
		})
	}
}

func TestFaultNamesTheSetting(t *testing.T) {
	f := Judge(Facts{InotifyWatches: {Limit: 100, Used: 90}}, Demand{Nodes: 2})[0].Fault()
	hint := fault.Problem(f).HintText()
	if f.Kind != fault.Limit || !strings.Contains(hint, "sudo sysctl -w fs.inotify.max_user_watches=524288") || !strings.Contains(hint, "/etc/sysctl.d") {
		t.Errorf("got %s: %v\n%s", f.Kind, f, hint)
	}
	if fault.ExitCode(f) == 1 {
		t.Error("it has no exit code of its own")
	}
}

// What programs really print.
func TestRecognize(t *testing.T) {
	for text, want := range map[string]Name{
		"Failed to watch cert and key file: error creating fsnotify watcher: couldn't initialize inotify: too many open files": InotifyInstances,
		"run kubelet: observe machine: inotify_init: too many open files":                                                      InotifyInstances,
		"failed to load plugin: failed to create fsnotify watcher: too many open files":                                        InotifyInstances,
		"failed to create inotify fd: too many open files":                                                                     InotifyInstances,
		"Error: ENOSPC: System limit for number of file watchers reached, watch '/app'":                                        InotifyWatches,
		"inotify_add_watch /sys/fs/cgroup/memory/kubepods: no space left on device":                                            InotifyWatches,
		"failed to add inotify watch for \"/sys/fs/cgroup/x/memory.events\": no space left on device":                          InotifyWatches,
		"accept4: too many open files in system":                                                                               OpenFiles,
		"open /data/x: too many open files":                                                                                    DescriptorsEach,
		"runtime: failed to create new OS thread (have 8 already; errno=11)":                                                   ProcessIDs,
		"sh: can't fork: Resource temporarily unavailable":                                                                     ProcessIDs,
		"fork/exec /usr/bin/x: resource temporarily unavailable":                                                               ProcessIDs,
		"java.lang.OutOfMemoryError: unable to create native thread: possibly out of memory":                                   ProcessIDs,
		"unable to join session keyring: unable to create session key: disk quota exceeded":                                    Keys,
		"write /var/lib/x: no space left on device":                                                                            Disk,
		"mount: could not find any free loop device":                                                                           LoopDevices,
		"InnoDB: io_setup() failed with EAGAIN after 5 attempts":                                                               AsyncIO,
		"Could not setup Async I/O: Not enough request slots in /proc/sys/fs/aio-max-nr. Please set to 1M":                     AsyncIO,
	} {
		if got, ok := Recognize(text); !ok || got.Name != want {
			t.Errorf("%q: got %q, want %q", text, got.Name, want)
		}
	}
	for _, text := range []string{"", "exit status 1", "connection refused", "failed to watch *v1.Pod: connection refused", "timed out after 90s waiting for all nodes"} {
		if got, ok := Recognize(text); ok {
			t.Errorf("%q is taken for %s", text, got.Name)
		}
	}
}

// The document is the same table for users.
func TestDocumentIsTheTable(t *testing.T) {
	data, err := os.ReadFile("../../docs/limits.md")
	if err != nil {
		t.Fatal(err)
	}
	amount := func(l Limit, n int64) string {
		if l.Name == Disk && n > 0 {
			return mebibytes(n)
		}
		return fmt.Sprint(n)
	}
	for _, l := range Table() {
		setting := ""
		if l.Setting != "" {
			setting = fmt.Sprintf("`%s` (%d)", l.Setting, l.Value)
		}
		c := l.Cost
		row := fmt.Sprintf("| %s | %s | %s | %s | %s | %s |", l.Noun, setting, amount(l, c.ControlPlane), amount(l, c.Node), amount(l, c.Pod), amount(l, c.PodV2))
		row = strings.ReplaceAll(row, "|  |", "| |")
		if !strings.Contains(string(data), row+"\n") {
			t.Errorf("docs/limits.md has no row\n%s", row)
		}
	}
}

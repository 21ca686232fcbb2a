package machine

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"

	"bonsai/bootstrap/limits"
)

// machine writes the files of a machine below a folder.
func machine(t *testing.T, files map[string]string) Machine {
	t.Helper()
	m := Machine{Root: t.TempDir(), User: uint32(os.Getuid()), SeesUser: true}
	for name, text := range files {
		path := filepath.Join(m.Root, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return m
}

func (m Machine) open(t *testing.T, pid, fd, to, info string) {
	t.Helper()
	dir := filepath.Join(m.Root, "proc", pid)
	for _, sub := range []string{"fd", "fdinfo"} {
		if err := os.MkdirAll(filepath.Join(dir, sub), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink(to, filepath.Join(dir, "fd", fd)); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "fdinfo", fd), []byte(info), 0o600); err != nil {
		t.Fatal(err)
	}
}

var usual = map[string]string{
	"proc/sys/fs/inotify/max_user_instances":    "128\n",
	"proc/sys/fs/inotify/max_user_watches":      "8192\n",
	"proc/sys/fs/file-nr":                       "1238\t0\t2466160\n",
	"proc/sys/fs/aio-nr":                        "5\n",
	"proc/sys/fs/aio-max-nr":                    "65536\n",
	"proc/sys/kernel/threads-max":               "192729\n",
	"proc/sys/kernel/pid_max":                   "32768\n",
	"proc/sys/net/netfilter/nf_conntrack_count": "12\n",
	"proc/sys/net/netfilter/nf_conntrack_max":   "262144\n",
	"proc/loadavg":                              "0.20 0.18 0.12 1/337 11206\n",
	"proc/key-users":                            "    0:     9 8/8 3/1000000 40/25000000\n 1000:     2 2/2 1/200 9/20000\n",
	"sys/fs/cgroup/system.slice/pids.max":       "max\n",
	"sys/fs/cgroup/system.slice/pids.current":   "100\n",
	"sys/fs/cgroup/pids/docker/pids.max":        "4096\n",
	"sys/fs/cgroup/pids/docker/pids.current":    "300\n",
}

func TestFacts(t *testing.T) {
	m := machine(t, usual)
	m.open(t, "1", "3", "anon_inode:inotify", "pos:\t0\nflags:\t02004000\ninotify wd:2 ino:1 sdev:2\ninotify wd:1 ino:1 sdev:2\n")
	m.open(t, "1", "4", "/dev/null", "pos:\t0\n")
	m.open(t, "22", "9", "anon_inode:inotify", "pos:\t0\n")
	got := m.Facts("/")
	want := limits.Facts{
		limits.InotifyInstances: {Limit: 128, Used: 2},
		limits.InotifyWatches:   {Limit: 8192, Used: 2},
		limits.OpenFiles:        {Limit: 2466160, Used: 1238},
		limits.Threads:          {Limit: 192729, Used: 337},
		limits.ProcessIDs:       {Limit: 32768, Used: 337},
		limits.EnginePIDs:       {Limit: 4096, Used: 300},
		limits.Connections:      {Limit: 262144, Used: 12},
		limits.AsyncIO:          {Limit: 65536, Used: 5},
		limits.Keys:             {Limit: 1000000, Used: 3},
	}
	if disk := got[limits.Disk]; disk.Limit <= 0 || disk.Used < 0 || disk.Used > disk.Limit {
		t.Errorf("disk: %+v", disk)
	}
	delete(got, limits.Disk)
	for name, level := range want {
		if got[name] != level {
			t.Errorf("%s: got %+v, want %+v", name, got[name], level)
		}
	}
	if len(got) != len(want) {
		t.Errorf("got %+v, want %+v", got, want)
	}
}

func TestWhatCannotBeSeen(t *testing.T) {
	m := machine(t, usual)
	m.SeesUser = false
	if got, want := m.Facts("")[limits.InotifyInstances], (limits.Level{Limit: 128, AtLeast: true}); got != want {
		t.Errorf("of another user: got %+v, want %+v", got, want)
	}
	if got := machine(t, nil).Facts("/nowhere"); len(got) != 0 {
		t.Errorf("of a machine without /proc: got %+v, want nothing", got)
	}
	other := machine(t, usual)
	other.User++
	other.open(t, "1", "3", "anon_inode:inotify", "")
	if got := other.Facts("")[limits.InotifyInstances].Used; got != 0 {
		t.Errorf("the processes of others are counted: %d", got)
	}
}

func TestRaise(t *testing.T) {
	m := machine(t, usual)
	if err := m.Raise(limits.Of(limits.InotifyInstances)); err != nil {
		t.Fatal(err)
	}
	if got := m.Facts("")[limits.InotifyInstances].Limit; got != 8192 {
		t.Errorf("the limit is %d, want 8192", got)
	}
	if err := machine(t, nil).Raise(limits.Of(limits.InotifyInstances)); err == nil {
		t.Error("a machine without the setting: no error")
	}
	if err := m.Raise(limits.Of(limits.Disk)); err == nil {
		t.Error("a limit without a setting: no error")
	}
}

// The kernel's own numbers: one instance more is one more.
func TestThisProcess(t *testing.T) {
	instances, watches := inotifyOf("/proc/self")
	fd, err := unix.InotifyInit1(unix.IN_CLOEXEC)
	if errors.Is(err, unix.EMFILE) {
		t.Skip("needs a free inotify instance, of which this user has none left")
	}
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = unix.Close(fd) }()
	for range 2 {
		if _, err := unix.InotifyAddWatch(fd, t.TempDir(), unix.IN_CREATE); err != nil {
			t.Fatal(err)
		}
	}
	if i, w := inotifyOf("/proc/self"); i != instances+1 || w != watches+2 {
		t.Errorf("got %d instances and %d watches, want %d and %d", i, w, instances+1, watches+2)
	}
	if all, _ := (Machine{Root: "/", User: uint32(os.Geteuid()), SeesUser: true}).countInotify(); all < 1 {
		t.Error("among all processes of this user there is none")
	}
}

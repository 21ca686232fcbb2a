package hostprep

import (
	"log/slog"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

func TestPodResolvConf(t *testing.T) {
	got := podResolvConf("# made by the engine\nsearch corp.example  lan\nnameserver 127.0.0.11\noptions ndots:0\n", netip.MustParseAddr("10.201.0.10"), keepAll)
	want := "nameserver 10.201.0.10\nsearch corp.example lan\noptions ndots:0\n"
	if got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if got, want := podResolvConf("", netip.MustParseAddr("10.201.0.10"), keepAll), "nameserver 10.201.0.10\n"; got != want {
		t.Errorf("without a resolv.conf: got %q, want %q", got, want)
	}
}

func keepAll(own []string) []string { return own }

// TestSearchDomainsOfAMachine: as many as a company has, with options of the machine's own.
func TestSearchDomainsOfAMachine(t *testing.T) {
	long := strings.Repeat("a.", 98) + "test"
	conf := "nameserver 127.0.0.11\nsearch one.test two.test wild.test four.test five.test " + long + "\noptions ndots:1 rotate trust-ad\n"
	got := podResolvConf(conf, netip.MustParseAddr("10.201.0.10"), func(own []string) []string {
		return slices.DeleteFunc(slices.Clone(own), func(d string) bool { return d == "wild.test" })
	})
	want := "nameserver 10.201.0.10\nsearch one.test two.test four.test five.test " + long + "\noptions ndots:1 rotate trust-ad\n"
	if got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	got = podResolvConf(conf, netip.MustParseAddr("10.201.0.10"), func([]string) []string { return nil })
	if want := "nameserver 10.201.0.10\noptions ndots:1 rotate trust-ad\n"; got != want {
		t.Errorf("without any: got %q, want %q", got, want)
	}
	// Those of a machine that has others by now.
	got = podResolvConf("nameserver 127.0.0.11\noptions ndots:0\n", netip.MustParseAddr("10.201.0.10"), func([]string) []string { return []string{"vpn.test"} })
	if want := "nameserver 10.201.0.10\nsearch vpn.test\noptions ndots:0\n"; got != want {
		t.Errorf("others: got %q, want %q", got, want)
	}
}

func TestParseMountInfo(t *testing.T) {
	got := parseMountInfo("1041 1040 0:30 / /sys/fs/cgroup/cpu,cpuacct ro,nosuid,nodev,noexec,relatime - cgroup cgroup rw,cpu,cpuacct\n" +
		"36 35 98:0 / /a\\040b rw master:1 - ext4 /dev/root rw\nbroken\n")
	want := []mountPoint{
		{path: "/sys/fs/cgroup/cpu,cpuacct", fsType: "cgroup", readOnly: true, flags: unix.MS_NOSUID | unix.MS_NODEV | unix.MS_NOEXEC | unix.MS_RELATIME},
		{path: "/a b", fsType: "ext4"},
	}
	if len(got) != len(want) {
		t.Fatalf("got %+v, want %+v", got, want)
	}
	for i := range want {
		if got[i] != want[i] {
			t.Errorf("mount %d is %+v, want %+v", i, got[i], want[i])
		}
	}
}

func TestPrivateNamespace(t *testing.T) {
	for cgroup, want := range map[string]bool{
		"0::/\n":                                 true,
		"0::/init\n":                             true,
		"3:memory:/\n2:cpu,cpuacct:/\n":          true,
		"0::/system.slice/docker-abc.scope\n":    false,
		"3:memory:/docker/abc\n1:cpuset:/\n":     false,
		"1:name=systemd:/docker/abc\n0::/init\n": false,
	} {
		if got := privateNamespace(cgroup); got != want {
			t.Errorf("privateNamespace(%q) is %v, want %v", cgroup, got, want)
		}
	}
}

func TestInheritCpuset(t *testing.T) {
	parent, child := t.TempDir(), t.TempDir()
	write(t, filepath.Join(parent, "cpuset.cpus"), "0-3\n")
	write(t, filepath.Join(parent, "cpuset.mems"), "0\n")
	write(t, filepath.Join(child, "cpuset.cpus"), "1\n") // set already: stays
	write(t, filepath.Join(child, "cpuset.mems"), "\n")
	if err := inheritCpuset(parent, child); err != nil {
		t.Fatal(err)
	}
	for file, want := range map[string]string{"cpuset.cpus": "1\n", "cpuset.mems": "0\n"} {
		if got := read(t, filepath.Join(child, file)); got != want {
			t.Errorf("%s is %q, want %q", file, got, want)
		}
	}
	if err := inheritCpuset(t.TempDir(), child); err != nil {
		t.Errorf("a controller other than cpuset: %v", err)
	}
}

func TestMachineIDIsKeptAndDiffers(t *testing.T) {
	path := filepath.Join(t.TempDir(), "id")
	first, err := machineID(path)
	if err != nil {
		t.Fatal(err)
	}
	again, err := machineID(path)
	if err != nil || again != first || len(first) != machineIDLength {
		t.Errorf("first %q, again %q (%v)", first, again, err)
	}
	other, err := machineID(filepath.Join(t.TempDir(), "id"))
	if err != nil || other == first {
		t.Errorf("another node has %q (%v), the first %q", other, err, first)
	}
}

func TestSysctls(t *testing.T) {
	root := t.TempDir()
	if err := setSysctls(root, slog.New(slog.DiscardHandler)); err == nil {
		t.Error("a missing ip_forward must be an error")
	}
	for _, s := range sysctls {
		if err := os.MkdirAll(filepath.Dir(filepath.Join(root, s.path)), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if err := setSysctls(root, slog.New(slog.DiscardHandler)); err != nil {
		t.Fatal(err)
	}
	for _, s := range sysctls {
		if got := read(t, filepath.Join(root, s.path)); got != s.value {
			t.Errorf("%s is %q, want %q", s.path, got, s.value)
		}
	}
}

func TestFolderBecomesALink(t *testing.T) {
	dir := t.TempDir()
	link := filepath.Join(dir, "var", "run")
	for _, stale := range []bool{false, true, false} {
		if stale {
			if err := os.Remove(link); err != nil {
				t.Fatal(err)
			}
			if err := os.MkdirAll(filepath.Join(link, "netns"), 0o755); err != nil {
				t.Fatal(err)
			}
		}
		if err := linkDir(link, "/run"); err != nil {
			t.Fatal(err)
		}
		if to, err := os.Readlink(link); err != nil || to != "/run" {
			t.Errorf("link leads to %q (%v)", to, err)
		}
	}
}

func write(t *testing.T, path, data string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(data), 0o600); err != nil {
		t.Fatal(err)
	}
}

func read(t *testing.T, path string) string {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// Installers may replace what is there, and a copy may have been interrupted.
func TestCopyPluginsReplacesNothing(t *testing.T) {
	from, to := t.TempDir(), t.TempDir()
	write := func(path, text string) {
		t.Helper()
		if err := os.WriteFile(path, []byte(text), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	write(filepath.Join(from, "ptp"), "ours")
	write(filepath.Join(from, "portmap"), "ours")
	write(filepath.Join(to, "portmap"), "installed")
	write(filepath.Join(to, "ptp.part"), "interrupted")
	for range 2 {
		if err := CopyPlugins(from, to); err != nil {
			t.Fatal(err)
		}
	}
	for name, want := range map[string]string{"ptp": "ours", "portmap": "installed"} {
		got, err := os.ReadFile(filepath.Join(to, name))
		if err != nil || string(got) != want {
			t.Errorf("%s has %q (%v), want %q", name, got, err, want)
		}
		if info, err := os.Stat(filepath.Join(to, name)); err != nil || info.Mode().Perm() != 0o755 {
			t.Errorf("%s has mode %v (%v), want 0755", name, info.Mode(), err)
		}
	}
	if left, _ := filepath.Glob(filepath.Join(to, "*.part")); len(left) > 0 {
		t.Errorf("%v stays behind", left)
	}
}

package look

import (
	"bytes"
	"compress/gzip"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"bonsai/bootstrap/cluster"
	"bonsai/bootstrap/doctor"
	"bonsai/bootstrap/statedir"
)

// machine writes the files of a machine below a folder.
func machine(t *testing.T, files map[string]string) Machine {
	t.Helper()
	m := Machine{Root: t.TempDir(), Lingers: func(int) bool { return false }}
	for name, text := range files {
		path := filepath.Join(m.Root, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return m
}

func packed(t *testing.T, text string) string {
	t.Helper()
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	if _, err := w.Write([]byte(text)); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func TestKernel(t *testing.T) {
	const config = "# CONFIG_BRIDGE is not set\nCONFIG_VETH=m\nCONFIG_OVERLAY_FS=y\nCONFIG_HZ=250\n"
	for name, files := range map[string]map[string]string{
		"compressed": {"proc/config.gz": packed(t, config)},
		"in /boot":   {"boot/config-6.1.0": config},
	} {
		t.Run(name, func(t *testing.T) {
			files["proc/sys/kernel/osrelease"] = "6.1.0\n"
			files["sys/module/veth/parameters/x"] = ""
			files["lib/modules/6.1.0/modules.dep"] = "kernel/net/nft_nat.ko.xz: kernel/net/nf_tables.ko.xz\nkernel/net/nft-masq.ko:\n"
			files["lib/modules/6.1.0/modules.builtin"] = "kernel/fs/overlayfs/overlay.ko\n"
			k := machine(t, files).Kernel()
			if k.Release != "6.1.0" || k.Config["CONFIG_VETH"] != "m" || k.Config["CONFIG_OVERLAY_FS"] != "y" || len(k.Config) != 2 {
				t.Errorf("got %+v", k)
			}
			if !slices.Equal(k.Loaded, []string{"veth"}) || !slices.Equal(k.Modules, []string{"nft_nat", "nft_masq", "overlay"}) || k.Contained {
				t.Errorf("got %+v", k)
			}
		})
	}
	if k := machine(t, map[string]string{".dockerenv": "", "proc/config.gz": "not gzip"}).Kernel(); k.Config != nil || k.Modules != nil || !k.Contained {
		t.Errorf("got %+v", k)
	}
}

func TestCgroups(t *testing.T) {
	g := machine(t, map[string]string{"sys/fs/cgroup/cgroup.controllers": "cpuset cpu memory pids\n"}).Cgroups()
	if g.Version != 2 || !slices.Equal(g.Controllers, []string{"cpuset", "cpu", "memory", "pids"}) {
		t.Errorf("version 2: %+v", g)
	}
	g = machine(t, map[string]string{"proc/cgroups": "#subsys_name\thierarchy\tnum_cgroups\tenabled\npids\t8\t66\t1\nmemory\t0\t80\t0\ncpu\t2\t1\t1\n"}).Cgroups()
	if g.Version != 1 || !slices.Equal(g.Controllers, []string{"cpu", "pids"}) {
		t.Errorf("version 1: %+v", g)
	}
	if g := machine(t, nil).Cgroups(); g.Version != 0 || g.Controllers != nil {
		t.Errorf("none: %+v", g)
	}
}

func TestMemory(t *testing.T) {
	got := machine(t, map[string]string{"proc/meminfo": "MemTotal:        8000 kB\nMemFree: 100 kB\nMemAvailable:    6000 kB\n"}).Memory()
	if got != (doctor.Memory{Total: 8000 << 10, Available: 6000 << 10}) {
		t.Errorf("got %+v", got)
	}
}

func TestFirewalls(t *testing.T) {
	m := machine(t, map[string]string{"etc/ufw/ufw.conf": "# x\nENABLED=yes\nLOGLEVEL=low\n", "proc/77/comm": "firewalld\n", "proc/self/comm": "x"})
	if got := m.Firewalls(); !slices.Equal(got, []doctor.Firewall{doctor.UFW, doctor.Firewalld}) {
		t.Errorf("got %v", got)
	}
	if got := machine(t, map[string]string{"etc/ufw/ufw.conf": "ENABLED=no\n", "proc/77/comm": "sh\n"}).Firewalls(); len(got) != 0 {
		t.Errorf("got %v", got)
	}
}

func TestSession(t *testing.T) {
	m := machine(t, map[string]string{
		"run/systemd/system/x": "", "etc/systemd/logind.conf": "[Login]\n#KillUserProcesses=no\n", "etc/systemd/logind.conf.d/10.conf": "[Login]\nKillUserProcesses=yes\n",
	})
	if s := m.Session(); !s.Systemd || !s.Killed {
		t.Errorf("got %+v", s)
	}
	if s := machine(t, map[string]string{"etc/systemd/logind.conf": "KillUserProcesses=no"}).Session(); s.Systemd || s.Killed {
		t.Errorf("got %+v", s)
	}
}

func TestFolder(t *testing.T) {
	m, dir := machine(t, nil), statedir.Dir{Root: filepath.Join(t.TempDir(), "home")}
	if f := m.Folder(dir); f.Exists || f.Trouble != nil {
		t.Errorf("one that does not exist: %+v", f)
	}
	state := dir.Cluster("dev")
	if err := state.Create(); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(state.SpecFile(), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if f := m.Folder(dir); !f.Exists || !f.Owned || f.Trouble != nil || len(f.Open) > 0 {
		t.Errorf("a good one: %+v", f)
	}
	if err := os.Chmod(state.PKI(), 0o755); err != nil {
		t.Fatal(err)
	}
	if f := m.Folder(dir); !slices.Equal(f.Open, []string{state.PKI()}) {
		t.Errorf("an open one: %+v", f)
	}
	if left, err := os.ReadDir(dir.Root); err != nil || len(left) != 1 {
		t.Errorf("something is left in it: %v, %v", left, err)
	}
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if f := m.Folder(statedir.Dir{Root: filepath.Join(file, "home")}); f.Trouble == nil {
		t.Errorf("below a file: %+v", f)
	}
}

func TestFree(t *testing.T) {
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	at := netip.MustParseAddrPort(l.Addr().String())
	if This(nil).Free(t.Context(), at) {
		t.Error("a port with a listener is free")
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	if !This(nil).Free(t.Context(), at) {
		t.Error("a port without one is not")
	}
}

// What this machine says has to make sense.
func TestThisMachine(t *testing.T) {
	m := This(func(int) bool { return false })
	if d := m.Disk("x", "/proc/does/not/exist/"); d.Of != "x" {
		t.Errorf("got %+v", d)
	}
	if d := m.Disk("x", filepath.Join(t.TempDir(), "not", "yet")); d.Size <= 0 || d.Free > d.Size {
		t.Errorf("the disk is %+v", d)
	}
	if m.Kernel().Release == "" {
		t.Error("the kernel has no release")
	}
	if memory := m.Memory(); memory.Total <= 0 || memory.Available > memory.Total {
		t.Errorf("the memory is %+v", memory)
	}
	if k := m.Clock(); !k.Known || k.Now.IsZero() {
		t.Errorf("the clock is %+v", k)
	}
	t.Setenv("HTTPS_PROXY", "gopher://x")
	if p, err := m.Proxy(); err == nil || p != (cluster.Proxy{}) {
		t.Errorf("got %+v, %v", p, err)
	}
}

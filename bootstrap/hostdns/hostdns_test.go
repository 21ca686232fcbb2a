package hostdns

import (
	"errors"
	"io/fs"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"bonsai/bootstrap/fault"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func dev() Names {
	return Names{Cluster: "dev", ID: "0a1b2c3d4e5f", Port: 15353, Domains: []string{"svc.cluster.local", "dev.bonsai.internal", "test"}}
}

func TestScripts(t *testing.T) {
	const note = "# Written by bonsai for the names of cluster dev; taken back by:  bonsai dns host disable\n"
	for name, c := range map[string]struct {
		machine   Machine
		set, undo string
	}{
		"a new systemd": {
			Machine{OS: "linux", Resolved: true, Version: 258, Link: "br-1"},
			"mkdir -p /etc/systemd/dns-delegate.d\ncat >/etc/systemd/dns-delegate.d/bonsai-dev-0a1b2c3d.dns-delegate <<'END'\n" + note +
				"[Delegate]\nDNS=127.0.0.1:15353\nDomains=~svc.cluster.local ~dev.bonsai.internal ~test\nEND\nsystemctl reload systemd-resolved\n",
			"rm -f /etc/systemd/dns-delegate.d/bonsai-dev-0a1b2c3d.dns-delegate\nsystemctl reload systemd-resolved\n",
		},
		"an older systemd": {
			Machine{OS: "linux", Resolved: true, Version: 252, Link: "br-1"},
			"resolvectl dns br-1 127.0.0.1:15353\nresolvectl domain br-1 '~svc.cluster.local' '~dev.bonsai.internal' '~test'\nresolvectl default-route br-1 false\n",
			"resolvectl revert br-1\n",
		},
		"NetworkManager": {
			Machine{OS: "linux", NetworkManager: true},
			"mkdir -p /etc/NetworkManager/dnsmasq.d\ncat >/etc/NetworkManager/dnsmasq.d/bonsai-dev-0a1b2c3d.conf <<'END'\n" + note +
				"server=/svc.cluster.local/127.0.0.1#15353\nrebind-domain-ok=/svc.cluster.local/\nserver=/dev.bonsai.internal/127.0.0.1#15353\nrebind-domain-ok=/dev.bonsai.internal/\n" +
				"server=/test/127.0.0.1#15353\nrebind-domain-ok=/test/\nserver=/localhost/127.0.0.1#15353\nrebind-domain-ok=/localhost/\nEND\nnmcli general reload dns-full\n",
			"rm -f /etc/NetworkManager/dnsmasq.d/bonsai-dev-0a1b2c3d.conf\nnmcli general reload dns-full\n",
		},
	} {
		got, err := Find(c.machine, dev())
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if got.Script() != c.set || got.UndoScript() != c.undo {
			t.Errorf("%s: got\n%s\nand\n%s\nwant\n%s\nand\n%s", name, got.Script(), got.UndoScript(), c.set, c.undo)
		}
	}
	mac, err := Find(Machine{OS: "darwin"}, dev())
	if err != nil || len(mac.Files) != 4 || !strings.HasSuffix(mac.Files[2].Content, "domain test\nnameserver 127.0.0.1\nport 15353\ntimeout 2\n") {
		t.Errorf("macOS: %+v, %v", mac, err)
	}
}

// TestMachinesThatCannot: nothing is configured that would be asked about every name.
func TestMachinesThatCannot(t *testing.T) {
	for _, m := range []Machine{
		{OS: "linux"}, {OS: "linux", Link: "br-1"},
		{OS: "linux", Resolved: true, Version: 252},               // no interface to hang it on
		{OS: "linux", Resolved: true, Version: 245, Link: "br-1"}, // it would not reach loopback from there
	} {
		if c, err := Find(m, dev()); fault.KindOf(err) != fault.Usage || fault.Problem(err).HintText() == "" {
			t.Errorf("%+v: %+v, %v", m, c, err)
		}
	}
}

func write(t *testing.T, root string, files map[string]string) System {
	t.Helper()
	for path, text := range files {
		path = filepath.Join(root, path)
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o700), os.WriteFile(path, []byte(text), 0o600)); err != nil {
			t.Fatal(err)
		}
	}
	return System{Root: root}
}

func TestLook(t *testing.T) {
	t.Setenv("PATH", t.TempDir()) // no resolvectl, so that its version is unknown
	for name, c := range map[string]struct {
		files map[string]string
		want  Machine
	}{
		"systemd":           {map[string]string{"/run/systemd/resolve/stub-resolv.conf": "", "/etc/resolv.conf": "search lan\nnameserver  127.0.0.53\n"}, Machine{Resolved: true}},
		"systemd by libc":   {map[string]string{"/run/systemd/resolve/stub-resolv.conf": "", "/etc/nsswitch.conf": "hosts: files resolve [!UNAVAIL=return] dns\n"}, Machine{Resolved: true}},
		"systemd, not used": {map[string]string{"/run/systemd/resolve/stub-resolv.conf": "", "/etc/resolv.conf": "nameserver 10.0.0.1\n"}, Machine{}},
		"NetworkManager":    {map[string]string{"/run/NetworkManager/dnsmasq.pid": "1", "/etc/resolv.conf": "nameserver 127.0.1.1"}, Machine{NetworkManager: true}},
		"dnsmasq":           {map[string]string{"/run/dnsmasq/dnsmasq.pid": "1", "/etc/dnsmasq.d/README": "", "/etc/resolv.conf": "nameserver 127.0.0.1"}, Machine{DNSMasq: true}},
		"dnsmasq, not used": {map[string]string{"/run/dnsmasq/dnsmasq.pid": "1", "/etc/dnsmasq.d/README": "", "/etc/resolv.conf": "nameserver 10.0.0.1"}, Machine{}},
		"nothing":           {nil, Machine{}},
	} {
		got := write(t, t.TempDir(), c.files).Look(t.Context(), netip.Prefix{})
		got.OS = ""
		if got != c.want {
			t.Errorf("%s: got %+v, want %+v", name, got, c.want)
		}
	}
	if got := linkIn(netip.MustParsePrefix("127.0.0.0/8")); got == "" {
		t.Error("the interface of 127.0.0.0/8 is not found")
	}
	if got := linkIn(netip.MustParsePrefix("203.0.113.0/24")); got != "" {
		t.Errorf("an interface of a network for documents is %s", got)
	}
}

func TestVersion(t *testing.T) {
	for text, want := range map[string]int{
		"systemd 252 (252.39-1~deb12u1)\n+PAM": 252, "systemd 258.1 (258.1-1)": 258, "systemd 259~rc1": 259, "systemd": 0, "": 0, "systemd v9": 0, "bonsai 1 2": 0, "systemd -3": 0,
	} {
		if got := version(text); got != want {
			t.Errorf("%q: %d", text, got)
		}
	}
}

func FuzzFiles(f *testing.F) {
	f.Add("nameserver 127.0.0.53\nsearch a", "systemd 252 (x)")
	f.Add("nameserver\t::1%lo # x", "systemd 1.2~3")
	f.Fuzz(func(t *testing.T, conf, text string) {
		for s := range nameservers(conf) {
			if s == "" || strings.ContainsAny(s, " \t\n") {
				t.Errorf("%q is not a server", s)
			}
		}
		if version(text) < 0 {
			t.Errorf("version %d", version(text))
		}
	})
}

// program puts a program in PATH that records how it is called, and ends with code.
func program(t *testing.T, name string, code string) (called func() string) {
	t.Helper()
	dir := t.TempDir()
	record := filepath.Join(dir, "called")
	if err := os.WriteFile(filepath.Join(dir, name), []byte("#!/bin/sh\necho \"$0 $*\" >>"+record+"\nexit "+code+"\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", dir+":"+os.Getenv("PATH"))
	return func() string {
		text, err := os.ReadFile(record)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			t.Fatal(err)
		}
		return strings.ReplaceAll(string(text), dir+"/", "")
	}
}

// TestApplyAndRemove: what a cluster has on the machine comes and goes as a whole, and nothing else.
func TestApplyAndRemove(t *testing.T) {
	called := program(t, "systemctl", "0")
	s := write(t, t.TempDir(), map[string]string{
		"/etc/systemd/dns-delegate.d/corp.dns-delegate":                "mine",
		"/etc/systemd/dns-delegate.d/bonsai-dev-ffffffff.dns-delegate": "another cluster's of this name",
		"/etc/dnsmasq.d/bonsai-dev-0a1b2c3d.conf":                      "of the time before systemd-resolved",
	})
	n := dev()
	c, err := Find(Machine{OS: "linux", Resolved: true, Version: 260}, n)
	if err != nil {
		t.Fatal(err)
	}
	if s.InPlace(c) {
		t.Error("it is in place before it is")
	}
	if err := s.Apply(t.Context(), n, c); err != nil {
		t.Fatal(err)
	}
	if got := called(); got != "systemctl reload systemd-resolved\n" {
		t.Errorf("it called %q", got)
	}
	if !s.InPlace(c) {
		t.Error("it is not in place")
	}
	info, err := os.Stat(filepath.Join(s.Root, c.Files[0].Path))
	if err != nil || info.Mode().Perm() != 0o644 {
		t.Errorf("the resolver's user cannot read it: %v, %v", info, err)
	}
	if _, err := os.Stat(filepath.Join(s.Root, "/etc/dnsmasq.d/bonsai-dev-0a1b2c3d.conf")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the earlier configuration is still there: %v", err)
	}
	n.Port++
	if other, _ := Find(Machine{OS: "linux", Resolved: true, Version: 260}, n); s.InPlace(other) {
		t.Error("a configuration with another port is in place")
	}
	installed, ok := s.Installed("dev", n.ID)
	if !ok || installed.Manager != "systemd-resolved" || len(installed.Files) != 1 || installed.Files[0].Path != c.Files[0].Path {
		t.Errorf("installed is %+v, %v", installed, ok)
	}
	if got, want := installed.UndoScript(), c.UndoScript(); got != want {
		t.Errorf("it is taken back by\n%swant\n%s", got, want)
	}
	if err := s.Remove(t.Context(), installed); err != nil {
		t.Fatal(err)
	}
	if _, ok := s.Installed("dev", n.ID); ok {
		t.Error("it is still there")
	}
	left, err := filepath.Glob(filepath.Join(s.Root, "/etc/systemd/dns-delegate.d/*"))
	for i, l := range left {
		left[i] = filepath.Base(l)
	}
	if want := []string{"bonsai-dev-ffffffff.dns-delegate", "corp.dns-delegate"}; err != nil || !slices.Equal(left, want) {
		t.Errorf("what is left is %v, %v", left, err)
	}
}

// TestAResolverThatFails: a configuration that it does not take is taken back.
func TestAResolverThatFails(t *testing.T) {
	called := program(t, "systemctl", "1")
	s := write(t, t.TempDir(), nil)
	c, err := Find(Machine{OS: "linux", Resolved: true, Version: 260}, dev())
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Apply(t.Context(), dev(), c); fault.KindOf(err) != fault.State || !strings.Contains(err.Error(), "systemctl reload systemd-resolved") {
		t.Errorf("got %v", err)
	}
	if called() == "" || s.InPlace(c) {
		t.Errorf("it called %q, and the files are there: %v", called(), s.InPlace(c))
	}
}

// TestAsks: what libc finds counts, too.
func TestAsks(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("PATH", dir)
	s := System{}
	if s.Asks(t.Context(), "no-such-cluster", false) {
		t.Error("this machine asks for a cluster that does not exist")
	}
	script := "#!/bin/sh\n[ \"$*\" = 'ahostsv4 resolver.no-such-cluster.bonsai.internal.' ] && echo '127.0.0.1       STREAM resolver'\n"
	if err := os.WriteFile(filepath.Join(dir, "getent"), []byte(script), 0o700); err != nil {
		t.Fatal(err)
	}
	if !s.Asks(t.Context(), "no-such-cluster", false) {
		t.Error("what libc finds does not count")
	}
}

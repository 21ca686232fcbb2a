package resolvers

import (
	"context"
	"log/slog"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"bonsai/bootstrap/cluster"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func servers(list ...string) (s []netip.AddrPort) {
	for _, a := range list {
		s = append(s, netip.MustParseAddrPort(a+":53"))
	}
	return s
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	// As programs do it: a new file, moved into place.
	if err := os.WriteFile(path+".new", []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(path+".new", path); err != nil {
		t.Fatal(err)
	}
}

func TestWhatNodesCanAsk(t *testing.T) {
	const stub, behind = "nameserver 127.0.0.53\noptions edns0\nsearch lan\n", "nameserver 10.8.0.1\nnameserver 192.168.1.1\nsearch lan\n"
	loopback := netip.MustParseAddr
	for name, c := range map[string]struct {
		conf, resolved string
		want           cluster.Resolvers
	}{
		"two servers":            {"# by hand\nnameserver 192.168.1.1\nnameserver 9.9.9.9\nnameserver 192.168.1.1\n", "", cluster.Resolvers{Servers: servers("192.168.1.1", "9.9.9.9")}},
		"search domains":         {"search a.test\ndomain b.test\nnameserver 1.1.1.1\nsearch c.test . d.test", "", cluster.Resolvers{Servers: servers("1.1.1.1"), Search: []string{"c.test", "d.test"}}},
		"of no use to nodes":     {"nameserver fe80::1%eth0\nnameserver 2001:db8::1\nnameserver\nnameserver x\nnameserver ::ffff:10.0.0.1\n", "", cluster.Resolvers{Servers: servers("10.0.0.1")}},
		"behind systemd":         {stub, behind, cluster.Resolvers{Servers: servers("10.8.0.1", "192.168.1.1"), Search: []string{"lan"}}},
		"systemd without others": {stub, "", cluster.Resolvers{Loopback: loopback("127.0.0.53"), Search: []string{"lan"}}},
		"another on loopback":    {"nameserver 127.0.0.1\nnameserver 1.1.1.1\n", behind, cluster.Resolvers{Loopback: loopback("127.0.0.1")}},
		"loopback in reserve":    {"nameserver 1.1.1.1\nnameserver 127.0.0.1\n", behind, cluster.Resolvers{Servers: servers("1.1.1.1")}},
		"nothing":                {"", "", cluster.Resolvers{}},
	} {
		dir := t.TempDir()
		f := Files{ResolvConf: filepath.Join(dir, "etc/resolv.conf"), Resolved: filepath.Join(dir, "run/resolv.conf")}
		write(t, f.ResolvConf, c.conf)
		if c.resolved != "" {
			write(t, f.Resolved, c.resolved)
		}
		got, err := f.Read()
		if err != nil || !same(got, c.want) || time.Since(got.Since) > time.Minute {
			t.Errorf("%s: got %+v, %v; want %+v", name, got, err, c.want)
		}
	}
	if got, err := (Files{ResolvConf: "/does/not/exist", Resolved: "/neither"}).Read(); err != nil || !same(got, cluster.Resolvers{}) {
		t.Errorf("a machine without any: %+v, %v", got, err)
	}
	if _, err := (Files{ResolvConf: t.TempDir()}).Read(); err == nil || !strings.Contains(err.Error(), "this machine's resolvers") {
		t.Errorf("a file that cannot be read: %v", err)
	}
}

// TestChangesAreFollowed: in the file, behind systemd-resolved, and by a link that leads elsewhere, and where the file is mounted from.
func TestChangesAreFollowed(t *testing.T) {
	dir := t.TempDir()
	f := Files{ResolvConf: filepath.Join(dir, "etc/resolv.conf"), Resolved: filepath.Join(dir, "run/resolve/resolv.conf")}
	plain, stub := filepath.Join(dir, "nm/resolv.conf"), filepath.Join(dir, "run/resolve/stub-resolv.conf")
	write(t, plain, "nameserver 192.168.1.1\n")
	write(t, stub, "nameserver 127.0.0.53\n")
	write(t, f.Resolved, "nameserver 192.168.1.1\n")
	link := func(to string) {
		t.Helper()
		if err := os.MkdirAll(filepath.Dir(f.ResolvConf), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.Symlink(to, f.ResolvConf+".new"); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(f.ResolvConf+".new", f.ResolvConf); err != nil {
			t.Fatal(err)
		}
	}
	link(plain)
	ctx, cancel := context.WithCancel(t.Context())
	news, done := make(chan cluster.Resolvers, 10), make(chan struct{})
	go func() {
		defer close(done)
		f.Follow(ctx, slog.New(slog.DiscardHandler), func(r cluster.Resolvers) { news <- r })
	}()
	defer func() { cancel(); <-done }()
	var last cluster.Resolvers
	next := func(what string, want cluster.Resolvers) {
		t.Helper()
		select {
		case got := <-news:
			if !same(got, want) || got.Since.Before(last.Since) {
				t.Fatalf("%s: got %+v, want %+v", what, got, want)
			}
			last = got
		case <-time.After(lookAgain / 2): // before it would look without a notice
			t.Fatalf("%s: nothing was reported", what)
		}
	}
	next("at once", cluster.Resolvers{Servers: servers("192.168.1.1")})
	write(t, plain, "nameserver 192.168.1.1\n# again\n") // no change
	write(t, plain, "nameserver 10.8.0.1\nsearch corp.test\n")
	next("a VPN", cluster.Resolvers{Servers: servers("10.8.0.1"), Search: []string{"corp.test"}})
	mounted := filepath.Join(dir, "elsewhere") // the same file, as if one were mounted from there
	if err := os.Link(plain, mounted); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(mounted, []byte("nameserver 10.9.0.1\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	next("written elsewhere", cluster.Resolvers{Servers: servers("10.9.0.1")})
	write(t, plain, "nameserver 10.8.0.1\nsearch corp.test\n")
	next("written here", cluster.Resolvers{Servers: servers("10.8.0.1"), Search: []string{"corp.test"}})
	link(stub)
	next("systemd-resolved", cluster.Resolvers{Servers: servers("192.168.1.1")})
	write(t, f.Resolved, "nameserver 10.8.0.1\nnameserver 192.168.1.1\n")
	next("a VPN behind it", cluster.Resolvers{Servers: servers("10.8.0.1", "192.168.1.1")})
	if err := os.Remove(f.ResolvConf); err != nil {
		t.Fatal(err)
	}
	next("nothing", cluster.Resolvers{})
	link(plain)
	next("back", cluster.Resolvers{Servers: servers("10.8.0.1"), Search: []string{"corp.test"}})
}

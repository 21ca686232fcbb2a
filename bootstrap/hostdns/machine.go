package hostdns

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"time"

	"bonsai/bootstrap/atomicfile"
	"bonsai/bootstrap/cluster"
	"bonsai/bootstrap/fault"
	"bonsai/bootstrap/wait"
)

const (
	// commandLimit bounds a command of the machine's resolver, which takes less than a second.
	commandLimit = 20 * time.Second
	// lookupLimit bounds the wait until the machine's resolver asks, which may have remembered that a name does not exist.
	lookupLimit, lookupPause = 5 * time.Second, 200 * time.Millisecond
)

// System is this machine.
type System struct {
	// Root is where its files are; empty for "/". Only tests have another one.
	Root string
	// Scale multiplies limits.
	Scale wait.Scale
}

func (s System) at(path string) string { return filepath.Join("/", s.Root, path) }

func (s System) exists(path string) bool {
	_, err := os.Stat(s.at(path))
	return err == nil
}

// Look looks at this machine; subnet is the nodes' network.
func (s System) Look(ctx context.Context, subnet netip.Prefix) Machine {
	m := Machine{OS: runtime.GOOS, Link: linkIn(subnet)}
	conf, _ := os.ReadFile(s.at("/etc/resolv.conf")) // without one, nothing is asked
	switch servers := nameservers(string(conf)); {
	case s.exists("/run/systemd/resolve/stub-resolv.conf") && (servers["127.0.0.53"] || s.nss()):
		m.Resolved, m.Version = true, s.systemdVersion(ctx)
	case s.exists("/run/NetworkManager/dnsmasq.pid") && (servers["127.0.0.1"] || servers["127.0.1.1"]):
		m.NetworkManager = true
	case (s.exists("/run/dnsmasq/dnsmasq.pid") || s.exists("/run/dnsmasq.pid")) && servers["127.0.0.1"] && s.exists(dnsmasqDir):
		m.DNSMasq = true
	}
	return m
}

// nameservers reads resolv.conf(5).
func nameservers(conf string) map[string]bool {
	servers := map[string]bool{}
	for line := range strings.Lines(conf) {
		if words := strings.Fields(line); len(words) > 1 && words[0] == "nameserver" {
			servers[words[1]] = true
		}
	}
	return servers
}

// nss reports whether libc asks systemd-resolved without resolv.conf (nss-resolve(8)).
func (s System) nss() bool {
	conf, _ := os.ReadFile(s.at("/etc/nsswitch.conf")) // usual where there is no libc of GNU
	for line := range strings.Lines(string(conf)) {
		if words := strings.Fields(line); len(words) > 1 && words[0] == "hosts:" && strings.Contains(line, " resolve") {
			return true
		}
	}
	return false
}

func (s System) systemdVersion(ctx context.Context) int {
	ctx, cancel := s.Scale.Limit(ctx, commandLimit, "resolvectl")
	defer cancel()
	out, err := exec.CommandContext(ctx, "resolvectl", "--version").Output()
	if err != nil {
		return 0
	}
	return version(string(out))
}

// version reads what programs of systemd say: "systemd 252 (252.39-1~deb12u1)".
func version(text string) int {
	words := strings.Fields(text)
	if len(words) < 2 || words[0] != "systemd" {
		return 0
	}
	number, _, _ := strings.Cut(words[1], ".")
	number, _, _ = strings.Cut(number, "~")
	n, err := strconv.Atoi(number)
	if err != nil || n < 0 {
		return 0
	}
	return n
}

// linkIn is the interface of this machine in a network, empty if there is none.
func linkIn(subnet netip.Prefix) string {
	all, err := net.Interfaces()
	if err != nil || !subnet.IsValid() {
		return ""
	}
	for _, i := range all {
		addresses, err := i.Addrs()
		if err != nil {
			continue
		}
		for _, a := range addresses {
			if n, ok := a.(*net.IPNet); ok {
				if own, ok := netip.AddrFromSlice(n.IP); ok && subnet.Contains(own.Unmap()) {
					return i.Name
				}
			}
		}
	}
	return ""
}

// InPlace reports whether the files are as they should be. What has no files is not seen.
func (s System) InPlace(c Config) bool {
	for _, f := range c.Files {
		if have, err := os.ReadFile(s.at(f.Path)); err != nil || string(have) != f.Content {
			return false
		}
	}
	return len(c.Files) > 0
}

// Installed returns what is there of a cluster, to take it back: files of all kinds of resolvers. ok is false if there is nothing.
func (s System) Installed(name, id string) (c Config, ok bool) {
	base := Names{Cluster: name, ID: id}.base()
	for _, kind := range []struct {
		manager, pattern string
		unset            []string
	}{
		{"systemd-resolved", delegateDir + "/" + base + ".dns-delegate", []string{"systemctl", "reload", "systemd-resolved"}},
		{"NetworkManager's dnsmasq", nmDir + "/" + base + ".conf", []string{"nmcli", "general", "reload", "dns-full"}},
		{"dnsmasq", dnsmasqDir + "/" + base + ".conf", []string{"systemctl", "restart", "dnsmasq"}},
		{"macOS", macDir + "/" + base + "-*", nil},
	} {
		found, err := filepath.Glob(s.at(kind.pattern)) // a name of a cluster has no special characters
		if err != nil || len(found) == 0 {
			continue
		}
		c.Manager = kind.manager
		for _, f := range found {
			c.Files = append(c.Files, File{Path: strings.TrimPrefix(f, strings.TrimSuffix(s.at("/"), "/"))})
		}
		if kind.unset != nil {
			c.Unset = append(c.Unset, kind.unset)
		}
	}
	return c, len(c.Files) > 0
}

// Root reports whether this process may change the machine.
func Root() bool { return os.Geteuid() == 0 }

// Apply puts a configuration in place; files of an earlier one that it does not have any more are removed.
func (s System) Apply(ctx context.Context, n Names, c Config) error {
	const op = "configure this machine's resolver"
	before, _ := s.Installed(n.Cluster, n.ID)
	for _, f := range before.Files {
		if err := os.Remove(s.at(f.Path)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fault.New(fault.State, op, err)
		}
	}
	for _, f := range c.Files {
		if err := os.MkdirAll(filepath.Dir(s.at(f.Path)), 0o755); err != nil {
			return fault.New(fault.State, op, err)
		}
		if err := atomicfile.Write(s.at(f.Path), []byte(f.Content), 0o644, atomicfile.Options{Durable: true}); err != nil {
			return fault.New(fault.State, op, err)
		}
	}
	if err := s.run(ctx, c.Set); err != nil {
		return fault.New(fault.State, op, errors.Join(err, s.Remove(ctx, c)))
	}
	return nil
}

// Remove takes a configuration back. What is not there is not an error.
func (s System) Remove(ctx context.Context, c Config) error {
	const op = "take back what this machine's resolver was configured with"
	for _, f := range c.Files {
		if err := os.Remove(s.at(f.Path)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fault.New(fault.State, op, err).Advise("take it back as root", c.Undo()...)
		}
	}
	if err := s.run(ctx, c.Unset); err != nil {
		return fault.New(fault.State, op, err)
	}
	return nil
}

func (s System) run(ctx context.Context, commands [][]string) error {
	for _, words := range commands {
		limited, cancel := s.Scale.Limit(ctx, commandLimit, words[0])
		out, err := exec.CommandContext(limited, words[0], words[1:]...).CombinedOutput()
		cancel()
		if err != nil {
			return fmt.Errorf("%s: %w: %s", strings.Join(words, " "), err, strings.TrimSpace(string(out)))
		}
	}
	return nil
}

// Asks reports whether programs of this machine get the names of a cluster: it looks one up as they do. With patience it waits a
// few seconds for that.
func (s System) Asks(ctx context.Context, name string, patient bool) bool {
	ctx, cancel := s.Scale.Limit(ctx, lookupLimit, "an answer from this machine's resolver")
	defer cancel()
	for {
		found, err := new(net.Resolver).LookupHost(ctx, cluster.HostDNSProbe(name)+".")
		if err == nil && len(found) == 1 && found[0] == "127.0.0.1" || libcAsks(ctx, cluster.HostDNSProbe(name)+".") {
			return true
		}
		if !patient || wait.Pause(ctx, lookupPause) != nil {
			return false
		}
	}
}

// libcAsks looks a name up by the machine's libc, which may ask systemd-resolved where resolv.conf(5) says nothing of it.
func libcAsks(ctx context.Context, name string) bool {
	out, err := exec.CommandContext(ctx, "getent", "ahostsv4", name).Output()
	if err != nil {
		return false
	}
	address, _, _ := strings.Cut(string(out), " ")
	return address == "127.0.0.1"
}

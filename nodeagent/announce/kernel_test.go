package announce

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"

	"bonsai/bootstrap/cluster"
)

// host is a network namespace that plays a machine.
type host struct {
	t  *testing.T
	ns netns.NsHandle
}

// newHost creates a namespace in which only loopback is up.
func newHost(t *testing.T) *host {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("network namespaces need root")
	}
	if _, err := exec.LookPath("nft"); err != nil {
		t.Skip("nft is not installed")
	}
	h := &host{t: t}
	if err := elsewhere(func() (err error) {
		if err := syscall.Unshare(syscall.CLONE_NEWNET); err != nil {
			return err
		}
		h.ns, err = netns.Get()
		return err
	}); err != nil {
		t.Skipf("no network namespace can be made: %v", err)
	}
	t.Cleanup(func() { _ = h.ns.Close() })
	return h
}

// elsewhere runs f on a thread of its own, which does not come back, as f has moved it into another namespace.
func elsewhere(f func() error) error {
	done := make(chan error)
	go func() {
		runtime.LockOSThread()
		done <- f()
	}()
	return <-done
}

// in runs f in the namespace: the sockets that it opens and the programs that it starts are there.
func (h *host) in(f func() error) {
	h.t.Helper()
	if err := elsewhere(func() error {
		if err := netns.Set(h.ns); err != nil {
			return err
		}
		return f()
	}); err != nil {
		h.t.Fatal(err)
	}
}

// joined connects hosts by a bridge in a namespace of its own, the first with 10.201.0.1, the others with 10.201.0.10 and up.
func joined(t *testing.T, hosts ...*host) {
	t.Helper()
	wire := newHost(t)
	wire.in(func() error { return netlink.LinkAdd(&netlink.Bridge{LinkAttrs: netlink.LinkAttrs{Name: "br0"}}) })
	for i, h := range hosts {
		port := fmt.Sprintf("port%d", i)
		wire.in(func() error {
			bridge, err := netlink.LinkByName("br0")
			if err != nil {
				return err
			}
			veth := &netlink.Veth{LinkAttrs: netlink.LinkAttrs{Name: port}, PeerName: "eth0", PeerNamespace: netlink.NsFd(h.ns)}
			if err := netlink.LinkAdd(veth); err != nil {
				return err
			}
			return errors.Join(netlink.LinkSetMaster(veth, bridge), netlink.LinkSetUp(veth), netlink.LinkSetUp(bridge))
		})
		last := 1
		if i > 0 {
			last = 9 + i
		}
		h.in(func() error {
			link, err := netlink.LinkByName("eth0")
			if err != nil {
				return err
			}
			address, err := netlink.ParseAddr(fmt.Sprintf("10.201.0.%d/22", last))
			if err != nil {
				return err
			}
			forward := os.WriteFile("/proc/sys/net/ipv4/ip_forward", []byte("1"), 0)
			return errors.Join(netlink.AddrAdd(link, address), netlink.LinkSetUp(link), forward)
		})
	}
}

func (h *host) mac() (mac string) {
	h.t.Helper()
	h.in(func() error {
		link, err := netlink.LinkByName("eth0")
		if err == nil {
			mac = link.Attrs().HardwareAddr.String()
		}
		return err
	})
	return mac
}

// sends is the Ethernet address to which the host sends what is for an address.
func (h *host) sends(to netip.Addr) (mac string) {
	h.t.Helper()
	h.in(func() error {
		list, err := netlink.NeighList(0, netlink.FAMILY_V4)
		for _, n := range list {
			if n.IP.Equal(to.AsSlice()) {
				mac = n.HardwareAddr.String()
			}
		}
		return err
	})
	return mac
}

// dial connects from the host.
func (h *host) dial(to string, limit time.Duration) (err error) {
	h.t.Helper()
	h.in(func() error {
		var conn net.Conn
		if conn, err = (&net.Dialer{Timeout: limit}).Dial("tcp4", to); err == nil {
			err = conn.Close()
		}
		return nil
	})
	return err
}

// serve listens as a pod behind kube-proxy would: what comes to the address and port 80 is led to the host's port 8080.
func (h *host) serve(vip netip.Addr, own string) {
	h.t.Helper()
	h.in(func() error {
		rules := "table ip kube-proxy { chain pre { type nat hook prerouting priority dstnat; ip daddr " + vip.String() + " tcp dport 80 dnat to " + own + ":8080; }; }"
		nft := exec.Command("nft", "-f", "-")
		nft.Stdin = strings.NewReader(rules)
		if out, err := nft.CombinedOutput(); err != nil {
			return fmt.Errorf("%w: %s", err, out)
		}
		l, err := (&net.ListenConfig{}).Listen(h.t.Context(), "tcp4", own+":8080")
		if err != nil {
			return err
		}
		go func() {
			for {
				conn, err := l.Accept()
				if err != nil {
					return
				}
				_ = conn.Close()
			}
		}()
		h.t.Cleanup(func() { _ = l.Close() })
		return nil
	})
}

// there is a Filter that works in the host's namespace.
type there struct {
	h    *host
	node netip.Addr
}

func (f there) Set(ctx context.Context, list []cluster.AnnouncedAddress) (err error) {
	f.h.in(func() error {
		var filter Filter
		if filter, err = NewFilter(f.node); err == nil {
			err = filter.Set(ctx, list)
		}
		return nil
	})
	return err
}

// announces runs the part on a host until the test ends.
func (h *host) announces(own string) *Part {
	h.t.Helper()
	address := netip.MustParseAddr(own)
	p := New(Config{
		Subnet: netip.MustParsePrefix("10.201.0.0/22"), Filter: there{h, address}, StateFile: filepath.Join(h.t.TempDir(), "announced.json"),
		Log: slog.New(slog.DiscardHandler),
		Open: func() (w Wire, err error) {
			h.in(func() error { w, err = OpenInterface(address); return nil })
			return w, err
		},
	})
	ctx, cancel := context.WithCancel(h.t.Context())
	ended := make(chan error)
	go func() { ended <- p.Run(ctx) }()
	h.t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			h.t.Error(err)
		}
	})
	return p
}

func until(t *testing.T, what string, check func() bool) time.Duration {
	t.Helper()
	began := time.Now()
	for !check() {
		if time.Since(began) > 10*time.Second {
			t.Fatalf("timed out waiting for %s", what)
		}
		<-time.After(10 * time.Millisecond)
	}
	return time.Since(began)
}

// The kernel of a machine finds the node that announces an address, follows it to another node, and gets clear answers.
func TestTheKernelOfAMachineFollowsTheAddress(t *testing.T) {
	machine, one, two := newHost(t), newHost(t), newHost(t)
	joined(t, machine, one, two)
	first, second := one.announces("10.201.0.10"), two.announces("10.201.0.11")
	one.serve(vip, "10.201.0.10")
	two.serve(vip, "10.201.0.11")
	web := netip.AddrPortFrom(vip, 80).String()
	if err := machine.dial(web, 200*time.Millisecond); err == nil {
		t.Fatal("an address that nobody announces answers")
	}
	if err := first.set(t.Context(), announcement(1, vip)); err != nil {
		t.Fatal(err)
	}
	until(t, "an answer of the first node", func() bool { return machine.dial(web, time.Second) == nil })
	if mac := machine.sends(vip); mac != one.mac() {
		t.Errorf("the machine sends to %s, the node is %s", mac, one.mac())
	}
	if err := machine.dial(netip.AddrPortFrom(vip, 81).String(), 5*time.Second); !errors.Is(err, syscall.ECONNREFUSED) {
		t.Errorf("a port that no Service has: %v", err)
	}
	if err := two.dial(netip.AddrPortFrom(vip, 81).String(), 5*time.Second); !errors.Is(err, syscall.ECONNREFUSED) {
		t.Errorf("a port that no Service has, from another node: %v", err)
	}
	// The second node takes it over: its announcement moves the machine, and the first gives it up.
	if err := second.set(t.Context(), announcement(2, vip)); err != nil {
		t.Fatal(err)
	}
	took := until(t, "the machine to follow the address", func() bool { return machine.sends(vip) == two.mac() })
	until(t, "the first node to give it up", func() bool { r, _ := first.report(); return len(r.Addresses) == 0 })
	t.Logf("the machine followed the address after %s", took)
	if err := machine.dial(web, time.Second); err != nil {
		t.Errorf("the second node: %v", err)
	}
	if mac := machine.sends(vip); mac != two.mac() {
		t.Errorf("the machine sends to %s, the node is %s", mac, two.mac())
	}
	// A port of a Service that kube-proxy does not know yet is silent, so that the client tries again.
	a := announcement(3, vip)
	a.Addresses[0].Ports = append(a.Addresses[0].Ports, cluster.AnnouncedPort{Protocol: "TCP", Port: 90})
	if err := second.set(t.Context(), a); err != nil {
		t.Fatal(err)
	}
	if err := machine.dial(netip.AddrPortFrom(vip, 90).String(), 300*time.Millisecond); err == nil || errors.Is(err, syscall.ECONNREFUSED) {
		t.Errorf("a port that is not known yet: %v", err)
	}
	// Released: the rules go, and nobody answers any more.
	if err := second.set(t.Context(), announcement(4)); err != nil {
		t.Fatal(err)
	}
	two.in(func() error {
		out, err := exec.Command("nft", "list", "tables").CombinedOutput()
		if strings.Contains(string(out), tableName) {
			t.Errorf("the rules are still there: %s", out)
		}
		return err
	})
}

package podnet

import (
	"bytes"
	"context"
	"encoding/json"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
	"go.uber.org/goleak"
	"golang.org/x/sys/unix"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/cache"
	"sigs.k8s.io/knftables"

	"bonsai/bootstrap/cluster"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var (
	ownIP  = netip.MustParseAddr("10.201.0.10")
	ownPod = netip.MustParsePrefix("10.244.1.0/24")
	two    = cluster.Node{Name: "c-2", IP: netip.MustParseAddr("10.201.0.11"), PodCIDR: netip.MustParsePrefix("10.244.2.0/24")}
	three  = cluster.Node{Name: "c-3", IP: netip.MustParseAddr("10.201.0.12"), PodCIDR: netip.MustParsePrefix("10.244.3.0/24")}
)

func testNetwork(t *testing.T, peers ...cluster.Node) *Network {
	t.Helper()
	return New(Config{
		NodeName: "c-1", NodeIP: ownIP, PodCIDR: ownPod, ClusterCIDR: cluster.DefaultPodSubnet, Peers: peers,
		CNIConfig: filepath.Join(t.TempDir(), "10-bonsai.conflist"),
	}, slog.New(slog.DiscardHandler))
}

func TestCNIConfig(t *testing.T) {
	path := filepath.Join(t.TempDir(), "10-bonsai.conflist")
	if err := writeCNIConfig(path, ownPod, 1400); err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var got struct {
		Plugins []struct {
			Type string
			MTU  int
			IPAM struct{ Ranges [][]struct{ Subnet string } }
		}
	}
	if err := json.Unmarshal(data, &got); err != nil {
		t.Fatal(err)
	}
	if len(got.Plugins) != 2 || got.Plugins[0].Type != "ptp" || got.Plugins[0].MTU != 1400 ||
		got.Plugins[0].IPAM.Ranges[0][0].Subnet != "10.244.1.0/24" || got.Plugins[1].Type != "portmap" {
		t.Errorf("got %s", data)
	}
	if left, _ := filepath.Glob(filepath.Join(filepath.Dir(path), "*")); len(left) != 1 {
		t.Errorf("the folder holds %v: containerd would read all of it", left)
	}
}

func TestMasqueradeRules(t *testing.T) {
	fake := knftables.NewFake(knftables.IPv4Family, tableName)
	m := masquerade{nft: fake, podCIDR: ownPod, cluster: cluster.DefaultPodSubnet}
	for range 2 { // the second time it replaces the first
		if err := fake.Run(t.Context(), m.transaction([]netip.Addr{ownIP, two.IP})); err != nil {
			t.Fatal(err)
		}
	}
	want := `add table ip bonsai
add chain ip bonsai postrouting { type nat hook postrouting priority 100 ; }
add set ip bonsai nodes { type ipv4_addr ; }
add rule ip bonsai postrouting ip saddr != 10.244.1.0/24 return
add rule ip bonsai postrouting ip daddr 10.244.0.0/16 return
add rule ip bonsai postrouting ip daddr @nodes return
add rule ip bonsai postrouting masquerade fully-random
add element ip bonsai nodes { 10.201.0.10 }
add element ip bonsai nodes { 10.201.0.11 }
`
	if got := fake.Dump(); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

func node(name, ip, podCIDR string) *corev1.Node {
	n := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: name}, Spec: corev1.NodeSpec{PodCIDR: podCIDR}}
	if ip != "" {
		n.Status.Addresses = []corev1.NodeAddress{{Type: corev1.NodeHostName, Address: name}, {Type: corev1.NodeInternalIP, Address: ip}}
	}
	return n
}

func TestPeersFollowNodeObjects(t *testing.T) {
	n := testNetwork(t, two)
	woken := func() bool {
		select {
		case <-n.kick:
			return true
		default:
			return false
		}
	}
	for _, step := range []struct {
		what  string
		do    func()
		wakes bool
		peers []string
	}{
		{"itself", func() { n.observe(node("c-1", "10.201.0.10", "10.244.1.0/24")) }, false, []string{"c-2"}},
		{"a planned node, as planned", func() { n.observe(node("c-2", "10.201.0.11", "10.244.2.0/24")) }, false, []string{"c-2"}},
		{"a new node without an address", func() { n.observe(node("c-3", "", "10.244.3.0/24")) }, false, []string{"c-2"}},
		{"the new node's address", func() { n.observe(node("c-3", "10.201.0.12", "10.244.3.0/24")) }, true, []string{"c-2", "c-3"}},
		{"a node without a pod CIDR", func() { n.observe(node("c-4", "10.201.0.13", "")) }, false, []string{"c-2", "c-3"}},
		{"a node object that goes", func() { n.forget(node("c-2", "", "")) }, false, []string{"c-2", "c-3"}},
		{"and comes back at once", func() {
			n.observe(node("c-2", "", "10.244.2.0/24"))
			n.peers.expire(time.Now().Add(time.Hour))
		}, false, []string{"c-2", "c-3"}},
		{"a node object that stays away", func() {
			n.forget(node("c-2", "", ""))
			n.peers.expire(time.Now().Add(leaveAfter / 2))
		}, false, []string{"c-2", "c-3"}},
		{"for long", func() { n.peers.expire(time.Now().Add(leaveAfter)) }, false, []string{"c-3"}},
		{"a node that went unseen", func() {
			n.forget(cache.DeletedFinalStateUnknown{Key: "c-3", Obj: node("c-3", "", "")})
			n.peers.expire(time.Now().Add(leaveAfter))
		}, false, nil},
	} {
		step.do()
		if got := woken(); got != step.wakes {
			t.Errorf("%s: woken is %v", step.what, got)
		}
		var names []string
		for _, p := range n.peers.list() {
			names = append(names, p.Name)
		}
		if len(names) != len(step.peers) {
			t.Errorf("%s: peers are %v, want %v", step.what, names, step.peers)
			continue
		}
		for i := range names {
			if names[i] != step.peers[i] {
				t.Errorf("%s: peers are %v, want %v", step.what, names, step.peers)
			}
		}
	}
}

func TestTrimKeepsWhatRoutingNeeds(t *testing.T) {
	full := node("c-2", "10.201.0.11", "10.244.2.0/24")
	full.Status.Images = []corev1.ContainerImage{{Names: []string{"big"}}}
	got, err := trim(full)
	if err != nil {
		t.Fatal(err)
	}
	if small := got.(*corev1.Node); peerOf(small) != peerOf(full) || small.Status.Images != nil {
		t.Errorf("got %+v", small)
	}
}

// inNamespace gives the test a network namespace of its own with the node's interface in it. Everything, nft too,
// must then be called on the test's own goroutine.
func inNamespace(t *testing.T) {
	t.Helper()
	if _, err := exec.LookPath("nft"); err != nil {
		t.Skip("nft is not installed")
	}
	runtime.LockOSThread() // and never unlocked: the thread ends with the test and takes its namespace along
	if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
		t.Skipf("no network namespace can be made: %v", err)
	}
	if err := addInterface(t, "node0", 1400); err != nil {
		t.Skipf("no pair of interfaces can be made: %v", err)
	}
}

// addInterface makes an interface with the node's address.
func addInterface(t *testing.T, name string, mtu int) error {
	t.Helper()
	link := &netlink.Veth{LinkAttrs: netlink.LinkAttrs{Name: name, MTU: mtu}, PeerName: name + "-peer"}
	if err := netlink.LinkAdd(link); err != nil {
		return err
	}
	addr := &netlink.Addr{IPNet: &net.IPNet{IP: ownIP.AsSlice(), Mask: net.CIDRMask(22, 32)}}
	if err := netlink.AddrAdd(link, addr); err != nil {
		t.Fatal(err)
	}
	if err := netlink.LinkSetUp(link); err != nil {
		t.Fatal(err)
	}
	return nil
}

func routes(t *testing.T) map[string]string {
	t.Helper()
	list, err := netlink.RouteList(nil, netlink.FAMILY_V4)
	if err != nil {
		t.Fatal(err)
	}
	m := map[string]string{}
	for _, r := range list {
		if r.Protocol == routeProtocol {
			m[r.Dst.String()] = r.Gw.String()
		}
	}
	return m
}

// TestKernel sets the network up in a namespace, and lets it repair what is flushed and follow what changes.
func TestKernel(t *testing.T) {
	inNamespace(t)
	n := testNetwork(t, two, three)
	if err := n.Setup(t.Context()); err != nil {
		t.Fatal(err)
	}
	if s := n.State(); s.Interface != "node0" || s.MTU != 1400 || len(s.Peers) != 2 {
		t.Errorf("state is %+v", s)
	}
	reconcile := func(what string, wantChange bool) {
		t.Helper()
		changed, err := n.reconcile(context.WithoutCancel(t.Context()))
		if err != nil || changed != wantChange {
			t.Errorf("%s: changed is %v (%v), want %v", what, changed, err, wantChange)
		}
		nodes := []netip.Addr{ownIP}
		want := map[string]string{}
		for _, p := range n.peers.list() {
			nodes = append(nodes, p.IP)
			want[p.PodCIDR.String()] = p.IP.String()
		}
		got := routes(t)
		if len(got) != len(want) {
			t.Errorf("%s: routes are %v, want %v", what, got, want)
		}
		for dst, gw := range want {
			if got[dst] != gw {
				t.Errorf("%s: route to %s is via %q, want %s", what, dst, got[dst], gw)
			}
		}
		if !n.masq.intact(nodes) {
			t.Errorf("%s: masquerading is not as it should be", what)
		}
	}
	reconcile("nothing happened", false)
	nft(t, "flush", "ruleset")
	reconcile("the ruleset was flushed", true)
	nft(t, "flush", "chain", "ip", "bonsai", "postrouting")
	reconcile("the chain was flushed", true)
	link, err := netlink.LinkByName("node0")
	if err != nil {
		t.Fatal(err)
	}
	// A foreign route on the same interface is nobody's business.
	foreign := &netlink.Route{LinkIndex: link.Attrs().Index, Dst: &net.IPNet{IP: net.IPv4(10, 99, 0, 0).To4(), Mask: net.CIDRMask(24, 32)}, Gw: two.IP.AsSlice()}
	if err := netlink.RouteAdd(foreign); err != nil {
		t.Fatal(err)
	}
	if err := netlink.RouteDel(&netlink.Route{LinkIndex: link.Attrs().Index, Dst: &net.IPNet{IP: net.IPv4(10, 244, 2, 0).To4(), Mask: net.CIDRMask(24, 32)}}); err != nil {
		t.Fatal(err)
	}
	reconcile("a route was removed", true)
	n.observe(node("c-3", "10.201.0.99", "10.244.3.0/24"))
	reconcile("a node has moved", true)
	n.forget(node("c-2", "", ""))
	reconcile("a node object is gone", false)
	n.peers.expire(time.Now().Add(leaveAfter))
	reconcile("a node has left", true)
	if list, err := netlink.RouteListFiltered(netlink.FAMILY_V4, foreign, netlink.RT_FILTER_DST); err != nil || len(list) != 1 {
		t.Errorf("the foreign route is %v (%v)", list, err)
	}
	if _, err := linkWithAddress(two.IP); err == nil {
		t.Error("an address that no interface has is found")
	}
}

// TestInterfaceIsReplaced is what "docker network disconnect" and "connect" do to a node: another interface has its
// address.
func TestInterfaceIsReplaced(t *testing.T) {
	inNamespace(t)
	n := testNetwork(t, two)
	if err := n.Setup(t.Context()); err != nil {
		t.Fatal(err)
	}
	link, err := netlink.LinkByName("node0")
	if err != nil {
		t.Fatal(err)
	}
	if err := netlink.LinkDel(link); err != nil {
		t.Fatal(err)
	}
	if _, err := n.reconcile(t.Context()); err == nil {
		t.Error("there is no interface, and no error")
	}
	if err := addInterface(t, "node1", 1300); err != nil {
		t.Fatal(err)
	}
	if changed, err := n.reconcile(t.Context()); err != nil || !changed {
		t.Errorf("changed is %v (%v), want the routes back", changed, err)
	}
	if got := routes(t); len(got) != 1 || got[two.PodCIDR.String()] != two.IP.String() {
		t.Errorf("routes are %v", got)
	}
	if s := n.State(); s.Interface != "node1" || s.MTU != 1300 {
		t.Errorf("state is %+v", s)
	}
	if data, err := os.ReadFile(n.cfg.CNIConfig); err != nil || !bytes.Contains(data, []byte("1300")) {
		t.Errorf("new pods get an old MTU: %s (%v)", data, err)
	}
}

func nft(t *testing.T, args ...string) {
	t.Helper()
	if out, err := exec.Command("nft", args...).CombinedOutput(); err != nil {
		t.Fatalf("nft %v: %v: %s", args, err, out)
	}
}

// TestRunRepairs removes a route while Run watches, from another goroutine that reaches into the namespace.
func TestRunRepairs(t *testing.T) {
	inNamespace(t)
	n := testNetwork(t, two)
	if err := n.Setup(t.Context()); err != nil {
		t.Fatal(err)
	}
	ns, err := netns.Get()
	if err != nil {
		t.Fatal(err)
	}
	defer ns.Close()
	handle, err := netlink.NewHandleAt(ns)
	if err != nil {
		t.Fatal(err)
	}
	defer handle.Close()
	ours := &netlink.Route{Dst: &net.IPNet{IP: net.IPv4(10, 244, 2, 0).To4(), Mask: net.CIDRMask(24, 32)}, Protocol: routeProtocol}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	repaired := make(chan bool, 1)
	go func() {
		defer cancel()
		if err := handle.RouteDel(ours); err != nil {
			t.Errorf("remove the route: %v", err)
			return
		}
		for ctx.Err() == nil {
			if n.State().Repairs == 1 {
				list, err := handle.RouteListFiltered(netlink.FAMILY_V4, ours, netlink.RT_FILTER_DST)
				repaired <- err == nil && len(list) == 1
				return
			}
			<-time.After(5 * time.Millisecond)
		}
	}()
	n.Run(ctx) // nft inherits the namespace of this goroutine's thread
	select {
	case ok := <-repaired:
		if !ok {
			t.Error("a repair was counted, but the route is not there")
		}
	default:
		t.Error("the route was not put back")
	}
}

func TestFollowEndsWithItsContext(t *testing.T) {
	n := testNetwork(t, two)
	ctx, cancel := context.WithCancel(t.Context())
	asked := make(chan struct{}, 100)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		asked <- struct{}{}
		http.Error(w, "not yet", http.StatusServiceUnavailable)
	}))
	defer server.Close()
	done := make(chan error, 1)
	go func() { done <- n.Follow(ctx, &rest.Config{Host: server.URL}) }()
	<-asked
	cancel()
	if err := <-done; err != nil {
		t.Errorf("Follow ended with %v", err)
	}
	if peers := n.peers.list(); len(peers) != 1 {
		t.Errorf("without an API server the plan holds no more: %v", peers)
	}
	http.DefaultTransport.(*http.Transport).CloseIdleConnections()
}

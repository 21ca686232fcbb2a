package table

import (
	"bufio"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"io"
	"net"
	"net/netip"
	"os"
	"runtime"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"

	"bonsai/nodeagent/netpolicy/rules"
)

// limit is how long an answer is waited for that is expected, or is not.
func limit(expected bool) time.Duration {
	if expected {
		return 5 * time.Second // packets that were dropped are sent again, and this machine may be busy
	}
	return 150 * time.Millisecond
}

// node is the address of the tests' node, and the gateway of its pods.
const node = "10.244.1.1"

// testPod is a network namespace with a veth pair to that of the node, as the plugin ptp makes it, and a thread in it.
type testPod struct {
	ip   netip.Addr
	work chan func()
}

// do runs f in the pod's namespace.
func (p *testPod) do(f func()) {
	done := make(chan struct{})
	p.work <- func() { f(); close(done) }
	<-done
}

// newPods gives the node pods with these addresses.
func newPods(t testing.TB, ips ...string) (pods []*testPod) {
	t.Helper()
	if err := os.WriteFile("/proc/sys/net/ipv4/ip_forward", []byte("1"), 0o600); err != nil { // that of the namespace
		t.Skipf("the namespace cannot forward: %v", err)
	}
	for i, ip := range ips {
		p := &testPod{ip: netip.MustParseAddr(ip), work: make(chan func())}
		handle := make(chan netns.NsHandle)
		go func() {
			runtime.LockOSThread() // and never unlocked: the thread ends with the goroutine and takes its namespace along
			if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
				t.Errorf("a pod's namespace: %v", err)
			}
			ns, _ := netns.Get()
			handle <- ns
			for f := range p.work {
				f()
			}
		}()
		ns := <-handle
		outside := fmt.Sprintf("veth%d", i)
		link := &netlink.Veth{LinkAttrs: netlink.LinkAttrs{Name: outside}, PeerName: "eth0", PeerNamespace: netlink.NsFd(ns)}
		if err := netlink.LinkAdd(link); err != nil {
			t.Skipf("no pair of interfaces can be made: %v", err)
		}
		t.Cleanup(func() { close(p.work); _ = ns.Close(); _ = netlink.LinkDel(link) })
		must(t, netlink.LinkSetUp(link))
		must(t, netlink.AddrAdd(link, address(node)))
		must(t, netlink.RouteAdd(&netlink.Route{LinkIndex: link.Attrs().Index, Dst: address(ip).IPNet, Scope: netlink.SCOPE_LINK}))
		p.do(func() {
			eth0, err := netlink.LinkByName("eth0")
			must(t, err)
			must(t, netlink.LinkSetUp(eth0))
			must(t, netlink.AddrAdd(eth0, address(ip)))
			must(t, netlink.RouteAdd(&netlink.Route{LinkIndex: eth0.Attrs().Index, Dst: address(node).IPNet, Scope: netlink.SCOPE_LINK}))
			must(t, netlink.RouteAdd(&netlink.Route{LinkIndex: eth0.Attrs().Index, Gw: net.ParseIP(node)}))
		})
		pods = append(pods, p)
	}
	return pods
}

func address(ip string) *netlink.Addr {
	return &netlink.Addr{IPNet: &net.IPNet{IP: net.ParseIP(ip).To4(), Mask: net.CIDRMask(32, 32)}}
}

// echo serves at an address, in the namespace of the thread that calls it.
func echo(t testing.TB, at string) {
	l, err := net.Listen("tcp", at)
	must(t, err)
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() { _, _ = io.Copy(c, c); _ = c.Close() }()
		}
	}()
}

// echoPackets is the same for UDP.
func echoPackets(t *testing.T, at string) {
	c, err := net.ListenPacket("udp", at)
	must(t, err)
	t.Cleanup(func() { _ = c.Close() })
	go func() {
		for packet := make([]byte, 100); ; {
			n, from, err := c.ReadFrom(packet)
			if err != nil {
				return
			}
			_, _ = c.WriteTo(packet[:n], from)
		}
	}()
}

// dial connects from a pod.
func (p *testPod) dial(to string, expected bool) (c net.Conn, err error) {
	p.do(func() { c, err = net.DialTimeout("tcp", to, limit(expected)) })
	return c, err
}

func (p *testPod) wants(t *testing.T, what, to string, want bool) {
	t.Helper()
	c, err := p.dial(to, want)
	if c != nil {
		_ = c.Close()
	}
	if (err == nil) != want {
		t.Errorf("%s: %s to %s: %v, want %v", what, p.ip, to, err, want)
	}
}

// answered sends a packet of UDP.
func (p *testPod) answered(t *testing.T, what, to string, want bool) {
	t.Helper()
	var c net.Conn
	var err error
	p.do(func() { c, err = net.Dial("udp", to) })
	must(t, err)
	defer func() { _ = c.Close() }()
	must(t, c.SetDeadline(time.Now().Add(limit(want))))
	if _, err = fmt.Fprint(c, "hello"); err == nil {
		_, err = c.Read(make([]byte, 10))
	}
	if (err == nil) != want {
		t.Errorf("%s: %s to %s: %v, want %v", what, p.ip, to, err, want)
	}
}

// services has connections followed and addresses translated, as on every node.
const services = `table ip services {
	chain prerouting {
		type nat hook prerouting priority dstnat;
		ip daddr 10.96.0.10 tcp dport 53 dnat to 10.244.1.1:10271
		ip daddr 10.96.0.20 tcp dport 80 dnat to 10.244.1.2:80
		ip daddr 10.244.1.1 tcp dport 30080 dnat to 10.244.1.2:80
	}
	chain postrouting {
		type nat hook postrouting priority srcnat;
		ip saddr 10.244.1.2 ip daddr 10.244.1.2 masquerade
	}
}`

// TestPackets applies policies to real packets between two pods and a DNS server of one node.
func TestPackets(t *testing.T) {
	table := kernel(t)
	pods := newPods(t, "10.244.1.2", "10.244.1.3")
	web, client := pods[0], pods[1]
	const at, service, dns = "10.244.1.2:80", "10.96.0.20:80", "10.96.0.10:53"
	web.do(func() { echo(t, ":80"); echo(t, ":8080"); echoPackets(t, ":53") })
	echo(t, node+":10271")
	nft(t, services)
	s := world(map[string]string{"web": "10.244.1.2", "client": "10.244.1.3"})
	apply := func(specs ...string) {
		t.Helper()
		policies(t, s, specs...)
		table.apply(t, s)
	}

	client.wants(t, "without policies", at, true)
	client.wants(t, "without policies", dns, true)
	client.wants(t, "without policies", service, true)
	client.answered(t, "without policies", "10.244.1.2:53", true)
	open, err := client.dial(at, true)
	must(t, err)
	answers, said := bufio.NewReader(open), 0
	goesOn := func(what string, want bool) {
		t.Helper()
		must(t, open.SetDeadline(time.Now().Add(limit(want))))
		said++
		line := fmt.Sprintln("hello", said)
		_, err := fmt.Fprint(open, line)
		for got := ""; err == nil && got != line; { // what was stopped before is sent again, and answered late
			got, err = answers.ReadString('\n')
		}
		if (err == nil) != want {
			t.Errorf("%s: an open connection: %v, want %v", what, err, want)
		}
	}
	goesOn("without policies", true)

	apply(denyAll)
	client.wants(t, "deny all", at, false)
	client.wants(t, "deny all, by a Service", service, false)
	client.wants(t, "deny all, by a port of the node", node+":30080", false)
	client.wants(t, "deny all, DNS", dns, false)
	client.wants(t, "deny all, DNS without its Service", node+":10271", false)
	client.answered(t, "deny all", "10.244.1.2:53", false)
	web.wants(t, "deny all, itself by a Service", service, true)
	if c, err := net.DialTimeout("tcp", at, limit(true)); err != nil {
		t.Errorf("the node does not reach its pod: %v", err)
	} else {
		_ = c.Close()
	}
	goesOn("deny all", false)
	apply()
	goesOn("without policies again", true)

	apply(denyAll, `{podSelector: {}, policyTypes: [Egress], egress: [{to: [{namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: kube-system}}, podSelector: {matchLabels: {k8s-app: kube-dns}}}]}]}`)
	client.wants(t, "DNS allowed", dns, true)
	client.wants(t, "DNS allowed, other things", at, false)

	apply(`{podSelector: {matchLabels: {app: web}}, ingress: [{from: [{podSelector: {matchLabels: {app: client}}}], ports: [{port: http}, {port: names, protocol: UDP}]}]}`)
	client.wants(t, "by label and named port", at, true)
	client.wants(t, "by label and named port, by a Service", service, true)
	client.wants(t, "another port", "10.244.1.2:8080", false)
	client.answered(t, "by label and named port", "10.244.1.2:53", true)
	client.wants(t, "the client is not restricted", dns, true)
	// What has been allowed is not judged again until something changes, be it elements, rules or the agent.
	goesOn("by label", true)
	goesOn("by label, again", true)
	moved := s.Pods[rules.Key{Namespace: "shop", Name: "client"}]
	delete(s.Pods, moved.Key)
	table.apply(t, s)
	client.wants(t, "the client is not known any more", at, false)
	goesOn("the client is not known any more", false)
	s.Pods[moved.Key] = moved
	table.apply(t, s)
	client.wants(t, "the client is known again", at, true)
	goesOn("the client is known again", true)
	policies(t, s, denyAll)
	New().apply(t, s)
	goesOn("denied by the next agent", false)
	policies(t, s)
	New().apply(t, s)
	goesOn("without policies, by another", true)
	table.known = false

	for what, test := range map[string]struct {
		spec      string
		web, more bool // port 80, port 8080
	}{
		"a range":              {`{podSelector: {matchLabels: {app: web}}, ingress: [{ports: [{port: 8000, endPort: 9000}]}]}`, false, true},
		"a range of UDP":       {`{podSelector: {matchLabels: {app: web}}, ingress: [{ports: [{port: 1, endPort: 9000, protocol: UDP}]}]}`, false, false},
		"a range of SCTP":      {`{podSelector: {matchLabels: {app: web}}, ingress: [{ports: [{port: 1, endPort: 9000, protocol: SCTP}]}]}`, false, false},
		"a block":              {`{podSelector: {matchLabels: {app: web}}, ingress: [{from: [{ipBlock: {cidr: 10.244.1.0/24}}]}]}`, true, true},
		"a block with port":    {`{podSelector: {matchLabels: {app: web}}, ingress: [{from: [{ipBlock: {cidr: 10.244.1.0/24}}], ports: [{port: 80}]}]}`, true, false},
		"another block":        {`{podSelector: {matchLabels: {app: web}}, ingress: [{from: [{ipBlock: {cidr: 10.0.0.0/16}}]}]}`, false, false},
		"a block without it":   {`{podSelector: {matchLabels: {app: web}}, ingress: [{from: [{ipBlock: {cidr: 10.0.0.0/8, except: [10.244.1.3/32, 10.1.0.0/16]}}]}]}`, false, false},
		"a block with it":      {`{podSelector: {matchLabels: {app: web}}, ingress: [{from: [{ipBlock: {cidr: 10.0.0.0/8, except: [10.244.1.4/32, 10.1.0.0/16]}}]}]}`, true, true},
		"everything but it":    {`{podSelector: {matchLabels: {app: web}}, ingress: [{from: [{ipBlock: {cidr: 0.0.0.0/0, except: [10.244.0.0/16]}}]}]}`, false, false},
		"egress to a block":    {`{podSelector: {matchLabels: {app: client}}, policyTypes: [Egress], egress: [{to: [{ipBlock: {cidr: 10.244.1.2/32}}], ports: [{port: 80}]}]}`, true, false},
		"egress by name":       {`{podSelector: {matchLabels: {app: client}}, policyTypes: [Egress], egress: [{ports: [{port: http}]}]}`, true, false},
		"egress, and not back": {`{podSelector: {matchLabels: {app: web}}, policyTypes: [Egress]}`, true, true},
	} {
		apply(test.spec)
		client.wants(t, what, at, test.web)
		client.wants(t, what, service, test.web)
		client.wants(t, what, "10.244.1.2:8080", test.more)
		judges(t, what, s, "10.244.1.3", at, test.web)
		judges(t, what, s, "10.244.1.3", "10.244.1.2:8080", test.more)
	}
	apply()
	client.wants(t, "without policies again", at, true)
	must(t, open.Close())
}

// judges compares what Judge says with what packets have shown.
func judges(t *testing.T, what string, s *rules.State, from, to string, want bool) {
	t.Helper()
	dest := netip.MustParseAddrPort(to)
	list, err := rules.Compile(s).Judge(rules.Packet{Source: netip.MustParseAddr(from), Dest: dest.Addr(), Port: dest.Port(), Protocol: "tcp"})
	must(t, err)
	got := true
	for _, j := range list {
		got = got && j.Allowed
	}
	if got != want {
		t.Errorf("%s: packets to %s pass: %v, and they are judged %+v", what, to, want, list)
	}
}

// TestDropsAreRemembered: the kernel says who was stopped, on the way where, and forgets nothing when rules change.
func TestDropsAreRemembered(t *testing.T) {
	table := kernel(t)
	pods := newPods(t, "10.244.1.2", "10.244.1.3")
	web, client := pods[0], pods[1]
	web.do(func() { echo(t, ":80") })
	nft(t, services)
	if list, err := table.Drops(); err != nil || len(list) > 0 {
		t.Errorf("without a table: %+v, %v", list, err)
	}
	s := world(map[string]string{"web": "10.244.1.2", "client": "10.244.1.3"})
	policies(t, s, `{podSelector: {matchLabels: {app: web}}, policyTypes: [Ingress]}`)
	table.apply(t, s)
	if list, err := table.Drops(); err != nil || len(list) > 0 {
		t.Errorf("before anything was sent: %+v, %v", list, err)
	}
	client.wants(t, "a Service", "10.96.0.20:80", false)
	client.wants(t, "a Service, again", "10.96.0.20:80", false)
	client.answered(t, "UDP", "10.244.1.2:53", false)
	web.wants(t, "itself by its Service", "10.96.0.20:80", true)
	want := map[rules.Drop]bool{
		{Packet: rules.Packet{Source: client.ip, Dest: web.ip, Protocol: "tcp", Port: 80}, Asked: netip.MustParseAddrPort("10.96.0.20:80")}: true,
		{Packet: rules.Packet{Source: client.ip, Dest: web.ip, Protocol: "udp", Port: 53}, Asked: netip.MustParseAddrPort("10.244.1.2:53")}: true,
	}
	check := func(what string) {
		t.Helper()
		list, err := table.Drops()
		must(t, err)
		for _, d := range list {
			if d.Packets == 0 || d.Ago < 0 || d.Ago > time.Minute {
				t.Errorf("%s: %+v", what, d)
			}
			if d.Protocol == "tcp" && !d.Egress && d.Packets < 2 {
				t.Errorf("%s: two connections are one packet: %+v", what, d)
			}
			d.Packets, d.Ago = 0, 0
			if !want[d] {
				t.Errorf("%s: nobody sent %+v", what, d)
			}
		}
		if len(list) != len(want) {
			t.Errorf("%s: got %+v", what, list)
		}
	}
	check("ingress")
	policies(t, s, denyAll)
	table.apply(t, s)
	client.wants(t, "egress", "10.96.0.10:53", false)
	want[rules.Drop{
		Egress: true, Packet: rules.Packet{Source: client.ip, Dest: netip.MustParseAddr(node), Protocol: "tcp", Port: 10271},
		Asked: netip.MustParseAddrPort("10.96.0.10:53"),
	}] = true
	check("egress, to DNS")
	if err := table.Check(); err != nil {
		t.Errorf("what the kernel remembers is taken for a change: %v", err)
	}
}

// TestSCTP sends the first packet of a connection from a raw socket to another, so that it needs no kernel with SCTP.
func TestSCTP(t *testing.T) {
	table := kernel(t)
	pods := newPods(t, "10.244.1.2", "10.244.1.3")
	web, client := pods[0], pods[1]
	raw := func() int {
		fd, err := unix.Socket(unix.AF_INET, unix.SOCK_RAW, unix.IPPROTO_SCTP)
		must(t, err)
		return fd
	}
	var to, from int
	web.do(func() { to = raw() })
	client.do(func() { from = raw() })
	defer func() { _ = unix.Close(to); _ = unix.Close(from) }()
	source := uint16(40000)
	wants := func(what string, want bool) {
		t.Helper()
		source++ // another connection
		packet := binary.BigEndian.AppendUint16(nil, source)
		packet = binary.BigEndian.AppendUint16(packet, 7777)
		packet = append(packet, 0, 0, 0, 0 /* tag */, 0, 0, 0, 0 /* checksum */)
		packet = append(packet, 1, 0, 0, 20 /* INIT */, 0, 0, 0, 1, 0, 1, 0, 0, 0, 1, 0, 1, 0, 0, 0, 1)
		binary.LittleEndian.PutUint32(packet[8:], crc32.Checksum(packet, crc32.MakeTable(crc32.Castagnoli)))
		must(t, unix.Sendto(from, packet, 0, &unix.SockaddrInet4{Addr: web.ip.As4()}))
		most := unix.NsecToTimeval(limit(want).Nanoseconds())
		must(t, unix.SetsockoptTimeval(to, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &most))
		got := false
		for buffer := make([]byte, 200); ; {
			n, _, err := unix.Recvfrom(to, buffer, 0)
			if err != nil {
				break
			}
			const header = 20 // of IP
			got = got || n > header+2 && binary.BigEndian.Uint16(buffer[header:]) == source
			if got {
				break
			}
		}
		if got != want {
			t.Errorf("%s: %v, want %v", what, got, want)
		}
	}
	s := world(map[string]string{"web": "10.244.1.2", "client": "10.244.1.3"})
	wants("without policies", true)
	for spec, want := range map[string]bool{
		denyAll: false,
		`{podSelector: {matchLabels: {app: web}}, ingress: [{ports: [{port: 7777, protocol: SCTP}]}]}`:                true,
		`{podSelector: {matchLabels: {app: web}}, ingress: [{ports: [{port: 7000, endPort: 7776, protocol: SCTP}]}]}`: false,
		`{podSelector: {matchLabels: {app: web}}, ingress: [{ports: [{port: 7000, endPort: 7777, protocol: SCTP}]}]}`: true,
		`{podSelector: {matchLabels: {app: web}}, ingress: [{ports: [{port: 7777}]}]}`:                                false,
		`{podSelector: {matchLabels: {app: web}}, ingress: [{ports: [{protocol: SCTP}]}]}`:                            true,
	} {
		policies(t, s, spec)
		table.apply(t, s)
		wants(spec, want)
	}
}

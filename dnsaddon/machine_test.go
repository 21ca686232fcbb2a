package dnsaddon

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/miekg/dns"
	"go.uber.org/goleak"

	"bonsai/bootstrap/cluster"
	"bonsai/dnsaddon/corefile"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	oldEngine = "search old.test\nnameserver 127.0.0.11\noptions ndots:0\n"
	newEngine = oldEngine + "\n# Based on host file: '/etc/resolv.conf' (internal resolver)\n# ExtServers: [192.168.1.1]\n# Overrides: []\n"
	viaHost   = oldEngine + "# ExtServers: [host(127.0.0.53)]\n# Overrides: []\n"
	fromHost  = oldEngine + "# ExtServers: [host(192.168.1.1)]\n# Overrides: []\n"
	chosen    = oldEngine + "# ExtServers: [9.9.9.9]\n# Overrides: [nameservers search]\n"
)

func TestWhenTheEngineIsOutdated(t *testing.T) {
	written := time.Date(2026, 11, 29, 12, 0, 0, 0, time.UTC)
	at := func(after time.Duration, servers ...string) cluster.Resolvers {
		m := cluster.Resolvers{Since: written.Add(after), Search: []string{"new.test"}}
		for _, s := range servers {
			m.Servers = append(m.Servers, netip.MustParseAddrPort(s+":53"))
		}
		return m
	}
	loopback := at(time.Hour)
	loopback.Loopback = netip.MustParseAddr("127.0.0.1")
	engine, direct := []string{"127.0.0.11:53"}, []string{"10.8.0.1:53", "192.168.1.1:53", "127.0.0.11:53"}
	for name, c := range map[string]struct {
		conf    string
		machine cluster.Resolvers
		want    []string
		problem bool
	}{
		"nothing is known of the machine":    {oldEngine, cluster.Resolvers{}, engine, false},
		"started since":                      {oldEngine, at(-time.Hour, "10.8.0.1", "192.168.1.1"), engine, false},
		"changed since":                      {oldEngine, at(time.Hour, "10.8.0.1", "192.168.1.1"), direct, false},
		"changed, and says what it had":      {newEngine, at(-time.Hour, "10.8.0.1", "192.168.1.1"), direct, false},
		"rewritten with the same":            {newEngine, at(time.Hour, "192.168.1.1"), engine, false},
		"asked from the machine, changed":    {fromHost, at(-time.Hour, "10.8.0.1", "192.168.1.1"), direct, false},
		"asked from the machine, the same":   {fromHost, at(time.Hour, "192.168.1.1"), engine, false},
		"the engine's servers are chosen":    {chosen, at(time.Hour, "10.8.0.1"), engine, false},
		"the engine asks the machine itself": {viaHost, at(time.Hour, "10.8.0.1"), engine, false},
		"on loopback since":                  {oldEngine, loopback, engine, true},
		"on loopback since, and it is said":  {newEngine, loopback, engine, true},
		"on loopback before":                 {viaHost, loopback, engine, false},
		"a machine without servers":          {oldEngine, at(time.Hour), engine, false},
	} {
		path := filepath.Join(t.TempDir(), "resolv.conf")
		if err := os.WriteFile(path, []byte(c.conf), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chtimes(path, written, written); err != nil {
			t.Fatal(err)
		}
		n, err := readNode(path)
		if err != nil {
			t.Fatal(err)
		}
		got, search, problem := n.resolvers(c.machine)
		wantSearch := []string{"old.test"}
		if slices.Equal(c.want, direct) {
			wantSearch = []string{"new.test"}
		}
		if !slices.Equal(got.Upstreams, c.want) || !slices.Equal(search, wantSearch) || got.Machine != slices.Equal(c.want, direct) || (problem != nil) != c.problem {
			t.Errorf("%s: got %+v, search %v, problem %v", name, got, search, problem)
		}
	}
}

// upstream is a server that answers some names with its own address, denies others, and fails for refused.test.
func upstream(t *testing.T, address string, names ...string) netip.AddrPort {
	t.Helper()
	conn, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	serving := make(chan struct{})
	s := &dns.Server{PacketConn: conn, NotifyStartedFunc: func() { close(serving) }, Handler: dns.HandlerFunc(func(w dns.ResponseWriter, q *dns.Msg) {
		reply := new(dns.Msg).SetReply(q)
		name := q.Question[0].Name
		switch {
		case slices.Contains(names, name):
			reply.Answer = []dns.RR{&dns.A{Hdr: dns.RR_Header{Name: name, Rrtype: dns.TypeA, Class: dns.ClassINET, Ttl: 30}, A: net.ParseIP(address)}}
		case name == "refused.test.":
			reply.Rcode = dns.RcodeRefused
		default:
			reply.Rcode = dns.RcodeNameError
		}
		_ = w.WriteMsg(reply)
	})}
	var running sync.WaitGroup
	running.Go(func() {
		if err := s.ActivateAndServe(); err != nil {
			t.Error(err)
		}
	})
	<-serving
	t.Cleanup(func() {
		if err := s.Shutdown(); err != nil {
			t.Error(err)
		}
		running.Wait()
	})
	return netip.MustParseAddrPort(conn.LocalAddr().String())
}

// TestNamesFollowTheMachine: a VPN comes up and goes; names of containers, and a failing server, do not matter.
func TestNamesFollowTheMachine(t *testing.T) {
	engine := upstream(t, "10.0.0.1", "registry.", "example.test.")
	vpn := upstream(t, "10.0.0.2", "intern.corp.test.", "example.test.")
	second := upstream(t, "10.0.0.3", "refused.test.", "example.test.", "intern.corp.test.")
	conf := filepath.Join(t.TempDir(), "resolv.conf")
	if err := os.WriteFile(conf, []byte(oldEngine), 0o600); err != nil {
		t.Fatal(err)
	}
	var given [][]string
	var led []string
	d := New(Config{Node: "dev-1", Domain: "cluster.local", ResolvConf: conf, Log: slog.New(slog.DiscardHandler),
		Give: func(domains []string) error { given = append(given, domains); return nil },
		Lead: func(here bool, search []string) error { led = append(led, fmt.Sprint(here, search)); return nil }})
	r, err := d.assemble()
	if err != nil {
		t.Fatal(err)
	}
	r.engine.upstreams = []string{engine.String()}
	d.configuring.Lock()
	d.useMachine(r)
	d.up.Store(r)
	d.configuring.Unlock()
	ctx, cancel := context.WithCancel(t.Context())
	var running sync.WaitGroup
	running.Go(func() { r.forward.Run(ctx) })
	running.Go(func() { r.node.Run(ctx) })
	t.Cleanup(func() { cancel(); running.Wait() })
	ask := func(name string) string {
		t.Helper()
		reply, _, err := r.forward.Exchange(t.Context(), new(dns.Msg).SetQuestion(name, dns.TypeA), "udp")
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if len(reply.Answer) == 0 {
			return dns.RcodeToString[reply.Rcode]
		}
		return reply.Answer[0].(*dns.A).A.String()
	}
	expect := func(when string, want map[string]string) {
		t.Helper()
		for name, w := range want {
			if got := ask(name); got != w {
				t.Errorf("%s, %s is %s, want %s", when, name, got, w)
			}
		}
	}
	expect("before", map[string]string{"registry.": "10.0.0.1", "example.test.": "10.0.0.1", "intern.corp.test.": "NXDOMAIN"})
	d.configure(r, corefile.Sources{Corefile: map[string]string{"Corefile": cluster.Corefile("cluster.local")}})
	up := cluster.Resolvers{Servers: []netip.AddrPort{vpn, second}, Search: []string{"corp.test"}, Since: time.Now().Add(time.Second)}
	d.SetMachine(up)
	during := map[string]string{"registry.": "10.0.0.1", "example.test.": "10.0.0.2", "intern.corp.test.": "10.0.0.2", "refused.test.": "10.0.0.3"}
	expect("with the VPN", during)
	s := d.Status()
	if !slices.Equal(s.Search, []string{"corp.test"}) || len(s.Problems) != 0 {
		t.Errorf("with the VPN: search %v, problems %v", s.Search, s.Problems)
	}
	var asked []string
	for _, u := range s.Upstreams {
		asked = append(asked, u.Zone+" "+u.Address)
	}
	if want := []string{". " + vpn.String(), ". " + second.String(), ". " + engine.String(), cluster.DNSOneLabel + " " + engine.String()}; !slices.Equal(asked, want) {
		t.Errorf("with the VPN, upstreams are %q, want %q", asked, want)
	}
	d.give(r)
	// The user's own server stays whatever the machine has.
	d.configure(r, corefile.Sources{Corefile: map[string]string{"Corefile": ".:53 {\n kubernetes cluster.local\n forward . " + second.String() + "\n}"}})
	expect("with a server of the user's", map[string]string{"example.test.": "10.0.0.3"})
	d.configure(r, corefile.Sources{Corefile: map[string]string{"Corefile": cluster.Corefile("cluster.local")}})
	expect("with the VPN again", during)

	d.SetMachine(cluster.Resolvers{Servers: []netip.AddrPort{second}, Since: time.Now().Add(2 * time.Second)})
	expect("with another network", map[string]string{"example.test.": "10.0.0.3", "intern.corp.test.": "10.0.0.3"})
	d.SetMachine(cluster.Resolvers{Loopback: netip.MustParseAddr("127.0.0.1"), Since: time.Now().Add(3 * time.Second)})
	expect("on loopback", map[string]string{"example.test.": "10.0.0.1"})
	if s := d.Status(); len(s.Problems) != 1 || s.Problems[0].Kind != ProblemLoopback || !strings.Contains(s.Problems[0].Summary, "127.0.0.1") || !slices.Equal(s.Search, []string{"old.test"}) {
		t.Errorf("on loopback: search %v, problems %+v", s.Search, s.Problems)
	}
	d.give(r)
	if len(given) != 2 || !slices.Equal(given[0], []string{"corp.test"}) || !slices.Equal(given[1], []string{"old.test"}) {
		t.Errorf("pods were given %v", given)
	}
	if want := []string{"true [corp.test]", "true []", "false [old.test]"}; !slices.Equal(led, want) {
		t.Errorf("the node's own lookups lead here: %v, want %v", led, want)
	}
}

package dnsaddon

import (
	"fmt"
	"net"
	"net/netip"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/miekg/dns"

	"bonsai/bootstrap/cluster"
	"bonsai/dnsaddon/corefile"
)

// ProblemLoopback is the Kind of a problem with the machine's resolver.
const ProblemLoopback = "DNSResolverOnLoopback"

// node is what the container engine has given to the node: its resolv.conf.
type node struct {
	upstreams []string // "address:port"; usually the engine's own resolver
	search    []string
	written   time.Time // when the engine started the node
	// The following is what newer engines write into comments. servers are those that the engine's resolver asks; nil if the
	// file does not say.
	servers []netip.AddrPort
	// chosen says that the user has set the engine's servers, viaHost that it asks one on the machine's loopback.
	chosen, viaHost bool
}

// readNode reads a node's resolv.conf.
func readNode(path string) (n node, err error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return n, err
	}
	info, err := os.Stat(path)
	if err != nil {
		return n, err
	}
	n.written = info.ModTime()
	if n.upstreams, n.search, err = parseResolvConf(string(data)); err != nil {
		return n, err
	}
	for line := range strings.Lines(string(data)) {
		note, ok := strings.CutPrefix(strings.TrimSpace(line), "# ")
		if !ok {
			continue
		}
		if list, ok := strings.CutPrefix(note, "ExtServers: "); ok {
			n.servers = []netip.AddrPort{}
			for s := range strings.FieldsSeq(strings.Trim(list, "[]")) {
				// "host(ADDRESS)" is asked from the machine's network, and not from the node's.
				a, err := netip.ParseAddr(strings.TrimSuffix(strings.TrimPrefix(s, "host("), ")"))
				switch {
				case err != nil || !a.Unmap().Is4(): // which is not known of the machine either
				case a.IsLoopback():
					n.viaHost = true
				default:
					n.servers = append(n.servers, netip.AddrPortFrom(a.Unmap(), 53))
				}
			}
		}
		if list, ok := strings.CutPrefix(note, "Overrides: "); ok {
			n.chosen = slices.Contains(strings.Fields(strings.Trim(list, "[]")), "nameservers")
		}
	}
	return n, nil
}

// outdated reports whether the engine's resolver asks other servers than the machine does by now. An engine reads those of the
// machine when it starts a node. One that was given its servers by the user keeps them, and one that asks a server on the
// machine's loopback follows the machine without help.
func (n node) outdated(m cluster.Resolvers) bool {
	switch {
	case n.chosen || n.viaHost || m.Since.IsZero():
		return false
	case n.servers != nil && len(m.Servers) > 0:
		return !slices.Equal(n.servers, m.Servers)
	}
	return m.Since.After(n.written)
}

// resolvers are what a node uses, given what its machine has.
func (n node) resolvers(m cluster.Resolvers) (d corefile.Defaults, search []string, problem *cluster.Problem) {
	d.Upstreams, search = n.upstreams, n.search
	if !n.outdated(m) {
		return d, search, nil
	}
	if len(m.Servers) > 0 {
		d.Upstreams, d.Machine, d.OneLabel = nil, true, n.upstreams
		for _, s := range m.Servers {
			d.Upstreams = append(d.Upstreams, s.String())
		}
		// If what nodes send to these is lost, as with some VPNs, the engine's is better than nothing.
		d.Upstreams = append(d.Upstreams, n.upstreams...)
		return d, m.Search, nil
	}
	if m.Loopback.IsValid() {
		problem = &cluster.Problem{
			Kind: ProblemLoopback, Severity: cluster.SeverityWarning,
			Summary: fmt.Sprintf("this machine resolves names at %s since %s, which nodes reach from their next start on", m.Loopback, m.Since.Format("15:04:05")),
			Cause:   "the engine reads the resolvers of the machine when it starts a node",
			Advice:  []cluster.Advice{cluster.Advise("restart the nodes", cluster.Bonsai("stop").Change(), cluster.Bonsai("start").Change())},
		}
	}
	return d, search, problem
}

// SetMachine says which resolvers the machine of the node has. They are used at once if the engine's are outdated.
func (d *DNS) SetMachine(m cluster.Resolvers) {
	d.configuring.Lock()
	defer d.configuring.Unlock()
	if d.machine.Equal(m) {
		return
	}
	d.machine = m
	if r := d.up.Load(); r != nil {
		d.useMachine(r)
	}
}

// useMachine applies what is known of the machine. d.configuring is held.
func (d *DNS) useMachine(r *running) {
	defaults, search, problem := r.engine.resolvers(d.machine)
	defaults.Zone = r.reader.Defaults.Zone
	r.reader.Defaults = defaults
	plain, _ := corefile.Parse(corefile.Sources{}, defaults)
	r.node.Configure(plain.Forward)
	if r.configured {
		d.configureLocked(r, r.sources)
	} else {
		r.forward.Configure(plain.Forward) // until the user's configuration has been read
	}
	d.mu.Lock()
	d.resolver = nil
	if problem != nil {
		problem.Object = "node/" + d.cfg.Node
		d.resolver = []cluster.Problem{*problem}
	}
	news := !slices.Equal(r.search, search)
	r.search = search
	d.mu.Unlock()
	// While nothing is known of the machine, what an earlier life of this process has decided stays.
	if d.cfg.Lead != nil && !d.machine.Since.IsZero() {
		if err := d.cfg.Lead(defaults.Machine, search); err != nil {
			d.log.Error("the node itself still asks other resolvers", "want", defaults.Upstreams, "err", err)
		}
	}
	if defaults.Machine {
		d.log.Info("names are asked of the machine's present resolvers", "upstreams", defaults.Upstreams, "search", search)
	}
	if news {
		select {
		case r.searched <- struct{}{}:
		default:
		}
	}
}

// parseResolvConf returns the resolvers of a resolv.conf, as "address:port", and its search domains.
func parseResolvConf(text string) (upstreams, search []string, err error) {
	config, err := dns.ClientConfigFromReader(strings.NewReader(text))
	if err != nil {
		return nil, nil, err
	}
	for _, server := range config.Servers {
		// A zone after the address ("fe80::1%eth0") is part of it.
		if _, err := netip.ParseAddr(strings.TrimSpace(server)); err == nil {
			upstreams = append(upstreams, net.JoinHostPort(server, config.Port))
		}
	}
	return upstreams, config.Search, nil
}

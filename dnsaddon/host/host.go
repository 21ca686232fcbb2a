// Package host answers the names that a cluster has on the machine it runs on: Services, and hosts of Ingresses, Gateways and
// routes. Programs of this machine ask it by way of the machine's own resolver, which is configured to send it these domains.
//
// It answers from a table and from nothing else: what is not below its domains is refused, and nothing is forwarded. So a host in
// the cluster cannot take the place of a name of the Internet, and nobody gets at anything through it. Other clusters of the same
// user may have the same domains. A resolver therefore asks theirs, so that all of them give the same answers, whichever is asked.
//
// Begin reading at Resolver.Run.
package host

import (
	"context"
	"errors"
	"log/slog"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/miekg/dns"
	"github.com/prometheus/client_golang/prometheus"

	"bonsai/bootstrap/cluster"
	"bonsai/dnsaddon/forward"
	"bonsai/dnsaddon/server"
	"bonsai/dnsaddon/wire"
	"bonsai/dnsaddon/zone"
)

const (
	// ttl is how long answers may be cached, in seconds: addresses of load balancers come and go while one works on them.
	ttl = 5
	// firstPort is the first that is tried: below the ports that kernels give to connections, and not a well-known one.
	firstPort, ports = 15353, 100
	// askLimit is for a question to another cluster's resolver, over loopback.
	askLimit = 250 * time.Millisecond
)

// Options are what New needs.
type Options struct {
	// Own is the domain that is this cluster's alone.
	Own string
	// Others are the resolvers of the user's other clusters that run: those whose names come before this cluster's, and those
	// whose names come after. It is called for each question that needs it. Nil: there are none.
	Others func() (before, after []netip.AddrPort)
	Log    *slog.Logger
}

// Resolver answers. Its methods may be called from any goroutine.
type Resolver struct {
	opts  Options
	table atomic.Pointer[table]
}

// New returns a resolver that has no names yet.
func New(o Options) *Resolver {
	r := &Resolver{opts: o}
	r.table.Store(newTable(cluster.HostDNS{}, o.Own))
	return r
}

// Set replaces what is answered.
func (r *Resolver) Set(h cluster.HostDNS) { r.table.Store(newTable(h, r.opts.Own)) }

// Run answers on 127.0.0.1 until ctx ends, at port, or if that is 0 at the first that is free. It calls listening with the port
// when it is there. A port that is in use is an error.
func (r *Resolver) Run(ctx context.Context, port int, listening func(port int)) error {
	if port != 0 {
		return r.run(ctx, port, listening)
	}
	for port = firstPort; ; port++ {
		err := r.run(ctx, port, listening)
		if !errors.Is(err, syscall.EADDRINUSE) || port == firstPort+ports-1 {
			return err
		}
	}
}

func (r *Resolver) run(ctx context.Context, port int, listening func(port int)) error {
	none := zone.NewStore(zone.Options{Domain: "none.invalid"}) // the records of cluster DNS, of which there are none here
	none.SetSynced()
	s := server.New(server.Options{
		Zone: none, Forward: r, Feed: unwatched{},
		Listen: []netip.AddrPort{netip.AddrPortFrom(loopback, uint16(port))},
		Allow:  []netip.Prefix{netip.PrefixFrom(loopback, 8).Masked()},
		Log:    r.opts.Log, Registry: prometheus.NewRegistry(),
	})
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var waiting sync.WaitGroup
	waiting.Go(func() {
		select {
		case <-s.Ready():
			listening(port)
		case <-ctx.Done():
		}
	})
	err := s.Run(ctx)
	cancel()
	waiting.Wait()
	return err
}

var loopback = netip.AddrFrom4([4]byte{127, 0, 0, 1})

// unwatched is the feed of questions, which nobody watches.
type unwatched struct{}

func (unwatched) Active() bool             { return false }
func (unwatched) Publish(cluster.DNSQuery) {}

// AppendCached implements server.Forwarder: nothing is cached.
func (r *Resolver) AppendCached(dst []byte, _ *wire.Query, _ int, _ time.Time) ([]byte, bool) {
	return dst, false
}

// Stats implements server.Forwarder.
func (r *Resolver) Stats() forward.Stats { return forward.Stats{} }

// Exchange implements server.Forwarder: it answers. A question without RD comes from another cluster's resolver, or from somebody
// who wants to know what this one has.
func (r *Resolver) Exchange(ctx context.Context, m *dns.Msg, _ string) (*dns.Msg, forward.Result, error) {
	result := forward.Result{Source: cluster.DNSFromLocal}
	t := r.table.Load()
	q := m.Question[0]
	name := strings.TrimSuffix(dns.CanonicalName(q.Name), ".")
	if strings.Contains(name, `\`) || !t.serves(name) { // names of a cluster have no bytes that have to be escaped
		return answer(m, dns.RcodeRefused), forward.Result{Source: cluster.DNSRefused}, errors.New("not a name of the cluster")
	}
	var before, after []netip.AddrPort
	if m.RecursionDesired && r.opts.Others != nil && t.shared(name) {
		before, after = r.opts.Others()
	}
	other, known := ask(ctx, before, m)
	if other != nil {
		return other, result, nil
	}
	addresses, exists := t.find(name)
	if len(addresses) == 0 {
		var also bool
		if other, also = ask(ctx, after, m); other != nil {
			return other, result, nil
		}
		known = known || also
	}
	if exists || known { // of some type: a denial of the name would deny its other types, too
		return t.reply(m, addresses), result, nil
	}
	reply := answer(m, dns.RcodeNameError)
	reply.Ns = []dns.RR{soa(t, name)}
	return reply, result, nil
}

// reply is the answer to a question about a name that exists.
func (t *table) reply(m *dns.Msg, addresses []netip.Addr) *dns.Msg {
	q := m.Question[0]
	reply := answer(m, dns.RcodeSuccess)
	for _, a := range addresses {
		header := dns.RR_Header{Name: q.Name, Class: dns.ClassINET, Rrtype: q.Qtype, Ttl: ttl}
		switch {
		case q.Qtype == dns.TypeA && a.Is4():
			reply.Answer = append(reply.Answer, &dns.A{Hdr: header, A: a.AsSlice()})
		case q.Qtype == dns.TypeAAAA && a.Is6():
			reply.Answer = append(reply.Answer, &dns.AAAA{Hdr: header, AAAA: a.AsSlice()})
		}
	}
	if reply.Answer == nil {
		reply.Ns = []dns.RR{soa(t, strings.TrimSuffix(dns.CanonicalName(q.Name), "."))}
	}
	return reply
}

func answer(m *dns.Msg, rcode int) *dns.Msg {
	reply := new(dns.Msg).SetRcode(m, rcode)
	reply.Authoritative = true
	return reply
}

// soa is what says how long a name may be taken not to exist (RFC 2308).
func soa(t *table, name string) dns.RR {
	zone := ""
	for _, d := range t.domains {
		if cluster.Below(name, d) && len(d) > len(zone) {
			zone = d
		}
	}
	zone = dns.Fqdn(zone)
	return &dns.SOA{
		Hdr: dns.RR_Header{Name: zone, Class: dns.ClassINET, Rrtype: dns.TypeSOA, Ttl: ttl},
		Ns:  "ns.dns." + zone, Mbox: "hostmaster." + zone, Serial: 1, Refresh: 7200, Retry: 1800, Expire: 86400, Minttl: ttl,
	}
}

// ask returns the first answer of the resolvers that have the name, in their order; nil if none of them has a record of that type.
// known says that one of them has the name.
func ask(ctx context.Context, resolvers []netip.AddrPort, m *dns.Msg) (first *dns.Msg, known bool) {
	replies := make([]*dns.Msg, len(resolvers))
	var asking sync.WaitGroup
	for i, at := range resolvers {
		asking.Go(func() { replies[i] = askOne(ctx, at, m.Question[0]) })
	}
	asking.Wait()
	for _, r := range replies {
		if r == nil || r.Rcode != dns.RcodeSuccess {
			continue
		}
		if known = true; len(r.Answer) > 0 {
			first = r
			break
		}
	}
	return first, known
}

// askOne returns nil if there is no answer: a resolver of another cluster may end at any time.
func askOne(ctx context.Context, at netip.AddrPort, question dns.Question) *dns.Msg {
	ctx, cancel := context.WithTimeout(ctx, askLimit)
	defer cancel()
	q := new(dns.Msg).SetQuestion(question.Name, question.Qtype)
	q.RecursionDesired = false
	client := dns.Client{Timeout: askLimit}
	reply, _, err := client.ExchangeContext(ctx, q, at.String())
	if err == nil && reply.Truncated {
		client.Net = "tcp"
		reply, _, err = client.ExchangeContext(ctx, q, at.String())
	}
	if err != nil {
		return nil
	}
	return reply
}

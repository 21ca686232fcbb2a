package localapi

import (
	"context"
	"errors"
	"net/netip"
	"reflect"
	"testing"
	"time"

	"bonsai/bootstrap/cluster"
	"bonsai/bootstrap/fault"
)

// dnsBackend is what the little daemon was asked about DNS.
type dnsBackend struct {
	log      cluster.DNSLogQuery
	question cluster.DNSQuestion
	flushed  string
}

func (b *backend) DNSStatus(context.Context) ([]cluster.DNSStatus, error) {
	return []cluster.DNSStatus{
		{Node: "dev-1", Phase: cluster.PhaseRunning, Queries: map[string]uint64{"NOERROR": 3}, Upstreams: []cluster.DNSUpstream{{Zone: ".", Latency: time.Millisecond}}},
		{Node: "dev-2", Phase: cluster.PhaseUnknown, Reason: "connection refused"},
	}, b.failure()
}

func (b *backend) DNSLog(ctx context.Context, q cluster.DNSLogQuery, watching func(), send func(cluster.DNSQuery) error) error {
	b.mu.Lock()
	b.dns.log = q
	failed := b.failed
	b.mu.Unlock()
	if failed != nil && q.Node == "" {
		return failed
	}
	watching()
	if failed != nil {
		return failed
	}
	if err := send(cluster.DNSQuery{Node: "dev-1", Name: "one.", Took: time.Microsecond}); err != nil {
		return err
	}
	<-ctx.Done()
	return nil
}

func (b *backend) DNSLookup(_ context.Context, q cluster.DNSQuestion) (cluster.DNSAnswer, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.dns.question = q
	return cluster.DNSAnswer{
		DNSLookupResult: cluster.DNSLookupResult{Node: "dev-2", Steps: []cluster.DNSStep{{Name: "one.", Rcode: "NOERROR"}}},
		Asked:           cluster.DNSLookup{Name: q.Name, Ndots: 5}, Notes: []string{"note"},
	}, b.failed
}

func (b *backend) HostDNS() cluster.HostDNS {
	return cluster.HostDNS{Open: true, Port: 15353, Domains: []string{"test"}, Names: []cluster.HostName{
		{Name: "shop.test", Addresses: []netip.Addr{netip.MustParseAddr("10.201.0.10")}, Of: "Ingress shop/web"},
	}}
}

func (b *backend) DNSFlush(_ context.Context, node string) ([]cluster.DNSFlushed, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.dns.flushed = node
	return []cluster.DNSFlushed{{Node: "dev-1", Entries: 4}}, b.failed
}

func (b *backend) askedDNS() dnsBackend {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.dns
}

func TestDNSRoundTrips(t *testing.T) {
	b := newBackend()
	c, _, _ := serve(t, b)
	ctx := t.Context()
	question := cluster.DNSQuestion{Name: "web", Type: "SRV", TCP: true, Pod: "shop/cart-1", Node: "dev-2", Plain: true}
	round := func() []error {
		status, err1 := c.DNSStatus(ctx)
		if want, _ := b.DNSStatus(ctx); err1 == nil && !reflect.DeepEqual(status, want) {
			t.Errorf("status: %+v", status)
		}
		a, err2 := c.DNSLookup(ctx, question)
		if want, _ := b.DNSLookup(ctx, question); err2 == nil && !reflect.DeepEqual(a, want) {
			t.Errorf("lookup: %+v", a)
		}
		flushed, err3 := c.DNSFlush(ctx, "dev&1")
		if want := []cluster.DNSFlushed{{Node: "dev-1", Entries: 4}}; err3 == nil && !reflect.DeepEqual(flushed, want) {
			t.Errorf("flush: %+v", flushed)
		}
		return []error{err1, err2, err3}
	}
	for _, err := range round() {
		if err != nil {
			t.Error(err)
		}
	}
	if d := b.askedDNS(); d.question != question || d.flushed != "dev&1" {
		t.Errorf("the backend was asked %+v, to flush %q", d.question, d.flushed)
	}
	if host, err := c.HostDNS(ctx); err != nil || !reflect.DeepEqual(host, b.HostDNS()) {
		t.Errorf("names of this machine: %+v, %v", host, err)
	}
	b.fail(fault.Newf(fault.Addon, "disabled").Advise("enable it"))
	late := 0
	errs := append(round(), c.DNSLog(ctx, cluster.DNSLogQuery{}, nil, nil), c.DNSLog(ctx, cluster.DNSLogQuery{Node: "dev-1"}, func() { late++ }, nil))
	if late != 1 {
		t.Errorf("watching was called %d times", late)
	}
	for i, err := range errs {
		if fault.KindOf(err) != fault.Addon || fault.Problem(err).HintText() != "enable it" {
			t.Errorf("%d: %v", i, err)
		}
	}
}

func TestDNSLogEndsWithItsReader(t *testing.T) {
	b := newBackend()
	c, s, _ := serve(t, b)
	enough := errors.New("enough")
	q := cluster.DNSLogQuery{Node: "dev-1", Pod: "shop/cart-1", Fold: true}
	watching := false
	err := c.DNSLog(t.Context(), q, func() { watching = true }, func(v cluster.DNSQuery) error {
		if !watching || v.Node != "dev-1" || v.Name != "one." || v.Took != time.Microsecond {
			t.Errorf("got %+v", v)
		}
		return enough
	})
	if !errors.Is(err, enough) || b.askedDNS().log != q {
		t.Errorf("got %v, the backend was asked %+v", err, b.askedDNS().log)
	}
	if err := c.DNSLog(t.Context(), q, func() {}, func(cluster.DNSQuery) error { go func() { _ = s.Close() }(); return nil }); err != nil {
		t.Errorf("the daemon's orderly end: %v", err)
	}
}

func TestQuestionThatIsNone(t *testing.T) {
	c, _, _ := serve(t, newBackend())
	if err := c.do(t.Context(), "POST", "/v1/dns/lookup", nil); fault.KindOf(err) != fault.Usage {
		t.Errorf("got %v", err)
	}
}

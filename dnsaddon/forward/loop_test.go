package forward

import (
	"context"
	"errors"
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"bonsai/bootstrap/cluster"

	"github.com/miekg/dns"
)

// circle is a resolver that forwards everything to f, like one that is configured to use us. It returns its address.
func circle(t *testing.T, f *atomic.Pointer[Forwarder]) string {
	u, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	activate(t, &dns.Server{PacketConn: u, Handler: dns.HandlerFunc(func(w dns.ResponseWriter, r *dns.Msg) {
		if m, _, _ := f.Load().Exchange(context.Background(), r, "udp"); m != nil {
			_ = w.WriteMsg(m)
		}
	})})
	return u.LocalAddr().String()
}

func TestUpstreamThatLeadsBackIsCutOff(t *testing.T) {
	var self atomic.Pointer[Forwarder]
	loop, good := circle(t, &self), newResolver(t, answerA("192.0.2.2"))
	f := New(Options{})
	self.Store(f)
	f.limits.loop, f.limits.linger, f.limits.loopEvery = time.Second, time.Millisecond, 20*time.Millisecond
	f.Configure([]Zone{{Name: ".", Policy: Sequential, Upstreams: []string{loop, good.addr}}, {Name: "only.test.", Upstreams: []string{loop}}})
	run(t, f)

	eventually(t, "both are cut off", func() bool {
		return phase(f, 0).Phase == cluster.PhaseDegraded && phase(f, 2).Phase == cluster.PhaseDegraded
	})
	if s := phase(f, 0); !strings.Contains(s.Reason, "back to this server") {
		t.Errorf("reason is %q", s.Reason)
	}
	if m, res := lookup(t, f, "www.test."); address(m) != "192.0.2.2" || res.Upstream != good.addr {
		t.Errorf("got %v, %+v", m, res)
	}
	began := time.Now()
	m, _, err := f.Exchange(t.Context(), question("www.only.test.", dns.TypeA), "udp")
	if m.Rcode != dns.RcodeServerFailure || !errors.Is(err, ErrCutOff) || time.Since(began) > time.Second {
		t.Errorf("got %v, %v after %v", m, err, time.Since(began))
	}
	if s := phase(f, 1); s.Phase != cluster.PhaseRunning {
		t.Errorf("the good one: %+v", s)
	}

	// Once it goes elsewhere it is used again.
	other := New(Options{})
	other.Configure([]Zone{root(good)})
	run(t, other)
	self.Store(other)
	eventually(t, "it is used again", func() bool { return phase(f, 0).Phase == cluster.PhaseRunning })
}

// Without the probe, a question that comes back joins itself, so a loop costs one question and ends in time.
func TestQuestionThatComesBackJoinsItself(t *testing.T) {
	var self atomic.Pointer[Forwarder]
	loop := circle(t, &self)
	f := New(Options{}) // without Run there are no probes
	self.Store(f)
	f.limits.question = 100 * time.Millisecond
	f.Configure([]Zone{{Name: ".", Upstreams: []string{loop}}})
	m, _, err := f.Exchange(t.Context(), question("www.test.", dns.TypeA), "udp")
	if m.Rcode != dns.RcodeServerFailure || err == nil {
		t.Errorf("got %v, %v", m, err)
	}
	f.end()
	f.work.Wait()
}

func TestOnlyTheSecretNameIsAProbe(t *testing.T) {
	f := New(Options{})
	if f.IsProbe("www.test.") {
		t.Error("a probe before there are any")
	}
	u := newUpstream("192.0.2.1:53")
	name := secretName("corp.test.")
	if !strings.HasSuffix(name, ".corp.test.") || len(name) < 48 || name == secretName("corp.test.") {
		t.Errorf("secret name is %q", name)
	}
	if one := secretName("."); dns.CountLabel(one) != 2 {
		t.Errorf("secret name in the root is %q", one)
	}
	z := &zone{Zone: Zone{Name: "corp.test."}}
	f.setProbe(name, &loopProbe{zone: z, upstream: u})
	f.setProbe("x.", &loopProbe{zone: z, upstream: u})
	if f.IsProbe("corp.test.") || f.IsProbe("x"+name) || u.cut.Load() {
		t.Error("another name is taken for the probe")
	}
	// Resolvers that randomise the case of names exist.
	if !f.IsProbe(strings.ToUpper(name)) || !u.cut.Load() {
		t.Error("the probe is not recognised")
	}
	f.setProbe(name, nil)
	f.setProbe("x.", nil)
	if f.IsProbe(name) || f.probes.Load() != nil {
		t.Error("the probe outlives itself")
	}
}

package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/miekg/dns"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"bonsai/test/coredns/internal/compare"
	"bonsai/test/coredns/internal/stub"
)

// mix is what is asked in a run, over and over.
type mix struct {
	name  string
	file  string // as dnsperf reads it
	rcode int    // of all replies
	lines []line
	// forwarded answers age in the caches of the servers, each at its own pace.
	forwarded bool
}

type line struct {
	name string
	kind uint16
	// addresses must be the answer, if they are given.
	addresses []string
}

func (b *bench) mixes() ([]*mix, error) {
	hot := &mix{name: "cluster names, A", rcode: dns.RcodeSuccess}
	pairs := &mix{name: "cluster names, A and AAAA", rcode: dns.RcodeSuccess}
	misses := &mix{name: "search path misses (NXDOMAIN)", rcode: dns.RcodeNameError}
	external := &mix{name: "external names, cached", rcode: dns.RcodeSuccess, forwarded: true}
	services, err := b.client.CoreV1().Services("").List(context.Background(), metav1.ListOptions{})
	if err != nil {
		return nil, err
	}
	ips := map[string]string{}
	for _, svc := range services.Items {
		ips[svc.Name] = svc.Spec.ClusterIP
	}
	for n := range b.services {
		addresses := []string{ips[nameOf(n)]}
		if headless(n) {
			addresses = nil
			for i := range endpointsEach {
				addresses = append(addresses, endpoint(n, i))
			}
		}
		hot.lines = append(hot.lines, line{serviceName(n), dns.TypeA, addresses})
		pairs.lines = append(pairs.lines, line{serviceName(n), dns.TypeA, addresses}, line{serviceName(n), dns.TypeAAAA, nil})
	}
	// What a pod's resolver asks for external names, with the search path that kubelet writes and ndots:5.
	for n := range 200 {
		for _, search := range []string{namespaceOf(n*b.services/200) + ".svc.cluster.local.", "svc.cluster.local.", "cluster.local."} {
			for _, kind := range []uint16{dns.TypeA, dns.TypeAAAA} {
				misses.lines = append(misses.lines, line{fmt.Sprintf("www-%d.example.test.%s", n, search), kind, nil})
			}
		}
	}
	for n := 0; len(external.lines) < 200; n++ {
		name := fmt.Sprintf("www-%d.example.test.", n)
		// Only names whose answers may be kept for as long as the servers keep any.
		if reply := stub.Answer(question(name, dns.TypeA)); reply.Answer[0].Header().Ttl >= 30 {
			external.lines = append(external.lines, line{name, dns.TypeA, nil})
		}
	}
	mixes := []*mix{hot, pairs, misses, external}
	for i, m := range mixes {
		m.file = filepath.Join(b.dir, fmt.Sprintf("mix-%d", i))
		var text strings.Builder
		for _, l := range m.lines {
			fmt.Fprintf(&text, "%s %s\n", l.name, dns.TypeToString[l.kind])
		}
		if err := os.WriteFile(m.file, []byte(text.String()), 0o600); err != nil {
			return nil, err
		}
	}
	return mixes, nil
}

// verify asks every server every question once and compares the replies, with each other and with the expected ones. It
// also fills the caches.
func (b *bench) verify(mixes []*mix) error {
	for _, m := range mixes {
		for _, l := range m.lines {
			var first *dns.Msg
			for _, s := range b.servers {
				reply, err := s.ask.Ask(question(l.name, l.kind), false)
				if err != nil {
					return fmt.Errorf("asking %s for %s: %w", s.name, l.name, err)
				}
				if wrong := m.wrong(l, first, reply); wrong != "" {
					return fmt.Errorf("%s: %s\n%s\n%s: %s", s.name, wrong, reply, b.servers[0].name, first)
				}
				if first == nil {
					first = reply
				}
			}
		}
	}
	return nil
}

func (m *mix) wrong(l line, first, reply *dns.Msg) string {
	if reply.Rcode != m.rcode {
		return "another rcode than " + dns.RcodeToString[m.rcode]
	}
	if l.addresses != nil {
		var got []string
		for _, rr := range reply.Answer {
			if a, ok := rr.(*dns.A); ok {
				got = append(got, a.A.String())
			}
		}
		slices.Sort(got)
		if want := slices.Sorted(slices.Values(l.addresses)); !slices.Equal(got, want) {
			return fmt.Sprintf("not the addresses %v", want)
		}
	}
	if first == nil {
		return ""
	}
	if m.forwarded {
		if len(reply.Answer) != len(first.Answer) {
			return "another number of records"
		}
		return ""
	}
	reply = reply.Copy()
	reply.Id = first.Id
	return strings.Join(compare.Differences(first, reply), " and ")
}

package zone

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/miekg/dns"
)

// world makes objects and questions at random out of few names and addresses, so that they meet.
type world struct{ *rand.Rand }

func pick[T any](w world, of ...T) T { return of[w.IntN(len(of))] }

func (w world) namespace() string { return pick(w, "default", "shop", "com", "svc", "pod") }
func (w world) name() string      { return pick(w, "web", "db", "com", "svc", "1-2-3-4", "dns", "ns", "x") }
func (w world) hostname() string {
	return pick(w, "", "", "", "pod-0", "pod-1", "web", "10-1-0-1", "fd00--1")
}
func (w world) protocol() string { return pick(w, "TCP", "UDP", "SCTP") }
func (w world) port() string     { return pick(w, "http", "https", "dns") }

func (w world) addr() string {
	if w.IntN(3) == 0 {
		return fmt.Sprintf("fd00:%s:%x", pick(w, "", "1:2:3:4:5:6", "0:1:"), w.IntN(4))
	}
	return fmt.Sprintf("10.1.%d.%d", w.IntN(2), w.IntN(6))
}

func (w world) service() Service {
	s := Service{Namespace: w.namespace(), Name: w.name(), Type: "ClusterIP", Ports: w.ports()}
	switch w.IntN(4) {
	case 0:
		s.ClusterIPs = []string{"None"}
	case 1:
		s.Type = "ExternalName"
		s.ExternalName = pick(w, "example.com", "10.1.0.1", w.name()+"."+w.namespace()+".svc.cluster.local", "ns.dns.cluster.local", "cluster.local")
	default:
		for range 1 + w.IntN(2) {
			s.ClusterIPs = append(s.ClusterIPs, w.addr())
		}
	}
	return s
}

func (w world) ports() []Port {
	var ports []Port
	for range w.IntN(3) {
		ports = append(ports, Port{pick(w, "", w.port()), pick(w, "", w.protocol()), int32(w.IntN(3))})
	}
	return ports
}

func (w world) slice() Slice {
	s := Slice{Namespace: w.namespace(), Name: fmt.Sprint("slice-", w.IntN(20)), Service: pick(w, w.name(), w.name(), w.name(), ""), Ports: w.ports()}
	for range w.IntN(5) {
		e := Endpoint{Hostname: w.hostname(), Pod: pick(w, "", "pod-0", "pod-2", "a.b")}
		for range 1 + w.IntN(2) {
			e.Addresses = append(e.Addresses, w.addr())
		}
		if w.IntN(5) == 0 {
			ready := w.IntN(2) == 0
			e.Ready = &ready
		}
		s.Endpoints = append(s.Endpoints, e)
	}
	return s
}

func (w world) options() Options {
	o := Options{
		TTL: uint32(pick(w, 0, 30, 600)), Pods: pick(w, Insecure, Insecure, Verified, Disabled),
		EndpointPodNames: w.IntN(4) == 0, IgnoreEmptyService: w.IntN(4) == 0,
		Fallthrough: pick(w, nil, nil, []string{}, []string{"shop.svc.cluster.local", "in-addr.arpa"}, []string{"."}),
	}
	if w.IntN(2) == 0 {
		o.Reverse = []netip.Prefix{netip.MustParsePrefix("10.1.0.0/24"), netip.MustParsePrefix("fd00::/64")}
		o.Local = []netip.Addr{netip.MustParseAddr(w.addr())}
		o.Aliases = []string{"alias.test"}
	}
	return o
}

func (w world) label() string {
	switch w.IntN(9) {
	case 0:
		return pick(w, "svc", "pod", "_", "*", "www", `\000`, `a\.b`, `1\.2\.3\.4`, "cluster", "dns-version", strings.Repeat("l", 63))
	case 1:
		return "_" + w.port()
	case 2:
		return "_" + strings.ToLower(w.protocol())
	case 3:
		return w.namespace()
	case 4, 5:
		return string(appendDashed(nil, netip.MustParseAddr(w.addr())))
	case 6:
		return pick(w, "1-2-3-4", "--1", "::ffff:1-2-3-4", "fd00--0", "1-2-3-256")
	case 7:
		if h := w.hostname(); h != "" {
			return h
		}
	}
	return w.name()
}

func (w world) question() (name string, qtype uint16) {
	qtype = pick(w, dns.TypeA, dns.TypeA, dns.TypeAAAA, dns.TypeAAAA, dns.TypeSRV, dns.TypePTR, dns.TypeTXT, dns.TypeCNAME, dns.TypeSOA,
		dns.TypeNS, dns.TypeHTTPS, dns.TypeANY, dns.TypeAXFR, uint16(w.IntN(65536)))
	zone := pick(w, "cluster.local.", "cluster.local.", "cluster.local.", "alias.test.", "in-addr.arpa.", "example.com.")
	switch w.IntN(8) {
	case 0:
		name, _ = dns.ReverseAddr(w.addr())
		return pick(w, "", "", "", "x.", "a.b.c.") + name, pick(w, dns.TypePTR, qtype)
	case 1:
		return pick(w, "", "svc.", "pod.", "dns-version.", "ns.dns.", "ns.dns."+zone, w.namespace()+".svc.") + zone, qtype
	case 2, 3, 4:
		return pick(w, "", w.label()+".", "_"+w.port()+"._"+strings.ToLower(w.protocol())+".") + w.name() + "." + w.namespace() + ".svc." + zone, qtype
	case 5:
		return w.label() + "." + w.namespace() + ".pod." + zone, qtype
	}
	name = zone
	for range w.IntN(7) {
		if longer := w.label() + "." + name; len(longer) < 250 {
			name = longer
		}
	}
	return name, qtype
}

// However a state came about, in whatever order, with whatever in between: the answers depend on the state only. And
// where Packed answers, it answers as Lookup does.
func TestAnswersDependOnTheStateOnly(t *testing.T) {
	synctest.Test(t, testAnswersDependOnTheStateOnly) // where it takes no time, and so all serials are the same
}

func testAnswersDependOnTheStateOnly(t *testing.T) {
	packed, asked := 0, 0
	for seed := range uint64(60) {
		w := world{rand.New(rand.NewPCG(seed, 0))}
		services, sliced := map[string]Service{}, map[string]Slice{}
		namespaces, pods := map[string]bool{}, map[string]Pod{}
		options := w.options()
		s := NewStore(options)
		for i := range 400 {
			if i == int(seed) {
				s.SetSynced()
			}
			switch w.IntN(13) {
			case 0:
				namespace := w.namespace()
				namespaces[namespace] = true
				s.SetNamespace(namespace)
			case 1, 2, 3:
				o := w.service()
				services[o.Namespace+"/"+o.Name] = o
				s.SetService(o)
			case 4, 5, 6, 7:
				o := w.slice()
				sliced[o.Namespace+"/"+o.Name] = o
				s.SetSlice(o)
			case 8:
				o := w.service()
				delete(services, o.Namespace+"/"+o.Name)
				s.DeleteService(o.Namespace, o.Name)
			case 9:
				o := w.slice()
				delete(sliced, o.Namespace+"/"+o.Name)
				s.DeleteSlice(o.Namespace, o.Name)
			case 10:
				o := Pod{w.namespace(), fmt.Sprint("p", w.IntN(9)), []string{w.addr(), w.addr()}}
				pods[o.Namespace+"/"+o.Name] = o
				s.SetPod(o)
			case 11:
				o := Pod{w.namespace(), fmt.Sprint("p", w.IntN(9)), nil}
				delete(pods, o.Namespace+"/"+o.Name)
				s.DeletePod(o.Namespace, o.Name)
			case 12:
				if w.IntN(10) == 0 {
					options = w.options()
					s.SetOptions(options)
				}
				if w.IntN(4) == 0 {
					namespace := w.namespace()
					delete(namespaces, namespace)
					s.DeleteNamespace(namespace)
				}
			}
		}
		fresh := NewStore(options)
		for _, o := range services {
			fresh.SetService(o)
		}
		for _, o := range sliced {
			fresh.SetSlice(o)
		}
		for o := range namespaces {
			fresh.SetNamespace(o)
		}
		for _, o := range pods {
			fresh.SetPod(o)
		}
		fresh.SetSynced()
		a, b := s.Records(), fresh.Records()
		if a.Changed = b.Changed; a != b {
			t.Errorf("seed %d: counted %+v, and %+v after loading afresh", seed, a, b)
		}
		if s.owners.len != fresh.owners.len || s.services.len != fresh.services.len || s.pods.len != fresh.pods.len {
			t.Errorf("seed %d: entries left behind", seed)
		}
		old, view := s.View(), fresh.View()
		for range 2000 {
			name, qtype := w.question()
			got, want := render(old.Lookup(name, qtype)), render(view.Lookup(name, qtype))
			if got != want {
				t.Fatalf("seed %d: %s %s:\ngot\n%s\nwant\n%s", seed, name, dns.TypeToString[qtype], got, want)
			}
			asked++
			if checkPacked(t, old, name, qtype) {
				packed++
			}
			if old.Explain(name, qtype) == "" {
				t.Errorf("%s: no explanation", name)
			}
		}
	}
	if packed < asked/4 {
		t.Errorf("of %d questions Packed has answered %d", asked, packed)
	}
}

// FuzzLookup asks for any name in wire form: nothing panics, and Packed agrees with Lookup.
func FuzzLookup(f *testing.F) {
	w := world{rand.New(rand.NewPCG(1, 1))}
	var views []*View
	for range 8 {
		s := NewStore(w.options())
		for _, namespace := range []string{"default", "shop", "com"} {
			s.SetNamespace(namespace)
		}
		for range 40 {
			add(s, w.service(), w.slice(), w.slice(), Pod{"default", fmt.Sprint("p", w.IntN(9)), []string{w.addr()}})
		}
		if len(views) < 7 {
			s.SetSynced()
		}
		views = append(views, s.View())
	}
	for range 200 {
		name, qtype := w.question()
		wire, ok := packName(name)
		if !ok {
			f.Fatalf("%s is not a name", name)
		}
		f.Add(wire, qtype)
	}
	f.Fuzz(func(t *testing.T, wire []byte, qtype uint16) {
		for _, v := range views {
			v.Packed(wire, qtype)
			v.Concerns(wire)
		}
		name, end, err := dns.UnpackDomainName(wire, 0)
		if err != nil || end != len(wire) {
			return
		}
		name = strings.ToLower(name)
		folded, ok := packName(name)
		if !ok {
			return
		}
		for _, v := range views {
			a := v.Lookup(name, qtype)
			if a.In && !v.Concerns(folded) {
				t.Errorf("%s is answered, although it does not concern the zone", name)
			}
			for _, rr := range append(append(a.Answer, a.Ns...), a.Extra...) {
				if _, err := dns.PackRR(rr, make([]byte, 1024), 0, nil, false); err != nil {
					t.Errorf("%s: %v cannot be packed: %v", name, rr, err)
				}
			}
			checkPacked(t, v, name, qtype)
			if why := v.Explain(name, qtype); why == "" || strings.ContainsFunc(why, func(r rune) bool { return r < ' ' || r > '~' }) {
				t.Errorf("%s: explained with %q", name, why)
			}
		}
	})
}

// Packed and Concerns do not allocate, whatever they say.
func TestNoAllocation(t *testing.T) {
	w := world{rand.New(rand.NewPCG(2, 2))}
	s := NewStore(Options{TTL: 30, Pods: Verified})
	for _, namespace := range []string{"default", "shop", "com", "svc", "pod"} {
		s.SetNamespace(namespace)
	}
	for range 60 {
		add(s, w.service(), w.slice(), w.slice(), Pod{w.namespace(), fmt.Sprint("p", w.IntN(9)), []string{w.addr()}})
	}
	s.SetSynced()
	v := s.View()
	for range 3000 {
		name, qtype := w.question()
		if strings.Contains(name, "::ffff:") {
			continue // spelt with literal colons, it takes the long way
		}
		wire, _ := packName(name)
		if n := testing.AllocsPerRun(5, func() {
			v.Packed(wire, qtype)
			v.Concerns(wire)
		}); n != 0 {
			t.Fatalf("%s %s: %v allocations", name, dns.TypeToString[qtype], n)
		}
	}
}

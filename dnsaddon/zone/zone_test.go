package zone

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/miekg/dns"
	"go.uber.org/goleak"

	"bonsai/dnsaddon/wire"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// load returns the View of a synced store that holds the objects: Services, Slices, Pods, and strings for namespaces.
func load(o Options, objects ...any) *View {
	s := NewStore(o)
	add(s, objects...)
	s.SetSynced()
	return s.View()
}

func add(s *Store, objects ...any) {
	for _, object := range objects {
		switch o := object.(type) {
		case Service:
			s.SetService(o)
		case Slice:
			s.SetSlice(o)
		case Pod:
			s.SetPod(o)
		case string:
			s.SetNamespace(o)
		default:
			panic(fmt.Sprintf("no object: %T", object))
		}
	}
}

// vip is a service in default with the given cluster IPs and ports ("http/TCP:80").
func vip(name, ips string, ports ...string) Service {
	return Service{Namespace: "default", Name: name, Type: "ClusterIP", ClusterIPs: strings.Fields(ips), Ports: portList(ports)}
}

func headlessService(name string, ports ...string) Service { return vip(name, "None", ports...) }

func external(name, target string) Service {
	return Service{Namespace: "default", Name: name, Type: "ExternalName", ExternalName: target}
}

// portList reads "http/TCP:80"; the name, the protocol and the number may be missing.
func portList(texts []string) []Port {
	var ports []Port
	for _, text := range texts {
		var p Port
		text, number, _ := strings.Cut(text, ":")
		fmt.Sscan(number, &p.Number)
		p.Name, p.Protocol, _ = strings.Cut(text, "/")
		ports = append(ports, p)
	}
	return ports
}

// endpoints is a slice in default of a service: each endpoint is "address", "address=hostname" or "!address", which is
// not ready.
func endpoints(service, name, list string, ports ...string) Slice {
	s := Slice{Namespace: "default", Name: name, Service: service, Ports: portList(ports)}
	for text := range strings.FieldsSeq(list) {
		ready := !strings.HasPrefix(text, "!")
		addr, hostname, _ := strings.Cut(strings.TrimPrefix(text, "!"), "=")
		s.Endpoints = append(s.Endpoints, Endpoint{Addresses: []string{addr}, Hostname: hostname, Ready: &ready})
	}
	return s
}

// ask answers "name TYPE", below cluster.local unless the name ends with a dot, and writes the answer in lines: the
// rcode and " SOA" if there is one in the authority section, then the records of the answer and, after "+", the
// additional ones, in order of text. It also makes sure that Packed agrees, and that there is an explanation.
func ask(t *testing.T, v *View, question string) string {
	t.Helper()
	name, typeName, _ := strings.Cut(question, " ")
	if !strings.HasSuffix(name, ".") {
		name += ".cluster.local."
	}
	qtype, ok := dns.StringToType[typeName]
	if !ok {
		t.Fatalf("%s: no such type", question)
	}
	a := v.Lookup(name, qtype)
	checkPacked(t, v, name, qtype)
	if why := v.Explain(name, qtype); why == "" || strings.ContainsAny(why, "\n\r\x1b") {
		t.Errorf("%s: explained with %q", question, why)
	}
	return render(a)
}

func render(a Answer) string {
	if !a.In {
		return "forward"
	}
	lines := []string{dns.RcodeToString[a.Rcode]}
	for _, rr := range a.Ns {
		if _, ok := rr.(*dns.SOA); ok && len(a.Ns) == 1 {
			lines[0] += " SOA"
		} else {
			lines[0] += " and " + rr.String()
		}
	}
	for i, section := range [][]dns.RR{a.Answer, a.Extra} {
		var part []string
		for _, rr := range section {
			text := strings.Join(strings.Fields(strings.Replace(rr.String(), "\tIN\t", " ", 1)), " ")
			part = append(part, []string{"", "+ "}[i]+text)
		}
		slices.Sort(part)
		lines = append(lines, part...)
	}
	if a.External != "" {
		lines = append(lines, "-> "+a.External)
	}
	return strings.Join(lines, "\n")
}

// checkPacked fails if Packed answers and not as Lookup does.
func checkPacked(t testing.TB, v *View, name string, qtype uint16) (packed bool) {
	t.Helper()
	folded, ok := packName(name)
	if !ok {
		t.Fatalf("%s is not a name", name)
	}
	p, ok := v.Packed(folded, qtype)
	if !ok {
		return false
	}
	q := wire.Query{Name: folded, Folded: folded, Type: qtype}
	msg, ok := wire.Append(nil, &q, p, 0, true, 65535)
	if !ok {
		t.Fatalf("%s %d: the packed answer does not fit into a message", name, qtype)
	}
	var m dns.Msg
	if err := m.Unpack(msg); err != nil {
		t.Fatalf("%s %d: unpack the packed answer: %v", name, qtype, err)
	}
	if p.RRSize > 0 && p.RRSize*p.Count != len(p.Answer) {
		t.Errorf("%s %d: %d records of %d bytes in %d bytes", name, qtype, p.Count, p.RRSize, len(p.Answer))
	}
	a := v.Lookup(name, qtype)
	got := allText(Answer{In: true, Rcode: m.Rcode, Answer: m.Answer, Ns: m.Ns, Extra: m.Extra})
	if want := allText(a); got != want {
		t.Errorf("%s %s: packed\n%s\nlookup\n%s", name, dns.TypeToString[qtype], got, want)
	}
	return true
}

// allText is all of an answer, serial included.
func allText(a Answer) string {
	lines := []string{fmt.Sprint(a.In, a.Rcode, a.External)}
	for _, section := range [][]dns.RR{a.Answer, a.Ns, a.Extra} {
		var part []string
		for _, rr := range section {
			part = append(part, strings.ToLower(rr.String()))
		}
		slices.Sort(part)
		lines = append(append(lines, part...), "--")
	}
	return strings.Join(lines, "\n")
}

// A row of a table: a question and what ask makes of it.
type row struct{ question, want string }

func check(t *testing.T, v *View, rows []row) {
	t.Helper()
	for _, r := range rows {
		if got := ask(t, v, r.question); got != r.want {
			t.Errorf("%s:\ngot\n%s\nwant\n%s", r.question, got, r.want)
		}
	}
}

const (
	nodata   = "NOERROR SOA"
	nxdomain = "NXDOMAIN SOA"
)

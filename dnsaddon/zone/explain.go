package zone

import (
	"fmt"
	"slices"
	"strings"

	"github.com/miekg/dns"
)

// Explain says in one line why Lookup answers as it does: what the name stands for, what is missing, and what was
// probably meant. It searches all services if necessary, so it is not meant for every question.
func (v *View) Explain(name string, qtype uint16) string {
	q, ok := v.question(strings.ToLower(name))
	switch {
	case !ok:
		return "the name is not in " + strings.TrimSuffix(v.Domain, ".") + ", so it is not a name of the cluster"
	case !v.synced:
		return "the cluster's records are not complete yet"
	case qtype == dns.TypeAXFR || qtype == dns.TypeIXFR:
		return "zone transfers are not supported"
	case q.apex.reverse:
		return v.explainReverse(&q, qtype)
	case qtype == dns.TypeTXT && isVersion(&q.labels):
		return "this is the version of the specification of the names"
	}
	f := v.meaning(&q)
	switch f.standing {
	case absent:
		return v.explainAbsent(&q, &f)
	case hollow:
		return v.explainHollow(&q, qtype)
	case nameServer:
		return "this is the name of the zone's name server if it has no service"
	case podName:
		return v.explainPod(&q, &f, qtype)
	}
	return v.explainNamed(&q, &f, qtype)
}

// text returns a label of the question in readable form, whatever it contains.
func (q *question) text(fromTop int) string {
	all := dns.SplitDomainName(q.name)
	return all[q.n-1-fromTop]
}

func (v *View) explainHollow(q *question, qtype uint16) string {
	switch {
	case q.n == 0 && (qtype == dns.TypeSOA || qtype == dns.TypeNS):
		return "this is the top of the zone"
	case q.n == 0:
		return "the top of the zone has no records of this type"
	case q.n == 1:
		return "there are only names below " + q.text(0)
	}
	return fmt.Sprintf("%s is a namespace; only names below it have records", q.text(1))
}

func (v *View) explainAbsent(q *question, f *found) string {
	top := q.text(0)
	if top != "svc" && top != "pod" {
		why := "below " + strings.TrimSuffix(q.apex.name, ".") + " there are svc and pod only"
		if q.n >= 2 {
			if key, ok := serviceKey(top, q.text(1)); ok && v.serviceOf(key) != nil {
				why += "; service " + keyObject(key) + " is called " + keyName(key) + strings.TrimSuffix(q.apex.name, ".")
			}
		}
		return why
	}
	namespace := q.text(1)
	switch {
	case q.n > 5:
		return "no name in the cluster has that many labels"
	case !v.hasNamespace(q.fromTop(1)):
		return v.explainNamespace(q, namespace)
	case top == "pod" && v.Pods == Disabled:
		return "names for pod addresses are disabled (pods disabled)"
	case top == "pod" && !f.pod.IsValid():
		return q.text(2) + " is not an address with dashes"
	case top == "pod":
		return fmt.Sprintf("no pod in namespace %s has the address that %s spells", namespace, q.text(2))
	case f.service == nil || f.service.kind == orphan:
		return v.explainService(namespace, q.text(2), f.service != nil)
	}
	return explainLack(q, f)
}

// explainNamespace explains a question for a namespace that does not exist.
func (v *View) explainNamespace(q *question, namespace string) string {
	why := fmt.Sprintf("namespace %s does not exist", namespace)
	if q.n >= 3 {
		if key, ok := serviceKey(q.text(2), namespace); ok && v.serviceOf(key) != nil {
			return fmt.Sprintf("%s; there is service %s: the service comes first, then its namespace", why, keyObject(key))
		}
	} else if others := v.namespacesOf(namespace); len(others) > 0 {
		return fmt.Sprintf("%s; there is service %s in namespace %s", why, namespace, enumerate(others))
	}
	var similar []string
	v.namespaces.each(func(other string, _ struct{}) bool {
		if resembles(namespace, other) {
			similar = append(similar, other)
		}
		return true
	})
	if len(similar) > 0 {
		why += "; there is " + enumerate(similar)
	}
	return why
}

// explainService explains a question for a service that does not exist.
func (v *View) explainService(namespace, name string, orphaned bool) string {
	if others := v.namespacesOf(name); len(others) > 0 {
		return fmt.Sprintf("service %s is in namespace %s, not %s", name, enumerate(others), namespace)
	}
	why := fmt.Sprintf("service %s/%s does not exist", namespace, name)
	if orphaned {
		return why + ", although it has EndpointSlices"
	}
	var similar []string
	v.services.each(func(key string, s *service) bool {
		ns, other := splitKey(key)
		if s.kind != orphan && ns == namespace && resembles(name, other) {
			similar = append(similar, other)
		}
		return true
	})
	if len(similar) > 0 {
		why += "; there is " + enumerate(similar)
	}
	return why
}

// explainLack explains a question about a service that exists, for something that it does not have.
func explainLack(q *question, f *found) string {
	s := f.service
	object := "service " + keyObject(s.key)
	switch {
	case s.kind == alias && s.literal:
		return fmt.Sprintf("%s has the externalName %s, an address; DNS can only refer to names", object, printable(s.target))
	case s.kind == alias:
		return fmt.Sprintf("%s refers to %s (ExternalName) and has no names below it", object, printable(s.target))
	case f.endpoint == nil && s.kind == clusterIP && s.endpoints() == 0 && f.matchesAny(s.ports):
		return object + " has no ready endpoint" + unready(s) + ", and such services are denied (ignore empty_service)"
	case s.endpoints() == 0 && (f.endpoint != nil || s.kind == headless):
		return object + " has no ready endpoint" + unready(s)
	case f.endpoint != nil:
		var labels []string
		for _, sl := range s.slices {
			for i := range sl.len() {
				labels = append(labels, sl.label(i))
			}
		}
		return fmt.Sprintf("%s has no ready endpoint %s%s; there is %s", object, q.text(3), unready(s), enumerate(labels))
	}
	return fmt.Sprintf("%s has no port %s with protocol %s; %s", object,
		strings.TrimPrefix(q.text(4), "_"), strings.TrimPrefix(q.text(3), "_"), portsOf(s))
}

func unready(s *service) string {
	n := 0
	for _, sl := range s.slices {
		n += int(sl.unready)
	}
	switch n {
	case 0:
		return ""
	case 1:
		return " (one is not ready)"
	}
	return fmt.Sprintf(" (%d are not ready)", n)
}

func portsOf(s *service) string {
	all := slices.Clone(s.ports)
	if s.kind == headless {
		all = nil
		for _, sl := range s.slices {
			all = append(all, sl.ports...)
		}
	}
	var named []string
	for _, p := range all {
		if p.name != "" {
			named = append(named, fmt.Sprintf("_%s._%s", printable(p.name), p.protocol))
		}
	}
	if len(named) == 0 {
		return "its ports have no names"
	}
	return "there is " + enumerate(named)
}

func (v *View) explainPod(q *question, f *found, qtype uint16) string {
	switch {
	case qtype == dns.TypeSRV:
	case qtype != dns.TypeA && qtype != dns.TypeAAAA:
		return "the name stands for an address; it has no records of this type"
	case f.pod.Is6() != (qtype == dns.TypeAAAA):
		return "the name stands for an address of the other family"
	}
	if v.Pods == Verified {
		return fmt.Sprintf("a pod in namespace %s has the address", q.text(1))
	}
	return "the address is in the name; whether a pod has it was not checked (pods insecure)"
}

// explainNamed explains a name that exists.
func (v *View) explainNamed(q *question, f *found, qtype uint16) string {
	s := f.service
	object := "service " + keyObject(s.key)
	if len(v.Lookup(q.name, qtype).Answer) == 0 {
		switch {
		case s.kind == alias && s.broken:
			return fmt.Sprintf("%s has the externalName %s, which cannot be a DNS name", object, printable(s.target))
		case s.kind == alias && (qtype == dns.TypeA || qtype == dns.TypeAAAA):
			return fmt.Sprintf("%s refers to %s (ExternalName), which does not lead to an address", object, printable(s.target))
		case qtype == dns.TypeA:
			return object + " has no IPv4 address here"
		case qtype == dns.TypeAAAA:
			return object + " has no IPv6 address here"
		case qtype == dns.TypeSRV && s.kind != alias:
			return object + " has no port"
		}
		return object + " exists; it has no records of this type"
	}
	switch {
	case s.kind == alias:
		return fmt.Sprintf("%s refers to %s (ExternalName)", object, printable(s.target))
	case f.endpoint != nil:
		return fmt.Sprintf("%s is an endpoint of %s", q.text(3), object)
	case s.kind == headless:
		return object + " is headless: these are its ready endpoints"
	}
	if s.endpoints() == 0 {
		return object + " has a cluster IP, but no ready endpoint behind it" + unready(s)
	}
	return object + " has a cluster IP"
}

func (v *View) explainReverse(q *question, qtype uint16) string {
	if addr, ok := reverseAddr(&q.labels, q.apex.name == zone6); ok && qtype == dns.TypePTR {
		var names []string
		for _, s := range v.ownersOf(addr) {
			if s.isVIP(addr) {
				return fmt.Sprintf("%s is the cluster IP of service %s", addr, keyObject(s.key))
			}
			names = append(names, keyObject(s.key))
		}
		if len(names) > 0 {
			return fmt.Sprintf("%s is an endpoint of service %s", addr, enumerate(names))
		}
		if v.Lookup(q.name, qtype).In {
			return fmt.Sprintf("no service or endpoint has %s, and it is in the cluster's own range, so no other server is asked", addr)
		}
		return fmt.Sprintf("no service or endpoint has %s", addr)
	}
	if v.Lookup(q.name, qtype).In {
		return "reverse names have only PTR records"
	}
	return "no service or endpoint has this reverse name"
}

func (v *View) serviceOf(key string) *service {
	s := v.services[v.shardOf(key)][key]
	if s == nil || s.kind == orphan {
		return nil
	}
	return s
}

// namespacesOf returns those that have a service of this name.
func (v *View) namespacesOf(name string) []string {
	var all []string
	v.services.each(func(key string, s *service) bool {
		if namespace, other := splitKey(key); s.kind != orphan && other == name && v.hasNamespace([]byte(namespace)) {
			all = append(all, namespace)
		}
		return true
	})
	return all
}

// resembles reports whether b could have been meant by a: one of them begins with the other, or one letter is missing,
// wrong, or swapped with the next.
func resembles(a, b string) bool {
	if len(a) > len(b) {
		a, b = b, a
	}
	if len(a) < 3 {
		return false
	}
	i := 0
	for i < len(a) && a[i] == b[i] {
		i++
	}
	switch a, b = a[i:], b[i:]; {
	case a == "":
		return true
	case len(a) < len(b):
		return a == b[1:]
	}
	return a[1:] == b[1:] || len(a) > 1 && a[0] == b[1] && a[1] == b[0] && a[2:] == b[2:]
}

// enumerate lists a few names in order.
func enumerate(names []string) string {
	const few = 3
	slices.Sort(names)
	names = slices.Compact(names)
	if len(names) <= few {
		return strings.Join(names, ", ")
	}
	return fmt.Sprintf("%s and %d more", strings.Join(names[:few], ", "), len(names)-few)
}

// printable cleans a text of the cluster, which may contain anything.
func printable(s string) string {
	return strings.TrimSuffix(dns.Name(s).String(), ".")
}

package zone

import (
	"hash/maphash"
	"net/netip"
)

// standing is what a name is in the cluster.
type standing uint8

const (
	absent     standing = iota // it does not exist
	hollow                     // it exists because names below it do
	nameServer                 // ns.dns.ZONE
	podName                    // the address of a pod in dashes
	named                      // a service, an endpoint, a port
)

// found is what a question's name stands for.
type found struct {
	standing standing

	service *service // also where the name is absent because of what the service lacks
	// endpoint is the label below the service's, nil for the service itself. dashed is the address in it, if it is the
	// label of an address.
	endpoint []byte
	dashed   netip.Addr
	// port and protocol are those of _port._protocol.service, without underscores. Empty matches any: so "_" does,
	// and the service's own name.
	port, protocol []byte

	pod  netip.Addr
	pods int // how many pods of the namespace have it
}

// find fills f with what the name with labels l is. It allocates nothing.
func (v *View) find(f *found, l *labels, a *apex) {
	*f = found{}
	if l.n == 0 {
		f.standing = hollow
		return
	}
	isPod := string(l.fromTop(0)) == "pod"
	if !isPod && string(l.fromTop(0)) != "svc" {
		return
	}
	switch {
	case l.n == 1:
		f.standing = hollow
	case l.n > 5, a.reverse, !v.hasNamespace(l.fromTop(1)):
	case isPod:
		v.findPod(f, l)
	case l.n == 2:
		f.standing = hollow
	default:
		v.findService(f, l)
	}
}

// findPod only looks at the label of the address; up to two further labels before it make no difference.
func (v *View) findPod(f *found, l *labels) {
	if v.Pods == Disabled {
		return
	}
	if l.n == 2 {
		f.standing = hollow
		return
	}
	label := l.fromTop(2)
	addr, ok := parseDashed(label)
	if !ok {
		return
	}
	f.pod, f.pods = addr, 1
	if v.Pods == Verified {
		f.pods = v.countPods(l.fromTop(1), addr)
		if f.pods == 0 || !spells(label, addr) {
			return
		}
	}
	f.standing = podName
}

func (v *View) findService(f *found, l *labels) {
	key := l.serviceKey()
	f.service = v.services[maphash.Bytes(v.seed, key)%tableShards][string(key)]
	if f.service == nil {
		return
	}
	switch l.n {
	case 4:
		f.endpoint = l.fromTop(3)
		if addr, ok := parseDashed(f.endpoint); ok {
			var dashed [64]byte
			if string(appendDashed(dashed[:0], addr)) == string(f.endpoint) {
				f.dashed = addr
			}
		}
	case 5:
		f.protocol, f.port = withoutUnderscore(l.fromTop(3)), withoutUnderscore(l.fromTop(4))
	}
	if v.exists(f) {
		f.standing = named
	}
}

func withoutUnderscore(label []byte) []byte {
	if label[0] == '_' {
		return label[1:]
	}
	return label
}

// exists reports whether the service has what the labels below it ask for.
func (v *View) exists(f *found) bool {
	s := f.service
	switch {
	case s.kind == orphan:
		return false
	case s.kind == alias:
		return !s.literal && f.endpoint == nil && len(f.port) == 0 && len(f.protocol) == 0
	case s.kind == clusterIP && v.IgnoreEmptyService && s.endpoints() == 0:
		return false
	case s.kind == clusterIP && f.endpoint == nil:
		return f.matchesAny(s.ports)
	}
	for _, sl := range s.slices {
		if f.endpoint == nil {
			if sl.len() > 0 && f.matchesAny(sl.ports) {
				return true
			}
			continue
		}
		for _, v6 := range [2]bool{false, true} {
			hosted, unhosted := f.spans(sl, v6)
			if hosted.len()+unhosted.len() > 0 {
				return true
			}
		}
	}
	return false
}

// spans are the endpoints of one family in sl to which the question's name refers.
func (f *found) spans(sl *slice, v6 bool) (hosted, unhosted span) {
	r := sl.family(v6)
	if f.endpoint == nil {
		return r, span{}
	}
	hosted = sl.hosted(r, f.endpoint)
	if f.dashed.IsValid() && f.dashed.Is6() == v6 {
		unhosted = sl.unhosted(r, f.dashed)
	}
	return hosted, unhosted
}

func (f *found) matchesAny(ports []port) bool {
	for i := range orNoPort(ports) {
		if f.matches(&orNoPort(ports)[i]) {
			return true
		}
	}
	return false
}

func (f *found) matches(p *port) bool {
	return (len(f.port) == 0 || string(f.port) == p.name) && (len(f.protocol) == 0 || string(f.protocol) == p.protocol.String())
}

// target is one pair of address and port to which a name refers.
type target struct {
	addr netip.Addr
	port int32 // -1 for none
	// slice and index identify the endpoint; slice is nil for a cluster IP or a pod.
	slice *slice
	index int
}

// each visits the targets of f, in order of slices.
func (f *found) each(visit func(target)) {
	s := f.service
	if f.standing != named || s.kind == alias {
		return
	}
	if s.kind == clusterIP && f.endpoint == nil {
		vips := s.vips()
		for i := range orNoPort(s.ports) {
			if p := &orNoPort(s.ports)[i]; f.matches(p) {
				for _, addr := range vips {
					visit(target{addr: addr, port: p.number})
				}
			}
		}
		return
	}
	for _, sl := range s.slices {
		for _, v6 := range [2]bool{false, true} {
			hosted, unhosted := f.spans(sl, v6)
			for _, r := range [2]span{hosted, unhosted} {
				for i := r.from; i < r.to; i++ {
					f.eachPort(sl, i, visit)
				}
			}
		}
	}
}

func (f *found) eachPort(sl *slice, i int, visit func(target)) {
	for n := range orNoPort(sl.ports) {
		if p := &orNoPort(sl.ports)[n]; f.matches(p) {
			visit(target{addr: sl.addr(i), port: p.number, slice: sl, index: i})
		}
	}
}

func (v *View) hasNamespace(label []byte) bool {
	_, ok := v.namespaces[maphash.Bytes(v.seed, label)%tableShards][string(label)]
	return ok
}

package podnet

import (
	"cmp"
	"maps"
	"net/netip"
	"slices"
	"sync"

	"bonsai/bootstrap/cluster"
)

// Peer is another node, as far as routing goes.
type Peer struct {
	Name    string       `json:"name"`
	IP      netip.Addr   `json:"ip"`
	PodCIDR netip.Prefix `json:"podCIDR"`
}

// peerSet merges the static plan with the Node objects. A planned node stays until its Node object is deleted: at the
// first start of a cluster the objects may not exist yet.
type peerSet struct {
	mu     *sync.Mutex // guards byName
	byName map[string]Peer
}

func newPeerSet(planned []cluster.Node) peerSet {
	s := peerSet{mu: &sync.Mutex{}, byName: map[string]Peer{}}
	for _, n := range planned {
		s.byName[n.Name] = Peer{Name: n.Name, IP: n.IP, PodCIDR: n.PodCIDR}
	}
	return s
}

// set reports whether it changed anything. A peer without an address or CIDR (a Node object that no kubelet has filled
// yet) does not remove what is known.
func (s peerSet) set(p Peer) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !p.IP.Is4() || !p.PodCIDR.IsValid() || s.byName[p.Name] == p {
		return false
	}
	s.byName[p.Name] = p
	return true
}

func (s peerSet) remove(name string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	_, had := s.byName[name]
	delete(s.byName, name)
	return had
}

func (s peerSet) list() []Peer {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.SortedFunc(maps.Values(s.byName), func(a, b Peer) int { return cmp.Compare(a.Name, b.Name) })
}

package podnet

import (
	"cmp"
	"maps"
	"net/netip"
	"slices"
	"sync"
	"time"

	"bonsai/bootstrap/cluster"
)

// Peer is another node, as far as routing goes.
type Peer struct {
	Name    string       `json:"name"`
	IP      netip.Addr   `json:"ip"`
	PodCIDR netip.Prefix `json:"podCIDR"`
}

// leaveAfter is how long a deleted Node object has to be gone for its node to count as removed. One that somebody deletes
// by mistake comes back within a second, and its pods must not be cut off meanwhile.
const leaveAfter = 10 * time.Second

// peerSet merges the static plan with the Node objects. A planned node stays until its Node object is deleted: at the
// first start of a cluster the objects may not exist yet.
type peerSet struct {
	mu     *sync.Mutex // guards what follows
	byName map[string]Peer
	gone   map[string]time.Time // peers whose Node objects are gone, and since when
}

func newPeerSet(planned []cluster.Node) peerSet {
	s := peerSet{mu: &sync.Mutex{}, byName: map[string]Peer{}, gone: map[string]time.Time{}}
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
	delete(s.gone, p.Name)
	if !p.IP.Is4() || !p.PodCIDR.IsValid() || s.byName[p.Name] == p {
		return false
	}
	s.byName[p.Name] = p
	return true
}

// leave begins the leaving of a peer whose Node object is gone. It reports whether there is one.
func (s peerSet) leave(name string, now time.Time) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	_, had := s.byName[name]
	if had {
		s.gone[name] = now
	}
	return had
}

// expire removes the peers that left long enough ago, and returns their names.
func (s peerSet) expire(now time.Time) (names []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for name, since := range s.gone {
		if now.Sub(since) >= leaveAfter {
			delete(s.gone, name)
			delete(s.byName, name)
			names = append(names, name)
		}
	}
	return names
}

func (s peerSet) list() []Peer {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.SortedFunc(maps.Values(s.byName), func(a, b Peer) int { return cmp.Compare(a.Name, b.Name) })
}

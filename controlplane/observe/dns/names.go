package dns

import (
	"net/netip"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"

	"bonsai/bootstrap/cluster"
	"bonsai/controlplane/observe/objects"
)

// afterlife is how long the name of a pod that ended is used for its address: its last questions arrive late. Addresses
// are assigned in turn, so that it takes longer until another pod has it.
const afterlife = 3 * time.Second

// podNames maps addresses to pods.
type podNames struct {
	mu   sync.Mutex // guards the rest
	byIP map[netip.Addr]podName
	// changed is closed and replaced when an address gets a name.
	changed chan struct{}
}

type podName struct {
	uid     types.UID
	name    string // namespace/name
	created time.Time
	ended   time.Time // zero while it runs
}

func newPodNames() *podNames {
	return &podNames{byIP: map[netip.Addr]podName{}, changed: make(chan struct{})}
}

// name returns "" for an address that does not belong to a pod.
func (n *podNames) name(addr netip.Addr, now time.Time) string {
	n.mu.Lock()
	defer n.mu.Unlock()
	p := n.byIP[addr]
	if !p.ended.IsZero() && now.Sub(p.ended) > afterlife {
		return ""
	}
	return p.name
}

// news returns a channel that is closed when an address gets a name.
func (n *podNames) news() <-chan struct{} {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.changed
}

// set records what is known about a pod; ended means that it has been deleted.
func (n *podNames) set(pod *corev1.Pod, deleted bool, now time.Time) {
	if pod.Spec.HostNetwork {
		return // its address is the node's
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	ended := deleted || pod.Status.Phase == corev1.PodSucceeded || pod.Status.Phase == corev1.PodFailed
	for _, ip := range pod.Status.PodIPs {
		addr, err := netip.ParseAddr(ip.IP)
		if err != nil {
			continue
		}
		p := podName{uid: pod.UID, name: pod.Namespace + "/" + pod.Name, created: pod.CreationTimestamp.Time}
		known, ok := n.byIP[addr]
		switch {
		case ok && known.uid == p.uid:
			p.ended = known.ended
		case ok && known.ended.IsZero() && (ended || known.created.After(p.created)):
			continue // its address has a new owner
		}
		if ended && p.ended.IsZero() {
			p.ended = now
		}
		n.byIP[addr] = p
		if p != known {
			close(n.changed)
			n.changed = make(chan struct{})
		}
	}
}

// podWatch follows the pods of the cluster while their names are needed.
type podWatch struct {
	objects *objects.Store

	mu    sync.Mutex // guards the rest, and is held while the following starts or ends
	users int
	names *podNames
	end   func()
}

// use returns names that are kept up to date until release is called. They may need a moment to be complete.
func (w *podWatch) use() (names *podNames, release func()) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.users++; w.users == 1 {
		names := newPodNames()
		w.names = names
		w.end = objects.Follow(w.objects, func(pod *corev1.Pod, deleted bool) { names.set(pod, deleted, time.Now()) }).Stop
	}
	return w.names, func() {
		w.mu.Lock()
		defer w.mu.Unlock()
		if w.users--; w.users == 0 {
			w.end()
			w.names, w.end = nil, nil
		}
	}
}

// nodeNames are the addresses that belong to nodes and to pods on their network.
func nodeNames(nodes []cluster.Node) map[netip.Addr]string {
	m := map[netip.Addr]string{}
	for _, n := range nodes {
		m[n.IP] = "node/" + n.Name
		m[n.PodCIDR.Addr().Next()] = "node/" + n.Name // the node's address on its pod network
	}
	return m
}

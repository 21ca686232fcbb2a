package compile

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"maps"
	"net/netip"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/validation"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"
)

// Labels of the Services that are made for Gateways: which Gateway it is (GEP-1762), and that they are the addon's.
const (
	GatewayLabel = gatewayv1.GatewayNameLabelKey
	OwnerLabel   = "app.kubernetes.io/managed-by"
	Owner        = "bonsai-gateway"
)

// The ports of nodes behind Gateways' own addresses. They are above those that kernels give to connections (32768 to 60999) and
// those of Services (30000 to 32767).
const (
	firstInner = 61000
	lastInner  = 65000
)

// Front is the Service of type LoadBalancer by which a Gateway has an address of its own. It has no selector: what comes there is
// led to ports of the nodes that no other Gateway has.
type Front struct {
	Service Key
	// Gateway is its owner.
	Gateway types.NamespacedName
	UID     types.UID
	// Requested is the address that the Gateway asks for, if it asks for one.
	Requested           netip.Addr
	Labels, Annotations map[string]string
	Ports               []FrontPort // sorted
	Nodes               []FrontNode
}

// FrontPort is a port of a listener, and the port of nodes behind it.
type FrontPort struct{ Number, Inner uint16 }

// FrontNode is a node; it is ready if it listens on all ports.
type FrontNode struct {
	Name    string
	Address netip.Addr
	Ready   bool
}

// reserveInner notes which ports of nodes the Gateways have. They stay the same, as long as the Services are there.
func (b *builder) reserveInner(list []*gatewayv1.Gateway) {
	for _, g := range list {
		s := b.services[frontKey(g)]
		if s == nil || !ownFront(s, g) {
			continue
		}
		for _, p := range s.Spec.Ports {
			inner := uint16(p.TargetPort.IntVal)
			if inner >= firstInner && inner <= lastInner && b.innerOf[inner] == (innerPort{}) {
				b.innerOf[inner] = innerPort{keyOf(g), uint16(p.Port)}
				b.inner[innerPort{keyOf(g), uint16(p.Port)}] = inner
			}
		}
	}
}

// innerPort is a port of a Gateway.
type innerPort struct {
	gateway Key
	number  uint16
}

// innerFor returns the port of nodes behind a Gateway's port; 0 if all are in use.
func (b *builder) innerFor(of innerPort) uint16 {
	if have, ok := b.inner[of]; ok {
		return have
	}
	for inner := uint16(firstInner); inner <= lastInner; inner++ {
		if b.innerOf[inner] == (innerPort{}) {
			b.innerOf[inner], b.inner[of] = of, inner
			return inner
		}
	}
	return 0
}

// fronted reports whether a Gateway gets an address of its own.
func (b *builder) fronted(g *gateway) bool {
	if len(b.in.Pool) == 0 || g.refused != "" || g.onNodes {
		return false
	}
	s := b.services[frontKey(g.object)]
	return s == nil || ownFront(s, g.object)
}

// front writes what the Service of a Gateway has to be.
func (b *builder) front(g *gateway) {
	f := Front{
		Service: frontKey(g.object), Gateway: types.NamespacedName{Namespace: g.object.Namespace, Name: g.object.Name}, UID: g.object.UID,
		Requested: g.requested, Labels: map[string]string{OwnerLabel: Owner}, Annotations: map[string]string{},
	}
	if i := g.object.Spec.Infrastructure; i != nil {
		for k, v := range i.Labels {
			f.Labels[string(k)] = string(v)
		}
		for k, v := range i.Annotations {
			f.Annotations[string(k)] = string(v)
		}
	}
	f.Labels[OwnerLabel] = Owner
	if len(validation.IsValidLabelValue(g.object.Name)) == 0 {
		f.Labels[GatewayLabel] = g.object.Name
	}
	ports := map[uint16]uint16{}
	for _, l := range g.listeners {
		if l.inner != 0 {
			ports[uint16(l.spec.Port)] = l.inner
		}
	}
	for _, number := range slices.Sorted(maps.Keys(ports)) {
		f.Ports = append(f.Ports, FrontPort{number, ports[number]})
	}
	if len(f.Ports) == 0 {
		return
	}
	for _, n := range b.in.Nodes {
		ready := !slices.ContainsFunc(f.Ports, func(p FrontPort) bool { return !slices.Contains(n.Report.Listening, p.Inner) })
		f.Nodes = append(f.Nodes, FrontNode{n.Name, n.Address, ready})
	}
	slices.SortFunc(f.Nodes, func(x, y FrontNode) int { return cmp.Compare(x.Name, y.Name) })
	b.out.Fronts[f.Service] = f
}

// ownAddress is the address of a Gateway's Service; the zero Addr as long as it has none.
func (b *builder) ownAddress(g *gateway) netip.Addr {
	s := b.services[frontKey(g.object)]
	if s == nil || !ownFront(s, g.object) {
		return netip.Addr{}
	}
	for _, i := range s.Status.LoadBalancer.Ingress {
		if a, err := netip.ParseAddr(i.IP); err == nil && (!g.requested.IsValid() || a == g.requested) {
			return a
		}
	}
	return netip.Addr{}
}

// ownFront reports whether a Service was made for a Gateway, for this one and not for one of the same name before it.
func ownFront(s *corev1.Service, g *gatewayv1.Gateway) bool {
	return s.Labels[OwnerLabel] == Owner && slices.ContainsFunc(s.OwnerReferences, func(o metav1.OwnerReference) bool { return o.UID == g.UID })
}

// frontKey is the name of a Gateway's Service: GATEWAY-CLASS, as GEP-1762 wants it; shortened if it would be too long, and with a
// digest of the whole name if anything was changed.
func frontKey(g *gatewayv1.Gateway) Key {
	whole := g.Name + "-" + string(g.Spec.GatewayClassName)
	name := strings.ReplaceAll(whole, ".", "-")
	if name[0] >= '0' && name[0] <= '9' {
		name = "gateway-" + name
	}
	if name != whole || len(name) > validation.DNS1035LabelMaxLength {
		sum := sha256.Sum256([]byte(whole))
		digest := hex.EncodeToString(sum[:4])
		name = strings.TrimRight(name[:min(len(name), validation.DNS1035LabelMaxLength-len(digest)-1)], "-") + "-" + digest
	}
	return Key{g.Namespace, name}
}

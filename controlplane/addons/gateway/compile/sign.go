package compile

import (
	"maps"
	"slices"
	"strings"

	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"bonsai/bootstrap/gatewaytable"
)

// signedHere says whether a listener leaves the choice of its certificate to the implementation: it names no Secret. What somebody
// wanted and misspelt is an error.
func (b *builder) signedHere(spec *gatewayv1.Listener) bool {
	return b.in.Sign != nil && (spec.TLS == nil || len(spec.TLS.CertificateRefs) == 0)
}

// hostCertificate is the certificate of the local CA for the host name of a listener; none for one without, whose hosts are those of
// its routes.
func (b *builder) hostCertificate(hostname string) ([]int, refusal) {
	if hostname == "" {
		return nil, refusal{}
	}
	c := b.signed(hostname)
	if c.err != nil {
		return nil, refusal{string(gatewayv1.ListenerReasonInvalidCertificateRef), "it names no certificate: " + c.err.Error()}
	}
	return []int{c.index}, refusal{}
}

// signed is the certificate of the local CA for a host.
func (b *builder) signed(host string) certified {
	if c, ok := b.signedAt[host]; ok {
		return c
	}
	c := certified{index: -1}
	chain, key, err := b.in.Sign(host)
	if c.err = err; err == nil {
		c.index = len(b.out.Table.Certificates)
		b.out.Table.Certificates = append(b.out.Table.Certificates, gatewaytable.Certificate{Chain: chain, Key: key})
	}
	b.signedAt[host] = c
	return c
}

// sign adds certificates of the local CA for hosts that are served with TLS and have none: those of Ingresses, and those of routes
// at listeners that name none.
func (b *builder) sign() {
	if b.in.Sign == nil {
		return
	}
	for _, number := range slices.Sorted(maps.Keys(b.ports)) {
		p := b.ports[number]
		if p.mode == unencrypted {
			continue
		}
		own := slices.Collect(maps.Keys(p.names)) // what is signed in the following covers no other host
		if g := p.groups[Key{}]; g != nil {
			for _, host := range g.listeners[""].names() {
				b.signIngress(p, own, host)
			}
		}
		for _, owner := range p.order {
			if g := b.attached[owner]; g != nil {
				b.signListeners(p, g, own)
			}
		}
	}
}

// signIngress adds a certificate for a host of Ingresses.
func (b *builder) signIngress(p *port, own []string, host string) {
	if host == "" || slices.ContainsFunc(own, func(name string) bool { return includes(name, host) }) {
		return
	}
	if c := b.signed(host); c.err == nil {
		p.names[host] = []int{c.index}
	} else if of, asked := b.unsecured[host]; asked {
		b.warn(of, "SelfSigned", "no Secret has a certificate for %s, and clients get a self-signed one: %s", host, c.err)
	}
}

// signListeners adds certificates for the hosts of routes at listeners of a Gateway that name none.
func (b *builder) signListeners(p *port, g *gateway, own []string) {
	for _, l := range g.listeners {
		if !l.signed || !slices.Contains(l.ports, p) {
			continue
		}
		if l.hostname == "" {
			p.fallback = true // for what the local CA does not sign
		}
		for _, host := range p.groups[keyOf(g.object)].listeners[l.hostname].names() {
			_, taken := p.names[host]
			if host == "" || taken || slices.ContainsFunc(own, func(name string) bool { return name != l.hostname && includes(name, host) }) {
				continue
			}
			if c := b.signed(host); c.err == nil {
				p.names[host] = []int{c.index}
			}
		}
	}
}

// names are the hosts of a listener, sorted.
func (l *listener) names() (list []string) {
	for host := range l.hosts {
		list = append(list, host.name)
	}
	slices.Sort(list)
	return slices.Compact(list)
}

// includes says whether a name, perhaps with a wildcard, or empty for all, is or includes a host.
func includes(name, host string) bool {
	rest, wild := strings.CutPrefix(name, "*")
	return name == "" || name == host || wild && strings.HasSuffix(host, rest)
}

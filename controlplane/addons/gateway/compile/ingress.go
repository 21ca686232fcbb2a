package compile

import (
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"slices"
	"strings"

	networkingv1 "k8s.io/api/networking/v1"

	"bonsai/bootstrap/gatewaytable"
)

const (
	classAnnotation   = "kubernetes.io/ingress.class"
	defaultAnnotation = "ingressclass.kubernetes.io/is-default-class"
)

// OursIngress reports whether an Ingress is meant for this controller: it names one of its classes, or no class while no other
// controller's class is the default.
func OursIngress(in *networkingv1.Ingress, classes []*networkingv1.IngressClass) bool {
	name := in.Annotations[classAnnotation]
	if in.Spec.IngressClassName != nil {
		name = *in.Spec.IngressClassName
	}
	for _, c := range classes {
		if name != "" && c.Name == name {
			return c.Spec.Controller == Controller
		}
		if name == "" && c.Annotations[defaultAnnotation] == "true" && c.Spec.Controller != Controller {
			return false
		}
	}
	return name == ""
}

// ingresses adds the rules of all Ingresses that are meant for this controller.
func (b *builder) ingresses() {
	for _, in := range sorted(b.in.Ingresses) {
		if OursIngress(in, b.in.IngressClasses) {
			b.served = append(b.served, in)
			b.ingress(in)
		}
	}
}

// ingress adds the rules of one, for both ports.
func (b *builder) ingress(in *networkingv1.Ingress) {
	o := b.options(in)
	secure := b.ingressTLS(in)
	add := func(host, path string, kind gatewaytable.PathKind, backend networkingv1.IngressBackend, order int, last bool) {
		rule := o.rule(fmt.Sprintf("ingress/%s", keyOf(in)))
		// ingress-nginx compares regular expressions without regard to case.
		rule.Path = gatewaytable.Path{Kind: kind, Value: path, IgnoreCase: kind == gatewaytable.PathRegex}
		if o.redirect == nil {
			index, err := b.ingressBackend(in, backend, o.protocol)
			if err != nil {
				b.warn(keyOf(in), "BackendNotFound", "%s", err)
				rule.Status = http.StatusServiceUnavailable // as ingress-nginx answers
			} else {
				rule.Backends = []gatewaytable.Weighted{{Weight: 1, Backend: index}}
			}
		}
		at := hostKey{name: strings.ToLower(host), oneLabel: isWildcard(host)}
		c := candidate{rule: rule, of: in, order: order, last: last}
		b.open(securePort, terminated, Key{}).listener(Key{}, "").add(at, c)
		if o.forceTLS || o.redirectTLS && secure(at.name) {
			c.rule = gatewaytable.Rule{From: rule.From, Path: rule.Path, Sources: rule.Sources, Redirect: &gatewaytable.Redirect{Scheme: "https", Status: http.StatusPermanentRedirect}}
		}
		b.open(plainPort, unencrypted, Key{}).listener(Key{}, "").add(at, c)
	}
	b.open(securePort, terminated, Key{}).fallback = true
	order := 0
	hosts := map[string]bool{}
	for _, r := range in.Spec.Rules {
		hosts[r.Host] = true
		if r.HTTP == nil {
			continue
		}
		for _, p := range r.HTTP.Paths {
			kind, path := gatewaytable.PathPrefix, p.Path
			switch {
			case p.PathType != nil && *p.PathType == networkingv1.PathTypeExact:
				kind = gatewaytable.PathExact
			case o.regex && (p.PathType == nil || *p.PathType != networkingv1.PathTypeExact):
				kind = gatewaytable.PathRegex
				if err := readable(&gatewaytable.Rule{Path: gatewaytable.Path{Kind: kind, Value: path}}); err != nil {
					b.warn(keyOf(in), "InvalidPath", "%s", err)
					continue
				}
			}
			if path == "" {
				path = "/"
			}
			add(r.Host, path, kind, p.Backend, order, false)
			order++
		}
	}
	if in.Spec.DefaultBackend == nil {
		return
	}
	// For what no rule matches: of the hosts that it names, and of all others.
	hosts[""] = true
	for host := range hosts {
		add(host, "/", gatewaytable.PathPrefix, *in.Spec.DefaultBackend, order, true)
	}
}

// ingressTLS adds the certificates of an Ingress, and returns which of its hosts have one.
func (b *builder) ingressTLS(in *networkingv1.Ingress) (secure func(host string) bool) {
	var names []string
	for _, t := range in.Spec.TLS {
		var hosts []string
		for _, host := range t.Hosts {
			hosts = append(hosts, strings.ToLower(host))
		}
		if len(hosts) == 0 {
			hosts = []string{""}
		}
		names = append(names, hosts...)
		if t.SecretName == "" { // one of the local CA is meant, or the fallback
			for _, host := range hosts {
				if _, known := b.unsecured[host]; !known && host != "" {
					b.unsecured[host] = keyOf(in)
				}
			}
			continue
		}
		index, err := b.certificate(Key{in.Namespace, t.SecretName})
		if err != nil {
			b.warn(keyOf(in), "InvalidCertificate", "%s; clients get a certificate that no Secret has", err)
			continue
		}
		p := b.open(securePort, terminated, Key{})
		for _, host := range hosts {
			if _, taken := p.names[host]; !taken { // by an older Ingress
				p.names[host] = []int{index}
			}
		}
	}
	return func(host string) bool { return slices.Contains(names, host) || slices.Contains(names, "") }
}

func (b *builder) ingressBackend(in *networkingv1.Ingress, ref networkingv1.IngressBackend, protocol gatewaytable.Protocol) (int, error) {
	if ref.Service == nil {
		return noBackend, errors.New("a backend is not a Service")
	}
	return b.backend(Key{in.Namespace, ref.Service.Name}, ref.Service.Port.Number, ref.Service.Port.Name, protocols{always: protocol}, true)
}

// ingressStatuses writes the addresses of the nodes that serve them.
func (b *builder) ingressStatuses() {
	var addresses []networkingv1.IngressLoadBalancerIngress
	plain, _ := b.serving(plainPort)
	secure, _ := b.serving(securePort)
	for _, n := range b.in.Nodes {
		if slices.Contains(plain, n.Address) || slices.Contains(secure, n.Address) {
			addresses = append(addresses, networkingv1.IngressLoadBalancerIngress{IP: n.Address.String()})
		}
	}
	for _, in := range b.served {
		b.out.Ingresses[keyOf(in)] = networkingv1.IngressLoadBalancerStatus{Ingress: addresses}
	}
}

// Serving reports on how many nodes a port of Ingresses is not served although it should be, and why on the first.
func Serving(nodes []Node, table gatewaytable.Table) (problem string) {
	b := &builder{in: Input{Nodes: nodes}}
	for _, p := range table.Ports {
		up, message := b.serving(p.Number)
		if len(up) < len(nodes) {
			return message
		}
	}
	return ""
}

// prefixes reads addresses and ranges, separated by commas.
func prefixes(text string) (list []netip.Prefix, bad string) {
	for part := range strings.SplitSeq(text, ",") {
		part = strings.TrimSpace(part)
		if part == "" {
			continue
		}
		if address, err := netip.ParseAddr(part); err == nil {
			list = append(list, netip.PrefixFrom(address, address.BitLen()))
			continue
		}
		p, err := netip.ParsePrefix(part)
		if err != nil {
			return nil, part
		}
		list = append(list, p.Masked())
	}
	return list, ""
}

package compile

import (
	"cmp"
	"crypto/tls"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"bonsai/bootstrap/gatewaytable"
)

// noBackend is the index of a backend that does not exist.
const noBackend = -1

// noCertificate is the index of a certificate that there is not.
const noCertificate = -1

// protocols are what a backend speaks: always, whatever its port says, or otherwise, if its port says nothing. Empty is HTTP/1.
type protocols struct {
	always, otherwise gatewaytable.Protocol
	// tls is the policy for its certificate, nil if there is none; client is the Gateway's certificate for it then.
	tls    *policy
	client int
}

// portName is the name of a Service's port; empty if it has none.
func (b *builder) portName(service Key, number int32) string {
	if s := b.services[service]; s != nil {
		for _, p := range s.Spec.Ports {
			if p.Port == number && (p.Protocol == "" || p.Protocol == corev1.ProtocolTCP) {
				return p.Name
			}
		}
	}
	return ""
}

// backend returns the index of a port of a Service.
func (b *builder) backend(service Key, number int32, name string, speaks protocols, external bool) (int, error) {
	svc := b.services[service]
	if svc == nil {
		return noBackend, fmt.Errorf("there is no Service %s", service)
	}
	var at *corev1.ServicePort
	for i := range svc.Spec.Ports {
		p := &svc.Spec.Ports[i]
		if p.Protocol != "" && p.Protocol != corev1.ProtocolTCP {
			continue
		}
		if name != "" && p.Name == name || name == "" && p.Port == number {
			at = p
			break
		}
	}
	outside := svc.Spec.Type == corev1.ServiceTypeExternalName
	switch {
	case outside && !external:
		return noBackend, fmt.Errorf("routes may not lead to Service %s, which is of type ExternalName", service)
	case at == nil && outside && number > 0:
		at = &corev1.ServicePort{Port: number}
	case at == nil:
		want := name
		if want == "" {
			want = strconv.Itoa(int(number))
		}
		return noBackend, fmt.Errorf("there is no TCP port %[2]s of Service %[1]s", service, want)
	}
	protocol := cmp.Or(speaks.always, protocolOf(at), speaks.otherwise, gatewaytable.HTTP1)
	key := fmt.Sprintf("%s:%d %s", service, at.Port, protocol)
	var verify *gatewaytable.BackendTLS
	if speaks.tls != nil {
		verify = speaks.tls.tls
		key += " " + keyOf(speaks.tls.object).String()
		if speaks.client != noCertificate {
			copied := *verify
			copied.Client = new(speaks.client)
			verify = &copied
			key += fmt.Sprintf(" %d", speaks.client)
		}
	}
	if index, ok := b.backendAt[key]; ok {
		return index, nil
	}
	out := gatewaytable.Backend{Name: fmt.Sprintf("%s:%d", service, at.Port), Protocol: protocol, TLS: verify}
	if outside {
		out.Host = net.JoinHostPort(svc.Spec.ExternalName, strconv.Itoa(int(at.Port)))
	} else {
		out.Endpoints = b.endpoints(service, at.Name)
	}
	b.backendAt[key] = len(b.out.Table.Backends)
	b.out.Table.Backends = append(b.out.Table.Backends, out)
	return b.backendAt[key], nil
}

// protocolOf reads a port's appProtocol (KEP-3726, and the names of before it); empty if that says nothing.
func protocolOf(p *corev1.ServicePort) gatewaytable.Protocol {
	if p.AppProtocol == nil {
		return ""
	}
	switch strings.ToLower(*p.AppProtocol) {
	case "kubernetes.io/h2c", "h2c", "grpc", "http2":
		return gatewaytable.H2C
	case "https", "kubernetes.io/wss", "grpcs":
		return gatewaytable.HTTPS
	case "http", "kubernetes.io/ws":
		return gatewaytable.HTTP1
	}
	return ""
}

// endpoints are the ready ones of a Service's port; if none is ready, those that are ending and still serve, as with
// kube-proxy.
func (b *builder) endpoints(service Key, portName string) []netip.AddrPort {
	var ready, serving []netip.AddrPort
	for _, slice := range b.slices[service] {
		if slice.AddressType == discoveryv1.AddressTypeFQDN {
			continue
		}
		for _, p := range slice.Ports {
			if p.Port == nil || p.Name != nil && *p.Name != portName || p.Name == nil && portName != "" || p.Protocol != nil && *p.Protocol != corev1.ProtocolTCP {
				continue
			}
			for _, e := range slice.Endpoints {
				is := e.Conditions
				for _, text := range e.Addresses {
					address, err := netip.ParseAddr(text)
					if err != nil {
						continue
					}
					to := netip.AddrPortFrom(address, uint16(*p.Port))
					switch {
					case is.Ready == nil || *is.Ready:
						ready = append(ready, to)
					case is.Serving != nil && *is.Serving && is.Terminating != nil && *is.Terminating:
						serving = append(serving, to)
					}
				}
			}
		}
	}
	if len(ready) == 0 {
		ready = serving
	}
	slices.SortFunc(ready, func(a, b netip.AddrPort) int {
		return cmp.Or(a.Addr().Compare(b.Addr()), cmp.Compare(a.Port(), b.Port()))
	})
	return slices.Compact(ready)
}

// certified is what became of a Secret.
type certified struct {
	index int
	err   error
}

// certificate returns the index of the certificate in a Secret.
func (b *builder) certificate(secret Key) (int, error) {
	if c, ok := b.certificateAt[secret]; ok {
		return c.index, c.err
	}
	c := certified{index: noCertificate}
	s := b.secrets[secret]
	switch {
	case s == nil:
		c.err = fmt.Errorf("there is no Secret %s of type kubernetes.io/tls", secret)
	default:
		chain, key := s.Data[corev1.TLSCertKey], s.Data[corev1.TLSPrivateKeyKey]
		if _, err := tls.X509KeyPair(chain, key); err != nil {
			c.err = fmt.Errorf("no certificate with its key is in Secret %s: %w", secret, err)
			break
		}
		c.index = len(b.out.Table.Certificates)
		b.out.Table.Certificates = append(b.out.Table.Certificates, gatewaytable.Certificate{Chain: chain, Key: key})
	}
	b.certificateAt[secret] = c
	return c.index, c.err
}

// granted reports whether an object of one namespace may refer to an object in another one.
func (b *builder) granted(fromKind string, fromGroup gatewayv1.Group, fromNamespace, toKind string, to Key) bool {
	if fromNamespace == to.Namespace {
		return true
	}
	for _, g := range b.in.Grants {
		if g.Namespace != to.Namespace {
			continue
		}
		from := slices.ContainsFunc(g.Spec.From, func(f gatewayv1.ReferenceGrantFrom) bool {
			return f.Group == fromGroup && string(f.Kind) == fromKind && string(f.Namespace) == fromNamespace
		})
		target := slices.ContainsFunc(g.Spec.To, func(t gatewayv1.ReferenceGrantTo) bool {
			return (t.Group == "" || t.Group == "core") && string(t.Kind) == toKind && (t.Name == nil || *t.Name == "" || string(*t.Name) == to.Name)
		})
		if from && target {
			return true
		}
	}
	return false
}

package compile

import (
	"fmt"
	"strings"

	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"bonsai/bootstrap/gatewaytable"
)

// clients reads which certificates the clients of a listener need. wanted is false if they need none. The first result is nil if
// there is none that they could have; the listener is not accepted then.
func (b *builder) clients(g *gateway, l *gatewayListener) (clients *gatewaytable.Clients, wanted bool) {
	v := validationFor(g.object, l.spec)
	if v == nil {
		return nil, false
	}
	optional := v.Mode == gatewayv1.AllowInsecureFallback
	var cas strings.Builder
	var refs refusal
	for _, ref := range v.CACertificateRefs {
		to := Key{g.object.Namespace, string(ref.Name)}
		if ref.Namespace != nil {
			to.Namespace = string(*ref.Namespace)
		}
		switch {
		case ref.Group != "" || ref.Kind != "ConfigMap":
			refs = refusal{string(gatewayv1.ListenerReasonInvalidCACertificateKind), fmt.Sprintf("CA %s is not a ConfigMap", to)}
			continue
		case !b.granted(gatewayKind, gatewayv1.GroupName, g.object.Namespace, "ConfigMap", to):
			refs = refusal{string(gatewayv1.ListenerReasonRefNotPermitted), fmt.Sprintf("no ReferenceGrant in %s allows the reference to ConfigMap %s", to.Namespace, to)}
			continue
		}
		text, err := b.authority(to)
		if err != nil {
			refs = refusal{string(gatewayv1.ListenerReasonInvalidCACertificateRef), err.Error()}
			continue
		}
		cas.WriteString(text)
	}
	if refs.reason != "" {
		l.refs = refs
	}
	if cas.Len() == 0 {
		l.problem = refusal{string(gatewayv1.ListenerReasonNoValidCACertificate), refs.message}
		return nil, true
	}
	g.insecure = g.insecure || optional
	return &gatewaytable.Clients{CAs: []byte(cas.String()), Optional: optional}, true
}

// validationFor is what a Gateway says about the clients of a listener with TLS: about its port, or about all.
func validationFor(g *gatewayv1.Gateway, l *gatewayv1.Listener) *gatewayv1.FrontendTLSValidation {
	if g.Spec.TLS == nil || g.Spec.TLS.Frontend == nil || l.Protocol != gatewayv1.HTTPSProtocolType {
		return nil
	}
	for _, p := range g.Spec.TLS.Frontend.PerPort {
		if p.Port == l.Port {
			return p.TLS.Validation
		}
	}
	return g.Spec.TLS.Frontend.Default.Validation
}

// clientCertificate reads the certificate that a Gateway proves itself with to backends whose certificates it verifies.
func (b *builder) clientCertificate(g *gateway) {
	t := g.object.Spec.TLS
	if t == nil || t.Backend == nil || t.Backend.ClientCertificateRef == nil {
		return
	}
	g.client, g.clientRefs = b.reference(referrer{gatewayKind, g.object.Namespace}, *t.Backend.ClientCertificateRef, string(gatewayv1.GatewayReasonInvalidClientCertificateRef))
}

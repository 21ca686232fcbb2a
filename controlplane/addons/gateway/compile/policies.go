package compile

import (
	"cmp"
	"crypto/x509"
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"bonsai/bootstrap/gatewaytable"
)

// CAKey is the key of a ConfigMap with certificates of CAs.
const CAKey = "ca.crt"

// maxAncestors is how many Gateways the status of a policy can name.
const maxAncestors = 16

// policy is a BackendTLSPolicy. It says how Gateways verify the certificates of a Service's pods.
type policy struct {
	object *gatewayv1.BackendTLSPolicy
	// tls is nil if the policy cannot be followed: what it is about is not served then.
	tls *gatewaytable.BackendTLS
	// refs is about references that cannot be followed, refused about the whole of it.
	refs, refused refusal
	// ancestors are the Gateways whose routes lead to what it is about.
	ancestors []Key
}

// target is what policies are about: a port of a Service, or all of its ports if it has no name.
type target struct {
	service Key
	port    string
}

// policies reads the BackendTLSPolicies. Of several for one target the oldest counts.
func (b *builder) policies() {
	for _, object := range sorted(b.in.BackendTLSPolicies) {
		p := &policy{object: object}
		b.validation(p)
		for _, ref := range object.Spec.TargetRefs {
			if ref.Group != "" || ref.Kind != "Service" {
				continue
			}
			at := target{service: Key{object.Namespace, string(ref.Name)}}
			if ref.SectionName != nil {
				at.port = string(*ref.SectionName)
			}
			if other := b.policyOf[at]; len(other) > 0 && p.refused == (refusal{}) {
				p.refused = refusal{string(gatewayv1.PolicyReasonConflicted), fmt.Sprintf("BackendTLSPolicy %s is about the same target, and older", keyOf(other[0].object))}
			}
			b.policyOf[at] = append(b.policyOf[at], p)
		}
		b.allPolicies = append(b.allPolicies, p)
	}
}

// validation reads what a certificate has to be.
func (b *builder) validation(p *policy) {
	v := p.object.Spec.Validation
	if v.WellKnownCACertificates != nil {
		p.refused = refusal{string(gatewayv1.PolicyReasonInvalid), "there are no well-known CAs in nodes: name a ConfigMap in caCertificateRefs"}
		return
	}
	var cas strings.Builder
	for _, ref := range v.CACertificateRefs {
		if ref.Group != "" || ref.Kind != "ConfigMap" {
			p.refs = refusal{string(gatewayv1.BackendTLSPolicyReasonInvalidKind), fmt.Sprintf("CA %s is not a ConfigMap", ref.Name)}
			continue
		}
		text, err := b.authority(Key{p.object.Namespace, string(ref.Name)})
		if err != nil {
			p.refs = refusal{string(gatewayv1.BackendTLSPolicyReasonInvalidCACertificateRef), err.Error()}
			continue
		}
		cas.WriteString(text)
	}
	if cas.Len() == 0 {
		p.refused = refusal{string(gatewayv1.BackendTLSPolicyReasonNoValidCACertificate), cmp.Or(p.refs.message, "it names no CA")}
		return
	}
	p.tls = &gatewaytable.BackendTLS{ServerName: string(v.Hostname), CAs: []byte(cas.String())}
	for _, san := range v.SubjectAltNames {
		if san.Type == gatewayv1.URISubjectAltNameType {
			p.tls.URIs = append(p.tls.URIs, string(san.URI))
		} else {
			p.tls.Names = append(p.tls.Names, string(san.Hostname))
		}
	}
}

// authority is the text of a ConfigMap with certificates of CAs.
func (b *builder) authority(of Key) (string, error) {
	i := slices.IndexFunc(b.in.ConfigMaps, func(c *corev1.ConfigMap) bool { return keyOf(c) == of })
	if i < 0 {
		return "", fmt.Errorf("there is no ConfigMap %s", of)
	}
	text := b.in.ConfigMaps[i].Data[CAKey]
	if !x509.NewCertPool().AppendCertsFromPEM([]byte(text)) {
		return "", fmt.Errorf("ConfigMap %s has no certificate as PEM in its key %s", of, CAKey)
	}
	return text + "\n", nil
}

// policyFor is the policy for a port of a Service, nil if there is none. Those that are about it and do not count are noted as well:
// their statuses say why.
func (b *builder) policyFor(service Key, port string, out *routeRules) *policy {
	var counts *policy
	for _, at := range []target{{service, port}, {service, ""}} {
		if port == "" && at.port == "" && counts != nil {
			break // the same one
		}
		list := b.policyOf[at]
		out.policies = append(out.policies, list...)
		if counts == nil && len(list) > 0 {
			counts = list[0]
		}
	}
	return counts
}

// policyStatuses writes what became of the policies, for each Gateway with routes to what they are about.
func (b *builder) policyStatuses() {
	for _, p := range b.allPolicies {
		had := slices.ContainsFunc(p.object.Status.Ancestors, func(a gatewayv1.PolicyAncestorStatus) bool { return a.ControllerName == Controller })
		if len(p.ancestors) == 0 && !had {
			continue
		}
		status := gatewayv1.PolicyStatus{Ancestors: []gatewayv1.PolicyAncestorStatus{}}
		for _, of := range p.ancestors[:min(len(p.ancestors), maxAncestors)] {
			status.Ancestors = append(status.Ancestors, b.ancestor(p, of))
		}
		b.out.BackendTLSPolicies[keyOf(p.object)] = status
	}
}

func (b *builder) ancestor(p *policy, of Key) gatewayv1.PolicyAncestorStatus {
	a := gatewayv1.PolicyAncestorStatus{ControllerName: Controller, AncestorRef: gatewayv1.ParentReference{
		Group: new(gatewayv1.Group(gatewayv1.GroupName)), Kind: new(gatewayv1.Kind("Gateway")),
		Namespace: new(gatewayv1.Namespace(of.Namespace)), Name: gatewayv1.ObjectName(of.Name),
	}}
	var old []metav1.Condition
	for _, o := range p.object.Status.Ancestors {
		if o.ControllerName == Controller && sameParent(o.AncestorRef, a.AncestorRef) {
			old = o.Conditions
		}
	}
	if r := p.refused; r.reason != "" {
		b.condition(&a.Conditions, old, p.object.Generation, string(gatewayv1.PolicyConditionAccepted), false, r.reason, r.message)
	} else {
		b.condition(&a.Conditions, old, p.object.Generation, string(gatewayv1.PolicyConditionAccepted), true, string(gatewayv1.PolicyReasonAccepted), "")
	}
	if r := p.refs; r.reason != "" {
		b.condition(&a.Conditions, old, p.object.Generation, string(gatewayv1.BackendTLSPolicyConditionResolvedRefs), false, r.reason, r.message)
	} else {
		b.condition(&a.Conditions, old, p.object.Generation, string(gatewayv1.BackendTLSPolicyConditionResolvedRefs), true, string(gatewayv1.BackendTLSPolicyReasonResolvedRefs), "")
	}
	return a
}

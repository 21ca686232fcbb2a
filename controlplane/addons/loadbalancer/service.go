package loadbalancer

import (
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	servicehelper "k8s.io/cloud-provider/service/helpers"

	"bonsai/bootstrap/cluster"
)

// Annotations of Services. Those of MetalLB are read as well, in its present form and in the one before 0.13.2.
const (
	// AddressAnnotation requests an address, as spec.loadBalancerIP does, which Kubernetes has deprecated.
	AddressAnnotation = "bonsai.io/load-balancer-ip"
	// SharingAnnotation lets Services with the same value of it share an address.
	SharingAnnotation = "bonsai.io/allow-shared-ip"
)

var (
	addressAnnotations = []string{AddressAnnotation, "metallb.io/loadBalancerIPs", "metallb.universe.tf/loadBalancerIPs"}
	sharingAnnotations = []string{SharingAnnotation, "metallb.io/allow-shared-ip", "metallb.universe.tf/allow-shared-ip"}
)

// keyOf is how a Service is called here.
func keyOf(s *corev1.Service) string { return s.Namespace + "/" + s.Name }

// claimOf is what a Service needs.
func claimOf(s *corev1.Service) (claim, error) {
	c := claim{
		key: keyOf(s), has: addressOf(s), sharing: first(s, sharingAnnotations),
		local: s.Spec.ExternalTrafficPolicy == corev1.ServiceExternalTrafficPolicyLocal,
	}
	if c.local {
		c.pods = s.Namespace + "/" + selectorText(s.Spec.Selector)
	}
	for _, p := range s.Spec.Ports {
		c.ports = append(c.ports, cluster.AnnouncedPort{Protocol: string(p.Protocol), Port: p.Port})
	}
	slices.SortFunc(c.ports, cluster.AnnouncedPort.Compare)
	if !slices.Contains(s.Spec.IPFamilies, corev1.IPv4Protocol) && len(s.Spec.IPFamilies) > 0 {
		return c, errors.New("the Service has no IPv4 address, and load balancers have no others")
	}
	wanted := first(s, addressAnnotations)
	if wanted == "" {
		wanted = s.Spec.LoadBalancerIP
	}
	if wanted != "" {
		var err error
		if c.wanted, err = netip.ParseAddr(strings.TrimSpace(wanted)); err != nil || !c.wanted.Is4() {
			return c, fmt.Errorf("the requested address %q is not one IPv4 address", wanted)
		}
	}
	return c, nil
}

func first(s *corev1.Service, annotations []string) string {
	for _, name := range annotations {
		if v := s.Annotations[name]; v != "" {
			return v
		}
	}
	return ""
}

// addressOf is the address in the status; the zero Addr if there is none.
func addressOf(s *corev1.Service) netip.Addr {
	for _, i := range s.Status.LoadBalancer.Ingress {
		if a, err := netip.ParseAddr(i.IP); err == nil {
			return a
		}
	}
	return netip.Addr{}
}

// statusOf is the status of a Service with that address. Mode VIP: packets arrive with it as their destination.
func statusOf(a netip.Addr) *corev1.LoadBalancerStatus {
	return &corev1.LoadBalancerStatus{Ingress: []corev1.LoadBalancerIngress{{IP: a.String(), IPMode: new(corev1.LoadBalancerIPModeVIP)}}}
}

func selectorText(selector map[string]string) string {
	var parts []string
	for _, k := range slices.Sorted(maps.Keys(selector)) {
		parts = append(parts, k+"="+selector[k])
	}
	return strings.Join(parts, ",")
}

// served reports whether the addon serves a Service, if it is of type LoadBalancer.
func served(s *corev1.Service) bool {
	return s.Spec.LoadBalancerClass == nil || *s.Spec.LoadBalancerClass == cluster.LoadBalancerClass
}

// trim makes objects as small as they can be for those that follow them here. A Service of our class looks like one without:
// upstream's controller serves only these. It writes nothing back of the spec.
func trim(object any) (any, error) {
	switch o := object.(type) {
	case *corev1.Service:
		o.ManagedFields = nil
		delete(o.Annotations, corev1.LastAppliedConfigAnnotation)
		if served(o) {
			o.Spec.LoadBalancerClass = nil
		} else {
			// Controllers of other classes that are made of the same library have the same finalizer, and upstream's controller
			// would take it away from them when such a Service is deleted.
			o.Finalizers = slices.DeleteFunc(o.Finalizers, func(f string) bool { return f == servicehelper.LoadBalancerCleanupFinalizer })
		}
	case *corev1.Node:
		o.ManagedFields, o.Annotations = nil, nil
		o.Status = corev1.NodeStatus{Conditions: slices.DeleteFunc(o.Status.Conditions, func(c corev1.NodeCondition) bool { return c.Type != corev1.NodeReady })}
	case *discoveryv1.EndpointSlice:
		o.ObjectMeta = metav1.ObjectMeta{
			Namespace: o.Namespace, Name: o.Name, UID: o.UID, ResourceVersion: o.ResourceVersion,
			Labels: map[string]string{discoveryv1.LabelServiceName: o.Labels[discoveryv1.LabelServiceName]},
		}
		o.Ports = nil
		for i := range o.Endpoints {
			e := &o.Endpoints[i]
			*e = discoveryv1.Endpoint{NodeName: e.NodeName, Conditions: e.Conditions}
		}
	}
	return object, nil
}

// nodesOf adds to ready the nodes with ready pods of a slice, and to ending those with pods that are ending and still answer:
// kube-proxy takes these only while there are no others.
func nodesOf(slice *discoveryv1.EndpointSlice, ready, ending map[string]bool) {
	for _, e := range slice.Endpoints {
		switch {
		case e.NodeName == nil:
		case e.Conditions.Ready == nil || *e.Conditions.Ready:
			ready[*e.NodeName] = true
		case e.Conditions.Serving != nil && *e.Conditions.Serving && e.Conditions.Terminating != nil && *e.Conditions.Terminating:
			ending[*e.NodeName] = true
		}
	}
}

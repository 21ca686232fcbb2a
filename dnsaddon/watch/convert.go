package watch

import (
	"time"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"

	"bonsai/dnsaddon/zone"
)

// What DNS needs of the API's objects. The results share no more of an object than a string or two.

func service(o *corev1.Service) zone.Service {
	s := zone.Service{
		Namespace: o.Namespace, Name: o.Name, Type: string(o.Spec.Type), ExternalName: o.Spec.ExternalName,
		ClusterIPs: o.Spec.ClusterIPs,
	}
	if len(s.ClusterIPs) == 0 && o.Spec.ClusterIP != "" {
		s.ClusterIPs = []string{o.Spec.ClusterIP}
	}
	for _, p := range o.Spec.Ports {
		s.Ports = append(s.Ports, zone.Port{Name: p.Name, Protocol: string(p.Protocol), Number: p.Port})
	}
	return s
}

// slice is an EndpointSlice with what its controller recorded about the change that caused it.
type slice struct {
	zone.Slice
	changed  time.Time // when pods or Service changed; zero if unknown
	headless bool
}

func endpointSlice(o *discoveryv1.EndpointSlice) slice {
	s := slice{Slice: zone.Slice{Namespace: o.Namespace, Name: o.Name, Service: o.Labels[discoveryv1.LabelServiceName]}}
	s.Endpoints = make([]zone.Endpoint, 0, len(o.Endpoints))
	for _, e := range o.Endpoints {
		endpoint := zone.Endpoint{Addresses: e.Addresses, Hostname: value(e.Hostname), Ready: e.Conditions.Ready}
		if e.TargetRef != nil {
			endpoint.Pod = e.TargetRef.Name
		}
		s.Endpoints = append(s.Endpoints, endpoint)
	}
	for _, p := range o.Ports {
		s.Ports = append(s.Ports, zone.Port{Name: value(p.Name), Protocol: string(value(p.Protocol)), Number: value(p.Port)})
	}
	s.changed, _ = time.Parse(time.RFC3339Nano, o.Annotations[corev1.EndpointsLastChangeTriggerTime])
	_, s.headless = o.Labels[corev1.IsHeadlessService]
	return s
}

func pod(o *corev1.Pod) zone.Pod {
	p := zone.Pod{Namespace: o.Namespace, Name: o.Name}
	for _, ip := range o.Status.PodIPs {
		p.IPs = append(p.IPs, ip.IP)
	}
	return p
}

func value[T any](p *T) (v T) {
	if p != nil {
		v = *p
	}
	return v
}

package world

import (
	"fmt"
	"maps"
	"slices"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// clusterIP is a fresh address of the service range.
func (g *Generator) clusterIP(v6 bool) string {
	g.addresses++
	if v6 {
		return fmt.Sprintf("fd00:10:96:1::%x", g.addresses)
	}
	return fmt.Sprintf("10.%d.%d.%d", 97+g.addresses/62_500, g.addresses/250%250, g.addresses%250+1)
}

// endpointAddress is one of few, so that several endpoints and pods share it. It is written in the one canonical form:
// CoreDNS does not find others by their reverse names.
func (g *Generator) endpointAddress(v6 bool) string {
	if !v6 {
		return fmt.Sprintf("10.244.%d.%d", g.IntN(2), g.IntN(24))
	}
	return pick(g,
		fmt.Sprintf("fd00:10:244::%x", 1+g.IntN(20)),
		fmt.Sprintf("fd00:10:244:%x:1:2:3:4", 1+g.IntN(4)),
		fmt.Sprintf("fd00:10:%x::", 1+g.IntN(4)),
		"::1", "fd00::a:0:0:1")
}

func (g *Generator) addKubeDNS(w *World) {
	ports := []corev1.ServicePort{
		{Name: "dns", Protocol: corev1.ProtocolUDP, Port: 53},
		{Name: "dns-tcp", Protocol: corev1.ProtocolTCP, Port: 53},
		{Name: "metrics", Protocol: corev1.ProtocolTCP, Port: 9153},
	}
	addresses := []string{"10.96.0.10"}
	if g.one(3) {
		addresses = append(addresses, "fd00:10:96::a")
	}
	w.Services["kube-system/kube-dns"] = &corev1.Service{
		ObjectMeta: metav1.ObjectMeta{Namespace: "kube-system", Name: "kube-dns"},
		Spec:       corev1.ServiceSpec{Type: corev1.ServiceTypeClusterIP, ClusterIP: addresses[0], ClusterIPs: addresses, Ports: ports},
	}
	slice := &discoveryv1.EndpointSlice{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: "kube-system", Name: "kube-dns-own",
			Labels: map[string]string{discoveryv1.LabelServiceName: "kube-dns"},
		},
		AddressType: discoveryv1.AddressTypeIPv4,
		Endpoints:   []discoveryv1.Endpoint{{Addresses: []string{LocalAddress}}},
	}
	for _, p := range ports {
		slice.Ports = append(slice.Ports, discoveryv1.EndpointPort{Name: &p.Name, Protocol: &p.Protocol, Port: &p.Port})
	}
	w.Slices["kube-system/kube-dns-own"] = slice
}

// addService creates a random service and its slices, or replaces the one that has the name.
func (g *Generator) addService(w *World) {
	svc := &corev1.Service{ObjectMeta: metav1.ObjectMeta{Namespace: g.namespaceName(w), Name: pick(g, serviceNames...)}}
	g.fill(w, svc)
	w.Services[svc.Namespace+"/"+svc.Name] = svc
	for range pick(g, 0, 1, 1, 1, 2, 3) {
		g.addSlice(w, svc)
	}
}

// changeService gives a service another spec under the same name; its slices stay.
func (g *Generator) changeService(w *World) {
	key, ok := g.key(slices.Sorted(maps.Keys(w.Services)))
	if !ok || key == "kube-system/kube-dns" {
		return
	}
	svc := &corev1.Service{ObjectMeta: w.Services[key].ObjectMeta}
	g.fill(w, svc)
	w.Services[key] = svc
}

func (g *Generator) fill(w *World, svc *corev1.Service) {
	spec := &svc.Spec
	spec.Type = corev1.ServiceTypeClusterIP
	spec.PublishNotReadyAddresses = g.one(6)
	switch kind := g.IntN(10); {
	case kind < 4:
		spec.Type = pick(g, corev1.ServiceTypeClusterIP, corev1.ServiceTypeClusterIP, corev1.ServiceTypeNodePort, corev1.ServiceTypeLoadBalancer)
		spec.ClusterIPs = pick(g, families{false}, families{false}, families{true}, families{false, true}, families{true, false}).addresses(g)
		spec.ClusterIP = spec.ClusterIPs[0]
		if g.one(6) {
			spec.ClusterIPs = nil // as an API server before dual stack stored it
		}
		spec.Ports = g.servicePorts(1)
		if g.one(4) {
			spec.ExternalIPs = []string{g.endpointAddress(false)}
		}
		if spec.Type == corev1.ServiceTypeLoadBalancer {
			svc.Status.LoadBalancer.Ingress = []corev1.LoadBalancerIngress{{IP: g.endpointAddress(false)}}
		}
	case kind < 8:
		spec.ClusterIP, spec.ClusterIPs = corev1.ClusterIPNone, []string{corev1.ClusterIPNone}
		spec.Ports = g.servicePorts(0)
	default:
		spec.Type = corev1.ServiceTypeExternalName
		spec.ExternalName = g.externalName(w)
		spec.Ports = g.servicePorts(0)
	}
}

// families are those of a service, in its order; true is IPv6.
type families []bool

func (f families) addresses(g *Generator) []string {
	var out []string
	for _, v6 := range f {
		out = append(out, g.clusterIP(v6))
	}
	return out
}

// servicePorts returns at least n ports. Their names differ unless there is only one, as validation demands.
func (g *Generator) servicePorts(least int) []corev1.ServicePort {
	count := least + pick(g, 0, 0, 1, 2, 3)
	var ports []corev1.ServicePort
	for _, i := range g.Perm(len(portNames))[:count] {
		ports = append(ports, corev1.ServicePort{
			Name: portNames[i], Protocol: pick(g, protocols...), Port: pick[int32](g, 53, 80, 443, 8080),
		})
	}
	if len(ports) == 1 && g.one(2) {
		ports[0].Name = ""
	}
	return ports
}

// externalName is outside, in the zone (existing, missing, itself an alias, itself this one) or looks like an address.
func (g *Generator) externalName(w *World) string {
	switch g.IntN(10) {
	case 0, 1:
		return pick(g, "www.example.test", "www.example.test.", "x.alias.example.test", "many.example.test")
	case 2:
		return pick(g, "nx.example.test", "nodata.example.test", "fail.example.test")
	case 3:
		return pick(g, "192.0.2.7", "192.0.2.7.", "1.2.3", "test", "cluster.local", "svc.cluster.local", "kube-dns.kube-system.svc",
			"ns.dns.cluster.local", "dns-version.cluster.local", "10.0.96.10.in-addr.arpa")
	case 4:
		return "10-244-0-1." + g.namespaceName(w) + ".pod.cluster.local"
	case 5:
		return pick(g, hostnames...) + "." + pick(g, serviceNames...) + "." + g.namespaceName(w) + ".svc.cluster.local"
	default:
		if key, ok := g.key(slices.Sorted(maps.Keys(w.Services))); ok && !g.one(4) {
			svc := w.Services[key]
			return svc.Name + "." + svc.Namespace + ".svc.cluster.local" + pick(g, "", ".")
		}
		return pick(g, serviceNames...) + "." + g.namespaceName(w) + ".svc.cluster.local" + pick(g, "", ".")
	}
}

// addChain creates a chain of aliases that is longer or shorter than what a server follows, and may end in a cycle.
func (g *Generator) addChain(w *World) {
	length := 8 + g.IntN(7)
	end := pick(g, "kube-dns.kube-system.svc.cluster.local", "www.example.test", "chain-0.default.svc.cluster.local")
	for i := range length {
		next := fmt.Sprintf("chain-%d.default.svc.cluster.local", i+1)
		if i == length-1 {
			next = end
		}
		svc := &corev1.Service{
			ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: fmt.Sprintf("chain-%d", i)},
			Spec:       corev1.ServiceSpec{Type: corev1.ServiceTypeExternalName, ExternalName: next},
		}
		w.Services[svc.Namespace+"/"+svc.Name] = svc
	}
}

// addSlice creates a random slice for svc, or replaces one of its slices. It always has the label that names the
// service: from a slice without it CoreDNS creates PTR records that cannot be packed, and does not reply at all.
func (g *Generator) addSlice(w *World, svc *corev1.Service) {
	slice := &discoveryv1.EndpointSlice{ObjectMeta: metav1.ObjectMeta{
		Namespace: svc.Namespace,
		Name:      fmt.Sprintf("%s-%d", svc.Name, g.IntN(4)),
		Labels:    map[string]string{discoveryv1.LabelServiceName: svc.Name},
	}}
	v6 := g.one(3)
	slice.AddressType = discoveryv1.AddressTypeIPv4
	if v6 {
		slice.AddressType = discoveryv1.AddressTypeIPv6
	}
	slice.Ports = g.slicePorts(svc)
	count := pick(g, 0, 1, 1, 2, 3, 5)
	if g.one(40) {
		count = 20 + g.IntN(60) // too many for one packet
	}
	for i := range count {
		e := discoveryv1.Endpoint{Addresses: []string{g.endpointAddress(v6)}}
		if count > 10 {
			e.Addresses = []string{fmt.Sprintf("10.244.9.%d", i)}
			if v6 {
				e.Addresses = []string{fmt.Sprintf("fd00:10:244:9::%x", 1+i)}
			}
		} else if g.one(15) {
			e.Addresses = append(e.Addresses, g.endpointAddress(v6))
		}
		e.Conditions = g.conditions(svc)
		if g.one(2) {
			e.Hostname = new(pick(g, hostnames...))
		}
		if g.one(2) {
			e.TargetRef = &corev1.ObjectReference{Kind: "Pod", Namespace: svc.Namespace, Name: pick(g, hostnames...)}
		}
		if g.one(2) {
			e.NodeName = new("node-1")
			e.Zone = new("zone-a")
		}
		slice.Endpoints = append(slice.Endpoints, e)
	}
	w.Slices[slice.Namespace+"/"+slice.Name] = slice
}

func (g *Generator) conditions(svc *corev1.Service) discoveryv1.EndpointConditions {
	yes, no := new(true), new(false)
	if svc.Spec.PublishNotReadyAddresses && !g.one(4) { // what the EndpointSlice controller writes then
		return discoveryv1.EndpointConditions{Ready: yes, Serving: pick(g, yes, no), Terminating: pick(g, yes, no)}
	}
	return pick(g,
		discoveryv1.EndpointConditions{},
		discoveryv1.EndpointConditions{Ready: yes},
		discoveryv1.EndpointConditions{Ready: yes, Serving: yes, Terminating: no},
		discoveryv1.EndpointConditions{Ready: no},
		discoveryv1.EndpointConditions{Ready: no, Serving: yes, Terminating: yes},
		discoveryv1.EndpointConditions{Serving: no, Terminating: yes},
	)
}

// slicePorts are mostly those of the service. A slice may have ports without a name, number or protocol, or none.
func (g *Generator) slicePorts(svc *corev1.Service) []discoveryv1.EndpointPort {
	var ports []discoveryv1.EndpointPort
	from := svc.Spec.Ports
	if g.one(4) {
		from = g.servicePorts(0)
	}
	for _, p := range from {
		port := discoveryv1.EndpointPort{Name: new(p.Name), Protocol: new(p.Protocol), Port: new(p.Port)}
		if g.one(4) {
			port.Port = new(int32(10053))
		}
		switch g.IntN(40) {
		case 0:
			port.Name = nil
		case 1:
			port.Port = nil
		case 2:
			port.Protocol = nil
		}
		ports = append(ports, port)
	}
	return ports
}

// changeSlice gives a service a further slice, or replaces one of its slices.
func (g *Generator) changeSlice(w *World) {
	key, ok := g.key(slices.Sorted(maps.Keys(w.Services)))
	if !ok {
		return
	}
	g.addSlice(w, w.Services[key])
}

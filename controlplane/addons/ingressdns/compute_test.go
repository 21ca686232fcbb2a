package ingressdns

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"bonsai/bootstrap/cluster"
)

func dev() cluster.Spec {
	return cluster.Spec{Name: "dev", Subnet: netip.MustParsePrefix("10.201.0.0/22")}
}

func meta(name string) metav1.ObjectMeta {
	namespace, name, _ := strings.Cut(name, "/")
	return metav1.ObjectMeta{Namespace: namespace, Name: name}
}

func service(name string, kind corev1.ServiceType, clusterIP string, more ...string) *corev1.Service {
	s := &corev1.Service{ObjectMeta: meta(name), Spec: corev1.ServiceSpec{Type: kind, ClusterIP: clusterIP, ClusterIPs: []string{clusterIP}}}
	if kind == corev1.ServiceTypeNodePort || kind == corev1.ServiceTypeLoadBalancer {
		s.Spec.Ports = []corev1.ServicePort{{NodePort: 30080}}
	}
	for _, ip := range more {
		s.Status.LoadBalancer.Ingress = append(s.Status.LoadBalancer.Ingress, corev1.LoadBalancerIngress{IP: ip})
	}
	return s
}

// slice has one endpoint of a Service.
func slice(of, address string, isReady bool) *discoveryv1.EndpointSlice {
	l := &discoveryv1.EndpointSlice{ObjectMeta: meta(of), Endpoints: []discoveryv1.Endpoint{{
		Addresses: []string{address}, Conditions: discoveryv1.EndpointConditions{Ready: &isReady},
	}}}
	l.Labels = map[string]string{discoveryv1.LabelServiceName: l.Name}
	l.Name += "-x"
	return l
}

func node(name, address string, isReady corev1.ConditionStatus) *corev1.Node {
	return &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: name}, Status: corev1.NodeStatus{
		Addresses:  []corev1.NodeAddress{{Type: corev1.NodeHostName, Address: name}, {Type: corev1.NodeInternalIP, Address: address}},
		Conditions: []corev1.NodeCondition{{Type: corev1.NodeReady, Status: isReady}},
	}}
}

func ingress(name string, addresses []string, hosts ...string) *networkingv1.Ingress {
	i := &networkingv1.Ingress{ObjectMeta: meta(name)}
	for _, h := range hosts {
		i.Spec.Rules = append(i.Spec.Rules, networkingv1.IngressRule{Host: h})
	}
	for _, a := range addresses {
		i.Status.LoadBalancer.Ingress = append(i.Status.LoadBalancer.Ingress, networkingv1.IngressLoadBalancerIngress{IP: a})
	}
	return i
}

func gatewayOf(name string, addresses []string, hosts ...gatewayv1.Hostname) *gatewayv1.Gateway {
	g := &gatewayv1.Gateway{ObjectMeta: meta(name)}
	for _, a := range addresses {
		g.Status.Addresses = append(g.Status.Addresses, gatewayv1.GatewayStatusAddress{Value: a})
	}
	for _, h := range hosts {
		g.Spec.Listeners = append(g.Spec.Listeners, gatewayv1.Listener{Hostname: &h})
	}
	return g
}

func routeOf(kind, name, parent string, hosts ...gatewayv1.Hostname) *gatewayv1.HTTPRoute {
	namespace, parent, other := strings.Cut(parent, "/")
	ref := gatewayv1.ParentReference{Name: gatewayv1.ObjectName(namespace)}
	if other {
		ref = gatewayv1.ParentReference{Namespace: new(gatewayv1.Namespace(namespace)), Name: gatewayv1.ObjectName(parent)}
	}
	r := &gatewayv1.HTTPRoute{TypeMeta: metav1.TypeMeta{Kind: kind}, ObjectMeta: meta(name)}
	r.Spec.ParentRefs, r.Spec.Hostnames = []gatewayv1.ParentReference{ref}, hosts
	return r
}

// text is a table to compare; the domain that is the cluster's own has the same Services and is checked once.
func text(h cluster.HostDNS) string {
	var lines []string
	for _, n := range h.Names {
		if cluster.Below(n.Name, "bonsai.internal") {
			continue
		}
		lines = append(lines, fmt.Sprint(n.Name, " ", n.Addresses, " ", n.Of, "; ", n.Reason))
	}
	return strings.Join(lines, "\n")
}

func everything() input {
	return input{
		spec: dev(), hosts: []string{"test", "shop.example.com"},
		services: []*corev1.Service{
			service("shop/balanced", corev1.ServiceTypeLoadBalancer, "10.96.0.20", "10.201.3.1"),
			service("shop/pending", corev1.ServiceTypeLoadBalancer, "10.96.0.21"),
			service("shop/ported", corev1.ServiceTypeNodePort, "10.96.0.22"),
			service("shop/inner", corev1.ServiceTypeClusterIP, "10.96.0.23"),
			service("shop/headless", corev1.ServiceTypeClusterIP, corev1.ClusterIPNone),
			{ObjectMeta: meta("shop/away"), Spec: corev1.ServiceSpec{Type: corev1.ServiceTypeExternalName, ExternalName: "db.corp.example"}},
			service("shop/foreign", corev1.ServiceTypeLoadBalancer, "10.96.0.24", "192.0.2.7"),
		},
		nodes: []*corev1.Node{node("dev-1", "10.201.0.10", corev1.ConditionTrue), node("dev-2", "10.201.0.11", corev1.ConditionFalse)},
		ingresses: []*networkingv1.Ingress{
			ingress("shop/web", []string{"10.201.0.10", "10.201.0.11"}, "Shop.test", "*.apps.test", "www.google.com", "", "web.localhost"),
			ingress("shop/api", []string{"10.201.0.10"}, "shop.test"),
			ingress("shop/unserved", nil, "unserved.test"),
		},
		gateways: []*gatewayv1.Gateway{gatewayOf("infra/main", []string{"10.201.0.10"}, "*.gate.test", "shop.example.com")},
		routes:   []*gatewayv1.HTTPRoute{routeOf("HTTPRoute", "shop/site", "infra/main", "site.test"), routeOf("GRPCRoute", "shop/orphan", "main", "orphan.test")},
	}
}

func TestNames(t *testing.T) {
	const apart = "this machine has no interface in the nodes' network 10.201.0.0/22"
	common := func(h string) string {
		return strings.NewReplacer("\t", "").Replace(h)
	}
	in := everything()
	in.reach = Reach{Nodes: true}
	got := compute(in)
	want := common(`*.apps.test [10.201.0.10 10.201.0.11] Ingress shop/web; 
*.gate.test [10.201.0.10] Gateway infra/main; 
away.shop.svc.cluster.local [] Service shop/away; it only leads to db.corp.example
balanced.shop.svc.cluster.local [10.201.3.1] Service shop/balanced; 
foreign.shop.svc.cluster.local [192.0.2.7] Service shop/foreign; 
headless.shop.svc.cluster.local [] Service shop/headless; it has no address of its own, and those of its pods are not reached from this machine
inner.shop.svc.cluster.local [] Service shop/inner; its address is not reached from this machine: it is neither of type LoadBalancer nor of type NodePort
orphan.test [] GRPCRoute shop/orphan; nothing serves it
pending.shop.svc.cluster.local [10.201.0.10] Service shop/pending; 
ported.shop.svc.cluster.local [10.201.0.10] Service shop/ported; 
shop.example.com [10.201.0.10] Gateway infra/main; 
shop.test [10.201.0.10 10.201.0.11] Ingress shop/web, Ingress shop/api; 
site.test [10.201.0.10] HTTPRoute shop/site; 
unserved.test [] Ingress shop/unserved; nothing serves it
www.google.com [] Ingress shop/web; it is below none of the domains of ingress-dns`)
	if text(got) != want {
		t.Errorf("got\n%s\nwant\n%s", text(got), want)
	}
	if want := []string{"svc.cluster.local", "dev.bonsai.internal", "test", "shop.example.com"}; !slices.Equal(got.Domains, want) {
		t.Errorf("the domains are %v", got.Domains)
	}
	if !slices.ContainsFunc(got.Names, func(n cluster.HostName) bool {
		return n.Name == "balanced.shop.svc.dev.bonsai.internal" && len(n.Addresses) == 1
	}) {
		t.Error("a Service has no name that is this cluster's alone")
	}

	in.reach = Reach{Nodes: true, Services: true, Pods: true} // somebody has made routes
	in.slices = []*discoveryv1.EndpointSlice{
		slice("shop/headless", "10.244.1.5", true), slice("shop/headless", "10.244.2.5", true), slice("shop/headless", "10.244.1.6", false), slice("other/headless", "10.244.1.7", true),
	}
	for _, n := range compute(in).Names {
		want := map[string]string{"inner.shop.svc.cluster.local": "[10.96.0.23]", "headless.shop.svc.cluster.local": "[10.244.1.5 10.244.2.5]"}[n.Name]
		if want != "" && fmt.Sprint(n.Addresses) != want {
			t.Errorf("with routes: %+v, want %s", n, want)
		}
	}
	in.slices = nil
	for _, n := range compute(in).Names {
		if n.Name == "headless.shop.svc.cluster.local" && n.Reason != "none of its pods is ready" {
			t.Errorf("without pods: %+v", n)
		}
	}

	in.reach = Reach{} // the engine is in a virtual machine
	for _, n := range compute(in).Names {
		if n.Of == "Service shop/foreign" || n.Of == "this resolver" {
			continue
		}
		if len(n.Addresses) > 0 {
			t.Errorf("out of reach: %+v", n)
		}
		if n.Of == "Ingress shop/web, Ingress shop/api" && n.Reason != apart {
			t.Errorf("out of reach: %+v", n)
		}
	}
}

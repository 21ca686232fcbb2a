package diagnose

import (
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"bonsai/bootstrap/cluster"
)

func TestLoadBalancersThatStayPending(t *testing.T) {
	const object, summary = "service/shop/web", "its load balancer stays pending"
	const nothing = "nothing in this cluster gives Services of type LoadBalancer an address"
	balanced := func(s *corev1.Service) {
		s.Spec.Type, s.Spec.Ports[0].NodePort = corev1.ServiceTypeLoadBalancer, 31234
	}
	for name, test := range map[string]struct {
		change func(*corev1.Service)
		wants  []want
	}{
		"pending": {wants: []want{{cluster.ProblemBalancer, object, summary, nothing + "; at a node's address it can be reached already: 10.201.0.10:31234",
			"bonsai kubectl -p dev -- port-forward service/web 8080:80 -n shop"}}},
		"of a class":         {func(s *corev1.Service) { s.Spec.LoadBalancerClass = new("metal.test/x") }, []want{{cluster.ProblemBalancer, object, summary, "of load balancer class metal.test/x", ""}}},
		"without node ports": {func(s *corev1.Service) { s.Spec.Ports[0].NodePort = 0 }, []want{{cluster.ProblemBalancer, object, summary, nothing, `patch service web -n shop -p '{"spec":{"type":"NodePort"}}'`}}},
		"UDP":                {func(s *corev1.Service) { s.Spec.Ports[0].Protocol = corev1.ProtocolUDP }, []want{{cluster.ProblemBalancer, object, summary, nothing, "or let it have a port of the nodes only"}}},
		"it has an address": {change: func(s *corev1.Service) {
			s.Status.LoadBalancer.Ingress = []corev1.LoadBalancerIngress{{IP: "192.0.2.1"}}
		}},
		"new":              {change: func(s *corev1.Service) { s.CreationTimestamp = ago(time.Second) }},
		"is being deleted": {change: func(s *corev1.Service) { s.DeletionTimestamp = new(ago(0)) }},
	} {
		t.Run(name, func(t *testing.T) {
			s := world()
			for _, n := range s.Nodes {
				n.Status.Addresses = []corev1.NodeAddress{{Type: corev1.NodeHostName, Address: n.Name}, {Type: corev1.NodeInternalIP, Address: map[string]string{"dev-1": "10.201.0.10"}[n.Name]}}
			}
			one := service("web", nil, balanced)
			if test.change != nil {
				test.change(one)
			}
			s.Services = append(s.Services, one)
			check(t, s, test.wants...)
		})
	}
}

func TestLoadBalancersOfTheAddon(t *testing.T) {
	const object, summary = "service/shop/web", "its load balancer stays pending"
	failed := func(cause string) *corev1.Event {
		e := eventAbout("Service", "web", balancerFailed, balancerPrefix+cause, time.Second)
		return e
	}
	enabled := cluster.AddonStatus{Enabled: true, State: cluster.AddonRunning}
	degraded := cluster.AddonStatus{Enabled: true, State: cluster.AddonDegraded, Reason: "no node announces 10.201.3.1",
		Advice: advise("add a node", cluster.Bonsai("node", "add").Change())}
	for name, test := range map[string]struct {
		addon cluster.AddonStatus
		event *corev1.Event
		class *string
		age   time.Duration
		wants []want
	}{
		"disabled": {age: time.Minute, wants: []want{{cluster.ProblemBalancer, object, summary, "is disabled", "bonsai addons enable loadbalancer -p dev"}}},
		"of its class": {age: time.Minute, class: new(cluster.LoadBalancerClass),
			wants: []want{{cluster.ProblemBalancer, object, summary, "the addon loadbalancer, which would give it an address, is disabled", "addons enable loadbalancer"}}},
		"of another class": {addon: enabled, age: time.Minute, class: new("metal.test/x"), wants: []want{{cluster.ProblemBalancer, object, summary, "of load balancer class metal.test/x", "port-forward"}}},
		"new":              {addon: enabled, age: time.Second},
		"it asks for the impossible": {addon: enabled, age: time.Minute, event: failed("the requested address 1.2.3.4 is not one of them"),
			wants: []want{{cluster.ProblemBalancer, object, summary, "it gets no address: the requested address 1.2.3.4 is not one of them", "edit service web -n shop"}}},
		"no nodes": {addon: degraded, age: time.Minute, event: failed("the cluster has no nodes"),
			wants: []want{{cluster.ProblemBalancer, object, summary, "it gets no address: the cluster has no nodes", "bonsai node add"}}},
		"the addon does not run": {addon: degraded, age: time.Minute,
			wants: []want{{cluster.ProblemBalancer, object, summary, "does not run: no node announces 10.201.3.1", "addons status loadbalancer"}}},
		"unknown": {addon: enabled, age: time.Minute, wants: []want{{cluster.ProblemBalancer, object, summary, "has not given it an address yet", "logs daemon"}}},
	} {
		t.Run(name, func(t *testing.T) {
			s := world()
			s.Balancer = &test.addon
			one := service("web", nil, func(s *corev1.Service) {
				s.UID, s.Spec.Type, s.Spec.LoadBalancerClass, s.CreationTimestamp = "web", corev1.ServiceTypeLoadBalancer, test.class, ago(test.age)
			})
			s.Services = append(s.Services, one)
			if test.event != nil {
				s.Events = append(s.Events, test.event)
			}
			check(t, s, test.wants...)
		})
	}
}

func TestIngresses(t *testing.T) {
	const object = "ingress/shop/web"
	for name, test := range map[string]struct {
		change  func(*networkingv1.Ingress)
		classes []string
		wants   []want
	}{
		"no controller": {wants: []want{{cluster.ProblemIngress, object, "no controller serves it", "the cluster has no IngressClass", "port-forward service/NAME 8080:80 -n shop"}}},
		"no class": {classes: []string{"traefik", "nginx"}, wants: []want{{cluster.ProblemIngress, object, "no controller serves it",
			"it names no class, and none is the default; the cluster has the classes nginx and traefik", "edit ingress web -n shop"}}},
		"slip in the class": {func(i *networkingv1.Ingress) { i.Spec.IngressClassName = new("ngnix") }, []string{"nginx"}, []want{{
			cluster.ProblemIngress, object, "no controller serves it: ingress class ngnix does not exist; meant nginx?", "the cluster has the class nginx", "edit ingress web -n shop",
		}}},
		"served": {change: func(i *networkingv1.Ingress) {
			i.Status.LoadBalancer.Ingress = []networkingv1.IngressLoadBalancerIngress{{IP: "192.0.2.1"}}
		}},
		"its class exists": {change: func(i *networkingv1.Ingress) { i.Spec.IngressClassName = new("nginx") }, classes: []string{"nginx"}},
		"class as before":  {change: func(i *networkingv1.Ingress) { i.Annotations = map[string]string{classAnnotation: "nginx"} }},
		"new":              {change: func(i *networkingv1.Ingress) { i.CreationTimestamp = ago(time.Second) }},
	} {
		t.Run(name, func(t *testing.T) {
			s := world()
			i := &networkingv1.Ingress{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "web", CreationTimestamp: ago(time.Minute)}}
			if test.change != nil {
				test.change(i)
			}
			s.Ingresses = []*networkingv1.Ingress{i}
			check(t, s) // nothing before the classes are known
			s.Answers = map[Question]Answer{{Topic: NamesClass}: {Lines: test.classes}}
			check(t, s, test.wants...)
		})
	}
}

func TestIngressesOfTheAddon(t *testing.T) {
	const object, summary = "ingress/shop/web", "no controller serves it"
	for name, test := range map[string]struct {
		addon   cluster.AddonStatus
		class   *string
		classes []string
		wants   []want
	}{
		"disabled":            {wants: []want{{cluster.ProblemIngress, object, summary, "the addon gateway, which would serve it, is disabled", "bonsai addons enable gateway"}}},
		"disabled, its class": {class: new(cluster.GatewayClass), wants: []want{{cluster.ProblemIngress, object, summary, "is disabled", "bonsai addons enable gateway"}}},
		"degraded": {addon: cluster.AddonStatus{Enabled: true, State: cluster.AddonDegraded, Reason: "node dev-1 cannot listen on port 80"}, class: new(cluster.GatewayClass), classes: []string{cluster.GatewayClass},
			wants: []want{{cluster.ProblemIngress, object, summary, "does not run: node dev-1 cannot listen on port 80", "addons status gateway"}}},
		"running": {addon: cluster.AddonStatus{Enabled: true, State: cluster.AddonRunning}, class: new(cluster.GatewayClass), classes: []string{cluster.GatewayClass}},
		"another controller's": {class: new("ngnix"), classes: []string{"nginx"},
			wants: []want{{cluster.ProblemIngress, object, summary + ": ingress class ngnix does not exist; meant nginx?", "the cluster has the class nginx", "edit ingress web"}}},
	} {
		t.Run(name, func(t *testing.T) {
			s := world()
			s.Gateway = &test.addon
			s.Ingresses = []*networkingv1.Ingress{{
				ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "web", CreationTimestamp: ago(time.Minute)}, Spec: networkingv1.IngressSpec{IngressClassName: test.class},
			}}
			s.Answers = map[Question]Answer{{Topic: NamesClass}: {Lines: test.classes}}
			check(t, s, test.wants...)
		})
	}
}

func TestPoliciesThatNothingEnforces(t *testing.T) {
	s := world()
	policy := func(namespace, name string, age time.Duration) *networkingv1.NetworkPolicy {
		return &networkingv1.NetworkPolicy{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name, CreationTimestamp: ago(age)}}
	}
	s.Policies = []*networkingv1.NetworkPolicy{
		policy("shop", "deny", time.Minute), policy("shop", "allow-web", time.Second), policy("default", "deny", time.Hour),
	}
	const cause, hint = "all traffic passes", "addons enable network-policy"
	r := check(t, s,
		want{cluster.ProblemPolicy, "namespace/default", "its NetworkPolicies are not enforced here: deny", cause, hint},
		want{cluster.ProblemPolicy, "namespace/shop", "its NetworkPolicies are not enforced here: allow-web and deny", cause, hint})
	for _, p := range r.Problems {
		if p.Severity != cluster.SeverityInfo {
			t.Errorf("%s has severity %s", p.Object, p.Severity)
		}
	}
	s.Enforced = true
	check(t, s)
	s.Enforced = false
	s.Namespaces[0].DeletionTimestamp = new(ago(0))
	check(t, s, want{cluster.ProblemPolicy, "namespace/shop", "its NetworkPolicies are not enforced here: allow-web and deny", cause, hint})
	s.Pods = []*corev1.Pod{pod("a", alone("npc"), func(p *corev1.Pod) { p.Spec.Containers[0].Image = "registry.test/kube-network-policies:v1" })}
	check(t, s)
}

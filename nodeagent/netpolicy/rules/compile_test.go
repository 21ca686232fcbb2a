package rules

import (
	"net/netip"
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/util/intstr"
)

var ports = []corev1.ContainerPort{{Name: "web", ContainerPort: 80}, {Name: "dns", ContainerPort: 53, Protocol: corev1.ProtocolUDP}}

func pod(namespace, name, ip, node string, set labels.Set) Pod {
	return PodOf(&corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name, Labels: set},
		Spec:       corev1.PodSpec{NodeName: node, Containers: []corev1.Container{{Ports: ports}}},
		Status:     corev1.PodStatus{Phase: corev1.PodRunning, PodIPs: []corev1.PodIP{{IP: ip}}},
	})
}

func state(pods ...Pod) *State {
	s := &State{
		Node: "c-1", NodeIP: netip.MustParseAddr("10.201.0.10"),
		DNS:        DNS{Service: netip.MustParseAddr("10.96.0.10"), Resolver: netip.MustParseAddr("169.254.102.71"), Port: 10271},
		Namespaces: map[string]labels.Set{"shop": {"team": "a"}, "lab": {"team": "b"}, "kube-system": {"kubernetes.io/metadata.name": "kube-system"}},
		Pods:       map[Key]Pod{}, Policies: map[Key]Policy{},
	}
	for _, p := range pods {
		s.Pods[p.Key] = p
	}
	return s
}

func (s *State) with(t *testing.T, namespace, name string, spec networkingv1.NetworkPolicySpec) *State {
	t.Helper()
	p, err := PolicyOf(&networkingv1.NetworkPolicy{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name}, Spec: spec})
	if err != nil {
		t.Fatal(err)
	}
	s.Policies[p.Key] = p
	return s
}

var (
	web   = pod("shop", "web", "10.244.1.2", "c-1", labels.Set{"app": "web"})
	db    = pod("shop", "db", "10.244.1.3", "c-1", labels.Set{"app": "db"})
	far   = pod("shop", "far", "10.244.2.2", "c-2", labels.Set{"app": "web"})
	other = pod("lab", "other", "10.244.2.3", "c-2", labels.Set{"app": "web"})
)

const (
	in  = networkingv1.PolicyTypeIngress
	out = networkingv1.PolicyTypeEgress
)

// chain returns the rules of the chain with that name or comment.
func chain(t *testing.T, r *Ruleset, name string) string {
	t.Helper()
	for n, c := range r.Chains {
		if n == name || c.Comment == name {
			return strings.Join(c.Rules, "\n")
		}
	}
	t.Fatalf("there is no chain %s", name)
	return ""
}

func elements(s Set) string { return strings.Join(sorted(s.Elements), " ") }

// setIn returns the elements of the set that a rule refers to.
func setIn(t *testing.T, r *Ruleset, rule, prefix string) string {
	t.Helper()
	i := strings.Index(rule, "@"+prefix)
	if i < 0 {
		t.Fatalf("no set %s in %s", prefix, rule)
	}
	name, _, _ := strings.Cut(rule[i+1:], " ")
	s, ok := r.Sets[name]
	if !ok {
		t.Fatalf("there is no set %s", name)
	}
	return elements(s)
}

func TestWithoutPoliciesForPodsOfTheNodeThereAreNoRules(t *testing.T) {
	for name, s := range map[string]*State{
		"nothing":             state(),
		"no policies":         state(web, db),
		"another namespace":   state(web).with(t, "lab", "deny", networkingv1.NetworkPolicySpec{PolicyTypes: []networkingv1.PolicyType{in}}),
		"another node":        state(far).with(t, "shop", "deny", networkingv1.NetworkPolicySpec{PolicyTypes: []networkingv1.PolicyType{in}}),
		"other pods":          state(web).with(t, "shop", "deny", networkingv1.NetworkPolicySpec{PodSelector: metav1.LabelSelector{MatchLabels: labels.Set{"app": "db"}}}),
		"on the node network": state(Pod{Key: Key{"shop", "x"}, Node: "c-1", IP: netip.MustParseAddr("10.201.0.10"), HostNetwork: true}).with(t, "shop", "deny", networkingv1.NetworkPolicySpec{}),
	} {
		if r := Compile(s); r != nil {
			t.Errorf("%s: got %+v", name, r)
		}
	}
}

func TestDenyAll(t *testing.T) {
	r := Compile(state(web, db, far).with(t, "shop", "deny", networkingv1.NetworkPolicySpec{PolicyTypes: []networkingv1.PolicyType{in, out}}))
	for _, m := range []string{ingressMap, egressMap} {
		if got := strings.Join(sorted(r.Maps[m].Elements), " "); got != "10.244.1.2 10.244.1.3" {
			t.Errorf("%s leads from %s", m, got)
		}
	}
	for _, c := range r.Chains {
		if got := strings.Join(c.Rules, "; "); c.Comment == "shop/deny" && got != "goto deny-ingress" && !strings.HasSuffix(got, "; fib daddr type != unicast goto sent; ct mark @was-sent return; goto deny-egress") {
			t.Errorf("a policy that allows nothing: %s", got)
		}
	}
	if got := elements(r.Sets[selfSet]); got != "10.244.1.2 . 10.244.1.2 10.244.1.3 . 10.244.1.3" {
		t.Errorf("pods reach themselves: %s", got)
	}
}

func TestPolicyTypesFollowTheAPIServer(t *testing.T) {
	for name, test := range map[string]struct {
		spec    networkingv1.NetworkPolicySpec
		in, out bool
	}{
		"none":             {networkingv1.NetworkPolicySpec{}, true, false},
		"none, and egress": {networkingv1.NetworkPolicySpec{Egress: []networkingv1.NetworkPolicyEgressRule{{}}}, true, true},
		"egress":           {networkingv1.NetworkPolicySpec{PolicyTypes: []networkingv1.PolicyType{out}}, false, true},
		"ingress, and rules of egress": {networkingv1.NetworkPolicySpec{
			PolicyTypes: []networkingv1.PolicyType{in}, Egress: []networkingv1.NetworkPolicyEgressRule{{}},
		}, true, false},
	} {
		r := Compile(state(web).with(t, "shop", "p", test.spec))
		if got := len(r.Maps[ingressMap].Elements) > 0; got != test.in {
			t.Errorf("%s: ingress is %v", name, got)
		}
		if got := len(r.Maps[egressMap].Elements) > 0; got != test.out {
			t.Errorf("%s: egress is %v", name, got)
		}
	}
}

func peers(list ...networkingv1.NetworkPolicyPeer) []networkingv1.NetworkPolicyPeer { return list }

func TestPeers(t *testing.T) {
	app := func(name string) *metav1.LabelSelector {
		return &metav1.LabelSelector{MatchLabels: labels.Set{"app": name}}
	}
	for name, test := range map[string]struct {
		peer networkingv1.NetworkPolicyPeer
		want string // addresses, or the rule if it has no set
	}{
		"pods of the namespace":                {networkingv1.NetworkPolicyPeer{PodSelector: app("web")}, "10.244.1.2 10.244.2.2"},
		"all pods of the namespace":            {networkingv1.NetworkPolicyPeer{PodSelector: &metav1.LabelSelector{}}, "10.244.1.2 10.244.1.3 10.244.2.2"},
		"a namespace":                          {networkingv1.NetworkPolicyPeer{NamespaceSelector: &metav1.LabelSelector{MatchLabels: labels.Set{"team": "b"}}}, "10.244.2.3"},
		"all namespaces, with the DNS servers": {networkingv1.NetworkPolicyPeer{NamespaceSelector: &metav1.LabelSelector{}}, "10.244.1.2 10.244.1.3 10.244.2.2 10.244.2.3 10.96.0.10 169.254.102.71"},
		"pods of namespaces":                   {networkingv1.NetworkPolicyPeer{NamespaceSelector: &metav1.LabelSelector{}, PodSelector: app("web")}, "10.244.1.2 10.244.2.2 10.244.2.3"},
		"cluster DNS": {networkingv1.NetworkPolicyPeer{
			NamespaceSelector: &metav1.LabelSelector{MatchLabels: labels.Set{"kubernetes.io/metadata.name": "kube-system"}},
			PodSelector:       &metav1.LabelSelector{MatchLabels: labels.Set{"k8s-app": "kube-dns"}},
		}, "10.96.0.10 169.254.102.71"},
		"nobody":                 {networkingv1.NetworkPolicyPeer{PodSelector: app("none")}, ""},
		"a block":                {networkingv1.NetworkPolicyPeer{IPBlock: &networkingv1.IPBlock{CIDR: "10.1.2.3/16"}}, "ip daddr 10.1.0.0/16 goto sent"},
		"everything":             {networkingv1.NetworkPolicyPeer{IPBlock: &networkingv1.IPBlock{CIDR: "0.0.0.0/0"}}, "goto sent"},
		"everything but a block": {networkingv1.NetworkPolicyPeer{IPBlock: &networkingv1.IPBlock{CIDR: "0.0.0.0/0", Except: []string{"10.0.0.0/8", "10.1.0.0/16", "10.0.0.0/8"}}}, "ip daddr != { 10.0.0.0/8 } goto sent"},
		"nothing":                {networkingv1.NetworkPolicyPeer{IPBlock: &networkingv1.IPBlock{CIDR: "10.1.0.0/16", Except: []string{"10.0.0.0/8"}}}, "none"},
	} {
		s := state(web, db, far, other).with(t, "shop", "p", networkingv1.NetworkPolicySpec{
			PodSelector: *app("db"), PolicyTypes: []networkingv1.PolicyType{out}, Egress: []networkingv1.NetworkPolicyEgressRule{{To: peers(test.peer)}},
		})
		r := Compile(s)
		rule := chain(t, r, egressMap+"-"+hash("shop", "p"))
		switch {
		case strings.Contains(rule, "@"):
			if got := setIn(t, r, rule, "pods-"); got != test.want {
				t.Errorf("%s: got %s, want %s", name, got, test.want)
			}
		case rule != test.want && (test.want != "none" || rule != ""):
			t.Errorf("%s: got %s, want %s", name, rule, test.want)
		}
	}
}

func port(protocol corev1.Protocol, number any, end int32) networkingv1.NetworkPolicyPort {
	p := networkingv1.NetworkPolicyPort{}
	if protocol != "" {
		p.Protocol = &protocol
	}
	switch n := number.(type) {
	case int:
		p.Port = new(intstr.FromInt(n))
	case string:
		p.Port = new(intstr.FromString(n))
	}
	if end > 0 {
		p.EndPort = &end
	}
	return p
}

func TestPorts(t *testing.T) {
	s := state(web, db, far).with(t, "shop", "p", networkingv1.NetworkPolicySpec{Ingress: []networkingv1.NetworkPolicyIngressRule{
		{Ports: []networkingv1.NetworkPolicyPort{port("", 80, 0), port("TCP", 8000, 8010), port("TCP", 8005, 8020), port("UDP", 53, 0), port("SCTP", nil, 0), port("SCTP", 7, 0)}},
		{Ports: []networkingv1.NetworkPolicyPort{port("TCP", "web", 0), port("UDP", "dns", 0), port("UDP", "web", 0)}},
	}})
	r := Compile(s)
	got := strings.Split(chain(t, r, ingressMap+"-"+hash("shop", "p")), "\n")
	want := []string{
		"tcp dport { 80, 8000-8020 } goto received", "udp dport { 53 } goto received", "meta l4proto sctp goto received",
	}
	for i, rule := range want {
		if got[i] != rule {
			t.Errorf("got %s, want %s", got[i], rule)
		}
	}
	for i, want := range []string{
		"10.244.1.2 . 80 10.244.1.3 . 80 10.244.2.2 . 80",
		"10.244.1.2 . 53 10.244.1.3 . 53 10.244.2.2 . 53 10.96.0.10 . 53 169.254.102.71 . 53", // as cluster DNS has it
		"",
	} {
		if set := setIn(t, r, got[3+i], "port-"); set != want {
			t.Errorf("%s: got %s, want %s", got[3+i], set, want)
		}
	}
}

func TestPodsThatHaveEndedHaveNoAddress(t *testing.T) {
	ended := PodOf(&corev1.Pod{Status: corev1.PodStatus{Phase: corev1.PodSucceeded, PodIP: "10.244.1.2"}})
	if ended.IP.IsValid() {
		t.Errorf("got %s", ended.IP)
	}
	leaving := web
	leaving.Name, leaving.Ending, leaving.Labels = "aa", true, labels.Set{"app": "db"}
	s := state(web, leaving).with(t, "shop", "db", networkingv1.NetworkPolicySpec{PodSelector: metav1.LabelSelector{MatchLabels: labels.Set{"app": "db"}}})
	if r := Compile(s); r != nil {
		t.Errorf("a pod with the address of one that is ending is restricted: %+v", r)
	}
}

func TestWhatTheAPIServerWouldRefuseAllowsNothing(t *testing.T) {
	for name, spec := range map[string]networkingv1.NetworkPolicySpec{
		"a block": {Ingress: []networkingv1.NetworkPolicyIngressRule{{From: peers(networkingv1.NetworkPolicyPeer{IPBlock: &networkingv1.IPBlock{CIDR: "x"}})}}},
		"a port":  {Ingress: []networkingv1.NetworkPolicyIngressRule{{Ports: []networkingv1.NetworkPolicyPort{port("TCP", 70000, 0)}}}},
		"IPv6":    {Ingress: []networkingv1.NetworkPolicyIngressRule{{From: peers(networkingv1.NetworkPolicyPeer{IPBlock: &networkingv1.IPBlock{CIDR: "::/0"}})}}},
	} {
		p, err := PolicyOf(&networkingv1.NetworkPolicy{Spec: spec})
		if (err == nil) != (name == "IPv6") || p.Ingress == nil || len(p.Ingress.Rules) > 0 {
			t.Errorf("%s: got %+v, %v", name, p.Ingress, err)
		}
	}
}

func TestOnlyPodsThatComeAndGoAreElements(t *testing.T) {
	deny := networkingv1.NetworkPolicySpec{PodSelector: metav1.LabelSelector{MatchLabels: labels.Set{"app": "web"}}}
	s := state(web, db, far).with(t, "shop", "deny", deny)
	before := Compile(s)
	if changes, ok := before.Elements(before); !ok || len(changes) > 0 {
		t.Errorf("nothing has changed: %+v, %v", changes, ok)
	}
	late := pod("shop", "late", "10.244.1.9", "c-1", labels.Set{"app": "web"})
	s.Pods[late.Key] = late
	delete(s.Pods, web.Key)
	after := Compile(s)
	changes, ok := after.Elements(before)
	want := []ElementChange{
		{Set: selfSet, Elements: []string{"10.244.1.9 . 10.244.1.9"}},
		{Set: ingressMap, Delete: true, Elements: []string{"10.244.1.2"}, Values: []string{}},
		{Set: ingressMap, Elements: []string{"10.244.1.9"}, Values: []string{after.Maps[ingressMap].Elements["10.244.1.9"]}},
		{Set: selfSet, Delete: true, Elements: []string{"10.244.1.2 . 10.244.1.2"}},
	}
	same := func(a, b ElementChange) bool {
		return a.Set == b.Set && a.Delete == b.Delete && slices.Equal(a.Elements, b.Elements) && slices.Equal(a.Values, b.Values) && (a.Values == nil) == (b.Values == nil)
	}
	if !ok || !slices.EqualFunc(changes, want, same) {
		t.Errorf("got %+v, %v, want %+v", changes, ok, want)
	}
	s.with(t, "shop", "more", deny)
	if _, ok := Compile(s).Elements(after); ok {
		t.Error("a policy is more than elements")
	}
}

package rules

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	policyv1beta1 "sigs.k8s.io/network-policy-api/apis/v1beta1"
	"sigs.k8s.io/yaml"
)

// clusterPolicy reads the spec of a ClusterNetworkPolicy.
func clusterPolicy(t testing.TB, name, text string) (ClusterPolicy, error) {
	t.Helper()
	o := &policyv1beta1.ClusterNetworkPolicy{ObjectMeta: metav1.ObjectMeta{Name: name}}
	if err := yaml.UnmarshalStrict([]byte(text), &o.Spec); err != nil {
		t.Fatal(err)
	}
	return ClusterPolicyOf(o)
}

// withCluster adds ClusterNetworkPolicies, by name.
func (s *State) withCluster(t testing.TB, specs map[string]string) *State {
	t.Helper()
	s.ClusterPolicies = map[string]ClusterPolicy{}
	for name, text := range specs {
		p, err := clusterPolicy(t, name, text)
		if err != nil {
			t.Fatal(err)
		}
		s.ClusterPolicies[name] = p
	}
	s.Nodes = map[string]Node{
		"c-1": NodeOf(&corev1.Node{ObjectMeta: metav1.ObjectMeta{Labels: labels.Set{"disk": "fast"}}, Status: corev1.NodeStatus{Addresses: []corev1.NodeAddress{{Address: "10.201.0.10"}, {Address: "c-1"}}}}),
		"c-2": NodeOf(&corev1.Node{ObjectMeta: metav1.ObjectMeta{Labels: labels.Set{"disk": "slow"}}, Status: corev1.NodeStatus{Addresses: []corev1.NodeAddress{{Address: "10.201.0.11"}}}}),
	}
	return s
}

// outcome is what becomes of a packet: "in allowed by p rule, out ...".
func outcome(t testing.TB, r *Ruleset, from, to string, protocol Protocol) string {
	t.Helper()
	at := netip.MustParseAddrPort(to)
	list, err := r.Judge(Packet{Source: netip.MustParseAddr(from), Dest: at.Addr(), Port: at.Port(), Protocol: protocol})
	if err != nil {
		t.Fatal(err)
	}
	var words []string
	for _, j := range list {
		text := "in "
		if j.Egress {
			text = "out "
		}
		text += map[bool]string{true: "allowed", false: "denied"}[j.Allowed]
		if j.By != (Source{}) {
			text += fmt.Sprintf(" by %s %d", j.By.Policy, j.By.Rule)
		}
		words = append(words, text)
	}
	return strings.Join(words, ", ")
}

const (
	shopPods   = `subject: {namespaces: {matchLabels: {team: a}}}`
	acceptWeb  = `{name: web, action: Accept, from: [{pods: {namespaceSelector: {}, podSelector: {matchLabels: {app: web}}}}]}`
	denyAllIn  = `{action: Deny, from: [{namespaces: {}}]}`
	passAllIn  = `{action: Pass, from: [{namespaces: {}}]}`
	denyAllOut = `{action: Deny, to: [{networks: [0.0.0.0/0]}]}`
)

// TestClusterPolicies: 10.244.1.2 is shop/web, 10.244.1.3 shop/db, 10.244.2.2 shop/far (app web), 10.244.2.3 lab/other (app web).
func TestClusterPolicies(t *testing.T) {
	type probe struct {
		from, to string
		protocol Protocol
		want     string
	}
	for name, test := range map[string]struct {
		policies map[string]string
		spec     string // of a NetworkPolicy of shop
		probes   []probe
	}{
		"the first rule that matches decides": {
			policies: map[string]string{"p": `{tier: Admin, priority: 5, ` + shopPods + `, ingress: [` + acceptWeb + `, ` + denyAllIn + `]}`},
			probes: []probe{
				{"10.244.2.3", "10.244.1.3:80", "tcp", "in allowed by p 0"},
				{"10.244.1.3", "10.244.1.2:80", "tcp", "in denied by p 1"},
				{"192.0.2.1", "10.244.1.2:80", "tcp", "in allowed"}, // it has no pod, and no rule isolates
				{"10.244.1.3", "10.244.2.3:80", "tcp", ""},          // of a namespace that is not selected, on another node
			},
		},
		"the smaller priority goes first": {
			policies: map[string]string{
				"a": `{tier: Admin, priority: 20, ` + shopPods + `, ingress: [` + denyAllIn + `]}`,
				"b": `{tier: Admin, priority: 10, ` + shopPods + `, ingress: [` + acceptWeb + `]}`,
			},
			probes: []probe{
				{"10.244.2.3", "10.244.1.3:80", "tcp", "in allowed by b 0"},
				{"10.244.1.3", "10.244.1.2:80", "tcp", "in denied by a 0"},
			},
		},
		"admin overrides NetworkPolicies, baseline does not": {
			policies: map[string]string{
				"admin":    `{tier: Admin, priority: 1, ` + shopPods + `, ingress: [{action: Deny, from: [{namespaces: {matchLabels: {team: b}}}]}]}`,
				"baseline": `{tier: Baseline, priority: 1, ` + shopPods + `, ingress: [` + denyAllIn + `]}`,
			},
			spec: `{podSelector: {matchLabels: {app: db}}, ingress: [{ports: [{port: 80}]}]}`,
			probes: []probe{
				{"10.244.2.3", "10.244.1.3:80", "tcp", "in denied by admin 0"},
				{"10.244.2.2", "10.244.1.3:80", "tcp", "in allowed by shop/p 0"},
				{"10.244.2.2", "10.244.1.3:81", "tcp", "in denied"},
				{"10.244.2.2", "10.244.1.2:80", "tcp", "in denied by baseline 0"}, // it has no NetworkPolicy
			},
		},
		"pass leaves the tier, not the packet": {
			policies: map[string]string{
				"first":    `{tier: Admin, priority: 1, ` + shopPods + `, ingress: [{action: Pass, from: [{pods: {namespaceSelector: {}, podSelector: {matchLabels: {app: web}}}}]}]}`,
				"second":   `{tier: Admin, priority: 2, ` + shopPods + `, ingress: [` + denyAllIn + `]}`,
				"baseline": `{tier: Baseline, priority: 1, ` + shopPods + `, ingress: [` + passAllIn + `, ` + denyAllIn + `]}`,
			},
			spec: `{podSelector: {matchLabels: {app: db}}, ingress: []}`,
			probes: []probe{
				{"10.244.2.2", "10.244.1.3:80", "tcp", "in denied"},
				{"10.244.2.2", "10.244.1.2:80", "tcp", "in allowed"},
				{"10.244.1.3", "10.244.1.2:80", "tcp", "in denied by second 0"},
			},
		},
		"egress: accepted by the administrator although isolated": {
			policies: map[string]string{"p": `{tier: Admin, priority: 1, ` + shopPods + `, egress: [{action: Accept, to: [{networks: [10.244.2.0/24, 192.0.2.0/24]}], protocols: [{tcp: {destinationPort: {range: {start: 80, end: 90}}}}, {udp: {destinationPort: {number: 9}}}]}]}`},
			spec:     `{podSelector: {}, policyTypes: [Egress]}`,
			probes: []probe{
				{"10.244.1.3", "10.244.2.3:85", "tcp", "out allowed by p 0"},
				{"10.244.1.3", "192.0.2.7:9", "udp", "out allowed by p 0"},
				{"10.244.1.3", "192.0.2.7:9", "tcp", "out denied"},
				{"10.244.1.3", "10.244.2.3:91", "tcp", "out denied"},
				{"10.244.1.3", "10.96.0.10:53", "udp", "out denied"},
			},
		},
		"named ports, of whichever protocol": {
			policies: map[string]string{"p": `{tier: Admin, priority: 1, ` + shopPods + `, ingress: [{action: Deny, from: [{namespaces: {}}], protocols: [{destinationNamedPort: dns}, {sctp: {destinationPort: {number: 9}}}]}]}`},
			probes: []probe{
				{"10.244.2.2", "10.244.1.3:53", "udp", "in denied by p 0"},
				{"10.244.2.2", "10.244.1.3:53", "tcp", "in allowed"},
				{"10.244.2.2", "10.244.1.3:9", "sctp", "in denied by p 0"},
			},
		},
		"nodes, the own one as well": {
			policies: map[string]string{
				"p": `{tier: Admin, priority: 1, ` + shopPods + `, egress: [{action: Accept, to: [{nodes: {matchLabels: {disk: fast}}}], protocols: [{tcp: {destinationPort: {number: 80}}}]}, {action: Deny, to: [{nodes: {}}]}]}`,
			},
			probes: []probe{
				{"10.244.1.3", "10.201.0.10:80", "tcp", "out allowed by p 0"},
				{"10.244.1.3", "10.201.0.10:81", "tcp", "out denied by p 1"},
				{"10.244.1.3", "10.201.0.11:80", "tcp", "out denied by p 1"},
				{"10.244.1.3", "192.0.2.1:80", "tcp", "out allowed"},
			},
		},
		"NetworkPolicies say nothing of the own node": {
			policies: map[string]string{"p": `{tier: Admin, priority: 1, ` + shopPods + `, egress: [{action: Deny, to: [{nodes: {}}], protocols: [{tcp: {destinationPort: {number: 22}}}]}]}`},
			spec:     `{podSelector: {}, policyTypes: [Egress]}`,
			probes: []probe{
				{"10.244.1.3", "10.201.0.10:22", "tcp", "out denied by p 0"},
				{"10.244.1.3", "10.201.0.10:80", "tcp", "out allowed"},
				{"10.244.1.3", "10.201.0.11:80", "tcp", "out denied"},
			},
		},
		"cluster DNS is the pod that everybody knows": {
			policies: map[string]string{"p": `{tier: Admin, priority: 1, ` + shopPods + `, egress: [{action: Accept, to: [{pods: {namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: kube-system}}, podSelector: {matchLabels: {k8s-app: kube-dns}}}}], protocols: [{udp: {destinationPort: {number: 53}}}]}, ` + denyAllOut + `]}`},
			probes: []probe{
				{"10.244.1.3", "10.96.0.10:53", "udp", "out allowed by p 0"},
				{"10.244.1.3", "169.254.102.71:53", "udp", "out allowed by p 0"},
				{"10.244.1.3", "10.96.0.10:53", "tcp", "out denied by p 1"},
				{"10.244.1.3", "10.201.0.10:10271", "udp", "out denied by p 1"},
				{"10.244.1.3", "10.244.1.3:80", "tcp", "out allowed by p 1"}, // itself
			},
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := state(web, db, far, other).withCluster(t, test.policies)
			if test.spec != "" {
				s.with(t, "shop", "p", spec(t, test.spec))
			}
			r := Compile(s)
			for _, p := range test.probes {
				got := outcome(t, r, p.from, p.to, p.protocol)
				if p.to == p.from+":80" {
					got, _, _ = strings.Cut(got, ",")
				}
				if got != p.want {
					t.Errorf("%s to %s %s: got %q, want %q", p.from, p.to, p.protocol, got, p.want)
				}
			}
		})
	}
}

// TestWhatIsNotKnownFailsClosed: to accept matches nothing, and to deny or to pass denies everything, as the API demands.
func TestWhatIsNotKnownFailsClosed(t *testing.T) {
	for text, want := range map[string]string{
		`[{action: Accept, to: [{domainNames: [example.com]}]}]`:                                                        "out allowed",
		`[{action: Accept, to: [{domainNames: [example.com]}, {networks: [192.0.2.0/24]}]}, ` + denyAllOut + `]`:        "out allowed by p 0",
		`[{action: Deny, to: [{domainNames: [example.com]}]}]`:                                                          "out denied by p 0",
		`[{action: Pass, to: [{}]}]`:                                                                                    "out denied by p 0",
		`[{action: Accept, to: [{}]}, ` + denyAllOut + `]`:                                                              "out denied by p 1",
		`[{action: Accept, to: [{namespaces: {}}, {networks: [192.0.2.0/24]}], protocols: [{}]}, ` + denyAllOut + `]`:   "out denied by p 1",
		`[{action: Deny, to: [{networks: [198.51.100.0/24]}], protocols: [{}]}]`:                                        "out denied by p 0",
		`[{action: Allow, to: [{networks: [198.51.100.0/24]}]}]`:                                                        "out denied by p 0",
		`[{action: Deny, to: [{networks: [198.51.100.0/33]}]}]`:                                                         "out denied by p 0",
		`[{action: Deny, to: [{networks: [198.51.100.0/24]}], protocols: [{tcp: {destinationPort: {number: 70000}}}]}]`: "out denied by p 0",
		`[{action: Deny, to: [{pods: {podSelector: {matchExpressions: [{key: a, operator: X}]}}}]}]`:                    "out denied by p 0",
		`[{action: Deny, to: [{namespaces: {matchExpressions: [{key: a, operator: In}]}}]}]`:                            "out denied by p 0",
		`[{action: Pass, to: [{nodes: {matchExpressions: [{key: a, operator: In}]}}]}]`:                                 "out denied by p 0",
		`[{action: Accept, to: [{namespaces: {matchExpressions: [{key: a, operator: In}]}}]}, ` + denyAllOut + `]`:      "out denied by p 1",
	} {
		p, err := clusterPolicy(t, "p", `{tier: Admin, priority: 1, `+shopPods+`, egress: `+text+`}`)
		if err == nil || !strings.HasPrefix(err.Error(), "ClusterNetworkPolicy p: ") {
			t.Errorf("%s: %v", text, err)
		}
		s := state(web)
		s.ClusterPolicies = map[string]ClusterPolicy{"p": p}
		if got := outcome(t, Compile(s), "10.244.1.2", "192.0.2.1:80", "tcp"); got != want {
			t.Errorf("%s: got %q, want %q", text, got, want)
		}
	}
	// What is of the other family of addresses is accepted.
	p, err := clusterPolicy(t, "p", `{tier: Admin, priority: 1, `+shopPods+`, egress: [{action: Deny, to: [{networks: ["::/0"]}]}]}`)
	if err != nil || !p.Egress[0].Never {
		t.Errorf("got %+v, %v", p.Egress, err)
	}
	if _, err := clusterPolicy(t, "p", `{tier: Admin, priority: 1, ingress: [`+denyAllIn+`]}`); err == nil {
		t.Error("a policy without a subject")
	}
}

func TestOnlyPoliciesThatSelectNodesNeedThem(t *testing.T) {
	for text, want := range map[string]bool{
		`{tier: Admin, priority: 1, ` + shopPods + `, egress: [` + denyAllOut + `]}`:                                  false,
		`{tier: Admin, priority: 1, ` + shopPods + `, egress: [{action: Pass, to: [{namespaces: {}}, {nodes: {}}]}]}`: true,
	} {
		if p, err := clusterPolicy(t, "p", text); err != nil || p.NeedsNodes() != want {
			t.Errorf("%s: %v, %v", text, p.NeedsNodes(), err)
		}
	}
}

func TestClusterRulesInWords(t *testing.T) {
	p, err := clusterPolicy(t, "p", `{tier: Admin, priority: 1, `+shopPods+`, ingress: [`+acceptWeb+`], egress: [{action: Deny, to: [{nodes: {}}, {networks: [10.0.0.0/8]}], protocols: [{tcp: {destinationPort: {number: 22}}}]}]}`)
	if err != nil {
		t.Fatal(err)
	}
	if got, want := p.Ingress[0].Words(false), "ingress from pods app=web of all namespaces"; got != want || p.Ingress[0].Name != "web" {
		t.Errorf("%s: got %q, want %q", p.Ingress[0].Name, got, want)
	}
	if got, want := p.Egress[0].Words(true), "egress to nodes of any kind and 10.0.0.0/8 at port 22/TCP"; got != want || p.Egress[0].Name != "#1" {
		t.Errorf("%s: got %q, want %q", p.Egress[0].Name, got, want)
	}
}

// TestRandomClusterPolicies compares what the compiled rules say with the definition of the API, which is applied to the policies
// themselves, without chains and sets.
func TestRandomClusterPolicies(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	pick := func(of ...string) string { return of[random.IntN(len(of))] }
	pods := []Pod{web, db, far, other}
	for range 400 {
		s := state(pods...).withCluster(t, nil)
		for i := range 1 + random.IntN(4) {
			var in, out []string
			for range random.IntN(4) {
				ports := pick("", "", ", protocols: [{tcp: {destinationPort: {number: 80}}}]", ", protocols: [{udp: {destinationPort: {range: {start: 50, end: 60}}}}, {destinationNamedPort: web}]")
				peer := pick("{namespaces: {}}", "{namespaces: {matchLabels: {team: b}}}", "{pods: {namespaceSelector: {}, podSelector: {matchLabels: {app: db}}}}", "{pods: {namespaceSelector: {matchLabels: {team: a}}, podSelector: {}}}")
				in = append(in, "{action: "+pick("Accept", "Deny", "Pass")+", from: ["+peer+"]"+ports+"}")
				if ports == "" || !strings.Contains(ports, "Named") {
					peer = pick(peer, "{nodes: {}}", "{networks: [10.244.2.0/24, 10.201.0.0/16]}", "{networks: [0.0.0.0/0]}")
				}
				out = append(out, "{action: "+pick("Accept", "Deny", "Pass")+", to: ["+peer+"]"+ports+"}")
			}
			text := fmt.Sprintf("{tier: %s, priority: %d, subject: %s, ingress: [%s], egress: [%s]}", pick("Admin", "Baseline"), random.IntN(3),
				pick("{namespaces: {}}", "{pods: {namespaceSelector: {matchLabels: {team: a}}, podSelector: {matchLabels: {app: web}}}}"), strings.Join(in, ", "), strings.Join(out, ", "))
			p, err := clusterPolicy(t, fmt.Sprint("p", i), text)
			if err != nil {
				t.Fatal(err)
			}
			s.ClusterPolicies[p.Name] = p
		}
		if random.IntN(2) == 0 {
			s.with(t, "shop", "np", spec(t, pick(
				`{podSelector: {}, policyTypes: [Ingress, Egress]}`, `{podSelector: {matchLabels: {app: db}}, ingress: [{ports: [{port: 80}]}]}`,
				`{podSelector: {matchLabels: {app: web}}, policyTypes: [Egress], egress: [{to: [{namespaceSelector: {}}], ports: [{port: 53, protocol: UDP}]}]}`,
			)))
		}
		r := Compile(s)
		for _, from := range []string{"10.244.1.2", "10.244.1.3", "10.244.2.2", "10.244.2.3", "192.0.2.1"} {
			for _, to := range []string{"10.244.1.2", "10.244.1.3", "10.244.2.3", "10.201.0.10", "10.201.0.11", "192.0.2.1"} {
				for _, port := range []uint16{53, 80} {
					for _, protocol := range []Protocol{"tcp", "udp"} {
						p := Packet{netip.MustParseAddr(from), netip.MustParseAddr(to), protocol, port}
						list, err := r.Judge(p)
						if err != nil {
							t.Fatal(err)
						}
						got := [2]bool{true, true}
						for _, j := range list {
							got[map[bool]int{true: 0, false: 1}[j.Egress]] = j.Allowed
						}
						if want := [2]bool{s.defined(egress, p), s.defined(ingress, p)}; got != want {
							t.Fatalf("%+v: got %v, want %v, of\n%+v\n%+v", p, got, want, s.ClusterPolicies, s.Policies)
						}
					}
				}
			}
		}
	}
}

// defined is whether the API lets a packet pass in one direction.
func (s *State) defined(d direction, p Packet) bool {
	subject, peer := p.Source, p.Dest
	if d.name == ingressMap {
		subject, peer = peer, subject
	}
	var of *Pod
	for _, pod := range s.Pods {
		if pod.IP == subject && pod.Node == s.Node {
			of = &pod
		}
	}
	if of == nil || p.Source == p.Dest {
		return true
	}
	fits := func(r Rule, namespace string) bool { return s.fitsPeer(r, namespace, peer) && s.fitsPort(r, p) }
	tier := func(baseline bool) Action {
		for _, c := range inOrder(s.ClusterPolicies) {
			if c.Baseline != baseline || !c.Pods.Matches(of.Labels) || !c.Namespaces.Matches(s.Namespaces[of.Namespace]) {
				continue
			}
			for _, r := range c.rules(d) {
				if !r.Never && fits(r.Rule, "") {
					return r.Action
				}
			}
		}
		return Pass
	}
	if verdict := tier(false); verdict != Pass {
		return verdict == Accept
	}
	isolated := false
	for _, policy := range s.Policies {
		allows := d.of(policy)
		if allows == nil || policy.Namespace != of.Namespace || !policy.Pods.Matches(of.Labels) {
			continue
		}
		if isolated = true; d.name == egressMap && peer == s.NodeIP {
			return true
		}
		for _, r := range allows.Rules {
			if fits(r, policy.Namespace) {
				return true
			}
		}
	}
	return !isolated && tier(true) != Deny
}

func (s *State) fitsPeer(r Rule, namespace string, at netip.Addr) bool {
	if len(r.Peers) == 0 {
		return true
	}
	for _, p := range r.Peers {
		if p.Block.IsValid() && p.Block.Contains(at) {
			return true
		}
		for _, n := range s.Nodes {
			if p.Nodes != nil && p.Nodes.Matches(n.Labels) && n.Addresses[0] == at {
				return true
			}
		}
		for _, pod := range s.Pods {
			in := pod.Namespace == namespace
			if p.Namespaces != nil {
				in = p.Namespaces.Matches(s.Namespaces[pod.Namespace])
			}
			if p.Pods != nil && in && pod.IP == at && p.Pods.Matches(pod.Labels) {
				return true
			}
		}
	}
	return false
}

func (s *State) fitsPort(r Rule, packet Packet) bool {
	for _, p := range r.Ports {
		if p.Protocol != packet.Protocol {
			continue
		}
		if p.Name == "" && (p.First == 0 || packet.Port >= p.First && packet.Port <= p.Last) {
			return true
		}
		for _, pod := range s.Pods {
			for _, n := range pod.Ports {
				if pod.IP == packet.Dest && n.Name == p.Name && n.Protocol == p.Protocol && n.Number == packet.Port {
					return true
				}
			}
		}
	}
	return len(r.Ports) == 0
}

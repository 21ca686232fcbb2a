package table

import (
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	policyv1beta1 "sigs.k8s.io/network-policy-api/apis/v1beta1"
	"sigs.k8s.io/yaml"

	"bonsai/nodeagent/netpolicy/rules"
)

// clusterPolicies makes these the only ones of the cluster; each is a spec in YAML. The node is one that they can select.
func clusterPolicies(t *testing.T, s *rules.State, specs ...string) {
	t.Helper()
	s.ClusterPolicies = map[string]rules.ClusterPolicy{}
	s.Nodes = map[string]rules.Node{"c-1": rules.NodeOf(&corev1.Node{Status: corev1.NodeStatus{Addresses: []corev1.NodeAddress{{Address: node}}}})}
	for i, text := range specs {
		o := &policyv1beta1.ClusterNetworkPolicy{ObjectMeta: metav1.ObjectMeta{Name: fmt.Sprint("cluster-", i)}}
		must(t, yaml.UnmarshalStrict([]byte(text), &o.Spec))
		p, err := rules.ClusterPolicyOf(o)
		must(t, err)
		s.ClusterPolicies[p.Name] = p
	}
}

// TestClusterPackets applies ClusterNetworkPolicies to real packets, and compares what is judged.
func TestClusterPackets(t *testing.T) {
	const (
		at, more, service, dns, own = "10.244.1.2:80", "10.244.1.2:8080", "10.96.0.20:80", "10.96.0.10:53", node + ":22"
		all                         = `subject: {namespaces: {}}`
		web                         = `{pods: {namespaceSelector: {}, podSelector: {matchLabels: {app: web}}}}`
		client                      = `{pods: {namespaceSelector: {matchLabels: {team: a}}, podSelector: {matchLabels: {app: client}}}}`
		names                       = `{pods: {namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: kube-system}}, podSelector: {matchLabels: {k8s-app: kube-dns}}}}`
		port80                      = `protocols: [{tcp: {destinationPort: {number: 80}}}]`
	)
	table := kernel(t)
	pods := newPods(t, "10.244.1.2", "10.244.1.3")
	pods[0].do(func() { echo(t, ":80"); echo(t, ":8080") })
	echo(t, node+":10271")
	echo(t, own)
	nft(t, services)
	s := world(map[string]string{"web": "10.244.1.2", "client": "10.244.1.3"})
	open, err := pods[1].dial(at, true)
	must(t, err)
	defer func() { _ = open.Close() }()
	for _, test := range []struct {
		what    string
		cluster []string
		spec    string // of a NetworkPolicy
		reaches string // of the destinations above, those that are
	}{
		{"admin denies", []string{`{tier: Admin, priority: 1, ` + all + `, ingress: [{action: Deny, from: [` + client + `]}]}`}, "", "dns own"},
		{"admin accepts a port and denies the rest", []string{`{tier: Admin, priority: 1, ` + all + `, ingress: [{action: Accept, from: [` + client + `], ` + port80 + `}, {action: Deny, from: [{namespaces: {}}]}]}`}, "", "at service dns own"},
		{"admin accepts what a NetworkPolicy does not", []string{`{tier: Admin, priority: 1, ` + all + `, ingress: [{action: Accept, from: [` + client + `], ` + port80 + `}], egress: [{action: Accept, to: [` + web + `]}]}`}, denyAll, "at service own"},
		{"by priority", []string{
			`{tier: Admin, priority: 9, ` + all + `, egress: [{action: Deny, to: [{networks: [0.0.0.0/0]}]}]}`,
			`{tier: Admin, priority: 8, ` + all + `, egress: [{action: Accept, to: [` + web + `], protocols: [{destinationNamedPort: http}]}]}`,
		}, "", "at service"},
		{"admin denies the node, and with it the server behind cluster DNS, which is another thing", []string{`{tier: Admin, priority: 1, ` + all + `, egress: [{action: Deny, to: [{nodes: {}}]}]}`}, "", "at more service dns"},
		{"admin accepts names only", []string{`{tier: Admin, priority: 1, ` + all + `, egress: [{action: Accept, to: [` + names + `]}, {action: Deny, to: [{networks: [10.0.0.0/8]}]}]}`}, "", "dns"},
		{"pass to a NetworkPolicy that allows", []string{`{tier: Admin, priority: 1, ` + all + `, ingress: [{action: Pass, from: [` + client + `]}, {action: Deny, from: [{namespaces: {}}]}]}`}, `{podSelector: {matchLabels: {app: web}}, ingress: [{ports: [{port: 8080}]}]}`, "more dns own"},
		{"pass to nothing", []string{`{tier: Admin, priority: 1, ` + all + `, ingress: [{action: Pass, from: [{namespaces: {}}]}]}`}, "", "at more service dns own"},
		{"baseline denies", []string{`{tier: Baseline, priority: 1, ` + all + `, ingress: [{action: Deny, from: [{namespaces: {}}]}]}`}, "", "dns own"},
		{"baseline gives way", []string{`{tier: Baseline, priority: 1, ` + all + `, ingress: [{action: Deny, from: [{namespaces: {}}]}]}`}, `{podSelector: {}, ingress: [{}]}`, "at more service dns own"},
		{"baseline denies names", []string{`{tier: Baseline, priority: 1, ` + all + `, egress: [{action: Deny, to: [` + names + `]}]}`}, "", "at more service own"},
		{"a pass of baseline", []string{`{tier: Baseline, priority: 1, ` + all + `, ingress: [{action: Pass, from: [` + client + `], ` + port80 + `}, {action: Deny, from: [{namespaces: {}}]}]}`}, "", "at service dns own"},
		{"none", nil, "", "at more service dns own"},
	} {
		clusterPolicies(t, s, test.cluster...)
		policies(t, s)
		if test.spec != "" {
			policies(t, s, test.spec)
		}
		table.apply(t, s)
		for name, to := range map[string]string{"at": at, "more": more, "service": service, "dns": dns, "own": own} {
			want := strings.Contains(" "+test.reaches+" ", " "+name+" ")
			pods[1].wants(t, test.what, to, want)
			if name != "service" { // it is judged with the address that it leads to
				judges(t, test.what, s, "10.244.1.3", to, want)
			}
		}
		pods[0].wants(t, test.what+": itself by a Service", service, true)
		if c, err := net.DialTimeout("tcp", at, limit(true)); err != nil {
			t.Errorf("%s: the node does not reach its pod: %v", test.what, err)
		} else {
			_ = c.Close()
		}
	}
}

// TestRandomClusterPackets: packets and what is judged agree, whatever the policies are.
func TestRandomClusterPackets(t *testing.T) {
	table := kernel(t)
	pods := newPods(t, "10.244.1.2", "10.244.1.3")
	pods[0].do(func() { echo(t, ":80"); echo(t, ":8080") })
	echo(t, node+":10271")
	echo(t, node+":22")
	nft(t, services)
	s := world(map[string]string{"web": "10.244.1.2", "client": "10.244.1.3"})
	random := rand.New(rand.NewPCG(3, 4))
	pick := func(of ...string) string { return of[random.IntN(len(of))] }
	for range 25 {
		var specs []string
		for range 1 + random.IntN(3) {
			var in, out []string
			for range 1 + random.IntN(3) {
				ports := pick("", ", protocols: [{tcp: {destinationPort: {number: 80}}}]", ", protocols: [{tcp: {destinationPort: {range: {start: 50, end: 100}}}}]")
				in = append(in, "{action: "+pick("Accept", "Deny", "Pass")+", from: ["+pick("{namespaces: {}}", "{namespaces: {matchLabels: {team: b}}}", "{pods: {namespaceSelector: {}, podSelector: {matchLabels: {app: client}}}}")+"]"+ports+"}")
				out = append(out, "{action: "+pick("Accept", "Deny", "Pass")+", to: ["+pick("{namespaces: {}}", "{nodes: {}}", "{networks: [10.96.0.0/16, 10.244.1.0/30]}", "{pods: {namespaceSelector: {}, podSelector: {matchLabels: {app: web}}}}")+"]"+ports+"}")
			}
			specs = append(specs, fmt.Sprintf("{tier: %s, priority: %d, subject: {namespaces: {}}, ingress: [%s], egress: [%s]}", pick("Admin", "Baseline"), random.IntN(2), strings.Join(in, ", "), strings.Join(out, ", ")))
		}
		clusterPolicies(t, s, specs...)
		policies(t, s)
		if random.IntN(2) == 0 {
			policies(t, s, pick(denyAll, everything))
		}
		table.apply(t, s)
		r := rules.Compile(s)
		for _, to := range []string{"10.244.1.2:80", "10.244.1.2:8080", "10.96.0.10:53", node + ":22", node + ":10271"} {
			dest := netip.MustParseAddrPort(to)
			list, err := r.Judge(rules.Packet{Source: pods[1].ip, Dest: dest.Addr(), Port: dest.Port(), Protocol: "tcp"})
			must(t, err)
			want := true
			for _, j := range list {
				want = want && j.Allowed
			}
			pods[1].wants(t, strings.Join(specs, "\n"), to, want)
		}
	}
}

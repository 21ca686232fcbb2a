package diagnose

import (
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"bonsai/bootstrap/cluster"
)

// starving is the Deployment cart, whose pod cannot reach the pod db.
func starving() (State, *cluster.Denied) {
	s := world()
	s.Enforced = true
	s.Policies = []*networkingv1.NetworkPolicy{{
		ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "db-only-api"},
		Spec:       networkingv1.NetworkPolicySpec{Ingress: []networkingv1.NetworkPolicyIngressRule{{}}},
	}}
	s.Deployments = []*appsv1.Deployment{{
		ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "cart", CreationTimestamp: ago(time.Minute)},
		Spec:       appsv1.DeploymentSpec{Selector: &metav1.LabelSelector{MatchLabels: map[string]string{"app": "cart"}}},
	}}
	s.Pods = []*corev1.Pod{pod("a"), pod("db", alone("db"), func(p *corev1.Pod) { p.Labels = map[string]string{"app": "db", "pod-template-hash": "1"} })}
	d := &cluster.Denied{
		Proto: "TCP", Source: netip.MustParseAddr("10.244.1.2"), Dest: netip.MustParseAddrPort("10.244.1.3:5432"), From: "shop/cart-7d9f4-a", To: "shop/db",
		Policies: []cluster.PolicyWords{{Namespace: "shop", Name: "db-only-api", Allows: "ingress from pods app=api at port 5432/TCP"}},
		Still:    true, Packets: 12, Last: now.Add(-3 * time.Second),
	}
	return s, d
}

func answered(s State, list ...cluster.Denied) State {
	s.Answers = map[Question]Answer{{Topic: DeniedTraffic}: {Denied: list}, {Topic: DeniedTraffic, Name: clusterPolicyCRD}: {Denied: list}}
	return s
}

func TestAnAppThatAPolicyStarves(t *testing.T) {
	const object = "deployment/shop/cart"
	for name, test := range map[string]struct {
		change   func(s *State, d *cluster.Denied)
		want     want
		severity cluster.Severity
	}{
		"not let in": {
			func(*State, *cluster.Denied) {},
			want{cluster.ProblemDenied, object, "cannot reach pod/shop/db at port 5432/TCP: stopped by NetworkPolicy db-only-api on the way in",
				"db-only-api allows ingress from pods app=api at port 5432/TCP; pod cart-7d9f4-a has app=cart",
				`bonsai kubectl -p dev -- patch networkpolicy db-only-api -n shop --type=json -p '[{"op":"add","path":"/spec/ingress/-","value":{"ports":[{"protocol":"TCP","port":5432}],"from":[{"podSelector":{"matchLabels":{"app":"cart"}}}]}}]'`},
			cluster.SeverityWarning,
		},
		"not let out": {
			func(s *State, d *cluster.Denied) {
				d.Egress, d.Policies[0].Allows = true, "no egress"
			},
			want{cluster.ProblemDenied, object, "cannot reach pod/shop/db at port 5432/TCP: stopped by NetworkPolicy db-only-api on the way out", "db-only-api allows no egress",
				`"path":"/spec/egress","value":[{"ports":[{"protocol":"TCP","port":5432}],"to":[{"podSelector":{"matchLabels":{"app":"db"}}}]}]`},
			cluster.SeverityWarning,
		},
		"no names": {
			func(_ *State, d *cluster.Denied) {
				d.Egress, d.DNS, d.Proto, d.To, d.Dest = true, true, "UDP", "", netip.MustParseAddrPort("10.96.0.10:53")
			},
			want{cluster.ProblemDenied, object, "cannot ask cluster DNS: stopped by NetworkPolicy db-only-api", "db-only-api allows",
				`"to":[{"podSelector":{"matchLabels":{"k8s-app":"kube-dns"}},"namespaceSelector":{"matchLabels":{"kubernetes.io/metadata.name":"kube-system"}}}]`},
			cluster.SeverityWarning,
		},
		"another namespace, and two policies": {
			func(s *State, d *cluster.Denied) {
				s.Pods[1].Namespace, d.To, d.Egress = "default", "default/db", true
				d.Policies = append(d.Policies, cluster.PolicyWords{Namespace: "shop", Name: "more", Allows: "no egress"})
			},
			want{cluster.ProblemDenied, object, "cannot reach pod/default/db at port 5432/TCP: stopped by NetworkPolicies db-only-api and more on the way out", "; more allows no egress",
				`"namespaceSelector":{"matchLabels":{"kubernetes.io/metadata.name":"default"}}`},
			cluster.SeverityWarning,
		},
		"outside": {
			func(_ *State, d *cluster.Denied) {
				d.Egress, d.To, d.Dest = true, "", netip.MustParseAddrPort("192.0.2.1:443")
			},
			want{cluster.ProblemDenied, object, "cannot reach 192.0.2.1 at port 443/TCP: stopped by NetworkPolicy db-only-api on the way out", "db-only-api", `"ipBlock":{"cidr":"192.0.2.1/32"}`},
			cluster.SeverityInfo,
		},
		"by the cluster's administrator": {
			func(s *State, d *cluster.Denied) {
				s.Policies = nil
				s.Definitions = []*metav1.PartialObjectMetadata{{ObjectMeta: metav1.ObjectMeta{Name: clusterPolicyCRD}}}
				d.Policies = []cluster.PolicyWords{{Name: "tenants", Denies: "ingress from all pods of all namespaces", Rule: "others"}}
			},
			want{cluster.ProblemDenied, object, "cannot reach pod/shop/db at port 5432/TCP: stopped by ClusterNetworkPolicy tenants on the way in",
				"tenants denies ingress from all pods of all namespaces (rule others)", "bonsai kubectl -p dev -- edit clusternetworkpolicy tenants"},
			cluster.SeverityWarning,
		},
		"from a node": {
			func(s *State, d *cluster.Denied) {
				s.Nodes = slices.DeleteFunc(s.Nodes, func(n *corev1.Node) bool { return n.Name != "dev-1" })
				s.Nodes[0].Status.Addresses = []corev1.NodeAddress{{Type: corev1.NodeInternalIP, Address: "10.201.0.10"}}
				d.From, d.Source = "", netip.MustParseAddr("10.201.0.10")
			},
			want{cluster.ProblemDenied, "pod/shop/db", "node/dev-1 cannot reach it at port 5432/TCP: stopped by NetworkPolicy db-only-api on the way in", "", `"cidr":"10.201.0.10/32"`},
			cluster.SeverityWarning,
		},
	} {
		t.Run(name, func(t *testing.T) {
			s, d := starving()
			test.change(&s, d)
			r := check(t, answered(s, *d), test.want)
			for _, p := range r.Problems {
				if p.Severity != test.severity {
					t.Errorf("severity %s", p.Severity)
				}
				if cure, ok := p.Cure(); ok {
					t.Errorf("what a policy should allow is not certain: %s", cure)
				}
			}
		})
	}
}

func TestWhatIsNoStarving(t *testing.T) {
	for name, change := range map[string]func(s *State, d *cluster.Denied){
		"allowed meanwhile":        func(_ *State, d *cluster.Denied) { d.Still = false },
		"a single packet":          func(_ *State, d *cluster.Denied) { d.Packets = 2 },
		"long ago":                 func(_ *State, d *cluster.Denied) { d.Last = now.Add(-2 * time.Minute) },
		"a pod that is gone":       func(s *State, _ *cluster.Denied) { s.Pods = s.Pods[1:] },
		"nobody that is known":     func(_ *State, d *cluster.Denied) { d.From, d.To = "", "" },
		"policies without bonsai":  func(s *State, _ *cluster.Denied) { s.Enforced = false },
		"the policies are deleted": func(s *State, _ *cluster.Denied) { s.Policies = nil },
	} {
		s, d := starving()
		change(&s, d)
		for _, p := range Workloads(answered(s, *d)).Problems {
			if p.Kind == cluster.ProblemDenied {
				t.Errorf("%s: %s", name, p.Summary)
			}
		}
	}
}

func TestOneProblemForAllPodsOfAWorkload(t *testing.T) {
	s, d := starving()
	second := *d
	second.From, second.Source = "shop/cart-7d9f4-b", netip.MustParseAddr("10.244.1.9")
	s.Pods = append(s.Pods, pod("b"))
	r := Workloads(answered(s, *d, second))
	if len(r.Problems) != 1 || r.Problems[0].Count != 2 || !strings.Contains(r.Problems[0].Summary, "(2 pods)") {
		t.Errorf("got %+v", r.Problems)
	}
	if want := d.Last.Add(starvedFor); !r.Next.Equal(want) {
		t.Errorf("it is over at %s, and looked at again at %s", want, r.Next)
	}
}

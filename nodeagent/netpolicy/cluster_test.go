package netpolicy

import (
	"net/http"
	"net/http/httptest"
	"net/netip"
	"slices"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	policyv1beta1 "sigs.k8s.io/network-policy-api/apis/v1beta1"

	"bonsai/bootstrap/cluster"
	"bonsai/nodeagent/netpolicy/rules"
)

// flagged is the ConfigMap while there are ClusterNetworkPolicies.
func flagged() *corev1.ConfigMap {
	m := enabled()
	m.Data = map[string]string{cluster.ClusterPoliciesKey: "true"}
	return m
}

// clusterDeny denies all pods to reach others; with nodes, it denies these to be reached, too.
func clusterDeny(name string, tier policyv1beta1.Tier, nodes bool) *policyv1beta1.ClusterNetworkPolicy {
	all := metav1.LabelSelector{}
	o := &policyv1beta1.ClusterNetworkPolicy{ObjectMeta: meta("", name), Spec: policyv1beta1.ClusterNetworkPolicySpec{
		Tier: tier, Priority: 10, Subject: policyv1beta1.ClusterNetworkPolicySubject{Namespaces: &all},
		Ingress: []policyv1beta1.ClusterNetworkPolicyIngressRule{{
			Name: "nobody", Action: policyv1beta1.ClusterNetworkPolicyRuleActionDeny, From: []policyv1beta1.ClusterNetworkPolicyIngressPeer{{Namespaces: &all}},
		}},
	}}
	if nodes {
		o.Spec.Egress = []policyv1beta1.ClusterNetworkPolicyEgressRule{{
			Action: policyv1beta1.ClusterNetworkPolicyRuleActionDeny, To: []policyv1beta1.ClusterNetworkPolicyEgressPeer{{Nodes: &all}},
		}}
	}
	return o
}

// TestClusterPoliciesAreFollowedWhileThereAreAny, and nodes while these select some.
func TestClusterPoliciesAreFollowedWhileThereAreAny(t *testing.T) {
	n := newNode(t)
	n.runtime.serve(t)
	n.api.put(enabled(), &corev1.Namespace{ObjectMeta: meta("", "shop")}, pod("web", "10.244.1.2"), pod("db", "10.244.1.3"))
	machine := &corev1.Node{ObjectMeta: meta("", "c-2"), Status: corev1.NodeStatus{Addresses: []corev1.NodeAddress{{Address: "10.201.0.11"}}}}
	n.api.put(machine, clusterDeny("deny", policyv1beta1.AdminTier, false))
	n.run()
	n.is(cluster.PhaseRunning, "")
	if got := n.api.watches(clusterPolicies) + n.api.watches(pods) + n.api.watches(nodes); got > 0 || n.restricted() != nil {
		t.Errorf("before there are any: %d watches, %v", got, n.restricted())
	}

	n.api.put(flagged())
	n.restricts("10.244.1.2", "10.244.1.3")
	if got := n.api.watches(nodes); got > 0 {
		t.Errorf("%d watches of nodes, which nothing selects", got)
	}
	n.api.put(clusterDeny("deny", policyv1beta1.AdminTier, true))
	judge := func(to string) *cluster.PolicyJudgement {
		t.Helper()
		answer, err := n.Judge(cluster.PolicyQuestion{Source: netip.MustParseAddr("10.244.1.2"), Dest: netip.MustParseAddrPort(to), Proto: "TCP"})
		if err != nil {
			t.Fatal(err)
		}
		return answer.Egress
	}
	n.until("the node to be denied", func() bool { j := judge("10.201.0.11:22"); return j != nil && !j.Allowed })
	if j := judge("192.0.2.1:80"); !j.Allowed || j.By != "" || len(j.Policies) > 0 {
		t.Errorf("what no rule is about: %+v", j)
	}
	machine.Status.Addresses[0].Address = "10.201.0.12"
	n.api.put(machine)
	n.until("the address of the node to be another", func() bool { return judge("10.201.0.11:22").Allowed && !judge("10.201.0.12:22").Allowed })

	n.api.remove(clusterDeny("deny", policyv1beta1.AdminTier, false))
	n.restricts()
	n.until("the end of the watches", func() bool { return n.api.watches(nodes)+n.api.watches(pods) == 0 })
	n.api.put(enabled()) // without the key
	n.until("the end of the watch of policies", func() bool { return n.api.watches(clusterPolicies) == 0 })
	n.is(cluster.PhaseRunning, "")
}

// TestDisabledClusterPolicies: with the addon they are gone, although they are stored.
func TestDisabledClusterPolicies(t *testing.T) {
	n := newNode(t)
	n.runtime.serve(t)
	n.api.put(flagged(), &corev1.Namespace{ObjectMeta: meta("", "shop")}, pod("web", "10.244.1.2"), clusterDeny("deny", policyv1beta1.BaselineTier, true))
	n.run()
	n.restricts("10.244.1.2")
	n.api.remove(flagged())
	n.restricts()
	n.is(cluster.PhaseStopped, "disabled")
	n.until("the end of all watches but one", func() bool {
		return n.api.watches(pods)+n.api.watches(policies)+n.api.watches(clusterPolicies)+n.api.watches(nodes) == 0
	})
}

// TestWhatAClusterPolicyStopped names the policy and its rule, not the NetworkPolicies that apply as well.
func TestWhatAClusterPolicyStopped(t *testing.T) {
	n := newNode(t)
	n.runtime.serve(t)
	n.api.put(flagged(), &corev1.Namespace{ObjectMeta: meta("", "shop")}, pod("web", "10.244.1.2"), pod("db", "10.244.1.3"), deny("other"),
		clusterDeny("deny", policyv1beta1.AdminTier, false))
	packet := rules.Packet{Source: netip.MustParseAddr("10.244.1.2"), Dest: netip.MustParseAddr("10.244.1.3"), Protocol: "tcp", Port: 5432}
	n.kernel.set(func() { n.kernel.drops = []rules.Drop{{Packet: packet, Packets: 7}} })
	n.run()
	server := httptest.NewServer(n.Handler())
	defer server.Close()
	want := []cluster.PolicyWords{{Name: "deny", Denies: "ingress from all pods of all namespaces", Rule: "nobody"}}
	n.until("the policy to stop it", func() bool {
		list, err := n.Denied()
		return err == nil && len(list) == 1 && list[0].Still && slices.Equal(list[0].Policies, want)
	})
	if got := want[0].Kind() + " " + want[0].Says(); got != "ClusterNetworkPolicy deny denies ingress from all pods of all namespaces (rule nobody)" {
		t.Error(got)
	}
	var judged cluster.PolicyAnswer
	q := cluster.PolicyQuestion{Source: packet.Source, Dest: netip.AddrPortFrom(packet.Dest, packet.Port), Proto: "TCP"}
	answerOf(t, http.MethodPost, server.URL+"/judge", q, &judged)
	if j := judged.Ingress; j == nil || j.Allowed || j.By != "deny" || j.Rule != "nobody" || !slices.Equal(j.Policies, want) {
		t.Errorf("judged %+v", judged.Ingress)
	}
}

package flows

import (
	"net/netip"
	"reflect"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"bonsai/bootstrap/cluster"
)

var (
	begin  = time.Date(2026, 8, 1, 12, 0, 0, 0, time.UTC)
	client = netip.MustParseAddr("10.244.1.5")
	web    = netip.MustParseAddrPort("10.96.0.7:80")
	server = netip.MustParseAddrPort("10.244.2.9:8080")
)

// shop is a cluster with a client on one node, and a server with a Service on the other.
func shop() objects {
	pod := func(name, ip, node string, change ...func(*corev1.Pod)) *corev1.Pod {
		p := &corev1.Pod{
			ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: name}, Spec: corev1.PodSpec{NodeName: node},
			Status: corev1.PodStatus{Phase: corev1.PodRunning, PodIPs: []corev1.PodIP{{IP: ip}}},
		}
		for _, f := range change {
			f(p)
		}
		return p
	}
	owned := func(p *corev1.Pod) {
		p.Labels = map[string]string{"pod-template-hash": "7d9f4"}
		p.OwnerReferences = []metav1.OwnerReference{{Kind: "ReplicaSet", Name: "web-7d9f4", Controller: new(true)}}
	}
	return index(
		[]*corev1.Pod{
			pod("client", "10.244.1.5", "dev-1"), pod("web-7d9f4-x", "10.244.2.9", "dev-2", owned), pod("agent", "10.201.0.10", "dev-1", func(p *corev1.Pod) { p.Spec.HostNetwork = true }),
			pod("old", "10.244.1.5", "dev-1", func(p *corev1.Pod) { p.Status.Phase = corev1.PodSucceeded }),
		},
		[]*corev1.Service{{
			ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "web"},
			Spec:       corev1.ServiceSpec{ClusterIP: "10.96.0.7", Ports: []corev1.ServicePort{{Port: 80, NodePort: 30080}}},
			Status:     corev1.ServiceStatus{LoadBalancer: corev1.LoadBalancerStatus{Ingress: []corev1.LoadBalancerIngress{{IP: "10.201.3.1"}}}},
		}},
		[]cluster.Node{
			{Name: "dev-1", IP: netip.MustParseAddr("10.201.0.10"), PodCIDR: netip.MustParsePrefix("10.244.1.0/24")},
			{Name: "dev-2", IP: netip.MustParseAddr("10.201.0.11"), PodCIDR: netip.MustParsePrefix("10.244.2.0/24")},
		}, netip.MustParseAddr("10.201.0.1"))
}

func one(f cluster.NodeFlow) cluster.NodeFlows {
	f.Proto = "TCP"
	return cluster.NodeFlows{Over: time.Second, Flows: []cluster.NodeFlow{f}}
}

func TestWhoTalksToWhom(t *testing.T) {
	o := shop()
	for name, test := range map[string]struct {
		flow    cluster.NodeFlow
		from    string
		to      string
		service string
		pod     bool
	}{
		"through a Service":     {cluster.NodeFlow{Source: client, Dest: web, Via: server}, "shop/client", "shop/web-7d9f4-x", "shop/web", true},
		"to the pod itself":     {cluster.NodeFlow{Source: client, Dest: server, Via: server}, "shop/client", "shop/web-7d9f4-x", "", true},
		"a Service of nobody":   {cluster.NodeFlow{Source: client, Dest: web, Via: web}, "shop/client", "service/shop/web", "shop/web", true},
		"from outside":          {cluster.NodeFlow{Source: netip.MustParseAddr("192.0.2.7"), Dest: netip.MustParseAddrPort("10.201.0.10:30080"), Via: server}, "192.0.2.7", "shop/web-7d9f4-x", "shop/web", true},
		"by a load balancer":    {cluster.NodeFlow{Source: netip.MustParseAddr("10.201.0.1"), Dest: netip.MustParseAddrPort("10.201.3.1:80"), Via: server}, "this machine", "shop/web-7d9f4-x", "shop/web", true},
		"a probe":               {cluster.NodeFlow{Source: netip.MustParseAddr("10.244.2.1"), Dest: server, Via: server}, "node/dev-2", "shop/web-7d9f4-x", "", true},
		"outwards":              {cluster.NodeFlow{Source: client, Dest: netip.MustParseAddrPort("192.0.2.1:443"), Via: netip.MustParseAddrPort("192.0.2.1:443")}, "shop/client", "192.0.2.1", "", true},
		"kubelet to API server": {cluster.NodeFlow{Source: netip.MustParseAddr("10.201.0.10"), Dest: netip.MustParseAddrPort("10.201.0.1:6443"), Via: netip.MustParseAddrPort("10.201.0.1:6443")}, "node/dev-1", "this machine", "", false},
	} {
		t.Run(name, func(t *testing.T) {
			j := newJoiner(begin)
			test.flow.Open = 1
			j.add("dev-1", one(test.flow), begin)
			got := j.result(o, begin).Flows
			if len(got) != 1 {
				t.Fatalf("got %+v", got)
			}
			if f := got[0]; f.From.String() != test.from || f.To.String() != test.to || f.Service != test.service || f.WithPod() != test.pod {
				t.Errorf("got %s → %s, Service %q, of pods: %t", f.From, f.To, f.Service, f.WithPod())
			}
		})
	}
}

func TestFigures(t *testing.T) {
	j, o := newJoiner(begin), shop()
	flow := cluster.NodeFlow{Source: client, Dest: web, Via: server, Open: 2}
	first := one(flow)
	first.Over, first.Flows[0].Proto = 0, "TCP"
	j.add("dev-1", first, begin)
	j.query(cluster.DNSQuery{Pod: "shop/client", Name: "Web.shop.svc.cluster.local.", Type: "A", Rcode: "NOERROR", Answers: []string{"10.96.0.7"}})
	j.query(cluster.DNSQuery{Pod: "shop/other", Name: "x.", Type: "A", Rcode: "NOERROR", Answers: []string{"10.96.0.7"}})
	flow.Opened, flow.Refused, flow.Unanswered, flow.Sent, flow.Received = 4, 2, 1, 1000, 3000
	j.add("dev-1", one(flow), begin.Add(time.Second))
	flow.Opened, flow.Refused, flow.Unanswered, flow.Sent = 0, 0, 0, 0
	j.add("dev-1", one(flow), begin.Add(2*time.Second))
	got := j.result(o, begin.Add(2*time.Second))
	want := cluster.Flow{
		From: cluster.FlowEnd{Kind: cluster.FlowPod, Namespace: "shop", Name: "client", Node: "dev-1", Address: client},
		To:   cluster.FlowEnd{Kind: cluster.FlowPod, Namespace: "shop", Name: "web-7d9f4-x", Workload: "deployment/web", Node: "dev-2", Address: server.Addr()},
		Node: "dev-1", Proto: "TCP", Port: 80, EndpointPort: 8080, Service: "shop/web", Address: web.Addr(), Asked: "web.shop.svc.cluster.local",
		Open: 2, Sent: 500, Received: 3000, New: 2, Failed: 1.5, Opened: 4, Refused: 2, Unanswered: 1, State: cluster.FlowRefused, Last: begin.Add(2 * time.Second),
	}
	if len(got.Flows) != 1 || !reflect.DeepEqual(got.Flows[0], want) {
		t.Errorf("got  %+v\nwant %+v", got.Flows, want)
	}

	// What is over stays for a moment, and nothing of a node that is away does.
	for n := range window {
		j.add("dev-1", cluster.NodeFlows{Over: time.Second}, begin.Add(time.Duration(3+n)*time.Second))
	}
	got = j.result(o, begin.Add(6*time.Second))
	if len(got.Flows) != 1 || got.Flows[0].Open != 0 || got.Flows[0].Received != 0 || got.Flows[0].Opened != 4 {
		t.Errorf("got %+v", got.Flows)
	}
	if got = j.result(o, begin.Add(time.Minute)); len(got.Flows) != 0 {
		t.Errorf("got %+v", got.Flows)
	}
	j.add("dev-1", one(flow), begin)
	j.away("dev-1", "its agent does not answer")
	if got = j.result(o, begin); len(got.Flows) != 0 || got.Nodes["dev-1"] == "" {
		t.Errorf("got %+v", got)
	}
	j.gone(func(string) bool { return false })
	if got = j.result(o, begin); len(got.Nodes) != 0 {
		t.Errorf("got %+v", got)
	}
}

// TestWhatPoliciesStop: the connection that one node has without answer, and the packets that another drops, are the same.
func TestWhatPoliciesStop(t *testing.T) {
	j, o := newJoiner(begin), shop()
	flow := one(cluster.NodeFlow{Source: client, Dest: web, Via: server, Unanswered: 1})
	stopped := cluster.Denied{
		Proto: "TCP", Source: client, Dest: server, Asked: server, From: "shop/client", To: "shop/web-7d9f4-x", Still: true, Packets: 4, Last: begin,
		Policies: []cluster.PolicyWords{{Namespace: "shop", Name: "deny"}},
	}
	names := stopped
	names.Egress, names.DNS, names.Proto, names.Dest, names.Asked, names.To = true, true, "UDP", netip.MustParseAddrPort("10.96.0.10:53"), netip.MustParseAddrPort("10.96.0.10:53"), ""
	j.add("dev-2", cluster.NodeFlows{Denied: []cluster.Denied{stopped}}, begin)
	j.add("dev-1", flow, begin.Add(time.Second))
	stopped.Packets = 6
	j.add("dev-2", cluster.NodeFlows{Over: time.Second, Denied: []cluster.Denied{stopped}}, begin.Add(time.Second))
	j.add("dev-1", cluster.NodeFlows{Over: time.Second, Denied: []cluster.Denied{names}}, begin.Add(time.Second))
	got := j.result(o, begin.Add(time.Second)).Flows
	if len(got) != 2 {
		t.Fatalf("got %+v", got)
	}
	for _, f := range got {
		switch {
		case f.State != cluster.FlowDenied || f.Denial == nil || !f.Denial.Still || f.Denial.Policies[0].String() != "shop/deny":
			t.Errorf("got %+v", f)
		case f.Proto == "TCP":
			if f.Service != "shop/web" || f.Denied != 6 || f.Unanswered != 1 || f.Failed < 2 || f.Denial.Egress {
				t.Errorf("through the Service: %+v", f)
			}
		case f.Denied != 4 || !f.Denial.Egress || f.To.Address != names.Dest.Addr():
			t.Errorf("cluster DNS: %+v", f)
		}
	}
	j.away("dev-2", "stopped")
	j.away("dev-1", "stopped")
	if got := j.result(o, begin).Flows; len(got) != 0 {
		t.Errorf("nodes that are away: %+v", got)
	}
}

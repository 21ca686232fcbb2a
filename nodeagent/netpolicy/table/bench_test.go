package table

import (
	"fmt"
	"io"
	"net"
	"net/netip"
	"slices"
	"testing"
	"time"

	"golang.org/x/sys/unix"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/util/intstr"
	policyv1beta1 "sigs.k8s.io/network-policy-api/apis/v1beta1"
	"sigs.k8s.io/yaml"

	"bonsai/nodeagent/netpolicy/rules"
)

// crowd has 100 pods on the node and 200 policies, of which 20 apply to each pod.
func crowd() *rules.State {
	s := &rules.State{
		Node: "c-1", NodeIP: netip.MustParseAddr("10.201.0.10"), Namespaces: map[string]labels.Set{"shop": {"team": "a"}},
		Pods: map[rules.Key]rules.Pod{}, Policies: map[rules.Key]rules.Policy{},
	}
	for i := range 100 {
		p := crowdPod(i)
		s.Pods[p.Key] = p
	}
	for i := range 200 {
		p := crowdPolicy(i)
		s.Policies[p.Key] = p
	}
	return s
}

func crowdPod(i int) rules.Pod {
	return rules.Pod{
		Key: rules.Key{Namespace: "shop", Name: fmt.Sprint("pod-", i)}, Node: "c-1", IP: netip.AddrFrom4([4]byte{10, 244, 1, byte(i + 2)}),
		Labels: labels.Set{"app": fmt.Sprint(i % 10)}, Ports: []rules.NamedPort{{Name: "http", Protocol: "tcp", Number: 8080}},
	}
}

func crowdPolicy(i int) rules.Policy {
	p, err := rules.PolicyOf(&networkingv1.NetworkPolicy{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: fmt.Sprint("policy-", i)}, Spec: networkingv1.NetworkPolicySpec{
		PodSelector: metav1.LabelSelector{MatchLabels: labels.Set{"app": fmt.Sprint(i % 10)}},
		Ingress: []networkingv1.NetworkPolicyIngressRule{{
			From:  []networkingv1.NetworkPolicyPeer{{PodSelector: &metav1.LabelSelector{MatchLabels: labels.Set{"app": fmt.Sprint(i / 10 % 10)}}}},
			Ports: []networkingv1.NetworkPolicyPort{{Port: new(intstr.FromInt(8000 + i))}, {Port: new(intstr.FromString("http"))}},
		}},
		Egress: []networkingv1.NetworkPolicyEgressRule{{To: []networkingv1.NetworkPolicyPeer{{IPBlock: &networkingv1.IPBlock{CIDR: fmt.Sprintf("10.%d.0.0/16", i)}}}}},
	}})
	if err != nil {
		panic(err)
	}
	return p
}

// BenchmarkApply times the computation and the kernel together, as users wait for both: all at once, and the smallest changes. Next
// to the time it takes are milliseconds of the processor, of nft too, which a busy machine does not change.
func BenchmarkApply(b *testing.B) {
	s := crowd()
	b.Run("computing only", func(b *testing.B) {
		for b.Loop() {
			rules.Compile(s)
		}
	})
	toggled := func(name string, change func(there bool)) {
		b.Run(name, func(b *testing.B) {
			table := kernel(b)
			table.apply(b, s)
			busy := processor(b)
			for i := 0; b.Loop(); i++ {
				change(i%2 == 0)
				table.apply(b, s)
			}
			b.ReportMetric(float64(processor(b)-busy)/float64(time.Millisecond)/float64(b.N), "cpu-ms/op")
			change(false)
		})
	}
	toggled("a pod more, a pod less", func(there bool) {
		p := crowdPod(100)
		if delete(s.Pods, p.Key); there {
			s.Pods[p.Key] = p
		}
	})
	toggled("a policy more, a policy less", func(there bool) {
		p := crowdPolicy(200)
		if delete(s.Policies, p.Key); there {
			s.Policies[p.Key] = p
		}
	})
	b.Run("all at once", func(b *testing.B) {
		table := kernel(b)
		busy := processor(b)
		for b.Loop() {
			table.known = false
			table.apply(b, s)
		}
		b.ReportMetric(float64(processor(b)-busy)/float64(time.Millisecond)/float64(b.N), "cpu-ms/op")
		n, elements := table.applied.Size()
		b.ReportMetric(float64(n), "rules")
		b.ReportMetric(float64(elements), "elements")
	})
	b.Run("nothing has changed", func(b *testing.B) {
		table := kernel(b)
		table.apply(b, s)
		for b.Loop() {
			must(b, table.Check())
		}
	})
}

// processor is the time that this process and its children that have ended have used.
func processor(b *testing.B) (t time.Duration) {
	b.Helper()
	for _, who := range []int{unix.RUSAGE_SELF, unix.RUSAGE_CHILDREN} {
		var u unix.Rusage
		must(b, unix.Getrusage(who, &u))
		t += time.Duration(u.Utime.Nano() + u.Stime.Nano())
	}
	return t
}

// BenchmarkPackets compares pods without any table with the same pods in a node with 200 policies on 100 pods: once none of the policies
// applies to the two that talk, once 20 apply to each, of which the last allows what is sent, and once there are 50 ClusterNetworkPolicies
// besides. It alternates between them in short turns and in changing order, and takes the median of the turns, so that what else the
// machine does hits all. cpu-loss-% is by time of the processor, loss-% by the clock, against no table.
func BenchmarkPackets(b *testing.B) {
	table := kernel(b)
	pods := newPods(b, "10.244.1.2", "10.244.1.12") // of the same policies
	pods[0].do(func() { echo(b, ":80"); sink(b, ":81") })
	nft(b, services)
	none, others, s, both := crowd(), crowd(), crowd(), crowd()
	clear(none.Policies)
	for _, k := range []int{0, 10} { // to the pods that talk none applies
		p := crowdPod(k)
		p.Labels = labels.Set{"app": "free"}
		others.Pods[p.Key] = p
	}
	allow := crowdPolicy(0)
	allow.Key.Name = "zzz" // the last
	allow.Ingress, allow.Egress = &rules.Direction{Rules: []rules.Rule{{}}}, &rules.Direction{Rules: []rules.Rule{{}}}
	s.Policies[allow.Key], both.Policies[allow.Key] = allow, allow
	both.ClusterPolicies = map[string]rules.ClusterPolicy{}
	for i := range 50 {
		p := crowdClusterPolicy(b, i)
		both.ClusterPolicies[p.Name] = p
	}
	variants := []struct {
		name  string
		state *rules.State
	}{{"none", none}, {"others", others}, {"policies", s}, {"cluster", both}}
	compare := func(name string, talk func(net.Conn, int), to string) {
		b.Run(name, func(b *testing.B) {
			var c net.Conn
			if to != "" {
				var err error
				c, err = pods[1].dial(to, true)
				must(b, err)
				defer func() { _ = c.Close() }()
			}
			took, busy := make([][]float64, len(variants)), make([][]float64, len(variants))
			for turn := 0; b.Loop(); turn++ {
				for k := range variants {
					k = (k + turn) % len(variants)
					table.apply(b, variants[k].state)
					talk(c, 1) // the first packets are judged
					began, used := time.Now(), processor(b)
					talk(c, 10)
					took[k] = append(took[k], float64(time.Since(began)))
					busy[k] = append(busy[k], float64(processor(b)-used))
				}
			}
			for k, v := range variants[1:] {
				b.ReportMetric(loss(took[0], took[k+1]), v.name+"-loss-%")
				b.ReportMetric(loss(busy[0], busy[k+1]), v.name+"-cpu-loss-%")
			}
			b.ReportMetric(0, "ns/op")
		})
	}
	data, answer := make([]byte, 1<<20), make([]byte, 1)
	compare("a stream", func(c net.Conn, n int) {
		for range 8 * n {
			_, err := c.Write(data)
			must(b, err)
		}
	}, "10.244.1.2:81")
	compare("requests and answers", func(c net.Conn, n int) {
		for range 100 * n {
			_, err := c.Write(answer)
			must(b, err)
			_, err = c.Read(answer)
			must(b, err)
		}
	}, "10.244.1.2:80")
	compare("connections", func(_ net.Conn, n int) {
		pods[1].do(func() {
			for range 30 * n {
				c, err := net.Dial("tcp", "10.244.1.2:80")
				must(b, err)
				if t, ok := c.(*net.TCPConn); ok {
					_ = t.SetLinger(0) // no port stays in use
				}
				_ = c.Close()
			}
		})
	}, "")
}

// loss is by how many percent the turns of one variant are longer than those of another that were next to them: the median.
func loss(base, of []float64) float64 {
	list := make([]float64, len(of))
	for i := range of {
		list[i] = 100 * (of[i]/base[i] - 1)
	}
	slices.Sort(list)
	return list[len(list)/2]
}

// crowdClusterPolicy is one of many about which pods of the same labels may talk, none of which is about the two that do.
func crowdClusterPolicy(b *testing.B, i int) rules.ClusterPolicy {
	b.Helper()
	o := &policyv1beta1.ClusterNetworkPolicy{ObjectMeta: metav1.ObjectMeta{Name: fmt.Sprint("cluster-", i)}}
	must(b, yaml.UnmarshalStrict(fmt.Appendf(nil, `{tier: Admin, priority: %d, subject: {namespaces: {}},
		ingress: [{action: Deny, from: [{namespaces: {matchLabels: {team: none}}}], protocols: [{tcp: {destinationPort: {number: %d}}}]}],
		egress: [{action: Deny, to: [{networks: [198.51.%d.0/24]}]}]}`, i, 9000+i, i), &o.Spec))
	p, err := rules.ClusterPolicyOf(o)
	must(b, err)
	return p
}

// sink reads and forgets.
func sink(b *testing.B, at string) {
	l, err := net.Listen("tcp", at)
	must(b, err)
	b.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() { _, _ = io.Copy(io.Discard, c) }()
		}
	}()
}

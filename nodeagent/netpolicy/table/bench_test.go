package table

import (
	"fmt"
	"io"
	"net"
	"net/netip"
	"testing"
	"time"

	"golang.org/x/sys/unix"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/util/intstr"

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

// BenchmarkPackets compares pods without policies with pods to each of which 20 of 200 policies apply, of which the last allows what
// is sent. It alternates between them, so that what else the machine does hits both. loss-% is by time, cpu-loss-% by processor.
func BenchmarkPackets(b *testing.B) {
	table := kernel(b)
	pods := newPods(b, "10.244.1.2", "10.244.1.12") // of the same policies
	pods[0].do(func() { echo(b, ":80"); sink(b, ":81") })
	nft(b, services)
	s, none := crowd(), crowd()
	clear(none.Policies)
	allow := crowdPolicy(0)
	allow.Key.Name = "zzz" // the last
	allow.Ingress, allow.Egress = &rules.Direction{Rules: []rules.Rule{{}}}, &rules.Direction{Rules: []rules.Rule{{}}}
	s.Policies[allow.Key] = allow
	compare := func(name, to string, talk func(net.Conn)) {
		b.Run(name, func(b *testing.B) {
			c, err := pods[1].dial(to, true)
			must(b, err)
			defer func() { _ = c.Close() }()
			var took, busy [2]time.Duration
			for b.Loop() {
				for i, state := range []*rules.State{none, s} {
					table.apply(b, state)
					began, used := time.Now(), processor(b)
					talk(c)
					took[i] += time.Since(began)
					busy[i] += processor(b) - used
				}
			}
			b.ReportMetric(100*(float64(took[1])/float64(took[0])-1), "loss-%")
			b.ReportMetric(100*(float64(busy[1])/float64(busy[0])-1), "cpu-loss-%")
		})
	}
	data, answer := make([]byte, 1<<20), make([]byte, 1)
	compare("a stream", "10.244.1.2:81", func(c net.Conn) {
		for range 256 {
			_, err := c.Write(data)
			must(b, err)
		}
	})
	compare("requests and answers", "10.244.1.2:80", func(c net.Conn) {
		for range 5000 {
			_, err := c.Write(answer)
			must(b, err)
			_, err = c.Read(answer)
			must(b, err)
		}
	})
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

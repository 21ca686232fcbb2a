package why

import (
	"context"
	"net/netip"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/client-go/kubernetes/fake"

	"bonsai/bootstrap/cluster"
	"bonsai/bootstrap/fault"
)

var nodes = []cluster.Node{
	{Name: "dev-1", IP: netip.MustParseAddr("10.201.0.10"), PodCIDR: netip.MustParsePrefix("10.244.1.0/24")},
	{Name: "dev-2", IP: netip.MustParseAddr("10.201.0.11"), PodCIDR: netip.MustParsePrefix("10.244.2.0/24")},
}

// shop is a cluster with a pod web, which asks, and a pod db with Services.
type shop struct {
	objects []runtime.Object
	names   map[string]string // answers of DNS
	noDNS   bool
	// denies are the policies that stop a packet, by node, direction and protocol: "dev-1 egress TCP".
	denies    map[string][]cluster.PolicyWords
	stopped   bool // nothing is enforced
	listening map[string][]cluster.Listening
	probe     cluster.ProbeResult
	probed    []cluster.ProbeQuestion
}

func pod(name, ip, node string, change ...func(*corev1.Pod)) *corev1.Pod {
	p := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: name, UID: types.UID(name), Labels: map[string]string{"app": name}},
		Spec:       corev1.PodSpec{NodeName: node, Containers: []corev1.Container{{Name: "main", Ports: []corev1.ContainerPort{{Name: "pg", ContainerPort: 5432}}}}},
		Status: corev1.PodStatus{
			Phase: corev1.PodRunning, PodIP: ip, Conditions: []corev1.PodCondition{{Type: corev1.PodReady, Status: corev1.ConditionTrue}},
		},
	}
	for _, f := range change {
		f(p)
	}
	return p
}

func service(name, ip string, change ...func(*corev1.Service)) *corev1.Service {
	s := &corev1.Service{
		ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: name},
		Spec: corev1.ServiceSpec{
			ClusterIP: ip, Selector: map[string]string{"app": "db"},
			Ports: []corev1.ServicePort{{Name: "sql", Port: 80, TargetPort: intstr.FromInt32(5432), Protocol: corev1.ProtocolTCP}},
		},
	}
	for _, f := range change {
		f(s)
	}
	return s
}

func slice(of, ip, pod string, ready bool) *discoveryv1.EndpointSlice {
	return &discoveryv1.EndpointSlice{
		ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: of + "-x", Labels: map[string]string{discoveryv1.LabelServiceName: of}},
		Ports:      []discoveryv1.EndpointPort{{Name: new("sql"), Port: new(int32(5432)), Protocol: new(corev1.ProtocolTCP)}},
		Endpoints: []discoveryv1.Endpoint{{
			Addresses: []string{ip}, Conditions: discoveryv1.EndpointConditions{Ready: &ready}, NodeName: new("dev-2"), TargetRef: &corev1.ObjectReference{Kind: "Pod", Name: pod},
		}},
	}
}

func newShop() *shop {
	return &shop{
		objects: []runtime.Object{
			pod("web", "10.244.1.5", "dev-1"), pod("db", "10.244.2.9", "dev-2"), service("db", "10.96.0.7"), slice("db", "10.244.2.9", "db", true),
			service("typo", "10.96.0.8", func(s *corev1.Service) { s.Spec.Selector["app"] = "bd" }),
			service("named", "10.96.0.9", func(s *corev1.Service) { s.Spec.Ports[0].TargetPort = intstr.FromString("http") }),
			service("late", "10.96.0.10", func(s *corev1.Service) { s.Spec.Selector["app"] = "late" }), slice("late", "10.244.2.10", "late", false),
			pod("late", "10.244.2.10", "dev-2", func(p *corev1.Pod) {
				p.Status.Conditions[0].Status, p.Status.Conditions[0].Message = corev1.ConditionFalse, "containers with unready status: [main]"
			}),
			pod("waiting", "", "dev-1", func(p *corev1.Pod) { p.Status.Phase = corev1.PodPending }),
		},
		names:     map[string]string{"db": "10.96.0.7", "db.shop.svc.cluster.local.": "10.96.0.7", "example.test": "192.0.2.1"},
		listening: map[string][]cluster.Listening{"db": {{Protocol: "TCP", Port: 5432}, {Protocol: "TCP", Port: 99, Inside: true}}},
		probe:     cluster.ProbeResult{Outcome: cluster.ProbeConnected},
	}
}

func (s *shop) JudgePolicies(_ context.Context, n cluster.Node, q cluster.PolicyQuestion) (a cluster.PolicyAnswer, err error) {
	if s.stopped {
		return cluster.PolicyAnswer{Phase: cluster.PhaseStopped}, nil
	}
	a.Phase = cluster.PhaseRunning
	if list, ok := s.denies[n.Name+" egress "+q.Proto]; ok {
		a.Egress = &cluster.PolicyJudgement{Policies: list}
	}
	if list, ok := s.denies[n.Name+" ingress "+q.Proto]; ok {
		a.Ingress = &cluster.PolicyJudgement{Policies: list}
	}
	return a, nil
}

func (s *shop) Listening(_ context.Context, _ cluster.Node, uid string) ([]cluster.Listening, error) {
	return s.listening[uid], nil
}

func (s *shop) Probe(_ context.Context, n cluster.Node, q cluster.ProbeQuestion) (cluster.ProbeResult, error) {
	s.probed = append(s.probed, q)
	return s.probe, nil
}

func (s *shop) lookup(_ context.Context, q cluster.DNSQuestion) (a cluster.DNSAnswer, err error) {
	step := cluster.DNSStep{Name: q.Name, Type: "A", Rcode: "NXDOMAIN", Rule: "namespace shop has no such Service"}
	if ip, ok := s.names[q.Name]; ok {
		step = cluster.DNSStep{Name: q.Name, Type: "A", Rcode: "NOERROR", Answers: []string{strings.TrimSuffix(q.Name, ".") + ".\t5\tIN\tA\t" + ip}}
	}
	a.Steps = append(a.Steps, step)
	return a, nil
}

func (s *shop) ask(t *testing.T, q cluster.WhyQuestion) (cluster.Why, error) {
	t.Helper()
	return New(Options{
		Cluster: "dev", Nodes: func() []cluster.Node { return nodes }, DNSServer: netip.MustParseAddr("10.96.0.10"), Client: fake.NewClientset(s.objects...), Agents: s,
		Lookup: func() func(context.Context, cluster.DNSQuestion) (cluster.DNSAnswer, error) {
			if s.noDNS {
				return nil
			}
			return s.lookup
		},
	}).Why(t.Context(), q)
}

func TestTheWayEndsWhereItEnds(t *testing.T) {
	deny := []cluster.PolicyWords{{Namespace: "shop", Name: "deny", Allows: "no ingress"}}
	nobody := []cluster.PolicyWords{{Name: "tenants", Denies: "ingress from all pods of all namespaces", Rule: "others"}}
	timeout := cluster.ProbeResult{Outcome: cluster.ProbeTimeout}
	for name, test := range map[string]struct {
		q      cluster.WhyQuestion
		change func(*shop)
		ends   cluster.WhyTopic // "" if it is reached
		saw    string
		more   string
	}{
		"by name":             {q: cluster.WhyQuestion{To: "db"}},
		"by Service":          {q: cluster.WhyQuestion{To: "shop/db", Port: "sql"}},
		"by kind":             {q: cluster.WhyQuestion{To: "svc/db", Port: "80"}},
		"by pod":              {q: cluster.WhyQuestion{To: "pod/db", Port: "pg"}},
		"by address":          {q: cluster.WhyQuestion{To: "10.96.0.7:80"}},
		"by address of a pod": {q: cluster.WhyQuestion{To: "10.244.2.9", Port: "5432"}},
		"itself":              {q: cluster.WhyQuestion{From: "shop/db", To: "127.0.0.1:99"}},
		"outside":             {q: cluster.WhyQuestion{To: "example.test", Port: "443"}},
		"without DNS":         {q: cluster.WhyQuestion{To: "shop/db"}, change: func(s *shop) { s.noDNS = true }},
		"nothing is enforced": {q: cluster.WhyQuestion{To: "db"}, change: func(s *shop) { s.stopped = true }},
		"a pod that waits":    {q: cluster.WhyQuestion{From: "shop/waiting", To: "db"}, ends: cluster.WhySource, saw: "pod shop/waiting does not run: it is Pending"},
		"no such name":        {q: cluster.WhyQuestion{To: "dbb"}, ends: cluster.WhyName, saw: "cluster DNS has no address for dbb", more: "namespace shop has no such Service"},
		"no DNS":              {q: cluster.WhyQuestion{To: "db"}, change: func(s *shop) { s.noDNS = true }, ends: cluster.WhyName, saw: "cluster DNS is disabled"},
		"DNS is denied":       {q: cluster.WhyQuestion{To: "db"}, change: func(s *shop) { s.denies = map[string][]cluster.PolicyWords{"dev-1 egress UDP": deny} }, ends: cluster.WhyName, saw: "NetworkPolicy shop/deny does not let the pod ask cluster DNS"},
		"no such Service":     {q: cluster.WhyQuestion{To: "shop/dbs"}, ends: cluster.WhyService, saw: "there is neither a Service nor a pod shop/dbs; meant db?"},
		"nobody's address":    {q: cluster.WhyQuestion{To: "10.244.2.77", Port: "80"}, ends: cluster.WhyService, saw: "10.244.2.77 is an address of the cluster that nothing has"},
		"no such port":        {q: cluster.WhyQuestion{To: "shop/db", Port: "81"}, ends: cluster.WhyPort, saw: "Service shop/db has no port 81 TCP", more: "it has 80/TCP (sql)"},
		"no such port of UDP": {q: cluster.WhyQuestion{To: "shop/db", UDP: true}, ends: cluster.WhyPort, saw: "has no port UDP"},
		"which port":          {q: cluster.WhyQuestion{To: "192.0.2.1"}, ends: cluster.WhyPort, saw: "it is not known which port is meant"},
		"selects nothing":     {q: cluster.WhyQuestion{To: "10.96.0.8:80"}, ends: cluster.WhyEndpoints, saw: "it selects no pod: none has app=bd", more: "pods there have app=db"},
		"a name of no port":   {q: cluster.WhyQuestion{To: "10.96.0.9:80"}, ends: cluster.WhyEndpoints, saw: "it leads to the port named http, and no pod declares one", more: "5432 pg"},
		"nobody is ready":     {q: cluster.WhyQuestion{To: "10.96.0.10:80"}, ends: cluster.WhyEndpoints, saw: "none of its 1 pods is ready", more: "containers with unready status"},
		"egress is denied":    {q: cluster.WhyQuestion{To: "shop/db"}, change: func(s *shop) { s.denies, s.probe = map[string][]cluster.PolicyWords{"dev-1 egress TCP": deny}, timeout }, ends: cluster.WhyEgress, saw: "NetworkPolicy shop/deny does not let it out", more: "deny allows no ingress"},
		"ingress is denied": {q: cluster.WhyQuestion{To: "db"}, change: func(s *shop) {
			s.denies, s.probe = map[string][]cluster.PolicyWords{"dev-2 ingress TCP": deny}, timeout
		}, ends: cluster.WhyIngress, saw: "NetworkPolicy shop/deny does not let it in", more: "pod shop/web has app=web"},
		"denied for the whole cluster": {q: cluster.WhyQuestion{To: "db"}, change: func(s *shop) {
			s.denies, s.probe = map[string][]cluster.PolicyWords{"dev-2 ingress TCP": nobody}, timeout
		}, ends: cluster.WhyIngress, saw: "ClusterNetworkPolicy tenants does not let it in", more: "tenants denies ingress from all pods of all namespaces (rule others)"},
		"nobody listens":  {q: cluster.WhyQuestion{To: "pod/db", Port: "80"}, change: func(s *shop) { s.probe.Outcome = cluster.ProbeRefused }, ends: cluster.WhyListener, saw: "nothing listens on port 80", more: "pod db listens on 5432"},
		"listens inside":  {q: cluster.WhyQuestion{To: "pod/db", Port: "99"}, change: func(s *shop) { s.probe.Outcome = cluster.ProbeRefused }, ends: cluster.WhyListener, saw: "nothing listens on port 99", more: "127.0.0.1 only"},
		"refused outside": {q: cluster.WhyQuestion{To: "192.0.2.1:80"}, change: func(s *shop) { s.probe.Outcome = cluster.ProbeRefused }, ends: cluster.WhyConnect, saw: "192.0.2.1:80 refuses connections"},
		"it says nothing": {q: cluster.WhyQuestion{To: "http://db:80/x"}, change: func(s *shop) { s.probe.NoAnswer = "nothing came back" }, ends: cluster.WhyAnswer, saw: "no answer to GET /x: nothing came back"},
		"it answers":      {q: cluster.WhyQuestion{To: "http://db/x?y=1"}, change: func(s *shop) { s.probe.Status = "503 Service Unavailable" }},
	} {
		t.Run(name, func(t *testing.T) {
			s := newShop()
			if test.change != nil {
				test.change(s)
			}
			if test.q.From == "" {
				test.q.From = "shop/web"
			}
			w, err := s.ask(t, test.q)
			if err != nil {
				t.Fatal(err)
			}
			if w.Ends != test.ends || w.Reaches != (test.ends == "") {
				t.Fatalf("it ends at %q, reaches %v: %+v", w.Ends, w.Reaches, w.Steps)
			}
			step, ok := w.Step(w.Ends)
			if test.ends == "" {
				if connect, ok := w.Step(cluster.WhyConnect); !ok || connect.State != cluster.WhyOK || len(s.probed) != 1 || "shop/"+s.probed[0].Pod != test.q.From {
					t.Errorf("it is reached without a connection: %+v, %+v", w.Steps, s.probed)
				}
				return
			}
			if !ok || !strings.Contains(step.Saw, test.saw) || !strings.Contains(strings.Join(step.More, "\n"), test.more) {
				t.Errorf("it saw %q, %q", step.Saw, step.More)
			}
			for _, a := range step.Advice {
				for _, c := range a.Commands {
					if c.Cluster != "dev" {
						t.Errorf("%s is for no cluster", c)
					}
				}
			}
		})
	}
}

// TestAConnectionIsTheTruth: what seems to be in its way was not.
func TestAConnectionIsTheTruth(t *testing.T) {
	s := newShop()
	s.listening = nil
	w, err := s.ask(t, cluster.WhyQuestion{From: "shop/web", To: "shop/db"})
	if err != nil || !w.Reaches || w.Ends != "" {
		t.Fatalf("%+v, %v", w, err)
	}
	if l, _ := w.Step(cluster.WhyListener); l.State != cluster.WhyDoubtful {
		t.Errorf("the listener is %+v", l)
	}
}

func TestTheRequestThatIsSent(t *testing.T) {
	s := newShop()
	s.probe.Status = "200 OK"
	if _, err := s.ask(t, cluster.WhyQuestion{From: "shop/web", To: "http://db.shop.svc.cluster.local./healthz"}); err != nil {
		t.Fatal(err)
	}
	want := cluster.ProbeQuestion{Pod: "web", To: netip.MustParseAddrPort("10.96.0.7:80"), Path: "/healthz", Host: "db.shop.svc.cluster.local"}
	if len(s.probed) != 1 || s.probed[0] != want {
		t.Errorf("it sends %+v", s.probed)
	}
}

func TestEndsThatCannotBeFound(t *testing.T) {
	for _, test := range []struct {
		from, to string
		kind     fault.Kind
	}{
		{"shop/nobody", "db", fault.ObjectNotFound},
		{"shop/deploy/nothing", "db", fault.ObjectNotFound},
		{"shop/web", "pod/nobody", fault.ObjectNotFound},
		{"a/b/c/d", "db", fault.Usage},
		{"shop/thing/web", "db", fault.Usage},
		{"/", "db", fault.Usage},
		{"shop/web", "two words", fault.Usage},
		{"shop/web", "http://", fault.Usage},
	} {
		if _, err := newShop().ask(t, cluster.WhyQuestion{From: test.from, To: test.to}); fault.KindOf(err) != test.kind {
			t.Errorf("from %s to %s: %v", test.from, test.to, err)
		}
	}
}

func TestAPodOfAWorkload(t *testing.T) {
	s := newShop()
	owned := func(p *corev1.Pod) {
		p.Labels["pod-template-hash"] = "7d9f4"
		p.OwnerReferences = []metav1.OwnerReference{{Kind: "ReplicaSet", Name: "front-7d9f4", Controller: new(true)}}
	}
	broken := func(p *corev1.Pod) { p.Status.Conditions[0].Status = corev1.ConditionFalse }
	s.objects = append(s.objects, pod("front-7d9f4-a", "10.244.1.20", "dev-1", owned, broken), pod("front-7d9f4-b", "10.244.1.21", "dev-1", owned))
	for _, from := range []string{"shop/front", "deploy/front", "shop/deployment/front"} {
		w, err := s.ask(t, cluster.WhyQuestion{From: from, To: "shop/db", Namespace: "shop"})
		if err != nil || w.From.Name != "front-7d9f4-b" || w.From.Workload != "deployment/front" {
			t.Errorf("%s is %+v, %v", from, w.From, err)
		}
	}
}

// FuzzEnds: whatever is typed is found, or said to be wrong.
func FuzzEnds(f *testing.F) {
	for _, text := range []string{"db", "a/b/c", "http://x:99999/y", "[::1]:80", "10.0.0.1:", "svc/", "://", ":80"} {
		f.Add(text, text)
	}
	f.Fuzz(func(t *testing.T, from, to string) {
		s := newShop()
		_, _ = s.ask(t, cluster.WhyQuestion{From: from, To: to})
		_, _ = s.ask(t, cluster.WhyQuestion{From: "shop/web", To: to})
	})
}

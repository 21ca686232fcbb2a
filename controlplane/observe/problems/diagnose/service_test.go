package diagnose

import (
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"bonsai/bootstrap/cluster"
)

// service is one in namespace shop, a minute old, with a port 80.
func service(name string, selector map[string]string, change ...func(*corev1.Service)) *corev1.Service {
	s := &corev1.Service{
		ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: name, CreationTimestamp: ago(time.Minute)},
		Spec: corev1.ServiceSpec{
			Type: corev1.ServiceTypeClusterIP, Selector: selector,
			Ports: []corev1.ServicePort{{Protocol: corev1.ProtocolTCP, Port: 80, TargetPort: intstr.FromInt(80)}},
		},
	}
	for _, f := range change {
		f(s)
	}
	return s
}

// to lets the Service's port lead to another one.
func to(target intstr.IntOrString) func(*corev1.Service) {
	return func(s *corev1.Service) { s.Spec.Ports[0].TargetPort = target }
}

// server is a ready pod shop/web with the label app=web.
func server(change ...func(*corev1.Pod)) *corev1.Pod {
	return pod("web", append([]func(*corev1.Pod){alone("web"), func(p *corev1.Pod) {
		p.Labels = map[string]string{"app": "web"}
		p.Status.Conditions = append(p.Status.Conditions, corev1.PodCondition{Type: corev1.PodReady, Status: corev1.ConditionTrue, LastTransitionTime: ago(time.Minute)})
	}}, change...)...)
}

func labelled(pairs ...string) func(*corev1.Pod) {
	return func(p *corev1.Pod) {
		p.Labels = map[string]string{}
		for i := 0; i < len(pairs); i += 2 {
			p.Labels[pairs[i]] = pairs[i+1]
		}
	}
}

func TestServicesThatSelectNobody(t *testing.T) {
	const object = "service/shop/typo"
	meant := func(wrong, right, cause, command string) []want {
		return []want{{cluster.ProblemService, object, "selects no pod: none has " + wrong + "; meant " + right + "?", cause, command}}
	}
	set := func(replicas int32) func(*State) {
		return func(s *State) {
			rs := replicaSet(replicas, 0, "")
			rs.Spec.Template.Labels = map[string]string{"app": "cart", "tier": "front"}
			s.ReplicaSets = append(s.ReplicaSets, rs)
		}
	}
	for name, test := range map[string]struct {
		selector map[string]string
		pod      *corev1.Pod
		change   func(*corev1.Service)
		state    func(*State)
		wants    []want
	}{
		"slip in a value": {
			selector: map[string]string{"app": "wbe"}, pod: server(),
			wants: meant("app=wbe", "app=web", "app=web is a label of 1 pod", "bonsai kubectl -p dev -- set selector service typo app=web -n shop"),
		},
		"slip in one of two": {
			selector: map[string]string{"app": "wbe", "tier": "front"}, pod: server(labelled("app", "web", "tier", "front")),
			wants: meant("app=wbe", "app=web", "app=web is a label of 1 pod", "set selector service typo app=web,tier=front -n shop"),
		},
		"another value": {
			selector: map[string]string{"app": "web", "track": "green"}, pod: server(labelled("app", "web", "track", "blue")),
			wants: meant("track=green", "track=blue", "", "set selector service typo app=web,track=blue"),
		},
		"another key": {
			selector: map[string]string{"app.kubernetes.io/name": "web"}, pod: server(),
			wants: meant("app.kubernetes.io/name=web", "app=web", "", "set selector service typo app=web -n shop"),
		},
		"nothing like it": {
			selector: map[string]string{"app": "payments"}, pod: server(),
			wants: []want{{cluster.ProblemService, object, "selects no pod: none has app=payments", "none of the 1 pod in namespace shop has such labels", "get pods -n shop --show-labels"}},
		},
		"in another namespace": {
			selector: map[string]string{"app": "web"}, pod: server(func(p *corev1.Pod) { p.Namespace = "default" }),
			wants: []want{{cluster.ProblemService, object, "selects no pod: none has app=web", "pods with these labels are in namespace default", "edit service typo -n shop"}},
		},
		"no pods at all": {
			selector: map[string]string{"app": "web"}, pod: server(func(p *corev1.Pod) { p.Namespace = "default"; p.Labels = nil }),
			wants: []want{{cluster.ProblemService, object, "selects no pod: none has app=web", "namespace shop has no pods", ""}},
		},
		"the pod has ended": {
			selector: map[string]string{"app": "web"}, pod: server(func(p *corev1.Pod) { p.Status.Phase = corev1.PodSucceeded }),
			wants: []want{{cluster.ProblemService, object, "selects no pod: none has app=web", "", ""}},
		},
		"kept for a rollback": {
			selector: map[string]string{"app": "cart", "tier": "front"}, pod: server(), state: func(s *State) {
				set(0)(s)
				now := replicaSet(1, 1, "")
				now.Name, now.UID = "cart-2", "rs2"
				s.ReplicaSets = append(s.ReplicaSets, now)
			},
			wants: []want{{cluster.ProblemService, object, "selects no pod: none has app=cart and tier=front", "", ""}},
		},
		"new":                     {selector: map[string]string{"app": "wbe"}, pod: server(), change: func(s *corev1.Service) { s.CreationTimestamp = ago(time.Second) }},
		"without a selector":      {pod: server()},
		"a name of something":     {selector: map[string]string{"app": "wbe"}, pod: server(), change: func(s *corev1.Service) { s.Spec.Type = corev1.ServiceTypeExternalName }},
		"is being deleted":        {selector: map[string]string{"app": "wbe"}, pod: server(), change: func(s *corev1.Service) { s.DeletionTimestamp = new(ago(0)) }},
		"scaled to zero":          {selector: map[string]string{"app": "cart"}, pod: server(), state: set(0)},
		"its pods are not made":   {selector: map[string]string{"app": "cart"}, pod: server(), state: set(3)},
		"StatefulSet of no pods":  {selector: map[string]string{"app": "db"}, pod: server(), state: func(s *State) { s.StatefulSets = []*appsv1.StatefulSet{statefulDB()} }},
		"its pod is just ending":  {selector: map[string]string{"app": "web"}, pod: server(func(p *corev1.Pod) { p.DeletionTimestamp = new(ago(0)) })},
		"it selects one, ready":   {selector: map[string]string{"app": "web"}, pod: server(), change: noPorts},
		"its namespace is ending": {selector: map[string]string{"app": "wbe"}, pod: server(), state: func(s *State) { s.Namespaces[2].DeletionTimestamp = new(ago(0)) }},
	} {
		t.Run(name, func(t *testing.T) {
			s := world()
			one := service("typo", test.selector)
			if test.change != nil {
				test.change(one)
			}
			s.Services, s.Pods = append(s.Services, one), []*corev1.Pod{test.pod}
			if test.state != nil {
				test.state(&s)
			}
			check(t, s, test.wants...)
		})
	}
}

func noPorts(s *corev1.Service) { s.Spec.Ports = nil }

func statefulDB() *appsv1.StatefulSet {
	return &appsv1.StatefulSet{
		ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "db"},
		Spec: appsv1.StatefulSetSpec{
			Replicas: new(int32(0)), Template: corev1.PodTemplateSpec{ObjectMeta: metav1.ObjectMeta{Labels: map[string]string{"app": "db"}}},
		},
	}
}

func unready(since time.Duration, message string) func(*corev1.Pod) {
	return func(p *corev1.Pod) {
		c := &p.Status.Conditions[len(p.Status.Conditions)-1]
		c.Status, c.LastTransitionTime, c.Message = corev1.ConditionFalse, ago(since), message
	}
}

func TestServicesWithoutAReadyPod(t *testing.T) {
	s := world()
	s.Services = append(s.Services, service("web", map[string]string{"app": "web"}))
	gated := server(unready(5*time.Minute, `corresponding condition of pod readiness gate "x" does not exist.`))
	s.Pods = []*corev1.Pod{gated}
	check(t, s, want{
		cluster.ProblemService, "service/shop/web", "leads nowhere: none of its 1 pod is ready", `pod web: corresponding condition of pod readiness gate "x"`,
		"describe pods -n shop -l app=web",
	})
	s.Services[len(s.Services)-1].Spec.PublishNotReadyAddresses = true
	check(t, s)

	// A pod with a problem of its own says it, and the Service does not repeat it.
	s.Services[len(s.Services)-1].Spec.PublishNotReadyAddresses = false
	crashing := server(unready(5*time.Minute, ""), looping(1, "Error"))
	s.Pods = []*corev1.Pod{crashing}
	r := check(t, s, want{cluster.ProblemCrash, "pod/shop/web", "the container exits with 1, 4 times so far", "", ""})
	if e := r.Problems[0].Evidence; len(e) == 0 || e[len(e)-1] != "no pod of Service web is ready, so nobody answers there" {
		t.Errorf("the evidence is %q", e)
	}

	// For a moment nothing is ready, such as during a restart.
	for _, p := range []*corev1.Pod{server(unready(5*time.Second, "")), server(unready(5*time.Minute, ""), func(p *corev1.Pod) { p.DeletionTimestamp = new(ago(0)) })} {
		s.Pods = []*corev1.Pod{p}
		check(t, s)
	}
	s.Pods = []*corev1.Pod{gated}
	s.Begun = ago(10 * time.Second).Time // the cluster was stopped until then
	check(t, s)
}

func TestNamedTargetPorts(t *testing.T) {
	declare := func(ports ...corev1.ContainerPort) func(*corev1.Pod) {
		return func(p *corev1.Pod) { p.Spec.Containers[0].Ports = ports }
	}
	web := corev1.ContainerPort{Name: "web", ContainerPort: 8080, Protocol: corev1.ProtocolTCP}
	const summary = "port 80 leads to http, which no pod has"
	for name, test := range map[string]struct {
		pods  []*corev1.Pod
		wants []want
	}{
		"one other": {[]*corev1.Pod{server(declare(web))}, []want{{
			cluster.ProblemTarget, "service/shop/web", summary, "no container of pod web declares a port of that name; declared: web (8080)",
			`patch service web -n shop --type=json -p '[{"op":"replace","path":"/spec/ports/0/targetPort","value":8080}]'`,
		}}},
		"similar name": {[]*corev1.Pod{server(declare(corev1.ContainerPort{Name: "htpp", ContainerPort: 8080}, corev1.ContainerPort{ContainerPort: 9}))}, []want{{
			cluster.ProblemTarget, "service/shop/web", summary + "; meant htpp?", "declared: 9 and htpp (8080)", "edit service web -n shop",
		}}},
		"of another protocol": {[]*corev1.Pod{server(declare(corev1.ContainerPort{Name: "http", ContainerPort: 8080, Protocol: corev1.ProtocolUDP}))}, []want{{
			cluster.ProblemTarget, "service/shop/web", summary, "declares a port; without a name", "edit service web -n shop",
		}}},
		"one of two pods, in a rollout": {pods: []*corev1.Pod{server(declare(web)), server(alone("other"), labelled("app", "web"), declare(corev1.ContainerPort{Name: "http", ContainerPort: 80}))}},
		"of a sidecar": {pods: []*corev1.Pod{server(func(p *corev1.Pod) {
			p.Spec.InitContainers = []corev1.Container{{Name: "proxy", RestartPolicy: new(corev1.ContainerRestartPolicyAlways), Ports: []corev1.ContainerPort{{Name: "http", ContainerPort: 80}}}}
		})}},
	} {
		t.Run(name, func(t *testing.T) {
			s := world()
			s.Services, s.Pods = append(s.Services, service("web", map[string]string{"app": "web"}, to(intstr.FromString("http")))), test.pods
			check(t, s, test.wants...)
		})
	}
}

// answersPorts answers all questions for ports in the same way.
func answersPorts(s *State, ports ...cluster.Listening) (asked int) {
	s.Answers = map[Question]Answer{}
	for {
		n := 0
		for _, q := range Workloads(*s).Questions {
			if _, known := s.Answers[q]; q.Topic != Listening || known {
				continue
			}
			a := Answer{Ports: ports}
			for _, l := range ports {
				a.Found = a.Found || int32(l.Port) == q.Port && l.Protocol == q.Protocol && !l.Inside
			}
			s.Answers[q] = a
			n++
		}
		if asked += n; n == 0 {
			return asked
		}
	}
}

func TestPortsWhereNothingListens(t *testing.T) {
	const summary = "port 80 leads to 80, where nothing listens"
	tcp := func(port uint16) cluster.Listening { return cluster.Listening{Protocol: "TCP", Port: port} }
	for name, test := range map[string]struct {
		pods   []*corev1.Pod
		change func(*corev1.Service)
		ports  []cluster.Listening
		asked  int
		wants  []want
	}{
		"another port": {ports: []cluster.Listening{tcp(8080)}, asked: 1, wants: []want{{
			cluster.ProblemTarget, "service/shop/web", summary, "pod web listens on 8080",
			`patch service web -n shop --type=json -p '[{"op":"replace","path":"/spec/ports/0/targetPort","value":8080}]'`,
		}}},
		"several": {ports: []cluster.Listening{tcp(8080), tcp(9090)}, asked: 1, wants: []want{{
			cluster.ProblemTarget, "service/shop/web", summary, "pod web listens on 8080 and 9090", "edit service web -n shop",
		}}},
		"loopback only": {ports: []cluster.Listening{{Protocol: "TCP", Port: 80, Inside: true}}, asked: 1, wants: []want{{
			cluster.ProblemTarget, "service/shop/web", summary, "pod web listens on it at 127.0.0.1 only", "0.0.0.0",
		}}},
		"none at all": {asked: 1, wants: []want{{cluster.ProblemTarget, "service/shop/web", summary, "pod web listens on no port at all", "logs web -n shop"}}},
		"UDP": {
			change: func(s *corev1.Service) { s.Spec.Ports[0].Protocol = corev1.ProtocolUDP }, ports: []cluster.Listening{tcp(80)}, asked: 1,
			wants: []want{{cluster.ProblemTarget, "service/shop/web", "port 80 (UDP) leads to 80, where nothing listens", "no port at all", ""}},
		},
		"several pods": {
			pods:  []*corev1.Pod{server(), server(alone("b"), labelled("app", "web")), server(alone("c"), labelled("app", "web")), server(alone("d"), labelled("app", "web"))},
			ports: []cluster.Listening{tcp(8080)}, asked: maxPodsAsked,
			wants: []want{{cluster.ProblemTarget, "service/shop/web", summary, "pod b listens on 8080", ""}},
		},
		"it listens":               {ports: []cluster.Listening{tcp(80)}, asked: 1},
		"SCTP":                     {change: func(s *corev1.Service) { s.Spec.Ports[0].Protocol = corev1.ProtocolSCTP }},
		"headless":                 {change: func(s *corev1.Service) { s.Spec.ClusterIP = corev1.ClusterIPNone }},
		"its Service is new":       {change: func(s *corev1.Service) { s.CreationTimestamp = ago(time.Second) }},
		"it has just been started": {pods: []*corev1.Pod{server(running(5*time.Second, 0))}},
		"a probe connects to it": {pods: []*corev1.Pod{server(func(p *corev1.Pod) {
			p.Spec.Containers[0].ReadinessProbe = new(httpGet("/", 80))
		})}},
		"it may redirect": {pods: []*corev1.Pod{server(func(p *corev1.Pod) {
			p.Spec.InitContainers = []corev1.Container{{Name: "init", SecurityContext: &corev1.SecurityContext{Capabilities: &corev1.Capabilities{Add: []corev1.Capability{"NET_ADMIN"}}}}}
		})}},
		"its kernel is its own": {pods: []*corev1.Pod{server(func(p *corev1.Pod) { p.Spec.RuntimeClassName = new("gvisor") })}},
	} {
		t.Run(name, func(t *testing.T) {
			s := world()
			one := service("web", map[string]string{"app": "web"})
			if test.change != nil {
				test.change(one)
			}
			if s.Pods = test.pods; s.Pods == nil {
				s.Pods = []*corev1.Pod{server()}
			}
			s.Services = append(s.Services, one)
			check(t, s) // nothing before the answer
			if got := answersPorts(&s, test.ports...); got != test.asked {
				t.Errorf("%d pods are asked, want %d", got, test.asked)
			}
			check(t, s, test.wants...)
			for q := range s.Answers { // a node that does not answer
				s.Answers[q] = Answer{Failed: true}
			}
			check(t, s)
		})
	}
}

// TestPodsAreAskedWithinLimits: a cluster with very many Services is not scanned.
func TestPodsAreAskedWithinLimits(t *testing.T) {
	s := world()
	s.Pods = []*corev1.Pod{server()}
	for i := range 3 * maxListening {
		s.Services = append(s.Services, service("web-"+string(rune('a'+i%26))+string(rune('a'+i/26)), map[string]string{"app": "web"}, to(intstr.FromInt(1000+i))))
	}
	asked := 0
	for _, q := range Workloads(s).Questions {
		if q.Topic == Listening {
			asked++
		}
	}
	if asked != maxListening {
		t.Errorf("%d questions", asked)
	}
}

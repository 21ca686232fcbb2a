package diagnose

import (
	"encoding/json"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	policyv1 "k8s.io/api/policy/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	registrationv1 "k8s.io/kube-aggregator/pkg/apis/apiregistration/v1"

	"bonsai/bootstrap/cluster"
)

// running is a container that has been started again.
func running(since time.Duration, restarts int32) func(*corev1.Pod) {
	return func(p *corev1.Pod) {
		c := &p.Status.ContainerStatuses[0]
		c.State, c.RestartCount = corev1.ContainerState{Running: &corev1.ContainerStateRunning{StartedAt: ago(since)}}, restarts
	}
}

func TestNothingIsWrong(t *testing.T) {
	age := func(d time.Duration) func(*corev1.Pod) {
		return func(p *corev1.Pod) {
			p.CreationTimestamp = ago(d)
			p.Status.Conditions[0].LastTransitionTime = ago(d)
		}
	}
	notReady := probing("readiness", httpGet("/", 80))
	for name, test := range map[string]struct {
		pod   *corev1.Pod
		state func(*State)
	}{
		"runs":                     {pod: pod("a")},
		"has no status yet":        {pod: pod("a", func(p *corev1.Pod) { p.Status = corev1.PodStatus{Phase: corev1.PodPending} })},
		"waits for the scheduler":  {pod: pod("a", func(p *corev1.Pod) { p.Spec.NodeName, p.Status = "", corev1.PodStatus{Phase: corev1.PodPending} })},
		"no room for a moment":     {pod: pod("a", unscheduledFor(2*time.Second, "0/3 nodes are available: 3 Insufficient cpu."))},
		"is held back":             {pod: pod("a", unscheduledFor(time.Hour, "waiting"), func(p *corev1.Pod) { p.Status.Conditions[0].Reason = corev1.PodReasonSchedulingGated })},
		"is created":               {pod: pod("a", age(time.Second), waiting("ContainerCreating", ""))},
		"is created for long":      {pod: pod("a", waiting("ContainerCreating", ""))},
		"pulls":                    {pod: pod("a", waiting("PodInitializing", ""))},
		"config comes a bit later": {pod: pod("a", age(time.Second), waiting("CreateContainerConfigError", `configmap "x" not found`))},
		"not ready in the beginning": {pod: pod("a", running(5*time.Second, 0), notReady), state: func(s *State) {
			s.Events = []*corev1.Event{warning(s.Pods[0], "Unhealthy", "Readiness probe failed: HTTP probe failed with statuscode: 503", 4*time.Second)}
		}},
		"not ready during its initial delay": {pod: pod("a", running(30*time.Second, 0), notReady, func(p *corev1.Pod) { p.Spec.Containers[0].ReadinessProbe.InitialDelaySeconds = 60 })},
		"its startup probe has the say":      {pod: pod("a", notReady, func(p *corev1.Pod) { p.Status.ContainerStatuses[0].Started = new(false) })},
		"was not ready once": {pod: pod("a"), state: func(s *State) {
			s.Pods[0].Spec.Containers[0].ReadinessProbe = &corev1.Probe{}
			s.Events = []*corev1.Event{warning(s.Pods[0], "Unhealthy", "Readiness probe failed: no", 50*time.Second)}
		}},
		"first restart":  {pod: pod("a", looping(1, "Error"), running(time.Second, 1))},
		"recovered":      {pod: pod("a", looping(1, "Error"), running(time.Minute, 5)), state: backedOff},
		"memory, healed": {pod: pod("a", looping(137, "OOMKilled"), running(10*time.Minute, 1))},
		"restarts with the cluster": {
			pod: pod("a", looping(137, "Error"), running(5*time.Second, 7)), state: func(s *State) { s.Begun = ago(8 * time.Second).Time },
		},
		"what the API has is from before the restart": {
			pod: pod("a", looping(1, "Error")), state: func(s *State) { s.Begun = ago(3 * time.Second).Time },
		},
		"lost its container with the node": {pod: pod("a", looping(255, "Unknown"), running(time.Second, 3)), state: backedOff},
		"completed":                        {pod: pod("a", func(p *corev1.Pod) { p.Status.Phase = corev1.PodSucceeded })},
		"failed and replaced":              {pod: pod("a", func(p *corev1.Pod) { p.Status.Phase, p.Status.Reason = corev1.PodFailed, "Evicted" })},
		"is being deleted":                 {pod: pod("a", looping(1, "Error"), func(p *corev1.Pod) { p.DeletionTimestamp = new(ago(time.Second)) })},
		"its node is away": {pod: pod("a", notReady), state: func(s *State) {
			for _, n := range s.Nodes {
				n.Status.Conditions[0].Status = corev1.ConditionUnknown
			}
		}},
		"done init container": {pod: pod("a", func(p *corev1.Pod) {
			p.Spec.InitContainers = []corev1.Container{{Name: "init"}}
			p.Status.InitContainerStatuses = []corev1.ContainerStatus{{Name: "init", Ready: true, State: corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{Reason: "Completed"}}}}
		})},
		"its namespace goes": {pod: pod("a", looping(1, "Error")), state: func(s *State) {
			s.Claims, s.Jobs = []*corev1.PersistentVolumeClaim{claim(new("none"))}, []*batchv1.Job{job(3)}
			s.Namespaces[2].DeletionTimestamp = new(ago(time.Second))
		}},
		"mounts are late": {pod: pod("a", waiting("ContainerCreating", "")), state: func(s *State) {
			s.Events = []*corev1.Event{eventAbout("Pod", s.Pods[0].UID, "FailedMount", `MountVolume.SetUp failed for volume "kube-api-access-x" : object "shop"/"kube-root-ca.crt" not registered`, 20*time.Second)}
		}},
		"mounted in the end": {pod: pod("a"), state: func(s *State) {
			s.Events = []*corev1.Event{eventAbout("Pod", s.Pods[0].UID, "FailedMount", `MountVolume.SetUp failed for volume "x" : secret "x" not found`, 20*time.Second)}
		}},
		"claim waits for a pod": {pod: pod("a"), state: func(s *State) { s.Claims = []*corev1.PersistentVolumeClaim{claim(nil)} }},
		"new claim": {pod: pod("a"), state: func(s *State) {
			s.Claims = []*corev1.PersistentVolumeClaim{claim(new("nope"), func(c *corev1.PersistentVolumeClaim) { c.CreationTimestamp = ago(time.Second) })}
		}},
		"refused once, made since": {pod: pod("a", age(time.Second)), state: func(s *State) {
			s.ReplicaSets = []*appsv1.ReplicaSet{replicaSet(2, 1, "")}
			e := eventAbout("ReplicaSet", "rs", "FailedCreate", "Error creating: no", time.Minute)
			e.LastTimestamp = ago(30 * time.Second)
			s.Events = []*corev1.Event{e}
		}},
		"has its pods": {pod: pod("a"), state: func(s *State) {
			s.ReplicaSets = []*appsv1.ReplicaSet{replicaSet(1, 1, "old")}
			s.Events = []*corev1.Event{eventAbout("ReplicaSet", "rs", "FailedCreate", "Error creating: no", time.Minute)}
		}},
		"refused for a moment": {pod: pod("x", alone("x")), state: func(s *State) {
			s.ReplicaSets = []*appsv1.ReplicaSet{replicaSet(1, 0, `pods "cart-" is forbidden: error looking up service account shop/default: serviceaccount "default" not found`)}
			s.ReplicaSets[0].CreationTimestamp = ago(time.Second)
		}},
		"old ReplicaSet": {pod: pod("a"), state: func(s *State) { s.ReplicaSets = []*appsv1.ReplicaSet{replicaSet(0, 0, "old")} }},
		"done job": {pod: pod("x", alone("x")), state: func(s *State) {
			s.Jobs = []*batchv1.Job{job(5, batchv1.JobCondition{Type: batchv1.JobComplete, Status: corev1.ConditionTrue})}
		}},
		"job that failed once":      {pod: pod("x", alone("x")), state: func(s *State) { s.Jobs = []*batchv1.Job{job(1)} }},
		"asks for what is nowhere":  {pod: pod("a"), state: asked("metrics.example.com", 9)},
		"asks for a Service":        {pod: pod("a"), state: asked("web.shop.svc", 9)},
		"asked in vain once":        {pod: pod("a"), state: asked("redis.defualt.svc", 1)},
		"asked in vain a while ago": {pod: pod("a"), state: func(s *State) { asked("redis.defualt.svc", 9)(s); s.Lookups[0].Last = now.Add(-2 * time.Minute) }},
	} {
		t.Run(name, func(t *testing.T) {
			s := world()
			s.Pods = []*corev1.Pod{test.pod}
			if test.state != nil {
				test.state(&s)
			}
			for _, p := range Workloads(s).Problems {
				t.Errorf("reported %s: %s: %s", p.Kind, p.Summary, p.Cause)
			}
		})
	}
}

// backedOff says that the kubelet has waited before it started the container.
func backedOff(s *State) {
	s.Events = []*corev1.Event{warning(s.Pods[0], "BackOff", "Back-off restarting failed container cart in pod x", time.Minute)}
}

func asked(name string, times int) func(*State) {
	return func(s *State) {
		s.Lookups = []FailedLookup{{Pod: podName(s.Pods[0]), Name: name, Count: times, First: now.Add(-time.Minute), Last: now.Add(-time.Second)}}
	}
}

func TestNamesThatAPodAsksForInVain(t *testing.T) {
	for name, test := range map[string]struct{ host, summary, cause string }{
		"slip in the namespace":   {"redis.defualt.svc", "asks DNS for redis.defualt.svc: no such name; meant redis.default.svc?", "Service redis is in namespace default, not in defualt"},
		"whole name":              {"redis.defualt.svc.cluster.local", "asks DNS for redis.defualt.svc.cluster.local: no such name; meant redis.default.svc.cluster.local?", ""},
		"slip in the Service":     {"wbe.shop", "asks DNS for wbe.shop: no such name; meant web.shop?", "there is no Service wbe in namespace shop, but web"},
		"another namespace":       {"redis", "asks DNS for redis: no such name; meant redis.default?", "Service redis is in namespace default, not in shop"},
		"wrong namespace":         {"redis.shop.svc", "asks DNS for redis.shop.svc: no such name; meant redis.default.svc?", "Service redis is in namespace default, not in shop"},
		"pod of a StatefulSet":    {"db-0.db.shpo.svc", "asks DNS for db-0.db.shpo.svc: no such name; meant db-0.db.shop.svc?", ""},
		"nothing like it":         {"payments.prod.svc", "asks DNS for payments.prod.svc: no such name", "there is no namespace prod"},
		"no such Service":         {"payments.default.svc", "asks DNS for payments.default.svc: no such name", "there is no Service payments in namespace default"},
		"slip in one short label": {"wbe", "asks DNS for wbe: no such name; meant web?", ""},
	} {
		t.Run(name, func(t *testing.T) {
			s := world()
			s.Pods = []*corev1.Pod{pod("a")}
			asked(test.host, 4)(&s)
			r := check(t, s, want{cluster.ProblemName, cart, test.summary, test.cause, "bonsai dns query " + test.host + " -p dev --from shop/cart-7d9f4-a --trace"})
			if !r.Next.Equal(now.Add(59 * time.Second)) {
				t.Errorf("it is over at %s", r.Next)
			}
		})
	}
}

func TestNamesInLogs(t *testing.T) {
	for line, host := range map[string]string{
		"dial tcp: lookup redis.defualt.svc on 10.96.0.10:53: no such host":                                "redis.defualt.svc",
		"lookup redis: no such host":                                                                       "redis",
		"wget: bad address 'redis.defualt.svc:6379'":                                                       "redis.defualt.svc",
		"wget: bad address 'redis.defualt.svc'":                                                            "redis.defualt.svc",
		"curl: (6) Could not resolve host: redis.defualt.svc":                                              "redis.defualt.svc",
		"Error: getaddrinfo ENOTFOUND redis.defualt.svc":                                                   "redis.defualt.svc",
		"java.net.UnknownHostException: redis.defualt.svc: Name or service not known":                      "redis.defualt.svc",
		`could not translate host name "db.defualt" to address: Name or service not known`:                 "db.defualt",
		`nginx: [emerg] host not found in upstream "api.defualt:8080" in /etc/nginx/nginx.conf:7`:          "api.defualt",
		"redis.exceptions.ConnectionError: Error -2 connecting to redis:6379. Name or service not known.":  "redis",
		"** server can't find redis.defualt.svc: NXDOMAIN":                                                 "redis.defualt.svc",
		"ping: redis: Name or service not known":                                                           "redis",
		"requests.exceptions.ConnectionError: Failed to resolve 'api.defualt' ([Errno -2] Name not known)": "api.defualt",
		"socket.gaierror: [Errno -2] Name or service not known":                                            "",
		"connection refused":            "",
		"lookup 10.0.0.1: no such host": "",
	} {
		got := ""
		if hosts := hostsIn([]string{"before", line, "exit status 1"}); len(hosts) > 0 {
			got = hosts[0]
		}
		if got != host {
			t.Errorf("%q: got %q, want %q", line, got, host)
		}
	}
}

// A name that may be somebody else's is looked up before it is blamed.
func TestNameInLogIsLookedUp(t *testing.T) {
	p := pod("a", looping(1, "Error"))
	s := world()
	s.Pods, s.Answers = []*corev1.Pod{p}, logs(p, true, "lookup api.example.com: no such host")
	q := Question{Topic: Lookup, Namespace: "shop", Name: p.Name, Host: "api.example.com"}
	crash := want{cluster.ProblemCrash, cart, "the container exits with 1, 4 times so far", "no such host", ""}
	if r := check(t, s, crash); !slices.Contains(r.Questions, q) {
		t.Errorf("asks %v", r.Questions)
	}
	s.Answers[q] = Answer{Found: true}
	check(t, s, crash)
	s.Answers[q] = Answer{Failed: true}
	check(t, s, crash)
	s.Answers[q] = Answer{}
	check(t, s, want{cluster.ProblemName, cart, "asks DNS for api.example.com: no such name", "nothing has this name", ""})
}

func TestPortsInLogs(t *testing.T) {
	for line, port := range map[string]int{
		"listen tcp :8080: bind: address already in use":                          8080,
		"listen tcp 0.0.0.0:8080: bind: address already in use":                   8080,
		"Error: listen EADDRINUSE: address already in use :::3000":                3000,
		"nginx: [emerg] bind() to 0.0.0.0:80 failed (98: Address already in use)": 80,
		"Web server failed to start. Port 8080 was already in use.":               8080,
		"OSError: [Errno 98] Address already in use":                              0,
		"nc: bind: Address already in use":                                        0,
		"everything is fine on port 8080":                                         -1,
	} {
		got, ok := portOf(line)
		if !ok {
			got = -1
		}
		if got != port && !(port == 0 && ok) {
			t.Errorf("%q: got %d, want %d", line, got, port)
		}
	}
}

func TestNodesAndParts(t *testing.T) {
	s := world()
	s.Nodes = s.Nodes[:1]
	n := s.Nodes[0]
	n.Name = "dev-1"
	tell := func() []cluster.Problem { p, _ := Nodes(s); return p }
	if got := tell(); len(got) != 0 {
		t.Errorf("a ready node: %v", got)
	}
	ready := &n.Status.Conditions[0]
	*ready = corev1.NodeCondition{Type: corev1.NodeReady, Status: corev1.ConditionFalse, LastTransitionTime: ago(time.Second), Message: "container runtime network not ready: NetworkReady=false reason:NetworkPluginNotReady message:cni plugin not initialized"}
	if got := tell(); len(got) != 0 {
		t.Errorf("a node that starts: %v", got)
	}
	ready.LastTransitionTime = ago(time.Minute)
	if got := tell(); len(got) != 1 || got[0].Summary != "node dev-1 is not ready" || got[0].Object != "node/dev-1" || got[0].Cause[:30] != "its pod network is not set up: "[:30] {
		t.Errorf("got %+v", got)
	}
	s.Begun = ago(5 * time.Second).Time
	if got := tell(); len(got) != 0 {
		t.Errorf("a node that starts with the cluster: %v", got)
	}

	got := Parts(cluster.Snapshot{
		Name: "dev", Time: now,
		Components: []cluster.Component{{Name: "etcd", Phase: cluster.PhaseRunning}, {Name: "kube-scheduler", Phase: cluster.PhaseFailed, Reason: "lost its lease"}},
		Nodes: []cluster.NodeStatus{{Name: "dev-1", Components: []cluster.Component{
			{Name: "kubelet", Phase: cluster.PhaseFailed, Reason: "exit status 1", Restarts: 3, Since: now.Add(-time.Minute)},
			{Name: "containerd", Phase: cluster.PhaseFailed, Since: now.Add(-time.Second)},
		}}},
		Addons: []cluster.AddonStatus{{AddonDescription: cluster.AddonDescription{Name: "dns"}, State: cluster.AddonDegraded, Reason: "slow", Advice: []cluster.Advice{{Text: "wait"}}}, {State: cluster.AddonRunning}},
	})
	var said []string
	for _, p := range got {
		said = append(said, p.Object+": "+p.Summary+": "+p.Cause)
	}
	wants := []string{
		"component/kube-scheduler: kube-scheduler is failed: lost its lease", "component/dev-1/kubelet: kubelet on node dev-1 is failed: exit status 1; restarted 3 times",
		"addon/dns: addon dns is degraded: slow",
	}
	if !slices.Equal(said, wants) {
		t.Errorf("got %q", said)
	}
}

// A kubelet that has reached a limit fails, and is started again at once: whatever state it is in at the moment, status says why.
func TestAComponentThatHasReachedALimit(t *testing.T) {
	for _, phase := range []cluster.Phase{cluster.PhaseFailed, cluster.PhaseStarting} {
		got := Parts(cluster.Snapshot{Name: "dev", Time: now, Nodes: []cluster.NodeStatus{{Name: "dev-1", Components: []cluster.Component{
			{Name: "containerd", Phase: cluster.PhaseStarting, Reason: "slow"},
			{Name: "kubelet", Phase: phase, Reason: "inotify_init: too many open files (exit status 1)", Restarts: 3, Since: now.Add(-time.Second)},
		}}}})
		if len(got) != 1 || got[0].Object != "component/dev-1/kubelet" || !strings.HasPrefix(got[0].Cause, "inotify_init: too many open files") ||
			!strings.HasPrefix(got[0].HintText(), "raise this machine's limit:  sudo sysctl -w fs.inotify.max_user_instances=8192") {
			t.Errorf("%s: got %+v", phase, got)
		}
	}
}

func TestBytes(t *testing.T) {
	for n, want := range map[int64]string{0: "0", 1023: "1023", 1 << 20: "1Mi", 3<<30 - 1: "2.9Gi", 1434 << 20: "1.4Gi", 128 << 20: "128Mi", -5: "0", 1<<63 - 1: "8191Pi"} {
		if got := bytes(n); got != want {
			t.Errorf("bytes(%d) = %q, want %q", n, got, want)
		}
	}
}

// FuzzWorkloads gives the diagnosis any objects that the API could hold, and more.
func FuzzWorkloads(f *testing.F) {
	seed := world()
	seed.Pods = []*corev1.Pod{
		pod("a", looping(1, "Error")), pod("b", waiting("ErrImagePull", `Back-off pulling image "`)), pod("c", unscheduledFor(time.Minute, "0/3 nodes are available: 1 , 2 Insufficient cpu.")),
		pod("d", waiting("CreateContainerConfigError", "couldn't find key ")), pod("e", probing("readiness", httpGet("", 0))),
		pod("f", waiting("ContainerCreating", "")), pod("g", alone("g"), func(p *corev1.Pod) { p.Status.Phase = corev1.PodFailed }),
	}
	seed.Claims, seed.ReplicaSets, seed.Jobs = []*corev1.PersistentVolumeClaim{claim(new(""))}, []*appsv1.ReplicaSet{replicaSet(1, 0, "exceeded quota: ")}, []*batchv1.Job{job(3)}
	stuck := rolling(2, pod("a", waiting("ErrImagePull", "not found")))
	seed.Deployments, seed.ReplicaSets = stuck.Deployments, append(seed.ReplicaSets, stuck.ReplicaSets...)
	seed.Pods = append(seed.Pods, pod("away", unscheduledFor(time.Minute, "0/3 nodes are available: x"), withData))
	seed.Volumes = []*corev1.PersistentVolume{volumeOn("dev-9")}
	seed.Budgets = []*policyv1.PodDisruptionBudget{budget("cart", policyv1.PodDisruptionBudgetStatus{ExpectedPods: 1, DesiredHealthy: 1})}
	seed.APIServices = []*registrationv1.APIService{api(registrationv1.ConditionFalse, "ServiceNotFound", "")}
	seed.Namespaces = append(seed.Namespaces, goingSpace(time.Hour, map[corev1.NamespaceConditionType]string{
		corev1.NamespaceContentRemaining: "Some resources are remaining: configmaps. has 1 resource instances", corev1.NamespaceDeletionDiscoveryFailure: "x",
	}))
	seed.Events = []*corev1.Event{warning(seed.Pods[4], "Unhealthy", "Readiness probe failed: ", time.Minute), eventAbout("Pod", seed.Pods[5].UID, "FailedMount", `for volume "`, time.Minute)}
	seed.Services = append(seed.Services, service("typo", map[string]string{"app": "crat"}), service("balanced", map[string]string{"app": "cart"}, func(s *corev1.Service) {
		s.Spec.Type = corev1.ServiceTypeLoadBalancer
	}), service("named", map[string]string{"app": "cart"}, to(intstr.FromString("http"))))
	seed.CronJobs = []*batchv1.CronJob{{ObjectMeta: metav1.ObjectMeta{Name: "c"}, Spec: batchv1.CronJobSpec{Schedule: "@every 1s", TimeZone: new("UTC")}}}
	seed.Autoscalers = []*autoscalingv2.HorizontalPodAutoscaler{{Status: autoscalingv2.HorizontalPodAutoscalerStatus{Conditions: []autoscalingv2.HorizontalPodAutoscalerCondition{
		{Type: autoscalingv2.ScalingActive, Status: corev1.ConditionFalse, Message: "missing request for "},
	}}}}
	seed.Ingresses, seed.Policies = []*networkingv1.Ingress{{}}, []*networkingv1.NetworkPolicy{{ObjectMeta: metav1.ObjectMeta{Name: "deny"}}}
	add := func(s State) {
		s.Answers = nil
		data, err := json.Marshal(s)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data, "lookup redis.defualt.svc: no such host")
	}
	add(seed)
	add(State{})
	add(State{Pods: []*corev1.Pod{{Status: corev1.PodStatus{Conditions: []corev1.PodCondition{{Type: corev1.PodScheduled, Status: corev1.ConditionFalse, Reason: "Unschedulable", Message: "persistentvolumeclaim "}}}}}, Now: now})
	f.Fuzz(func(t *testing.T, data []byte, log string) {
		var s State
		if json.Unmarshal(data, &s) != nil {
			return
		}
		s.Pods, s.Nodes, s.Events = whole(s.Pods), whole(s.Nodes), whole(s.Events)
		s.Namespaces, s.CronJobs, s.Autoscalers = whole(s.Namespaces), whole(s.CronJobs), whole(s.Autoscalers)
		s.Ingresses, s.Policies = whole(s.Ingresses), whole(s.Policies)
		s.Claims, s.Classes, s.Services = whole(s.Claims), whole(s.Classes), whole(s.Services)
		s.Volumes, s.Deployments, s.Budgets, s.APIServices, s.Definitions = whole(s.Volumes), whole(s.Deployments), whole(s.Budgets), whole(s.APIServices), whole(s.Definitions)
		s.ReplicaSets, s.StatefulSets, s.DaemonSets, s.Jobs = whole(s.ReplicaSets), whole(s.StatefulSets), whole(s.DaemonSets), whole(s.Jobs)
		Nodes(s)
		r := Workloads(s)
		s.Answers = map[Question]Answer{}
		for _, q := range r.Questions {
			s.Answers[q] = Answer{
				Lines: []string{log, log}, Ports: []cluster.Listening{{Protocol: "TCP", Port: 8080}}, Held: []Held{{Name: log, Finalizers: []string{log}}},
			}
		}
		r = Workloads(s)
		for _, p := range r.Problems {
			if p.Kind == "" || p.Object == "" || p.Summary == "" || p.Severity == "" {
				t.Errorf("half a problem: %+v", p)
			}
		}
		if !r.Next.IsZero() && !r.Next.After(s.Now) {
			t.Errorf("next is %s, now %s", r.Next, s.Now)
		}
	})
}

// whole leaves out nils, which no store has.
func whole[T any](list []*T) []*T {
	return slices.DeleteFunc(list, func(t *T) bool { return t == nil })
}

func TestOwnersAreFoundWithoutTheirObjects(t *testing.T) {
	d := newDiagnosis(world())
	for want, p := range map[owner]*corev1.Pod{
		{"deployment", "shop", "cart"}: pod("a"),
		{"pod", "shop", "lonely"}:      pod("a", alone("lonely")),
		{"statefulset", "shop", "db"}: pod("a", func(p *corev1.Pod) {
			p.OwnerReferences = []metav1.OwnerReference{{Kind: "StatefulSet", Name: "db", Controller: new(true)}}
		}),
		{"pod", "shop", "cart-7d9f4-s"}: pod("s", func(p *corev1.Pod) {
			p.OwnerReferences = []metav1.OwnerReference{{Kind: "Node", Name: "dev-1", Controller: new(true)}}
		}),
	} {
		if got := d.ownerOf(p); got != want {
			t.Errorf("got %v, want %v", got, want)
		}
	}
}

// BenchmarkWorkloads is a look at a large cluster in which all is well but for a hundred pods.
func BenchmarkWorkloads(b *testing.B) {
	s := world()
	for i := range 5000 {
		p := pod(strconv.Itoa(i))
		if i%50 == 0 {
			p = pod(strconv.Itoa(i), looping(1, "Error"))
		}
		s.Pods = append(s.Pods, p)
		s.Events = append(s.Events, warning(p, "Unhealthy", "Readiness probe failed: no", time.Minute))
	}
	b.ReportAllocs()
	for b.Loop() {
		if len(Workloads(s).Problems) != 1 {
			b.Fatal("not one problem")
		}
	}
}

package diagnose

import (
	"fmt"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	autoscalingv2 "k8s.io/api/autoscaling/v2"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	policyv1 "k8s.io/api/policy/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	registrationv1 "k8s.io/kube-aggregator/pkg/apis/apiregistration/v1"

	"bonsai/bootstrap/cluster"
	"bonsai/bootstrap/termsafe"
)

// hostileStates are clusters in which everything that people choose has one name, together with every kind of problem.
func hostileStates(name string) (states []State) {
	add := func(change func(*State)) {
		s := world()
		change(&s)
		states = append(states, s)
	}
	named := func(p *corev1.Pod) {
		p.Name, p.Spec.NodeName, p.OwnerReferences, p.Labels = name, name, nil, nil
		p.Spec.Containers[0].Name, p.Spec.Containers[0].Image = name, name
	}
	called := func(p *corev1.Pod) { p.Status.ContainerStatuses[0].Name = name }
	home := func(s *State) { // a node by the name
		node := *s.Nodes[0]
		node.Name = name
		node.Status.Conditions = []corev1.NodeCondition{{Type: corev1.NodeReady, Status: corev1.ConditionTrue}}
		s.Nodes = append(s.Nodes, &node)
	}
	for i, change := range []func(*corev1.Pod){
		waiting("ErrImageNeverPull", ""), waiting("InvalidImageName", name), waiting("ErrImagePull", "not found"),
		waiting("ErrImagePull", "http: server gave HTTP response to HTTPS client"), waiting("ErrImagePull", "401 Unauthorized"),
		waiting("ErrImagePull", "429 Too Many Requests"), waiting("ErrImagePull", "x509: certificate signed by unknown authority"),
		waiting("ErrImagePull", "pull access denied"), waiting("ErrImagePull", "no space left on device"), waiting("ErrImagePull", name),
		looping(1, "Error"), looping(137, "OOMKilled"), looping(128, "StartError"),
		waiting("CreateContainerError", name), waiting("CreateContainerConfigError", `configmap "`+name+`" not found`),
		waiting("CreateContainerConfigError", "couldn't find key k in Secret shop/"+name), probing("readiness", httpGet("/", 80)),
		func(p *corev1.Pod) { p.Status.Phase, p.Status.Reason = corev1.PodFailed, "Evicted" },
	} {
		add(func(s *State) { // alone, as problems of one pod are put together
			home(s)
			p := pod(fmt.Sprint(i), named, change, called)
			p.Spec.Containers[0].Image = name
			s.Pods = append(s.Pods, p)
		})
	}
	add(func(s *State) {
		home(s)
		mount := pod("mount", named, func(p *corev1.Pod) {
			p.Status.Phase, p.Status.ContainerStatuses = corev1.PodPending, nil
			p.Spec.Volumes = []corev1.Volume{{Name: "host", VolumeSource: corev1.VolumeSource{HostPath: &corev1.HostPathVolumeSource{Path: name}}}}
		})
		s.Pods = append(s.Pods, mount)
		s.Events = append(s.Events, eventAbout("Pod", mount.UID, "FailedMount", `MountVolume.SetUp failed for volume "host" : hostPath type check failed: x`, 30*time.Second))
		asks := pod("asks", named, func(p *corev1.Pod) { p.Name = "asks" })
		s.Pods = append(s.Pods, asks)
		s.Lookups = []FailedLookup{{Pod: podName(asks), Name: name + ".shop.svc", Count: 9, First: now.Add(-time.Minute), Last: now.Add(-time.Second)}}
	})
	for i, change := range []func(*corev1.Pod){
		func(p *corev1.Pod) { p.Spec.HostNetwork = true }, func(*corev1.Pod) {},
		func(p *corev1.Pod) { p.Spec.Containers = append(p.Spec.Containers, p.Spec.Containers[0]) },
	} {
		add(func(s *State) { // a port of the pod, or of its node
			home(s)
			p := pod(fmt.Sprint("port", i), named, looping(1, "Error"), called, change)
			s.Pods = append(s.Pods, p)
			s.Answers = map[Question]Answer{}
			for _, q := range Workloads(*s).Questions {
				s.Answers[q] = Answer{Lines: []string{name, "listen tcp :8080: bind: address already in use"}}
			}
		})
	}
	add(func(s *State) {
		home(s)
		p := pod("probe", named, looping(137, "Error"), probing("liveness", httpGet("/"+name, 8080)), called)
		s.Pods = append(s.Pods, p)
		s.Events = append(s.Events, eventAbout("Pod", p.UID, "Unhealthy", "Liveness probe failed: "+name, 30*time.Second))
	})
	for _, message := range []string{
		"0/3 nodes are available: 3 node(s) didn't have free ports for the requested pod ports.", "0/3 nodes are available: 3 Insufficient memory.", "0/3 nodes are available: 3 node(s) didn't match Pod's node affinity/selector.",
		"0/3 nodes are available: 3 node(s) had untolerated taint(s).", `0/3 nodes are available: persistentvolumeclaim "` + name + `" not found.`,
		"0/3 nodes are available: 3 node(s) didn't match pod anti-affinity rules.", "0/3 nodes are available: something else.",
	} {
		for _, cordoned := range []bool{false, true} {
			add(func(s *State) {
				for _, n := range s.Nodes {
					n.Name, n.Spec.Unschedulable = name, cordoned
					n.Spec.Taints = []corev1.Taint{{Key: name, Value: name, Effect: corev1.TaintEffectNoSchedule}}
				}
				s.Pods = []*corev1.Pod{pod("a", named, unscheduledFor(time.Minute, message), func(p *corev1.Pod) { p.Spec.NodeSelector = map[string]string{name: name} })}
			})
		}
	}
	add(func(s *State) {
		s.Claims = []*corev1.PersistentVolumeClaim{claim(&name, func(c *corev1.PersistentVolumeClaim) { c.Name = name })}
		j := job(3)
		j.Name = name
		s.Jobs = append(s.Jobs, j)
	})
	add(func(s *State) {
		space := goingSpace(time.Hour, map[corev1.NamespaceConditionType]string{corev1.NamespaceContentRemaining: "Some resources are remaining: configmaps. has 1 resource instances"})
		space.Name = name
		s.Namespaces = append(s.Namespaces, space)
		s.Answers = map[Question]Answer{{Topic: HeldObjects, Namespace: name, Name: "configmaps."}: {Held: []Held{{Kind: name, Namespace: name, Name: name, Finalizers: []string{name}}}}}
		one := api(registrationv1.ConditionFalse, "ServiceNotFound", name)
		one.Name = name
		s.APIServices = append(s.APIServices, one)
		s.Pods = []*corev1.Pod{pod("held", named, func(p *corev1.Pod) { p.DeletionTimestamp, p.Finalizers = new(ago(time.Hour)), []string{name} })}
	})
	add(func(s *State) {
		b := budget(name, policyv1.PodDisruptionBudgetStatus{ExpectedPods: 1, DesiredHealthy: 1})
		s.Budgets = []*policyv1.PodDisruptionBudget{b}
		for _, n := range s.Nodes {
			n.Name, n.Spec.Unschedulable = name, true
		}
		s.Pods = []*corev1.Pod{pod("a", func(p *corev1.Pod) { p.Spec.NodeName = name }), pod("b", named, unscheduledFor(time.Hour, "0/3 nodes are available: x."), withData)}
		s.Volumes = []*corev1.PersistentVolume{volumeOn("nowhere")}
	})
	add(func(s *State) {
		*s = rolling(1, pod("a", waiting("ErrImagePull", "not found"), func(p *corev1.Pod) { p.Labels, p.OwnerReferences[0].Name = nil, name }))
		s.Deployments[0].Name = name
		for _, rs := range s.ReplicaSets {
			rs.OwnerReferences[0].Name = name
		}
	})
	for _, message := range []string{
		`exceeded quota: ` + name + `, requested: pods=1, used: pods=1, limited: pods=1`, `violates PodSecurity "restricted:latest": x (y)`,
		`failed quota: ` + name + `: must specify limits.cpu`, `maximum cpu usage per Container is 1, but limit is 2`,
		`failed calling webhook "` + name + `": failed to call webhook: Post "https://` + name + `.shop.svc:443/": context deadline exceeded`,
		`admission webhook "` + name + `" denied the request`, `ValidatingAdmissionPolicy '` + name + `' denied request: no`,
		`error looking up service account shop/` + name + `: not found`, "no PriorityClass with name " + name + " was found", name,
	} {
		add(func(s *State) { s.ReplicaSets = append(s.ReplicaSets, replicaSet(3, 1, message)) })
	}
	return append(states, hostileRoutes(name)...)
}

// hostileRoutes are clusters with Services, autoscalers and CronJobs of one name.
func hostileRoutes(name string) (states []State) {
	add := func(change func(*State)) {
		s := world()
		change(&s)
		states = append(states, s)
	}
	meta := metav1.ObjectMeta{Namespace: "shop", Name: name, UID: "it", CreationTimestamp: ago(time.Hour)}
	for _, selector := range []map[string]string{{"app": name}, {"app": "web", name: name}, {"app": "web"}} {
		for _, target := range []intstr.IntOrString{intstr.FromInt32(80), intstr.FromString(name)} {
			add(func(s *State) {
				one := service(name, selector, to(target))
				one.Spec.Type = corev1.ServiceTypeLoadBalancer
				s.Services = append(s.Services, one)
				s.Pods = []*corev1.Pod{server(alone(name), labelled("app", "web", "x", name+"x"))}
				answersPorts(s, cluster.Listening{Protocol: "TCP", Port: 8080})
			})
		}
	}
	for _, message := range []string{"(get pods.metrics.k8s.io): could not find the requested resource (get pods.metrics.k8s.io)", "missing request for cpu in " + name, name + " not found"} {
		for _, kind := range []autoscalingv2.HorizontalPodAutoscalerConditionType{autoscalingv2.AbleToScale, autoscalingv2.ScalingActive} {
			add(func(s *State) {
				s.Autoscalers = []*autoscalingv2.HorizontalPodAutoscaler{{
					ObjectMeta: meta, Spec: autoscalingv2.HorizontalPodAutoscalerSpec{ScaleTargetRef: autoscalingv2.CrossVersionObjectReference{Kind: "Deployment", Name: name}},
					Status: autoscalingv2.HorizontalPodAutoscalerStatus{Conditions: []autoscalingv2.HorizontalPodAutoscalerCondition{{
						Type: kind, Status: corev1.ConditionFalse, Reason: "FailedGetScale", Message: message, LastTransitionTime: ago(time.Hour),
					}}},
				}}
			})
		}
	}
	for _, change := range []func(*batchv1.CronJob){
		func(*batchv1.CronJob) {}, func(c *batchv1.CronJob) { c.Spec.Suspend = new(true) }, func(c *batchv1.CronJob) { c.Spec.Schedule = name },
		func(c *batchv1.CronJob) {
			c.Spec.ConcurrencyPolicy, c.Status.Active = batchv1.ForbidConcurrent, []corev1.ObjectReference{{Name: name}}
		},
	} {
		add(func(s *State) {
			c := &batchv1.CronJob{ObjectMeta: meta, Spec: batchv1.CronJobSpec{Schedule: "* * * * *"}}
			change(c)
			s.CronJobs = []*batchv1.CronJob{c}
			s.Ingresses = []*networkingv1.Ingress{{ObjectMeta: meta, Spec: networkingv1.IngressSpec{IngressClassName: &name}}}
			s.Policies = []*networkingv1.NetworkPolicy{{ObjectMeta: metav1.ObjectMeta{Namespace: name, Name: name}}}
			s.Answers = map[Question]Answer{{Topic: NamesClass}: {Lines: []string{"nginx"}}}
		})
	}
	return states
}

// FuzzAdviceIsWhatItLooksLike: whatever things of a cluster are called, each command that a problem advises is read by a
// real shell as exactly its arguments, starts nothing else, shows all that it has, and has no option that a name made.
func FuzzAdviceIsWhatItLooksLike(f *testing.F) {
	shell, err := exec.LookPath("sh")
	if err != nil {
		f.Fatal(err)
	}
	for _, name := range []string{"web", "w`{touch,/tmp/x}`", "{x,y};reboot|sh&", "-rf", "--all", "it's", "$(id)", "rtl\u202egnp", "\x1b[2J", "a b", "=ls", "~root", "!!"} {
		f.Add(name)
	}
	f.Fuzz(func(t *testing.T, name string) {
		var commands []cluster.Command
		var said strings.Builder
		for _, s := range hostileStates(name) {
			list := Workloads(s).Problems
			s.Begun = s.Begun.Add(-time.Hour)
			for _, n := range s.Nodes {
				n.Status.Conditions = []corev1.NodeCondition{{Type: corev1.NodeReady, Status: corev1.ConditionFalse, LastTransitionTime: ago(time.Hour)}}
			}
			nodes, _ := Nodes(s)
			parts := Parts(cluster.Snapshot{Name: "dev", Time: now, Components: []cluster.Component{{Name: name, Phase: cluster.PhaseFailed}}, Addons: []cluster.AddonStatus{{
				AddonDescription: cluster.AddonDescription{Name: name}, State: cluster.AddonFailed,
				Advice: []cluster.Advice{cluster.Advise("", cluster.Bonsai("addons", "status").On(name))},
			}}})
			for _, p := range slices.Concat(list, nodes, parts) {
				fmt.Fprintln(&said, p.Summary, p.Cause)
				for _, a := range p.Advice {
					commands = append(commands, a.Commands...)
				}
			}
		}
		if len(commands) < 30 {
			t.Fatalf("only %d commands are advised", len(commands))
		}
		for _, kind := range []string{
			"is taken on node", "is taken inside the pod", "host port", "does not answer", "too many pulls", "not trusted", "disk is full",
			"LimitRange", "addon ", "selects no pod", "where nothing listens", "which no pod has", "load balancer stays pending", "no controller serves it",
			"not enforced here", "there are no metrics", "do not say how much cpu", "has missed", "cannot be read",
			"is being deleted", "nobody answers for API", "cannot be drained", "rollout is stuck", "does not exist any more",
		} {
			if name == "web" && !strings.Contains(said.String(), kind) { // stranger names may end a message early
				t.Fatalf("no problem says %q:\n%s", kind, said.String())
			}
		}
		var script, want strings.Builder
		script.WriteString("show() { printf '%s\\0' \"$@\"; printf '\\n\\0'; }\n")
		for _, c := range commands {
			line := c.String()
			if termsafe.String(line) != line {
				t.Fatalf("%q has what is not seen", line)
			}
			fmt.Fprintf(&script, "show %s\n", line)
			argv := c.Argv()
			for i, a := range argv {
				if strings.HasPrefix(name, "-") && a == name && !strings.HasPrefix(argv[i-1], "-") && slices.Index(argv[:i], "--") < 0 {
					t.Fatalf("%s has %s as an option", line, name)
				}
				want.WriteString(strings.TrimRight(strings.ReplaceAll(a, "\x00", ""), "\n") + "\x00")
			}
			want.WriteString("\n\x00")
		}
		check := exec.Command(shell, "-n")
		check.Stdin = strings.NewReader(script.String())
		if out, err := check.CombinedOutput(); err != nil || len(out) > 0 {
			t.Fatalf("%s\nis not well-formed: %s (%v)", script.String(), out, err)
		}
		echo := exec.Command(shell)
		echo.Stdin, echo.Dir, echo.Env = strings.NewReader(script.String()), t.TempDir(), []string{"PATH=/nowhere", "LC_ALL=C"}
		out, err := echo.Output()
		if err != nil || string(out) != want.String() {
			t.Fatalf("%s\nis read as %q,\nnot as     %q (%v)", script.String(), out, want.String(), err)
		}
	})
}

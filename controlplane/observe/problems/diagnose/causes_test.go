package diagnose

import (
	"strings"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"bonsai/bootstrap/cluster"
)

// want is one problem; cause and hint may be parts.
type want struct{ kind, object, summary, cause, hint string }

const cart = "deployment/shop/cart"

func check(t *testing.T, s State, wants ...want) Report {
	t.Helper()
	r := Workloads(s)
	for i, w := range wants {
		if i >= len(r.Problems) {
			break
		}
		p := r.Problems[i]
		if p.Kind != w.kind || p.Object != w.object || p.Summary != w.summary || !strings.Contains(p.Cause, w.cause) || !strings.Contains(p.HintText(), w.hint) {
			t.Errorf("got  %s %s\n  %q\n  cause %q\n  hint %q\nwant %s %s\n  %q\n  cause %q\n  hint %q",
				p.Kind, p.Object, p.Summary, p.Cause, p.HintText(), w.kind, w.object, w.summary, w.cause, w.hint)
		}
	}
	if len(r.Problems) != len(wants) {
		t.Errorf("got %d problems, want %d: %+v", len(r.Problems), len(wants), r.Problems)
	}
	return r
}

func TestImages(t *testing.T) {
	const pull = `failed to pull and unpack image "reg.test/cart:1": failed to resolve image: `
	image := func(p *corev1.Pod) { p.Spec.Containers[0].Image = "reg.test/cart:1" }
	for name, test := range map[string]struct {
		reason, message string
		change          func(*corev1.Pod)
		summary         string
		cause, hint     string
		fix             string
	}{
		"not found": {
			reason: "ErrImagePull", message: "rpc error: code = NotFound desc = " + pull + "reg.test/cart:1: not found",
			cause: "reg.test has no such image: the name or tag is wrong, or it was never pushed",
			hint:  "bonsai image load reg.test/cart:1 -p dev", fix: "image load reg.test/cart:1",
		},
		"back-off has the error before it": {
			reason: "ImagePullBackOff", message: `Back-off pulling image "reg.test/cart:1": ErrImagePull: ` + pull + "unexpected status from HEAD request to https://reg.test/v2/: 401 Unauthorized",
			cause: "reg.test requires a login for it", hint: "imagePullSecrets", fix: "image load reg.test/cart:1",
		},
		"no network": {
			reason: "ImagePullBackOff", message: `Back-off pulling image "reg.test/cart:1": ErrImagePull: ` + pull + `failed to do request: Head "https://reg.test/v2/": dial tcp: lookup reg.test on 127.0.0.11:53: no such host`,
			cause: "the nodes cannot reach reg.test", hint: "if this machine has it, load it:  bonsai image load", fix: "image load reg.test/cart:1",
		},
		"Docker Hub does not say which": {
			reason: "ErrImagePull", message: `failed to pull and unpack image "docker.io/library/cart:1": failed to resolve reference: pull access denied, repository does not exist or may require authorization: server message: insufficient_scope: authorization failed`,
			cause: "reg.test has no such image, or requires a login for it", hint: "imagePullSecrets", fix: "image load reg.test/cart:1",
		},
		"full disk": {
			reason: "ErrImagePull", message: pull + "write /var/lib/containerd/x: no space left on device", cause: "the disk is full", hint: "docker system df",
		},
		"never": {
			reason: "ErrImageNeverPull", message: `Container image "reg.test/cart:1" is not present with pull policy of Never`,
			summary: "image reg.test/cart:1 is not on node dev-1", cause: "imagePullPolicy is Never", hint: "bonsai image load", fix: "image load reg.test/cart:1",
		},
		"no name": {
			reason: "InvalidImageName", message: `Failed to apply default image tag "reg.test/cart:1"`, summary: "image reg.test/cart:1 is not the name of an image", hint: "lower case",
		},
		"what is loaded would not count": {
			reason: "ErrImagePull", message: pull + "connection refused", change: func(p *corev1.Pod) { p.Spec.Containers[0].ImagePullPolicy = corev1.PullAlways },
			cause: "cannot reach", hint: "set imagePullPolicy: IfNotPresent", fix: "image load reg.test/cart:1",
		},
		"a proxy that is off": {
			reason: "ErrImagePull", message: pull + `failed to do request: Head "https://reg.test/v2/": proxyconnect tcp: dial tcp 10.201.0.1:3128: connect: connection refused`,
			cause: "the nodes cannot reach their proxy", hint: "correct the variable", fix: "image load reg.test/cart:1",
		},
		"a proxy with a password": {
			reason: "ErrImagePull", message: pull + `failed to do request: Head "https://reg.test/v2/": Proxy Authentication Required`,
			cause: "the proxy of the nodes requires a login", hint: "USER:PASSWORD@", fix: "image load reg.test/cart:1",
		},
		"certificate": {
			reason: "ErrImagePull", message: pull + "tls: failed to verify certificate: x509: certificate signed by unknown authority", cause: "not trusted",
			hint: "--registry-ca", fix: "image load reg.test/cart:1",
		},
		"first back-off without an error": {
			reason: "ImagePullBackOff", message: `Back-off pulling image "reg.test/cart:1"`, cause: "the registry did not provide it", fix: "image load reg.test/cart:1",
		},
		"something new": {reason: "ErrImagePull", message: "ouch", cause: "ouch", fix: "image load reg.test/cart:1"},
	} {
		t.Run(name, func(t *testing.T) {
			s := world()
			if test.change == nil {
				test.change = func(*corev1.Pod) {}
			}
			s.Pods = []*corev1.Pod{pod("a", image, test.change, waiting(test.reason, test.message))}
			if test.summary == "" {
				test.summary = "image reg.test/cart:1 cannot be pulled"
			}
			r := check(t, s, want{cluster.ProblemImage, cart, test.summary, test.cause, test.hint})
			if len(r.Problems) == 1 && r.Problems[0].FixText() != test.fix {
				t.Errorf("fix is %q, want %q", r.Problems[0].FixText(), test.fix)
			}
		})
	}
}

func TestOneProblemPerCauseAndOwner(t *testing.T) {
	s := world()
	bad := waiting("ErrImagePull", "not found")
	s.Pods = []*corev1.Pod{
		pod("a", bad), pod("b", bad, func(p *corev1.Pod) { p.Status.Conditions[0].LastTransitionTime = ago(time.Hour) }), pod("c", bad),
		pod("d"), pod("x", alone("lonely"), bad),
	}
	r := check(t, s,
		want{cluster.ProblemImage, cart, "image cart:1 cannot be pulled (3 pods)", "", ""},
		want{cluster.ProblemImage, "pod/shop/lonely", "image cart:1 cannot be pulled", "", ""},
	)
	p := r.Problems[0]
	if p.Count != 3 || strings.Join(p.Pods, " ") != "shop/cart-7d9f4-a shop/cart-7d9f4-b shop/cart-7d9f4-c" || !p.Since.Equal(now.Add(-time.Hour)) {
		t.Errorf("count %d, pods %v, since %s", p.Count, p.Pods, p.Since)
	}
}

func TestCrashes(t *testing.T) {
	for name, test := range map[string]struct {
		pod     *corev1.Pod
		log     []string
		events  func(*corev1.Pod) []*corev1.Event
		kind    string
		summary string
		cause   string
		hint    string
	}{
		"last error line": {
			pod: pod("a", looping(1, "Error")), log: []string{"starting", "ERROR cannot read /etc/cart.yaml: no such file", "exit status 1", ""},
			kind: cluster.ProblemCrash, summary: "the container exits with 1, 4 times so far", cause: "ERROR cannot read /etc/cart.yaml: no such file", hint: "--previous",
		},
		"panic": {
			pod: pod("a", looping(2, "Error")), log: []string{"panic: assignment to entry in nil map", "", "goroutine 1 [running]:", "main.main()", "\t/src/main.go:9 +0x1d"},
			kind: cluster.ProblemCrash, summary: "the container exits with 2, 4 times so far", cause: "panic: assignment to entry in nil map",
		},
		"traceback": {
			pod: pod("a", looping(1, "Error")), log: []string{"Traceback (most recent call last):", `  File "/app.py", line 3, in <module>`, "    main()", "KeyError: 'DATABASE_URL'"},
			kind: cluster.ProblemCrash, summary: "the container exits with 1, 4 times so far", cause: "KeyError: 'DATABASE_URL'",
		},
		"JSON": {
			pod: pod("a", looping(1, "Error")), log: []string{`{"level":"info","msg":"starting"}`, `{"level":"fatal","msg":"no license","error":"file is empty"}`},
			kind: cluster.ProblemCrash, summary: "the container exits with 1, 4 times so far", cause: "no license: file is empty",
		},
		"a limit of the machine": {
			pod: pod("a", looping(1, "Error")), log: []string{"Error: failed to create fsnotify watcher: too many open files"},
			kind: cluster.ProblemCrash, summary: "the container exits with 1, 4 times so far", cause: "too many open files",
			hint: "sudo sysctl -w fs.inotify.max_user_instances=8192",
		},
		"a limit of its own": {
			pod: pod("a", looping(1, "Error")), log: []string{"Error: open /data/x: too many open files"},
			kind: cluster.ProblemCrash, summary: "the container exits with 1, 4 times so far", cause: "too many open files", hint: "--previous",
		},
		"no log": {
			pod: pod("a", looping(127, "Error")), kind: cluster.ProblemCrash, summary: "the container exits with 127, 4 times so far",
			cause: "its command does not exist in the image cart:1",
		},
		"done": {
			pod: pod("a", looping(0, "Completed")), log: []string{"hello"}, kind: cluster.ProblemCrash,
			summary: "the container exits on its own (exit code 0), 4 times so far", cause: "hello", hint: "a Job",
		},
		"memory": {
			pod: pod("a", looping(137, "OOMKilled"), limit("128Mi")), kind: cluster.ProblemMemory,
			summary: "the container is killed because of its memory use, 4 times so far", cause: "it needs more than its limit of 128Mi", hint: "resources.limits.memory",
		},
		"no such command": {
			pod: pod("a", looping(128, "StartError"), func(p *corev1.Pod) {
				p.Status.ContainerStatuses[0].LastTerminationState.Terminated.Message = `failed to create containerd task: failed to create shim task: OCI runtime create failed: runc create failed: unable to start container process: error during container init: exec: "serve": executable file not found in $PATH`
			}),
			kind: cluster.ProblemStart, summary: "the container cannot be started", cause: "its command serve does not exist in the image cart:1", hint: "correct the command",
		},
		"port in use": {
			pod: pod("a", looping(1, "Error")), log: []string{"listen tcp :8080: bind: address already in use"},
			kind: cluster.ProblemPort, summary: "port 8080 is taken inside the pod", cause: "listen tcp :8080", hint: "twice",
		},
		"port in use on the node": {
			pod: pod("a", looping(1, "Error"), func(p *corev1.Pod) { p.Spec.HostNetwork = true }), log: []string{"Error: listen EADDRINUSE: address already in use :::3000"},
			kind: cluster.ProblemPort, summary: "port 3000 is taken on node dev-1", cause: "EADDRINUSE", hint: "node's network",
		},
		"a port of the node's own components": {
			pod: pod("a", looping(1, "Error"), func(p *corev1.Pod) { p.Spec.HostNetwork = true }), log: []string{"listen udp 0.0.0.0:10271: bind: address already in use"},
			kind: cluster.ProblemPort, summary: "port 10271 is taken on node dev-1", cause: "cluster DNS of the node has it: listen udp", hint: "node's network",
		},
		"liveness": {
			pod: pod("a", looping(137, "Error"), probing("liveness", httpGet("/healthz", 8080)), func(p *corev1.Pod) {
				p.Spec.Containers[0].Ports = []corev1.ContainerPort{{ContainerPort: 80}}
			}),
			events: func(p *corev1.Pod) []*corev1.Event {
				e := warning(p, "Unhealthy", `Liveness probe failed: Get "http://10.244.1.5:8080/healthz": dial tcp 10.244.1.5:8080: connect: connection refused`, 30*time.Second)
				e.LastTimestamp = ago(10 * time.Second)
				return []*corev1.Event{e}
			},
			kind: cluster.ProblemProbe, summary: "the container is restarted because its liveness probe fails", cause: "GET /healthz on port 8080: nothing listens on port 8080",
			hint: "the probe uses port 8080, but the container declares that it listens on 80",
		},
		"name in the log": {
			pod: pod("a", looping(1, "Error")), log: []string{"dial tcp: lookup redis.defualt.svc on 10.96.0.10:53: no such host"},
			kind: cluster.ProblemName, summary: "asks DNS for redis.defualt.svc: no such name; meant redis.default.svc?",
			cause: "Service redis is in namespace default, not in defualt; because of that the container exits with 1, 4 times so far", hint: "bonsai dns query redis.defualt.svc",
		},
		"first init container": {
			pod: pod("a", func(p *corev1.Pod) {
				looping(1, "Error")(p)
				p.Spec.InitContainers, p.Spec.Containers[0].Name = p.Spec.Containers, "app"
				p.Spec.InitContainers = []corev1.Container{{Name: "cart", Image: "cart:1"}}
				p.Status.InitContainerStatuses, p.Status.ContainerStatuses = p.Status.ContainerStatuses, nil
				p.Status.Phase = corev1.PodPending
			}), log: []string{"migration failed"},
			kind: cluster.ProblemCrash, summary: "init container cart exits with 1, 4 times so far", cause: "migration failed",
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := world()
			s.Pods = []*corev1.Pod{test.pod}
			s.Answers = logs(test.pod, true, test.log...)
			if test.events != nil {
				s.Events = test.events(test.pod)
			}
			r := check(t, s, want{test.kind, cart, test.summary, test.cause, test.hint})
			if len(r.Problems) == 1 && !r.Problems[0].Retry.Equal(now.Add(30*time.Second)) {
				t.Errorf("retry at %s", r.Problems[0].Retry)
			}
		})
	}
}

func TestCrashThatRunsAMomentIsStillOne(t *testing.T) {
	running := pod("a", looping(1, "Error"), func(p *corev1.Pod) {
		c := &p.Status.ContainerStatuses[0]
		c.State = corev1.ContainerState{Running: &corev1.ContainerStateRunning{StartedAt: ago(3 * time.Second)}}
	})
	s := world()
	s.Pods, s.Events = []*corev1.Pod{running}, []*corev1.Event{warning(running, "BackOff", "Back-off restarting failed container cart in pod x", time.Minute)}
	s.Answers = logs(running, true, "failed")
	r := check(t, s, want{cluster.ProblemCrash, cart, "the container exits with 1, 3 times so far", "failed", ""})
	if want := now.Add(7 * time.Second); !r.Next.Equal(want) {
		t.Errorf("it is over at %s, want %s", r.Next, want)
	}
	if s.Now = r.Next; len(Workloads(s).Problems) != 0 {
		t.Error("a container that has run for ten seconds is still reported as crashing")
	}
}

func TestMissingObjects(t *testing.T) {
	config := func(message string) *corev1.Pod { return pod("a", waiting("CreateContainerConfigError", message)) }
	volume := pod("a", waiting("ContainerCreating", ""), func(p *corev1.Pod) {
		p.Spec.Volumes = []corev1.Volume{{Name: "cfg", VolumeSource: corev1.VolumeSource{ConfigMap: &corev1.ConfigMapVolumeSource{LocalObjectReference: corev1.LocalObjectReference{Name: "cart-config"}}}}}
	})
	mount := func(message string) []*corev1.Event {
		return []*corev1.Event{eventAbout("Pod", volume.UID, "FailedMount", message, 30*time.Second)}
	}
	for name, test := range map[string]struct {
		pod     *corev1.Pod
		events  []*corev1.Event
		q       Question
		has     []string
		summary string
		cause   string
		hint    string
	}{
		"ConfigMap": {
			pod: config(`configmap "cart-conf" not found`), q: Question{Topic: NamesConfigMap, Namespace: "shop"}, has: []string{"kube-root-ca.crt", "cart-config"},
			summary: "ConfigMap cart-conf does not exist; meant cart-config?", cause: "its environment", hint: "get configmaps -n shop",
		},
		"Secret": {
			pod: config(`secret "db" not found`), q: Question{Topic: NamesSecret, Namespace: "shop"}, has: []string{"token"},
			summary: "Secret db does not exist", cause: "its environment", hint: "get secrets -n shop",
		},
		"key": {
			pod: config("couldn't find key PASWORD in Secret shop/db"), q: Question{Topic: KeysOfSecret, Namespace: "shop", Name: "db"}, has: []string{"PASSWORD", "USER"},
			summary: "Secret db has no key PASWORD; meant PASSWORD?", hint: "describe secret db -n shop",
		},
		"volume": {
			pod: volume, events: mount(`MountVolume.SetUp failed for volume "cfg" : configmap "cart-config" not found`),
			summary: "ConfigMap cart-config does not exist", cause: "its volume cfg",
		},
		"key of a volume": {
			pod: volume, events: mount(`MountVolume.SetUp failed for volume "cfg" : configmap references non-existent config key: app.yml`),
			q: Question{Topic: KeysOfConfigMap, Namespace: "shop", Name: "cart-config"}, has: []string{"app.yaml"},
			summary: "ConfigMap cart-config has no key app.yml; meant app.yaml?",
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := world()
			s.Pods, s.Events, s.Answers = []*corev1.Pod{test.pod}, test.events, map[Question]Answer{test.q: {Lines: test.has}}
			check(t, s, want{cluster.ProblemConfig, cart, test.summary, test.cause, test.hint})
			if test.q.Topic != "" && test.q.Name == "" { // it has been created meanwhile
				s.Answers[test.q] = Answer{Lines: []string{"cart-conf", "db"}}
				check(t, s)
			}
		})
	}
}

func TestProbes(t *testing.T) {
	get := httpGet("healthz", 8080)
	for name, test := range map[string]struct {
		probe   corev1.Probe
		message string
		cause   string
	}{
		"status":    {get, "Readiness probe failed: HTTP probe failed with statuscode: 503", "its readiness probe (GET /healthz on port 8080): it answers 503"},
		"refused":   {get, `Readiness probe failed: Get "http://10.244.1.5:8080/healthz": dial tcp 10.244.1.5:8080: connect: connection refused`, "nothing listens on port 8080"},
		"slow":      {get, `Readiness probe failed: Get "http://10.244.1.5:8080/healthz": context deadline exceeded (Client.Timeout exceeded while awaiting headers)`, "timed out after 1s"},
		"command":   {corev1.Probe{ProbeHandler: corev1.ProbeHandler{Exec: &corev1.ExecAction{Command: []string{"test", "-f", "/ready"}}}}, "Readiness probe failed: not yet\n", "(command test -f /ready): the command fails: not yet"},
		"forgotten": {get, "", "its readiness probe (GET /healthz on port 8080) fails"},
	} {
		t.Run(name, func(t *testing.T) {
			s := world()
			p := pod("a", probing("readiness", test.probe))
			s.Pods = []*corev1.Pod{p}
			if test.message != "" {
				s.Events = []*corev1.Event{warning(p, "Unhealthy", test.message, 40*time.Second)}
			}
			check(t, s, want{cluster.ProblemProbe, cart, "the container is running but not ready", test.cause, "logs cart-7d9f4-a"})
		})
	}
}

func TestRefusals(t *testing.T) {
	const before = `pods "cart-7d9f4-" is forbidden: `
	for name, test := range map[string]struct{ message, summary, cause, hint string }{
		"quota": {
			before + "exceeded quota: compute, requested: limits.memory=1Gi,pods=1, used: limits.memory=2Gi,pods=2, limited: limits.memory=2Gi,pods=2",
			"its pods are rejected by quota compute", "another pod needs limits.memory=1Gi,pods=1; the quota allows limits.memory=2Gi,pods=2, of which limits.memory=2Gi,pods=2 is used", "edit quota compute -n shop",
		},
		"quota wants more": {
			before + "failed quota: compute: must specify limits.cpu for: cart; limits.memory for: cart",
			"its pods are rejected by quota compute", "each container must specify limits.cpu for: cart", "LimitRange",
		},
		"PodSecurity": {
			before + `violates PodSecurity "restricted:latest": allowPrivilegeEscalation != false (container "cart" must set securityContext.allowPrivilegeEscalation=false), runAsNonRoot != true (pod or container "cart" must set securityContext.runAsNonRoot=true)`,
			"its pods are rejected by PodSecurity: they are not restricted", "against the rules: allowPrivilegeEscalation != false, runAsNonRoot != true", "label ns shop",
		},
		"webhook": {
			`admission webhook "no.latest.test" denied the request: tag latest is not allowed`, "its pods are rejected by webhook no.latest.test", "tag latest is not allowed", "webhookconfigurations",
		},
		"dead webhook": {
			`Internal error occurred: failed calling webhook "no.latest.test": failed to call webhook: Post "https://hook.shop.svc:443/x?timeout=10s": no endpoints available for service "hook"`,
			"its pods are rejected, because webhook no.latest.test does not answer", "no endpoints available", "remove it",
		},
		"policy": {
			before + `ValidatingAdmissionPolicy 'replicas' with binding 'all' denied request: at most 3`, "its pods are rejected by policy replicas", "at most 3", "describe validatingadmissionpolicy replicas",
		},
		"LimitRange": {
			before + "maximum memory usage per Container is 1Gi, but limit is 2Gi", "its pods are rejected by a LimitRange", "maximum memory usage per Container is 1Gi, but limit is 2Gi", "describe limitrange -n shop",
		},
		"service account": {
			before + `error looking up service account shop/builder: serviceaccount "builder" not found`, "its pods are rejected: service account builder does not exist", "", "create serviceaccount builder -n shop",
		},
		"anything": {before + "because", "its pods cannot be created", "because", "kube-controller-manager"},
	} {
		t.Run(name, func(t *testing.T) {
			s := world()
			s.ReplicaSets = []*appsv1.ReplicaSet{replicaSet(3, 0, test.message)}
			check(t, s, want{cluster.ProblemRefused, cart, test.summary, test.cause, test.hint})
			// The same of a StatefulSet, which has Events alone.
			s.ReplicaSets = nil
			s.StatefulSets = []*appsv1.StatefulSet{{
				ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "db", UID: "set", CreationTimestamp: ago(time.Minute)},
				Spec:       appsv1.StatefulSetSpec{Replicas: new(int32(1))},
			}}
			s.Events = []*corev1.Event{eventAbout("StatefulSet", "set", "FailedCreate", "create Pod db-0 in StatefulSet db failed error: "+test.message, 30*time.Second)}
			check(t, s, want{cluster.ProblemRefused, "statefulset/shop/db", test.summary, test.cause, test.hint})
		})
	}
}

func TestJobs(t *testing.T) {
	failed := batchv1.JobCondition{Type: batchv1.JobFailed, Status: corev1.ConditionTrue, Reason: "BackoffLimitExceeded", Message: "Job has reached the specified backoff limit", LastTransitionTime: ago(time.Second)}
	s := world()
	s.Jobs = []*batchv1.Job{job(3, failed)}
	s.Pods = []*corev1.Pod{pod("a", func(p *corev1.Pod) {
		p.OwnerReferences = []metav1.OwnerReference{{Kind: "Job", Name: "import", UID: "job", Controller: new(true)}}
		p.Labels, p.Status.Phase = nil, corev1.PodFailed
		p.Status.ContainerStatuses[0].State = corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{ExitCode: 3, ContainerID: "containerd://" + p.Name, FinishedAt: ago(time.Second)}}
	})}
	s.Answers = logs(s.Pods[0], false, "error: no input")
	check(t, s, want{cluster.ProblemFailed, "job/shop/import", "the job has failed: its pods failed 3 times, and no more retries are allowed", "the container exited with 3: error: no input", "logs cart-7d9f4-a"})

	// A later run of the same CronJob says how things are now.
	cron := []metav1.OwnerReference{{Kind: "CronJob", Name: "nightly", UID: "cron", Controller: new(true)}}
	s.Jobs[0].OwnerReferences = cron
	later := job(0, batchv1.JobCondition{Type: batchv1.JobComplete, Status: corev1.ConditionTrue})
	later.UID, later.CreationTimestamp, later.OwnerReferences, later.Status.CompletionTime = "later", ago(time.Second), cron, new(ago(0))
	s.Jobs = append(s.Jobs, later)
	check(t, s)
}

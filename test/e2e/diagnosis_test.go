package e2e

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"bonsai/bootstrap/cluster"
	"bonsai/test/e2e/harness"
)

// planted is an injected fault and what status has to report about it; summary, cause and hint are parts.
type planted struct {
	name  string
	plant func(*testing.T, *harness.Namespace)
	want  expected
	count int
}

// expected is what a problem says; Summary, Cause, Hint and Fix may be parts.
type expected struct{ Kind, Object, Summary, Cause, Hint, Fix string }

// TestDiagnosis injects every fault that status knows, all at once, and checks cause and fix of each in status. Before
// and after that, a cluster in which nothing is wrong has no problem, even while it is busy.
func TestDiagnosis(t *testing.T) {
	t.Parallel()
	c := harness.New(t)
	c.Start(t, "--nodes", "2")
	c.LoadImages(t)
	t.Run("healthy", func(t *testing.T) { testNoProblems(t, c) })

	home := c.NewNamespace(t)
	home.Service(t, &corev1.Service{ObjectMeta: metav1.ObjectMeta{Name: "redis"}, Spec: corev1.ServiceSpec{Ports: []corev1.ServicePort{{Port: 6379}}}})
	slip := home.Namespace[:3] + home.Namespace[4:5] + home.Namespace[3:4] + home.Namespace[5:] // two letters swapped
	if slip == home.Namespace {
		slip = home.Namespace + "x"
	}

	var all []planted
	spaces := map[string]*harness.Namespace{}
	for _, p := range append(faultsOfPods(slip, home.Namespace), faultsAround()...) {
		n := c.NewNamespace(t)
		p.plant(t, n)
		all, spaces[p.name] = append(all, p), n
	}
	for _, p := range all {
		t.Run(p.name, func(t *testing.T) { p.reported(t, spaces[p.name]) })
	}
	// Fixed faults are no longer reported.
	for _, n := range spaces {
		n.Kubectl(t, "delete", "namespace", n.Namespace, "--wait=false")
	}
	harness.Until(t, 90*time.Second, "an end of all problems", func() error {
		if s, _ := c.Status(t); len(s.Problems) > 0 {
			return fmt.Errorf("status reports %s", problemLines(s.Problems))
		}
		return nil
	})
}

// reported waits until status reports the fault.
func (p planted) reported(t *testing.T, n *harness.Namespace) {
	object := strings.ReplaceAll(p.want.Object, "NS", n.Namespace)
	// The slowest are those that begin after the kubelet's second restart.
	harness.Until(t, time.Minute, "status to tell of "+p.name, func() error {
		s, code := n.Status(t)
		if code != 0 {
			return fmt.Errorf("status exits with %d", code)
		}
		i := slices.IndexFunc(s.Problems, func(q cluster.Problem) bool {
			return q.Object == object && q.Kind == p.want.Kind && strings.Contains(q.Summary, p.want.Summary) &&
				strings.Contains(q.Cause, p.want.Cause) && strings.Contains(q.HintText(), p.want.Hint) && strings.HasPrefix(q.FixText(), p.want.Fix)
		})
		if i < 0 {
			return fmt.Errorf("for %s it reports %s", object, problemLines(slices.DeleteFunc(s.Problems, func(q cluster.Problem) bool { return q.Object != object })))
		}
		if q := s.Problems[i]; q.Count != max(p.count, 1) && q.Count != 0 || q.Since.IsZero() {
			return fmt.Errorf("it counts %d pods since %s", q.Count, q.Since)
		}
		return nil
	})
}

func problemLines(list []cluster.Problem) string {
	var lines []string
	for _, p := range list {
		lines = append(lines, fmt.Sprintf("%s %s: %s | %s | %s | %s", p.Kind, p.Object, p.Summary, p.Cause, p.HintText(), p.FixText()))
	}
	return strings.Join(lines, "\n")
}

// deploy creates a Deployment of a pod with a shell; change may modify it.
func deploy(t *testing.T, n *harness.Namespace, name string, replicas int32, command string, change ...func(*corev1.PodSpec)) {
	t.Helper()
	p := n.Pod(name, harness.Busybox, "-c", command)
	for _, f := range change {
		f(&p.Spec)
	}
	_, err := n.Client.AppsV1().Deployments(n.Namespace).Create(t.Context(), &appsv1.Deployment{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Spec: appsv1.DeploymentSpec{
			Replicas: &replicas, Selector: &metav1.LabelSelector{MatchLabels: p.Labels},
			Template: corev1.PodTemplateSpec{ObjectMeta: metav1.ObjectMeta{Labels: p.Labels}, Spec: p.Spec},
		},
	}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
}

func container(change func(*corev1.Container)) func(*corev1.PodSpec) {
	return func(s *corev1.PodSpec) { change(&s.Containers[0]) }
}

func limits(r corev1.ResourceName, q string) corev1.ResourceList {
	return corev1.ResourceList{r: resource.MustParse(q)}
}

// mounted gives the container a volume; the kubelet ignores those that are not mounted.
func mounted(name string, source corev1.VolumeSource) func(*corev1.PodSpec) {
	return func(s *corev1.PodSpec) {
		s.Volumes = []corev1.Volume{{Name: name, VolumeSource: source}}
		s.Containers[0].VolumeMounts = []corev1.VolumeMount{{Name: name, MountPath: "/volume"}}
	}
}

const idle = "exec sleep 100000"

// deployed injects a Deployment.
func deployed(replicas int32, command string, change ...func(*corev1.PodSpec)) func(*testing.T, *harness.Namespace) {
	return func(t *testing.T, n *harness.Namespace) { deploy(t, n, "web", replicas, command, change...) }
}

// faultsOfPods are those of containers: a name, an image, crashes, probes. The Service redis lives in right, not in wrong.
func faultsOfPods(wrong, right string) []planted {
	const web = "deployment/NS/web"
	return []planted{
		{"name", deployed(1, "wget -O- http://redis."+wrong+".svc:6379/"), expected{
			Kind: cluster.ProblemName, Object: web, Summary: "asks DNS for redis." + wrong + ".svc: no such name; meant redis." + right + ".svc?",
			Cause: "Service redis is in namespace " + right, Hint: "bonsai dns query redis." + wrong + ".svc",
		}, 1},
		{"image", deployed(3, idle, container(func(c *corev1.Container) { c.Image = "nowhere.bonsai.test/nobody:1" })), expected{
			Kind: cluster.ProblemImage, Object: web, Summary: "image nowhere.bonsai.test/nobody:1 cannot be pulled (3 pods)",
			Cause: "the nodes cannot reach nowhere.bonsai.test", Hint: "bonsai image load", Fix: "image load nowhere.bonsai.test/nobody:1",
		}, 3},
		{"crash", deployed(1, "echo starting; echo 'FATAL: no license in /etc/license'; exit 3"), expected{
			Kind: cluster.ProblemCrash, Object: web, Summary: "the container exits with 3", Cause: "FATAL: no license in /etc/license", Hint: "logs web-",
		}, 1},
		{"memory", deployed(1, "exec tail /dev/zero", container(func(c *corev1.Container) { c.Resources.Limits = limits(corev1.ResourceMemory, "32Mi") })), expected{
			Kind: cluster.ProblemMemory, Object: web, Summary: "the container is killed because of its memory use", Cause: "its limit of 32Mi", Hint: "resources.limits.memory",
		}, 1},
		{"readiness", deployed(1, "mkdir /www; exec httpd -f -p 8080 -h /www", container(func(c *corev1.Container) {
			c.ReadinessProbe = &corev1.Probe{
				PeriodSeconds: 1, FailureThreshold: 2,
				ProbeHandler: corev1.ProbeHandler{HTTPGet: &corev1.HTTPGetAction{Path: "/healthz", Port: intstr.FromInt(8080)}},
			}
		})), expected{
			Kind: cluster.ProblemProbe, Object: web, Summary: "the container is running but not ready", Cause: "its readiness probe (GET /healthz on port 8080): it answers 404", Hint: "its log:",
		}, 1},
		{"liveness", deployed(1, idle, container(func(c *corev1.Container) {
			c.Ports = []corev1.ContainerPort{{ContainerPort: 80}}
			c.LivenessProbe = &corev1.Probe{PeriodSeconds: 1, FailureThreshold: 2, ProbeHandler: corev1.ProbeHandler{TCPSocket: &corev1.TCPSocketAction{Port: intstr.FromInt(8080)}}}
		})), expected{
			Kind: cluster.ProblemProbe, Object: web, Summary: "the container is restarted because its liveness probe fails",
			Cause: "nothing listens on port 8080", Hint: "the probe uses port 8080, but the container declares that it listens on 80",
		}, 1},
		{"command", deployed(1, idle, container(func(c *corev1.Container) { c.Command = []string{"serve"} })), expected{
			Kind: cluster.ProblemStart, Object: web, Summary: "the container cannot be started", Cause: "its command serve does not exist in the image", Hint: "correct the command",
		}, 1},
		{"port in use", deployed(1, "exec nc -l -p 8080", func(s *corev1.PodSpec) {
			other := s.Containers[0]
			other.Name, other.Args = "other", []string{"-c", "sleep 1; exec nc -l -p 8080"}
			s.Containers = append(s.Containers, other)
		}), expected{
			Kind: cluster.ProblemPort, Object: web, Summary: "is taken inside the pod", Cause: "ddress already in use", Hint: "the containers of a pod share their ports",
		}, 1},
	}
}

// faultsAround are those of what pods need: nodes, volumes, settings, leave.
func faultsAround() []planted {
	const web = "deployment/NS/web"
	return []planted{
		{"resources", deployed(1, idle, container(func(c *corev1.Container) { c.Resources.Requests = limits(corev1.ResourceMemory, "4000Gi") })), expected{
			Kind: cluster.ProblemUnschedulable, Object: web, Summary: "no node has enough memory left", Cause: "it requests 3.9Ti of memory; the node with the most, ", Hint: "resources.requests",
		}, 1},
		{"label", deployed(1, idle, func(s *corev1.PodSpec) { s.NodeSelector = map[string]string{"disk": "ssd"} }), expected{
			Kind: cluster.ProblemUnschedulable, Object: web, Summary: "no node matches its requirements", Cause: "no node has the label disk=ssd", Hint: "label node",
		}, 1},
		{"host port", deployed(3, idle, container(func(c *corev1.Container) { c.Ports = []corev1.ContainerPort{{ContainerPort: 80, HostPort: 8099}} })), expected{
			Kind: cluster.ProblemPort, Object: web, Summary: "host port 8099 is taken on every node", Cause: "has 8099 on", Hint: "a Service instead of hostPort",
		}, 1},
		{"volume", func(t *testing.T, n *harness.Namespace) {
			claim(t, n, "data", "standart")
			if _, err := n.Client.CoreV1().Pods(n.Namespace).Create(t.Context(), withClaim(n, "db", "data"), metav1.CreateOptions{}); err != nil {
				t.Fatal(err)
			}
		}, expected{
			Kind: cluster.ProblemClaim, Object: "persistentvolumeclaim/NS/data", Summary: "storage class standart does not exist; meant standard?", Hint: "recreate the claim",
		}, 0},
		{"mount", deployed(1, idle, mounted("host", corev1.VolumeSource{
			HostPath: &corev1.HostPathVolumeSource{Path: "/srv/nothing", Type: new(corev1.HostPathDirectory)},
		})), expected{
			Kind: cluster.ProblemMount, Object: web, Summary: "volume host cannot be mounted", Cause: "has no folder /srv/nothing; hostPath means the node's files", Hint: "bonsai ssh",
		}, 1},
		{"ConfigMap", func(t *testing.T, n *harness.Namespace) {
			n.Kubectl(t, "-n", n.Namespace, "create", "configmap", "settings", "--from-literal=LOG_LEVEL=debug")
			deploy(t, n, "web", 1, idle, container(func(c *corev1.Container) {
				c.EnvFrom = []corev1.EnvFromSource{{ConfigMapRef: &corev1.ConfigMapEnvSource{LocalObjectReference: corev1.LocalObjectReference{Name: "setings"}}}}
			}))
		}, expected{
			Kind: cluster.ProblemConfig, Object: web, Summary: "ConfigMap setings does not exist; meant settings?", Cause: "its environment", Hint: "get configmaps",
		}, 1},
		{"key", func(t *testing.T, n *harness.Namespace) {
			n.Kubectl(t, "-n", n.Namespace, "create", "secret", "generic", "db", "--from-literal=PASSWORD=x")
			deploy(t, n, "web", 1, idle, container(func(c *corev1.Container) {
				c.Env = []corev1.EnvVar{{Name: "P", ValueFrom: &corev1.EnvVarSource{SecretKeyRef: &corev1.SecretKeySelector{LocalObjectReference: corev1.LocalObjectReference{Name: "db"}, Key: "PASWORD"}}}}
			}))
		}, expected{
			Kind: cluster.ProblemConfig, Object: web, Summary: "Secret db has no key PASWORD; meant PASSWORD?", Cause: "its environment", Hint: "describe secret db",
		}, 1},
		{"Secret of a volume", deployed(1, idle, mounted("tls", corev1.VolumeSource{
			Secret: &corev1.SecretVolumeSource{SecretName: "certificate"},
		})), expected{
			Kind: cluster.ProblemConfig, Object: web, Summary: "Secret certificate does not exist", Cause: "its volume tls", Hint: "get secrets",
		}, 1},
		{"Ingress to a Service that does not exist", func(t *testing.T, n *harness.Namespace) {
			n.Kubectl(t, "-n", n.Namespace, "create", "service", "clusterip", "shop", "--tcp=80:80", "--clusterip=None")
			n.Kubectl(t, "-n", n.Namespace, "create", "ingress", "front", "--rule=shop.test/=shpo:80")
		}, expected{
			Kind: cluster.ProblemBackend, Object: "ingress/NS/front", Summary: "leads to Service shpo, which does not exist; meant shop?", Cause: "requests for shop.test/", Hint: "edit ingress front",
		}, 0},
		{"two Ingresses of one host", func(t *testing.T, n *harness.Namespace) {
			n.Kubectl(t, "-n", n.Namespace, "create", "ingress", "one", "--rule="+n.Namespace+".test/=none:80")
			n.Kubectl(t, "-n", n.Namespace, "create", "ingress", "two", "--rule="+n.Namespace+".test/=none:80")
		}, expected{
			Kind: cluster.ProblemHost, Object: "ingress/NS/two", Summary: "which Ingress ", Cause: "only one of them gets the requests", Hint: "edit ingress two",
		}, 0},
		{"quota", func(t *testing.T, n *harness.Namespace) {
			n.Kubectl(t, "-n", n.Namespace, "create", "quota", "few", "--hard=pods=0")
			deploy(t, n, "web", 1, idle)
		}, expected{
			Kind: cluster.ProblemRefused, Object: web, Summary: "its pods are rejected by quota few", Cause: "the quota allows pods=0", Hint: "edit quota few",
		}, 0},
		{"PodSecurity", func(t *testing.T, n *harness.Namespace) {
			n.Kubectl(t, "label", "namespace", n.Namespace, "pod-security.kubernetes.io/enforce=restricted")
			p := n.Pod("db", harness.Busybox, "-c", idle)
			_, err := n.Client.AppsV1().StatefulSets(n.Namespace).Create(t.Context(), &appsv1.StatefulSet{
				ObjectMeta: metav1.ObjectMeta{Name: "db"},
				Spec: appsv1.StatefulSetSpec{
					Replicas: new(int32(1)), Selector: &metav1.LabelSelector{MatchLabels: p.Labels},
					Template: corev1.PodTemplateSpec{ObjectMeta: metav1.ObjectMeta{Labels: p.Labels}, Spec: p.Spec},
				},
			}, metav1.CreateOptions{})
			if err != nil {
				t.Fatal(err)
			}
		}, expected{
			Kind: cluster.ProblemRefused, Object: "statefulset/NS/db", Summary: "its pods are rejected by PodSecurity: they are not restricted",
			Cause: "runAsNonRoot != true", Hint: "pod-security.kubernetes.io/enforce=baseline",
		}, 0},
	}
}

// testNoProblems rolls a Deployment over, runs a Job and deletes pods, and checks status all the time.
func testNoProblems(t *testing.T, c *harness.Cluster) {
	n := c.NewNamespace(t)
	none := func(when string) {
		t.Helper()
		if s, code := c.Status(t); len(s.Problems) > 0 || code != 0 {
			t.Errorf("%s: status exits with %d and reports %s", when, code, problemLines(s.Problems))
		}
	}
	none("an empty cluster")
	slow := container(func(c *corev1.Container) {
		c.ReadinessProbe = &corev1.Probe{PeriodSeconds: 1, InitialDelaySeconds: 2, ProbeHandler: corev1.ProbeHandler{Exec: &corev1.ExecAction{Command: []string{"test", "-f", "/tmp/ready"}}}}
	})
	deploy(t, n, "web", 3, "sleep 3; touch /tmp/ready; "+idle, slow)
	claim(t, n, "data", "")
	claim(t, n, "unused", "")
	if _, err := n.Client.CoreV1().Pods(n.Namespace).Create(t.Context(), withClaim(n, "db", "data"), metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	n.Kubectl(t, "-n", n.Namespace, "create", "job", "once", "--image="+harness.Busybox, "--", "/bin/sh", "-c", "exit 0")
	settled := func(what string) {
		t.Helper()
		harness.Until(t, time.Minute, what, func() error {
			none(what)
			d, err := n.Client.AppsV1().Deployments(n.Namespace).Get(t.Context(), "web", metav1.GetOptions{})
			if err == nil && (d.Status.ObservedGeneration < d.Generation || d.Status.UpdatedReplicas < 3 || d.Status.Replicas > 3 || d.Status.AvailableReplicas < 3) {
				err = fmt.Errorf("the Deployment has %+v", d.Status)
			}
			return err
		})
	}
	settled("a new Deployment")
	n.Kubectl(t, "-n", n.Namespace, "rollout", "restart", "deployment/web")
	settled("a rolling update")
	n.Kubectl(t, "-n", n.Namespace, "delete", "pods", "-l", "app=web", "--wait=false")
	settled("deleted pods")
	n.WaitReady(t, "db")
	none("in the end")
	c.Must(t, "stop")
	c.Start(t)
	for range 10 {
		none("after a restart")
	}
	settled("a restart")
	n.Kubectl(t, "delete", "namespace", n.Namespace)
	none("everything is deleted")
}

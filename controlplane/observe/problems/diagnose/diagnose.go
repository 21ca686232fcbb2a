// Package diagnose finds what is wrong with a cluster, why, and what to do: it turns observed objects into
// cluster.Problems. It is pure; the caller observes.
//
// A problem is reported when it is certain, and once per cause and owner: ten pods of a Deployment with one bad image
// are one problem. Nothing that is merely starting, ending, or over is a problem. So every finding is based on a state
// that lasts, such as a container that waits for its back-off; Events, logs and DNS only explain it.
//
// Begin reading at Workloads. Each cause has its own file; node.go has those of nodes, components and addons. The
// messages that are parsed are those of Kubernetes 1.37, named beside the code that reads them.
package diagnose

import (
	"cmp"
	"maps"
	"slices"
	"strings"
	"time"

	admissionv1 "k8s.io/api/admissionregistration/v1"
	appsv1 "k8s.io/api/apps/v1"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	policyv1 "k8s.io/api/policy/v1"
	storagev1 "k8s.io/api/storage/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	registrationv1 "k8s.io/kube-aggregator/pkg/apis/apiregistration/v1"

	"bonsai/bootstrap/cluster"
	"bonsai/bootstrap/limits"
	"bonsai/bootstrap/wait"
)

// State is what was observed. It is not changed.
type State struct {
	Now time.Time
	// Cluster is its name, for hints.
	Cluster string
	// Begun is when the control plane became ready. Earlier ends do not count: the cluster was stopped in between.
	Begun time.Time
	// Scale multiplies grace periods, for slow machines.
	Scale wait.Scale

	Namespaces   []*corev1.Namespace
	Pods         []*corev1.Pod
	Nodes        []*corev1.Node
	Events       []*corev1.Event // warnings
	Claims       []*corev1.PersistentVolumeClaim
	Volumes      []*corev1.PersistentVolume
	Classes      []*storagev1.StorageClass
	Services     []*corev1.Service
	Deployments  []*appsv1.Deployment
	ReplicaSets  []*appsv1.ReplicaSet
	StatefulSets []*appsv1.StatefulSet
	DaemonSets   []*appsv1.DaemonSet
	Jobs         []*batchv1.Job
	CronJobs     []*batchv1.CronJob
	Autoscalers  []*autoscalingv2.HorizontalPodAutoscaler
	Ingresses    []*networkingv1.Ingress
	Policies     []*networkingv1.NetworkPolicy
	// Enforced says that bonsai itself enforces Policies.
	Enforced    bool
	Validating  []*admissionv1.ValidatingWebhookConfiguration
	Mutating    []*admissionv1.MutatingWebhookConfiguration
	Budgets     []*policyv1.PodDisruptionBudget
	APIServices []*registrationv1.APIService
	Definitions []*metav1.PartialObjectMetadata // of CustomResourceDefinitions

	// Balancer is the addon that gives Services of type LoadBalancer an address; nil if there is none.
	Balancer *cluster.AddonStatus
	// Gateway is the addon that serves Ingresses; nil if there is none.
	Gateway *cluster.AddonStatus

	// Lookups are questions of pods for names that do not exist, newest last.
	Lookups []FailedLookup
	// Answers are the answers to the Questions of earlier Reports.
	Answers map[Question]Answer `json:"-"`
	// Noted is that of the Report before.
	Noted map[Probed]string `json:"-"`
}

// Probed is a probe of a container: "liveness" or "startup".
type Probed struct {
	Pod              types.UID
	Container, Probe string
}

// FailedLookup is a name that a pod asked for and that does not exist.
type FailedLookup struct {
	Pod         string // "namespace/name"
	Name        string // as the pod had it, without the search path
	Count       int
	First, Last time.Time
	// Tries are the names of the search path that were asked, including this one.
	Tries []string
}

// Question is something that State does not contain and that would improve a Report.
type Question struct {
	Topic Topic
	// Namespace and Name are the object's: a pod, for KeysOf... a ConfigMap or Secret, for RevisionOf a ControllerRevision;
	// for HeldObjects, Name is a resource with its group ("configmaps.", "widgets.example.com");
	// for ImageOn, Name alone is an image; for DeniedTraffic, it is a resource without whose objects there are no policies.
	Namespace, Name string
	// Container and ID are a container that has exited; Previous means that another runs in its place.
	Container, ID string
	Previous      bool
	// Host is the name to look up, on behalf of the pod.
	Host string
	// Node is where the pod is, whose UID is ID; Port and Protocol are what something in it should listen on. Start is when
	// its newest container was started, in seconds, as another one may listen elsewhere.
	Node     string
	Port     int32
	Protocol string
	Start    int64
}

// Topic is what a Question asks for.
type Topic string

// The topics.
const (
	LogOf           Topic = "log"             // the last lines of a container that has ended
	NamesConfigMap  Topic = "configmap names" // of a namespace
	NamesSecret     Topic = "secret names"
	KeysOfConfigMap Topic = "configmap keys"
	KeysOfSecret    Topic = "secret keys"
	Lookup          Topic = "lookup" // Host as the pod would ask
	Listening       Topic = "ports that a pod listens on"
	NamesClass      Topic = "ingress class names"
	HeldObjects     Topic = "held" // of a namespace, or of all if it is empty
	RevisionOf      Topic = "revision"
	ImageOn         Topic = "image"  // the nodes that have an image; see FindImage
	Routes          Topic = "routes" // HTTPRoutes and Gateways of all namespaces
	DeniedTraffic   Topic = "denied" // what policies have stopped, on all nodes
)

// Answer is the answer to a Question.
type Answer struct {
	// Failed means that it could not be found out.
	Failed bool
	// Lines are those of a log, or the requested names or keys, or the number of a revision.
	Lines []string
	// Held are the objects that are being deleted and have finalizers.
	Held []Held
	// Nodes are those that have an image.
	Nodes []string
	// Routes are the HTTPRoutes and Gateways.
	Routes []Route
	// Denied is what NetworkPolicies have stopped.
	Denied []cluster.Denied
	// Found means that a name exists, or that other pods can connect to the port.
	Found bool
	// Ports are all that the pod listens on.
	Ports []cluster.Listening
}

// Held is an object that finalizers hold.
type Held struct {
	Kind, Namespace, Name string
	Finalizers            []string
}

// Report is a diagnosis.
type Report struct {
	Problems []cluster.Problem // worst first, then oldest
	// Questions are all that were looked up in State.Answers, whether answered or not.
	Questions []Question
	// Next is when the Report may change because of time alone; zero if it does not.
	Next time.Time
	// Noted is what the next State should have: why probes failed, which Events say only for a while.
	Noted map[Probed]string
}

// Workloads examines pods, their controllers and volumes, and what leads to them or acts on them.
func Workloads(s State) Report {
	d := newDiagnosis(s)
	for _, p := range s.Pods {
		d.pod(p)
	}
	d.endedAgain()
	d.claims()
	d.refusals()
	d.jobs()
	d.webhooks()
	d.apiServices()
	d.services()
	d.ingresses()
	d.routes()
	d.policies()
	d.denials()
	d.autoscalers()
	d.cronJobs()
	d.deletions()
	d.budgets()
	d.rollouts() // after everything that fails new pods
	d.silentLookups()
	r := Report{Problems: d.problems(), Questions: slices.Collect(maps.Keys(d.asked)), Next: d.next, Noted: d.noted}
	slices.SortFunc(r.Questions, func(a, b Question) int {
		return cmp.Or(cmp.Compare(a.Topic, b.Topic), cmp.Compare(a.Namespace, b.Namespace), cmp.Compare(a.Name, b.Name), cmp.Compare(a.ID, b.ID), cmp.Compare(a.Host, b.Host), cmp.Compare(a.Port, b.Port), cmp.Compare(a.Protocol, b.Protocol))
	})
	return r
}

// diagnosis is the work on one State.
type diagnosis struct {
	State
	events   map[types.UID][]*corev1.Event // by the object they are about, newest first
	nodes    map[string]*corev1.Node
	ending   map[string]bool     // namespaces that are being deleted
	owners   map[types.UID]owner // of ReplicaSets and Jobs
	lookups  map[string][]FailedLookup
	free     map[string]corev1.ResourceList // by node, see freeOn
	findings []finding
	asked    map[Question]bool
	next     time.Time
	// blamed are Services that another problem names as its cause, as "namespace/name".
	blamed map[string]bool
	// listening is how many pods have been asked for their ports.
	listening int
	ended     []*corev1.Pod // see countEnded
	// named are pods whose failed lookups have been reported.
	named map[string]bool
	noted map[Probed]string
}

func newDiagnosis(s State) *diagnosis {
	d := &diagnosis{
		State: s, events: map[types.UID][]*corev1.Event{}, nodes: map[string]*corev1.Node{}, ending: map[string]bool{}, owners: map[types.UID]owner{},
		blamed:  map[string]bool{},
		lookups: map[string][]FailedLookup{}, asked: map[Question]bool{}, named: map[string]bool{}, noted: map[Probed]string{},
	}
	for _, e := range s.Events {
		d.events[e.InvolvedObject.UID] = append(d.events[e.InvolvedObject.UID], e)
	}
	for _, list := range d.events {
		slices.SortStableFunc(list, func(a, b *corev1.Event) int { return lastSeen(b).Compare(lastSeen(a)) })
	}
	for _, n := range s.Nodes {
		d.nodes[n.Name] = n
	}
	for _, n := range s.Namespaces {
		if n.DeletionTimestamp != nil {
			d.ending[n.Name] = true
		}
	}
	for _, rs := range s.ReplicaSets {
		d.owners[rs.UID] = controller(rs.Namespace, rs.OwnerReferences, owner{"replicaset", rs.Namespace, rs.Name})
	}
	for _, j := range s.Jobs {
		d.owners[j.UID] = controller(j.Namespace, j.OwnerReferences, owner{"job", j.Namespace, j.Name})
	}
	for _, l := range s.Lookups {
		d.lookups[l.Pod] = append(d.lookups[l.Pod], l)
	}
	return d
}

// owner is the object that has a problem: the controller of a pod, otherwise the pod itself.
type owner struct{ kind, namespace, name string }

func (o owner) object() string {
	if o.namespace == "" {
		return o.kind + "/" + o.name
	}
	return o.kind + "/" + o.namespace + "/" + o.name
}

// finding is what is wrong with one pod or object. Findings of one owner with the same kind and key are one Problem.
type finding struct {
	cluster.Problem // without Object, Count and Pods
	of              owner
	key             string
	pod             *corev1.Pod // nil if it is about something else
}

// add adds what is wrong, unless it disappears with its namespace.
func (d *diagnosis) add(f finding) {
	if d.ending[f.of.namespace] {
		return
	}
	// A full disk or too many open files may be the pod's own affair; what has a setting is the machine's.
	if l, ok := limits.Recognize(f.Cause); ok && f.pod != nil && l.Setting != "" {
		f.Advice = slices.Concat(l.Advice(), f.Advice)
	}
	d.findings = append(d.findings, f)
}

// maxPods is how many pods of a problem are named.
const maxPods = 5

// problems merges the findings.
func (d *diagnosis) problems() (list []cluster.Problem) {
	type group struct{ kind, object, key string }
	index := map[group]int{}
	for _, f := range d.findings {
		g := group{f.Kind, f.of.object(), f.key}
		i, ok := index[g]
		if !ok {
			i = len(list)
			index[g] = i
			p := f.Problem.For(d.Cluster)
			p.Object = f.of.object()
			if f.pod != nil {
				p.Count, p.Pods = 1, []string{podName(f.pod)}
			}
			list = append(list, p)
			continue
		}
		p := &list[i]
		if !f.Since.IsZero() && (p.Since.IsZero() || f.Since.Before(p.Since)) {
			p.Since = f.Since
		}
		for _, b := range f.Because {
			if !slices.Contains(p.Because, b) {
				p.Because = append(p.Because, b)
			}
		}
		if f.pod == nil || slices.Contains(p.Pods, podName(f.pod)) {
			continue
		}
		p.Count++
		if len(p.Pods) < maxPods {
			p.Pods = append(p.Pods, podName(f.pod))
		}
	}
	for i := range list {
		if p := &list[i]; p.Count > 1 {
			p.Summary += " (" + count(p.Count, "pod") + ")"
		}
	}
	cluster.SortProblems(list)
	return list
}

// ownerOf returns the controller of a pod.
func (d *diagnosis) ownerOf(p *corev1.Pod) owner {
	for _, r := range p.OwnerReferences {
		if r.Controller == nil || !*r.Controller {
			continue
		}
		if o, ok := d.owners[r.UID]; ok {
			return o
		}
		// The ReplicaSets of a Deployment are named after it and the hash in this label.
		if hash := p.Labels[appsv1.DefaultDeploymentUniqueLabelKey]; hash != "" && r.Kind == "ReplicaSet" {
			return owner{"deployment", p.Namespace, strings.TrimSuffix(r.Name, "-"+hash)}
		}
		if r.Kind == "Node" {
			break // a static pod
		}
		return owner{strings.ToLower(r.Kind), p.Namespace, r.Name}
	}
	return owner{"pod", p.Namespace, p.Name}
}

// ask returns what is known about a question, and records that it was asked.
func (d *diagnosis) ask(q Question) (Answer, bool) {
	d.asked[q] = true
	a, ok := d.Answers[q]
	return a, ok && !a.Failed
}

// over reports whether a time has exceeded a grace period. If not, the Report is valid until then.
func (d *diagnosis) over(since time.Time, grace time.Duration) bool {
	end := since.Add(d.Scale.Of(grace))
	if !d.Now.Before(end) {
		return true
	}
	d.until(end)
	return false
}

// sinceBegun is t, or the beginning of the control plane if that was later: nothing could happen before.
func (d *diagnosis) sinceBegun(t time.Time) time.Time {
	if t.Before(d.Begun) {
		return d.Begun
	}
	return t
}

// until records that the Report may change from t on.
func (d *diagnosis) until(t time.Time) {
	if t.After(d.Now) && (d.next.IsZero() || t.Before(d.next)) {
		d.next = t
	}
}

// eventOf returns the newest Event about an object that f selects.
func (d *diagnosis) eventOf(uid types.UID, f func(*corev1.Event) bool) *corev1.Event {
	if uid == "" {
		return nil
	}
	for _, e := range d.events[uid] {
		if f(e) {
			return e
		}
	}
	return nil
}

// lastSeen is when an Event last happened; its fields depend on who wrote it.
func lastSeen(e *corev1.Event) time.Time {
	t := e.LastTimestamp.Time
	if e.Series != nil && e.Series.LastObservedTime.After(t) {
		t = e.Series.LastObservedTime.Time
	}
	if t.IsZero() {
		t = e.EventTime.Time
	}
	if t.IsZero() {
		t = e.CreationTimestamp.Time
	}
	return t
}

func firstSeen(e *corev1.Event) time.Time {
	if !e.FirstTimestamp.IsZero() {
		return e.FirstTimestamp.Time
	}
	if !e.EventTime.IsZero() {
		return e.EventTime.Time
	}
	return e.CreationTimestamp.Time
}

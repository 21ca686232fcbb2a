package diagnose

import (
	"cmp"
	"encoding/json"
	"regexp"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"bonsai/bootstrap/cluster"
)

const (
	// deletionGrace is how long controllers may take to clean up before a finalizer is removed.
	deletionGrace = 30 * time.Second
	// endGrace is how long a pod may take to end beyond its own grace period.
	endGrace = time.Minute
	// maxTypes is how many types of objects are listed to find what holds a namespace.
	maxTypes = 3
)

// ownFinalizers are removed by Kubernetes itself, which is here.
var ownFinalizers = []string{
	"kubernetes", metav1.FinalizerDeleteDependents, metav1.FinalizerOrphanDependents, claimInUse, volumeInUse, instancesOf,
	"batch.kubernetes.io/job-tracking", "service.kubernetes.io/load-balancer-cleanup", "resource.kubernetes.io/delete-protection",
}

const (
	claimInUse  = "kubernetes.io/pvc-protection"
	volumeInUse = "kubernetes.io/pv-protection"
	instancesOf = "customresourcecleanup.apiextensions.k8s.io"
)

// foreign are the finalizers that a controller of somebody else has to remove.
func foreign(finalizers []string) []string {
	return slices.DeleteFunc(slices.Clone(finalizers), func(f string) bool { return slices.Contains(ownFinalizers, f) })
}

// deletions looks for objects that are being deleted and that something holds.
func (d *diagnosis) deletions() {
	for _, n := range d.Namespaces {
		d.endingSpace(n)
	}
	for _, c := range d.Definitions {
		d.endingDefinition(c)
	}
	for _, c := range d.Claims {
		d.held("persistentvolumeclaim", c, d.usersOf)
	}
	for _, v := range d.Volumes {
		d.held("persistentvolume", v, d.boundTo)
	}
	for _, n := range d.Nodes {
		d.held("node", n, nil)
	}
	for _, o := range d.Services {
		d.held("service", o, nil)
	}
	for _, o := range d.Deployments {
		d.held("deployment", o, nil)
	}
	for _, o := range d.StatefulSets {
		d.held("statefulset", o, nil)
	}
	for _, o := range d.DaemonSets {
		d.held("daemonset", o, nil)
	}
	for _, o := range d.Jobs {
		d.held("job", o, nil)
	}
}

// deleting reports whether an object has been about to go for longer than a while.
func (d *diagnosis) deleting(m metav1.Object, grace time.Duration) bool {
	at := m.GetDeletionTimestamp()
	return at != nil && d.over(d.sinceBegun(at.Time), grace)
}

// kindWord is a kind as people write it.
func kindWord(kind string) string {
	switch kind {
	case "persistentvolumeclaim":
		return "claim"
	case "persistentvolume":
		return "volume"
	case "customresourcedefinition":
		return "CustomResourceDefinition"
	case "service":
		return "Service"
	case "deployment":
		return "Deployment"
	case "statefulset":
		return "StatefulSet"
	case "daemonset":
		return "DaemonSet"
	case "job":
		return "Job"
	}
	return kind
}

// going begins a sentence about an object; only what is in no namespace is named in it.
func going(of owner) string {
	if of.namespace == "" {
		return kindWord(of.kind) + " " + of.name + " is being deleted, but "
	}
	return "the " + kindWord(of.kind) + " is being deleted, but "
}

// heldBy is a finding about an object that finalizers of others hold.
func heldBy(of owner, since *metav1.Time, h Held, resource string) finding {
	return finding{of: of, key: "held", Problem: cluster.Problem{
		Kind: cluster.ProblemDeletion, Severity: cluster.SeverityWarning, Since: since.Time,
		Summary: going(of) + "finalizer " + listed(foreign(h.Finalizers)) + " holds it", Cause: finalizerCause,
		Advice: []cluster.Advice{release(resource, h)},
	}}
}

const finalizerCause = "the controller that set the finalizer has not removed it: it does not run here, or it fails"

// release removes the finalizers that others have set.
func release(resource string, h Held) cluster.Advice {
	var own []string // nil is null
	for _, f := range h.Finalizers {
		if slices.Contains(ownFinalizers, f) {
			own = append(own, f)
		}
	}
	list, _ := json.Marshal(own) // texts can always be written
	return cluster.Advise("get that controller running, or remove the finalizer; what it would clean up then stays",
		cluster.Kubectl("patch").On(resource, h.Name).In(h.Namespace).
			With("--type", "merge", "-p", `{"metadata":{"finalizers":`+string(list)+`}}`).Change())
}

// held examines an object; own, if there is one, says what one of Kubernetes' own finalizers waits for.
func (d *diagnosis) held(kind string, m metav1.Object, own func(metav1.Object) (finding, bool)) {
	if len(m.GetFinalizers()) == 0 || !d.deleting(m, deletionGrace) {
		return
	}
	of := owner{kind, m.GetNamespace(), m.GetName()}
	if len(foreign(m.GetFinalizers())) > 0 {
		d.add(heldBy(of, m.GetDeletionTimestamp(), Held{Namespace: m.GetNamespace(), Name: m.GetName(), Finalizers: m.GetFinalizers()}, kind))
		return
	}
	if own == nil {
		return
	}
	if f, ok := own(m); ok {
		f.Summary = going(of) + f.Summary
		f.of, f.key, f.Kind, f.Severity, f.Since = of, "held", cluster.ProblemDeletion, cluster.SeverityWarning, m.GetDeletionTimestamp().Time
		d.add(f)
	}
}

// usersOf finds the pods for which a claim is kept.
func (d *diagnosis) usersOf(m metav1.Object) (f finding, ok bool) {
	if !slices.Contains(m.GetFinalizers(), claimInUse) {
		return f, false
	}
	var users []*corev1.Pod
	for _, p := range d.Pods {
		if p.Namespace == m.GetNamespace() && !ended(p) && slices.Contains(claimsOf(p), m.GetName()) {
			users = append(users, p)
		}
	}
	if len(users) == 0 {
		return f, false
	}
	slices.SortFunc(users, func(a, b *corev1.Pod) int { return cmp.Compare(a.Name, b.Name) })
	first := users[0]
	f.Summary = "pod " + first.Name + " uses it"
	if n := len(users) - 1; n > 0 {
		f.Summary = "pod " + first.Name + " and " + count(n, "other") + " use it"
	}
	f.Cause = "it is deleted with the last pod that uses it, and its data with it"
	switch of := d.ownerOf(first); of.kind {
	case "pod":
		f.Advice = advise("delete the pod", cluster.Kubectl("delete", "pod").On(first.Name).In(first.Namespace).Change())
	case "deployment", "statefulset", "replicaset":
		f.Advice = advise("stop what uses it", cluster.Kubectl("scale").On(of.kind+"/"+of.name).In(of.namespace).With("--replicas", "0").Change())
	default:
		f.Advice = advise("stop what uses it", cluster.Kubectl("delete", of.kind).On(of.name).In(of.namespace).Change())
	}
	return f, true
}

// boundTo finds the claim for which a volume is kept.
func (d *diagnosis) boundTo(m metav1.Object) (f finding, ok bool) {
	v, ok := m.(*corev1.PersistentVolume)
	if !ok || !slices.Contains(v.Finalizers, volumeInUse) || v.Spec.ClaimRef == nil || v.Status.Phase != corev1.VolumeBound {
		return f, false
	}
	to := v.Spec.ClaimRef
	f.Summary = "claim " + to.Namespace + "/" + to.Name + " has it"
	f.Cause = "it is deleted with its claim"
	f.Advice = advise("delete the claim", cluster.Kubectl("delete", "pvc").On(to.Name).In(to.Namespace).With("--wait=false").Change())
	return f, true
}

// endingPod examines a pod that is being deleted, and whose node works.
func (d *diagnosis) endingPod(p *corev1.Pod) {
	if len(foreign(p.Finalizers)) > 0 {
		if d.deleting(p, deletionGrace) { // its grace period is part of the time
			f := heldBy(owner{"pod", p.Namespace, p.Name}, p.DeletionTimestamp, Held{Namespace: p.Namespace, Name: p.Name, Finalizers: p.Finalizers}, "pod")
			f.of, f.pod = d.ownerOf(p), p
			d.add(f)
		}
		return
	}
	if ended(p) || !d.deleting(p, endGrace) {
		return
	}
	f := finding{of: d.ownerOf(p), pod: p, key: "ending", Problem: cluster.Problem{
		Kind: cluster.ProblemDeletion, Severity: cluster.SeverityWarning, Since: p.DeletionTimestamp.Time,
		Summary: "the pod is being deleted, but node " + p.Spec.NodeName + " does not end it", Cause: "its grace period is over, and it still runs",
		Advice: advise("look at the node", cluster.Bonsai("logs").On("kubelet").With("--node", p.Spec.NodeName)),
	}}
	f.Advice = append(f.Advice, giveUp(p))
	e := d.eventOf(p.UID, func(e *corev1.Event) bool { return e.Reason == "FailedKillPod" || e.Reason == "FailedPreStopHook" })
	if e != nil {
		f.Cause = oneLine(plainError(e.Message))
	}
	d.add(f)
}

// giveUp removes a pod from the API that its node does not end.
func giveUp(p *corev1.Pod) cluster.Advice {
	return cluster.Advise("or give the pod up; its processes may still run there",
		cluster.Kubectl("delete", "pod").On(p.Name).In(p.Namespace).With("--force", "--grace-period", "0").Change())
}

// endingDefinition examines a CustomResourceDefinition, which goes with the last of its objects.
func (d *diagnosis) endingDefinition(c *metav1.PartialObjectMetadata) {
	if len(c.Finalizers) == 0 || !d.deleting(c, deletionGrace) {
		return
	}
	of := owner{kind: "customresourcedefinition", name: c.Name}
	if len(foreign(c.Finalizers)) > 0 {
		d.add(heldBy(of, c.DeletionTimestamp, Held{Name: c.Name, Finalizers: c.Finalizers}, "crd"))
		return
	}
	list := d.heldObjects("", c.Name)
	if len(list) == 0 {
		return
	}
	f := heldBy(of, c.DeletionTimestamp, list[0].Held, c.Name)
	f.Summary, f.Evidence = going(of)+heldWords(list)+" it", evidenceOf(list)
	d.add(f)
}

// heldObject is an object of a type.
type heldObject struct {
	Held
	resource string // as kubectl wants it
}

func (h heldObject) word() string {
	name := h.Name
	if h.Namespace != "" {
		name = h.Namespace + "/" + name
	}
	return cmp.Or(h.Kind, h.resource) + " " + name
}

// heldObjects are those of a type that finalizers of others hold.
func (d *diagnosis) heldObjects(namespace, resource string) (list []heldObject) {
	a, _ := d.ask(Question{Topic: HeldObjects, Namespace: namespace, Name: resource})
	for _, h := range a.Held {
		if len(foreign(h.Finalizers)) > 0 {
			list = append(list, heldObject{h, strings.TrimSuffix(resource, ".")})
		}
	}
	return list
}

// heldWords are "ConfigMap x has finalizer f, which holds".
func heldWords(list []heldObject) string {
	first := list[0]
	if first.Namespace != "" {
		first.Namespace = "" // that of the object that waits, or not the point
	}
	text := first.word() + " has finalizer " + listed(foreign(first.Finalizers)) + ", which holds"
	if n := len(list) - 1; n > 0 {
		text = first.word() + " and " + count(n, "other object") + " have finalizers, which hold"
	}
	return text
}

func evidenceOf(list []heldObject) (lines []string) {
	for _, h := range list[:min(len(list), evidenceLines)] {
		lines = append(lines, clip(h.word()+": finalizers "+strings.Join(h.Finalizers, ", "), maxLine))
	}
	return lines
}

// remaining is one type in the message of the namespace controller
// (pkg/controller/namespace/deletion/status_condition_utils.go): "Some resources are remaining: configmaps. has 1
// resource instances".
var remaining = regexp.MustCompile(`(\S+) has \d+ resource instances`)

// endingSpace says what a namespace that is being deleted waits for: an API that does not answer, objects with
// finalizers, pods that do not end, or finalizers of its own.
func (d *diagnosis) endingSpace(n *corev1.Namespace) {
	if !d.deleting(n, deletionGrace) {
		return
	}
	f := finding{of: owner{kind: "namespace", name: n.Name}, key: "held", Problem: cluster.Problem{
		Kind: cluster.ProblemDeletion, Severity: cluster.SeverityWarning, Since: n.DeletionTimestamp.Time,
	}}
	said := map[corev1.NamespaceConditionType]string{}
	for _, c := range n.Status.Conditions {
		if c.Status == corev1.ConditionTrue {
			said[c.Type] = c.Message
		}
	}
	because := func(summary, cause string, a ...cluster.Advice) {
		if f.Summary == "" {
			f.Summary = going(f.of) + summary
		}
		if cause != "" {
			f.Cause = strings.TrimPrefix(f.Cause+"; "+cause, "; ")
		}
		f.Advice = append(f.Advice, a...)
	}
	if message := said[corev1.NamespaceDeletionDiscoveryFailure]; message != "" {
		d.silentAPIs(message, because)
	}
	if message := said[corev1.NamespaceContentRemaining]; message != "" {
		f.Evidence = d.remainingIn(n, message, because)
		if f.Evidence == nil && f.Summary == "" {
			return // it is still at work
		}
	}
	if message := said[corev1.NamespaceDeletionContentFailure]; message != "" {
		because("some of its objects cannot be deleted", oneLine(message))
	}
	if message := said[corev1.NamespaceDeletionGVParsingFailure]; message != "" {
		because("one of its APIs has a wrong name", oneLine(message))
	}
	own := slices.Concat(foreign(n.Finalizers), specFinalizers(n))
	if f.Summary == "" && len(own) > 0 {
		because("its finalizer "+listed(own)+" holds it", finalizerCause)
		if len(foreign(n.Finalizers)) > 0 {
			f.Advice = []cluster.Advice{release("namespace", Held{Name: n.Name, Finalizers: n.Finalizers})}
		}
	}
	if f.Summary == "" {
		return
	}
	if len(f.Advice) == 0 {
		f.Advice = advise("", cluster.Kubectl("describe", "namespace").On(n.Name))
	}
	d.add(f)
}

func specFinalizers(n *corev1.Namespace) (list []string) {
	for _, f := range n.Spec.Finalizers {
		if f != corev1.FinalizerKubernetes {
			list = append(list, string(f))
		}
	}
	return list
}

// silentAPIs names the APIs without which nobody knows what a namespace has.
func (d *diagnosis) silentAPIs(message string, because func(string, string, ...cluster.Advice)) {
	found := false
	for _, a := range d.APIServices {
		if cause, silent := d.unavailable(a); silent {
			because("its content is not known without API "+a.Name, a.Name+" does not answer: "+cause, apiAdvice(a.Name))
			found = true
		}
	}
	if !found {
		because("its content is not known, because an API of the cluster does not answer", oneLine(message),
			cluster.Advise("see the APIs", cluster.Kubectl("get", "apiservices")))
	}
}

// remainingIn finds what holds the objects that a namespace still has. Without evidence, nothing is known to hold them.
func (d *diagnosis) remainingIn(n *corev1.Namespace, message string, because func(string, string, ...cluster.Advice)) (evidence []string) {
	var list []heldObject
	for i, m := range remaining.FindAllStringSubmatch(message, -1) {
		if i < maxTypes {
			list = append(list, d.heldObjects(n.Name, m[1])...)
		}
	}
	if len(list) > 0 {
		because(heldWords(list)+" it", finalizerCause, release(list[0].resource, list[0].Held))
		return evidenceOf(list)
	}
	pods := slices.DeleteFunc(slices.Clone(d.Pods), func(p *corev1.Pod) bool { return p.Namespace != n.Name || p.DeletionTimestamp == nil })
	slices.SortFunc(pods, func(a, b *corev1.Pod) int { return cmp.Compare(a.Name, b.Name) })
	for _, p := range pods {
		switch {
		case p.Spec.NodeName != "" && d.nodeAway(p.Spec.NodeName):
			because("pod "+p.Name+" is on node "+p.Spec.NodeName+", which does not report", "only its node can say that a pod has ended",
				startNodes(), giveUp(p))
		case d.deleting(p, endGrace):
			because("node "+p.Spec.NodeName+" does not end pod "+p.Name, "its grace period is over, and it still runs", giveUp(p))
		default:
			continue
		}
		return []string{oneLine(message)}
	}
	return nil
}

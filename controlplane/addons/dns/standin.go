package dns

import (
	"context"
	"fmt"
	"hash/fnv"
	"maps"
	"slices"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/util/rand"
	"k8s.io/client-go/informers"
	listers "k8s.io/client-go/listers/core/v1"
	"k8s.io/client-go/tools/cache"
	"k8s.io/utils/dump"

	"bonsai/bootstrap/cluster"
	"bonsai/bootstrap/wait"
	"bonsai/controlplane/addons"
)

// The name and the label that scripts know from kubeadm's CoreDNS.
const (
	deployment = "coredns"
	appLabel   = "k8s-app"
)

const (
	// firstStandInPause doubles up to lastStandInPause while the API refuses the objects.
	firstStandInPause, lastStandInPause = 200 * time.Millisecond, 30 * time.Second
	standInLimit                        = 5 * time.Second
	// settleLimit is how long a start waits for the objects: a script that waits for the pod after a start fails at once if there
	// is none. It usually exists before any node does.
	settleLimit = 2 * time.Second
	// standInText is what kubectl shows of the Deployment and its pods.
	standInText = "Cluster DNS runs in the agent of every node, not in this pod, which is Ready while a node answers: bonsai dns status"
)

// standIn is for scripts that were written for CoreDNS: they wait for its pods, restart or scale its Deployment, and edit its
// ConfigMap. It creates what does not exist and then leaves it to users: what they change or delete stays so until the next
// start. The pods are real objects of the Deployment, bound to a node, because tools take pods without a node for a cluster that is not
// ready; but no kubelet sees them (controlplane/internal/componentpods). Their state is that of the servers in the agents.
//
// The first pod is created here as well, with its ReplicaSet, as the controllers would do it: they begin to work some time after
// the API, for which a start would have to wait.
type standIn struct {
	*DNS
	c    addons.Cluster
	pods listers.PodNamespaceLister
	// touched has room for one; it has a value when pods or servers have changed.
	touched chan struct{}
}

func (s *standIn) touch() {
	select {
	case s.touched <- struct{}{}:
	default:
	}
}

// run creates the objects and keeps the states of the pods up to date until ctx ends. No failure of it matters to DNS.
func (s *standIn) run(ctx context.Context) {
	late := time.AfterFunc(s.c.Scale.Of(settleLimit), s.settled)
	defer late.Stop()
	for pause := firstStandInPause; ; pause = min(2*pause, lastStandInPause) {
		err := s.create(ctx)
		s.settled()
		if err == nil {
			break
		}
		s.c.Log.Debug("the objects that stand for CoreDNS cannot be created yet", "err", err, "pause", pause)
		if wait.Pause(ctx, pause) != nil {
			return
		}
	}
	factory := informers.NewSharedInformerFactoryWithOptions(s.c.Client, 0, informers.WithNamespace(namespace),
		informers.WithTweakListOptions(func(o *metav1.ListOptions) {
			o.LabelSelector = labels.Set{appLabel: service}.String()
		}))
	informer := factory.Core().V1().Pods()
	if _, err := informer.Informer().AddEventHandler(cache.ResourceEventHandlerFuncs{
		AddFunc: func(any) { s.touch() }, UpdateFunc: func(any, any) { s.touch() },
	}); err != nil {
		s.c.Log.Warn("the pods that stand for CoreDNS cannot be watched", "err", err)
		return
	}
	s.pods = informer.Lister().Pods(namespace)
	factory.StartWithContext(ctx)
	defer factory.Shutdown()
	var again <-chan time.Time
	for {
		select {
		case <-ctx.Done():
			return
		case <-s.touched:
		case <-again:
		}
		again = nil
		if err := s.mark(ctx); err != nil && ctx.Err() == nil {
			s.c.Log.Debug("the state of cluster DNS cannot be written to the pods that stand for it", "err", err)
			again = time.After(time.Second)
		}
	}
}

// settled ends the wait of a start for the objects.
func (s *standIn) settled() {
	if s.setSettling(false) {
		s.c.Notify()
	}
}

// create creates what does not exist.
func (s *standIn) create(ctx context.Context) error {
	ctx, cancel := s.c.Scale.Limit(ctx, standInLimit, "the API server")
	defer cancel()
	core := s.c.Client.CoreV1()
	config := &corev1.ConfigMap{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: cluster.DNSConfigMap},
		Data:       map[string]string{"Corefile": cluster.Corefile(cluster.ClusterDomain)},
	}
	if _, err := core.ConfigMaps(namespace).Create(ctx, config, metav1.CreateOptions{}); err != nil && !apierrors.IsAlreadyExists(err) {
		return fmt.Errorf("create ConfigMap %s: %w", config.Name, err)
	}
	// The Deployment goes with the Service when the addon is disabled. The ConfigMap stays: it may have a user's text.
	owner, err := core.Services(namespace).Get(ctx, service, metav1.GetOptions{})
	if err != nil {
		return fmt.Errorf("get Service %s: %w", service, err)
	}
	want := standInDeployment(owner)
	client := s.c.Client.AppsV1().Deployments(namespace)
	made, err := client.Create(ctx, want, metav1.CreateOptions{})
	if err == nil {
		return s.createPod(ctx, made)
	}
	if !apierrors.IsAlreadyExists(err) {
		return err
	}
	have, err := client.Get(ctx, want.Name, metav1.GetOptions{})
	if err != nil {
		return err
	}
	// Of an earlier Service, which the garbage collector misses: the addon was disabled for a moment.
	i := slices.IndexFunc(have.OwnerReferences, func(o metav1.OwnerReference) bool {
		return o.Kind == "Service" && o.Name == service && o.UID != owner.UID
	})
	if i < 0 || have.DeletionTimestamp != nil {
		return nil // a user's, or as it should be
	}
	have.OwnerReferences[i].UID = owner.UID
	_, err = client.Update(ctx, have, metav1.UpdateOptions{})
	return err
}

// createPod creates the ReplicaSet of a new Deployment and its pod, with the names and owners by which the controllers take them
// for their own. If these are at work already, the ReplicaSet may exist, and the pod is theirs to create.
func (s *standIn) createPod(ctx context.Context, d *appsv1.Deployment) error {
	set := firstReplicaSet(d)
	set, err := s.c.Client.AppsV1().ReplicaSets(namespace).Create(ctx, set, metav1.CreateOptions{})
	if apierrors.IsAlreadyExists(err) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("create a ReplicaSet of Deployment %s: %w", d.Name, err)
	}
	// Pods are refused in a namespace whose default ServiceAccount has not been created yet, by another controller.
	account := &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "default"}}
	if _, err := s.c.Client.CoreV1().ServiceAccounts(namespace).Create(ctx, account, metav1.CreateOptions{}); err != nil && !apierrors.IsAlreadyExists(err) {
		return fmt.Errorf("create ServiceAccount %s/%s: %w", namespace, account.Name, err)
	}
	pod := &corev1.Pod{ObjectMeta: *set.Spec.Template.ObjectMeta.DeepCopy(), Spec: *set.Spec.Template.Spec.DeepCopy()}
	pod.Namespace, pod.Name = namespace, set.Name+"-"+rand.String(5)
	pod.OwnerReferences = []metav1.OwnerReference{*metav1.NewControllerRef(set, appsv1.SchemeGroupVersion.WithKind("ReplicaSet"))}
	if _, err := s.c.Client.CoreV1().Pods(namespace).Create(ctx, pod, metav1.CreateOptions{}); err != nil {
		return fmt.Errorf("create a pod of ReplicaSet %s: %w", set.Name, err)
	}
	return nil
}

// firstReplicaSet is the ReplicaSet that the Deployment's controller would create, by the same name; see getNewReplicaSet in
// k8s.io/kubernetes/pkg/controller/deployment/sync.go, and ComputeHash in pkg/controller/controller_utils.go.
func firstReplicaSet(d *appsv1.Deployment) *appsv1.ReplicaSet {
	sum := fnv.New32a()
	fmt.Fprint(sum, dump.ForHash(d.Spec.Template))
	hash := rand.SafeEncodeString(fmt.Sprint(sum.Sum32()))
	template := *d.Spec.Template.DeepCopy()
	template.Labels = maps.Clone(template.Labels)
	template.Labels[appsv1.DefaultDeploymentUniqueLabelKey] = hash
	return &appsv1.ReplicaSet{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: namespace, Name: d.Name + "-" + hash, Labels: template.Labels, Annotations: d.Annotations,
			OwnerReferences: []metav1.OwnerReference{*metav1.NewControllerRef(d, appsv1.SchemeGroupVersion.WithKind("Deployment"))},
		},
		Spec: appsv1.ReplicaSetSpec{Selector: &metav1.LabelSelector{MatchLabels: template.Labels}, Template: template},
	}
}

// standInDeployment is the Deployment, of one pod unless somebody scales it.
func standInDeployment(owner *corev1.Service) *appsv1.Deployment {
	selector := map[string]string{appLabel: service}
	notes := map[string]string{"kubernetes.io/description": standInText}
	return &appsv1.Deployment{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: namespace, Name: deployment, Labels: selector, Annotations: notes,
			OwnerReferences: []metav1.OwnerReference{{APIVersion: "v1", Kind: "Service", Name: owner.Name, UID: owner.UID}},
		},
		Spec: appsv1.DeploymentSpec{
			Selector: &metav1.LabelSelector{MatchLabels: selector},
			Template: corev1.PodTemplateSpec{
				ObjectMeta: metav1.ObjectMeta{Labels: selector, Annotations: notes},
				Spec: corev1.PodSpec{
					// No scheduler has this name, and no kubelet is shown pods that have it: they cost nothing on any node.
					SchedulerName:                cluster.DNSStandIn,
					AutomountServiceAccountToken: new(false), // nothing runs that could use it
					// The name of no image: nothing is pulled.
					Containers: []corev1.Container{{Name: "coredns", Image: "bonsai.internal/in-every-agent"}},
				},
			},
		},
	}
}

// mark does for the pods what a scheduler and a kubelet do for others: they get a node, the state of the servers, and an end.
func (s *standIn) mark(ctx context.Context) error {
	node, ready, known := s.anyAnswers()
	if !known {
		return nil // what an earlier process wrote may well be true
	}
	pods, err := s.pods.List(labels.Everything())
	if err != nil {
		return err
	}
	ctx, cancel := s.c.Scale.Limit(ctx, standInLimit, "the API server")
	defer cancel()
	for _, p := range pods {
		// Others may carry the label, too: a CoreDNS that the user has installed.
		if p.Spec.SchedulerName != cluster.DNSStandIn {
			continue
		}
		if err := s.markPod(ctx, p, node, ready); err != nil && !apierrors.IsNotFound(err) && !apierrors.IsConflict(err) { // either is an event soon
			return err
		}
	}
	return nil
}

// markPod does one step for a pod; the watch brings the result, and then the next one.
func (s *standIn) markPod(ctx context.Context, p *corev1.Pod, node string, ready bool) error {
	pods := s.c.Client.CoreV1().Pods(namespace)
	spec := s.c.Spec()
	_, planned := spec.NodeByName(p.Spec.NodeName)
	switch {
	case p.DeletionTimestamp != nil, p.Spec.NodeName != "" && !planned: // no kubelet confirms that it has ended
		return pods.Delete(ctx, p.Name, metav1.DeleteOptions{GracePeriodSeconds: new(int64(0)), Preconditions: &metav1.Preconditions{UID: &p.UID}})
	case p.Spec.NodeName == "" && node != "":
		return pods.Bind(ctx, &corev1.Binding{
			ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: p.Name, UID: p.UID}, Target: corev1.ObjectReference{Kind: "Node", Name: node},
		}, metav1.CreateOptions{})
	case p.Status.Phase == corev1.PodRunning && isReady(p) == ready:
		return nil // the watch has brought it, so everybody sees it
	}
	p = p.DeepCopy()
	p.Status = standInStatus(p, ready)
	_, err := pods.UpdateStatus(ctx, p, metav1.UpdateOptions{})
	return err
}

// anyAnswers reports whether some node answers, which is enough for every pod's questions, and the first one that does. It is not
// known before the first node was asked.
func (d *DNS) anyAnswers() (node string, ready, known bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for name, p := range d.phases {
		if answers(p) && (node == "" || name < node) {
			node = name
		}
		known = known || p != cluster.PhaseStarting
	}
	return node, node != "", known
}

func isReady(p *corev1.Pod) bool {
	return slices.ContainsFunc(p.Status.Conditions, func(c corev1.PodCondition) bool {
		return c.Type == corev1.PodReady && c.Status == corev1.ConditionTrue
	})
}

// standInStatus is the state of a pod that has been created at once and is ready or not.
func standInStatus(p *corev1.Pod, ready bool) corev1.PodStatus {
	now, status := metav1.Now(), corev1.ConditionFalse
	if ready {
		status = corev1.ConditionTrue
	}
	of := p.Status
	of.Phase, of.Message, of.Conditions = corev1.PodRunning, standInText, nil
	if of.StartTime == nil {
		of.StartTime = &now
	}
	for _, t := range []corev1.PodConditionType{corev1.PodScheduled, corev1.PodInitialized, corev1.ContainersReady, corev1.PodReady} {
		c := corev1.PodCondition{Type: t, Status: status, LastTransitionTime: now}
		switch {
		case t == corev1.PodScheduled && p.Spec.NodeName == "":
			continue
		case t == corev1.PodScheduled, t == corev1.PodInitialized:
			c.Status, c.LastTransitionTime = corev1.ConditionTrue, *of.StartTime
		}
		of.Conditions = append(of.Conditions, c)
	}
	of.ContainerStatuses = nil
	for _, c := range p.Spec.Containers {
		of.ContainerStatuses = append(of.ContainerStatuses, corev1.ContainerStatus{
			Name: c.Name, Image: c.Image, Ready: ready, Started: &ready,
			State: corev1.ContainerState{Running: &corev1.ContainerStateRunning{StartedAt: *of.StartTime}},
		})
	}
	return of
}

// Package drain empties nodes before they are deleted: it cordons them and evicts their pods, so that controllers create
// them elsewhere, within what disruption budgets allow.
//
// Pods of DaemonSets and static pods stay, because they belong to the node. What would be lost with the node is refused
// before anything moves: pods that nobody creates again, and data on the node's disk. Begin reading at Nodes.
package drain

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"
	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"

	"bonsai/bootstrap/cluster"
	"bonsai/bootstrap/fault"
	"bonsai/bootstrap/wait"
)

const (
	// look is the pause between two looks at a node's pods, again between two attempts to evict one that a budget protects.
	look  = 100 * time.Millisecond
	again = 500 * time.Millisecond
	// atOnce bounds the requests for one node that are under way.
	atOnce = 16
)

// Nodes empties nodes. It returns when their pods have ended, apart from those that belong to a node; with r.Force, also
// when r.Limit has passed. If it fails, the nodes take pods again as before, and its fault names each pod and volume that is
// in the way.
func Nodes(ctx context.Context, client kubernetes.Interface, r cluster.DrainRequest, say func(cluster.DrainProgress) error) (err error) {
	var cordoned []string
	defer func() {
		if err == nil {
			return
		}
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
		defer cancel()
		err = errors.Join(err, Uncordon(ctx, client, cordoned))
	}()
	for _, name := range r.Nodes { // all of them first: what leaves one must not go to another
		did, err := cordon(ctx, client, name, true)
		if err != nil {
			return fault.New(fault.Node, "cordon node "+name, err)
		}
		if did {
			cordoned = append(cordoned, name)
		}
	}
	var mu sync.Mutex // lets one say something at a time
	one := func(p cluster.DrainProgress) error {
		mu.Lock()
		defer mu.Unlock()
		return say(p)
	}
	drains := make([]*drain, len(r.Nodes))
	var obstacles []string
	for i, name := range r.Nodes {
		d := &drain{client: client, node: name, force: r.Force, down: slices.Contains(r.Down, name), say: one}
		if err := d.begin(ctx); err != nil {
			return fault.New(fault.Node, "list what is on node "+name, err)
		}
		drains[i] = d
		obstacles = append(obstacles, d.obstacles...)
	}
	if len(obstacles) > 0 && !r.Force {
		return fault.NotEmptied(r.Nodes, fmt.Errorf("%s would be lost", things(len(obstacles))), obstacles)
	}
	limited, cancel := context.WithTimeoutCause(ctx, r.Limit, errLimit)
	defer cancel()
	g, gctx := errgroup.WithContext(limited)
	for _, d := range drains {
		g.Go(func() error { return d.empty(gctx) })
	}
	err = g.Wait()
	passed := errors.Is(context.Cause(limited), errLimit)
	switch {
	case err == nil, passed && r.Force:
		return nil
	case ctx.Err() != nil:
		return context.Cause(ctx)
	case !passed:
		return fault.New(fault.Node, fault.Emptying(r.Nodes), err)
	}
	obstacles = nil
	for _, d := range drains {
		obstacles = append(obstacles, d.left()...)
	}
	return fault.NotEmptied(r.Nodes, fmt.Errorf("timed out after %s waiting for %s to end", r.Limit, pods(len(obstacles))), obstacles)
}

var errLimit = errors.New("the limit has passed")

func things(n int) string {
	if n == 1 {
		return "1 thing on it"
	}
	return fmt.Sprintf("%d things on it", n)
}

func pods(n int) string {
	if n == 1 {
		return "1 pod"
	}
	return fmt.Sprintf("%d pods", n)
}

// Uncordon lets nodes take pods again. Those that do not exist are not an error.
func Uncordon(ctx context.Context, client kubernetes.Interface, names []string) error {
	var errs []error
	for _, name := range names {
		if _, err := cordon(ctx, client, name, false); err != nil {
			errs = append(errs, fmt.Errorf("uncordon node %s: %w", name, err))
		}
	}
	return errors.Join(errs...)
}

// cordon reports whether it changed the node.
func cordon(ctx context.Context, client kubernetes.Interface, name string, on bool) (changed bool, err error) {
	n, err := client.CoreV1().Nodes().Get(ctx, name, metav1.GetOptions{})
	if apierrors.IsNotFound(err) || err == nil && n.Spec.Unschedulable == on {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	patch, err := json.Marshal(map[string]any{"spec": map[string]any{"unschedulable": on}})
	if err != nil {
		return false, err
	}
	_, err = client.CoreV1().Nodes().Patch(ctx, name, types.MergePatchType, patch, metav1.PatchOptions{})
	return err == nil, err
}

// drain is that of one node.
type drain struct {
	client      kubernetes.Interface
	node        string
	force, down bool
	say         func(cluster.DrainProgress) error

	pods      []*pod
	obstacles []string
}

// pod is one that has to leave.
type pod struct {
	corev1.Pod
	asked   bool      // its eviction, or deletion, was accepted
	tried   time.Time // when that was last refused
	refused string    // why
	gone    bool
}

func (p *pod) name() string { return p.Namespace + "/" + p.Name }

// begin finds out what is on the node.
func (d *drain) begin(ctx context.Context) error {
	list, err := d.list(ctx)
	if err != nil {
		return err
	}
	for _, p := range list {
		if !leaves(&p) {
			continue
		}
		d.pods = append(d.pods, &pod{Pod: p})
		if p.DeletionTimestamp != nil || p.Status.Phase == corev1.PodSucceeded || p.Status.Phase == corev1.PodFailed {
			continue // it has ended, or does so anyway
		}
		name := "pod " + p.Namespace + "/" + p.Name
		if metav1.GetControllerOf(&p) == nil {
			d.obstacles = append(d.obstacles, name+" has no controller that would create it again")
		}
		for _, v := range p.Spec.Volumes {
			if v.EmptyDir != nil {
				d.obstacles = append(d.obstacles, fmt.Sprintf("%s has local data: the emptyDir volume %s", name, v.Name))
			}
		}
	}
	volumes, err := d.client.CoreV1().PersistentVolumes().List(ctx, metav1.ListOptions{})
	if err != nil {
		return err
	}
	for _, v := range volumes.Items {
		if claim := v.Spec.ClaimRef; claim != nil && isOn(&v, d.node) {
			d.obstacles = append(d.obstacles, fmt.Sprintf("claim %s/%s has its data on node %s (volume %s)", claim.Namespace, claim.Name, d.node, v.Name))
		}
	}
	slices.Sort(d.obstacles)
	return nil
}

// leaves reports whether a pod has to leave a node that is being emptied.
func leaves(p *corev1.Pod) bool {
	if _, mirror := p.Annotations[corev1.MirrorPodAnnotationKey]; mirror || cluster.NoKubeletRuns(p.Spec.SchedulerName) {
		return false
	}
	owner := metav1.GetControllerOf(p)
	return owner == nil || owner.Kind != "DaemonSet" && owner.Kind != "Node"
}

// isOn reports whether a volume is on the disk of a node.
func isOn(v *corev1.PersistentVolume, node string) bool {
	if v.Spec.Local == nil && v.Spec.HostPath == nil || v.Spec.NodeAffinity == nil || v.Spec.NodeAffinity.Required == nil {
		return false
	}
	for _, term := range v.Spec.NodeAffinity.Required.NodeSelectorTerms {
		for _, e := range term.MatchExpressions {
			if e.Key == corev1.LabelHostname && e.Operator == corev1.NodeSelectorOpIn && slices.Contains(e.Values, node) {
				return true
			}
		}
	}
	return false
}

func (d *drain) list(ctx context.Context) ([]corev1.Pod, error) {
	list, err := d.client.CoreV1().Pods(metav1.NamespaceAll).List(ctx, metav1.ListOptions{
		FieldSelector: fields.OneTermEqualSelector("spec.nodeName", d.node).String(),
	})
	if err != nil {
		return nil, err
	}
	return slices.DeleteFunc(list.Items, func(p corev1.Pod) bool { return p.Spec.NodeName != d.node }), nil
}

// empty evicts the pods and waits until they are gone.
func (d *drain) empty(ctx context.Context) error {
	said := ""
	for {
		if err := d.ask(ctx); err != nil {
			return err
		}
		if err := d.mark(ctx); err != nil {
			return err
		}
		waits := d.waits()
		if len(waits) == 0 {
			return nil
		}
		if text := "waiting for " + some(waits) + " to end"; text != said {
			said = text
			if err := d.say(cluster.DrainProgress{Node: d.node, Detail: text}); err != nil {
				return err
			}
		}
		if err := wait.Pause(ctx, look); err != nil {
			return err
		}
	}
}

// ask evicts each pod that was not evicted yet.
func (d *drain) ask(ctx context.Context) error {
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(atOnce)
	for _, p := range d.pods {
		if p.gone || p.asked || time.Since(p.tried) < again {
			continue
		}
		g.Go(func() error {
			err := d.evict(ctx, p)
			switch {
			case err == nil:
				p.asked, p.refused = true, ""
			case apierrors.IsNotFound(err), apierrors.IsConflict(err):
				p.gone = true // or there is another one of that name, which is elsewhere
			case apierrors.IsTooManyRequests(err):
				p.tried, p.refused = time.Now(), reason(err)
			default:
				return fmt.Errorf("evict pod %s: %w", p.name(), err)
			}
			return nil
		})
	}
	return g.Wait()
}

func (d *drain) evict(ctx context.Context, p *pod) error {
	opts := &metav1.DeleteOptions{Preconditions: metav1.NewUIDPreconditions(string(p.UID))}
	if d.force {
		return d.client.CoreV1().Pods(p.Namespace).Delete(ctx, p.Name, *opts)
	}
	return d.client.PolicyV1().Evictions(p.Namespace).Evict(ctx, &policyv1.Eviction{
		ObjectMeta: metav1.ObjectMeta{Namespace: p.Namespace, Name: p.Name}, DeleteOptions: opts,
	})
}

// reason is what the API server says of a budget that does not allow an eviction.
func reason(err error) string {
	var status apierrors.APIStatus
	if errors.As(err, &status) && status.Status().Details != nil {
		for _, c := range status.Status().Details.Causes {
			if c.Type == policyv1.DisruptionBudgetCause {
				return strings.ToLower(c.Message[:min(1, len(c.Message))]) + c.Message[min(1, len(c.Message)):]
			}
		}
	}
	return err.Error()
}

// mark finds out which pods are gone.
func (d *drain) mark(ctx context.Context) error {
	list, err := d.list(ctx)
	if err != nil {
		return err
	}
	for _, p := range d.pods {
		here := slices.ContainsFunc(list, func(q corev1.Pod) bool { return q.UID == p.UID })
		p.gone = p.gone || !here || d.down && p.asked
	}
	return nil
}

// waits are the names of the pods that are still there.
func (d *drain) waits() (names []string) {
	for _, p := range d.pods {
		if !p.gone {
			names = append(names, p.name())
		}
	}
	return names
}

// left says of each pod that is still there why.
func (d *drain) left() (list []string) {
	for _, p := range d.pods {
		if !p.gone {
			list = append(list, fmt.Sprintf("pod %s: %s", p.name(), cmp.Or(p.refused, "it was evicted, and has not ended yet")))
		}
	}
	return list
}

// some names a few of many.
func some(names []string) string {
	const few = 3
	if len(names) <= few {
		return strings.Join(names, ", ")
	}
	return fmt.Sprintf("%s and %d more", strings.Join(names[:few], ", "), len(names)-few)
}

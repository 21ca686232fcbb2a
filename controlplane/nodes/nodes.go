// Package nodes keeps the Node objects of a cluster as its plan has them: planned ones exist, with their share of the pod
// network, and those of nodes that left the plan do not.
//
// Objects are made ahead of their kubelets (Ensure), so that no node waits for a controller. From then on the plan is
// compared with what is there: at once when the plan changes (Reload), and whenever somebody changes a Node object (Run).
// Only objects that bonsai made are ever deleted; their provider ID says so. What users add to a Node object (labels,
// taints, a cordon) is theirs and stays, as long as the object does. What the plan adds is recorded in an annotation of the
// object, so that it can go again when the plan no longer has it.
package nodes

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"runtime"
	"slices"
	"strings"
	"sync"

	"golang.org/x/sync/errgroup"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"

	"bonsai/bootstrap/cluster"
)

// Keeper keeps the Node objects of one cluster. Its methods may be called from any goroutine; Run runs once.
type Keeper struct {
	client kubernetes.Interface
	log    *slog.Logger

	mu   sync.Mutex // guards spec
	spec cluster.Spec
}

// New returns a keeper that does nothing yet.
func New(client kubernetes.Interface, spec cluster.Spec, log *slog.Logger) *Keeper {
	return &Keeper{client: client, log: log, spec: spec}
}

// Ensure makes the planned Node objects exist and be complete. It is safe to repeat.
func (k *Keeper) Ensure(ctx context.Context) error {
	g, ctx := errgroup.WithContext(ctx)
	for _, n := range k.plan().Nodes {
		g.Go(func() error {
			_, err := k.reconcile(ctx, n.Name)
			return err
		})
	}
	return g.Wait()
}

// Reload takes over a changed plan. It returns when the Node objects are as planned, those that are no longer planned
// deleted.
func (k *Keeper) Reload(ctx context.Context, spec cluster.Spec) error {
	k.mu.Lock()
	k.spec = spec
	k.mu.Unlock()
	list, err := k.client.CoreV1().Nodes().List(ctx, metav1.ListOptions{})
	if err != nil {
		return fmt.Errorf("list node objects: %w", err)
	}
	errs := []error{k.Ensure(ctx)}
	for _, n := range list.Items {
		if _, planned := spec.NodeByName(n.Name); !planned {
			_, err := k.reconcile(ctx, n.Name)
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

func (k *Keeper) plan() cluster.Spec {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.spec
}

// reconcile makes one Node object what the plan says, and reports whether it had to do anything.
func (k *Keeper) reconcile(ctx context.Context, name string) (acted bool, err error) {
	acted, err = k.tryReconcile(ctx, name)
	if apierrors.IsAlreadyExists(err) || apierrors.IsConflict(err) { // the kubelet was faster; its object has to be completed
		acted, err = k.tryReconcile(ctx, name)
	}
	if err != nil {
		return acted, fmt.Errorf("keep node object %s as planned: %w", name, err)
	}
	return acted, nil
}

func (k *Keeper) tryReconcile(ctx context.Context, name string) (acted bool, err error) {
	spec := k.plan()
	n, planned := spec.NodeByName(name)
	have, err := k.client.CoreV1().Nodes().Get(ctx, name, metav1.GetOptions{})
	switch {
	case apierrors.IsNotFound(err) && !planned:
		return false, nil
	case apierrors.IsNotFound(err):
		return true, k.create(ctx, wanted(spec, n), n)
	case err != nil:
		return false, err
	case !planned && !ours(spec, have):
		return false, nil
	case !planned:
		return true, k.remove(ctx, have)
	}
	want := wanted(spec, n)
	for _, next := range []func() map[string]any{
		func() map[string]any { return completion(have, n, want) },
		func() map[string]any { return retaint(have, want) },
		func() map[string]any { return remark(have, want) },
	} {
		patch := next()
		if patch == nil {
			continue
		}
		data, err := json.Marshal(patch)
		if err != nil {
			return acted, err
		}
		if have, err = k.client.CoreV1().Nodes().Patch(ctx, name, types.MergePatchType, data, metav1.PatchOptions{}); err != nil {
			return true, err
		}
		acted = true
	}
	return acted, nil
}

// create makes a Node object with its address, so that kube-proxy and the routes of other nodes find it at once.
func (k *Keeper) create(ctx context.Context, node *corev1.Node, n cluster.Node) error {
	created, err := k.client.CoreV1().Nodes().Create(ctx, node, metav1.CreateOptions{})
	if err != nil {
		return err
	}
	created.Status.Addresses = []corev1.NodeAddress{
		{Type: corev1.NodeInternalIP, Address: n.IP.String()},
		{Type: corev1.NodeHostName, Address: n.Name},
	}
	_, err = k.client.CoreV1().Nodes().UpdateStatus(ctx, created, metav1.UpdateOptions{})
	if apierrors.IsConflict(err) {
		return nil // the kubelet was faster, and knows its address itself
	}
	return err
}

// remove deletes a Node object, its heartbeats and the pods that were on it, which nobody else would for some time. Nothing
// runs there any more, or will in a moment.
func (k *Keeper) remove(ctx context.Context, node *corev1.Node) error {
	err := k.client.CoreV1().Nodes().Delete(ctx, node.Name, metav1.DeleteOptions{Preconditions: metav1.NewUIDPreconditions(string(node.UID))})
	if err != nil && !apierrors.IsNotFound(err) {
		return err
	}
	err = k.client.CoordinationV1().Leases(corev1.NamespaceNodeLease).Delete(ctx, node.Name, metav1.DeleteOptions{})
	if apierrors.IsNotFound(err) {
		err = nil
	}
	return errors.Join(err, k.removePods(ctx, node.Name))
}

// removePods deletes the pods of a node that is gone.
func (k *Keeper) removePods(ctx context.Context, node string) error {
	pods, err := k.client.CoreV1().Pods(metav1.NamespaceAll).List(ctx, metav1.ListOptions{
		FieldSelector: fields.OneTermEqualSelector("spec.nodeName", node).String(),
	})
	if err != nil {
		return fmt.Errorf("list pods: %w", err)
	}
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(16)
	for _, p := range pods.Items {
		if p.Spec.NodeName != node {
			continue
		}
		g.Go(func() error {
			opts := *metav1.NewDeleteOptions(0)
			opts.Preconditions = metav1.NewUIDPreconditions(string(p.UID))
			err := k.client.CoreV1().Pods(p.Namespace).Delete(ctx, p.Name, opts)
			if apierrors.IsNotFound(err) || apierrors.IsConflict(err) {
				return nil
			}
			return err
		})
	}
	return g.Wait()
}

// ours reports whether bonsai made a Node object for this cluster. Others may exist: users make them to test controllers.
func ours(spec cluster.Spec, n *corev1.Node) bool {
	return strings.HasPrefix(n.Spec.ProviderID, cluster.ProviderID(spec.Name, ""))
}

// taintedAnnotation records that a node has received the control-plane taint, so that users can remove it for good.
const taintedAnnotation = "bonsai.io/control-plane-taint"

// roleLabel is what kubectl shows as the role. A kubelet may not set it itself. The control plane is not a node: it runs on
// the host; but charts and scripts look for a node with its role.
func roleLabel(n cluster.Node) string {
	if n.ControlPlane {
		return cluster.LabelControlPlane
	}
	return cluster.LabelWorker
}

// wanted is the Node object of a planned node.
func wanted(spec cluster.Spec, n cluster.Node) *corev1.Node {
	node := planned(spec, n)
	maps.Copy(node.Labels, n.Labels)
	node.Annotations[marksAnnotation] = marksOf(n).String()
	for _, t := range n.Taints {
		node.Spec.Taints = append(node.Spec.Taints, corev1.Taint{Key: t.Key, Value: t.Value, Effect: corev1.TaintEffect(t.Effect)})
	}
	if spec.ControlPlaneTaint && n.ControlPlane {
		node.Spec.Taints = append(node.Spec.Taints, controlPlaneTaint())
		node.Annotations[taintedAnnotation] = "true"
		// As kubeadm does. Where the node takes pods, load balancers may use it.
		node.Labels[cluster.LabelExcludeBalancers] = ""
	}
	return node
}

func controlPlaneTaint() corev1.Taint {
	t := cluster.ControlPlaneNodeTaint()
	return corev1.Taint{Key: t.Key, Effect: corev1.TaintEffect(t.Effect)}
}

// planned is the part of wanted that is the same for every cluster.
func planned(spec cluster.Spec, n cluster.Node) *corev1.Node {
	return &corev1.Node{
		ObjectMeta: metav1.ObjectMeta{
			Name: n.Name,
			Labels: map[string]string{
				corev1.LabelHostname: n.Name,
				roleLabel(n):         "",
				// A kubelet sets these when it registers, which it does once: it would not repeat them on an object that
				// comes back. Nodes run this very executable.
				corev1.LabelOSStable: "linux", corev1.LabelArchStable: runtime.GOARCH,
				"beta.kubernetes.io/os": "linux", "beta.kubernetes.io/arch": runtime.GOARCH,
			},
			// The same: without it nobody attaches volumes of CSI drivers.
			Annotations: map[string]string{"volumes.kubernetes.io/controller-managed-attach-detach": "true"},
		},
		Spec: corev1.NodeSpec{
			PodCIDR: n.PodCIDR.String(), PodCIDRs: []string{n.PodCIDR.String()},
			ProviderID: cluster.ProviderID(spec.Name, n.Name),
		},
	}
}

// completion is the merge patch that completes a Node object; nil if nothing is missing. An object without a pod range
// was made by a kubelet; what others removed from a complete one stays removed, except its role.
func completion(have *corev1.Node, n cluster.Node, want *corev1.Node) map[string]any {
	spec, metadata := map[string]any{}, map[string]any{}
	if _, has := have.Labels[roleLabel(n)]; !has {
		metadata["labels"] = map[string]string{roleLabel(n): ""}
	}
	if have.Spec.PodCIDR == "" {
		spec["podCIDR"], spec["podCIDRs"] = want.Spec.PodCIDR, want.Spec.PodCIDRs
		metadata["labels"], metadata["annotations"] = want.Labels, want.Annotations
		if len(want.Spec.Taints) > 0 {
			spec["taints"] = append(slices.Clone(have.Spec.Taints), want.Spec.Taints...)
		}
	}
	if have.Spec.ProviderID == "" {
		spec["providerID"] = want.Spec.ProviderID
	}
	if len(spec)+len(metadata) == 0 {
		return nil
	}
	return map[string]any{"metadata": metadata, "spec": spec}
}

// retaint is the merge patch for a cluster whose control-plane nodes are tainted since, or no longer; nil if the node has
// received what the plan says. The list of taints is replaced, and only if nobody has changed the object meanwhile.
func retaint(have, want *corev1.Node) map[string]any {
	was, is := have.Annotations[taintedAnnotation], want.Annotations[taintedAnnotation]
	if was == is {
		return nil
	}
	taint := controlPlaneTaint()
	taints := slices.DeleteFunc(slices.Clone(have.Spec.Taints), func(t corev1.Taint) bool { return t.MatchTaint(&taint) })
	metadata := map[string]any{"resourceVersion": have.ResourceVersion}
	if is != "" {
		taints = append(taints, taint)
		metadata["labels"], metadata["annotations"] = map[string]any{cluster.LabelExcludeBalancers: ""}, map[string]any{taintedAnnotation: is}
	} else {
		metadata["labels"], metadata["annotations"] = map[string]any{cluster.LabelExcludeBalancers: nil}, map[string]any{taintedAnnotation: nil}
	}
	return map[string]any{"metadata": metadata, "spec": map[string]any{"taints": taints}}
}

// asPlanned says, of an object that was observed, whether there is nothing to do. Observed objects have no annotations; the
// taint that depends on one changes with the plan only.
func (k *Keeper) asPlanned(have *corev1.Node) bool {
	spec := k.plan()
	n, planned := spec.NodeByName(have.Name)
	if !planned {
		return !ours(spec, have)
	}
	return completion(have, n, wanted(spec, n)) == nil
}

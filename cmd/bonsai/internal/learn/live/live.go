// Package live is a running cluster as a learn.World: it makes what lessons begin with, takes it away, reads the objects that
// conditions are about, and asks what no object says.
//
// Objects come from the API server; names and connections are asked of the cluster's daemon, which asks the nodes. Begin reading at
// Open; follow.go watches, ask.go asks.
package live

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	utilnet "k8s.io/apimachinery/pkg/util/net"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"

	"bonsai/bootstrap/cluster"
	"bonsai/bootstrap/fault"
	"bonsai/bootstrap/wait"
	"bonsai/cmd/bonsai/internal/learn"
	"bonsai/cmd/bonsai/internal/learn/condition"
)

// Daemon is what is asked of the cluster's daemon; *localapi.Client is one.
type Daemon interface {
	DNSLookup(ctx context.Context, q cluster.DNSQuestion) (cluster.DNSAnswer, error)
	Why(ctx context.Context, q cluster.WhyQuestion) (cluster.Why, error)
}

const (
	// ownerLabel is on objects in no namespace that a lesson has made, and on namespaces.
	ownerLabel = "bonsai.io/learn"
	// managerPrefix and the lesson's name are the field manager: what a lesson has set on a node is found by it.
	managerPrefix = "bonsai-learn-"
	// callLimit bounds one request, goneLimit the end of a namespace.
	callLimit = 15 * time.Second
	goneLimit = time.Minute
	// pollPause is between two looks at something that is about to change.
	pollPause = 100 * time.Millisecond
)

// own is how taints and labels are called that lessons have learners give to nodes.
const own = "learn"

// World is one cluster.
type World struct {
	daemon  Daemon
	http    *http.Client
	dynamic dynamic.Interface
	raw     rest.Interface
	scale   wait.Scale
}

var _ learn.World = (*World)(nil)

// Open makes a World of the cluster's own kubeconfig; nothing is asked yet.
func Open(kubeconfig []byte, daemon Daemon, scale wait.Scale) (*World, error) {
	config, err := clientcmd.RESTConfigFromKubeConfig(kubeconfig)
	if err != nil {
		return nil, fault.New(fault.State, "read the cluster's kubeconfig", err).Advise("write it again", cluster.Bonsai("start").Cure())
	}
	config.UserAgent = cluster.OwnAgentPrefix + "learn"
	config.QPS = -1 // the API server has its own fairness
	config.WarningHandler = rest.NoWarnings{}
	config.DisableCompression = true
	w := &World{daemon: daemon, scale: scale}
	if w.http, err = rest.HTTPClientFor(config); err != nil {
		return nil, err
	}
	if w.dynamic, err = dynamic.NewForConfigAndClient(config, w.http); err != nil {
		return nil, err
	}
	plain := rest.CopyConfig(config)
	plain.GroupVersion, plain.NegotiatedSerializer = &schema.GroupVersion{Version: "v1"}, unstructuredSerializer()
	w.raw, err = rest.UnversionedRESTClientForConfigAndClient(plain, w.http)
	return w, err
}

// Close closes idle connections. Calls in progress must have ended before.
func (w *World) Close() { utilnet.CloseIdleConnectionsFor(w.http.Transport) }

func gvr(k condition.Kind) schema.GroupVersionResource {
	return schema.GroupVersionResource{Group: k.Group, Version: k.Version, Resource: k.Resource}
}

func kind(name string) condition.Kind {
	version := "v1"
	k, _ := condition.KindOf(version, name)
	return k
}

// at is the client for the objects of a kind around a lesson.
func (w *World) at(k condition.Kind, namespace string) dynamic.ResourceInterface {
	if k.Cluster {
		return w.dynamic.Resource(gvr(k))
	}
	return w.dynamic.Resource(gvr(k)).Namespace(namespace)
}

// limit bounds ctx; what names the wait in the error.
func (w *World) limit(ctx context.Context, d time.Duration, what string) (context.Context, context.CancelFunc) {
	d = w.scale.Of(d)
	cause := fault.New(fault.Timeout, "", &wait.Timeout{After: d, For: what}).Advise("", cluster.Bonsai("status"))
	return context.WithTimeoutCause(ctx, d, cause)
}

// explain makes of an error of the API server one that a user can act on.
func explain(ctx context.Context, op string, err error) error {
	switch {
	case err == nil:
		return nil
	case ctx.Err() != nil:
		return fmt.Errorf("%s: %w", op, context.Cause(ctx))
	case apierrors.ReasonForError(err) != metav1.StatusReasonUnknown:
		return fault.New(fault.Refused, op, err)
	}
	return fault.New(fault.ControlPlane, op, err).Advise("", cluster.Bonsai("status"))
}

// Exists implements learn.World. A namespace that is on its way out does not exist.
func (w *World) Exists(ctx context.Context, namespace string) (bool, error) {
	ctx, cancel := w.limit(ctx, callLimit, "an answer from the API server")
	defer cancel()
	o, err := w.at(kind("Namespace"), "").Get(ctx, namespace, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		return false, nil
	}
	return err == nil && o.GetDeletionTimestamp() == nil, explain(ctx, "look for namespace "+namespace, err)
}

// Apply implements learn.World.
func (w *World) Apply(ctx context.Context, namespace, owner string, objects []condition.Object) error {
	ctx, cancel := w.limit(ctx, 2*callLimit, "the objects of the lesson")
	defer cancel()
	if objects == nil {
		return w.makeNamespace(ctx, namespace, owner)
	}
	for _, o := range objects {
		version, _ := o["apiVersion"].(string)
		name, _ := o["kind"].(string)
		k, ok := condition.KindOf(version, name)
		if !ok {
			return fault.Newf(fault.Internal, "lessons have no objects of kind %q", name)
		}
		if k.Cluster && name != "Node" {
			labelled(o, owner)
		}
		if err := w.apply(ctx, k, namespace, owner, o); err != nil {
			return err
		}
	}
	return nil
}

func (w *World) apply(ctx context.Context, k condition.Kind, namespace, owner string, o condition.Object) error {
	op := "make what the lesson begins with"
	data, err := json.Marshal(o)
	if err != nil {
		return fault.New(fault.Internal, op, err)
	}
	metadata, _ := o["metadata"].(map[string]any)
	name, _ := metadata["name"].(string)
	force := true
	_, err = w.at(k, namespace).Patch(ctx, name, types.ApplyPatchType, data, metav1.PatchOptions{FieldManager: managerPrefix + owner, Force: &force})
	return explain(ctx, op+": "+strings.ToLower(k.Name)+" "+name, err)
}

func labelled(o condition.Object, owner string) {
	metadata, _ := o["metadata"].(map[string]any)
	labels, _ := metadata["labels"].(map[string]any)
	if labels == nil {
		labels = map[string]any{}
		metadata["labels"] = labels
	}
	labels[ownerLabel] = owner
}

// makeNamespace returns when pods can be made in it: without its service account they are refused.
func (w *World) makeNamespace(ctx context.Context, namespace, owner string) error {
	if err := w.mine(ctx, namespace, owner); err != nil {
		return err
	}
	o := condition.Object{"apiVersion": "v1", "kind": "Namespace", "metadata": map[string]any{"name": namespace}}
	labelled(o, owner)
	if err := w.apply(ctx, kind("Namespace"), "", owner, o); err != nil {
		return err
	}
	return w.poll(ctx, "wait for the service account of namespace "+namespace, func() (bool, error) {
		_, err := w.at(kind("ServiceAccount"), namespace).Get(ctx, "default", metav1.GetOptions{})
		if apierrors.IsNotFound(err) {
			return false, nil
		}
		return err == nil, err
	})
}

// poll asks until it is done.
func (w *World) poll(ctx context.Context, op string, done func() (bool, error)) error {
	for {
		ok, err := done()
		if ok || err != nil {
			return explain(ctx, op, err)
		}
		if err := wait.Pause(ctx, pollPause); err != nil {
			return fmt.Errorf("%s: %w", op, context.Cause(ctx))
		}
	}
}

// mine refuses a namespace that the lesson has not made: it is the user's, with all that is in it, whatever it is called.
func (w *World) mine(ctx context.Context, namespace, owner string) error {
	o, err := w.at(kind("Namespace"), "").Get(ctx, namespace, metav1.GetOptions{})
	switch {
	case apierrors.IsNotFound(err):
		return nil
	case err != nil:
		return explain(ctx, "look for namespace "+namespace, err)
	case o.GetLabels()[ownerLabel] != owner:
		return fault.Newf(fault.Conflict, "there is a namespace %s already, which no lesson has made", namespace).
			Advise("delete it yourself if you do not need it", cluster.Kubectl("delete", "namespace").On(namespace).Change())
	}
	return nil
}

// Remove implements learn.World.
func (w *World) Remove(ctx context.Context, namespace, owner string) error {
	ctx, cancel := w.limit(ctx, goneLimit, "the end of namespace "+namespace)
	defer cancel()
	op := "remove namespace " + namespace
	if err := w.mine(ctx, namespace, owner); err != nil {
		return err
	}
	// Nothing in these pods needs time to stop, and a shell does not even hear that it should.
	now := int64(1)
	err := w.at(kind("Pod"), namespace).DeleteCollection(ctx, metav1.DeleteOptions{GracePeriodSeconds: &now}, metav1.ListOptions{})
	if err == nil || apierrors.IsNotFound(err) {
		err = w.at(kind("Namespace"), "").Delete(ctx, namespace, metav1.DeleteOptions{})
	}
	if err != nil && !apierrors.IsNotFound(err) {
		return explain(ctx, op, err)
	}
	if err := errors.Join(w.release(ctx, namespace), w.giveBackNodes(ctx, owner), w.removeShared(ctx, owner)); err != nil {
		return err
	}
	return w.poll(ctx, op, func() (bool, error) {
		_, err := w.at(kind("Namespace"), "").Get(ctx, namespace, metav1.GetOptions{})
		if apierrors.IsNotFound(err) {
			return true, nil
		}
		return false, err
	})
}

// release takes away what keeps ConfigMaps from being deleted: a lesson has learners do that.
func (w *World) release(ctx context.Context, namespace string) error {
	op := "release what is held in namespace " + namespace
	list, err := w.at(kind("ConfigMap"), namespace).List(ctx, metav1.ListOptions{})
	if err != nil {
		return explain(ctx, op, err)
	}
	for _, o := range list.Items {
		if len(o.GetFinalizers()) == 0 {
			continue
		}
		change := []byte(`{"metadata":{"finalizers":null}}`)
		_, err := w.at(kind("ConfigMap"), namespace).Patch(ctx, o.GetName(), types.MergePatchType, change, metav1.PatchOptions{})
		if err != nil && !apierrors.IsNotFound(err) {
			return explain(ctx, op, err)
		}
	}
	return nil
}

// removeShared removes the objects in no namespace.
func (w *World) removeShared(ctx context.Context, owner string) error {
	for _, k := range condition.Kinds() {
		if !k.Cluster || k.Name == "Node" || k.Name == "Namespace" {
			continue
		}
		err := w.at(k, "").DeleteCollection(ctx, metav1.DeleteOptions{}, metav1.ListOptions{LabelSelector: ownerLabel + "=" + owner})
		if err != nil && !apierrors.IsNotFound(err) {
			return explain(ctx, "remove the lesson's "+k.Resource, err)
		}
	}
	return nil
}

// giveBackNodes takes from the nodes that the lesson has changed what it has set, and what learners set in it: taints and labels
// called learn, and that they take no pods.
func (w *World) giveBackNodes(ctx context.Context, owner string) error {
	op := "give back the nodes of the lesson"
	nodes, err := w.at(kind("Node"), "").List(ctx, metav1.ListOptions{})
	if err != nil {
		return explain(ctx, op, err)
	}
	for _, n := range nodes.Items {
		if !managed(n, owner) {
			continue
		}
		empty := condition.Object{"apiVersion": "v1", "kind": "Node", "metadata": map[string]any{"name": n.GetName()}}
		if err := w.apply(ctx, kind("Node"), "", owner, empty); err != nil {
			return err
		}
		now, err := w.at(kind("Node"), "").Get(ctx, n.GetName(), metav1.GetOptions{})
		if err != nil {
			return explain(ctx, op, err)
		}
		data, err := json.Marshal(restored(now))
		if err != nil {
			return fault.New(fault.Internal, op, err)
		}
		if _, err := w.at(kind("Node"), "").Patch(ctx, n.GetName(), types.MergePatchType, data, metav1.PatchOptions{}); err != nil {
			return explain(ctx, op, err)
		}
	}
	return nil
}

func managed(o unstructured.Unstructured, owner string) bool {
	for _, f := range o.GetManagedFields() {
		if f.Manager == managerPrefix+owner {
			return true
		}
	}
	return false
}

// restored is the change that gives a node back.
func restored(n *unstructured.Unstructured) map[string]any {
	labels := map[string]any{}
	for key := range n.GetLabels() {
		if key == own {
			labels[key] = nil
		}
	}
	kept := []any{}
	taints, _, _ := unstructured.NestedSlice(n.Object, "spec", "taints")
	for _, t := range taints {
		taint, _ := t.(map[string]any)
		// Kubernetes takes this one away itself, a moment after the node takes pods again.
		if taint["key"] != own && taint["key"] != "node.kubernetes.io/unschedulable" {
			kept = append(kept, t)
		}
	}
	return map[string]any{"metadata": map[string]any{"labels": labels}, "spec": map[string]any{"unschedulable": nil, "taints": kept}}
}

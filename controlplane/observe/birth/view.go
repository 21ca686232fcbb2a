package birth

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/kubernetes"

	"bonsai/bootstrap/cluster"
	"bonsai/bootstrap/fault"
)

const (
	// settle is how long changes are collected before they are sent: several come at once.
	settle = 15 * time.Millisecond
	// recheck is how often a node is asked while there is no update about its pod: the creation of a container is not
	// visible elsewhere.
	recheck = 500 * time.Millisecond
)

// Options are the dependencies of a View.
type Options struct {
	// Cluster is its name, for hints.
	Cluster string
	Client  kubernetes.Interface
	Births  *Recorder
	// Nodes returns the nodes that the cluster currently has.
	Nodes  func() []cluster.Node
	Agents Agents
}

// Agents are the agents of nodes. They limit every wait for an answer.
type Agents interface {
	Pod(ctx context.Context, n cluster.Node, uid string) (cluster.PodOnNode, error)
}

// View answers requests about births. It is safe for concurrent use.
type View struct{ Options }

// New returns a View. It starts nothing.
func New(o Options) *View { return &View{o} }

// Birth calls send with the steps of a pod as far as they are known, and again after each change, until they are
// complete, the pod is gone, ctx ends or send fails. A pod that does not exist is the fault ObjectNotFound.
func (v *View) Birth(ctx context.Context, namespace, name string, send func(cluster.Birth) error) error {
	err := v.follow(ctx, namespace, name, send)
	if ctx.Err() != nil {
		return nil // the client is gone
	}
	return err
}

// follow is Birth until ctx ends.
func (v *View) follow(ctx context.Context, namespace, name string, send func(cluster.Birth) error) error {
	pods := v.Client.CoreV1().Pods(namespace)
	pod, err := pods.Get(ctx, name, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		return fault.Newf(fault.ObjectNotFound, "pod %s/%s does not exist", namespace, name).
			Advise("", cluster.Kubectl("get", "pods").In(namespace).Of(v.Cluster))
	}
	if err != nil {
		return fmt.Errorf("look at pod %s/%s: %w", namespace, name, err)
	}
	var changes watch.Interface
	defer func() {
		if changes != nil {
			changes.Stop()
		}
	}()
	var sent cluster.Birth
	for first := true; ; first = false {
		b, changed := v.look(ctx, pod)
		if changes == nil && !b.Ready {
			// From the version that was just sent, so that nothing is missed.
			if changes, err = pods.Watch(ctx, metav1.ListOptions{
				FieldSelector: fields.OneTermEqualSelector("metadata.name", name).String(), ResourceVersion: pod.ResourceVersion,
			}); err != nil {
				return fmt.Errorf("watch pod %s/%s: %w", namespace, name, err)
			}
		}
		if first || !reflect.DeepEqual(b, sent) {
			if err := send(b); err != nil {
				return err
			}
			sent = b
		}
		if b.Ready {
			return nil
		}
		uid := pod.UID
		if pod, err = next(ctx, pod, changes, changed); errors.Is(err, errWatchEnded) {
			changes.Stop()
			changes = nil
			if pod, err = pods.Get(ctx, name, metav1.GetOptions{}); apierrors.IsNotFound(err) || err == nil && pod.UID != uid {
				return nil
			}
		}
		if pod == nil || err != nil {
			return err
		}
	}
}

// errWatchEnded is not a failure: the API server ends a watch after some time.
var errWatchEnded = errors.New("the watch of the pod has ended")

// next waits for a change and returns the pod; nil if it is gone.
func next(ctx context.Context, pod *corev1.Pod, changes watch.Interface, changed <-chan struct{}) (*corev1.Pod, error) {
	wait := time.NewTimer(recheck)
	defer wait.Stop()
	for news := false; ; {
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-wait.C:
			return pod, nil
		case <-changed:
			changed = nil
		case e, ok := <-changes.ResultChan():
			object, isPod := e.Object.(*corev1.Pod)
			if !ok || !isPod {
				return pod, errWatchEnded
			}
			if e.Type == watch.Deleted || object.UID != pod.UID {
				return nil, nil
			}
			pod = object
		}
		if !news {
			news = true
			wait.Reset(settle)
		}
	}
}

// look collects what is currently known about a pod; changed is closed when the recorder knows more.
func (v *View) look(ctx context.Context, pod *corev1.Pod) (_ cluster.Birth, changed <-chan struct{}) {
	o := Observation{Pod: pod}
	record, changed, ok := v.Births.Find(pod.Namespace, pod.Name)
	if ok && record.UID == string(pod.UID) {
		o.Record = &record
	}
	if node := pod.Spec.NodeName; node != "" {
		times, err := v.ask(ctx, node, string(pod.UID))
		if err != nil {
			o.NodeError = err.Error()
		} else {
			o.Node = &times
		}
	}
	return Join(o), changed
}

// ask asks the pod's node.
func (v *View) ask(ctx context.Context, node, uid string) (p cluster.PodOnNode, err error) {
	nodes := v.Nodes()
	i := slices.IndexFunc(nodes, func(n cluster.Node) bool { return n.Name == node })
	if i < 0 {
		return p, errors.New("it is not in this cluster's plan")
	}
	return v.Agents.Pod(ctx, nodes[i], uid)
}

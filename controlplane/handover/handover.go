// Package handover keeps Services answering while a node is restarted: Leave takes the node's pods out of them first, as the node
// lifecycle controller does when a node has failed, and Await waits until these pods serve again.
//
// Pods stay on their node, with their data and their identity. That is why nodes are not drained: a bare pod would be lost, and
// the data of claims is on the node.
package handover

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"

	"bonsai/bootstrap/cluster"
	"bonsai/bootstrap/wait"
)

const (
	// look is the pause between two looks at pods or endpoints.
	look = 100 * time.Millisecond
	// slicesLimit bounds the wait for a controller that takes milliseconds. If it does not run, Services are wrong anyway.
	slicesLimit = 3 * time.Second
	// rules is how long a kube-proxy may take to follow: a node's writes its rules every 100 ms at most, and later if the machine
	// is busy, as during an upgrade.
	rules = time.Second
	// atOnce bounds the requests that are under way.
	atOnce = 16
)

// reason is why a pod is not Ready meanwhile; its kubelet corrects the status when it runs again.
const reason = "NodeRestarts"

// Leave takes the pods of a node out of Services, and returns those that were Ready. If it fails, some may be out; the kubelet of
// a node that runs corrects that within seconds.
func Leave(ctx context.Context, client kubernetes.Interface, node string, scale wait.Scale) ([]cluster.ServingPod, error) {
	left, err := takeOut(ctx, client, node)
	if err != nil || len(left) == 0 {
		return left, err
	}
	if err := awaitLeft(ctx, client, left, scale); err != nil {
		return left, err
	}
	// The kubelet corrects every ten seconds what others have said of its pods. If that was just now, it was the last time
	// before the node is stopped.
	corrected, err := takeOut(ctx, client, node)
	for _, p := range corrected {
		if !slices.Contains(left, p) {
			left = append(left, p)
		}
	}
	if err != nil || len(corrected) == 0 {
		return left, err
	}
	return left, awaitLeft(ctx, client, corrected, scale)
}

// takeOut says of the pods of a node that they are not Ready, and returns those that were.
func takeOut(ctx context.Context, client kubernetes.Interface, node string) ([]cluster.ServingPod, error) {
	list, err := podsOn(ctx, client, node)
	if err != nil {
		return nil, err
	}
	ready := []cluster.ServingPod{}
	for _, p := range list {
		if isReady(&p) && !cluster.NoKubeletRuns(p.Spec.SchedulerName) {
			ready = append(ready, cluster.ServingPod{Namespace: p.Namespace, Name: p.Name, UID: string(p.UID)})
		}
	}
	patch, err := json.Marshal(map[string]any{"status": corev1.PodStatus{Conditions: []corev1.PodCondition{{
		Type: corev1.PodReady, Status: corev1.ConditionFalse, Reason: reason, LastTransitionTime: metav1.Now(),
	}}}})
	if err != nil {
		return nil, err
	}
	g, gctx := errgroup.WithContext(ctx)
	g.SetLimit(atOnce)
	for _, p := range ready {
		g.Go(func() error {
			_, err := client.CoreV1().Pods(p.Namespace).Patch(gctx, p.Name, types.StrategicMergePatchType, patch, metav1.PatchOptions{}, "status")
			if err != nil && !apierrors.IsNotFound(err) {
				return fmt.Errorf("take pod %s/%s out of Services: %w", p.Namespace, p.Name, err)
			}
			return nil
		})
	}
	return ready, g.Wait()
}

// awaitLeft waits until Services no longer lead to these pods, and kube-proxies know it. Its error is that of ctx.
func awaitLeft(ctx context.Context, client kubernetes.Interface, pods []cluster.ServingPod, scale wait.Scale) error {
	limited, cancel := scale.Limit(ctx, slicesLimit, "Services to leave the node out")
	defer cancel()
	for {
		if serve, err := serving(limited, client, pods); err == nil && !serve {
			return wait.Pause(ctx, scale.Of(rules))
		}
		if wait.Pause(limited, look) != nil {
			if ctx.Err() != nil {
				return context.Cause(ctx)
			}
			return nil
		}
	}
}

// serving reports whether Services lead to any of these pods.
func serving(ctx context.Context, client kubernetes.Interface, pods []cluster.ServingPod) (bool, error) {
	list, err := client.DiscoveryV1().EndpointSlices(metav1.NamespaceAll).List(ctx, metav1.ListOptions{ResourceVersion: "0"})
	if err != nil {
		return false, err
	}
	for _, s := range list.Items {
		// Not the condition ready, which is true for good if a Service wants pods that are not (publishNotReadyAddresses).
		if slices.ContainsFunc(s.Endpoints, func(e discoveryv1.Endpoint) bool {
			return e.TargetRef != nil && (e.Conditions.Serving == nil || *e.Conditions.Serving) &&
				slices.ContainsFunc(pods, func(p cluster.ServingPod) bool { return p.UID == string(e.TargetRef.UID) })
		}) {
			return true, nil
		}
	}
	return false, nil
}

// Await returns when these pods of a node are Ready again, or no longer meant to run, and reports what it waits for to say.
func Await(ctx context.Context, client kubernetes.Interface, node string, pods []cluster.ServingPod, say func(cluster.DrainProgress) error) error {
	said := ""
	for {
		list, err := podsOn(ctx, client, node)
		if err != nil {
			return err
		}
		var missing []string
		for _, p := range list {
			was := slices.ContainsFunc(pods, func(q cluster.ServingPod) bool { return q.UID == string(p.UID) })
			if was && !isReady(&p) && p.DeletionTimestamp == nil && p.Status.Phase != corev1.PodSucceeded && p.Status.Phase != corev1.PodFailed {
				missing = append(missing, p.Namespace+"/"+p.Name)
			}
		}
		if len(missing) == 0 {
			return nil
		}
		if text := "waiting for " + some(missing) + " to be Ready again"; text != said {
			said = text
			if err := say(cluster.DrainProgress{Node: node, Detail: text}); err != nil {
				return err
			}
		}
		if err := wait.Pause(ctx, look); err != nil {
			return err
		}
	}
}

func podsOn(ctx context.Context, client kubernetes.Interface, node string) ([]corev1.Pod, error) {
	list, err := client.CoreV1().Pods(metav1.NamespaceAll).List(ctx, metav1.ListOptions{
		FieldSelector: fields.OneTermEqualSelector("spec.nodeName", node).String(),
	})
	if err != nil {
		return nil, fmt.Errorf("list the pods on node %s: %w", node, err)
	}
	return slices.DeleteFunc(list.Items, func(p corev1.Pod) bool { return p.Spec.NodeName != node }), nil
}

func isReady(p *corev1.Pod) bool {
	return slices.ContainsFunc(p.Status.Conditions, func(c corev1.PodCondition) bool {
		return c.Type == corev1.PodReady && c.Status == corev1.ConditionTrue
	})
}

// some names a few of many.
func some(names []string) string {
	const few = 3
	if len(names) <= few {
		return strings.Join(names, ", ")
	}
	return fmt.Sprintf("%s and %d more", strings.Join(names[:few], ", "), len(names)-few)
}

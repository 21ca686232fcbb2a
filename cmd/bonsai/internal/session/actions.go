package session

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/kubectl/pkg/drain"

	"bonsai/bootstrap/cluster"
	"bonsai/bootstrap/fault"
	"bonsai/bootstrap/kube"
)

const (
	// drainLimit is how long pods of a drained node may take to go, including disruption budgets.
	drainLimit = 15 * time.Minute
	// evictionPause is the pause between two attempts to evict a pod that a budget protects. Nothing ends it early.
	evictionPause = time.Second
)

// Do runs one action.
func (s *Session) Do(ctx context.Context, a kube.Action, f func(progress string)) error {
	op := string(a.Verb) + " " + name(a.Ref)
	c, err := s.api()
	if err != nil {
		return err
	}
	if a.Verb == kube.VerbDrain {
		return s.drain(ctx, c, op, a, f)
	}
	ctx, cancel := s.limit(ctx, callLimit, "an answer from the API server")
	defer cancel()
	switch a.Verb {
	case kube.VerbDelete:
		return s.explain(ctx, op, c.resource(a.Ref).Delete(ctx, a.Ref.Name, deleteOptions(a)))
	case kube.VerbScale:
		return s.patch(ctx, c, op, a.Ref, map[string]any{"spec": map[string]any{"replicas": a.Replicas}}, "scale")
	case kube.VerbRestart:
		return s.restart(ctx, c, op, a.Ref)
	case kube.VerbCordon:
		return s.cordon(ctx, c, op, a.Ref, true)
	case kube.VerbUncordon:
		return s.cordon(ctx, c, op, a.Ref, false)
	}
	return fault.Newf(fault.Internal, "%s: no such action", op)
}

func deleteOptions(a kube.Action) metav1.DeleteOptions {
	o := metav1.DeleteOptions{PropagationPolicy: new(metav1.DeletePropagationBackground)} // kubectl's default
	if a.Ref.UID != "" {
		o.Preconditions = metav1.NewUIDPreconditions(a.Ref.UID)
	}
	if a.Grace >= 0 {
		o.GracePeriodSeconds = &a.Grace
	}
	return o
}

// patch changes one object, after checking that it is the intended one.
func (s *Session) patch(ctx context.Context, c *conn, op string, ref kube.Ref, change map[string]any, subresource ...string) error {
	if ref.UID != "" {
		if _, err := s.get(ctx, c, op, ref); err != nil {
			return err
		}
	}
	data, err := json.Marshal(change)
	if err != nil {
		return fmt.Errorf("%s: %w", op, err)
	}
	_, err = c.resource(ref).Patch(ctx, ref.Name, types.MergePatchType, data, metav1.PatchOptions{FieldManager: fieldManager}, subresource...)
	return s.explain(ctx, op, err)
}

// restarted is the annotation of "kubectl rollout restart": a changed pod template creates new pods.
const restarted = "kubectl.kubernetes.io/restartedAt"

func (s *Session) restart(ctx context.Context, c *conn, op string, ref kube.Ref) error {
	if ref.Type.Group != "apps" || !slices.Contains([]string{"deployments", "statefulsets", "daemonsets"}, ref.Type.Resource) {
		return fault.Newf(fault.Usage, "%s: only Deployments, StatefulSets and DaemonSets recreate their pods", op)
	}
	o, err := s.get(ctx, c, op, ref)
	if err != nil {
		return err
	}
	if paused, _, _ := unstructured.NestedBool(o.Object, "spec", "paused"); paused {
		return fault.Newf(fault.Usage, "%s: it is paused", op).
			Advise("", cluster.Kubectl("rollout", "resume", ref.Type.Resource).On(ref.Name).In(ref.Namespace).Change())
	}
	annotations := map[string]any{restarted: time.Now().Format(time.RFC3339)}
	return s.patch(ctx, c, op, ref, map[string]any{
		"spec": map[string]any{"template": map[string]any{"metadata": map[string]any{"annotations": annotations}}},
	})
}

func (s *Session) cordon(ctx context.Context, c *conn, op string, ref kube.Ref, on bool) error {
	value := any(nil) // as it was before the first cordon
	if on {
		value = true
	}
	return s.patch(ctx, c, op, ref, map[string]any{"spec": map[string]any{"unschedulable": value}})
}

// drain cordons a node and evicts its pods, except those of DaemonSets. It waits until they are gone.
func (s *Session) drain(ctx context.Context, c *conn, op string, a kube.Action, f func(string)) error {
	short, cancel := s.limit(ctx, callLimit, "an answer from the API server")
	defer cancel()
	if err := s.cordon(short, c, op, a.Ref, true); err != nil {
		return err
	}
	out := &lineWriter{f: f}
	out.line("node " + a.Ref.Name + " accepts no more pods")
	limited, cancelDrain := s.limit(ctx, drainLimit, "the drain of "+a.Ref.Name)
	defer cancelDrain()
	h := &drain.Helper{
		Ctx: limited, Client: c.client, GracePeriodSeconds: -1, IgnoreAllDaemonSets: true, DeleteEmptyDirData: true,
		Timeout: s.o.Scale.Of(drainLimit), ChunkSize: pageSize, EvictErrorRetryDelay: evictionPause, Out: out, ErrOut: out,
		OnPodDeletionOrEvictionFinished: func(pod *corev1.Pod, _ bool, err error) {
			if err == nil {
				out.line(fmt.Sprintf("pod %s/%s is gone", pod.Namespace, pod.Name))
			}
		},
	}
	if a.Grace >= 0 {
		h.GracePeriodSeconds = int(a.Grace)
	}
	list, errs := h.GetPodsForDeletion(a.Ref.Name)
	if len(errs) > 0 {
		if err := limited.Err(); err != nil {
			return s.explain(limited, op, err)
		}
		// A pod that nothing would recreate; the node stays cordoned.
		return fault.New(fault.Refused, op, errors.Join(errs...)).Advise("delete these pods first, then drain again; until then the node accepts no new pods")
	}
	if warnings := list.Warnings(); warnings != "" {
		out.line(warnings)
	}
	out.line(fmt.Sprintf("%d pods to evict", len(list.Pods())))
	if err := h.DeleteOrEvictPods(list.Pods()); err != nil {
		return s.explain(limited, op, err)
	}
	out.line("node " + a.Ref.Name + " is drained")
	return nil
}

// lineWriter passes on whole lines. It is used by many goroutines of a drain.
type lineWriter struct {
	mu   sync.Mutex // guards rest, and calls f
	f    func(string)
	rest []byte
}

func (w *lineWriter) line(text string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.f(text)
}

func (w *lineWriter) Write(data []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.rest = append(w.rest, data...)
	for {
		line, rest, ok := bytes.Cut(w.rest, []byte{'\n'})
		if !ok {
			return len(data), nil
		}
		w.f(string(line))
		w.rest = rest
	}
}

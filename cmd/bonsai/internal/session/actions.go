package session

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

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
	if a.Verb == kube.VerbDelete {
		return s.explain(ctx, op, c.resource(a.Ref).Delete(ctx, a.Ref.Name, deleteOptions(a)))
	}
	_, err = s.change(ctx, c, op, a, nil)
	return err
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

// drain cordons a node and evicts its pods, except those of DaemonSets. It waits until they are gone.
func (s *Session) drain(ctx context.Context, c *conn, op string, a kube.Action, f func(string)) error {
	short, cancel := s.limit(ctx, callLimit, "an answer from the API server")
	defer cancel()
	if _, err := s.cordon(short, c, op, a.Ref, true, nil); err != nil {
		return err
	}
	out := &lineWriter{f: f}
	out.line("node " + a.Ref.Name + " accepts no more pods")
	limited, cancelDrain := s.limit(ctx, drainLimit, "the drain of "+a.Ref.Name)
	defer cancelDrain()
	h := drainHelper(limited, c)
	h.Timeout, h.EvictErrorRetryDelay, h.Out, h.ErrOut = s.o.Scale.Of(drainLimit), evictionPause, out, out
	h.OnPodDeletionOrEvictionFinished = func(pod *corev1.Pod, _ bool, err error) {
		if err == nil {
			out.line(fmt.Sprintf("pod %s/%s is gone", pod.Namespace, pod.Name))
		}
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

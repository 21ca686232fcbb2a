package watch

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"log/slog"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"

	"bonsai/bootstrap/cluster"
)

// ReasonConfigProblem is the reason of the Warning Events about the configuration.
const ReasonConfigProblem = "DNSConfigProblem"

const (
	// writeTries and writePause, which doubles, are for an API server that is briefly unavailable. What could not be
	// written after a minute is still in the log and the server's status.
	writeTries, writePause = 7, time.Second
	// writeLimit bounds one try.
	writeLimit = 5 * time.Second
	// maxQueued is more than one configuration can have.
	maxQueued = 64
	// maxMessage is what the API server accepts.
	maxMessage = 1024
)

// eventWriter writes Events, one after the other, so that nothing waits for them.
type eventWriter struct {
	core  *rest.RESTClient
	log   *slog.Logger
	queue chan *corev1.Event
}

func newEventWriter(core *rest.RESTClient, log *slog.Logger) *eventWriter {
	return &eventWriter{core: core, log: log, queue: make(chan *corev1.Event, maxQueued)}
}

// add queues an Event on the ConfigMap of a problem. It does not block.
func (w *eventWriter) add(p cluster.Problem, origin map[string]metav1.ObjectMeta) {
	select {
	case w.queue <- event(p, origin[p.Object[strings.LastIndexByte(p.Object, '/')+1:]], time.Now()):
	default:
		w.log.Warn("too many problems to write an event for each", "object", p.Object)
	}
}

// event is the same in every node for the same state of the ConfigMap, including its name: one node writes it, the
// others find that it exists.
func event(p cluster.Problem, on metav1.ObjectMeta, at time.Time) *corev1.Event {
	message := p.Summary
	for _, more := range []string{p.Cause, p.HintText()} {
		if more != "" {
			message += "; " + more
		}
	}
	if len(message) > maxMessage {
		message = strings.ToValidUTF8(message[:maxMessage-3], "") + "..."
	}
	id := sha256.Sum256(fmt.Appendf(nil, "%s\x00%s\x00%s\x00%s", on.UID, on.ResourceVersion, p.Object, message))
	now := metav1.NewTime(at)
	return &corev1.Event{
		ObjectMeta: metav1.ObjectMeta{Namespace: metav1.NamespaceSystem, Name: "dns-config." + hex.EncodeToString(id[:8])},
		InvolvedObject: corev1.ObjectReference{
			APIVersion: "v1", Kind: "ConfigMap", Namespace: metav1.NamespaceSystem,
			Name: p.Object[strings.LastIndexByte(p.Object, '/')+1:], UID: on.UID, ResourceVersion: on.ResourceVersion,
		},
		Type: corev1.EventTypeWarning, Reason: ReasonConfigProblem, Message: message,
		Source: corev1.EventSource{Component: "bonsai-dns"}, FirstTimestamp: now, LastTimestamp: now, Count: 1,
	}
}

// run writes queued Events until ctx ends.
func (w *eventWriter) run(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case e := <-w.queue:
			if err := w.write(ctx, e); err != nil && ctx.Err() == nil {
				w.log.Warn("an event about the configuration could not be written", "event", e.Name, "cause", err)
			}
		}
	}
}

func (w *eventWriter) write(ctx context.Context, e *corev1.Event) (err error) {
	for try := range writeTries {
		if try > 0 {
			select {
			case <-ctx.Done():
				return ctx.Err()
			case <-time.After(writePause << (try - 1)):
			}
		}
		if err = w.post(ctx, e); err == nil || apierrors.IsAlreadyExists(err) {
			return nil
		}
		if apierrors.IsForbidden(err) || apierrors.IsInvalid(err) {
			return err // retrying does not help
		}
	}
	return err
}

func (w *eventWriter) post(ctx context.Context, e *corev1.Event) error {
	ctx, cancel := context.WithTimeout(ctx, writeLimit)
	defer cancel()
	return w.core.Post().Namespace(e.Namespace).Resource("events").Body(e).Do(ctx).Error()
}

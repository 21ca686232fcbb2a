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
	// tellTries and tellPause, which doubles, are for an API server that is away just now. What it has not heard after
	// a minute is still in the log and the server's status.
	tellTries, tellPause = 7, time.Second
	// tellLimit bounds one try.
	tellLimit = 5 * time.Second
	// maxUntold is more than one configuration can have.
	maxUntold = 64
	// maxMessage is what the API server accepts.
	maxMessage = 1024
)

// teller writes Events, one after the other, so that nothing waits for them.
type teller struct {
	core   *rest.RESTClient
	log    *slog.Logger
	untold chan *corev1.Event
}

func newTeller(core *rest.RESTClient, log *slog.Logger) *teller {
	return &teller{core: core, log: log, untold: make(chan *corev1.Event, maxUntold)}
}

// add has a problem told on the ConfigMap that it is about. It does not block.
func (t *teller) add(p cluster.Problem, origin map[string]metav1.ObjectMeta) {
	select {
	case t.untold <- event(p, origin[p.Object[strings.LastIndexByte(p.Object, '/')+1:]], time.Now()):
	default:
		t.log.Warn("too many problems to tell each as an event", "object", p.Object)
	}
}

// event is the same in every node for the same state of the ConfigMap, name included: one of them tells, the others
// find it told.
func event(p cluster.Problem, on metav1.ObjectMeta, at time.Time) *corev1.Event {
	message := p.Summary
	for _, more := range []string{p.Cause, p.Hint} {
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

// run tells what there is until ctx ends.
func (t *teller) run(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case e := <-t.untold:
			if err := t.write(ctx, e); err != nil && ctx.Err() == nil {
				t.log.Warn("a problem of the configuration cannot be told as an event", "event", e.Name, "cause", err)
			}
		}
	}
}

func (t *teller) write(ctx context.Context, e *corev1.Event) (err error) {
	for try := range tellTries {
		if try > 0 {
			select {
			case <-ctx.Done():
				return ctx.Err()
			case <-time.After(tellPause << (try - 1)):
			}
		}
		if err = t.post(ctx, e); err == nil || apierrors.IsAlreadyExists(err) {
			return nil
		}
		if apierrors.IsForbidden(err) || apierrors.IsInvalid(err) {
			return err // the same at each try
		}
	}
	return err
}

func (t *teller) post(ctx context.Context, e *corev1.Event) error {
	ctx, cancel := context.WithTimeout(ctx, tellLimit)
	defer cancel()
	return t.core.Post().Namespace(e.Namespace).Resource("events").Body(e).Do(ctx).Error()
}

package kubewatch

import (
	"context"
	"log/slog"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/cache"
)

const (
	// An API server that restarts is unavailable for a second or two, and a request costs next to nothing: retry soon.
	// Upstream's own pauses grow to half a minute.
	firstRetry, lastRetry = 25 * time.Millisecond, 500 * time.Millisecond
	// settled is how long a watch has to last before the next failure counts as the first.
	settled = 10 * time.Second
	// logAgain is how often a failure that lasts is logged.
	logAgain = 10 * time.Minute
)

// Kind is one kind of objects to follow.
type Kind struct {
	Client    *rest.RESTClient
	Resource  string
	Namespace string // empty for all
	Example   runtime.Object
	Sink      cache.ReflectorStore

	LabelSelector, FieldSelector string
}

// Follow lists and watches until ctx ends.
func (k Kind) Follow(ctx context.Context, log *slog.Logger) {
	lw := cache.NewFilteredListWatchFromClient(k.Client, k.Resource, k.Namespace, func(o *metav1.ListOptions) {
		o.LabelSelector, o.FieldSelector = k.LabelSelector, k.FieldSelector
	})
	r := cache.NewReflectorWithOptions(lw, k.Example, k.Sink, cache.ReflectorOptions{
		Name: k.Resource,
		// For its own retries.
		Backoff: &wait.Backoff{Duration: firstRetry, Factor: 2, Jitter: 0.2, Steps: 20, Cap: lastRetry},
	})
	var logged time.Time
	for pause := firstRetry; ctx.Err() == nil; pause = min(2*pause, lastRetry) {
		began := time.Now()
		err := r.ListAndWatchWithContext(ctx) // nil, too, when a watch has ended
		if time.Since(began) > settled {
			pause, logged = firstRetry, time.Time{}
		}
		if err != nil && ctx.Err() == nil && time.Since(logged) > logAgain {
			log.Warn("the API server cannot be followed; the last known state is kept", "resource", k.Resource, "selector", k.FieldSelector, "cause", err)
			logged = time.Now()
		}
		select {
		case <-ctx.Done():
		case <-time.After(pause):
		}
	}
}

// Package kubewatch keeps values in line with objects of an API server, for programs that run in every node and must stay small:
// it links the types of the groups that are asked for, and keeps nothing of an object but what its user takes of it.
//
// Each Kind is listed and watched by a reflector of client-go, which copes with API servers that are slow, down or new; in the
// meantime what is known stays. What comes in goes through a Sink. Begin reading at Kind.Follow.
package kubewatch

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	"k8s.io/client-go/rest"
)

const (
	// While an API server starts, it is checked often, because the whole cluster waits for its nodes; one that is down
	// for longer is checked less often, at most LastPause apart.
	firstPause, LastPause = 25 * time.Millisecond, time.Second
	// askLimit bounds one readiness check.
	askLimit = 5 * time.Second
)

// NewClient returns a client that knows the types of one group only; the usual clientset links and registers all of
// Kubernetes'. path is "/api" for the core group, otherwise "/apis".
func NewClient(api *rest.Config, path string, group schema.GroupVersion, add func(*runtime.Scheme) error) (*rest.RESTClient, error) {
	return newClient(api, path, group, add, runtime.ContentTypeProtobuf)
}

// NewDefinedClient is the same for a group that resource definitions add to the API: these have JSON only.
func NewDefinedClient(api *rest.Config, group schema.GroupVersion, add func(*runtime.Scheme) error) (*rest.RESTClient, error) {
	return newClient(api, "/apis", group, add, runtime.ContentTypeJSON)
}

func newClient(api *rest.Config, path string, group schema.GroupVersion, add func(*runtime.Scheme) error, content string) (*rest.RESTClient, error) {
	scheme := runtime.NewScheme()
	if err := add(scheme); err != nil {
		return nil, fmt.Errorf("create a client for %s: %w", group, err)
	}
	metav1.AddToGroupVersion(scheme, schema.GroupVersion{Version: "v1"})
	cfg := rest.CopyConfig(api)
	cfg.APIPath, cfg.GroupVersion = path, &group
	cfg.NegotiatedSerializer = serializer.NewCodecFactory(scheme).WithoutConversion()
	cfg.ContentType = content
	// One list per kind, and then watches: there is nothing to throttle.
	cfg.QPS = -1
	c, err := rest.RESTClientFor(cfg)
	if err != nil {
		return nil, fmt.Errorf("create a client for %s: %w", group, err)
	}
	return c, nil
}

// WaitReady returns when the API server reports that it is ready; false means that ctx has ended before. A reflector
// that starts earlier would be rejected, because the roles do not exist yet, and then wait longer than the rest of the
// start takes.
func WaitReady(ctx context.Context, c *rest.RESTClient, log *slog.Logger) bool {
	return poll(ctx, log, func(ctx context.Context) error {
		return c.Get().AbsPath("/readyz").MaxRetries(0).Do(ctx).Error() // the loop does the retries
	})
}

// WaitAllowed is the same for a client that needs only to read an object, whether it exists or not. With the roles of an
// earlier start this may be possible before everything else is ready.
func WaitAllowed(ctx context.Context, c *rest.RESTClient, path string, log *slog.Logger) bool {
	return poll(ctx, log, func(ctx context.Context) error {
		err := c.Get().AbsPath(path).MaxRetries(0).Do(ctx).Error()
		if apierrors.IsNotFound(err) {
			return nil
		}
		return err
	})
}

func poll(ctx context.Context, log *slog.Logger, ask func(context.Context) error) bool {
	for pause := firstPause; ; pause = min(pause*11/10, LastPause) {
		limited, cancel := context.WithTimeout(ctx, askLimit)
		err := ask(limited)
		cancel()
		if err == nil {
			return true
		}
		log.Debug("the API server is not ready", "cause", err)
		select {
		case <-ctx.Done():
			return false
		case <-time.After(pause):
		}
	}
}

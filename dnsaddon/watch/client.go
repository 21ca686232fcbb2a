package watch

import (
	"context"
	"fmt"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	"k8s.io/client-go/rest"
)

const (
	// While an API server starts, it is checked often, because the whole cluster waits for its names; one that is down
	// for longer is checked less often.
	firstPause, lastPause = 25 * time.Millisecond, time.Second
	// askLimit bounds one readiness check.
	askLimit = 5 * time.Second
)

// newClient returns a client that knows the types of one group only; the usual clientset links and registers all of
// Kubernetes'.
func newClient(api *rest.Config, path string, group schema.GroupVersion, add func(*runtime.Scheme) error) (*rest.RESTClient, error) {
	scheme := runtime.NewScheme()
	if err := add(scheme); err != nil {
		return nil, fmt.Errorf("create a client for %s: %w", group, err)
	}
	metav1.AddToGroupVersion(scheme, schema.GroupVersion{Version: "v1"})
	cfg := rest.CopyConfig(api)
	cfg.APIPath, cfg.GroupVersion = path, &group
	cfg.NegotiatedSerializer = serializer.NewCodecFactory(scheme).WithoutConversion()
	cfg.ContentType = runtime.ContentTypeProtobuf
	// One list per kind, and then watches: there is nothing to throttle.
	cfg.QPS = -1
	c, err := rest.RESTClientFor(cfg)
	if err != nil {
		return nil, fmt.Errorf("create a client for %s: %w", group, err)
	}
	return c, nil
}

// waitReady returns when the API server reports that it is ready; false means that ctx has ended before. A reflector
// that starts earlier would be rejected, because the roles do not exist yet, and then wait longer than the rest of the
// start takes.
func (w *Watcher) waitReady(ctx context.Context, c *rest.RESTClient) bool {
	for pause := firstPause; ; pause = min(pause*11/10, lastPause) {
		err := ready(ctx, c)
		if err == nil {
			return true
		}
		w.log.Debug("the API server is not ready", "cause", err)
		select {
		case <-ctx.Done():
			return false
		case <-time.After(pause):
		}
	}
}

func ready(ctx context.Context, c *rest.RESTClient) error {
	ctx, cancel := context.WithTimeout(ctx, askLimit)
	defer cancel()
	// This loop does the retries.
	return c.Get().AbsPath("/readyz").MaxRetries(0).Do(ctx).Error()
}

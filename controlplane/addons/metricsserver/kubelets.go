package metricsserver

import (
	"context"
	"fmt"
	"io"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/client-go/kubernetes"
	"sigs.k8s.io/metrics-server/pkg/scraper/client"
	"sigs.k8s.io/metrics-server/pkg/storage"
)

const (
	// resourcePath is where a kubelet has the use of CPU and memory (KEP-727); a node can name another path, as simulated ones do.
	resourcePath       = "/metrics/resource"
	resourceAnnotation = "metrics.k8s.io/resource-metrics-path" // as in upstream's pkg/scraper/client/resource
	// maxPage bounds what is read of an answer: one of a hundred pods is 70 kB.
	maxPage = 16 << 20
)

// pageSource opens a page of a node's kubelet. path begins with a slash.
type pageSource func(ctx context.Context, node, path string) (io.ReadCloser, error)

// proxied asks kubelets through the API server, which knows their addresses and has their certificates: so no other credentials
// are needed.
func proxied(c kubernetes.Interface) pageSource {
	return func(ctx context.Context, node, path string) (io.ReadCloser, error) {
		return c.CoreV1().RESTClient().Get().Resource("nodes").Name(node).SubResource("proxy").Suffix(strings.Split(strings.Trim(path, "/"), "/")...).Stream(ctx)
	}
}

// kubelets are the nodes' kubelets, for upstream's scraper. Its own client (pkg/scraper/client/resource) would add Prometheus' server to
// the modules, for its parser.
type kubelets struct{ open pageSource }

var _ client.KubeletMetricsGetter = kubelets{}

// GetMetrics implements client.KubeletMetricsGetter.
func (k kubelets) GetMetrics(ctx context.Context, node *corev1.Node) (*storage.MetricsBatch, error) {
	path := resourcePath
	if other := node.Annotations[resourceAnnotation]; other != "" {
		path = other
	}
	page, err := k.open(ctx, node.Name, path)
	if err != nil {
		return nil, fmt.Errorf("ask the kubelet of node %s for %s: %w", node.Name, path, err)
	}
	defer func() { _ = page.Close() }()
	batch, err := decode(io.LimitReader(page, maxPage), node.Name)
	if err != nil {
		return nil, fmt.Errorf("read %s of node %s: %w", path, node.Name, err)
	}
	return batch, nil
}

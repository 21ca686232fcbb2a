package nodeagent

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"time"

	"bonsai/bootstrap/cluster"
	"bonsai/nodeagent/agentapi"
)

const (
	// The health ports of kubelet and kube-proxy listen on loopback only.
	kubeletHealth   = "http://127.0.0.1:10248/healthz"
	kubeProxyHealth = "http://127.0.0.1:10256/healthz"
	// checkLimit bounds one check. The daemon waits a second for the whole state, whose parts are checked in parallel.
	checkLimit = 500 * time.Millisecond
)

// health checks the node's components and the API server.
type health struct {
	client *http.Client
	api    string
	limit  time.Duration
}

func newHealth(cfg cluster.NodeConfig) (*health, error) {
	ca, err := os.ReadFile(filepath.Join(cluster.NodePKIDir, "ca.crt"))
	if err != nil {
		return nil, fmt.Errorf("load cluster CA: %w", err)
	}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(ca)
	return &health{
		client: &http.Client{Transport: &http.Transport{
			TLSClientConfig: &tls.Config{RootCAs: pool}, IdleConnTimeout: 30 * time.Second, MaxIdleConnsPerHost: 1,
		}},
		// Health checks need no certificate.
		api:   cfg.APIServer + "/readyz",
		limit: cfg.WaitScale.Of(checkLimit),
	}, nil
}

// check returns nil if url answers 200.
func (h *health) check(ctx context.Context, url string) error {
	ctx, cancel := context.WithTimeout(ctx, h.limit)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	resp, err := h.client.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	_, _ = io.Copy(io.Discard, io.LimitReader(resp.Body, 64<<10)) // so that the connection can be used again
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("%s answers %s", url, resp.Status)
	}
	return nil
}

// waitKubelet blocks until the kubelet reports that it is healthy, or ctx ends.
func (h *health) waitKubelet(ctx context.Context) error {
	for h.check(ctx, kubeletHealth) != nil {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(100 * time.Millisecond):
		}
	}
	return nil
}

// state observes the node. It queries everything in parallel, so that it takes as long as the slowest answer.
func (a *agent) state(ctx context.Context) agentapi.State {
	s := agentapi.State{Node: a.cfg.Node.Name, PodNetwork: a.network.State()}
	kubelet, proxy := a.kubelet.Status(), a.kubeProxy()
	var asked sync.WaitGroup
	asked.Go(func() {
		ctx, cancel := context.WithTimeout(ctx, a.health.limit)
		defer cancel()
		s.Containerd, _ = a.runtime.Version(ctx) // its state says why
	})
	asked.Go(func() { a.health.judge(ctx, &kubelet, kubeletHealth) })
	asked.Go(func() { a.health.judge(ctx, &proxy, kubeProxyHealth) })
	asked.Go(func() {
		if err := a.health.check(ctx, a.health.api); err != nil {
			s.APIServer = err.Error()
		}
	})
	asked.Wait()
	network := cluster.Component{Name: "pod-network", Phase: cluster.PhaseRunning, Since: a.started, PID: os.Getpid()}
	if s.PodNetwork.Error != "" {
		network.Phase, network.Reason = cluster.PhaseDegraded, s.PodNetwork.Error
	}
	s.Components = []cluster.Component{
		a.itself(), a.containerd.Status(), kubelet, proxy, network,
	}
	s.Components = append(s.Components, a.partComponents()...)
	return s
}

// shown observes what agentapi.Config.Components is for.
func (a *agent) shown(ctx context.Context) ([]cluster.Component, <-chan struct{}) {
	a.mu.Lock()
	changed := a.changed // before anything is read, so that no change is missed
	a.mu.Unlock()
	proxy := a.kubeProxy()
	a.health.judge(ctx, &proxy, kubeProxyHealth)
	return []cluster.Component{a.itself(), proxy}, changed
}

// itself is the agent.
func (a *agent) itself() cluster.Component {
	return cluster.Component{Name: "bonsai-agent", Phase: cluster.PhaseRunning, Restarts: a.restarts, Since: a.started, Started: a.started, PID: os.Getpid()}
}

// kubeProxy is in the kubelet's process.
func (a *agent) kubeProxy() cluster.Component {
	c := a.kubelet.Status()
	c.Name = "kube-proxy"
	return c
}

// judge lowers a running component to degraded if it does not report that it is healthy.
func (h *health) judge(ctx context.Context, c *cluster.Component, url string) {
	if c.Phase != cluster.PhaseRunning {
		return
	}
	if err := h.check(ctx, url); err != nil {
		c.Phase, c.Reason = cluster.PhaseDegraded, err.Error()
	}
}

package watch

import (
	"context"
	"log/slog"
	"sync"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/client-go/rest"

	"bonsai/bootstrap/kubewatch"
	"bonsai/dnsaddon/zone"
)

// podWatch keeps the pods in the store while they are wanted.
type podWatch struct {
	store *zone.Store

	mu     sync.Mutex // guards what follows
	wanted bool
	// changed is closed and replaced when wanted changes; loaded is closed when the pods are in the store, and replaced
	// when they no longer are.
	changed, loaded chan struct{}
}

func newPodWatch(store *zone.Store) *podWatch {
	return &podWatch{store: store, changed: make(chan struct{}), loaded: make(chan struct{})}
}

// want sets whether the store needs the pods.
func (p *podWatch) want(on bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.wanted == on {
		return
	}
	p.wanted = on
	close(p.changed)
	p.changed = make(chan struct{})
}

// state returns whether pods are wanted, and the channel that is closed when that changes.
func (p *podWatch) state() (wanted bool, changed <-chan struct{}) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.wanted, p.changed
}

// wait returns when the wanted pods are in the store; at once if none are wanted.
func (p *podWatch) wait(ctx context.Context) error {
	for {
		p.mu.Lock()
		wanted, changed, loaded := p.wanted, p.changed, p.loaded
		p.mu.Unlock()
		if !wanted {
			return ctx.Err()
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-loaded:
			return nil
		case <-changed:
		}
	}
}

// run follows or unfollows the pods as wanted, until ctx ends.
func (p *podWatch) run(ctx context.Context, core *rest.RESTClient, log *slog.Logger) {
	for ctx.Err() == nil {
		wanted, changed := p.state()
		if wanted {
			p.follow(ctx, core, log, changed)
			continue
		}
		select {
		case <-ctx.Done():
		case <-changed:
		}
	}
}

// follow fills the store until unwanted is closed, and empties it then.
func (p *podWatch) follow(ctx context.Context, core *rest.RESTClient, log *slog.Logger, unwanted <-chan struct{}) {
	ctx, cancel := context.WithCancel(ctx)
	var running sync.WaitGroup
	pods := newSink(p.store, pod, p.store.SetPod, p.store.DeletePod, nil)
	defer func() {
		cancel()
		running.Wait()
		p.mu.Lock()
		p.loaded = make(chan struct{})
		p.mu.Unlock()
		pods.Clear()
	}()
	// Pods that have ended no longer have their addresses; for this watch they are deleted.
	alive := fields.AndSelectors(
		fields.OneTermNotEqualSelector("status.phase", string(corev1.PodSucceeded)),
		fields.OneTermNotEqualSelector("status.phase", string(corev1.PodFailed))).String()
	running.Go(func() {
		kubewatch.Kind{Client: core, Resource: "pods", Example: &corev1.Pod{}, Sink: pods, FieldSelector: alive}.Follow(ctx, log)
	})
	select {
	case <-ctx.Done():
		return
	case <-unwanted:
		return
	case <-pods.First():
	}
	p.mu.Lock()
	close(p.loaded)
	p.mu.Unlock()
	select {
	case <-ctx.Done():
	case <-unwanted:
	}
}

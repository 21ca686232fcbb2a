// Package ingressdns is the addon that gives Services, and hosts of Ingresses, Gateways and routes, names on this machine. It
// follows the objects and computes which names lead where (compute.go); what answers is a Resolver, which the daemon brings.
// That the machine asks it is package bootstrap/hostdns's matter.
//
// Begin reading at Addon.Run.
package ingressdns

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/runtime"

	"bonsai/bootstrap/cluster"
	"bonsai/bootstrap/wait"
	"bonsai/controlplane/addons"
)

// Name of the addon.
const Name = cluster.HostDNSAddon

const (
	// gather is how long a change waits for others.
	gather = 20 * time.Millisecond
	// lookAgain is when the machine's interfaces and routes are looked at again.
	lookAgain = 15 * time.Second
)

// Resolver answers questions.
type Resolver interface {
	// Set replaces what is answered.
	Set(cluster.HostDNS)
	// Run answers on 127.0.0.1 until ctx ends, at port, or if that is 0 at a free one. It calls listening with the port when it is
	// there. A port that is in use is an error.
	Run(ctx context.Context, port int, listening func(port int)) error
}

// Options are what runs the addon; the zero value is for a description.
type Options struct {
	Resolver Resolver
	// Reach looks at this machine.
	Reach func(cluster.Spec) Reach
	// Kept is the port of the last run, 0 if there was none. Keep keeps one; open says whether names are answered there now.
	Kept func() int
	Keep func(port int, open bool) error
	// Publish is called with what is answered, after each change.
	Publish func(cluster.HostDNS)
}

// Addon is the addon. Create it with New.
type Addon struct {
	opts Options

	mu  sync.Mutex // guards now
	now cluster.HostDNS
}

var (
	_ addons.Addon  = (*Addon)(nil)
	_ addons.Runner = (*Addon)(nil)
)

// New returns the addon.
func New(o Options) *Addon { return &Addon{opts: o} }

// Describe implements addons.Addon.
func (*Addon) Describe() cluster.AddonDescription {
	return cluster.AddonDescription{
		Name: Name, Version: "1.0", Maintainer: "bonsai", Description: "Names of Services and Ingresses for this machine's programs",
		Docs: "docs/host-names.md", Delivery: cluster.DeliveryBuiltin, Offline: true,
		Settings: []cluster.AddonSetting{
			{
				Name: cluster.HostDNSDomainsSetting, Type: cluster.SettingDomains, Max: 20, Default: "test",
				Description: "Domains whose names lead to Ingresses, Gateways and routes; hosts outside them are not answered",
				Cost:        "Names are answered by it at once; the machine asks for new domains after bonsai dns host enable",
			},
			{
				Name: cluster.HostDNSPortSetting, Type: cluster.SettingInteger, Min: 0, Max: 65535, Default: "0",
				Description: "Port of 127.0.0.1 at which names are answered; 0 is a free one, as it was before",
				Cost:        "The machine has to be configured again: bonsai dns host enable",
			},
		},
	}
}

// Objects implements addons.Addon. There are none.
func (*Addon) Objects(addons.Cluster) []runtime.Object { return nil }

// Health implements addons.Addon.
func (a *Addon) Health(_ context.Context, c addons.Cluster) (cluster.AddonState, string, []cluster.Advice) {
	a.mu.Lock()
	now := a.now
	a.mu.Unlock()
	if !now.Open {
		return cluster.AddonInstalling, "its controller is starting", nil
	}
	if spec := c.Spec(); len(spec.Nodes) > 0 && !a.opts.Reach(spec).Nodes {
		return cluster.AddonDegraded, fmt.Sprintf("this machine has no interface in the nodes' network %s, so that names lead nowhere", spec.Subnet),
			[]cluster.Advice{cluster.Advise("reach a Service by a name below localhost", cluster.Bonsai("service"))}
	}
	return cluster.AddonRunning, "", nil
}

func (a *Addon) set(h cluster.HostDNS, c addons.Cluster) {
	a.mu.Lock()
	moved := a.now.Open != h.Open || a.now.Port != h.Port
	a.now = h
	a.mu.Unlock()
	a.opts.Publish(h)
	if !moved {
		return
	}
	port := h.Port
	if port == 0 {
		port = a.opts.Kept()
	}
	if err := a.opts.Keep(port, h.Open); err != nil {
		c.Log.Warn("the port of the resolver is not kept", "port", port, "err", err)
	}
	c.Notify()
}

// Run implements addons.Runner.
func (a *Addon) Run(ctx context.Context, c addons.Cluster) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	touched := make(chan struct{}, 1)
	w, err := watch(c, func() {
		select {
		case touched <- struct{}{}:
		default: // it is about to compute anyway
		}
	})
	if err != nil {
		return err
	}
	defer w.shutdown()
	defer cancel()
	if err := w.start(ctx); err != nil {
		return fmt.Errorf("follow Services and Ingresses: %w", err)
	}
	defer func() { a.set(cluster.HostDNS{Reason: "the resolver does not run"}, c) }()
	for ctx.Err() == nil {
		if err := a.serve(ctx, c, w, touched); err != nil {
			return err
		}
	}
	return context.Cause(ctx)
}

// serve answers at one port until ctx ends, the user chooses another one, or it fails.
func (a *Addon) serve(ctx context.Context, c addons.Cluster, w *watched, touched <-chan struct{}) error {
	serving, cancel := context.WithCancel(ctx)
	defer cancel()
	changed := c.Changed()
	spec := c.Spec()
	chosen := spec.HostDNSPort()
	port := chosen
	if port == 0 {
		port = a.opts.Kept()
	}
	now := a.compute(ctx, c, w)
	a.opts.Resolver.Set(now)
	listening, ended := make(chan int, 1), make(chan error, 1)
	go func() { ended <- a.opts.Resolver.Run(serving, port, func(at int) { listening <- at }) }()
	stopped := false
	defer func() {
		cancel()
		if !stopped {
			<-ended //nolint:errcheck // it was stopped
		}
	}()
	again := time.NewTicker(lookAgain)
	defer again.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case err := <-ended:
			stopped = true
			if err == nil {
				err = errors.New("the resolver ended")
			}
			return err
		case now.Port = <-listening:
			now.Open = true
			a.set(now, c)
			continue
		case <-changed:
			changed = c.Changed()
			if spec := c.Spec(); spec.HostDNSPort() != chosen {
				return nil
			}
		case <-again.C:
		case <-touched:
			_ = wait.Pause(ctx, gather)
		}
		next := a.compute(ctx, c, w)
		if next.Open, next.Port = now.Open, now.Port; reflect.DeepEqual(next, now) {
			continue
		}
		now = next
		a.opts.Resolver.Set(now)
		if now.Open {
			a.set(now, c)
		}
	}
}

func (a *Addon) compute(ctx context.Context, c addons.Cluster, w *watched) cluster.HostDNS {
	spec := c.Spec()
	reach := a.opts.Reach(spec)
	if reach.Pods {
		w.followPods(ctx)
	}
	in := w.input()
	in.spec, in.reach = spec, reach
	in.hosts = cluster.List(a.Describe().Value(in.spec, cluster.HostDNSDomainsSetting))
	return compute(in)
}

package nodeagent

import (
	"context"
	"net/http"
	"sync"
	"time"

	"bonsai/bootstrap/cluster"
)

// Part is a service of the node that runs inside the agent's process in addition to what makes the container a node.
// The agent does not know what a part does; a part that fails is restarted and affects nothing else.
type Part interface {
	// Name of the part's component; its API is mounted at /v1/NAME/.
	Name() string
	// Run serves until ctx ends. It starts before everything else of the node; only the network interface exists.
	Run(ctx context.Context) error
	// Handler answers below /v1/NAME/, which is stripped from the path. It may be called before and after Run.
	Handler() http.Handler
	// Component returns the part's state.
	Component() cluster.Component
}

// partPause is the pause before a failed part is restarted.
const partPause = time.Second

// startParts runs all parts; the returned function ends them and waits.
func (a *agent) startParts(ctx context.Context) (stop func()) {
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	var running sync.WaitGroup
	for _, p := range a.parts {
		running.Go(func() { a.keepRunning(ctx, p) })
	}
	return func() { cancel(); running.Wait() }
}

func (a *agent) keepRunning(ctx context.Context, p Part) {
	for {
		err := p.Run(ctx)
		if ctx.Err() != nil {
			return
		}
		a.log.Error("part of the agent failed, restarting it", "part", p.Name(), "cause", err)
		select {
		case <-ctx.Done():
			return
		case <-time.After(partPause):
		}
	}
}

// handlers are the APIs of all parts by name.
func (a *agent) handlers() map[string]http.Handler {
	m := map[string]http.Handler{}
	for _, p := range a.parts {
		m[p.Name()] = p.Handler()
	}
	return m
}

package nodeagent

import (
	"context"
	"net/http"
	"sync"
	"time"

	"bonsai/bootstrap/cluster"
)

// Part is a service of the node that runs inside the agent's process besides what makes the container a node. What a
// part does is none of the agent's business; a part that fails is run again and harms nobody else.
type Part interface {
	// Name of the part's component; its API is mounted at /v1/NAME/.
	Name() string
	// Run serves until ctx ends. It begins before anything else of the node, with nothing but the network interface.
	Run(ctx context.Context) error
	// Handler answers below /v1/NAME/, which is cut off. It may be asked before and after Run.
	Handler() http.Handler
	// Component says how the part is.
	Component() cluster.Component
}

// partPause is how long a failed part waits for its next try.
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
		a.log.Error("a part of the agent ended and is run again", "part", p.Name(), "cause", err)
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

package nodeagent

import (
	"context"
	"net/http"
	"sync"
	"time"

	"bonsai/bootstrap/cluster"
)

// Part is a service of the node that runs inside the agent's process besides what makes the container a node: the side of
// an addon that has to be on every node. The agent does not know what a part does. cmd/bonsai-agent lists all parts.
type Part interface {
	// Name of the part; its API is mounted at /v1/NAME.
	Name() string
	// Handler answers at and below /v1/NAME, which is stripped from the path ("/" is what is left of /v1/NAME itself).
	Handler() http.Handler
}

// Runner is a part that also works when nobody asks it. A part that fails is restarted and does not affect the others.
type Runner interface {
	Part
	// Run serves until ctx ends. It begins before anything else of the node, with nothing but the network interface. The
	// handler may be called before and after it.
	Run(ctx context.Context) error
}

// Reporter is a part that is shown among the components of the node.
type Reporter interface {
	Part
	// Component returns the part's state. One without a name is not shown: there is nothing to do for the part.
	Component() cluster.Component
}

// partPause is the pause before a failed part is restarted.
const partPause = time.Second

// startParts runs all parts; the returned function ends them and waits.
func (a *agent) startParts(ctx context.Context) (stop func()) {
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	var running sync.WaitGroup
	for _, p := range a.parts {
		if r, ok := p.(Runner); ok {
			running.Go(func() { a.keepRunning(ctx, r) })
		}
	}
	return func() { cancel(); running.Wait() }
}

func (a *agent) keepRunning(ctx context.Context, p Runner) {
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

// partComponents are the states of the parts that have one.
func (a *agent) partComponents() (list []cluster.Component) {
	for _, p := range a.parts {
		if r, ok := p.(Reporter); ok {
			if c := r.Component(); c.Name != "" {
				list = append(list, c)
			}
		}
	}
	return list
}

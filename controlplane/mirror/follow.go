package mirror

import (
	"context"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"

	"bonsai/bootstrap/cluster"
	"bonsai/bootstrap/wait"
	"bonsai/controlplane/agents"
)

const (
	// eagerPause is the pause between two attempts to reach an agent for eagerTime, which is longer than one takes to restart;
	// patientPause is used from then on.
	eagerPause   = 200 * time.Millisecond
	eagerTime    = 3 * time.Second
	patientPause = 3 * time.Second
)

// nodeState is what the agent of a node has reported last.
type nodeState struct {
	// reached is false if the agent cannot be reached for some time.
	reached    bool
	components []cluster.Component
}

func (n nodeState) component(name string) (cluster.Component, bool) {
	i := slices.IndexFunc(n.components, func(c cluster.Component) bool { return c.Name == name })
	if i < 0 {
		return cluster.Component{}, false
	}
	return n.components[i], true
}

// followers follow the agents of nodes, each with one request whose answer continues for as long as the agent lives.
type followers struct {
	k         *Keeper
	agents    *agents.Client
	following map[string]followed
}

type followed struct {
	node cluster.Node
	end  context.CancelFunc
	done chan struct{}
}

// stop waits, so that nothing is reported of the node afterwards.
func (f followed) stop() {
	f.end()
	<-f.done
}

func newFollowers(k *Keeper, client *agents.Client) *followers {
	return &followers{k: k, agents: client, following: map[string]followed{}}
}

// follow starts following new nodes, until ctx ends, and stops following those that should not run.
func (f *followers) follow(ctx context.Context, spec cluster.Spec) {
	nodes := spec.ActiveNodes()
	for name, old := range f.following {
		if !slices.ContainsFunc(nodes, old.node.Same) {
			old.stop()
			delete(f.following, name)
		}
	}
	for _, n := range nodes {
		if _, ok := f.following[n.Name]; ok {
			continue
		}
		ctx, end := context.WithCancel(ctx)
		done := make(chan struct{})
		f.following[n.Name] = followed{n, end, done}
		go func() {
			defer close(done)
			f.one(ctx, n)
		}()
	}
}

// stop ends all of them.
func (f *followers) stop() {
	for _, old := range f.following {
		old.stop()
	}
}

// one follows one node until ctx ends.
func (f *followers) one(ctx context.Context, n cluster.Node) {
	defer f.k.setNode(n.Name, nil)
	lost := time.Now()
	for ctx.Err() == nil {
		// One that ends says nothing that the next attempt does not.
		_ = f.agents.Components(ctx, n, func(list []cluster.Component) {
			lost = time.Now()
			f.k.setNode(n.Name, &nodeState{true, list})
		})
		pause := eagerPause
		if time.Since(lost) > f.k.o.Scale.Of(eagerTime) {
			f.k.lose(n.Name)
			pause = patientPause
		}
		if wait.Pause(ctx, pause) != nil {
			return
		}
	}
}

// setNode takes over what a node reports; nil forgets it.
func (k *Keeper) setNode(name string, s *nodeState) {
	k.mu.Lock()
	if s == nil {
		delete(k.nodes, name)
	} else {
		k.nodes[name] = *s
	}
	k.mu.Unlock()
	k.Touch()
}

// lose records that the agent of a node cannot be reached.
func (k *Keeper) lose(name string) {
	k.mu.Lock()
	s, known := k.nodes[name]
	news := !known || s.reached
	s.reached = false
	k.nodes[name] = s
	k.mu.Unlock()
	if news {
		k.Touch()
	}
}

// states are those of planned pods.
func (r *run) states(spec cluster.Spec, plan []shown) []state {
	host, servers := r.Components(), map[string]cluster.Phase{}
	if r.o.DNS != nil {
		servers = r.o.DNS()
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	list := make([]state, len(plan))
	for i, s := range plan {
		if s.host {
			list[i] = hostState(host, s.Name)
			list[i].address = spec.Gateway.String()
			continue
		}
		// A kubelet that no longer reports belongs to a node that hangs, or whose network does.
		node, known := r.nodes[s.node.Name]
		list[i] = inNode(node, known, r.readiness(s.node.Name), s.Name, servers[s.node.Name])
		list[i].address = s.node.IP.String()
	}
	return list
}

// hostState is that of a component in this process.
func hostState(all []cluster.Component, name string) state {
	i := slices.IndexFunc(all, func(c cluster.Component) bool { return c.Name == name })
	if i < 0 {
		return state{}
	}
	return state{known: true, Component: all[i], ready: all[i].Phase == cluster.PhaseRunning}
}

// inNode is the state of a component in a node. DNS is a part of the agent: its life is the agent's, and server is what it
// says of itself.
func inNode(n nodeState, known bool, kubelet corev1.ConditionStatus, name string, server cluster.Phase) state {
	of := name
	if name == dns {
		of = agent
	}
	c, reported := n.component(of)
	switch {
	case !known, n.reached && !reported:
		return state{}
	case !n.reached || kubelet == corev1.ConditionUnknown && reported:
		c.Phase, c.Reason = cluster.PhaseUnknown, ""
		return state{known: true, Component: c, reason: "NodeUnreachable"}
	}
	s := state{known: true, Component: c, ready: c.Phase == cluster.PhaseRunning}
	if name == dns {
		s.ready = server == cluster.PhaseRunning || server == cluster.PhaseDegraded // which still answers
	}
	return s
}

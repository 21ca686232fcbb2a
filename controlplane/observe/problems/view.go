// Package problems finds what is wrong with workloads: it observes pods and what belongs to them, finds the answers
// that the diagnosis needs, and reports the problems. Package diagnose, which is pure, decides what is wrong and why.
//
// Nothing runs without watchers. The first watcher starts the informers, the last one ends them and waits. What
// they keep is shared with others (package objects). Begin reading at View; run.go is the work, ask.go answers the
// questions of the diagnosis, names.go stores failed lookups.
package problems

import (
	"context"
	"log/slog"
	"slices"
	"sync"
	"time"

	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/metadata"

	"bonsai/bootstrap/cluster"
	"bonsai/bootstrap/wait"
	"bonsai/controlplane/observe/objects"
	"bonsai/controlplane/observe/problems/diagnose"
)

// onceLimit limits a look without a watcher. It is less than the time that "bonsai status" waits for the daemon.
const onceLimit = 2 * time.Second

// DNS is what the view needs from cluster DNS; the view of package dns implements it.
type DNS interface {
	DNSLog(ctx context.Context, q cluster.DNSLogQuery, watching func(), send func(cluster.DNSQuery) error) error
	DNSLookup(ctx context.Context, q cluster.DNSQuestion) (cluster.DNSAnswer, error)
}

// Options are the dependencies of a View.
type Options struct {
	// Cluster is its name, for hints.
	Cluster string
	// Objects has what is observed; Client is used for everything else, such as logs.
	Objects *objects.Store
	Client  kubernetes.Interface
	// Metadata lists objects of any kind.
	Metadata metadata.Interface
	// DNS returns nil while the cluster has none.
	DNS func() DNS
	// Enforced says whether bonsai enforces NetworkPolicies; nil: it does not.
	Enforced func() bool
	// Listening asks a node for the ports that the programs of a pod listen on.
	Listening func(ctx context.Context, node, uid string) ([]cluster.Listening, error)
	// Images returns what the nodes have, by node; it may be nil. It is called only while an image is missing somewhere.
	Images func(context.Context) map[string][]cluster.NodeImage
	// Denied returns what NetworkPolicies have stopped, as far as nodes answer; it may be nil. It is called only while there are any.
	Denied func(context.Context) []cluster.Denied
	// Addon returns the state of an addon, nil if there is none of that name; it may be nil itself.
	Addon func(name string) *cluster.AddonStatus
	Log   *slog.Logger
	// Begun is when the control plane became ready.
	Begun time.Time
	// Scale multiplies the limits on waits.
	Scale wait.Scale
}

// View reports the problems of workloads. It is safe for concurrent use.
type View struct {
	Options

	mu     sync.Mutex // guards the rest, and is held while a run starts or ends
	closed bool
	users  int
	run    *run // nil without watchers
	notes  notes
}

// notes are what diagnoses learn that Events say only for a while; they last longer than a run.
type notes struct {
	mu     sync.Mutex // guards probes
	probes map[diagnose.Probed]string
}

func (n *notes) all() map[diagnose.Probed]string {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.probes
}

// keep replaces what is noted; nobody changes it any more.
func (n *notes) keep(probes map[diagnose.Probed]string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.probes = probes
}

// New returns a View. It starts nothing.
func New(o Options) *View { return &View{Options: o} }

// Close ends all watching and waits for that. Existing watchers keep the last result; later ones see nothing. Close it
// before the API server stops, which would wait for the informers.
func (v *View) Close() {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.closed = true
	if v.run != nil {
		v.run.end()
	}
}

// Watcher is one watcher.
type Watcher struct {
	run   *run
	leave func()
}

// Watch starts observing, unless that is happening already. The caller closes the Watcher.
func (v *View) Watch() *Watcher {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.closed {
		return &Watcher{leave: func() {}}
	}
	if v.users++; v.users == 1 {
		v.run = start(v.Options, &v.notes)
	}
	return &Watcher{run: v.run, leave: sync.OnceFunc(func() {
		v.mu.Lock()
		defer v.mu.Unlock()
		if v.users--; v.users == 0 {
			v.run.end()
			v.run = nil
		}
	})}
}

// Close ends the watching; for the last Watcher it waits for the informers to end.
func (w *Watcher) Close() { w.leave() }

// Problems returns what is known and a channel that is closed when that has changed. The caller owns the list.
func (w *Watcher) Problems() ([]cluster.Problem, <-chan struct{}) {
	if w.run == nil {
		return nil, nil
	}
	s := w.run.state()
	return slices.Clone(s.problems), s.changed
}

// Once diagnoses once. What cannot be found out within its limit is missing.
func (v *View) Once(ctx context.Context) []cluster.Problem {
	w := v.Watch()
	defer w.Close()
	if w.run == nil {
		return nil
	}
	limit := time.NewTimer(v.Scale.Of(onceLimit))
	defer limit.Stop()
	for {
		s := w.run.state()
		if s.settled {
			return slices.Clone(s.problems)
		}
		select {
		case <-s.changed:
		case <-ctx.Done():
			return slices.Clone(s.problems)
		case <-limit.C:
			v.Log.Warn("the workloads could not be looked at in time")
			return slices.Clone(s.problems)
		}
	}
}

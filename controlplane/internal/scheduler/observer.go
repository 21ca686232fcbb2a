package scheduler

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/util/flowcontrol"
	fwk "k8s.io/kube-scheduler/framework"
	schedulerconfig "k8s.io/kubernetes/pkg/scheduler/apis/config"

	"bonsai/bootstrap/cluster"
	"bonsai/controlplane/config"
	"bonsai/controlplane/observe/birth"
)

// observer is a plugin that does not influence decisions. It reports to the recorder when the scheduler took a pod into
// its queue, when it handled it, and its verdict on each node.
//
// Plugins do not see each other's results, so they are run again, once the node is chosen: the filters for nodes that
// were not possible, the scores for those that were. That has to be done in the scheduling cycle. Later, while the pod
// is being bound, the snapshot of the nodes that some plugins read is already being changed for the next pod; and the
// answers would be about another state of the cluster than the decision. It takes tens of microseconds with a few
// nodes, and is bounded with many nodes and with many pods.
type observer struct {
	handle fwk.Handle
	births *birth.Recorder
	// weights are those of the scoring plugins, shared by all decisions; they never change.
	weights func() map[string]int
	// pace limits how often plugins are run again, so that a thousand pods at once are not scheduled more slowly.
	pace flowcontrol.PassiveRateLimiter
}

// pace and burst are how many decisions in a second, and at once, are examined closely.
const (
	pace  = 20
	burst = 100
)

// maxVerdicts limits how many nodes are examined for one pod, and how much is stored about it.
const maxVerdicts = 32

var (
	_ fwk.PreEnqueuePlugin  = &observer{}
	_ fwk.PreFilterPlugin   = &observer{}
	_ fwk.PostFilterPlugin  = &observer{}
	_ fwk.PreScorePlugin    = &observer{}
	_ fwk.ReservePlugin     = &observer{}
	_ fwk.EnqueueExtensions = &observer{} // otherwise it would be called for every event of every kind
	_ fwk.SignPlugin        = &observer{} // otherwise equal pods could not be scheduled in batches
)

func newObserver(births *birth.Recorder) func(context.Context, runtime.Object, fwk.Handle) (fwk.Plugin, error) {
	return func(_ context.Context, _ runtime.Object, h fwk.Handle) (fwk.Plugin, error) {
		// The framework is complete only after its plugins are made.
		return &observer{
			handle: h, births: births, weights: sync.OnceValue(func() map[string]int { return weights(h) }),
			pace: flowcontrol.NewTokenBucketPassiveRateLimiter(pace, burst),
		}, nil
	}
}

func (*observer) Name() string { return config.ObserverPlugin }

func (*observer) EventsToRegister(context.Context) ([]fwk.ClusterEventWithHint, error) {
	return nil, nil
}

func (*observer) SignPod(context.Context, *corev1.Pod) ([]fwk.SignFragment, *fwk.Status) {
	return nil, nil
}

func nameOf(p *corev1.Pod) birth.Pod {
	return birth.Pod{Namespace: p.Namespace, Name: p.Name, UID: string(p.UID)}
}

// PreEnqueue is called under the lock of the scheduler's queue.
func (o *observer) PreEnqueue(_ context.Context, p *corev1.Pod) *fwk.Status {
	o.births.Queued(nameOf(p), time.Now())
	return nil
}

// look is one scheduling cycle of a pod.
type look struct {
	begin time.Time
	// pod is as it is in the queue; from Reserve on it has a node, which the filters would see.
	pod *corev1.Pod
	// possible are the nodes that were scored; none were if there was only one.
	possible []fwk.NodeInfo
}

const lookKey fwk.StateKey = config.ObserverPlugin

// Clone shares the state with simulations of preemption, which do not come here.
func (l *look) Clone() fwk.StateData { return l }

func lookOf(state fwk.CycleState) *look {
	data, err := state.Read(lookKey)
	if err != nil {
		return nil
	}
	l, _ := data.(*look)
	return l
}

// PreFilter is configured as the first, so this is when the cycle begins.
func (o *observer) PreFilter(_ context.Context, state fwk.CycleState, p *corev1.Pod, _ []fwk.NodeInfo) (*fwk.PreFilterResult, *fwk.Status) {
	state.Write(lookKey, &look{begin: time.Now(), pod: p})
	return nil, nil
}

func (*observer) PreFilterExtensions() fwk.PreFilterExtensions { return nil }

// PreScore is called if there is more than one possible node.
func (o *observer) PreScore(_ context.Context, state fwk.CycleState, _ *corev1.Pod, nodes []fwk.NodeInfo) *fwk.Status {
	if l := lookOf(state); l != nil {
		l.possible = nodes
	}
	return nil
}

// PostFilter is called if no node is possible. It is configured as the first and returns what upstream expects from
// informational plugins.
func (o *observer) PostFilter(_ context.Context, state fwk.CycleState, p *corev1.Pod, said fwk.NodeToStatusReader) (*fwk.PostFilterResult, *fwk.Status) {
	none := fwk.NewStatus(fwk.Unschedulable)
	l := lookOf(state)
	if l == nil || state.IsPodGroupSchedulingCycle() {
		return nil, none
	}
	end := time.Now()
	d := cluster.Decision{Time: end, Took: end.Sub(l.begin)}
	nodes, err := o.handle.SnapshotSharedLister().NodeInfos().List()
	if err != nil {
		return nil, none
	}
	for _, n := range bounded(nodes, &d) {
		d.Verdicts = append(d.Verdicts, verdict(n, said.Get(n.Node().Name)))
	}
	o.births.Decided(nameOf(p), birth.Span{Begin: l.begin, End: end}, d)
	return nil, none
}

// Reserve is configured as the first: it is called when the node has been chosen, before other plugins reserve what the
// pod needs there.
func (o *observer) Reserve(ctx context.Context, state fwk.CycleState, p *corev1.Pod, node string) *fwk.Status {
	l := lookOf(state)
	if l == nil || state.IsPodGroupSchedulingCycle() {
		return nil
	}
	end := time.Now()
	d := cluster.Decision{Time: end, Took: end.Sub(l.begin), Node: node}
	if o.pace.TryAccept() {
		o.judge(ctx, state, l, &d)
	} else {
		note(&d, "Many pods were scheduled at once; the verdicts of plugins were not recorded.")
	}
	o.births.Decided(nameOf(p), birth.Span{Begin: l.begin, End: end}, d)
	return nil
}

func (*observer) Unreserve(context.Context, fwk.CycleState, *corev1.Pod, string) {}

// judge runs the other plugins again for each node.
func (o *observer) judge(ctx context.Context, state fwk.CycleState, l *look, d *cluster.Decision) {
	scores := o.scores(ctx, state, l)
	nodes, err := o.handle.SnapshotSharedLister().NodeInfos().List()
	if err != nil {
		note(d, err.Error())
		return
	}
	passed := 0 // passed the filters, but was not scored
	for _, n := range bounded(nodes, d) {
		name := n.Node().Name
		if s, ok := scores[name]; ok {
			d.Verdicts = append(d.Verdicts, s)
			continue
		}
		if name == d.Node {
			d.Verdicts = append(d.Verdicts, cluster.NodeVerdict{Node: name})
			continue
		}
		v := verdict(n, o.handle.RunFilterPluginsWithNominatedPods(ctx, state, l.pod, n))
		if len(v.Rejected) == 0 {
			passed++
		}
		d.Verdicts = append(d.Verdicts, v)
	}
	switch {
	case len(scores) > 0:
		d.Weights = o.weights()
	case len(l.possible) > 0:
		note(d, "The scores are not known.")
	case passed > 0:
		note(d, "Not scored: the node was known from an equal pod just before, or from preemption.")
	default:
		note(d, "Not scored: only one node was possible.")
	}
}

// scores are the verdicts on the possible nodes by name; none if there was only one, which upstream does not score.
func (o *observer) scores(ctx context.Context, state fwk.CycleState, l *look) map[string]cluster.NodeVerdict {
	if len(l.possible) == 0 || len(l.possible) > maxVerdicts {
		return nil
	}
	list, status := o.handle.RunScorePlugins(ctx, state, l.pod, l.possible)
	if !status.IsSuccess() {
		return nil
	}
	verdicts := make(map[string]cluster.NodeVerdict, len(list))
	for _, n := range list {
		v := cluster.NodeVerdict{Node: n.Name, Total: n.TotalScore, Scores: make(map[string]int64, len(n.Scores))}
		for _, s := range n.Scores {
			v.Scores[s.Name] = s.Score
		}
		verdicts[n.Name] = v
	}
	return verdicts
}

// bounded are the nodes to be judged: all of them, or the first with the chosen one.
func bounded(nodes []fwk.NodeInfo, d *cluster.Decision) []fwk.NodeInfo {
	if len(nodes) <= maxVerdicts {
		return nodes
	}
	note(d, fmt.Sprintf("Of %d nodes %d are shown.", len(nodes), maxVerdicts))
	few := slices.Clone(nodes[:maxVerdicts])
	for _, n := range nodes[maxVerdicts:] {
		if n.Node().Name == d.Node {
			few[0] = n
		}
	}
	return few
}

// note adds a sentence.
func note(d *cluster.Decision, sentence string) { d.Note = strings.TrimSpace(d.Note + " " + sentence) }

// verdict is the result of a filter for a node.
func verdict(n fwk.NodeInfo, s *fwk.Status) cluster.NodeVerdict {
	v := cluster.NodeVerdict{Node: n.Node().Name}
	if !s.IsSuccess() {
		v.Plugin, v.Rejected = s.Plugin(), slices.Clone(s.Reasons())
		if len(v.Rejected) == 0 {
			v.Rejected = []string{s.Code().String()}
		}
	}
	return v
}

// weights are those of the scoring plugins; nil if the framework does not report them.
func weights(h fwk.Handle) map[string]int {
	lister, ok := h.(interface {
		ListPlugins() *schedulerconfig.Plugins
	})
	if !ok {
		return nil
	}
	weights := map[string]int{}
	for _, p := range lister.ListPlugins().Score.Enabled {
		weights[p.Name] = int(p.Weight)
	}
	return weights
}

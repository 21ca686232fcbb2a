// Package why finds out whether a pod reaches something, and if not, at which step of the way it ends: the name it asks for, the
// answer, the Service with its ports and pods, the NetworkPolicies of both ends, the program that should listen, and a real connection
// from the network of the pod.
//
// What decides is asked of who decides: the nodes' rules for policies, the kernel's list of sockets, the DNS server of the pod. Nothing
// runs without a question. Begin reading at View.Why; ends.go finds the ends, steps.go and the files after it have the steps.
package why

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/client-go/kubernetes"

	"bonsai/bootstrap/cluster"
	"bonsai/bootstrap/wait"
)

// wholeLimit bounds a whole walk, on a quiet machine. Its parts have limits of their own.
const wholeLimit = 20 * time.Second

// Agents are the agents of nodes. They limit every wait.
type Agents interface {
	JudgePolicies(ctx context.Context, n cluster.Node, q cluster.PolicyQuestion) (cluster.PolicyAnswer, error)
	Listening(ctx context.Context, n cluster.Node, uid string) ([]cluster.Listening, error)
	Probe(ctx context.Context, n cluster.Node, q cluster.ProbeQuestion) (cluster.ProbeResult, error)
}

// Options are the dependencies of a View.
type Options struct {
	// Cluster is its name, for hints.
	Cluster string
	// Nodes returns the nodes that the cluster currently has and that can be asked.
	Nodes func() []cluster.Node
	// DNSServer is the address of cluster DNS.
	DNSServer netip.Addr
	// Lookup asks cluster DNS as a pod would; nil without cluster DNS. It is called for each question.
	Lookup func() func(context.Context, cluster.DNSQuestion) (cluster.DNSAnswer, error)
	Client kubernetes.Interface
	Agents Agents
	// Scale multiplies the limits on waits.
	Scale wait.Scale
}

// View answers questions. It is safe for concurrent use.
type View struct{ o Options }

// New returns a View. It starts nothing.
func New(o Options) *View { return &View{o} }

// Why walks from one end to the other, in a few seconds at most unless nodes do not answer. That it does not come there is no error;
// an end that does not exist is the fault ObjectNotFound, one that cannot be read Usage.
func (v *View) Why(ctx context.Context, q cluster.WhyQuestion) (cluster.Why, error) {
	ctx, cancel := v.o.Scale.Limit(ctx, wholeLimit, "the way from one end to the other to be walked")
	defer cancel()
	w := &walk{Options: v.o, q: q}
	w.out = cluster.Why{To: q.To, Proto: "TCP", Steps: []cluster.WhyStep{}}
	if q.UDP {
		w.out.Proto = "UDP"
	}
	if err := w.ends(ctx); err != nil {
		return w.out, err
	}
	w.walk(ctx)
	return w.out.Finished(), nil
}

// walk is the work on one question.
type walk struct {
	Options
	q   cluster.WhyQuestion
	out cluster.Why

	source     *corev1.Pod
	sourceNode cluster.Node
	to         target
	// endpoints are what is reached in the end: pods, or the address itself.
	endpoints []endpoint
}

// endpoint is what is reached in the end.
type endpoint struct {
	at   netip.AddrPort
	pod  *corev1.Pod // nil for what is no pod
	node cluster.Node
}

func (e endpoint) String() string {
	if e.pod != nil {
		return "pod " + nameOf(e.pod)
	}
	return e.at.Addr().String()
}

// walk takes the steps until one ends the way; those after it that can still be seen are taken as well.
func (w *walk) walk(ctx context.Context) {
	for _, step := range []func(context.Context) bool{w.sourceStep, w.nameStep, w.serviceStep, w.portStep, w.endpointsStep} {
		if !step(ctx) {
			return
		}
	}
	w.policySteps(ctx)
	w.listenerStep(ctx)
	w.connectStep(ctx)
}

// add adds a step. It reports whether the way goes on.
func (w *walk) add(s cluster.WhyStep) bool {
	for i := range s.Advice {
		s.Advice[i] = s.Advice[i].For(w.Cluster)
	}
	w.out.Steps = append(w.out.Steps, s)
	return s.State != cluster.WhyFailed
}

func (w *walk) ok(topic cluster.WhyTopic, format string, args ...any) bool {
	return w.add(cluster.WhyStep{Topic: topic, State: cluster.WhyOK, Saw: fmt.Sprintf(format, args...)})
}

func (w *walk) skipped(topic cluster.WhyTopic, format string, args ...any) bool {
	return w.add(cluster.WhyStep{Topic: topic, State: cluster.WhySkipped, Saw: fmt.Sprintf(format, args...)})
}

func (w *walk) failed(topic cluster.WhyTopic, saw string, more []string, advice ...cluster.Advice) bool {
	return w.add(cluster.WhyStep{Topic: topic, State: cluster.WhyFailed, Saw: saw, More: more, Advice: advice})
}

// node returns the node of that name; false if it does not run.
func (w *walk) node(name string) (cluster.Node, bool) {
	nodes := w.Nodes()
	i := slices.IndexFunc(nodes, func(n cluster.Node) bool { return n.Name == name })
	if i < 0 {
		return cluster.Node{}, false
	}
	return nodes[i], true
}

// nodeAt returns the node with an address.
func (w *walk) nodeAt(a netip.Addr) (cluster.Node, bool) {
	nodes := w.Nodes()
	i := slices.IndexFunc(nodes, func(n cluster.Node) bool { return n.IP == a || n.PodCIDR.Addr().Next() == a })
	if i < 0 {
		return cluster.Node{}, false
	}
	return nodes[i], true
}

func nameOf(p *corev1.Pod) string { return p.Namespace + "/" + p.Name }

// listed is "a, b and c", with at most some of many.
func listed(all []string) string {
	const most = 4
	if len(all) > most {
		return strings.Join(all[:most], ", ") + fmt.Sprintf(" and %d more", len(all)-most)
	}
	if len(all) < 2 {
		return strings.Join(all, "")
	}
	return strings.Join(all[:len(all)-1], ", ") + " and " + all[len(all)-1]
}

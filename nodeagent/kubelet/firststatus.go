package kubelet

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"sync"
	"time"

	v1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	clientset "k8s.io/client-go/kubernetes"
	corev1client "k8s.io/client-go/kubernetes/typed/core/v1"

	"bonsai/bootstrap/wait"
)

// heldPauses are how long the kubelet waits before it looks again, each time that its first status is held back. It tries
// five times (nodeStatusUpdateRetry); the first may have failed before, because it did not know its Node object yet, and
// the last has to go through: the next round is ten seconds later.
func heldPauses() []time.Duration {
	return []time.Duration{50 * time.Millisecond, 250 * time.Millisecond, 800 * time.Millisecond}
}

// heldStatus is a client of the API server that holds back what a kubelet says in its first moments about itself, if that
// passes. While the kubelet registers its node, it initializes its CSINode object, beside that; a node is not Ready before.
// If registering is faster, the first status is NotReady. For a new node the kubelet then looks ten times a second; but if the
// API server still has the Ready of before a restart, it looks next after ten seconds, in which the node is tainted and its
// pods count as not ready. So the kubelet is made to look again at once.
type heldStatus struct {
	clientset.Interface
	hold *hold
}

func newHeldStatus(client clientset.Interface) heldStatus {
	return heldStatus{client, &hold{pauses: heldPauses()}}
}

func (c heldStatus) CoreV1() corev1client.CoreV1Interface {
	return heldCore{c.Interface.CoreV1(), c.hold}
}

type heldCore struct {
	corev1client.CoreV1Interface
	hold *hold
}

func (c heldCore) Nodes() corev1client.NodeInterface {
	return heldNodes{c.CoreV1Interface.Nodes(), c.hold}
}

type heldNodes struct {
	corev1client.NodeInterface
	hold *hold
}

func (n heldNodes) Patch(ctx context.Context, name string, kind types.PatchType, patch []byte, o metav1.PatchOptions, subresources ...string) (*v1.Node, error) {
	if err := n.hold.check(ctx, patch); err != nil {
		return nil, err
	}
	return n.NodeInterface.Patch(ctx, name, kind, patch, o, subresources...)
}

// errPasses is logged by the kubelet, which tries again.
var errPasses = errors.New("it is not reported yet that the node is not Ready: the kubelet has just started, and that passes")

// hold lets everything pass after the first status that it has let pass.
type hold struct {
	mu     sync.Mutex // guards pauses
	pauses []time.Duration
}

// check returns errPasses, after a pause, for a status that is to be held back.
func (h *hold) check(ctx context.Context, patch []byte) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if len(h.pauses) == 0 {
		return nil
	}
	if !passes(patch) {
		h.pauses = nil
		return nil
	}
	pause := h.pauses[0]
	h.pauses = h.pauses[1:]
	return errors.Join(errPasses, wait.Pause(ctx, pause))
}

// passes reports whether a patch of a node's status says NotReady, for reasons that pass within the first second and need no
// look at the runtime for that.
func passes(patch []byte) bool {
	var p struct {
		Status struct {
			Capacity   v1.ResourceList
			Conditions []v1.NodeCondition
		}
	}
	if err := json.Unmarshal(patch, &p); err != nil {
		return false
	}
	if _, first := p.Status.Capacity[v1.ResourcePods]; first {
		return false // the node is new, and its pods wait for that (reportedNodes)
	}
	for _, c := range p.Status.Conditions {
		if c.Type == v1.NodeReady && c.Status == v1.ConditionFalse {
			has := func(text string) bool { return strings.Contains(c.Message, text) }
			return (has("CSINode") || has("PLEG is not healthy")) && !has("container runtime")
		}
	}
	return false
}

package kubelet

import (
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"go.opentelemetry.io/otel/trace/noop"
	v1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	clientset "k8s.io/client-go/kubernetes"
	"k8s.io/client-go/kubernetes/fake"
	certutil "k8s.io/client-go/util/cert"
	nodeutil "k8s.io/component-helpers/node/util"
	"k8s.io/kubernetes/pkg/kubelet"
)

const nodeName = "dev-1"

func nodeThatIs(ready v1.ConditionStatus, message string) *v1.Node {
	return &v1.Node{ObjectMeta: metav1.ObjectMeta{Name: nodeName}, Status: v1.NodeStatus{Conditions: []v1.NodeCondition{
		{Type: v1.NodeMemoryPressure, Status: v1.ConditionFalse, Message: "container runtime"},
		{Type: v1.NodeReady, Status: ready, Message: message},
	}}}
}

// report sends a status as the kubelet does: as the difference to the one of before.
func report(client clientset.Interface, before, now *v1.Node) error {
	_, _, err := nodeutil.PatchNodeStatus(client.CoreV1(), nodeName, before, now)
	return err
}

func TestAFirstStatusThatPassesIsHeldBack(t *testing.T) {
	const starting = "[CSINode is not yet initialized, PLEG is not healthy: pleg has yet to be successful]"
	ready := nodeThatIs(v1.ConditionTrue, "kubelet is posting ready status")
	first := nodeThatIs(v1.ConditionFalse, starting)
	first.Status.Capacity = v1.ResourceList{v1.ResourcePods: resource.MustParse("110")}
	for name, tc := range map[string]struct {
		reports  []*v1.Node
		held     string // what happens to each: h is held
		lasts    time.Duration
		reported v1.ConditionStatus
	}{
		"Ready":             {[]*v1.Node{ready, nodeThatIs(v1.ConditionFalse, starting)}, "--", 0, v1.ConditionFalse},
		"Ready in a moment": {[]*v1.Node{nodeThatIs(v1.ConditionFalse, starting), ready, nodeThatIs(v1.ConditionFalse, starting)}, "h--", 50 * time.Millisecond, v1.ConditionFalse},
		"not Ready for long": {[]*v1.Node{
			nodeThatIs(v1.ConditionFalse, starting), nodeThatIs(v1.ConditionFalse, starting), nodeThatIs(v1.ConditionFalse, starting), nodeThatIs(v1.ConditionFalse, starting),
		}, "hhh-", 1100 * time.Millisecond, v1.ConditionFalse},
		"no network": {[]*v1.Node{nodeThatIs(v1.ConditionFalse, "[container runtime network not ready: x, CSINode is not yet initialized]")}, "-", 0, v1.ConditionFalse},
		"a new node": {[]*v1.Node{first}, "-", 0, v1.ConditionFalse},
		"no disk":    {[]*v1.Node{nodeThatIs(v1.ConditionFalse, "missing node capacity for resources: ephemeral-storage")}, "-", 0, v1.ConditionFalse},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				before := ready.DeepCopy()
				before.Status.Conditions[1].LastHeartbeatTime = metav1.NewTime(time.Now().Add(-time.Hour))
				api := fake.NewClientset(before)
				client, began, got := newHeldStatus(api), time.Now(), ""
				for _, now := range tc.reports {
					switch err := report(client, before, now); {
					case err == nil:
						got += "-"
					case strings.Contains(err.Error(), errPasses.Error()): // what sends it does not wrap
						got += "h"
					default:
						t.Fatal(err)
					}
				}
				if got != tc.held || time.Since(began) != tc.lasts {
					t.Errorf("%s after %s, want %s after %s", got, time.Since(began), tc.held, tc.lasts)
				}
				n, err := api.CoreV1().Nodes().Get(t.Context(), nodeName, metav1.GetOptions{})
				if err != nil {
					t.Fatal(err)
				}
				if is := n.Status.Conditions[1]; is.Status != tc.reported {
					t.Errorf("the API server has %+v", is)
				}
			})
		})
	}
}

// The kubelet tries five times, of which the first can fail without this client; the last one has to go through.
func TestAStatusIsNotHeldForTheWholeRound(t *testing.T) {
	const nodeStatusUpdateRetry = 5
	if n := len(heldPauses()); n > nodeStatusUpdateRetry-2 {
		t.Errorf("held back %d times", n)
	}
}

func TestTheKubeletHasAllItsClients(t *testing.T) {
	c := testConfig(t)
	crt, key, err := certutil.GenerateSelfSignedCertKey("c", nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	for file, data := range map[string][]byte{"ca.crt": crt, "kubelet-client.crt": crt, "kubelet-client.key": key} {
		if err := os.WriteFile(filepath.Join(c.PKIDir, file), data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := writeKubeconfigs(c); err != nil {
		t.Fatal(err)
	}
	server, err := newServer(c)
	if err != nil {
		t.Fatal(err)
	}
	deps := &kubelet.Dependencies{TracerProvider: noop.NewTracerProvider()}
	if err := setClients(deps, server); err != nil {
		t.Fatal(err)
	}
	// Or its command makes others.
	if deps.KubeClient == nil || deps.EventClient == nil || deps.HeartbeatClient == nil {
		t.Errorf("got %+v", deps)
	}
	if reflect.ValueOf(deps.KubeClient).IsNil() { // as the kubelet asks, which panics for what is not a pointer
		t.Error("the client is nil")
	}
}

package e2e

import (
	"encoding/json"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"bonsai/bootstrap/cluster"
	"bonsai/test/e2e/harness"
)

// testFlows has a pod of one node talk through a Service to a pod of another one, to a port where nobody listens, and to an
// address of the nodes' network that nobody has, and checks what "bonsai flow" says of it.
func testFlows(t *testing.T, c *harness.Cluster) {
	n := c.NewNamespace(t)
	nodes := n.Nodes(t)
	server := harness.On(nodes[1], n.Pod("server", harness.Testpod, "serve"))
	at := netip.MustParseAddr(n.Create(t, server)[0].Status.HostIP).As4()
	at[3] = 250 // further than there are nodes
	nobody := netip.AddrFrom4(at)
	n.Service(t, &corev1.Service{ObjectMeta: metav1.ObjectMeta{Name: "web"}, Spec: corev1.ServiceSpec{
		Selector: map[string]string{"app": "server"}, Ports: []corev1.ServicePort{{Name: "http", Port: 80, TargetPort: intstr.FromInt32(8080)}, {Name: "none", Port: 99, TargetPort: intstr.FromInt32(99)}},
	}})
	loop := "while :; do timeout 3 wget -q -O /dev/null http://" + nobody.String() + "/; sleep 1; done & " +
		"while :; do wget -q -O /dev/null http://web/; wget -q -O /dev/null http://web:99/; sleep 0.2; done"
	n.Create(t, harness.On(nodes[0], n.Pod("client", harness.Busybox, "-c", loop)))

	lines, stop := c.Follow(t, "flow", "-f", "-n", n.Namespace, "-o", "json")
	defer stop()
	client := n.Namespace + "/client"
	open := map[string]func(cluster.Flow) bool{
		"requests through the Service": func(f cluster.Flow) bool {
			return f.To.String() == n.Namespace+"/server" && f.Service == n.Namespace+"/web" && f.Port == 80 && f.EndpointPort == 8080 &&
				f.Node == nodes[0] && f.To.Node == nodes[1] && f.New > 0 && f.Sent > 0 && f.Received > 0 && f.Refused == 0 &&
				f.Asked == "web."+n.Namespace+".svc.cluster.local"
		},
		"refused connections": func(f cluster.Flow) bool {
			return f.To.String() == n.Namespace+"/server" && f.Port == 99 && f.Refused > 0 && f.Failed > 0
		},
		"connections without an answer": func(f cluster.Flow) bool {
			return f.To.Kind == cluster.FlowOutside && f.Address == nobody && f.Unanswered > 0
		},
		"questions to DNS": func(f cluster.Flow) bool {
			return f.Service == "kube-system/kube-dns" && f.Proto == "UDP" && f.New > 0
		},
	}
	var last []byte
	for limit := time.After(harness.Scale(40 * time.Second)); len(open) > 0; {
		select {
		case line, ok := <-lines:
			all := cluster.Flows{}
			if err := json.Unmarshal([]byte(line), &all); err != nil || !ok {
				t.Fatalf("flow -f said %q: %v", line, err)
			}
			last = []byte(line)
			for _, f := range all.Flows {
				for what, is := range open {
					if f.From.String() == client && is(f) {
						delete(open, what)
					}
				}
			}
		case <-limit:
			t.Fatalf("not seen: %v\nin %s", slices.Sorted(maps.Keys(open)), last)
		}
	}
	if out := c.Must(t, "flow", "--pod", client); !strings.Contains(out, "web."+n.Namespace) || !strings.Contains(out, "refused") || !strings.Contains(out, "80->8080") {
		t.Errorf("flow says\n%s", out)
	} else {
		t.Log("\n" + out)
	}
}

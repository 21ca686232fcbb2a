package e2e

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"

	"bonsai/bootstrap/fault"
	"bonsai/test/e2e/harness"
)

// clusterWithEverything is a file that says more of Kubernetes than its nodes.
const clusterWithEverything = `apiVersion: bonsai.dev/v1alpha1
kind: Cluster
nodes: 1
mounts: ["data:/mnt/data:ro"]
featureGates: {ContainerStopSignals: true}
apiServer:
  extraArgs: {event-ttl: 2h}
  auditPolicy: audit.yaml
kubelet: {maxPods: 77}
manifests: [crd.yaml, lamp.yaml]
`

// TestAFileSetsUpKubernetes: mounts, gates, arguments, configurations and manifests are in force, change by apply, and are
// still there after a stop and a start.
func TestAFileSetsUpKubernetes(t *testing.T) {
	t.Parallel()
	c := harness.New(t)
	dir := t.TempDir()
	write := func(name, text string) string {
		t.Helper()
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		return path
	}
	write("data/hello", "from the machine\n")
	write("audit.yaml", "apiVersion: audit.k8s.io/v1\nkind: Policy\nrules:\n- level: Metadata\n  verbs: [create]\n  resources: [{group: '', resources: [configmaps]}]\n- level: None\n")
	write("crd.yaml", `apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: lamps.bonsai.test}
spec:
  group: bonsai.test
  names: {kind: Lamp, plural: lamps}
  scope: Cluster
  versions:
  - {name: v1, served: true, storage: true, schema: {openAPIV3Schema: {type: object, x-kubernetes-preserve-unknown-fields: true}}}
`)
	write("lamp.yaml", "apiVersion: bonsai.test/v1\nkind: Lamp\nmetadata: {name: desk}\nlit: true\n")
	file := write("cluster.yaml", clusterWithEverything)
	c.Must(t, "apply", "-f", file)
	one := c.Name + "-1"
	inForce := func(gate, maxPods, lit string) {
		t.Helper()
		metrics := c.Kubectl(t, "get", "--raw", "/metrics")
		if want := `kubernetes_feature_enabled{name="ContainerStopSignals",stage="ALPHA"} ` + gate; !strings.Contains(metrics, want) {
			t.Errorf("%s is not in the API server's metrics", want)
		}
		config := c.Kubectl(t, "get", "--raw", "/api/v1/nodes/"+one+"/proxy/configz")
		if !strings.Contains(config, `"maxPods":`+maxPods) {
			t.Errorf("the kubelet's configuration has not maxPods %s: %.2000s", maxPods, config)
		}
		if got := strings.TrimSpace(c.Kubectl(t, "get", "lamp", "desk", "-o", "jsonpath={.lit}")); got != lit {
			t.Errorf("the lamp's lit is %q, want %q", got, lit)
		}
		if got := harness.InNode(t, one, "cat", "/mnt/data/hello"); got != "from the machine" {
			t.Errorf("the node's mount has %q", got)
		}
	}
	inForce("1", "77", "true")
	if out := c.Must(t, "apply", "-f", file); !strings.HasPrefix(out, "Nothing to change: ") {
		t.Errorf("it is applied again: %s", out)
	}
	audited := func(name string) {
		t.Helper()
		c.Kubectl(t, "create", "configmap", name)
		harness.Until(t, harness.PodLimit, "an audit event", func() error {
			data, err := os.ReadFile(filepath.Join(c.Home.Dir, "clusters", c.Name, "logs", "audit.log"))
			if err == nil && !strings.Contains(string(data), `"name":"`+name+`"`) {
				err = os.ErrNotExist
			}
			return err
		})
	}
	audited("first")

	t.Run("a pod has what the node has", func(t *testing.T) {
		c.LoadImages(t)
		ns := c.NewNamespace(t)
		p := ns.Pod("reader", harness.Testpod, "serve")
		p.Spec.Volumes = []corev1.Volume{{Name: "data", VolumeSource: corev1.VolumeSource{HostPath: &corev1.HostPathVolumeSource{Path: "/mnt/data", Type: new(corev1.HostPathDirectory)}}}}
		p.Spec.Containers[0].VolumeMounts = []corev1.VolumeMount{{Name: "data", MountPath: "/data"}}
		ns.Create(t, p)
		// The pod has no shell; its files are those of its process's root.
		if out := harness.InNode(t, one, "sh", "-c", "cat /proc/[0-9]*/root/data/hello 2>/dev/null | head -n 1"); out != "from the machine" {
			t.Errorf("a pod with the folder reads %q", out)
		}
	})

	t.Run("mistakes change nothing", func(t *testing.T) {
		bad := write("bad.yaml", strings.NewReplacer("ContainerStopSignals", "ContainerStopSignal", "event-ttl", "etcd-servers", "maxPods", "maxPodz").Replace(clusterWithEverything))
		r := c.Bonsai(t, "apply", "-f", bad)
		wantCode(t, r, code(fault.Usage))
		for _, want := range []string{`did you mean "ContainerStopSignals"?`, "etcd is in the same process", "maxPodz"} {
			if !strings.Contains(r.Stderr, want) {
				t.Errorf("%q is not in %s", want, r.Stderr)
			}
		}
		inForce("1", "77", "true")
	})

	t.Run("apply changes it", func(t *testing.T) {
		write("lamp.yaml", "apiVersion: bonsai.test/v1\nkind: Lamp\nmetadata: {name: desk}\nlit: false\n")
		write("cluster.yaml", strings.NewReplacer("ContainerStopSignals: true", "", "77", "78").Replace(clusterWithEverything))
		var planned struct {
			Changes []struct {
				Kind  string
				Needs struct {
					Effect string
					Parts  []string
				}
			}
		}
		if err := json.Unmarshal([]byte(c.Must(t, "plan", "-f", file, "-o", "json")), &planned); err != nil || len(planned.Changes) != 3 || planned.Changes[0].Needs.Effect != "restart" {
			t.Errorf("%v, planned %+v", err, planned)
		}
		container := harness.Container(t, one)
		c.Must(t, "apply", "-f", file)
		inForce("0", "78", "false")
		if harness.Container(t, one) != container {
			t.Error("the node was recreated")
		}
	})

	t.Run("a control plane that does not start is as before", func(t *testing.T) {
		broken := write("broken.yaml", strings.Replace(clusterWithEverything, "event-ttl: 2h", "event-ttl: 2h, authorization-webhook-config-file: /nowhere", 1))
		if r := c.Bonsai(t, "apply", "-f", broken); r.Code == 0 {
			t.Errorf("it succeeded: %s", r)
		}
		inForce("0", "78", "false")
	})

	t.Run("it stays over a stop and a start", func(t *testing.T) {
		c.Must(t, "stop")
		c.Must(t, "start")
		inForce("0", "78", "false")
		audited("second")
	})
}

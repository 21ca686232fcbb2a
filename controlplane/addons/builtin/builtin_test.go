package builtin

import (
	"flag"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"go.uber.org/goleak"
	"k8s.io/apimachinery/pkg/api/meta"

	"bonsai/bootstrap/cluster"
	"bonsai/bootstrap/clusterfile"
	"bonsai/controlplane/addons"
	"bonsai/controlplane/addons/catalog"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// minikube's addons, as its master branch has them in August 2026.
const minikube = `ambassador amd-gpu-device-plugin auto-pause cloud-spanner csi-hostpath-driver dashboard default-storageclass
efk freshpod gcp-auth gvisor headlamp inaccel ingress ingress-dns inspektor-gadget istio istio-provisioner kong kubeflow
kubetail kubevirt logviewer metallb metrics-server nvidia-device-plugin nvidia-driver-installer nvidia-gpu-device-plugin olm
pod-security-policy portainer registry registry-aliases registry-creds storage-provisioner storage-provisioner-rancher
traefik volcano volumesnapshots yakd`

func TestEveryNameOfMinikubeIsKnown(t *testing.T) {
	c, err := catalog.New(Descriptions())
	if err != nil {
		t.Fatalf("the addons do not fit together: %v", err)
	}
	known := map[string]bool{}
	for _, d := range c.Here() {
		known[d.Name] = true
	}
	for _, e := range c.Elsewhere() {
		known[e.Name] = true
		if e.By == "" {
			continue
		}
		if _, err := c.Find(e.By); err != nil && strings.Contains(err.Error(), "there is no addon") {
			t.Errorf("%s is replaced by %s, which nobody knows", e.Name, e.By)
		}
	}
	for name := range strings.FieldsSeq(minikube) {
		if !known[name] {
			t.Errorf("%s is not known", name)
		}
	}
}

func TestDescriptionsAreComplete(t *testing.T) {
	for _, d := range Descriptions() {
		if d.Name == "" || d.Version == "" || d.Maintainer == "" || d.Description == "" || d.Delivery == "" {
			t.Errorf("something is missing in %+v", d)
		}
		if len(d.Description) > 60 || strings.HasSuffix(d.Description, ".") {
			t.Errorf("%s: the description %q is not a short line", d.Name, d.Description)
		}
		if path, isFile := strings.CutPrefix(d.Docs, "docs/"); isFile {
			if _, err := os.Stat("../../../docs/" + path); err != nil {
				t.Errorf("%s: %v", d.Name, err)
			}
		}
	}
}

// TestSettingsAreComplete: a setting is described for tables and files, and its default is a value of it.
func TestSettingsAreComplete(t *testing.T) {
	for _, d := range Descriptions() {
		for _, s := range d.Settings {
			at := d.Name + "." + s.Name
			for _, text := range []string{s.Description, s.Cost} {
				if text == "" || strings.HasSuffix(text, ".") {
					t.Errorf("%s: %q is not a sentence without its end", at, text)
				}
			}
			if got, err := s.Canonical(s.Default); err != nil || got != s.Default {
				t.Errorf("%s: the default %q is %q, %v", at, s.Default, got, err)
			}
			if s.Default == "" && !s.IsList() {
				t.Errorf("%s has no default", at)
			}
		}
	}
}

var update = flag.Bool("update", false, "write docs/cluster.schema.json")

const schemaFile = "../../../docs/cluster.schema.json"

// TestTheSchemaOfTheDocumentsIsCurrent is here because the schema has the settings of all addons.
func TestTheSchemaOfTheDocumentsIsCurrent(t *testing.T) {
	schema, err := clusterfile.Schema(Descriptions())
	if err != nil {
		t.Fatal(err)
	}
	if *update {
		if err := os.WriteFile(schemaFile, schema, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if have, err := os.ReadFile(schemaFile); err != nil || string(have) != string(schema) {
		t.Errorf("%s is not what the types say, %v; write it:  go test ./controlplane/addons/builtin -update", schemaFile, err)
	}
}

// TestObjectsCanBeRemovedAgain: a kind that nobody looks for would be left behind by disable.
func TestObjectsCanBeRemovedAgain(t *testing.T) {
	c := addons.Cluster{Spec: func() cluster.Spec {
		// With a value for whatever has one.
		return cluster.Spec{Name: "dev", AddonValues: map[string]map[string]string{"dns": {"cacheSeconds": "10"}}}
	}}
	for _, a := range All(Machine{}) {
		seen := map[string]bool{}
		for _, object := range a.Objects(c) {
			accessor, err := meta.Accessor(object)
			if err != nil {
				t.Fatal(err)
			}
			gvk := object.GetObjectKind().GroupVersionKind()
			id := fmt.Sprintf("%s %s/%s", gvk.Kind, accessor.GetNamespace(), accessor.GetName())
			if seen[id] {
				t.Errorf("%s: %s is there twice", a.Describe().Name, id)
			}
			seen[id] = true
			if !slices.Contains(addons.Kinds(), gvk) {
				t.Errorf("%s: %s would never be removed", a.Describe().Name, id)
			}
		}
	}
}

// TestNodesMayChangeNothing: an agent runs on every node; whoever breaks out of a pod gets its rights.
func TestNodesMayChangeNothing(t *testing.T) {
	rules := addons.NodeRulesOf(All(Machine{}))
	if len(rules.Cluster) == 0 || len(rules.System) == 0 {
		t.Fatalf("cluster DNS has no rights: %+v", rules)
	}
	for _, r := range slices.Concat(rules.Cluster, rules.System) {
		for _, resource := range r.Resources {
			for _, verb := range r.Verbs {
				read := verb == "get" || verb == "list" || verb == "watch"
				if !read && (resource != "events" || verb != "create") || resource == "secrets" || resource == "*" {
					t.Errorf("agents may %s %s", verb, resource)
				}
			}
		}
	}
}

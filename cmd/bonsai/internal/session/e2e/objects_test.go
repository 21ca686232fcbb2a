package e2e

import (
	"errors"
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"bonsai/bootstrap/fault"
	"bonsai/bootstrap/kube"
	"bonsai/cmd/bonsai/internal/session"
	"bonsai/test/e2e/harness"
)

func testRows(t *testing.T, c *harness.Cluster, s *session.Session) {
	n := c.NewNamespace(t)
	n.Create(t, n.Pod("web", harness.Testpod, "serve"))
	var uid string
	step := 0
	until(t, s, kube.RowQuery{Type: pods, Namespace: n.Namespace}, "rows of a pod that comes and goes", func(w *world) bool {
		switch step {
		case 0: // it is there
			for id, r := range w.rows {
				uid = id
				if r.Created.IsZero() || r.Namespace != n.Namespace || r.Labels["app"] != "web" || r.Deleting {
					t.Errorf("row %+v", r)
				}
			}
			if got := w.cell("web", "Ready"); got != "1/1" {
				t.Errorf("Ready is %q, want 1/1", got)
			}
			if got := w.cell("web", "Node"); !slices.Contains(c.Nodes(t), got) {
				t.Errorf("Node is %q, which is none", got)
			}
			var names []string
			for _, column := range w.columns {
				names = append(names, column.Name)
				if column.Name == "Node" && !column.Wide || column.Name == "Age" && !column.Time {
					t.Errorf("column %+v", column)
				}
			}
			for _, want := range []string{"Name", "Ready", "Status", "Restarts", "Age", "IP", "Node", "Nominated Node", "Readiness Gates"} {
				if !slices.Contains(names, want) {
					t.Errorf("columns %v, %s is missing", names, want)
				}
			}
			if err := s.Do(t.Context(), kube.Action{Verb: kube.VerbDelete, Ref: kube.Ref{Type: pods, Namespace: n.Namespace, Name: "web", UID: "another"}, Grace: 1}, func(string) {}); fault.KindOf(err) != fault.Conflict {
				t.Errorf("a delete of another UID: %v", err)
			}
			if err := s.Do(t.Context(), kube.Action{Verb: kube.VerbDelete, Ref: kube.Ref{Type: pods, Namespace: n.Namespace, Name: "web", UID: uid}, Grace: 1}, func(string) {}); err != nil {
				t.Error(err)
			}
			step = 1
		case 1: // it goes
			return len(w.rows) == 0
		}
		return false
	})
}

const crd = `
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: trees.garden.test}
spec:
  group: garden.test
  scope: Namespaced
  names: {plural: trees, singular: tree, kind: Tree, shortNames: [tr]}
  versions:
  - name: v1
    served: true
    storage: true
    schema: {openAPIV3Schema: {type: object, properties: {spec: {type: object, properties: {height: {type: integer}, soil: {type: string}}}}}}
    additionalPrinterColumns:
    - {name: Height, type: integer, jsonPath: .spec.height}
    - {name: Soil, type: string, jsonPath: .spec.soil, priority: 1}
    - {name: Age, type: date, jsonPath: .metadata.creationTimestamp}
`

func apply(t *testing.T, c *harness.Cluster, text string) {
	t.Helper()
	if r := c.RunWithInput(t, strings.NewReader(text), "kubectl", "-p", c.Name, "--", "apply", "-f", "-"); r.Code != 0 {
		t.Fatal(r)
	}
}

func testCustomColumns(t *testing.T, c *harness.Cluster, s *session.Session) {
	n := c.NewNamespace(t)
	apply(t, c, crd)
	c.Kubectl(t, "wait", "--for=condition=established", "--timeout=30s", "crd/trees.garden.test")
	var tree kube.ResourceType
	harness.Until(t, limit, "the new type", func() error {
		types, err := s.Types(t.Context())
		if err != nil {
			return err
		}
		for _, r := range types {
			if r.Resource == "trees" {
				tree = r
				return nil
			}
		}
		return errors.New("trees are not among the types")
	})
	if tree.Kind != "Tree" || !tree.Namespaced || !slices.Equal(tree.Short, []string{"tr"}) || !slices.Contains(tree.Verbs, "watch") {
		t.Errorf("type %+v", tree)
	}
	apply(t, c, "apiVersion: garden.test/v1\nkind: Tree\nmetadata: {name: oak, namespace: "+n.Namespace+"}\nspec: {height: 12, soil: loam}\n")
	until(t, s, kube.RowQuery{Type: tree, Namespace: n.Namespace}, "rows of a custom type", func(w *world) bool {
		if len(w.rows) == 0 {
			return false
		}
		want := []kube.Column{{Name: "Name"}, {Name: "Height", Numeric: true}, {Name: "Soil", Wide: true}, {Name: "Age", Time: true}}
		if !slices.Equal(w.columns, want) {
			t.Errorf("columns %+v, want %+v", w.columns, want)
		}
		if w.cell("oak", "Height") != "12" || w.cell("oak", "Soil") != "loam" {
			t.Errorf("rows %+v", w.rows)
		}
		return true
	})
	if text, err := s.Describe(t.Context(), kube.Ref{Type: tree, Namespace: n.Namespace, Name: "oak"}); err != nil || !strings.Contains(text, "Soil:") {
		t.Errorf("describe of a custom type: %q, %v", text, err)
	}
	c.Kubectl(t, "delete", "crd", "trees.garden.test")
}

func testDetails(t *testing.T, c *harness.Cluster, s *session.Session) {
	n := c.NewNamespace(t)
	p := n.Pod("web", harness.Testpod, "serve")
	p.Spec.Containers[0].Env = []corev1.EnvVar{{Name: "COLOUR", Value: "green"}, {Name: "WHERE", ValueFrom: &corev1.EnvVarSource{FieldRef: &corev1.ObjectFieldSelector{FieldPath: "spec.nodeName"}}}}
	n.Create(t, p)
	ref := kube.Ref{Type: pods, Namespace: n.Namespace, Name: "web"}
	text, err := s.Describe(t.Context(), ref)
	if err != nil || !strings.Contains(text, "Events:") || !strings.Contains(text, "COLOUR:") {
		t.Errorf("describe: %v\n%s", err, text)
	}
	d, err := s.Pod(t.Context(), n.Namespace, "web")
	if err != nil {
		t.Fatal(err)
	}
	if d.Node == "" || d.IP == "" || len(d.Containers) != 1 || !d.Containers[0].Ready || d.Containers[0].State.Phase != kube.ContainerRunning || len(d.Conditions) == 0 {
		t.Errorf("details %+v", d)
	}
	ref.Name = "nobody"
	if _, err := s.YAML(t.Context(), ref); fault.KindOf(err) != fault.ObjectNotFound {
		t.Errorf("YAML of nobody: %v", err)
	}
}

func testReplace(t *testing.T, c *harness.Cluster, s *session.Session) {
	n := c.NewNamespace(t)
	made, err := n.Client.CoreV1().ConfigMaps(n.Namespace).Create(t.Context(),
		&corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: "settings"}, Data: map[string]string{"colour": "green"}}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	ref := kube.Ref{Type: configMaps, Namespace: n.Namespace, Name: "settings", UID: string(made.UID)}
	read := func() string {
		t.Helper()
		text, err := s.YAML(t.Context(), ref)
		if err != nil || strings.Contains(text, "managedFields") {
			t.Fatalf("YAML: %v\n%s", err, text)
		}
		return text
	}
	old := read()
	blue := strings.Replace(old, "colour: green", "colour: blue", 1)
	if err := s.Replace(t.Context(), ref, blue); err != nil {
		t.Fatal(err)
	}
	if got := read(); !strings.Contains(got, "colour: blue") {
		t.Errorf("after the change:\n%s", got)
	}
	if err := s.Replace(t.Context(), ref, strings.Replace(old, "green", "red", 1)); fault.KindOf(err) != fault.Conflict {
		t.Errorf("a change of what changed meanwhile: %v", err)
	}
	for what, text := range map[string]string{
		"another name":     strings.Replace(read(), "name: settings", "name: others", 1),
		"a mistyped field": strings.Replace(read(), "data:", "dta:", 1),
	} {
		err := s.Replace(t.Context(), ref, text)
		if kind := fault.KindOf(err); kind != fault.Usage && kind != fault.Refused {
			t.Errorf("%s: %v", what, err)
		}
	}
}

func testEvents(t *testing.T, c *harness.Cluster, s *session.Session) {
	n := c.NewNamespace(t)
	n.Create(t, n.Pod("quiet", harness.Testpod, "sleep"))
	first, seen := true, map[string]bool{}
	err := s.Events(bounded(t, "the events of two pods"), func(lines []kube.EventLine) error {
		if first {
			first = false
			if !slices.IsSortedFunc(lines, func(a, b kube.EventLine) int { return a.Time.Compare(b.Time) }) {
				t.Error("the first events are not in order")
			}
			if _, err := n.Client.CoreV1().Pods(n.Namespace).Create(t.Context(), n.Pod("loud", harness.Testpod, "sleep"), metav1.CreateOptions{}); err != nil {
				return err
			}
		}
		for _, l := range lines {
			if l.Namespace == n.Namespace {
				seen[l.Object.String()+" "+l.Reason] = true
			}
		}
		if seen["Pod/quiet Started"] && seen["Pod/loud Scheduled"] && seen["Pod/loud Started"] {
			return errDone
		}
		return nil
	})
	if !errors.Is(err, errDone) {
		t.Errorf("%v; seen %v", err, seen)
	}
}

func testServices(t *testing.T, c *harness.Cluster, s *session.Session) {
	n := c.NewNamespace(t)
	n.Service(t, &corev1.Service{
		ObjectMeta: metav1.ObjectMeta{Name: "web"},
		Spec: corev1.ServiceSpec{
			Type: corev1.ServiceTypeNodePort, Selector: map[string]string{"app": "web"},
			Ports: []corev1.ServicePort{{Port: 80, TargetPort: intstr.FromInt32(8080)}},
		},
	})
	made := false
	var last kube.ServiceLine
	err := s.Services(bounded(t, "a ready endpoint"), func(lines []kube.ServiceLine) error {
		i := slices.IndexFunc(lines, func(l kube.ServiceLine) bool { return l.Namespace == n.Namespace && l.Name == "web" })
		if i < 0 {
			return nil
		}
		last = lines[i]
		if !made {
			made = true
			if _, err := n.Client.CoreV1().Pods(n.Namespace).Create(t.Context(), n.Pod("web", harness.Testpod, "serve"), metav1.CreateOptions{}); err != nil {
				return err
			}
		}
		if last.Ready == 1 {
			return errDone
		}
		return nil
	})
	if !errors.Is(err, errDone) {
		t.Fatalf("%v; last %+v", err, last)
	}
	if !slices.Equal(last.Ports, []kube.ServicePort{{Port: 80, Target: "8080", Protocol: "TCP"}}) || last.Kind != "NodePort" || last.Total != 1 {
		t.Errorf("service %+v", last)
	}
	here := 0
	for _, a := range last.Reachable {
		if a.From == kube.ReachHost {
			here++
			harness.HostFetch(t, 1, "http://"+a.Address)
		}
	}
	name := kube.Address{Address: "web." + n.Namespace + ".svc.cluster.local:80", From: kube.ReachPods}
	if here != 2 || !slices.Contains(last.Reachable, name) {
		t.Errorf("reachable at %+v", last.Reachable)
	}
}

package bootstrap_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"slices"
	"strings"
	"testing"

	"bonsai/bootstrap"
	"bonsai/bootstrap/cluster"
	"bonsai/bootstrap/fault"
	"bonsai/bootstrap/plan"
)

// kubectl is one that gives these answers in order, and succeeds from then on.
type kubectl struct {
	answers []string // what it says when it fails; "" is success
	applied []string // what it got
	args    []string
}

func (k *kubectl) run(_ context.Context, _ string, args []string, stdin io.Reader) (string, error) {
	data, err := io.ReadAll(stdin)
	if err != nil {
		return "", err
	}
	k.applied, k.args = append(k.applied, string(data)), args
	if len(k.answers) > 0 {
		said := k.answers[0]
		k.answers = k.answers[1:]
		if said != "" {
			return said, errors.New("exit status 1")
		}
	}
	return "", nil
}

func TestManifestsAreAppliedWhenTheClusterRuns(t *testing.T) {
	m, k := newMachine(t), &kubectl{}
	m.with(func(e *bootstrap.Env) { e.Kubectl = k.run })
	kind := plan.Manifest{Source: "/kind.yaml", Data: "kind: CustomResourceDefinition"}
	one, other := plan.Manifest{Source: "/one.yaml", Data: "kind: ConfigMap"}, plan.Manifest{Source: "/one.yaml", Data: "kind: Secret"}
	apply := func(list ...plan.Manifest) error {
		t.Helper()
		k.applied = nil
		_, err := m.ApplyWish(t.Context(), plan.Wish{Name: "dev", Exact: true, Manifests: list}, bootstrap.DeleteOptions{}, bootstrap.Run{})
		return err
	}
	missing := `error: resource mapping not found for name: "a" namespace: "" from "STDIN": no matches for kind "A" in version "x/v1"`
	k.answers = []string{"", missing}
	if err := m.start(t, plan.Wish{Nodes: new(1), Manifests: []plan.Manifest{kind, one}}); err != nil {
		t.Fatal(err)
	}
	if want := []string{kind.Data, one.Data, one.Data}; !slices.Equal(k.applied, want) || !slices.Contains(k.args, "--server-side") {
		t.Errorf("applied %q with %q, want %q", k.applied, k.args, want)
	}
	if err := apply(kind, one); err != nil || len(k.applied) != 0 {
		t.Errorf("the same again: %v, %q", err, k.applied)
	}
	// What is refused is tried again, and nothing else.
	k.answers = []string{`Error from server (Invalid): Secret "a" is invalid`}
	err := apply(kind, other)
	if fault.KindOf(err) != fault.ControlPlane || !strings.Contains(err.Error(), "/one.yaml") || !strings.Contains(strings.Join(fault.Problem(err).Evidence, "\n"), "is invalid") {
		t.Errorf("got %v", err)
	}
	if err := apply(kind, other); err != nil || !slices.Equal(k.applied, []string{other.Data}) {
		t.Errorf("after a failure: %v, %q", err, k.applied)
	}
	// A kind that nobody defines is not waited for.
	k.answers = []string{missing, ""}
	if err := apply(one); err == nil || len(k.applied) != 1 {
		t.Errorf("got %v after %q", err, k.applied)
	}
	// A stopped cluster gets them when it starts with the file.
	if err := m.Stop(t.Context(), "dev", nil); err != nil {
		t.Fatal(err)
	}
	if err := apply(other); err != nil || len(k.applied) != 0 {
		t.Errorf("of a stopped cluster: %v, %q", err, k.applied)
	}
	if err := m.start(t, plan.Wish{Exact: true, Manifests: []plan.Manifest{other}}); err != nil || !slices.Equal(k.applied, []string{other.Data}) {
		t.Errorf("at the start: %v, %q", err, k.applied)
	}
	got, err := m.dir.Cluster("dev").LoadSpec()
	if want := []cluster.Manifest{{Source: other.Source, Hash: other.Hash()}}; err != nil || !slices.Equal(got.Manifests, want) {
		t.Errorf("%v, manifests %+v", err, got.Manifests)
	}
}

// TestAStartAppliesWhatIsPending: the file is not at hand then, and what it names is read again.
func TestAStartAppliesWhatIsPending(t *testing.T) {
	m, k := newMachine(t), &kubectl{}
	files := map[string]string{"/one.yaml": "kind: ConfigMap", "/two.yaml": "kind: Secret"}
	m.with(func(e *bootstrap.Env) {
		e.Kubectl = k.run
		e.Manifests = func(_ context.Context, source string) ([]plan.Manifest, error) {
			data, ok := files[source]
			if !ok {
				return nil, fmt.Errorf("open %s: %w", source, fs.ErrNotExist)
			}
			return []plan.Manifest{{Source: source, Data: data}}, nil
		}
	})
	if err := m.start(t, plan.Wish{Nodes: new(1)}); err != nil {
		t.Fatal(err)
	}
	if err := m.Stop(t.Context(), "dev", nil); err != nil {
		t.Fatal(err)
	}
	list := []plan.Manifest{{Source: "/one.yaml", Data: "kind: ConfigMap"}, {Source: "/two.yaml", Data: "kind: Secret"}, {Source: "/gone.yaml", Data: "kind: Role"}}
	wish := plan.Wish{Name: "dev", Exact: true, Manifests: list}
	if _, err := m.ApplyWish(t.Context(), wish, bootstrap.DeleteOptions{}, bootstrap.Run{}); err != nil || len(k.applied) != 0 {
		t.Fatalf("of a stopped cluster: %v, %q", err, k.applied)
	}
	hashes := func() (list []string) {
		t.Helper()
		spec, err := m.dir.Cluster("dev").LoadSpec()
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range spec.Manifests {
			list = append(list, m.Hash)
		}
		return list
	}
	// One that is refused, and one that cannot be read, are warnings.
	k.answers = []string{"", `Error from server (Invalid): Secret "a" is invalid`}
	var warnings []string
	start := func() {
		t.Helper()
		k.applied, warnings = nil, nil
		_, err := m.Start(t.Context(), plan.Wish{Name: "dev"}, bootstrap.Run{Events: func(e cluster.Event) {
			if e.Kind == cluster.StepWarning && strings.HasPrefix(e.Step, "manifest") {
				warnings = append(warnings, e.Detail)
			}
		}})
		if err != nil {
			t.Fatal(err)
		}
	}
	start()
	if said := strings.Join(warnings, "\n"); len(warnings) != 2 || !strings.Contains(said, "apply the objects of /two.yaml") || !strings.Contains(said, "open /gone.yaml") {
		t.Errorf("warnings are %q", warnings)
	}
	if want := []string{list[0].Hash(), "", ""}; !slices.Equal(hashes(), want) || len(k.applied) != 2 {
		t.Errorf("applied %q, recorded %q, want %q", k.applied, hashes(), want)
	}
	// The next one applies what is left, as it is by then.
	files["/two.yaml"], files["/gone.yaml"] = "kind: Service", "kind: Role"
	start()
	if want := []string{"kind: Service", "kind: Role"}; len(warnings) != 0 || !slices.Equal(k.applied, want) {
		t.Errorf("applied %q, want %q; warnings are %q", k.applied, want, warnings)
	}
	if start(); len(k.applied) != 0 {
		t.Errorf("applied again: %q", k.applied)
	}
}

package bootstrap_test

import (
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"bonsai/bootstrap"
	"bonsai/bootstrap/cluster"
	"bonsai/bootstrap/fault"
	"bonsai/bootstrap/plan"
)

// warnings keeps what an operation warns of.
type warnings struct{ list []cluster.Problem }

func (w *warnings) event(e cluster.Event) {
	if e.Kind == cluster.StepWarning {
		w.list = append(w.list, *e.Problem)
	}
}

// take returns the only warning about the kubeconfig, as it is printed.
func (w *warnings) take(t *testing.T) string {
	t.Helper()
	defer func() { w.list = nil }()
	found := slices.DeleteFunc(w.list, func(p cluster.Problem) bool { return p.Kind != string(fault.Kubeconfig) })
	if len(found) != 1 {
		t.Fatalf("warnings about the kubeconfig: %+v, want one", found)
	}
	return found[0].Summary + "\n" + found[0].Cause + "\n" + found[0].HintText()
}

func TestAKubeconfigThatCannotBeChangedLeavesTheClusterAlone(t *testing.T) {
	m := newMachine(t)
	own := os.Getenv("KUBECONFIG")
	t.Setenv("KUBECONFIG", os.DevNull)
	if err := m.start(t, plan.Wish{Nodes: new(1)}); fault.KindOf(err) != fault.Kubeconfig {
		t.Errorf("a new cluster: %v, want it refused before anything is made", err)
	}
	m.wantNothingLeft(t)
	if calls := m.engine.Calls(); slices.ContainsFunc(calls, func(c string) bool { return strings.HasPrefix(c, "create") }) {
		t.Errorf("the engine was asked: %v", calls)
	}

	t.Setenv("KUBECONFIG", own)
	if err := m.start(t, plan.Wish{Nodes: new(1)}); err != nil {
		t.Fatal(err)
	}
	t.Setenv("KUBECONFIG", os.DevNull)
	var w warnings
	for _, state := range []string{"running", "stopped"} {
		if state == "stopped" {
			if err := m.Stop(t.Context(), "dev", nil); err != nil {
				t.Fatal(err)
			}
		}
		timeline, err := m.Start(t.Context(), plan.Wish{Name: "dev"}, bootstrap.Run{Events: w.event})
		if err != nil || timeline.Context != "" {
			t.Errorf("%s: %v, context %q", state, err, timeline.Context)
		}
		text := w.take(t)
		for _, want := range []string{"not a regular file", "bonsai update-context -p dev", "export KUBECONFIG=" + m.dir.Cluster("dev").Kubeconfig()} {
			if !strings.Contains(text, want) {
				t.Errorf("%s: the warning does not say %q:\n%s", state, want, text)
			}
		}
	}
	if got := m.containers(t); !slices.Equal(got, []string{"dev-1 runs"}) {
		t.Errorf("containers: %v", got)
	}
	// A file that is no kubeconfig is in nobody's way either.
	t.Setenv("KUBECONFIG", m.dir.Root+"/text")
	if err := os.WriteFile(m.dir.Root+"/text", []byte("- a list"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := m.Delete(t.Context(), "dev", w.event); err != nil {
		t.Errorf("delete: %v", err)
	}
	if text := w.take(t); !strings.Contains(text, "not a kubeconfig") {
		t.Errorf("delete warns: %s", text)
	}
	m.wantNothingLeft(t)
}

func TestALockLeftBehindFailsNothing(t *testing.T) {
	m := newMachine(t)
	lock := os.Getenv("KUBECONFIG") + ".lock"
	old := time.Now().Add(-time.Hour)
	plant := func() {
		t.Helper()
		if err := os.WriteFile(lock, nil, 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chtimes(lock, old, old); err != nil {
			t.Fatal(err)
		}
	}
	plant()
	var w warnings
	wish := plan.Wish{Name: "dev", Nodes: new(0), APIPort: freePort(t)}
	if _, err := m.Start(t.Context(), wish, bootstrap.Run{Events: w.event}); err != nil {
		t.Fatalf("start: %v", err)
	}
	if text := w.take(t); !strings.Contains(text, "rm "+lock) {
		t.Errorf("start warns: %s", text)
	}
	if err := os.Remove(lock); err != nil {
		t.Fatal(err)
	}
	if merged, err := m.UpdateContext("dev"); err != nil || !merged.Changed || merged.Context != "dev" {
		t.Errorf("update-context: %+v, %v", merged, err)
	}
	plant()
	if _, err := m.UpdateContext("dev"); err != nil {
		t.Errorf("update-context of what is right: %v", err)
	}
	if err := m.Delete(t.Context(), "dev", w.event); err != nil {
		t.Errorf("delete: %v", err)
	}
	if text := w.take(t); !strings.Contains(text, "rm "+lock) || !strings.Contains(text, "the contexts that led to the cluster: dev") {
		t.Errorf("delete warns: %s", text)
	}
	m.wantNothingLeft(t)
}

func TestContextsOfTheUser(t *testing.T) {
	m := newMachine(t)
	if err := m.start(t, plan.Wish{Nodes: new(0)}); err != nil {
		t.Fatal(err)
	}
	path := os.Getenv("KUBECONFIG")
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	renamed := strings.NewReplacer("user: dev\n  name: dev", "user: dev\n  name: work", "current-context: dev", "current-context: work").Replace(string(text))
	renamed = strings.Replace(renamed, "users:\n", "- {name: apps, context: {cluster: dev, user: dev, namespace: apps}}\nusers:\n", 1)
	if err := os.WriteFile(path, []byte(renamed), 0o600); err != nil {
		t.Fatal(err)
	}
	want := []string{"work", "apps"}
	for _, moment := range []string{"renamed", "started again", "on another port"} {
		if moment != "renamed" {
			wish := plan.Wish{Name: "dev"}
			if moment == "on another port" {
				wish.APIPort = freePort(t)
			}
			if err := m.Stop(t.Context(), "dev", nil); err != nil {
				t.Fatal(err)
			}
			if timeline, err := m.Start(t.Context(), wish, bootstrap.Run{}); err != nil || timeline.Context != "work" {
				t.Fatalf("%s: %v", moment, err)
			}
		}
		if s, err := m.Status(t.Context(), "dev"); err != nil || s.Kubeconfig != "Configured" || !slices.Equal(s.Contexts, want) {
			t.Errorf("%s: %s %v, %v; want Configured %v", moment, s.Kubeconfig, s.Contexts, err, want)
		}
	}
	if err := m.Delete(t.Context(), "dev", nil); err != nil {
		t.Fatal(err)
	}
	if text, err := os.ReadFile(path); err != nil || strings.Contains(string(text), "dev") || strings.Contains(string(text), "work") {
		t.Errorf("left: %v\n%s", err, text)
	}
}

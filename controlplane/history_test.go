package controlplane_test

import (
	"cmp"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"

	"bonsai/bootstrap/cluster"
	"bonsai/bootstrap/fault"
	"bonsai/controlplane"
)

// withHistory starts a control plane that records, in a folder that may have been used before.
func withHistory(t *testing.T, dir string) *controlplane.ControlPlane {
	t.Helper()
	return startWith(t, dir, func(*cluster.Spec) {}, func(o *controlplane.Options) { o.HistoryDir = filepath.Join(dir, "history") })
}

// as is a client of a user.
func as(t *testing.T, cp *controlplane.ControlPlane, user, agent string) (kubernetes.Interface, dynamic.Interface) {
	t.Helper()
	config := rest.CopyConfig(cp.LoopbackConfig())
	config.UserAgent = agent
	config.Impersonate = rest.ImpersonationConfig{UserName: user, Groups: []string{"system:masters"}}
	client, err1 := kubernetes.NewForConfig(config)
	dyn, err2 := dynamic.NewForConfig(config)
	if err := cmp.Or(err1, err2); err != nil {
		t.Fatal(err)
	}
	return client, dyn
}

// recorded returns the changes of an object as lines, the newest first.
func recorded(t *testing.T, cp *controlplane.ControlPlane, kind, name string) (lines []string) {
	t.Helper()
	all, err := cp.History().Changes(t.Context(), cluster.HistoryQuery{ObjectQuery: cluster.ObjectQuery{Type: kind, Namespace: "default", Name: name}})
	if err != nil {
		t.Fatalf("history of %s/%s: %v", kind, name, err)
	}
	for _, c := range all.Changes {
		line := fmt.Sprintf("%s by %s", c.Change, cmp.Or(c.User, "?"))
		for _, f := range c.Fields {
			line += fmt.Sprintf(" %s: %s -> %s", f.Path, f.Before, f.After)
		}
		lines = append(lines, line)
	}
	return lines
}

func want(t *testing.T, what string, got []string, want ...string) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Errorf("%s: got\n%s\nwant\n%s", what, strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

var (
	widgets     = schema.GroupVersionResource{Group: "example.com", Version: "v1", Resource: "widgets"}
	definitions = schema.GroupVersionResource{Group: "apiextensions.k8s.io", Version: "v1", Resource: "customresourcedefinitions"}
)

func unstructuredOf(apiVersion, kind, name string, spec map[string]any) *unstructured.Unstructured {
	return &unstructured.Unstructured{Object: map[string]any{"apiVersion": apiVersion, "kind": kind, "metadata": map[string]any{"name": name}, "spec": spec}}
}

// makeWidgets defines a type and waits until it is served.
func makeWidgets(t *testing.T, dyn dynamic.Interface) {
	t.Helper()
	definition := unstructuredOf("apiextensions.k8s.io/v1", "CustomResourceDefinition", "widgets.example.com", map[string]any{
		"group": "example.com", "scope": "Namespaced", "names": map[string]any{"plural": "widgets", "kind": "Widget", "shortNames": []any{"wd"}},
		"versions": []any{map[string]any{"name": "v1", "served": true, "storage": true, "schema": map[string]any{
			"openAPIV3Schema": map[string]any{"type": "object", "x-kubernetes-preserve-unknown-fields": true},
		}}},
	})
	if _, err := dyn.Resource(definitions).Create(t.Context(), definition, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the new type being served", func() error {
		_, err := dyn.Resource(widgets).List(t.Context(), metav1.ListOptions{})
		return err
	})
}

// TestHistory records what real clients do to the real API server and etcd, and brings it back.
func TestHistory(t *testing.T) {
	dir := t.TempDir()
	cp := withHistory(t, dir)
	defer cp.Stop()
	client, dyn := as(t, cp, "jane", "test/1")
	ctx := t.Context()
	makeWidgets(t, dyn)
	replicas := int32(2)
	labels := map[string]string{"app": "web"}
	web := &appsv1.Deployment{ObjectMeta: metav1.ObjectMeta{Name: "web"}, Spec: appsv1.DeploymentSpec{
		Replicas: &replicas, Selector: &metav1.LabelSelector{MatchLabels: labels}, Template: corev1.PodTemplateSpec{
			ObjectMeta: metav1.ObjectMeta{Labels: labels}, Spec: corev1.PodSpec{Containers: []corev1.Container{{Name: "web", Image: "web:1"}}},
		},
	}}
	secret := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: "s"}, StringData: map[string]string{"password": "open sesame"}}
	widget := unstructuredOf("example.com/v1", "Widget", "w", map[string]any{"size": int64(3)})
	done := func(what string, err error) {
		t.Helper()
		if err != nil {
			t.Fatalf("%s: %v", what, err)
		}
	}
	_, err := client.AppsV1().Deployments("default").Create(ctx, web, metav1.CreateOptions{})
	done("create the Deployment", err)
	want(t, "a new Deployment", recorded(t, cp, "deployment", "web"), "created by jane")
	created := time.Now()
	_, err = client.AppsV1().Deployments("default").Patch(ctx, "web", types.MergePatchType, []byte(`{"spec": {"replicas": 3}}`), metav1.PatchOptions{})
	done("scale it", err)
	_, err = client.CoreV1().Secrets("default").Create(ctx, secret, metav1.CreateOptions{})
	done("create the Secret", err)
	_, err = client.CoreV1().Secrets("default").Patch(ctx, "s", types.MergePatchType, []byte(`{"stringData": {"password": "close"}}`), metav1.PatchOptions{})
	done("change the Secret", err)
	_, err = dyn.Resource(widgets).Namespace("default").Create(ctx, widget, metav1.CreateOptions{})
	done("create the widget", err)
	_, err = dyn.Resource(widgets).Namespace("default").Patch(ctx, "w", types.MergePatchType, []byte(`{"spec": {"size": 4}}`), metav1.PatchOptions{})
	done("change the widget", err)

	ofWeb := []string{"updated by jane spec.replicas: 2 -> 3", "created by jane"}
	ofWidget := []string{"updated by jane spec.size: 3 -> 4", "created by jane"}
	want(t, "a Deployment, by a short name", recorded(t, cp, "deploy", "web"), ofWeb...)
	want(t, "a Secret", recorded(t, cp, "secret", "s"), `updated by jane data.password: "(hidden, 11 bytes)" -> "(hidden, 5 bytes)"`, "created by jane")
	want(t, "a custom resource", recorded(t, cp, "wd", "w"), ofWidget...)

	t.Run("how it was", func(t *testing.T) {
		list, err := cp.History().Differences(ctx, cluster.DifferenceQuery{At: created, ObjectQuery: cluster.ObjectQuery{Type: "deployments.apps", Namespace: "default"}})
		if err != nil || len(list) != 1 || len(list[0].Fields) != 1 || list[0].Fields[0].Path != "spec.replicas" || list[0].Kind != "Deployment" {
			t.Errorf("got %+v, %v", list, err)
		}
		if _, err := cp.History().Differences(ctx, cluster.DifferenceQuery{At: created.Add(-time.Hour)}); fault.KindOf(err) != fault.ObjectNotFound {
			t.Errorf("before the history: %v", err)
		}
	})

	t.Run("dry run", func(t *testing.T) {
		r, err := cp.History().Revert(ctx, cluster.RevertRequest{ObjectQuery: cluster.ObjectQuery{Type: "deploy", Namespace: "default", Name: "web"}, At: created, DryRun: true})
		if err != nil || r.Change != cluster.ChangeUpdated || len(r.Fields) != 1 {
			t.Errorf("got %+v, %v", r, err)
		}
		want(t, "afterwards", recorded(t, cp, "deploy", "web"), ofWeb...)
	})

	t.Run("revert", func(t *testing.T) {
		q := cluster.ObjectQuery{Type: "deploy", Namespace: "default", Name: "web"}
		if r, err := cp.History().Revert(ctx, cluster.RevertRequest{ObjectQuery: q, At: created}); err != nil || r.Change != cluster.ChangeUpdated {
			t.Errorf("got %+v, %v", r, err)
		}
		d, err := client.AppsV1().Deployments("default").Get(ctx, "web", metav1.GetOptions{})
		if err != nil || *d.Spec.Replicas != 2 {
			t.Errorf("it has %d replicas, %v", *d.Spec.Replicas, err)
		}
		ofWeb = append([]string{"updated by kubernetes-admin spec.replicas: 3 -> 2"}, ofWeb...)
		want(t, "the revert itself", recorded(t, cp, "deploy", "web"), ofWeb...)
		if r, err := cp.History().Revert(ctx, cluster.RevertRequest{ObjectQuery: q, At: created}); err != nil || r.Change != "" {
			t.Errorf("again: %+v, %v", r, err)
		}
		for name, r := range map[string]cluster.RevertRequest{
			"one that exists":      {ObjectQuery: q},
			"one that never was":   {ObjectQuery: cluster.ObjectQuery{Type: "deploy", Namespace: "default", Name: "nix"}},
			"an unknown type":      {ObjectQuery: cluster.ObjectQuery{Type: "nix", Namespace: "default", Name: "nix"}},
			"an unknown revision":  {ObjectQuery: q, To: 1},
			"before the beginning": {ObjectQuery: q, At: created.Add(-time.Hour)},
		} {
			if done, err := cp.History().Revert(ctx, r); fault.KindOf(err) != fault.ObjectNotFound && fault.KindOf(err) != fault.Usage {
				t.Errorf("%s: %+v, %v", name, done, err)
			}
		}
	})

	t.Run("what was deleted", func(t *testing.T) {
		if err := client.CoreV1().Secrets("default").Delete(ctx, "s", metav1.DeleteOptions{}); err != nil {
			t.Fatal(err)
		}
		if lines := recorded(t, cp, "secrets", "s"); len(lines) != 3 || lines[0] != "deleted by jane" {
			t.Errorf("got %q", lines)
		}
		r, err := cp.History().Revert(ctx, cluster.RevertRequest{ObjectQuery: cluster.ObjectQuery{Type: "Secret", Namespace: "default", Name: "s"}})
		if err != nil || r.Change != cluster.ChangeCreated {
			t.Errorf("got %+v, %v", r, err)
		}
		s, err := client.CoreV1().Secrets("default").Get(ctx, "s", metav1.GetOptions{})
		if err != nil || string(s.Data["password"]) != "close" {
			t.Errorf("it has %q, %v", s.Data, err)
		}
	})

	t.Run("a definition and its objects", func(t *testing.T) {
		if err := dyn.Resource(definitions).Delete(ctx, "widgets.example.com", metav1.DeleteOptions{}); err != nil {
			t.Fatal(err)
		}
		eventually(t, "the definition being gone", func() error {
			if _, err := dyn.Resource(definitions).Get(ctx, "widgets.example.com", metav1.GetOptions{}); err == nil {
				return fmt.Errorf("it is there")
			}
			return nil
		})
		ofWidget = append([]string{"deleted by ?"}, ofWidget...)
		want(t, "objects of a type that is gone", recorded(t, cp, "widgets", "w"), ofWidget...)
		if _, err := cp.History().Revert(ctx, cluster.RevertRequest{ObjectQuery: cluster.ObjectQuery{Type: "crd", Name: "widgets.example.com"}}); err != nil {
			t.Fatal(err)
		}
		eventually(t, "the type being served again", func() error {
			_, err := cp.History().Revert(ctx, cluster.RevertRequest{ObjectQuery: cluster.ObjectQuery{Type: "wd", Namespace: "default", Name: "w"}})
			return err
		})
		w, err := dyn.Resource(widgets).Namespace("default").Get(ctx, "w", metav1.GetOptions{})
		if size, _, _ := unstructured.NestedInt64(w.Object, "spec", "size"); err != nil || size != 4 {
			t.Errorf("its size is %d, %v", size, err)
		}
		ofWidget = append([]string{"created by kubernetes-admin"}, ofWidget...)
	})
}

// TestHistoryAfterAStart records before a stop and after the next start.
func TestHistoryAfterAStart(t *testing.T) {
	dir := t.TempDir()
	cp := withHistory(t, dir)
	client, _ := as(t, cp, "jane", "test/1")
	if _, err := client.CoreV1().ConfigMaps("default").Create(t.Context(), &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: "c"}, Data: map[string]string{"a": "1"}}, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	cp.Stop()
	cp = withHistory(t, dir)
	defer cp.Stop()
	want(t, "after a start", recorded(t, cp, "cm", "c"), "created by jane")
	all, err := cp.History().Changes(t.Context(), cluster.HistoryQuery{Limit: 1})
	if err != nil || len(all.Gaps) > 0 || all.Begun.IsZero() {
		t.Errorf("got %+v, %v; want no gap", all, err)
	}
	client, _ = as(t, cp, "joe", "test/1")
	if _, err := client.CoreV1().ConfigMaps("default").Patch(t.Context(), "c", types.MergePatchType, []byte(`{"data": {"a": "2"}}`), metav1.PatchOptions{}); err != nil {
		t.Fatal(err)
	}
	want(t, "after a start", recorded(t, cp, "cm", "c"), `updated by joe data.a: "1" -> "2"`, "created by jane")
}

package controlplane_test

import (
	"encoding/json"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"

	"bonsai/bootstrap/cluster"
)

// TestComponentStatuses: upstream's checks look for ports that these components do not have.
func TestComponentStatuses(t *testing.T) {
	cp := startControlPlane(t, func(*cluster.Spec) {})
	defer cp.Stop()
	client := cp.Client().CoreV1().ComponentStatuses()
	list, err := client.List(t.Context(), metav1.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]bool{"controller-manager": true, "scheduler": true, "etcd-0": true}
	for _, s := range list.Items {
		if !want[s.Name] {
			t.Errorf("unexpected component %s", s.Name)
		}
		delete(want, s.Name)
		if len(s.Conditions) != 1 || s.Conditions[0].Type != corev1.ComponentHealthy || s.Conditions[0].Status != corev1.ConditionTrue || s.Conditions[0].Message != "ok" {
			t.Errorf("%s: %+v, want Healthy and ok", s.Name, s.Conditions)
		}
	}
	if len(want) > 0 {
		t.Errorf("missing: %v", want)
	}

	one, err := client.Get(t.Context(), "scheduler", metav1.GetOptions{})
	if err != nil || one.Name != "scheduler" || len(one.Conditions) != 1 || one.Conditions[0].Status != corev1.ConditionTrue {
		t.Errorf("scheduler: %+v, %v", one, err)
	}
	if _, err := client.Get(t.Context(), "nothing", metav1.GetOptions{}); !apierrors.IsNotFound(err) {
		t.Errorf("a component that does not exist: %v, want not found", err)
	}

	// What kubectl asks for: a table, and a warning comes with it.
	var warned warnings
	config := rest.CopyConfig(cp.LoopbackConfig())
	config.WarningHandler = &warned
	body, err := restClient(t, config).Get().AbsPath("/api/v1/componentstatuses").
		SetHeader("Accept", "application/json;as=Table;v=v1;g=meta.k8s.io").Do(t.Context()).Raw()
	if err != nil {
		t.Fatal(err)
	}
	var table metav1.Table
	if err := json.Unmarshal(body, &table); err != nil || len(table.Rows) != 3 {
		t.Errorf("the table is %s, %v", body, err)
	}
	if !strings.Contains(string(warned), "deprecated") {
		t.Errorf("warned of %q, want upstream's deprecation", warned)
	}
	// Others than "get" and "list" are refused as ever.
	if err := restClient(t, config).Delete().AbsPath("/api/v1/componentstatuses/scheduler").Do(t.Context()).Error(); !apierrors.IsMethodNotSupported(err) {
		t.Errorf("delete: %v, want method not supported", err)
	}
}

type warnings string

func (w *warnings) HandleWarningHeader(_ int, _, text string) { *w += warnings(text) }

func restClient(t *testing.T, config *rest.Config) rest.Interface {
	t.Helper()
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		t.Fatal(err)
	}
	return client.Discovery().RESTClient()
}

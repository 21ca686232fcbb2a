package networkpolicy

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	dynamicfake "k8s.io/client-go/dynamic/fake"
	clientfake "k8s.io/client-go/kubernetes/fake"
	clienttesting "k8s.io/client-go/testing"

	"bonsai/bootstrap/cluster"
	"bonsai/controlplane/addons"
	"bonsai/controlplane/addons/definitions"
)

// newDynamic is an API without definitions and policies.
func newDynamic() *dynamicfake.FakeDynamicClient {
	return dynamicfake.NewSimpleDynamicClientWithCustomListKinds(runtime.NewScheme(), map[schema.GroupVersionResource]string{
		definitions.Resource: "CustomResourceDefinitionList", clusterPolicies: "ClusterNetworkPolicyList",
	})
}

// clusterPolicy has one rule, which accepts the names.
func clusterPolicy(name string, domains ...any) *unstructured.Unstructured {
	to := map[string]any{"namespaces": map[string]any{}}
	if len(domains) > 0 {
		to = map[string]any{"domainNames": domains}
	}
	return &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": clusterPolicies.GroupVersion().String(), "kind": "ClusterNetworkPolicy", "metadata": map[string]any{"name": name, "generation": int64(3)},
		"spec": map[string]any{"tier": "Admin", "priority": int64(1), "subject": map[string]any{"namespaces": map[string]any{}}, "egress": []any{
			map[string]any{"action": "Accept", "to": []any{to}},
		}},
	}}
}

// flagged is what the ConfigMap says.
func (w *world) flagged() bool {
	w.t.Helper()
	synctest.Wait()
	m, err := w.c.Client.CoreV1().ConfigMaps("kube-system").Get(w.t.Context(), cluster.NetworkPolicyMap, metav1.GetOptions{})
	if err != nil {
		w.t.Fatal(err)
	}
	return m.Data[cluster.ClusterPoliciesKey] != ""
}

// TestClusterPoliciesAreDefinedAfterTheNodes, and nodes learn whether there are any.
func TestClusterPoliciesAreDefinedAfterTheNodes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 1)
		api := w.c.Dynamic.Resource(clusterPolicies)
		defined := func() bool {
			synctest.Wait()
			_, err := w.c.Dynamic.Resource(definitions.Resource).Get(t.Context(), clusterPolicies.GroupResource().String(), metav1.GetOptions{})
			return err == nil
		}
		defer w.run()()
		w.is(cluster.AddonInstalling, "0 of 1 nodes enforce policies")
		if defined() {
			t.Error("the definition comes before the nodes have what they need")
		}
		w.agents["dev-1"].reports(cluster.PhaseRunning, "")
		time.Sleep(time.Second)
		w.settled()
		if !defined() || w.flagged() {
			t.Errorf("defined is %v, and there are policies: %v", defined(), w.flagged())
		}
		if _, err := api.Create(t.Context(), clusterPolicy("deny"), metav1.CreateOptions{}); err != nil {
			t.Fatal(err)
		}
		if !w.flagged() {
			t.Error("nodes do not learn of the first policy")
		}
		m, _ := w.c.Client.CoreV1().ConfigMaps("kube-system").Get(t.Context(), cluster.NetworkPolicyMap, metav1.GetOptions{})
		m.Data = nil // somebody replaces it
		if _, err := w.c.Client.CoreV1().ConfigMaps("kube-system").Update(t.Context(), m, metav1.UpdateOptions{}); err != nil {
			t.Fatal(err)
		}
		time.Sleep(lookAgain)
		if !w.flagged() {
			t.Error("what the ConfigMap says is not restored")
		}
		if err := api.Delete(t.Context(), "deny", metav1.DeleteOptions{}); err != nil {
			t.Fatal(err)
		}
		if w.flagged() {
			t.Error("nodes do not learn that the last policy has gone")
		}
	})
}

// TestWhatIsNotSupportedIsInTheStatus of the policy, until it is gone.
func TestWhatIsNotSupportedIsInTheStatus(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 1)
		api := w.c.Dynamic.Resource(clusterPolicies)
		w.agents["dev-1"].reports(cluster.PhaseRunning, "")
		for _, p := range []*unstructured.Unstructured{clusterPolicy("names", "example.com"), clusterPolicy("pods")} {
			if _, err := api.Create(t.Context(), p, metav1.CreateOptions{}); err != nil {
				t.Fatal(err)
			}
		}
		defer w.run()()
		w.settled()
		status := func(name string) string {
			t.Helper()
			synctest.Wait()
			o, err := api.Get(t.Context(), name, metav1.GetOptions{})
			if err != nil {
				t.Fatal(err)
			}
			list, _, _ := unstructured.NestedSlice(o.Object, "status", "conditions")
			var words []string
			for _, c := range list {
				of, _ := c.(map[string]any)
				words = append(words, of["type"].(string)+" "+of["status"].(string)+": "+of["message"].(string))
			}
			return strings.Join(words, "; ")
		}
		if got := status("pods"); got != "" {
			t.Errorf("what is enforced has %q", got)
		}
		if got, want := status("names"), "bonsai.io/Enforced False: domainNames are not supported, and match nothing: rule #1"; got != want {
			t.Errorf("got %q, want %q", got, want)
		}
		o, _ := api.Get(t.Context(), "names", metav1.GetOptions{})
		o.Object["spec"] = clusterPolicy("names").Object["spec"]
		if _, err := api.Update(t.Context(), o, metav1.UpdateOptions{}); err != nil {
			t.Fatal(err)
		}
		if got := status("names"); !strings.HasPrefix(got, "bonsai.io/Enforced True") {
			t.Errorf("of what is enforced now: %q", got)
		}
	})
}

// TestADefinitionOfAnotherVersionIsLeft: NetworkPolicies are enforced all the same.
func TestADefinitionOfAnotherVersionIsLeft(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 1)
		api, _ := w.c.Dynamic.(*dynamicfake.FakeDynamicClient)
		theirs := &unstructured.Unstructured{Object: map[string]any{
			"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition", "metadata": map[string]any{"name": clusterPolicies.GroupResource().String()},
		}}
		if _, err := api.Resource(definitions.Resource).Create(t.Context(), theirs, metav1.CreateOptions{}); err != nil {
			t.Fatal(err)
		}
		api.PrependReactor("list", clusterPolicies.Resource, func(clienttesting.Action) (bool, runtime.Object, error) {
			return true, nil, apierrors.NewNotFound(clusterPolicies.GroupResource(), "")
		})
		w.agents["dev-1"].reports(cluster.PhaseRunning, "")
		defer w.run()()
		w.is(cluster.AddonInstalling, "is being installed")
		time.Sleep(defineLimit + time.Second)
		w.is(cluster.AddonDegraded, "ClusterNetworkPolicies are not served as policy.networking.k8s.io/v1beta1")
		if o, err := api.Resource(definitions.Resource).Get(t.Context(), theirs.GetName(), metav1.GetOptions{}); err != nil || o.Object["spec"] != nil {
			t.Errorf("the definition is replaced: %v, %v", o, err)
		}
	})
}

// settled waits until the addon runs and has read the policies.
func (w *world) settled() {
	w.t.Helper()
	time.Sleep(time.Second)
	w.is(cluster.AddonRunning, "")
}

// newClient has the ConfigMap of the enabled addon.
func newClient() *clientfake.Clientset {
	return clientfake.NewClientset(New().Objects(addons.Cluster{})...)
}

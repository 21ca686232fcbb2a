package controlplane

import (
	"slices"
	"testing"

	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes/fake"

	"bonsai/controlplane/addons"
)

func TestOwnRolesAreWrittenOnlyWhereTheyDiffer(t *testing.T) {
	client := fake.NewClientset()
	rules := addons.NodeRules{System: []rbacv1.PolicyRule{{APIGroups: []string{""}, Resources: []string{"configmaps"}, Verbs: []string{"get"}}}}
	writes := func(rules addons.NodeRules) (list []string) {
		t.Helper()
		client.ClearActions()
		if err := ensureOwnRoles(t.Context(), client, rules); err != nil {
			t.Fatal(err)
		}
		for _, a := range client.Actions() {
			if a.GetVerb() != "get" {
				list = append(list, a.GetVerb()+" "+a.GetResource().Resource)
			}
		}
		slices.Sort(list)
		return list
	}
	if got, want := writes(rules), []string{
		"create clusterrolebindings", "create clusterrolebindings", "create clusterroles", "create namespaces", "create rolebindings", "create roles",
	}; !slices.Equal(got, want) {
		t.Errorf("a new cluster: %q, want %q", got, want)
	}
	if got := writes(rules); len(got) > 0 {
		t.Errorf("nothing differs, and it wrote %q", got)
	}
	rules.System[0].Verbs = []string{"get", "watch"}
	if got, want := writes(rules), []string{"update roles"}; !slices.Equal(got, want) {
		t.Errorf("another version: %q, want %q", got, want)
	}
	role, err := client.RbacV1().Roles("kube-system").Get(t.Context(), "bonsai:agent", metav1.GetOptions{})
	if err != nil || !slices.Equal(role.Rules[0].Verbs, []string{"get", "watch"}) {
		t.Errorf("the role has %+v, %v", role, err)
	}
}

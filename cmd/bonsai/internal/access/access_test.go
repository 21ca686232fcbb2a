package access

import (
	"slices"
	"testing"

	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"bonsai/bootstrap/kube"
)

func shop() *Rules {
	named := func(namespace, name string) metav1.ObjectMeta {
		return metav1.ObjectMeta{Namespace: namespace, Name: name}
	}
	rule := func(group, resource string, verbs ...string) rbacv1.PolicyRule {
		return rbacv1.PolicyRule{APIGroups: []string{group}, Resources: []string{resource}, Verbs: verbs}
	}
	web := rbacv1.Subject{Kind: "ServiceAccount", Namespace: "shop", Name: "web"}
	only := rule("", "secrets", "get")
	only.ResourceNames = []string{"db"}
	return &Rules{
		ClusterRoles: []rbacv1.ClusterRole{
			{ObjectMeta: named("", "cluster-admin"), Rules: []rbacv1.PolicyRule{rule("*", "*", "*"), {NonResourceURLs: []string{"*"}, Verbs: []string{"*"}}}},
			{ObjectMeta: named("", "view"), Rules: []rbacv1.PolicyRule{rule("", "pods", "get", "list"), rule("", "pods/log", "get"), rule("apps", "deployments", "get")}},
			{ObjectMeta: named("", "basic"), Rules: []rbacv1.PolicyRule{{NonResourceURLs: []string{"/healthz"}, Verbs: []string{"get"}}}},
		},
		Roles: []rbacv1.Role{{ObjectMeta: named("shop", "secret"), Rules: []rbacv1.PolicyRule{only}}},
		ClusterRoleBindings: []rbacv1.ClusterRoleBinding{
			{ObjectMeta: named("", "cluster-admin"), Subjects: []rbacv1.Subject{{Kind: "Group", Name: "system:masters"}}, RoleRef: rbacv1.RoleRef{Kind: "ClusterRole", Name: "cluster-admin"}},
			{ObjectMeta: named("", "everybody"), Subjects: []rbacv1.Subject{{Kind: "Group", Name: "system:authenticated"}}, RoleRef: rbacv1.RoleRef{Kind: "ClusterRole", Name: "basic"}},
			{ObjectMeta: named("", "broken"), Subjects: []rbacv1.Subject{web}, RoleRef: rbacv1.RoleRef{Kind: "ClusterRole", Name: "nothing"}},
		},
		RoleBindings: []rbacv1.RoleBinding{
			{ObjectMeta: named("shop", "web-view"), Subjects: []rbacv1.Subject{web, {Kind: "User", Name: "jane"}}, RoleRef: rbacv1.RoleRef{Kind: "ClusterRole", Name: "view"}},
			{ObjectMeta: named("shop", "web-secret"), Subjects: []rbacv1.Subject{web}, RoleRef: rbacv1.RoleRef{Kind: "Role", Name: "secret"}},
		},
	}
}

func TestWhoCan(t *testing.T) {
	pods, secrets := kube.PodType(), kube.ResourceType{Version: "v1", Resource: "secrets", Kind: "Secret", Namespaced: true}
	for name, c := range map[string]struct {
		query kube.AccessQuery
		want  []string
	}{
		"in the namespace":      {kube.AccessQuery{Verb: "list", Type: pods, Namespace: "shop"}, []string{"Group /system:masters by cluster-admin", "ServiceAccount shop/web by web-view", "User /jane by web-view"}},
		"in another one":        {kube.AccessQuery{Verb: "list", Type: pods, Namespace: "other"}, []string{"Group /system:masters by cluster-admin"}},
		"everywhere":            {kube.AccessQuery{Verb: "list", Type: pods}, []string{"Group /system:masters by cluster-admin"}},
		"another verb":          {kube.AccessQuery{Verb: "delete", Type: pods, Namespace: "shop"}, []string{"Group /system:masters by cluster-admin"}},
		"a subresource":         {kube.AccessQuery{Verb: "get", Type: pods, Subresource: "log", Namespace: "shop"}, []string{"Group /system:masters by cluster-admin", "ServiceAccount shop/web by web-view", "User /jane by web-view"}},
		"only one object":       {kube.AccessQuery{Verb: "get", Type: secrets, Namespace: "shop", Name: "db"}, []string{"Group /system:masters by cluster-admin", "ServiceAccount shop/web by web-secret"}},
		"all, where one is one": {kube.AccessQuery{Verb: "get", Type: secrets, Namespace: "shop"}, []string{"Group /system:masters by cluster-admin"}},
	} {
		var got []string
		for _, g := range shop().Who(c.query) {
			got = append(got, g.Who.Kind+" "+g.Who.Namespace+"/"+g.Who.Name+" by "+g.Binding.Name)
		}
		if !slices.Equal(got, c.want) {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
	}
}

func TestRightsOfSomebody(t *testing.T) {
	got := shop().Of(kube.Subject{Kind: "ServiceAccount", Namespace: "shop", Name: "web"})
	if len(got) != 5 {
		t.Fatalf("%+v", got)
	}
	if first := got[0]; first.Namespace != "" || first.Binding.Name != "everybody" || !slices.Equal(first.Resources, []string{"/healthz"}) {
		t.Errorf("%+v", first)
	}
	if apps := got[3]; apps.Namespace != "shop" || !slices.Equal(apps.Resources, []string{"deployments.apps"}) || apps.Role.Type.Kind != "ClusterRole" {
		t.Errorf("%+v", apps)
	}
	if last := got[4]; !slices.Equal(last.Names, []string{"db"}) || last.Role.Type.Kind != "Role" || last.Role.Namespace != "shop" {
		t.Errorf("%+v", last)
	}
	if got := shop().Of(kube.Subject{Kind: "User", Name: "system:anonymous"}); len(got) != 0 {
		t.Errorf("%+v", got)
	}
	if got := shop().Of(kube.Subject{Kind: "Group", Name: "system:masters"}); len(got) != 2 {
		t.Errorf("%+v", got)
	}
}

package tui

import (
	"testing"

	"bonsai/bootstrap/kube"
)

func TestRelatedObjects(t *testing.T) {
	r := openDeployments(t, shop(), 120, 36)
	r.keys("X")
	r.shows("[Relations]", "✗ deployment cart  0/1", "├ ✗ replicaset cart-7d9f4  0/1", "│ └ ✗ pod cart-7d9f4-x2k  Running", "│   └ ✗ cart  CrashLoopBackOff",
		"├ – configmap extra  does not exist; optional  (in volumes)", "└ ✗ secret tokn  does not exist  (in variables, in volumes)", "USED BY", "service cart", "(by labels)")
	r.keys("enter") // its own page takes the place of the one that is open
	r.shows("deployment shop/cart")
	r.keys("X")
	r.shows("[Relations]")
	r.keys("/", `"x2k"`, "enter", "enter")
	r.shows("shop/cart-7d9f4-x2k", "[Summary]")
	r.keys("esc", "esc", "/", `"CrashLoop"`, "enter", "enter")
	r.shows("it is not an object of the API")

	r = newRig(t, shop(), 120, 30)
	r.command("carts")
	r.shows("alice")
	r.keys("X")
	r.shows("nothing is known of what it uses")
}

func TestWhoMayDoWhat(t *testing.T) {
	s := shop()
	s.types = append(s.types, kube.ResourceType{Version: "v1", Resource: "serviceaccounts", Kind: "ServiceAccount", Namespaced: true, Short: []string{"sa"}})
	s.columns["serviceaccounts"] = []kube.Column{{Name: "Name"}}
	s.rows["serviceaccounts"] = []kube.Row{{UID: "sa1", Namespace: "shop", Name: "web", Cells: []string{"web"}}}
	r := newRig(t, s, 120, 30)
	r.shows("shop")
	r.command("can-i")
	r.shows("who may do what?", "empty: you")
	r.keys(`"a/b/c"`, "enter")
	r.shows("NAMESPACE/NAME of a ServiceAccount")
	r.keys("ctrl+u", `"shop/web"`, "tab", "right", "tab", "ctrl+u", `"nothings"`, "enter")
	r.shows("the API server has no such type")
	r.keys("ctrl+u", `"pods/log"`, "tab", `"shop"`, "enter")
	r.shows("✓ serviceaccount shop/web may list pods/log in namespace shop", "RBAC: allowed by RoleBinding", "WHO MAY, BY RBAC", "rolebinding web-view → clusterrole view")
	r.keys("/", `"web-view →"`, "enter", "enter")
	r.shows("rolebinding shop/web-view", "[YAML]")
	r.keys("esc", "e")
	r.shows("who may do what?", "shop/web", "pods/log")
	r.keys("ctrl+u", "tab", "right", "right", "right", "right", "right", "enter")
	r.shows("✗ you may not delete pods/log in namespace shop", "nobody")

	r.command("sa")
	r.shows("SERVICEACCOUNTS", "web")
	r.keys("a", `"may do"`, "enter")
	r.shows("WHAT SERVICEACCOUNT SHOP/WEB MAY DO", "everywhere", "in namespace shop", "get list", "pods deployments.apps", "only db", "rolebinding web-view")
}

func TestSubjectsAreRead(t *testing.T) {
	for text, want := range map[string]kube.Subject{
		"": {}, "jane": {Kind: "User", Name: "jane"}, "group:devs": {Kind: "Group", Name: "devs"}, "shop/web": {Kind: "ServiceAccount", Namespace: "shop", Name: "web"},
	} {
		got, ok := subjectFrom(text)
		if !ok || got != want || typedSubject(got) != text {
			t.Errorf("%q: %+v %v, %q", text, got, ok, typedSubject(got))
		}
	}
	for _, text := range []string{"group:", "/", "a/", "/a", "a/b/c", "two words"} {
		if got, ok := subjectFrom(text); ok {
			t.Errorf("%q is %+v", text, got)
		}
	}
}

func TestCommandsOfQuestions(t *testing.T) {
	for want, c := range map[string]kube.AccessQuery{
		"bonsai kubectl -- auth can-i list pods -n shop --as system:serviceaccount:shop:web": {Who: kube.Subject{Kind: "ServiceAccount", Namespace: "shop", Name: "web"}, Verb: "list", Type: kube.PodType(), Namespace: "shop"},
		"bonsai kubectl -- auth can-i get pods/a --subresource log --all-namespaces":         {Verb: "get", Type: kube.PodType(), Subresource: "log", Name: "a"},
	} {
		if got := accessCommand(c, kube.Subject{}).String(); got != want {
			t.Errorf("%s, want %s", got, want)
		}
	}
}

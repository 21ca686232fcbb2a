package tui

import (
	"strings"
	"testing"
	"time"

	"bonsai/bootstrap/fault"
	"bonsai/bootstrap/kube"
	"bonsai/bootstrap/yamldiff"
)

// openDeployments opens the list of Deployments; the cursor is on cart.
func openDeployments(t *testing.T, s *fakeSession, w, h int, change ...func(*Options)) *rig {
	t.Helper()
	s.mu.Lock()
	s.yaml["shop/cart"] = cartDeployment("cart:1.4.2")
	s.mu.Unlock()
	r := newRig(t, s, w, h, change...)
	r.shows("shop")
	r.command("deploy")
	r.shows("DEPLOYMENTS", "cart")
	return r
}

// carriedOut waits for an action.
func (r *rig) carriedOut(ok func(kube.Action) bool) {
	r.t.Helper()
	r.until("the action", func(string) bool {
		r.session.mu.Lock()
		defer r.session.mu.Unlock()
		n := len(r.session.done)
		return n > 0 && ok(r.session.done[n-1])
	})
}

// nothingDone fails if anything was changed.
func (r *rig) nothingDone() {
	r.t.Helper()
	r.session.mu.Lock()
	defer r.session.mu.Unlock()
	if len(r.session.done)+len(r.session.replaced) > 0 {
		r.t.Fatalf("it did %+v %q", r.session.done, r.session.replaced)
	}
}

func TestImageIsSetAfterItsDifferenceWasSeen(t *testing.T) {
	s := shop()
	r := openDeployments(t, s, 120, 30)
	r.keys("i")
	r.shows("images of deployment shop/cart", "cart:1.4.2")
	r.keys("ctrl+u", "enter")
	r.shows("not the name of an image")
	r.keys(`"cart:2"`, "enter")
	r.shows("set the image of deployment shop/cart?", "spec.template.spec.containers[cart]", "- - image: cart:1.4.2", "+ - image: cart:2", "its pods are replaced one after the other", "cluster: dev")
	r.keys("enter") // Cancel is the default
	r.nothingDone()
	r.keys("i")
	r.shows("images of")
	r.keys("ctrl+u", `"cart:2"`, "enter")
	r.shows("+ - image: cart:2")
	r.keys("left", "enter")
	r.carriedOut(func(a kube.Action) bool { return a.Verb == kube.VerbSetImage && a.Images["cart"] == "cart:2" })
	r.shows("✓ set the image of deployment shop/cart")
	r.keys("L")
	r.shows("bonsai kubectl -p dev -- set image deployment/cart cart=cart:2 -n shop")
	r.keys("esc")

	// It can be undone, to all that it was.
	s.update(func() { s.yaml["shop/cart"] = cartDeployment("cart:2") })
	r.keys("ctrl+k", `"undo: set the image"`, "enter")
	r.shows("deployment shop/cart is restored")
	s.mu.Lock()
	defer s.mu.Unlock()
	if n := len(s.replaced); n != 1 || !strings.Contains(s.replaced[0], "cart:1.4.2") {
		t.Errorf("replaced %q", s.replaced)
	}
}

func TestNothingIsAskedWhereNothingWouldChange(t *testing.T) {
	s := shop()
	s.preview = func(kube.Action) (kube.Difference, error) {
		text := cartDeployment("cart:2")
		return kube.Difference{Before: text, After: strings.Replace(text, `"7"`, `"8"`, 1)}, nil
	}
	r := openDeployments(t, s, 120, 30)
	r.keys("i")
	r.shows("images of")
	r.keys("ctrl+u", `"cart:2"`, "enter")
	r.shows("nothing would change")
	s.update(func() {
		s.preview = func(kube.Action) (kube.Difference, error) {
			return kube.Difference{}, fault.Newf(fault.Refused, "a policy forbids it")
		}
	})
	r.keys("i")
	r.shows("images of")
	r.keys("ctrl+u", `"cart:3"`, "enter")
	r.shows("failed: set the image", "a policy forbids it")
	r.nothingDone()
}

func TestResourcesAreSet(t *testing.T) {
	r := openDeployments(t, shop(), 120, 30)
	r.keys("m")
	r.shows("resources of cart in deployment shop/cart", "cpu requested", "100m", "memory limit")
	r.keys("ctrl+u", `"many"`, "enter")
	r.shows("not an amount")
	r.keys("ctrl+u", `"250m"`, "tab", "tab", `"64Mi"`, "enter")
	r.shows("spec.template.spec.containers[cart].resources.requests", "- cpu: 100m", "+ cpu: 250m")
	r.keys("left", "enter")
	r.carriedOut(func(a kube.Action) bool {
		c := a.Resources["cart"]
		return a.Verb == kube.VerbSetResources && len(c.Limits) == 0 && c.Requests["cpu"] == "250m" && c.Requests["memory"] == "64Mi"
	})
	r.keys("L")
	r.shows("set resources deployment/cart", "--requests cpu=250m,memory=64Mi")
}

func TestRevisions(t *testing.T) {
	r := openDeployments(t, shop(), 120, 36)
	r.keys("v")
	r.shows("[Revisions]", "revision 3  current  11:58:31  1 pod  cart-7d9f4", "- - image: cart:1.4.1", "+ - image: cart:1.4.2",
		"revision 2  11:14:31  0 pods  cart-66b5c  kubectl set image", "revision 1  2026-03-13", "the oldest that is kept  cart:1.4.0")
	r.keys("R")
	r.shows("it is the current revision")
	r.keys("/", `"cart-66b5c"`, "enter", "R")
	r.shows("take deployment shop/cart back to revision 2?", "- - image: cart:1.4.2", "+ - image: cart:1.4.1")
	r.keys("left", "enter")
	r.carriedOut(func(a kube.Action) bool { return a.Verb == kube.VerbRollback && a.Revision == 2 })
	r.keys("L")
	r.shows("rollout undo deployment cart -n shop --to-revision 2")
	r.keys("esc", "esc", "a", `"go back to the revision"`, "enter")
	r.shows("back to the revision before?")

	read := openDeployments(t, shop(), 120, 36, func(o *Options) { o.ReadOnly = true })
	read.keys("v")
	read.shows("revision 3")
	read.keys("/", `"cart-66b5c"`, "enter", "R")
	read.shows("bonsai ui runs with --readonly")
	read.nothingDone()
}

func TestObjectsWithoutATemplateSaySo(t *testing.T) {
	r := newRig(t, shop(), 120, 30)
	r.command("carts")
	r.shows("alice")
	for key, want := range map[string]string{
		"i": "no pod template", "m": "no pod template", "v": "only Deployments, StatefulSets and DaemonSets", "x": "only Secrets and ConfigMaps",
	} {
		r.keys(key)
		r.shows(want)
	}
}

// TestDifferencesBeginAtTheLeft, and have nothing of what changes on its own.
func TestDifferencesBeginAtTheLeft(t *testing.T) {
	var b strings.Builder
	before := cartDeployment("cart:1")
	for _, l := range yamldiff.Changes(before, strings.Replace(cartDeployment("cart:2"), `"7"`, `"8"`, 1)+"status:\n  replicas: 1\n") {
		text, _ := diffText(l)
		b.WriteString(text + "\n")
	}
	if want := "spec.template.spec.containers[cart]\n- - image: cart:1\n+ - image: cart:2\n"; b.String() != want {
		t.Errorf("%s", b.String())
	}
	if text, _ := diffText(yamldiff.Line{Kind: yamldiff.Added, Text: "a\x1b[2Jb"}); strings.Contains(text, "\x1b") {
		t.Errorf("%q reaches the terminal", text)
	}
}

// openSecret opens the values of a Secret.
func openSecret(t *testing.T, s *fakeSession, change ...func(*Options)) *rig {
	t.Helper()
	r := newRig(t, s, 120, 30, change...)
	r.shows("shop")
	r.command("secrets")
	r.shows("Opaque")
	r.keys("x")
	r.shows("[Values]", "password  6B", "********", "x shows them for 30 s")
	return r
}

func TestValuesOfSecretsHideAgain(t *testing.T) {
	s := more()
	now := fakeNow
	r := openSecret(t, s, func(o *Options) { o.Now = func() time.Time { return now } })
	if strings.Contains(r.screen(), "hunter") || s.revealed != 0 {
		t.Fatalf("a value is shown, or was read %d times, before anybody wanted it", s.revealed)
	}
	r.keys("x")
	r.shows("hunter", "shown for another 30 s")
	now = now.Add(12 * time.Second)
	r.shows("shown for another 18 s")
	r.keys("o")
	r.shows("not saved to a file")
	r.keys("x")
	r.shows("********")
	r.gone("hunter")

	// After a while, on their own.
	r.keys("x")
	r.shows("hunter")
	tab := r.u.page().(*subjectPage).tab().(*valuesTab)
	tab.cover()
	r.shows("********")
	r.gone("hunter")

	// And when somebody goes elsewhere, also before the answer is there.
	r.keys("x")
	r.shows("hunter")
	r.keys("5")
	r.shows("BackOff")
	r.keys("-")
	r.shows("********")
	r.gone("hunter")
	r.keys("x", "1")
	r.shows("PROBLEMS")
	r.keys("-")
	r.shows("********")
	r.settle()
	r.gone("hunter")
	r.keys("L")
	r.gone("hunter")
}

// gone fails if a text is on the screen.
func (r *rig) gone(text string) {
	r.t.Helper()
	if screen := r.screen(); strings.Contains(screen, text) {
		r.t.Fatalf("%q is on the screen:\n%s", text, screen)
	}
}

func TestValuesOfConfigMaps(t *testing.T) {
	s := shop()
	s.types = append(s.types, kube.ResourceType{Version: "v1", Resource: "configmaps", Kind: "ConfigMap", Namespaced: true, Short: []string{"cm"}})
	s.columns["configmaps"] = []kube.Column{{Name: "Name"}}
	s.rows["configmaps"] = []kube.Row{{UID: "cm1", Namespace: "shop", Name: "cart", Cells: []string{"cart"}}}
	r := newRig(t, s, 100, 30)
	r.shows("shop")
	r.command("cm")
	r.shows("CONFIGMAPS", "NAMESPACE")
	r.keys("x")
	r.shows("[Values]", "cart.yaml  24B", "redis: redis", "logo.png", "not a text")
	r.keys("x")
	r.shows("there are no values of Secrets here")
}

func TestEnvironmentIsResolved(t *testing.T) {
	s := shop()
	r := openCart(t, s, 120, 40)
	r.keys("tab", "tab", "tab", "tab")
	r.shows("[Env]", "REDIS_HOST  redis.defualt.svc", "********  from Secret cart, key password", "6379  from ConfigMap cart, key port",
		"it does not exist; the container cannot start", "dev-2  from field spec.nodeName", "a container keeps those from its start")
	r.gone("hunter")
	r.keys("x")
	r.shows("hunter  from Secret cart, key password")
	r.keys("tab", "shift+tab")
	r.shows("********")
	r.gone("hunter")
}

// more is the shop with a CronJob and a Secret.
func more() *fakeSession {
	s := shop()
	s.types = append(s.types, kube.ResourceType{Group: "batch", Version: "v1", Resource: "cronjobs", Kind: "CronJob", Namespaced: true, Short: []string{"cj"}},
		kube.ResourceType{Version: "v1", Resource: "secrets", Kind: "Secret", Namespaced: true})
	s.columns["cronjobs"] = []kube.Column{{Name: "Name"}, {Name: "Schedule"}, {Name: "Suspend"}}
	s.rows["cronjobs"] = []kube.Row{{UID: "cj1", Namespace: "shop", Name: "report", Cells: []string{"report", "0 3 * * *", "False"}}}
	s.yaml["shop/report"] = "kind: CronJob\nspec:\n  suspend: false\n"
	s.yaml["shop/cart"] = cartDeployment("cart:1.4.2")
	s.columns["secrets"] = []kube.Column{{Name: "Name"}, {Name: "Type"}, {Name: "Data", Numeric: true}}
	s.rows["secrets"] = []kube.Row{{UID: "secret1", Namespace: "shop", Name: "cart", Cells: []string{"cart", "Opaque", "2"}}}
	return s
}

func TestCronJobs(t *testing.T) {
	s := more()
	r := newRig(t, s, 140, 30)
	r.shows("shop")
	r.command("cj")
	r.shows("CRONJOBS", "0 3 * * *", "r run now", "s suspend")
	r.keys("r")
	r.carriedOut(func(a kube.Action) bool { return a.Verb == kube.VerbRun && strings.HasPrefix(a.JobName, "report-") })
	r.shows("✓ run cronjob shop/report now: job report-")
	r.keys("L")
	r.shows("create job report-", "-n shop --from cronjob/report")
	r.keys("esc", "ctrl+k", `"undo: run"`, "enter")
	r.carriedOut(func(a kube.Action) bool {
		return a.Verb == kube.VerbDelete && a.Ref.Type.Resource == "jobs" && strings.HasPrefix(a.Ref.Name, "report-")
	})
	r.keys("s")
	r.carriedOut(func(a kube.Action) bool { return a.Verb == kube.VerbSuspend })
	r.shows("suspend cronjob shop/report")
	s.update(func() { s.yaml["shop/report"] = "kind: CronJob\nspec:\n  suspend: true\n" })
	r.keys("s")
	r.carriedOut(func(a kube.Action) bool { return a.Verb == kube.VerbResume })
	r.shows("✓ resume cronjob shop/report")
	r.keys("ctrl+k", `"undo: suspend"`, "enter")
	r.carriedOut(func(a kube.Action) bool { return a.Verb == kube.VerbSuspend })
}

package e2e

import (
	"strings"
	"testing"

	"bonsai/test/browser"
	"bonsai/test/e2e/harness"
)

// TestDashboardChanges is a person who changes a cluster in a browser: edits, creates, goes back, drains and reverts, each of which is
// shown before, and looks at what moves.
func TestDashboardChanges(t *testing.T) {
	t.Parallel()
	browser.Find(t)
	c := harness.New(t)
	c.Start(t, "--nodes", "2")
	c.LoadImages(t)
	if r := c.RunWithInput(t, strings.NewReader(brokenShop), "kubectl", "-p", c.Name, "--", "apply", "-f", "-"); r.Code != 0 {
		t.Fatalf("apply: %s", r)
	}
	c.Kubectl(t, "rollout", "status", "deployment/web", "-n", "shop", "--timeout=2m")
	b := browser.New(t, "en")
	b.Open(strings.TrimSpace(c.Must(t, "dashboard", "--url")))
	b.Shows("Overview", "live")
	base := strings.TrimSuffix(b.Address(), "/")
	const text = "document.querySelector('textarea[data-code]')"
	web := base + "/object?type=deployments.apps&ns=shop&name=web"
	get := func(args ...string) string {
		t.Helper()
		return strings.TrimSpace(c.Kubectl(t, append([]string{"get", "-n", "shop", "-o"}, args...)...))
	}

	// An edit; the object changes while the user edits it, which the page says.
	b.Open(web)
	b.Click(`.buttons a[href^="/edit"]`)
	b.Until("the text", text+"?.value.includes('replicas:')")
	browser.Eval[bool](b, text+".value = "+text+".value.replace(/^  replicas: \\d+$/m, '  replicas: 4'), true")
	b.Click(`button[value="check"]`)
	b.Shows("What would change", "replicas: 4")
	b.Picture("dashboard-edit")
	c.Kubectl(t, "set", "env", "deployment/web", "-n", "shop", "GREETING=hello")
	b.Click(`button[value="do"]`)
	b.Shows("What others have changed meanwhile", "GREETING")
	b.Picture("dashboard-conflict")
	b.Open(base + "/edit?type=deployments.apps&ns=shop&name=web")
	b.Until("the text with the change", text+"?.value.includes('GREETING')")
	browser.Eval[bool](b, text+".value = "+text+".value.replace(/^  replicas: \\d+$/m, '  replicas: 4'), true")
	b.Click(`button[value="check"]`)
	b.Shows("replicas: 4")
	b.Click(`button[value="do"]`) // the rollout goes on, which is no conflict
	b.Shows("It is changed.")
	if got := get("jsonpath={.spec.replicas}", "deployment", "web"); got != "4" {
		t.Errorf("after the edit there are %s replicas", got)
	}

	// A mistake is refused before anything is stored.
	b.Open(base + "/edit?type=deployments.apps&ns=shop&name=web")
	b.Until("the text", text+"?.value.includes('replicas:')")
	browser.Eval[bool](b, text+".value = "+text+".value.replace(/^  replicas: \\d+$/m, '  replicsa: 4'), true")
	b.Click(`button[value="check"]`)
	b.Shows("replicsa")
	b.Until("the kept text", text+".value.includes('replicsa')")

	// Creation, by a form.
	b.Open(base + "/create?kind=configmap&ns=shop&name=greeting&data=HELLO%3Dworld")
	b.Until("the YAML", text+"?.value.includes('HELLO: world')")
	b.Click(`button[value="check"]`)
	b.Shows("What would be created")
	b.Picture("dashboard-create")
	b.Click(`button[value="do"]`)
	b.Shows("It is created.", "ConfigMap greeting")

	// Back to a revision.
	b.Open(web + "&tab=revisions")
	b.Shows("revision 2", "GREETING")
	b.Picture("dashboard-revisions")
	b.Click(`a[href*="verb=rollback"]`)
	b.Shows("Take Deployment web back to revision 1?", "GREETING")
	b.Click(`form[action="/do"] button`)
	b.Shows("It goes back")
	if got := get("jsonpath={.spec.template.spec.containers[0].env}", "deployment", "web"); got != "" {
		t.Errorf("after going back the environment is %s", got)
	}

	// The past: the ConfigMap changes, and is as it was.
	c.Kubectl(t, "patch", "configmap", "greeting", "-n", "shop", "--type=merge", "-p", `{"data":{"HELLO":"moon"}}`)
	b.Open(base + "/object?type=configmaps&ns=shop&name=greeting&tab=history")
	b.Shows("data.HELLO")
	b.Click(`.changes > li:last-child a[href^="/past"]`)
	b.Shows("ConfigMap greeting as it was", "HELLO: world", "moon")
	b.Picture("dashboard-past")
	b.Click(`form[action="/past"] button`)
	b.Shows("It is as it was.")
	if got := get("jsonpath={.data.HELLO}", "configmap", "greeting"); got != "world" {
		t.Errorf("after the revert HELLO is %s", got)
	}
	b.Open(base + "/history")
	b.Until("the slider", "document.querySelector('input[data-time]')")

	// What moves.
	pod := get("jsonpath={.items[0].metadata.name}", "pods", "-l", "app=web")
	b.Open(base + "/object?type=pods&ns=shop&name=" + pod + "&tab=birth")
	b.Until("bars", "document.querySelectorAll('svg .bar').length > 4")
	b.Shows("kubelet")
	b.Picture("dashboard-birth")
	b.Open(base + "/start")
	b.Until("bars", "document.querySelectorAll('svg .bar').length > 3")
	b.Picture("dashboard-start")
	b.Open(base + "/dns")
	b.Until("the columns", "document.querySelectorAll('.table .head button').length > 6")
	c.Kubectl(t, "rollout", "restart", "deployment/cart", "-n", "shop") // which asks for it
	b.Shows("redis.defualt")
	b.Picture("dashboard-dns")
	b.Open(base + "/traffic?all=true")
	b.Until("arrows", "document.querySelectorAll('svg .traffic line').length > 0")
	b.Picture("dashboard-traffic")
	b.Open(base + "/nodes")
	b.Until("plots", "document.querySelectorAll('.plot path').length >= 4")
	b.Picture("dashboard-plots")

	// A drain, and a deletion that says what goes.
	node := c.Name + "-2"
	b.Open(base + "/object?type=nodes&name=" + node)
	b.Click(`.buttons a[href*="verb=drain"]`)
	b.Shows("Drain Node "+node+"?", "Evicted")
	b.Picture("dashboard-drain")
	b.Click(`form[action="/do"] button`)
	b.Shows("Its pods are gone")
	if got := strings.TrimSpace(c.Kubectl(t, "get", "node", node, "-o", "jsonpath={.spec.unschedulable}")); got != "true" {
		t.Errorf("after the drain the node is unschedulable: %s", got)
	}
	b.Open(base + "/confirm?verb=delete&type=namespaces&name=shop")
	b.Shows("goes with it", "Deployment 2")
	if errs := b.Errors(); len(errs) > 0 {
		t.Errorf("errors in pages: %q", errs)
	}
}

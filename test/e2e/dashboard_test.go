package e2e

import (
	"encoding/json"
	"net/url"
	"strings"
	"testing"
	"time"

	"bonsai/bootstrap/cluster"
	"bonsai/test/browser"
	"bonsai/test/e2e/harness"
)

// TestDashboard is a person with a browser: the dashboard shows a planted fault, the fault goes when it is repaired, and what is
// done by a click is done in the cluster.
func TestDashboard(t *testing.T) {
	t.Parallel()
	browser.Find(t)
	c := harness.New(t)
	c.Start(t, "--nodes", "2")
	c.LoadImages(t)
	if r := c.RunWithInput(t, strings.NewReader(brokenShop), "kubectl", "-p", c.Name, "--", "apply", "-f", "-"); r.Code != 0 {
		t.Fatalf("apply: %s", r)
	}
	began := time.Now()
	printed := strings.TrimSpace(c.Must(t, "dashboard", "--url"))
	t.Logf("bonsai dashboard --url took %s", time.Since(began))
	u, err := url.Parse(printed)
	if err != nil {
		t.Fatal(err)
	}
	base := "http://" + u.Host
	if u.Hostname() != "bonsai-dashboard-"+c.Name+".localhost" {
		t.Errorf("the address is %s", printed)
	}

	b := browser.New(t, "en")
	began = time.Now()
	b.Open(printed)
	b.Shows("Overview", "v1.")
	t.Logf("the first page took %s", time.Since(began))
	if at := b.Address(); at != base+"/" {
		t.Errorf("after the login the address is %s", at)
	}
	b.Shows("deployment cart", "redis.defualt", "live")
	b.Picture("dashboard-overview")
	// Another browser cannot use the address again.
	other := browser.New(t, "en")
	other.Open(printed)
	other.Shows("This address was used already")

	b.Open(base + "/architecture")
	b.Until("the nodes with pods", "document.querySelectorAll('svg .node.ok').length === 2 && document.querySelectorAll('svg .pod').length > 4")
	b.Until("rates", "[...document.querySelectorAll('svg .arrow text')].some(e => parseFloat(e.textContent) > 0)")
	b.Picture("dashboard-architecture")
	b.Open(base + "/nodes")
	b.Until("what nodes use", "document.querySelectorAll('meter').length >= 4")
	b.Picture("dashboard-nodes")
	b.Open(base + "/addons")
	b.Shows("dashboard", "localhost-names")

	// Custom resources have their own columns, and changes are seen.
	b.Open(base + "/workloads?type=deployments.apps&ns=shop")
	b.Shows("2 of 2", "cart", "web")
	b.Picture("dashboard-workloads")
	b.Open(base + "/object?type=deployments.apps&ns=shop&name=web")
	b.Shows("Deployment web", "Available")
	b.Click(`.buttons a[href*="verb=scale"]`)
	b.Shows("Scale Deployment web?", "--replicas=3")
	browser.Eval[string](b, "document.querySelector('input[name=replicas]').value = '4'")
	b.Click("button.primary")
	b.Shows("It is being scaled.")
	b.Until("four replicas", "[...document.querySelectorAll('dl.facts dt')].some(e => e.textContent === 'readyReplicas' && e.nextElementSibling.textContent === '4')")
	if got := strings.TrimSpace(c.Kubectl(t, "get", "deployment", "web", "-n", "shop", "-o", "jsonpath={.spec.replicas}")); got != "4" {
		t.Errorf("the cluster has %s replicas", got)
	}
	for _, tab := range []string{"yaml", "events", "related", "history"} {
		b.Open(base + "/object?type=deployments.apps&ns=shop&name=web&tab=" + tab)
		b.Until("the part "+tab, `document.querySelector('.tabs [aria-current="page"]')`)
	}
	b.Shows("spec.replicas", "bonsai-dashboard")
	b.Open(base + "/object?type=deployments.apps&ns=shop&name=cart&tab=logs")
	b.Shows("redis.defualt")
	b.Picture("dashboard-logs")
	b.Open(base + "/events")
	b.Until("Events", "document.querySelectorAll('.table .body .row').length > 3")
	b.Picture("dashboard-events")

	// Repaired while somebody looks.
	b.Open(base + "/")
	b.Shows("deployment cart")
	c.Kubectl(t, "patch", "deployment", "cart", "-n", "shop", "--type=json", "-p", `[{"op":"replace","path":"/spec/template/spec/containers/0/args/1","value":"redis.default.svc"}]`)
	b.Shows("nothing is wrong")

	// In Chinese, and narrow.
	b.Click("#language")
	b.Shows("一切正常", "概览", "实时")
	for _, path := range []string{"/", "/architecture", "/workloads", "/nodes", "/events", "/addons", "/history"} {
		b.Open(base + path)
		for _, width := range []int{360, 1280, 3840} {
			b.Size(width, 900)
			b.Fits()
		}
	}
	b.Size(360, 740)
	b.Open(base + "/")
	b.Shows("一切正常")
	b.Picture("dashboard-narrow")
	b.Size(1280, 900)

	for _, request := range b.Requests() {
		if !strings.HasPrefix(request, base+"/") {
			t.Errorf("a page requests %s", request)
		}
	}
	if errs := b.Errors(); len(errs) > 0 {
		t.Errorf("errors in pages: %q", errs)
	}

	// A read-only session, and the end of all.
	reader := browser.New(t, "en")
	reader.Open(strings.TrimSpace(c.Must(t, "dashboard", "--url", "--readonly")))
	reader.Shows("read-only")
	reader.Open(base + "/object?type=deployments.apps&ns=shop&name=web")
	reader.Shows("Deployment web")
	if strings.Contains(browser.Eval[string](reader, "document.body.innerHTML"), "/confirm") {
		t.Error("a read-only session is offered actions")
	}
	var revoked cluster.DashboardRevoked
	if err := json.Unmarshal([]byte(c.Must(t, "dashboard", "--revoke", "-o", "json")), &revoked); err != nil || revoked.Sessions != 2 {
		t.Errorf("revoked %+v, %v", revoked, err)
	}
	reader.Shows("the session has ended")
	b.Open(base + "/")
	b.Shows("此浏览器尚未登录")

	// The address stays after a restart, and the addon's end is the listener's.
	c.Must(t, "stop")
	c.Must(t, "start")
	if again, err := url.Parse(strings.TrimSpace(c.Must(t, "dashboard", "--url"))); err != nil || again.Host != u.Host {
		t.Errorf("after a restart the address is %s, %v", again, err)
	}
	c.Must(t, "addons", "disable", "dashboard")
	if r := c.Bonsai(t, "dashboard", "--revoke"); r.Code != 0 {
		t.Errorf("%s", r)
	}
}

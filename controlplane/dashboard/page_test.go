package dashboard

import (
	"bufio"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"bonsai/bootstrap/cluster"
)

var update = flag.Bool("update", false, "write the golden pages")

func newReader(text string) *bufio.Reader { return bufio.NewReader(strings.NewReader(text)) }

// addresses are all pages, of the cluster shop.
func addresses() []string {
	list := []string{"/", "/architecture", "/workloads?type=deployments.apps&ns=shop", "/nodes", "/events", "/addons", "/history?ns=shop",
		"/object?type=secrets&ns=shop&name=key&tab=yaml", "/object?type=nodes&name=dev-1", "/object?type=services&ns=shop&name=cart&tab=related",
		"/confirm?verb=scale&type=deployments.apps&ns=shop&name=cart&uid=u1&replicas=2", "/confirm?verb=delete&type=pods&ns=shop&name=cart-1"}
	list = append(list, "/traffic", "/traffic?all=true", "/dns", "/start", "/object?type=pods&ns=shop&name=cart-1&tab=birth", "/history?at=1777863722", "/past?type=deployments.apps&ns=shop&name=cart&to=7", "/confirm?verb=drain&type=nodes&name=dev-1", "/confirm?verb=rollback&type=deployments.apps&ns=shop&name=cart&revision=2", "/confirm?verb=delete&type=namespaces&name=shop", "/confirm?verb=delete&type=deployments.apps&ns=shop&name=cart",
		"/object?type=deployments.apps&ns=shop&name=cart&tab=revisions", editCart, "/create", "/create?kind=service&ns=shop", "/create?kind=deployment&ns=shop&name=web&image=nginx&replicas=2")
	for _, tab := range []string{tabSummary, tabYAML, tabEvents, tabLogs, tabRelated, tabHistory} {
		list = append(list, "/object?type=pods&ns=shop&name=cart-1&tab="+tab, "/object?type=deployment&ns=shop&name=cart&tab="+tab)
	}
	return list
}

func TestValuesOfSecretsAreNotShown(t *testing.T) {
	r := newRig(t, shop()).logIn(false)
	for _, tab := range []string{tabSummary, tabYAML, tabRelated} {
		body := r.get("/object?type=secrets&ns=shop&name=key&tab=" + tab).Body.String()
		if strings.Contains(body, "aHVudGVyMg") || strings.Contains(body, "hunter2") {
			t.Errorf("%s shows the value: %s", tab, body)
		}
		if tab == tabYAML && !strings.Contains(body, "password") {
			t.Errorf("the key is missing: %s", body)
		}
	}
}

func TestRelated(t *testing.T) {
	r := newRig(t, shop()).logIn(false)
	for path, want := range map[string][]string{
		"/object?type=pods&ns=shop&name=cart-1&tab=related":           {"ReplicaSet</span> cart-a", "Deployment</span> cart", "runs on", "Node</span> dev-1", "ConfigMap</span> settings", "does not exist", "in variables", "is used by", "Service</span> cart", "by labels"},
		"/object?type=deployments.apps&ns=shop&name=cart&tab=related": {"creates and uses", "ReplicaSet</span> cart-a", "CrashLoopBackOff", "Pod</span> cart-1", "Pod</span> cart-2"},
		"/object?type=services&ns=shop&name=cart&tab=related":         {"creates and uses", "Pod</span> cart-1"},
	} {
		body := r.get(path).Body.String()
		for _, text := range want {
			if !strings.Contains(body, text) {
				t.Errorf("%s has no %q: %s", path, text, body)
			}
		}
	}
}

var (
	versions = regexp.MustCompile(`/assets/[0-9a-f]{12}/`)
	// latest is the end of the slider, which is now.
	latest = regexp.MustCompile(`max="\d{10}" value="\d{10}"`)
	csrfs  = regexp.MustCompile(`name="csrf" value="[^"]*"`)
)

func TestGolden(t *testing.T) {
	for name, c := range map[string]struct{ lang, path string }{
		"overview": {"en", "/"}, "overview-zh": {"zh", "/"}, "architecture": {"en", "/architecture"}, "nodes": {"en", "/nodes"}, "object": {"en", "/object?type=pods&ns=shop&name=cart-1"},
		"yaml": {"en", "/object?type=deployments.apps&ns=shop&name=cart&tab=yaml"}, "confirm-zh": {"zh", "/confirm?verb=delete&type=pods&ns=shop&name=cart-1&uid=u2"}, "refused": {"en", "/nowhere"},
		"history": {"en", "/history"}, "addons": {"en", "/addons"}, "workloads": {"en", "/workloads?type=pods&ns=shop"},
		"past": {"en", "/past?type=deployments.apps&ns=shop&name=cart&to=7"}, "start": {"en", "/start"}, "birth-zh": {"zh", "/object?type=pods&ns=shop&name=cart-1&tab=birth"}, "edit": {"en", editCart}, "drain": {"en", "/confirm?verb=drain&type=nodes&name=dev-1"}, "rollback-zh": {"zh", "/confirm?verb=rollback&type=deployments.apps&ns=shop&name=cart&uid=u1&revision=2"},
		"delete": {"en", "/confirm?verb=delete&type=deployments.apps&ns=shop&name=cart"}, "revisions": {"en", "/object?type=deployments.apps&ns=shop&name=cart&tab=revisions"}, "create": {"en", "/create?kind=deployment&ns=shop&name=web&image=nginx&replicas=2"}, "related": {"en", "/object?type=deployments.apps&ns=shop&name=cart&tab=related"},
	} {
		r := newRig(t, shop()).logIn(false)
		r.cookies[languageCookie] = c.lang
		got := versions.ReplaceAllString(r.get(c.path).Body.String(), "/assets/VERSION/")
		got = csrfs.ReplaceAllString(got, `name="csrf" value="CSRF"`)
		got = latest.ReplaceAllString(got, `max="NOW" value="NOW"`)
		file := filepath.Join("testdata", name+".html")
		if *update {
			if err := os.WriteFile(file, []byte(got), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		if want, err := os.ReadFile(file); err != nil || string(want) != got {
			t.Errorf("%s is not as in %s, %v; if that is meant: go test ./controlplane/dashboard -run Golden -update\n%s", c.path, file, err, got)
		}
	}
}

func TestTheDrawingHasEveryPart(t *testing.T) {
	w := shop()
	pods := []podBox{}
	for i := range 200 {
		pods = append(pods, podBox{Name: fmt.Sprint("p", i), Node: "dev-1", Tone: "ok"})
	}
	d := draw(w.snapshot, &w.load, pods)
	if len(d.Nodes) != 2 || d.Nodes[0].More == 0 || len(d.Nodes[0].Pods)+d.Nodes[0].More != 200 || d.Nodes[1].More != 0 {
		t.Errorf("nodes are %+v", d.Nodes)
	}
	inside := func(what string, x, y, w, h int) {
		if x < 0 || y < 0 || x+w > d.Width || y+h > d.Height {
			t.Errorf("%s is outside of the drawing: %d, %d, %d, %d", what, x, y, w, h)
		}
	}
	explained := map[string]bool{}
	for _, e := range d.Explained {
		explained[e.Name] = true
	}
	for _, p := range d.Parts {
		inside(p.Name, p.X, p.Y, p.W, p.H)
		if !explained[p.Name] {
			t.Errorf("nothing explains %s", p.Name)
		}
	}
	for nodes := range 9 {
		s := w.snapshot
		s.Nodes = nil
		for i := range nodes {
			s.Nodes = append(s.Nodes, cluster.NodeStatus{Name: fmt.Sprint("dev-", i)})
		}
		d = draw(s, nil, pods)
		for _, n := range d.Nodes {
			inside(n.Name, n.X, n.Y, n.W, n.H)
			for _, p := range n.Pods {
				inside(p.Name, p.X, p.Y, podSize, podSize)
			}
			for _, p := range n.Parts {
				inside(p.Name, p.X, p.Y, p.W, p.H)
			}
		}
	}
	for status, want := range map[string]string{"Running": "ok", "Pending": "warn", "Init:0/1": "warn", "Init:CrashLoopBackOff": "bad", "Completed": "off", "CrashLoopBackOff": "bad", "Error": "bad"} {
		if got := podTone(status, false); got != want {
			t.Errorf("%s is %s, want %s", status, got, want)
		}
	}
}

package dashboard

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"encoding/json"
	"flag"
	"fmt"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/html"

	"bonsai/bootstrap/cluster"
	"bonsai/bootstrap/fault"
	"bonsai/bootstrap/kube"
)

var update = flag.Bool("update", false, "write the golden pages")

func newReader(text string) *bufio.Reader { return bufio.NewReader(strings.NewReader(text)) }

// addresses are all pages, of the cluster shop.
func addresses() []string {
	list := []string{"/", "/architecture", "/workloads?type=deployments.apps&ns=shop", "/nodes", "/events", "/addons", "/history?ns=shop",
		"/object?type=secrets&ns=shop&name=key&tab=yaml", "/object?type=nodes&name=dev-1", "/object?type=services&ns=shop&name=cart&tab=related",
		"/confirm?verb=scale&type=deployments.apps&ns=shop&name=cart&uid=u1&replicas=2", "/confirm?verb=delete&type=pods&ns=shop&name=cart-1"}
	for _, tab := range []string{tabSummary, tabYAML, tabEvents, tabLogs, tabRelated, tabHistory} {
		list = append(list, "/object?type=pods&ns=shop&name=cart-1&tab="+tab, "/object?type=deployment&ns=shop&name=cart&tab="+tab)
	}
	return list
}

// dangerous returns what a page has that text may not become; empty if there is nothing.
func dangerous(page string) string {
	root, err := html.Parse(strings.NewReader(page))
	if err != nil {
		return err.Error()
	}
	var found string
	var walk func(*html.Node)
	walk = func(n *html.Node) {
		if n.Type == html.ElementNode {
			src := ""
			for _, a := range n.Attr {
				switch {
				case strings.HasPrefix(a.Key, "on"), a.Key == "style", a.Key == "srcdoc":
					found = fmt.Sprintf("the attribute %s of %s", a.Key, n.Data)
				case a.Key == "src":
					src = a.Val
				case a.Key == "href" || a.Key == "action":
					if !strings.HasPrefix(a.Val, "/") && !strings.HasPrefix(a.Val, "#") || strings.HasPrefix(a.Val, "//") {
						found = fmt.Sprintf("a link to %q", a.Val)
					}
				}
			}
			switch n.Data {
			case "script":
				if !strings.HasPrefix(src, "/assets/") || n.FirstChild != nil {
					found = "a script"
				}
			case "style", "iframe", "object", "embed", "base", "img", "foreignobject", "hostile":
				found = "an element " + n.Data
			}
		}
		for c := n.FirstChild; c != nil; c = c.NextSibling {
			walk(c)
		}
	}
	walk(root)
	return found
}

// hostile is markup in every way in which it could begin.
const hostile = `</script><script>alert(1)</script>"'><img src=x onerror=alert(1)><hostile x="` + "`${alert(1)}`" + `{{.}}javascript:alert(1)`

// TestTextNeverBecomesMarkup has hostile text in every field that comes from the cluster.
func TestTextNeverBecomesMarkup(t *testing.T) {
	if dangerous(`<p><script>x</script>`) == "" || dangerous(`<a href="javascript:x">`) == "" || dangerous(`<p onclick=x>`) == "" {
		t.Fatal("danger is not found")
	}
	w := shop()
	for key, object := range w.objects {
		w.objects[key] = poisonJSON(t, object, hostile)
	}
	poison(reflect.ValueOf(&w.events), hostile)
	poison(reflect.ValueOf(&w.history), hostile)
	poison(reflect.ValueOf(&w.addons), hostile)
	poison(reflect.ValueOf(&w.lines), hostile)
	name := w.snapshot.Name
	poison(reflect.ValueOf(&w.snapshot), hostile)
	w.snapshot.Name = name
	for resource, b := range w.rows {
		poison(reflect.ValueOf(&b), hostile)
		w.rows[resource] = b
	}
	r := newRig(t, w).logIn(false)
	for _, lang := range []string{"en", "zh"} {
		r.cookies[languageCookie] = lang
		seen := 0
		for _, path := range addresses() {
			got := r.get(path)
			if got.Code != 200 {
				t.Errorf("%s answers %d", path, got.Code)
			}
			body := got.Body.String()
			if why := dangerous(body); why != "" {
				t.Errorf("%s in %s has %s:\n%s", path, lang, why, body)
			}
			seen += strings.Count(body, "&lt;hostile")
		}
		if seen < 50 {
			t.Errorf("in %s the text is shown %d times only", lang, seen)
		}
	}
	for _, path := range []string{"/object?type=" + url.QueryEscape(hostile), "/workloads?type=" + url.QueryEscape(hostile), "/" + url.PathEscape(hostile), "/confirm?verb=" + url.QueryEscape(hostile) + "&type=pods&ns=a&name=b"} {
		if why := dangerous(r.get(path).Body.String()); why != "" {
			t.Errorf("%s has %s", path, why)
		}
	}
	// What scripts get is JSON, which they set as text; the markup among it is the server's.
	for _, path := range []string{"/live/overview", "/live/architecture", "/live/nodes", "/live/addons", "/live/object?type=pods&ns=shop&name=cart-1"} {
		if why := dangerous("<!doctype html>" + r.part(path)); why != "" {
			t.Errorf("%s has %s", path, why)
		}
	}
}

// part is the first version of a page's part that a stream sends.
func (r *rig) part(path string) (part string) {
	r.Helper()
	r.follow(path, func(event, data string) bool {
		if event == "main" {
			if err := json.Unmarshal([]byte(data), &part); err != nil {
				r.Error(err)
			}
		}
		return event != "main"
	})
	return part
}

// follow reads a stream until f returns false.
func (r *rig) follow(path string, f func(event, data string) bool) {
	r.Helper()
	server := httptest.NewServer(r.s.Handler())
	defer server.Close()
	q, err := http.NewRequestWithContext(r.Context(), http.MethodGet, server.URL+path, nil)
	if err != nil {
		r.Fatal(err)
	}
	q.Host = host
	for name, value := range r.cookies {
		q.AddCookie(&http.Cookie{Name: name, Value: value})
	}
	got, err := server.Client().Do(q)
	if err != nil {
		r.Fatal(err)
	}
	defer func() { _ = got.Body.Close() }()
	if got.StatusCode != 200 || got.Header.Get("Content-Type") != "text/event-stream" {
		r.Fatalf("%s answers %d, %s", path, got.StatusCode, got.Header.Get("Content-Type"))
	}
	lines, event := bufio.NewScanner(got.Body), ""
	lines.Buffer(nil, 1<<24)
	for lines.Scan() {
		if name, ok := strings.CutPrefix(lines.Text(), "event: "); ok {
			event = name
		}
		if data, ok := strings.CutPrefix(lines.Text(), "data: "); ok && !f(event, data) {
			return
		}
	}
}

func TestPagesFollowTheCluster(t *testing.T) {
	r := newRig(t, shop()).logIn(false)
	versions := 0
	r.follow("/live/overview", func(event, data string) bool {
		switch {
		case event != "main":
			return true
		case versions == 0:
			r.w.change(func() { r.w.snapshot.Problems = nil })
		case !strings.Contains(data, "nothing is wrong"):
			t.Errorf("the second version is %s", data)
		}
		versions++
		return versions < 2
	})
	// A change that is not seen is not sent: the next event is the one after it.
	versions = 0
	r.follow("/live/overview", func(event, data string) bool {
		switch {
		case event != "main":
			return true
		case versions == 0:
			r.w.change(func() { r.w.snapshot.Time = time.Now() })
			r.w.change(func() { r.w.snapshot.KubernetesVersion = "v1.99.0" })
		case !strings.Contains(data, "v1.99.0"):
			t.Errorf("something is sent that is the same: %s", data)
		}
		versions++
		return versions < 2
	})
	ended := false
	r.follow("/live/nodes", func(event, _ string) bool {
		if event == "main" {
			r.s.Revoke()
			ended = true
		}
		return true // the server ends it
	})
	if !ended {
		t.Error("nothing was sent")
	}
}

func TestRows(t *testing.T) {
	r := newRig(t, shop()).logIn(false)
	r.follow("/rows?type=pods&ns=shop", func(event, data string) bool {
		if event != "rows" {
			return true
		}
		var b kube.RowBatch
		if err := json.Unmarshal([]byte(data), &b); err != nil || len(b.Set) != 2 || !b.Synced || len(b.Columns) != 3 {
			t.Errorf("got %+v, %v", b, err)
		}
		return false
	})
	r.follow("/eventrows", func(event, data string) bool {
		if event != "rows" {
			return true
		}
		var b kube.RowBatch
		if err := json.Unmarshal([]byte(data), &b); err != nil || len(b.Set) != 1 || len(b.Set[0].Cells) != len(b.Columns) || b.Set[0].Owner.Name != "cart-1" {
			t.Errorf("got %+v, %v", b, err)
		}
		return false
	})
	r.follow("/logs?ns=shop&pod=cart-1", func(event, data string) bool {
		if event == "lines" && !strings.Contains(data, "no such host") {
			t.Errorf("got %s", data)
		}
		return event != "lines"
	})
	r.follow("/rows?type=nothing", func(event, data string) bool {
		if event == "trouble" && !strings.Contains(data, "nothing") {
			t.Errorf("got %s", data)
		}
		return event != "trouble"
	})
	for _, path := range []string{"/logs", "/logs?ns=shop", "/logs?ns=..%2fx&pod=a", "/logs?ns=a.b&pod=a"} {
		if got := r.get(path); got.Code != 400 {
			t.Errorf("%s answers %d", path, got.Code)
		}
	}
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

func TestActions(t *testing.T) {
	for _, c := range []struct {
		form  url.Values
		want  kube.Action
		to    string
		line  string
		title string
	}{
		{url.Values{"verb": {"scale"}, "type": {"deployments.apps"}, "ns": {"shop"}, "name": {"cart"}, "uid": {"u1"}, "replicas": {"5"}}, kube.Action{Verb: kube.VerbScale, Replicas: 5, Grace: -1},
			"/object?name=cart&ns=shop&type=deployments.apps&done=scale", "bonsai kubectl -p dev -- scale deployments.apps cart -n shop --replicas=5", "Scale Deployment cart?"},
		{url.Values{"verb": {"restart"}, "type": {"deployments.apps"}, "ns": {"shop"}, "name": {"cart"}, "uid": {"u1"}}, kube.Action{Verb: kube.VerbRestart, Grace: -1},
			"/object?name=cart&ns=shop&type=deployments.apps&done=restart", "bonsai kubectl -p dev -- rollout restart deployments.apps cart -n shop", "Restart the pods of Deployment cart?"},
		{url.Values{"verb": {"delete"}, "type": {"widgets.example.com"}, "ns": {"shop"}, "name": {"w"}}, kube.Action{Verb: kube.VerbDelete, Grace: -1},
			"/workloads?ns=shop&type=widgets.example.com&done=delete", "bonsai kubectl -p dev -- delete widgets.example.com w -n shop", "Delete Widget w?"},
		{url.Values{"verb": {"uncordon"}, "type": {"nodes"}, "name": {"dev-1"}, "ns": {"shop"}}, kube.Action{Verb: kube.VerbUncordon, Grace: -1},
			"/object?name=dev-1&type=nodes&done=uncordon", "bonsai kubectl -p dev -- uncordon dev-1", "Let Node dev-1 have pods again?"},
	} {
		r := newRig(t, shop()).logIn(false)
		body := html.UnescapeString(r.get("/confirm?" + c.form.Encode()).Body.String())
		if !strings.Contains(body, c.title) || !strings.Contains(body, c.line) {
			t.Errorf("%s is confirmed by %s", c.line, body)
		}
		c.form.Set("csrf", r.csrf())
		got := r.send(http.MethodPost, "/do", c.form.Encode(), nil)
		if got.Code != 303 || got.Header().Get("Location") != c.to {
			t.Errorf("%s: answers %d and leads to %s", c.line, got.Code, got.Header().Get("Location"))
		}
		if len(r.w.done) != 1 {
			t.Fatalf("%s: done %+v", c.line, r.w.done)
		}
		a := r.w.done[0]
		if a.Ref.Name != c.form.Get("name") || a.Ref.UID != c.form.Get("uid") || typeName(a.Ref.Type.Resource, a.Ref.Type.Group) != c.form.Get("type") || a.Ref.Type.Namespaced != (a.Ref.Namespace == "shop") {
			t.Errorf("%s: done to %+v", c.line, a.Ref)
		}
		if a.Ref = (kube.Ref{}); a.Verb != c.want.Verb || a.Replicas != c.want.Replicas || a.Grace != c.want.Grace {
			t.Errorf("%s: done %+v", c.line, a)
		}
	}
	r := newRig(t, shop()).logIn(false)
	for _, query := range []string{
		"verb=scale&type=pods&ns=shop&name=a&replicas=1", "verb=drain&type=nodes&name=a", "verb=scale&type=deployments.apps&ns=shop&name=a&replicas=-1", "verb=scale&type=deployments.apps&ns=shop&name=a",
		"verb=scale&type=deployments.apps&ns=shop&name=a&replicas=10001", "verb=delete&type=deployments.apps&name=a", "verb=delete&type=pods&ns=a&name=..%2f..%2fnodes%2fx", "verb=delete&type=configmaps&ns=a&name=b",
	} {
		if got := r.send(http.MethodPost, "/do", query+"&csrf="+r.csrf(), nil); got.Code != 400 || len(r.w.done) > 0 {
			t.Errorf("%s answers %d", query, got.Code)
		}
	}
	r.w.failure = fault.Newf(fault.Conflict, "the object <b>changed</b>").Advise("see why", cluster.Bonsai("logs").On("daemon"))
	got := r.send(http.MethodPost, "/do", "verb=delete&type=pods&ns=shop&name=cart-1&csrf="+r.csrf(), nil)
	if body := got.Body.String(); got.Code != 409 || !strings.Contains(body, "the object &lt;b&gt;changed") || !strings.Contains(body, "bonsai logs daemon -p dev") {
		t.Errorf("a failure answers %d: %s", got.Code, body)
	}
	if r := newRig(t, shop()).logIn(true); strings.Contains(r.get("/object?type=pods&ns=shop&name=cart-1").Body.String(), "/confirm") || r.get("/confirm?verb=delete&type=pods&ns=shop&name=cart-1").Code != 403 {
		t.Error("a read-only session is offered actions")
	}
}

func TestRelated(t *testing.T) {
	r := newRig(t, shop()).logIn(false)
	for path, want := range map[string][]string{
		"/object?type=pods&ns=shop&name=cart-1&tab=related":           {"ReplicaSet</span> cart-a", "Deployment</span> cart", "Node</span> dev-1", "ConfigMap</span> settings", "is selected by", "Service</span> cart"},
		"/object?type=deployments.apps&ns=shop&name=cart&tab=related": {"creates", "ReplicaSet</span> cart-a", "Pod</span> cart-1", "Pod</span> cart-2"},
		"/object?type=services&ns=shop&name=cart&tab=related":         {"selects", "Pod</span> cart-1"},
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
	csrfs    = regexp.MustCompile(`name="csrf" value="[^"]*"`)
)

func TestGolden(t *testing.T) {
	for name, c := range map[string]struct{ lang, path string }{
		"overview": {"en", "/"}, "overview-zh": {"zh", "/"}, "architecture": {"en", "/architecture"}, "nodes": {"en", "/nodes"}, "object": {"en", "/object?type=pods&ns=shop&name=cart-1"},
		"yaml": {"en", "/object?type=deployments.apps&ns=shop&name=cart&tab=yaml"}, "confirm-zh": {"zh", "/confirm?verb=delete&type=pods&ns=shop&name=cart-1&uid=u2"}, "refused": {"en", "/nowhere"},
		"history": {"en", "/history"}, "addons": {"en", "/addons"}, "workloads": {"en", "/workloads?type=pods&ns=shop"},
	} {
		r := newRig(t, shop()).logIn(false)
		r.cookies[languageCookie] = c.lang
		got := versions.ReplaceAllString(r.get(c.path).Body.String(), "/assets/VERSION/")
		got = csrfs.ReplaceAllString(got, `name="csrf" value="CSRF"`)
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

// TestNothingComesFromElsewhere: scripts and styles name no other place, and templates have no script or style in them.
func TestNothingComesFromElsewhere(t *testing.T) {
	total := 0
	err := fs.WalkDir(web, "web", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		data, err := web.ReadFile(path)
		if err != nil {
			return err
		}
		text := strings.ReplaceAll(string(data), `xmlns="http://www.w3.org/2000/svg"`, "")
		for _, bad := range []string{"http:", "https:", "//cdn", " style=\"", "@import", "eval(", "new Function", "insertAdjacentHTML", "outerHTML", "document.write"} {
			if strings.Contains(text, bad) {
				t.Errorf("%s has %q", path, bad)
			}
		}
		if n := strings.Count(text, "innerHTML"); n > 0 && (!strings.HasSuffix(path, "/live.js") || n != 1) {
			t.Errorf("%s makes markup of text", path)
		}
		var b bytes.Buffer
		z := gzip.NewWriter(&b)
		if _, err := z.Write(data); err != nil {
			return err
		}
		total += b.Len()
		return z.Close()
	})
	if err != nil {
		t.Fatal(err)
	}
	if total > 400<<10 {
		t.Errorf("the dashboard is %d bytes, compressed", total)
	}
	r := newRig(t, shop())
	for _, path := range []string{assetPrefix() + "app.js", assetPrefix() + "style.css", assetPrefix() + "icon.svg"} {
		if got := r.get(path); got.Code != 200 || !strings.Contains(got.Header().Get("Cache-Control"), "immutable") {
			t.Errorf("%s answers %d, %v", path, got.Code, got.Header())
		}
	}
	for _, path := range []string{assetPrefix() + "page-overview.html", assetPrefix() + "..%2fserver.go", "/assets/x/none.js", assetPrefix() + "%2e%2e/server.go"} {
		if got := r.get(path); got.Code == 200 {
			t.Errorf("%s is served", path)
		}
	}
}

// TestAPageRecovers: what cannot be shown now is explained, and shown as soon as it can be.
func TestAPageRecovers(t *testing.T) {
	w := shop()
	w.failure = fault.Newf(fault.NotRunning, "the control plane of dev is still starting").Advise("see why", cluster.Bonsai("logs").On("daemon"))
	r := newRig(t, w).logIn(false)
	got := r.get("/object?type=pods&ns=shop&name=cart-1")
	if body := got.Body.String(); got.Code != 503 || !strings.Contains(body, "is still starting") || !strings.Contains(body, "bonsai logs daemon -p dev") || !strings.Contains(body, `<div id="part">`) {
		t.Errorf("the page answers %d: %s", got.Code, body)
	}
	var events []string
	r.follow("/live/object?type=pods&ns=shop&name=cart-1", func(event, data string) bool {
		if event == "trouble" && strings.Contains(data, "still starting") {
			w.change(func() { w.failure = nil })
		}
		if events = append(events, event); event == "main" && !strings.Contains(data, "CrashLoopBackOff") {
			t.Errorf("the page is %s", data)
		}
		return event != "main"
	})
	if !slices.Contains(events, "trouble") {
		t.Errorf("the events are %q", events)
	}
}

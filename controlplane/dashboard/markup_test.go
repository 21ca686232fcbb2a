package dashboard

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"fmt"
	"io/fs"
	"net/url"
	"reflect"
	"strings"
	"testing"

	"golang.org/x/net/html"

	"bonsai/bootstrap/kube"
)

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
	poison(reflect.ValueOf(&w.differences), hostile)
	poison(reflect.ValueOf(&w.flows), hostile)
	poison(reflect.ValueOf(&w.questions), hostile)
	poison(reflect.ValueOf(&w.born.Steps), hostile)
	poison(reflect.ValueOf(&w.born.Scheduling), hostile)
	poison(reflect.ValueOf(&w.starts[0].Steps), hostile)
	w.past.Object["spec"] = hostile
	w.past.Kind += hostile
	poison(reflect.ValueOf(&w.drain), hostile)
	for _, list := range w.revisions {
		poison(reflect.ValueOf(&list), hostile)
	}
	for of, shared := range w.relations { // with the types of the world, which stay as they are
		var r kube.Relations
		if data, err := json.Marshal(shared); err != nil || json.Unmarshal(data, &r) != nil {
			t.Fatal(err)
		}
		poison(reflect.ValueOf(&r), hostile)
		w.relations[of] = r
	}
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
	for _, path := range []string{"/live/overview", "/live/architecture", "/live/nodes", "/live/addons", "/live/traffic?all=true", "/live/object?type=pods&ns=shop&name=cart-1"} {
		if why := dangerous("<!doctype html>" + r.part(path)); why != "" {
			t.Errorf("%s has %s", path, why)
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

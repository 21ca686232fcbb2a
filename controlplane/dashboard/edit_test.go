package dashboard

import (
	"net/http"
	"net/url"
	"strings"
	"testing"

	"golang.org/x/net/html"

	"bonsai/bootstrap/fault"
)

// field is the value of the first control of a page with a name.
func field(page, name string) string {
	root, err := html.Parse(strings.NewReader(page))
	if err != nil {
		return err.Error()
	}
	var value string
	found := false
	var walk func(*html.Node)
	walk = func(n *html.Node) {
		if n.Type == html.ElementNode && !found {
			of := map[string]string{}
			for _, a := range n.Attr {
				of[a.Key] = a.Val
			}
			if of["name"] == name {
				found, value = true, of["value"]
				if n.Data == "textarea" && n.FirstChild != nil {
					value = n.FirstChild.Data
				}
			}
		}
		for c := n.FirstChild; c != nil; c = c.NextSibling {
			walk(c)
		}
	}
	walk(root)
	return value
}

// post sends a form of the session.
func (r *rig) post(path string, form url.Values) (code int, body, to string) {
	r.Helper()
	form.Set("csrf", r.csrf())
	got := r.send(http.MethodPost, path, form.Encode(), nil)
	return got.Code, got.Body.String(), got.Header().Get("Location")
}

const editCart = "/edit?name=cart&ns=shop&type=deployments.apps"

func TestEdit(t *testing.T) {
	r := newRig(t, shop()).logIn(false)
	if body := r.get("/object?type=deployments.apps&ns=shop&name=cart").Body.String(); !strings.Contains(html.UnescapeString(body), editCart) {
		t.Fatalf("the object's page offers no edit: %s", body)
	}
	page := r.get(editCart).Body.String()
	text, base := field(page, "text"), field(page, "base")
	if !strings.HasPrefix(text, "apiVersion: apps/v1\n") || text != base || strings.Contains(text, "managedFields") || !strings.Contains(page, "bonsai kubectl -p dev -- edit deployments.apps cart -n shop") {
		t.Fatalf("the page has %q, %q: %s", text, base, page)
	}
	// As a browser sends it. Nothing is changed before it was shown.
	form := url.Values{"step": {stepDo}, "base": {base}, "text": {strings.ReplaceAll(strings.Replace(text, "replicas: 2", "replicas: 3", 1), "\n", "\r\n")}}
	code, body, _ := r.post(editCart, form)
	for _, want := range []string{"What would change", "<del>replicas: 2</del>", "<ins>replicas: 3</ins>", "<ins>zone: default</ins>"} {
		if code != 200 || !strings.Contains(body, want) {
			t.Fatalf("%d: no %q in %s", code, want, body)
		}
	}
	if len(r.w.written) > 0 {
		t.Fatalf("written: %q", r.w.written)
	}
	form.Set("checked", field(body, "checked"))
	form.Set("text", field(body, "text")+"# more\n")
	if code, _, _ = r.post(editCart, form); code != 200 || len(r.w.written) > 0 {
		t.Fatalf("what nobody has seen answers %d and is written: %q", code, r.w.written)
	}
	form.Set("text", field(body, "text"))
	code, body, to := r.post(editCart, form)
	if code != 303 || to != "/object?name=cart&ns=shop&type=deployments.apps&done=edit" {
		t.Errorf("it answers %d, leads to %s: %s", code, to, body)
	}
	if len(r.w.written) != 1 || !strings.HasPrefix(r.w.written[0], "deployments/shop/cart\napiVersion") || !strings.Contains(r.w.written[0], "replicas: 3\n") || strings.Contains(r.w.written[0], "\r") {
		t.Errorf("written: %q", r.w.written)
	}
	if _, body, _ = r.post(editCart, url.Values{"step": {stepCheck}, "base": {base}, "text": {base}}); !strings.Contains(body, "nothing would change") {
		t.Errorf("the same text: %s", body)
	}
}

func TestAConflictIsExplained(t *testing.T) {
	r := newRig(t, shop()).logIn(false)
	base := field(r.get(editCart).Body.String(), "base")
	mine := strings.Replace(base, "replicas: 2", "replicas: 3", 1)
	mine = strings.Replace(mine, "  uid: u1\n", "  resourceVersion: \"7\"\n  uid: u1\n", 1)
	r.w.objects["deployments/shop/cart"] = strings.NewReplacer("web:1", "web:9", `"uid":"u1"`, `"uid":"u1","resourceVersion":"8"`).Replace(r.w.objects["deployments/shop/cart"])
	r.w.refused = fault.Newf(fault.Conflict, "change deployments/cart: it was changed").Advise("it has changed in the meantime; check it and repeat the action")
	code, body, _ := r.post(editCart, url.Values{"step": {stepDo}, "checked": {identify(mine)}, "base": {base}, "text": {mine}})
	for _, want := range []string{"What others have changed meanwhile", "image: web:1</del>", "image: web:9</ins>", "it was changed"} {
		if code != 200 || !strings.Contains(body, want) {
			t.Fatalf("%d: no %q in %s", code, want, body)
		}
	}
	if field(body, "text") != mine {
		t.Errorf("the text is lost: %s", body)
	}
	// With the version there is now, the same text takes their change back, which is shown.
	r.w.refused = nil
	_, body, _ = r.post(editCart, url.Values{"step": {stepRebase}, "base": {base}, "text": {mine}})
	if text := field(body, "text"); !strings.Contains(text, `resourceVersion: "8"`) || !strings.Contains(text, "replicas: 3") || !strings.Contains(body, "image: web:9</del>") {
		t.Errorf("rebased: %s", body)
	}
	r.w.refused = fault.Newf(fault.Refused, "change deployments/cart: spec.replicas: Invalid value")
	if _, body, _ = r.post(editCart, url.Values{"step": {stepCheck}, "base": {base}, "text": {mine}}); !strings.Contains(body, "Invalid value") || field(body, "text") != mine || strings.Contains(body, "What others") {
		t.Errorf("a refusal: %s", body)
	}
}

// TestAStatusDoesNotConflict: a rollout changes an object all the time, and takes nothing of the user's.
func TestAStatusDoesNotConflict(t *testing.T) {
	r := newRig(t, shop()).logIn(false)
	r.w.objects["deployments/shop/cart"] = strings.Replace(r.w.objects["deployments/shop/cart"], `"uid":"u1"`, `"uid":"u1","resourceVersion":"7"`, 1)
	base := field(r.get(editCart).Body.String(), "base")
	mine := strings.Replace(base, "replicas: 2\n  selector", "replicas: 3\n  selector", 1)
	r.w.objects["deployments/shop/cart"] = strings.NewReplacer(`"resourceVersion":"7"`, `"resourceVersion":"8"`, `"status":{"replicas":2`, `"status":{"replicas":1`).Replace(r.w.objects["deployments/shop/cart"])
	r.w.conflicts = 2
	code, body, to := r.post(editCart, url.Values{"step": {stepDo}, "checked": {identify(mine)}, "base": {base}, "text": {mine}})
	if code != 303 || !strings.HasSuffix(to, "done=edit") || len(r.w.written) != 1 || !strings.Contains(r.w.written[0], `resourceVersion: "8"`) || !strings.Contains(r.w.written[0], "replicas: 3") {
		t.Errorf("%d leads to %s, written %q: %s", code, to, r.w.written, body)
	}
	// One that is refused for ever ends.
	r.w.conflicts = 1000
	if code, body, _ := r.post(editCart, url.Values{"step": {stepDo}, "checked": {identify(mine)}, "base": {base}, "text": {mine}}); code != 200 || !strings.Contains(body, "nothing but its status") {
		t.Errorf("%d: %s", code, body)
	}
}

func TestWhatCannotBeEdited(t *testing.T) {
	r := newRig(t, shop()).logIn(false)
	for path, want := range map[string]int{
		"/edit?type=secrets&ns=shop&name=key": 400, "/edit?type=namespaces&name=shop": 400, "/edit?type=deployments.apps&ns=shop&name=none": 404, "/edit": 404,
	} {
		got := r.get(path)
		code, _, _ := r.post(path, url.Values{"step": {stepDo}, "text": {"a: b"}, "checked": {identify("a: b")}})
		if got.Code != want || strings.Contains(got.Body.String(), "aHVu") || code < 400 && path != "/edit?type=deployments.apps&ns=shop&name=none" {
			t.Errorf("%s answers %d, a form %d: %s", path, got.Code, code, got.Body)
		}
	}
	if body := r.get("/object?type=secrets&ns=shop&name=key").Body.String(); strings.Contains(body, "/edit") {
		t.Error("a Secret can be edited")
	}
	if r := newRig(t, shop()).logIn(true); r.get(editCart).Code != 403 || r.get("/create").Code != 403 || strings.Contains(r.get("/workloads").Body.String(), "/create") {
		t.Error("a read-only session is offered changes")
	}
}

func TestCreate(t *testing.T) {
	r := newRig(t, shop()).logIn(false)
	form := url.Values{"kind": {"deployment"}, "ns": {"shop"}, "name": {"web"}, "image": {"nginx:alpine"}, "replicas": {"2"}, "port": {"80"}}
	page := html.UnescapeString(r.get("/create?" + form.Encode()).Body.String())
	text := field(page, "text")
	if !strings.Contains(text, "image: nginx:alpine\n") || !strings.Contains(page, "bonsai kubectl -p dev -- create deployment web -n shop --image=nginx:alpine --replicas=2 --port=80") {
		t.Fatalf("the form makes %q: %s", text, page)
	}
	post := url.Values{"step": {stepDo}, "namespace": {"shop"}, "text": {text}}
	code, body, _ := r.post("/create?"+form.Encode(), post)
	if code != 200 || len(r.w.written) > 0 || !strings.Contains(body, "What would be created") || !strings.Contains(body, "zone: default") {
		t.Fatalf("%d, written %q: %s", code, r.w.written, body)
	}
	post.Set("checked", field(body, "checked"))
	post.Set("namespace", "other")
	if code, _, _ := r.post("/create", post); code != 200 || len(r.w.written) > 0 {
		t.Errorf("in another namespace than was shown: %d, %q", code, r.w.written)
	}
	post.Set("namespace", "shop")
	code, _, to := r.post("/create", post)
	if code != 303 || to != "/object?name=web&ns=shop&type=deployments.apps&done=create" || len(r.w.written) != 1 {
		t.Errorf("%d leads to %s, written %q", code, to, r.w.written)
	}
	// Of several, one fails.
	text = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\n---\napiVersion: v1\nkind: Secret\nmetadata: {name: b}\ndata: {password: aHVudGVyMg==}\n"
	post = url.Values{"step": {stepCheck}, "namespace": {"shop"}, "text": {text}}
	_, body, _ = r.post("/create", post)
	if strings.Count(body, "<details") != 2 || strings.Count(body, "aHVudGVyMg") != 1 { // that of the user's own text
		t.Errorf("two objects are %s", body)
	}
	r.w.refused = fault.Newf(fault.Conflict, "there is one of this name already")
	post.Set("step", stepDo)
	post.Set("checked", field(body, "checked"))
	code, body, _ = r.post("/create", post)
	if code != 200 || !strings.Contains(body, "one of this name already") || !strings.Contains(body, "ConfigMap</span> a") || field(body, "text") != text {
		t.Errorf("%d: %s", code, body)
	}
	_, body, _ = r.post("/create", url.Values{"step": {stepCheck}, "namespace": {"shop"}, "text": {"a: b\n"}})
	if !strings.Contains(body, "has no name") || field(body, "text") != "a: b\n" {
		t.Errorf("a text that is no object: %s", body)
	}
}

func TestForms(t *testing.T) {
	for _, c := range []struct{ query, want, line string }{
		{"kind=deployment&ns=shop&name=web&image=nginx&replicas=1", "apiVersion: apps/v1\nkind: Deployment\nmetadata:\n  labels:\n    app: web\n  name: web\n  namespace: shop\nspec:\n  replicas: 1\n  selector:\n    matchLabels:\n      app: web\n  template:\n    metadata:\n      labels:\n        app: web\n    spec:\n      containers:\n      - image: nginx\n        name: web\n",
			"bonsai kubectl -- create deployment web -n shop --image=nginx"},
		{"kind=service&ns=shop&name=web&selector=app%3Dweb&port=80&target=8080&type=NodePort", "apiVersion: v1\nkind: Service\nmetadata:\n  name: web\n  namespace: shop\nspec:\n  ports:\n  - port: 80\n    targetPort: 8080\n  selector:\n    app: web\n  type: NodePort\n",
			"bonsai kubectl -- create -f FILE"},
		{"kind=configmap&ns=shop&name=a&data=K%3Dv%0D%0AL%3Da%3Db", "apiVersion: v1\ndata:\n  K: v\n  L: a=b\nkind: ConfigMap\nmetadata:\n  name: a\n  namespace: shop\n",
			"bonsai kubectl -- create configmap a -n shop --from-literal=K=v --from-literal=L=a=b"},
		{"kind=job&ns=shop&name=once&image=busybox&command=echo+hi", "apiVersion: batch/v1\nkind: Job\nmetadata:\n  name: once\n  namespace: shop\nspec:\n  template:\n    spec:\n      containers:\n      - command:\n        - sh\n        - -c\n        - echo hi\n        image: busybox\n        name: once\n      restartPolicy: Never\n",
			"bonsai kubectl -- create job once -n shop --image=busybox -- sh -c 'echo hi'"},
		{"kind=namespace&ns=shop&name=new", "apiVersion: v1\nkind: Namespace\nmetadata:\n  name: new\n", "bonsai kubectl -- create namespace new"},
	} {
		v, err := url.ParseQuery(c.query)
		if err != nil {
			t.Fatal(err)
		}
		got, err := textOfForm(v.Get("kind"), v)
		if err != nil || got != c.want {
			t.Errorf("%s makes\n%s, %v; want\n%s", c.query, got, err, c.want)
		}
		if line := lineOfCreate(&request{query: v}).String(); line != c.line {
			t.Errorf("%s is %s, want %s", c.query, line, c.line)
		}
	}
	for _, query := range []string{
		"kind=deployment&name=", "kind=deployment&name=a&replicas=many", "kind=deployment&name=a&replicas=-1", "kind=service&name=a&port=", "kind=service&name=a&port=80&selector=app", "kind=service&name=a&port=99999",
		"kind=configmap&name=a&data=x", "kind=widget&name=a",
	} {
		v, _ := url.ParseQuery(query)
		if got, err := textOfForm(v.Get("kind"), v); fault.KindOf(err) != fault.Usage {
			t.Errorf("%s makes %q, %v", query, got, err)
		}
	}
}

package session

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"

	"bonsai/bootstrap/fault"
	"bonsai/bootstrap/kube"
)

func TestParseObjects(t *testing.T) {
	list, err := parseObjects("# a comment\n---\napiVersion: v1\nkind: Namespace\nmetadata:\n  name: shop\n---\napiVersion: v1\nkind: ConfigMap\nmetadata:\n  generateName: settings-\n---\n")
	if err != nil || len(list) != 2 || list[0].GetName() != "shop" || list[1].GetGenerateName() != "settings-" {
		t.Errorf("%+v, %v", list, err)
	}
	for text, want := range map[string]string{
		"": "no object", "---\n": "no object", "kind: Pod\n": "apiVersion or kind", "apiVersion: v1\nkind: Pod\n": "metadata.name",
		"apiVersion: v1\nkind: Pod\nkind: Pod\n": "already set", "a: [": "object 1", "apiVersion: v1\nkind: List\nitems: []\n": "it is a list",
		strings.Repeat("apiVersion: v1\nkind: Pod\nmetadata: {name: a}\n---\n", mostNew+1): "more than",
	} {
		if _, err := parseObjects(text); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%.40q: %v, want %s", text, err, want)
		}
	}
}

// creatingAPI has two types, and creates.
type creatingAPI struct {
	mu    sync.Mutex // guards asked
	asked []string
	taken string // the name of an object that exists
}

func (a *creatingAPI) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	switch {
	case r.Method == http.MethodPost:
		body, _ := io.ReadAll(r.Body)
		var o map[string]any
		_ = json.Unmarshal(body, &o)
		name, _ := o["metadata"].(map[string]any)["name"].(string)
		a.mu.Lock()
		a.asked = append(a.asked, strings.TrimSpace(r.URL.Path+" "+r.URL.Query().Get("dryRun")))
		a.mu.Unlock()
		if name == a.taken {
			w.WriteHeader(http.StatusConflict)
			fmt.Fprint(w, status(http.StatusConflict, "AlreadyExists"))
			return
		}
		if r.URL.Query().Get("fieldValidation") != "Strict" {
			w.WriteHeader(http.StatusBadRequest)
			fmt.Fprint(w, status(http.StatusBadRequest, "BadRequest"))
			return
		}
		o["metadata"].(map[string]any)["uid"] = "u-" + name
		o["defaulted"] = true
		w.WriteHeader(http.StatusCreated)
		_ = json.NewEncoder(w).Encode(o)
	case r.URL.Path == "/api":
		fmt.Fprint(w, `{"kind":"APIVersions","versions":["v1"]}`)
	case r.URL.Path == "/apis":
		fmt.Fprint(w, `{"kind":"APIGroupList","apiVersion":"v1","groups":[]}`)
	case r.URL.Path == "/api/v1":
		fmt.Fprint(w, `{"kind":"APIResourceList","groupVersion":"v1","resources":[
			{"name":"namespaces","kind":"Namespace","namespaced":false,"verbs":["list","create"]},{"name":"configmaps","kind":"ConfigMap","namespaced":true,"verbs":["list","create"]}]}`)
	default:
		w.WriteHeader(http.StatusNotFound)
		fmt.Fprint(w, status(http.StatusNotFound, "NotFound"))
	}
}

const twoObjects = "apiVersion: v1\nkind: Namespace\nmetadata: {name: new}\n---\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: a, namespace: new}\n---\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: b}\n"

func TestCreate(t *testing.T) {
	api := &creatingAPI{}
	s := newSession(t, api)
	preview, err := s.PreviewCreate(t.Context(), "shop", twoObjects)
	if err != nil || len(preview) != 3 || !preview[1].Unchecked || preview[2].Unchecked || preview[2].Ref.Namespace != "shop" {
		t.Fatalf("%+v, %v", preview, err)
	}
	if !strings.Contains(preview[0].YAML, "defaulted: true") || strings.Contains(preview[0].YAML, "uid") || strings.Contains(preview[1].YAML, "defaulted") {
		t.Errorf("%+v", preview)
	}
	want := "/api/v1/namespaces All, /api/v1/namespaces/shop/configmaps All"
	if got := strings.Join(api.asked, ", "); got != want {
		t.Errorf("asked %s, want %s", got, want)
	}
	api.asked = nil
	done, err := s.Create(t.Context(), "shop", twoObjects)
	if err != nil || len(done) != 3 || done[1].Namespace != "new" || done[1].UID != "u-a" {
		t.Errorf("%+v, %v", done, err)
	}
	if want, got := "/api/v1/namespaces, /api/v1/namespaces/new/configmaps, /api/v1/namespaces/shop/configmaps", strings.Join(api.asked, ", "); got != want {
		t.Errorf("asked %s, want %s", got, want)
	}
	// It stops at the first that fails, and says what it has created.
	api.taken = "a"
	done, err = s.Create(t.Context(), "shop", twoObjects)
	if fault.KindOf(err) != fault.Conflict || !strings.Contains(err.Error(), "this name already") || len(done) != 1 || done[0].Name != "new" {
		t.Errorf("%+v, %v", done, err)
	}
	for text, want := range map[string]string{
		"apiVersion: v1\nkind: Widget\nmetadata: {name: a}\n":                     "no Widget of v1",
		"apiVersion: v1\nkind: Namespace\nmetadata: {name: a, namespace: shop}\n": "is in none",
	} {
		if _, err := s.PreviewCreate(t.Context(), "shop", text); fault.KindOf(err) != fault.Usage || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v", text, err)
		}
	}
}

func TestDrainPlan(t *testing.T) {
	pod := func(name, spec, owner, labels string) string {
		return fmt.Sprintf(`{"metadata":{"name":%q,"namespace":"shop","uid":%q,"labels":{%s},"ownerReferences":[%s]},"spec":{"nodeName":"dev-1"%s},"status":{"phase":"Running"}}`, name, name, labels, owner, spec)
	}
	owned := func(kind string) string {
		return fmt.Sprintf(`{"apiVersion":"apps/v1","kind":%q,"name":"web","uid":"o","controller":true}`, kind)
	}
	pods := []string{pod("web-1", `,"volumes":[{"name":"a","emptyDir":{}}]`, owned("ReplicaSet"), `"app":"web"`), pod("log-1", "", owned("DaemonSet"), "")}
	list := func() string { return `{"kind":"PodList","apiVersion":"v1","items":[` + strings.Join(pods, ",") + `]}` }
	s := newSession(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		switch r.URL.Path {
		case "/api/v1/pods":
			if got := r.URL.Query().Get("fieldSelector"); got != "spec.nodeName=dev-1" {
				t.Errorf("the pods of %q", got)
			}
			fmt.Fprint(w, list())
		case "/apis/policy/v1/poddisruptionbudgets":
			fmt.Fprint(w, `{"kind":"PodDisruptionBudgetList","apiVersion":"policy/v1","items":[{"metadata":{"name":"keep","namespace":"shop"},"spec":{"selector":{"matchLabels":{"app":"web"}}},"status":{"disruptionsAllowed":0}}]}`)
		case "/apis/apps/v1/namespaces/shop/daemonsets/web":
			fmt.Fprint(w, `{"kind":"DaemonSet","apiVersion":"apps/v1","metadata":{"name":"web","namespace":"shop"}}`)
		default:
			w.WriteHeader(http.StatusNotFound)
			fmt.Fprint(w, status(http.StatusNotFound, "NotFound"))
		}
	}))
	p, err := s.DrainPlan(t.Context(), "dev-1")
	if err != nil || len(p.Evicted) != 1 || len(p.Staying) != 1 || len(p.Refused) > 0 {
		t.Fatalf("%+v, %v", p, err)
	}
	if want := (kube.DrainedPod{Namespace: "shop", Name: "web-1", Owner: kube.Object{Kind: "ReplicaSet", Name: "web"}, LocalData: true, Budget: "keep"}); p.Evicted[0] != want {
		t.Errorf("%+v, want %+v", p.Evicted[0], want)
	}
	pods = append(pods, pod("alone", "", "", ""))
	if p, err = s.DrainPlan(t.Context(), "dev-1"); err != nil || len(p.Refused) != 1 || !strings.Contains(p.Refused[0], "shop/alone") {
		t.Errorf("%+v, %v", p, err)
	}
}

package session

import (
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"

	"bonsai/bootstrap/fault"
	"bonsai/bootstrap/kube"
)

// objectAPI has objects by their paths. A change is recorded and answered with what the test says, or with the object.
type objectAPI struct {
	objects map[string]string
	answer  string

	mu      sync.Mutex // guards changes
	changes []string
}

func (a *objectAPI) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	text, ok := a.objects[r.URL.Path]
	if r.Method != http.MethodGet {
		body, _ := io.ReadAll(r.Body)
		line := r.Method + " " + r.URL.Path + " " + string(body)
		if dry := r.URL.Query().Get("dryRun"); dry != "" {
			line = "dry " + line
		}
		a.mu.Lock()
		a.changes = append(a.changes, line)
		a.mu.Unlock()
		text, ok = a.answer, true
	}
	w.Header().Set("Content-Type", "application/json")
	if !ok {
		w.WriteHeader(http.StatusNotFound)
		text = status(http.StatusNotFound, "NotFound")
	}
	fmt.Fprint(w, text)
}

// changed is what was asked for last.
func (a *objectAPI) changed(t *testing.T) string {
	t.Helper()
	a.mu.Lock()
	defer a.mu.Unlock()
	if len(a.changes) == 0 {
		t.Fatal("nothing was changed")
	}
	return a.changes[len(a.changes)-1]
}

const web = `{"apiVersion":"apps/v1","kind":"Deployment","metadata":{"name":"web","namespace":"shop","uid":"d1",
	"annotations":{"deployment.kubernetes.io/revision":"2","team":"shop"},"managedFields":[{"manager":"x"}]},
	"spec":{"template":{"spec":{"initContainers":[{"name":"setup","image":"setup:1"}],"containers":[{"name":"web","image":"web:2"}]}}}}`

func deployments() kube.ResourceType {
	return kube.ResourceType{Group: "apps", Version: "v1", Resource: "deployments", Kind: "Deployment", Namespaced: true}
}

func replicaSet(name, revision, image, owner string) string {
	return fmt.Sprintf(`{"metadata":{"name":%q,"namespace":"shop","creationTimestamp":"2026-08-01T10:00:00Z",
		"annotations":{"deployment.kubernetes.io/revision":%q,"kubernetes.io/change-cause":"because"},"ownerReferences":[{"uid":%q,"controller":true,"kind":"Deployment","name":"web","apiVersion":"apps/v1"}]},
		"spec":{"template":{"metadata":{"labels":{"app":"web","pod-template-hash":"77"}},"spec":{"containers":[{"name":"web","image":%q}]}}},"status":{"replicas":1}}`, name, revision, owner, image)
}

func TestChangesAreTriedBeforeTheyAreMade(t *testing.T) {
	api := &objectAPI{objects: map[string]string{"/apis/apps/v1/namespaces/shop/deployments/web": web}, answer: strings.Replace(web, "web:2", "web:3", 1)}
	s := newSession(t, api)
	ref := kube.Ref{Type: deployments(), Namespace: "shop", Name: "web", UID: "d1"}
	a := kube.Action{Verb: kube.VerbSetImage, Ref: ref, Images: map[string]string{"web": "web:3", "setup": "setup:2"}}
	d, err := s.Preview(t.Context(), a)
	if err != nil || !strings.Contains(d.Before, "image: web:2") || !strings.Contains(d.After, "image: web:3") || strings.Contains(d.Before+d.After, "managedFields") {
		t.Errorf("%+v, %v", d, err)
	}
	want := `PATCH /apis/apps/v1/namespaces/shop/deployments/web {"spec":{"template":{"spec":{"containers":[{"image":"web:3","name":"web"}],"initContainers":[{"image":"setup:2","name":"setup"}]}}}}`
	if got := api.changed(t); got != "dry "+want {
		t.Errorf("%s", got)
	}
	if err := s.Do(t.Context(), a, func(string) {}); err != nil || api.changed(t) != want {
		t.Errorf("%s, %v", api.changed(t), err)
	}

	for name, c := range map[string]struct {
		action kube.Action
		want   string
	}{
		"resources": {
			kube.Action{Verb: kube.VerbSetResources, Resources: map[string]kube.Resources{"web": {Requests: map[string]string{"cpu": "1"}, Limits: map[string]string{"memory": ""}}}},
			`{"spec":{"template":{"spec":{"containers":[{"name":"web","resources":{"limits":{"memory":null},"requests":{"cpu":"1"}}}]}}}}`,
		},
		"replicas": {kube.Action{Verb: kube.VerbScale, Replicas: 3}, `deployments/web {"spec":{"replicas":3}}`},
		"selector": {kube.Action{Verb: kube.VerbSetSelector, Selector: map[string]string{"app": "web"}}, `{"spec":{"selector":{"app":"web"}}}`},
		"suspend":  {kube.Action{Verb: kube.VerbSuspend}, `{"spec":{"suspend":true}}`},
		"resume":   {kube.Action{Verb: kube.VerbResume}, `{"spec":{"suspend":false}}`},
	} {
		c.action.Ref = ref
		if _, err := s.Preview(t.Context(), c.action); err != nil || !strings.Contains(api.changed(t), c.want) || !strings.HasPrefix(api.changed(t), "dry ") {
			t.Errorf("%s: %s, %v", name, api.changed(t), err)
		}
	}

	before := len(api.changes)
	d, err = s.Preview(t.Context(), kube.Action{Verb: kube.VerbDelete, Ref: ref})
	if err != nil || d.Before == "" || d.After != "" || len(api.changes) != before {
		t.Errorf("delete: %+v, %v", d, err)
	}
	a.Images = map[string]string{"wbe": "web:3"}
	if _, err := s.Preview(t.Context(), a); fault.KindOf(err) != fault.Usage || !strings.Contains(err.Error(), `no container "wbe"`) {
		t.Errorf("another container: %v", err)
	}
}

func TestRevisionsOfADeployment(t *testing.T) {
	api := &objectAPI{answer: web, objects: map[string]string{
		"/apis/apps/v1/namespaces/shop/deployments/web": web,
		"/apis/apps/v1/namespaces/shop/replicasets": fmt.Sprintf(`{"kind":"ReplicaSetList","apiVersion":"apps/v1","items":[%s,%s,%s]}`,
			replicaSet("web-1", "1", "web:1", "d1"), replicaSet("web-2", "2", "web:2", "d1"), replicaSet("other-9", "9", "web:9", "d9")),
	}}
	s := newSession(t, api)
	ref := kube.Ref{Type: deployments(), Namespace: "shop", Name: "web"}
	list, err := s.Revisions(t.Context(), ref)
	if err != nil || len(list) != 2 {
		t.Fatalf("%+v, %v", list, err)
	}
	newest := list[0]
	if newest.Number != 2 || !newest.Current || newest.Name != "web-2" || newest.Pods != 1 || newest.Cause != "because" || newest.Created.IsZero() || list[1].Current {
		t.Errorf("%+v", list)
	}
	if want := "metadata:\n  labels:\n    app: web\nspec:\n  containers:\n  - image: web:2\n    name: web\n    resources: {}\n"; newest.Template != want {
		t.Errorf("%s", newest.Template)
	}
	for _, number := range []int64{1, 0} {
		if err := s.Do(t.Context(), kube.Action{Verb: kube.VerbRollback, Ref: ref, Revision: number}, func(string) {}); err != nil {
			t.Fatal(err)
		}
		got := api.changed(t)
		for _, want := range []string{
			`{"op":"replace","path":"/spec/template","value":{"metadata":{"labels":{"app":"web"}}`, `"image":"web:1"`,
			`"path":"/metadata/annotations","value":{"deployment.kubernetes.io/revision":"2","kubernetes.io/change-cause":"because"}`,
		} {
			if !strings.Contains(got, want) {
				t.Errorf("revision %d: %s is not in\n%s", number, want, got)
			}
		}
	}
	if err := s.Do(t.Context(), kube.Action{Verb: kube.VerbRollback, Ref: ref, Revision: 7}, func(string) {}); fault.KindOf(err) != fault.ObjectNotFound {
		t.Errorf("%v", err)
	}
}

func TestRevisionsOfAStatefulSet(t *testing.T) {
	sts := kube.ResourceType{Group: "apps", Version: "v1", Resource: "statefulsets", Kind: "StatefulSet", Namespaced: true}
	revision := func(name string, number int, image string) string {
		return fmt.Sprintf(`{"metadata":{"name":%q,"namespace":"shop","labels":{"controller.kubernetes.io/hash":"h%d"},"ownerReferences":[{"uid":"s1","controller":true,"kind":"StatefulSet","name":"db","apiVersion":"apps/v1"}]},
			"revision":%d,"data":{"spec":{"template":{"$patch":"replace","metadata":{"creationTimestamp":null,"labels":{"app":"db"}},"spec":{"containers":[{"name":"db","image":%q}]}}}}}`, name, number, number, image)
	}
	api := &objectAPI{answer: `{"apiVersion":"apps/v1","kind":"StatefulSet","metadata":{"name":"db"}}`, objects: map[string]string{
		"/apis/apps/v1/namespaces/shop/statefulsets/db":     `{"apiVersion":"apps/v1","kind":"StatefulSet","metadata":{"name":"db","namespace":"shop","uid":"s1"}}`,
		"/apis/apps/v1/namespaces/shop/controllerrevisions": fmt.Sprintf(`{"kind":"ControllerRevisionList","apiVersion":"apps/v1","items":[%s,%s]}`, revision("db-a", 1, "db:1"), revision("db-b", 2, "db:2")),
		"/api/v1/namespaces/shop/pods": `{"kind":"PodList","apiVersion":"v1","items":[{"metadata":{"name":"db-0","labels":{"controller-revision-hash":"db-a"},
			"ownerReferences":[{"uid":"s1","controller":true,"kind":"StatefulSet","name":"db","apiVersion":"apps/v1"}]}}]}`,
	}}
	s := newSession(t, api)
	ref := kube.Ref{Type: sts, Namespace: "shop", Name: "db"}
	list, err := s.Revisions(t.Context(), ref)
	if err != nil || len(list) != 2 || list[0].Number != 2 || !list[0].Current || list[0].Pods != 0 || list[1].Pods != 1 {
		t.Fatalf("%+v, %v", list, err)
	}
	if want := "metadata:\n  labels:\n    app: db\nspec:\n  containers:\n  - image: db:1\n    name: db\n"; list[1].Template != want {
		t.Errorf("%s", list[1].Template)
	}
	if err := s.Do(t.Context(), kube.Action{Verb: kube.VerbRollback, Ref: ref}, func(string) {}); err != nil || !strings.Contains(api.changed(t), `"image":"db:1"`) || !strings.Contains(api.changed(t), `"$patch":"replace"`) {
		t.Errorf("%s, %v", api.changed(t), err)
	}
	ref.Type.Resource, ref.Type.Group = "jobs", "batch"
	api.objects["/apis/batch/v1/namespaces/shop/jobs/db"] = `{"apiVersion":"batch/v1","kind":"Job","metadata":{"name":"db"}}`
	if _, err := s.Revisions(t.Context(), ref); fault.KindOf(err) != fault.Usage {
		t.Errorf("%v", err)
	}
}

func TestAJobOfACronJobRunsNow(t *testing.T) {
	api := &objectAPI{answer: `{"apiVersion":"batch/v1","kind":"Job","metadata":{"name":"report-x"}}`, objects: map[string]string{
		"/apis/batch/v1/namespaces/shop/cronjobs/report": `{"apiVersion":"batch/v1","kind":"CronJob","metadata":{"name":"report","namespace":"shop","uid":"c1"},
			"spec":{"schedule":"0 3 * * *","jobTemplate":{"metadata":{"labels":{"a":"b"},"annotations":{"k":"v"}},"spec":{"backoffLimit":2,"template":{"spec":{"containers":[{"name":"r","image":"r:1"}]}}}}}}`,
	}}
	s := newSession(t, api)
	a := kube.Action{Verb: kube.VerbRun, JobName: "report-x", Ref: kube.Ref{Namespace: "shop", Name: "report", Type: kube.ResourceType{Group: "batch", Version: "v1", Resource: "cronjobs", Kind: "CronJob", Namespaced: true}}}
	d, err := s.Preview(t.Context(), a)
	if err != nil || d.Before != "" || !strings.Contains(d.After, "report-x") {
		t.Errorf("%+v, %v", d, err)
	}
	got := api.changed(t)
	for _, want := range []string{
		"dry POST /apis/batch/v1/namespaces/shop/jobs ", `"name":"report-x"`, `"cronjob.kubernetes.io/instantiate":"manual"`, `"k":"v"`, `"labels":{"a":"b"}`,
		`"controller":true`, `"uid":"c1"`, `"backoffLimit":2`, `"image":"r:1"`,
	} {
		if !strings.Contains(got, want) {
			t.Errorf("%s is not in\n%s", want, got)
		}
	}
}

func TestValuesAreDecodedWhenTheyAreWanted(t *testing.T) {
	s := newSession(t, &objectAPI{objects: map[string]string{
		"/api/v1/namespaces/shop/secrets/db":    `{"apiVersion":"v1","kind":"Secret","metadata":{"name":"db"},"data":{"user":"amFuZQ==","key":"/w=="}}`,
		"/api/v1/namespaces/shop/configmaps/db": `{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"db"},"data":{"a":"b"},"binaryData":{"z":"/w=="}}`,
		"/api/v1/namespaces/shop/pods/db":       `{"apiVersion":"v1","kind":"Pod","metadata":{"name":"db"}}`,
	}})
	ref := func(resource, kind string) kube.Ref {
		return kube.Ref{Type: kube.ResourceType{Version: "v1", Resource: resource, Kind: kind, Namespaced: true}, Namespace: "shop", Name: "db"}
	}
	hidden, err := s.Values(t.Context(), ref("secrets", "Secret"), false)
	if want := []kube.Value{{Key: "key", Size: 1, Hidden: true}, {Key: "user", Size: 4, Hidden: true}}; err != nil || !slices.Equal(hidden, want) {
		t.Errorf("%+v, %v", hidden, err)
	}
	shown, err := s.Values(t.Context(), ref("secrets", "Secret"), true)
	if want := []kube.Value{{Key: "key", Size: 1, Binary: true}, {Key: "user", Size: 4, Text: "jane"}}; err != nil || !slices.Equal(shown, want) {
		t.Errorf("%+v, %v", shown, err)
	}
	plain, err := s.Values(t.Context(), ref("configmaps", "ConfigMap"), false)
	if want := []kube.Value{{Key: "a", Size: 1, Text: "b"}, {Key: "z", Size: 1, Binary: true}}; err != nil || !slices.Equal(plain, want) {
		t.Errorf("%+v, %v", plain, err)
	}
	if _, err := s.Values(t.Context(), ref("pods", "Pod"), true); fault.KindOf(err) != fault.Usage {
		t.Errorf("%v", err)
	}
}

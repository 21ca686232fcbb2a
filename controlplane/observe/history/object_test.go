package history

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apiextensionsv1beta1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1beta1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

func TestIdentify(t *testing.T) {
	for key, want := range map[string]identity{
		"/registry/pods/default/web":                                                   {"", "pods", "default", "web"},
		"/registry/minions/dev-1":                                                      {"", "nodes", "", "dev-1"},
		"/registry/namespaces/shop":                                                    {"", "namespaces", "", "shop"},
		"/registry/services/specs/default/web":                                         {"", "services", "default", "web"},
		"/registry/services/endpoints/default/web":                                     {"", "endpoints", "default", "web"},
		"/registry/controllers/default/old":                                            {"", "replicationcontrollers", "default", "old"},
		"/registry/ingress/default/web":                                                {"", "ingresses", "default", "web"},
		"/registry/clusterroles/system:node":                                           {"", "clusterroles", "", "system:node"},
		"/registry/apiextensions.k8s.io/customresourcedefinitions/widgets.example.com": {"apiextensions.k8s.io", "customresourcedefinitions", "", "widgets.example.com"},
		"/registry/example.com/widgets/shop/w":                                         {"example.com", "widgets", "shop", "w"},
		"/registry/example.com/worlds/w":                                               {"example.com", "worlds", "", "w"},
	} {
		if got, ok := identify(key); !ok || got != want {
			t.Errorf("%s: %+v, %v, want %+v", key, got, ok, want)
		}
	}
	for _, key := range []string{"/registry/", "/registry/health", "/registry/services/specs", "/registry/services", "/registry/pods/a/b/c"} {
		if got, ok := identify(key); ok {
			t.Errorf("%s is %+v, want no object", key, got)
		}
	}
	for key, want := range map[string]bool{
		"/registry/pods/default/web": true, "/registry/leases/kube-node-lease/n": false, "/registry/events/default/e": false,
		"/registry/masterleases/1": false, "/registry/ranges/serviceips": false, "compact_rev_key": false, "/registry/leases.example.com/leases/x": true,
	} {
		if got := recorded([]byte(key)); got != want {
			t.Errorf("%s is recorded: %v", key, got)
		}
	}
}

func newTestDecoder(t *testing.T) *decoder {
	t.Helper()
	d, err := newDecoder()
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// stored is an object as the API server stores it.
func stored(t *testing.T, d *decoder, o runtime.Object, gvk schema.GroupVersionKind) []byte {
	t.Helper()
	o.GetObjectKind().SetGroupVersionKind(gvk)
	var b bytes.Buffer
	codec := d.builtin
	if gvk.Group == apiextensionsv1beta1.GroupName {
		codec = d.extensions
	}
	if err := codec.Encode(o, &b); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func deployment(replicas int32, image string) *appsv1.Deployment {
	return &appsv1.Deployment{
		ObjectMeta: metav1.ObjectMeta{Name: "web", Namespace: "default", UID: "1", Labels: map[string]string{"app.kubernetes.io/name": "web"}},
		Spec: appsv1.DeploymentSpec{Replicas: &replicas, Template: corev1.PodTemplateSpec{Spec: corev1.PodSpec{
			Containers: []corev1.Container{{Name: "web", Image: image}, {Name: "log", Image: "log"}},
		}}},
		Status: appsv1.DeploymentStatus{Replicas: replicas},
	}
}

var deployments = appsv1.SchemeGroupVersion.WithKind("Deployment")

func TestDecode(t *testing.T) {
	d := newTestDecoder(t)
	value := stored(t, d, deployment(2, "web:1"), deployments)
	if got := kind(value); got != deployments {
		t.Errorf("the kind is %v", got)
	}
	o, err := d.decode(value)
	if err != nil || o.text("kind") != "Deployment" || o.text("apiVersion") != "apps/v1" || o.text("metadata", "name") != "web" {
		t.Errorf("got %v, %v", o, err)
	}
	custom := []byte(`{"apiVersion": "example.com/v1", "kind": "Widget", "metadata": {"name": "w"}, "spec": {"size": 3}}`)
	if o, err = d.decode(custom); err != nil || o["spec"].(map[string]any)["size"] != int64(3) || kind(custom).Kind != "Widget" {
		t.Errorf("got %v, %v", o, err)
	}
	beta := apiextensionsv1beta1.CustomResourceDefinition{
		ObjectMeta: metav1.ObjectMeta{Name: "widgets.example.com"},
		Spec: apiextensionsv1beta1.CustomResourceDefinitionSpec{
			Group: "example.com", Versions: []apiextensionsv1beta1.CustomResourceDefinitionVersion{{Name: "v1", Served: true, Storage: true}},
		},
	}
	inProtobuf := stored(t, d, &beta, apiextensionsv1beta1.SchemeGroupVersion.WithKind("CustomResourceDefinition"))
	for form, value := range map[string][]byte{"protobuf": inProtobuf, "JSON": must(json.Marshal(&beta))} { // the latter is what the API server does
		if o, err = d.decode(value); err != nil || o.text("apiVersion") != "apiextensions.k8s.io/v1" || o.text("spec", "group") != "example.com" {
			t.Errorf("a definition in %s is %v, %v; want it as it is served", form, o, err)
		}
	}
	for name, value := range map[string]string{
		"encrypted": "k8s:enc:aescbc:v1:key1:\x00\x01", "cut off": string(value[:len(value)/2]), "unknown": "k8s\x00\x0a\x05\x0a\x01x\x12\x00", "nothing": "k8s\x00",
	} {
		if o, err := d.decode([]byte(value)); !errors.Is(err, errUnreadable) {
			t.Errorf("%s: got %v, %v", name, o, err)
		}
	}
	if o, err := d.decode(nil); o != nil || err != nil {
		t.Errorf("nothing is %v, %v", o, err)
	}
}

// lines are field changes as text.
func lines(before, after object) (all []string) {
	for _, f := range differences(before, after) {
		all = append(all, fmt.Sprintf("%s: %s -> %s", f.Path, f.Before, f.After))
	}
	return all
}

func TestDifferences(t *testing.T) {
	parse := func(text string) (o object) {
		if err := json.Unmarshal([]byte(text), &o); err != nil {
			t.Fatal(err)
		}
		return o
	}
	for _, c := range []struct{ name, before, after, want string }{
		{"the same", `{"spec": {"a": 1}}`, `{"spec": {"a": 1}}`, ""},
		{"a value", `{"spec": {"a": 1}}`, `{"spec": {"a": 2}}`, "spec.a: 1 -> 2"},
		{"added and removed", `{"spec": {"a": 1}}`, `{"spec": {"b": {"c": 1}}}`, "spec.a: 1 -> |spec.b:  -> {\"c\":1}"},
		{"elements with names", `{"c": [{"name": "x", "v": 1}, {"name": "y", "v": 1}]}`, `{"c": [{"name": "y", "v": 2}, {"name": "x", "v": 1}]}`, "c[y].v: 1 -> 2"},
		{"one element more", `{"c": [{"type": "x"}]}`, `{"c": [{"type": "x"}, {"type": "y"}]}`, `c[y]:  -> {"type":"y"}`},
		{"elements without names", `{"c": [{"v": 1}]}`, `{"c": [{"v": 2}]}`, `c: [{"v":1}] -> [{"v":2}]`},
		{"a list of texts", `{"c": ["a"]}`, `{"c": ["a", "b"]}`, `c: ["a"] -> ["a","b"]`},
		{"from nothing to a list", `{}`, `{"c": [{"name": "a"}]}`, `c:  -> [{"name":"a"}]`},
		{"another kind of value", `{"c": 1}`, `{"c": {"d": 1}}`, `c: 1 -> {"d":1}`},
		{"a label with dots", `{"metadata": {"labels": {"a.b/c": "1"}}}`, `{"metadata": {"labels": {"a.b/c": "2"}}}`, `metadata.labels[a.b/c]: "1" -> "2"`},
		{
			"what nobody has changed", `{"metadata": {"resourceVersion": "1", "generation": 1, "managedFields": [1]}}`,
			`{"metadata": {"resourceVersion": "2", "generation": 2, "managedFields": [2], "annotations": {"` + lastApplied + `": "{}"}}}`, "",
		},
		{
			"a Secret", `{"kind": "Secret", "type": "a", "data": {"password": "c2VjcmV0", "user": "amFuZQ=="}}`,
			`{"kind": "Secret", "type": "b", "data": {"password": "c2VjcmV0Mg==", "user": "amFuZQ==", "new": "eA=="}}`,
			`data.new:  -> "(hidden, 1 bytes)"|data.password: "(hidden, 6 bytes)" -> "(hidden, 7 bytes)"|type: "a" -> "b"`,
		},
		{"a Secret that got data", `{"kind": "Secret"}`, `{"kind": "Secret", "data": {"a": "c2VjcmV0"}}`, `data:  -> {"a":"(hidden, 6 bytes)"}`},
	} {
		before, after := parse(c.before), parse(c.after)
		if got := strings.Join(lines(before, after), "|"); got != c.want {
			t.Errorf("%s: got %s, want %s", c.name, got, c.want)
		}
		if again, _ := json.Marshal(before); string(again) != string(must(json.Marshal(parse(c.before)))) {
			t.Errorf("%s: the object was changed", c.name)
		}
	}
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// TestShown: what people see of the past has no values of Secrets, nor what the API server keeps.
func TestShown(t *testing.T) {
	secret := object{
		"apiVersion": "v1", "kind": "Secret",
		"metadata": map[string]any{"name": "key", "uid": "u", "resourceVersion": "7", "annotations": map[string]any{lastApplied: "hunter2", "team": "shop"}},
		"data":     map[string]any{"password": "aHVudGVyMg=="}, "stringData": map[string]any{"other": "hunter2"},
	}
	text := fmt.Sprint(shown(secret))
	for _, value := range []string{"hunter2", "aHVudGVyMg", "resourceVersion", "uid"} {
		if strings.Contains(text, value) {
			t.Errorf("%s is in %s", value, text)
		}
	}
	if !strings.Contains(text, "(hidden, 7 bytes)") || !strings.Contains(text, "team:shop") {
		t.Errorf("it is %s", text)
	}
	if data, _ := secret["data"].(map[string]any); data["password"] != "aHVudGVyMg==" {
		t.Error("the object itself was changed")
	}
	settings := object{"kind": "ConfigMap", "data": map[string]any{"a": "b"}}
	if text := fmt.Sprint(shown(settings)); !strings.Contains(text, "a:b") {
		t.Errorf("a ConfigMap is %s", text)
	}
}

func TestUpdatable(t *testing.T) {
	past := object{
		"spec": map[string]any{"a": 1}, "status": map[string]any{"was": true},
		"metadata": map[string]any{
			"name": "x", "uid": "1", "resourceVersion": "5", "labels": map[string]any{"l": "old"}, "deletionTimestamp": "then",
			"annotations": map[string]any{"deployment.kubernetes.io/revision": "1", "a": "old"},
		},
	}
	now := object{
		"spec": map[string]any{"a": 2}, "status": map[string]any{"is": true},
		"metadata": map[string]any{"name": "x", "uid": "1", "resourceVersion": "9", "labels": map[string]any{"l": "new", "m": "new"}, "managedFields": []any{1},
			"annotations": map[string]any{"deployment.kubernetes.io/revision": "2", "a": "new"}},
	}
	want := `{"metadata":{"annotations":{"a":"old","deployment.kubernetes.io/revision":"2"},"labels":{"l":"old"},"managedFields":[1],"name":"x","resourceVersion":"9","uid":"1"},"spec":{"a":1},"status":{"is":true}}`
	if got := string(must(json.Marshal(updatable(past, now)))); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

func TestWithoutIdentity(t *testing.T) {
	for name, c := range map[string]struct{ past, want string }{
		"any":            {`{"kind": "ConfigMap", "metadata": {"name": "x", "uid": "1", "resourceVersion": "5"}, "data": {"a": "b"}, "status": {}}`, `{"data":{"a":"b"},"kind":"ConfigMap","metadata":{"name":"x"}}`},
		"pod":            {`{"kind": "Pod", "metadata": {"name": "x"}, "spec": {"nodeName": "n", "a": "b"}}`, `{"kind":"Pod","metadata":{"name":"x"},"spec":{"a":"b"}}`},
		"claim":          {`{"kind": "PersistentVolumeClaim", "metadata": {"annotations": {"pv.kubernetes.io/bind-completed": "yes", "a": "b"}}, "spec": {"volumeName": "v"}}`, `{"kind":"PersistentVolumeClaim","metadata":{"annotations":{"a":"b"}},"spec":{}}`},
		"volume":         {`{"kind": "PersistentVolume", "metadata": {}, "spec": {"claimRef": {"name": "c", "uid": "1", "resourceVersion": "2"}}}`, `{"kind":"PersistentVolume","metadata":{},"spec":{"claimRef":{"name":"c"}}}`},
		"job":            {`{"kind": "Job", "metadata": {}, "spec": {"selector": {}, "template": {"metadata": {"labels": {"controller-uid": "1", "a": "b"}}}}}`, `{"kind":"Job","metadata":{},"spec":{"template":{"metadata":{"labels":{"a":"b"}}}}}`},
		"job, selecting": {`{"kind": "Job", "metadata": {}, "spec": {"manualSelector": true, "selector": {}}}`, `{"kind":"Job","metadata":{},"spec":{"manualSelector":true,"selector":{}}}`},
		"bare":           {`{"kind": "Job", "metadata": {}}`, `{"kind":"Job","metadata":{}}`},
	} {
		var past object
		if err := json.Unmarshal([]byte(c.past), &past); err != nil {
			t.Fatal(err)
		}
		if got := string(must(json.Marshal(withoutIdentity(past)))); got != c.want {
			t.Errorf("%s: got %s, want %s", name, got, c.want)
		}
	}
}

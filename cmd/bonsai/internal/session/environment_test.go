package session

import (
	"fmt"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"bonsai/bootstrap/kube"
)

// resolved is a pod with variables from everywhere.
func resolved() *corev1.Pod {
	named := func(name string) corev1.LocalObjectReference { return corev1.LocalObjectReference{Name: name} }
	from := func(s corev1.EnvVarSource) *corev1.EnvVarSource { return &s }
	return &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "web-0", Labels: map[string]string{"app": "web"}},
		Spec: corev1.PodSpec{
			NodeName: "dev-1", InitContainers: []corev1.Container{{Name: "setup"}},
			Containers: []corev1.Container{{
				Name: "web", Resources: corev1.ResourceRequirements{Requests: corev1.ResourceList{corev1.ResourceCPU: resource.MustParse("1500m")}},
				EnvFrom: []corev1.EnvFromSource{
					{Prefix: "X_", ConfigMapRef: &corev1.ConfigMapEnvSource{LocalObjectReference: named("all")}},
					{SecretRef: &corev1.SecretEnvSource{LocalObjectReference: named("gone"), Optional: new(true)}},
				},
				Env: []corev1.EnvVar{
					{Name: "COLOUR", Value: "green"},
					{Name: "PASSWORD", ValueFrom: from(corev1.EnvVarSource{SecretKeyRef: &corev1.SecretKeySelector{LocalObjectReference: named("db"), Key: "password"}})},
					{Name: "URL", Value: "postgres://x:$(PASSWORD)@db/$(COLOUR)"},
					{Name: "TEXT", Value: "$(COLOUR) $$(COLOUR) $(NOTHING) $"},
					{Name: "TYPO", ValueFrom: from(corev1.EnvVarSource{SecretKeyRef: &corev1.SecretKeySelector{LocalObjectReference: named("db"), Key: "pasword"}})},
					{Name: "NODE", ValueFrom: from(corev1.EnvVarSource{FieldRef: &corev1.ObjectFieldSelector{FieldPath: "spec.nodeName"}})},
					{Name: "APP", ValueFrom: from(corev1.EnvVarSource{FieldRef: &corev1.ObjectFieldSelector{FieldPath: "metadata.labels['app']"}})},
					{Name: "IP", ValueFrom: from(corev1.EnvVarSource{FieldRef: &corev1.ObjectFieldSelector{FieldPath: "status.podIP"}})},
					{Name: "CPU", ValueFrom: from(corev1.EnvVarSource{ResourceFieldRef: &corev1.ResourceFieldSelector{Resource: "requests.cpu"}})},
					{Name: "MEMORY", ValueFrom: from(corev1.EnvVarSource{ResourceFieldRef: &corev1.ResourceFieldSelector{Resource: "limits.memory"}})},
					{Name: "X_a", Value: "mine"},
				},
			}},
		},
	}
}

func TestEnvironmentAsTheKubeletMakesIt(t *testing.T) {
	r := envReader{pod: resolved(), sources: map[kube.EnvSource]envSource{
		{Kind: kube.EnvConfigMap, Name: "all"}: {data: map[string]string{"a": "1", "b": "2"}},
		{Kind: kube.EnvSecret, Name: "db"}:     {data: map[string]string{"password": "hunter"}},
		{Kind: kube.EnvSecret, Name: "gone"}:   {missing: true},
	}}
	hidden, revealed := r.containers(), []kube.ContainerEnv(nil)
	r.reveal = true
	revealed = r.containers()
	text := func(c kube.ContainerEnv) string {
		var lines []string
		for _, v := range c.Vars {
			lines = append(lines, strings.TrimSpace(fmt.Sprintf("%s=%s hidden=%t missing=%t optional=%t unknown=%t replaced=%t", v.Name, v.Value, v.Hidden, v.Missing, v.Optional, v.Unknown, v.Replaced)))
		}
		for _, word := range []string{"hidden", "missing", "optional", "unknown", "replaced"} {
			for i := range lines {
				lines[i] = strings.ReplaceAll(strings.ReplaceAll(lines[i], " "+word+"=false", ""), word+"=true", word)
			}
		}
		return strings.Join(lines, "\n")
	}
	want := `X_a=1 replaced
X_b=2
*= missing optional
COLOUR=green
PASSWORD= hidden
URL= hidden
TEXT=green $(COLOUR) $(NOTHING) $
TYPO= missing
NODE=dev-1
APP=web
IP= unknown
CPU=2
MEMORY= unknown
X_a=mine`
	if len(hidden) != 2 || !hidden[0].Init || hidden[1].Container != "web" {
		t.Fatalf("%+v", hidden)
	}
	if got := text(hidden[1]); got != want {
		t.Errorf("%s\nwant\n%s", got, want)
	}
	want = strings.NewReplacer("PASSWORD= hidden", "PASSWORD=hunter", "URL= hidden", "URL=postgres://x:hunter@db/green").Replace(want)
	if got := text(revealed[1]); got != want {
		t.Errorf("%s\nwant\n%s", got, want)
	}
}

func TestEnvironmentIsRead(t *testing.T) {
	s := newSession(t, &objectAPI{objects: map[string]string{
		"/api/v1/namespaces/shop/pods/web": `{"apiVersion":"v1","kind":"Pod","metadata":{"name":"web","namespace":"shop"},"spec":{"containers":[{"name":"web",
			"env":[{"name":"A","valueFrom":{"configMapKeyRef":{"name":"c","key":"k"}}},{"name":"B","valueFrom":{"secretKeyRef":{"name":"s","key":"k"}}}],"envFrom":[{"secretRef":{"name":"gone"}}]}]}}`,
		"/api/v1/namespaces/shop/configmaps/c": `{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"c"},"data":{"k":"v"}}`,
		"/api/v1/namespaces/shop/secrets/s":    `{"apiVersion":"v1","kind":"Secret","metadata":{"name":"s"},"data":{"k":"amFuZQ=="}}`,
	}})
	list, err := s.Environment(t.Context(), "shop", "web", true)
	if err != nil || len(list) != 1 || len(list[0].Vars) != 3 {
		t.Fatalf("%+v, %v", list, err)
	}
	vars := list[0].Vars
	if !vars[0].Missing || vars[0].Optional || vars[1].Value != "v" || vars[2].Value != "jane" {
		t.Errorf("%+v", vars)
	}
}

// FuzzExpand: nothing that is known is left, and no text makes it panic.
func FuzzExpand(f *testing.F) {
	f.Add("a $(B) $$(B) $ $( $()")
	f.Fuzz(func(t *testing.T, text string) {
		same := expand(text, func(string) (string, bool) { return "", false })
		if !strings.Contains(text, "$") && same != text {
			t.Errorf("%q became %q", text, same)
		}
	})
}

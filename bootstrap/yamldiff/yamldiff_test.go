package yamldiff

import (
	"strings"
	"testing"
)

const deployment = `apiVersion: apps/v1
kind: Deployment
metadata:
  labels:
    app: web
  name: web
spec:
  replicas: 2
  template:
    spec:
      containers:
      - args:
        - --one
        image: web:1
        name: web
        resources: {}
      - image: log:1
        name: log
`

func text(list []Line) string {
	var b strings.Builder
	for _, l := range list {
		b.WriteByte(byte(l.Kind))
		b.WriteString(l.Text)
		b.WriteByte('\n')
	}
	return b.String()
}

func TestOf(t *testing.T) {
	for name, c := range map[string]struct{ old, new, want string }{
		"nothing": {"", "", ""},
		"a field": {"replicas: 2", "replicas: 3", `@spec
-  replicas: 2
+  replicas: 3
`},
		"in an entry": {"image: web:1", "image: web:2", `@spec.template.spec.containers[web]
-        image: web:1
+        image: web:2
`},
		"an entry of an entry": {"- --one", "- --two", `@spec.template.spec.containers[web].args
-        - --one
+        - --two
`},
		"added": {"    app: web\n", "    app: web\n    team: shop\n", `@metadata.labels
+    team: shop
`},
		"at the top": {"kind: Deployment", "kind: StatefulSet", `-kind: Deployment
+kind: StatefulSet
`},
	} {
		after := strings.Replace(deployment, c.old, c.new, 1)
		if c.old == "" {
			after = deployment
		}
		got := text(Of(deployment, after))
		if got != c.want {
			t.Errorf("%s:\n%s\nwant\n%s", name, got, c.want)
		}
	}
}

// TestGroupsFarApart have a heading each.
func TestGroupsFarApart(t *testing.T) {
	after := strings.NewReplacer("app: web", "app: shop", "image: log:1", "image: log:2").Replace(deployment)
	got := text(Of(deployment, after))
	for _, want := range []string{"@metadata.labels\n", "-    app: web\n+    app: shop\n", "@spec.template.spec.containers[log]\n", "-      - image: log:1\n+      - image: log:2\n"} {
		if !strings.Contains(got, want) {
			t.Errorf("%q is not in\n%s", want, got)
		}
	}
}

func TestOfNothing(t *testing.T) {
	got := Of("", "kind: Job\nmetadata:\n  name: a\n")
	if text(got) != "+kind: Job\n+metadata:\n+  name: a\n" {
		t.Errorf("%s", text(got))
	}
	got = Of("kind: Job\n", "")
	if text(got) != "-kind: Job\n" {
		t.Errorf("%s", text(got))
	}
}

// FuzzOf: what is removed is in the first text, what is added in the second; no text makes it panic.
func FuzzOf(f *testing.F) {
	f.Add(deployment, strings.Replace(deployment, "web:1", "web:2", 1))
	f.Add("- a\n-\n  - b", "-")
	f.Fuzz(func(t *testing.T, before, after string) {
		for _, l := range Of(before, after) {
			switch {
			case l.Kind == Removed && !strings.Contains(before, l.Text), l.Kind == Added && !strings.Contains(after, l.Text):
				t.Errorf("%c%q is not in its text", l.Kind, l.Text)
			}
		}
	})
}

func TestEssence(t *testing.T) {
	const object = "apiVersion: apps/v1\nkind: Deployment\nmetadata:\n  annotations:\n    deployment.kubernetes.io/revision: \"7\"\n  generation: 3\n  name: cart\n  resourceVersion: \"41\"\nspec:\n  replicas: 1\nstatus:\n  conditions:\n  - type: Available\n  replicas: 1\n"
	const want = "apiVersion: apps/v1\nkind: Deployment\nmetadata:\n  annotations:\n  name: cart\nspec:\n  replicas: 1\n"
	if got := Essence(object); got != want {
		t.Errorf("essence is %q", got)
	}
	for in, want := range map[string]string{"": "", "status:\n  a: b\nspec: {}": "spec: {}\n"} {
		if got := Essence(in); got != want {
			t.Errorf("essence of %q is %q", in, got)
		}
	}
	if got := text(Changes(object, strings.NewReplacer("41", "42", "generation: 3", "generation: 4", "replicas: 1", "replicas: 2").Replace(object))); got != "@spec\n-replicas: 1\n+replicas: 2\n" {
		t.Errorf("the changes are %q", got)
	}
	if got := WithVersion(object, "metadata:\n  resourceVersion: \"99\"\n"); !strings.Contains(got, "  resourceVersion: \"99\"\n") || strings.Contains(got, "41") {
		t.Errorf("with another version it is %q", got)
	}
}

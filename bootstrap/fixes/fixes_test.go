package fixes

import (
	"reflect"
	"testing"
	"time"

	"bonsai/bootstrap/cluster"
	"bonsai/bootstrap/kube"
)

var (
	deployment = kube.ResourceType{Group: "apps", Version: "v1", Resource: "deployments", Kind: "Deployment", Namespaced: true}
	known      = map[string]kube.ResourceType{"deployment": deployment, "service": kube.ServiceType(), "node": kube.NodeType(), "pod": kube.PodType()}
)

func typeOf(kind string) (kube.ResourceType, bool) {
	t, ok := known[kind]
	return t, ok
}

func TestOf(t *testing.T) {
	web := kube.Ref{Type: deployment, Namespace: "shop", Name: "web"}
	for name, c := range map[string]struct {
		command cluster.Command
		want    kube.Action
		edit    bool
	}{
		"restart":            {cluster.Kubectl("rollout", "restart").On("deployment/web").In("shop").Change(), kube.Action{Verb: kube.VerbRestart, Ref: web}, false},
		"undo":               {cluster.Kubectl("rollout", "undo").On("deployment/web").In("shop").Change(), kube.Action{Verb: kube.VerbRollback, Ref: web}, false},
		"undo to a revision": {cluster.Kubectl("rollout", "undo", "deployment").On("web").In("shop").With("--to-revision", "3").Change(), kube.Action{Verb: kube.VerbRollback, Ref: web, Revision: 3}, false},
		"scale":              {cluster.Kubectl("scale", "deployment").On("web").In("shop").Change(), kube.Action{Verb: kube.VerbScale, Ref: web}, false},
		"edit":               {cluster.Kubectl("edit", "deployment").On("web").In("shop").Change(), kube.Action{Ref: web}, true},
		"delete": {cluster.Kubectl("delete", "pod").On("a").Change(),
			kube.Action{Verb: kube.VerbDelete, Ref: kube.Ref{Type: kube.PodType(), Namespace: "default", Name: "a"}}, false},
		"uncordon": {cluster.Kubectl("uncordon").On("dev-2").Change(), kube.Action{Verb: kube.VerbUncordon, Ref: kube.Ref{Type: kube.NodeType(), Name: "dev-2"}}, false},
		"selector": {cluster.Kubectl("set", "selector", "service").On("web", "app=web,tier=front").In("shop").Change(),
			kube.Action{Verb: kube.VerbSetSelector, Ref: kube.Ref{Type: kube.ServiceType(), Namespace: "shop", Name: "web"}, Selector: map[string]string{"app": "web", "tier": "front"}}, false},
	} {
		c.want.Grace = -1
		got, ok := Of(&cluster.Problem{Advice: []cluster.Advice{cluster.Advise("look", cluster.Kubectl("get", "pods")), cluster.Advise("", c.command)}}, typeOf)
		if !ok || got.Bonsai() || got.Edit != c.edit || !reflect.DeepEqual(got.Action, c.want) {
			t.Errorf("%s: %+v, %t", name, got, ok)
		}
	}
	for name, c := range map[string]cluster.Command{
		"a look":             cluster.Kubectl("get", "pod").On("a"),
		"a gap":              cluster.Kubectl("set", "image").On("deployment/web", "web=IMAGE").Change().Fill("IMAGE"),
		"another verb":       cluster.Kubectl("set", "env").On("deployment/web", "A=b").Change(),
		"an unknown type":    cluster.Kubectl("delete", "widget").On("a").Change(),
		"several objects":    cluster.Kubectl("delete", "pod").On("a", "b").Change(),
		"not a selector":     cluster.Kubectl("set", "selector", "service").On("web", "app").Change(),
		"nothing":            cluster.Kubectl("uncordon").Change(),
		"bonsai, not a cure": cluster.Bonsai("start").Change(),
	} {
		if got, ok := Of(&cluster.Problem{Advice: []cluster.Advice{cluster.Advise("", c)}}, typeOf); ok {
			t.Errorf("%s is the fix %+v", name, got)
		}
	}
	cure := cluster.Bonsai("addons", "enable").On("gateway").Cure()
	if got, ok := Of(&cluster.Problem{Advice: []cluster.Advice{cluster.Advise("", cluster.Kubectl("delete", "pod").On("a").Change()), cluster.Advise("", cure)}}, typeOf); !ok || !got.Bonsai() {
		t.Errorf("a cure of bonsai: %+v, %t", got, ok)
	}
}

func TestWatch(t *testing.T) {
	begun := time.Date(2026, 5, 4, 3, 2, 1, 0, time.UTC)
	p := cluster.Problem{Kind: "Image", Object: "deployment/shop/web", Severity: cluster.SeverityError}
	other := cluster.Problem{Kind: "Crash", Object: p.Object, Severity: cluster.SeverityError, Summary: "it crashes"}
	info := cluster.Problem{Kind: "Hint", Object: p.Object, Severity: cluster.SeverityInfo}
	type look struct {
		after time.Duration
		there []cluster.Problem
		want  Verdict
	}
	there := []cluster.Problem{info, p}
	for name, looks := range map[string][]look{
		"it helps":                  {{0, there, Watching}, {2 * time.Second, nil, Watching}, {6 * time.Second, nil, Watching}, {7 * time.Second, []cluster.Problem{info}, Helped}},
		"it is away for a moment":   {{time.Second, nil, Watching}, {3 * time.Second, there, Watching}, {4 * time.Second, nil, Watching}, {8 * time.Second, nil, Watching}, {9 * time.Second, nil, Helped}},
		"another one comes instead": {{time.Second, []cluster.Problem{other}, Watching}, {6 * time.Second, []cluster.Problem{other}, Replaced}},
		"it stays":                  {{time.Second, there, Watching}, {Limit - 1, there, Watching}, {Limit, there, Failed}},
		"it goes at the last":       {{Limit - time.Second, nil, Watching}, {Limit, nil, Watching}, {Limit + 4*time.Second, nil, Helped}},
	} {
		w := NewWatch(&p, begun)
		for _, l := range looks {
			got, why := w.See(l.there, begun.Add(l.after))
			if got != l.want || (why != nil) != (got == Replaced || got == Failed) {
				t.Errorf("%s: after %s it is %s, %+v; want %s", name, l.after, got, why, l.want)
			}
		}
	}
}

func TestKey(t *testing.T) {
	a := cluster.Problem{Kind: cluster.ProblemName, Object: "pod/shop/a", Summary: "it asks for redi"}
	b := a
	b.Summary = "it asks for postgre"
	if Key(&a) == Key(&b) {
		t.Error("two names that do not exist are one problem")
	}
	a.Kind, b.Kind = "Crash", "Crash"
	if Key(&a) != Key(&b) {
		t.Error("another summary is another problem")
	}
}

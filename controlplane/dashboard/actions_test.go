package dashboard

import (
	"net/http"
	"net/url"
	"strings"
	"testing"

	"golang.org/x/net/html"

	"bonsai/bootstrap/cluster"
	"bonsai/bootstrap/fault"
	"bonsai/bootstrap/kube"
)

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
		"verb=scale&type=pods&ns=shop&name=a&replicas=1", "verb=drain&type=pods&ns=shop&name=a", "verb=rollback&type=deployments.apps&ns=shop&name=a", "verb=rollback&type=deployments.apps&ns=shop&name=a&revision=-1", "verb=set+selector&type=services&ns=shop&name=a&selector=x", "verb=set+image&type=deployments.apps&ns=shop&name=a", "verb=scale&type=deployments.apps&ns=shop&name=a&replicas=-1", "verb=scale&type=deployments.apps&ns=shop&name=a",
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

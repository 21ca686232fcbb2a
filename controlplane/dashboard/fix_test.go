package dashboard

import (
	"context"
	"net/url"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/net/html"

	"bonsai/bootstrap/cluster"
	"bonsai/bootstrap/fault"
	"bonsai/bootstrap/fixes"
	"bonsai/bootstrap/kube"
)

// advise gives the fault of a world a piece of advice.
func (w *world) advise(c cluster.Command) *cluster.Problem {
	p := &w.snapshot.Problems[0]
	p.Advice = []cluster.Advice{cluster.Advise("", c)}
	return p
}

func TestProblemsAreFixed(t *testing.T) {
	for name, c := range map[string]struct {
		command     cluster.Command
		path, shown string
		want        kube.Action
	}{
		"back":     {cluster.Kubectl("rollout", "undo").On("deployment/cart").In("shop").Change(), "/confirm?", "<ins>image: web:0</ins>", kube.Action{Verb: kube.VerbRollback}},
		"restart":  {cluster.Kubectl("rollout", "restart").On("deployment/cart").In("shop").Change(), "/confirm?", "What would change", kube.Action{Verb: kube.VerbRestart}},
		"selector": {cluster.Kubectl("set", "selector", "service").On("cart", "app=cart,tier=web").In("shop").Change(), "/confirm?", "selector", kube.Action{Verb: kube.VerbSetSelector}},
		"uncordon": {cluster.Kubectl("uncordon").On("dev-2").Change(), "/confirm?", "Let Node dev-2 have pods again?", kube.Action{Verb: kube.VerbUncordon}},
		"scale":    {cluster.Kubectl("scale", "deployment").On("cart").In("shop").Change(), "/confirm?", "replicas", kube.Action{Verb: kube.VerbScale}},
	} {
		w := shop()
		p := w.advise(c.command)
		r := newRig(t, w).logIn(false)
		path := link(r.get("/").Body.String(), ".problem", c.path)
		if path == "" {
			t.Fatalf("%s: the problem has no button", name)
		}
		body := r.get(path).Body.String()
		if !strings.Contains(body, c.shown) {
			t.Errorf("%s: no %q in %s", name, c.shown, body)
		}
		u, _ := url.Parse(path)
		form := u.Query()
		if form.Get("fix") != fixes.Key(p) || field(body, "fix") != fixes.Key(p) {
			t.Errorf("%s: %s", name, path)
		}
		code, _, to := r.post("/do", form)
		if code != 303 || !strings.HasPrefix(to, "/task?id=") || len(w.done) != 1 || w.done[0].Verb != c.want.Verb {
			t.Fatalf("%s: %d leads to %s, done %+v", name, code, to, w.done)
		}
		if c.want.Verb == kube.VerbSetSelector && w.done[0].Selector["tier"] != "web" {
			t.Errorf("%s: %+v", name, w.done[0])
		}
		if body := r.get(to).Body.String(); !strings.Contains(body, "it is being done, or watched") {
			t.Errorf("%s: the task is %s", name, body)
		}
	}
	w := shop()
	p := w.advise(cluster.Kubectl("edit", "deployment").On("cart").In("shop").Change())
	r := newRig(t, w).logIn(false)
	path := link(r.get("/object?type=deployments.apps&ns=shop&name=cart").Body.String(), ".problem", "/edit?")
	text := field(r.get(path).Body.String(), "text") + "more: true\n"
	code, _, to := r.post(path, url.Values{"step": {stepDo}, "text": {text}, "checked": {identify(text)}})
	if code != 303 || !strings.HasPrefix(to, "/task?id=") || len(w.written) != 1 {
		t.Errorf("an edit of %s: %d leads to %s", fixes.Key(p), code, to)
	}
	if r := newRig(t, w).logIn(true); link(r.get("/").Body.String(), ".problem", "/edit?") != "" {
		t.Error("a read-only session is offered a fix")
	}
}

func TestACommandThatFixes(t *testing.T) {
	w := shop()
	p := w.advise(cluster.Bonsai("addons", "enable").On("gateway").Cure())
	r := newRig(t, w).logIn(false)
	path := link(r.get("/").Body.String(), ".problem", "/run?")
	if body := r.get(path).Body.String(); !strings.Contains(body, "bonsai addons enable gateway -p dev") {
		t.Fatalf("%s: %s", path, body)
	}
	// The form says which problem, not which command.
	code, _, to := r.post("/run", url.Values{"fix": {fixes.Key(p)}, "line": {"rm -rf /"}})
	if code != 303 || !strings.HasPrefix(to, "/task?id=") {
		t.Fatalf("%d leads to %s", code, to)
	}
	r.follow("/live"+to, func(event, data string) bool { return event != "main" || !strings.Contains(data, "enable it") })
	if len(w.operated) != 1 || w.operated[0] != "addons enable gateway" {
		t.Errorf("run: %q", w.operated)
	}
	for _, key := range []string{"", "no such problem"} {
		if code, _, _ := r.post("/run", url.Values{"fix": {key}}); code != 404 {
			t.Errorf("%q answers %d", key, code)
		}
	}
	w.advise(cluster.Kubectl("delete", "pod").On("cart-1").In("shop").Change())
	if code, _, _ := r.post("/run", url.Values{"fix": {fixes.Key(p)}}); code != 400 || len(w.operated) != 1 {
		t.Errorf("what is no command of bonsai answers %d", code)
	}
	w.failure = fault.Newf(fault.Refused, "the addon <b>cannot</b> run")
	w.advise(cluster.Bonsai("addons", "enable").On("gateway").Cure())
	_, _, to = r.post("/run", url.Values{"fix": {fixes.Key(p)}})
	r.follow("/live"+to, func(event, data string) bool { return event != "main" || !strings.Contains(data, "It was not done") })
	if body := r.get(to).Body.String(); !strings.Contains(body, "the addon &lt;b&gt;cannot") {
		t.Errorf("a failure: %s", body)
	}
}

// TestAFixIsWatched says in the end whether it has helped.
func TestAFixIsWatched(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*world)
		want   string
		after  time.Duration
	}{
		"it helps":    {func(w *world) { w.snapshot.Problems = nil }, "The problem is gone.", 8 * time.Second},
		"it does not": {func(*world) {}, "It has not helped", fixes.Limit + 2*time.Second},
		"another one": {func(w *world) {
			w.snapshot.Problems[0].Kind, w.snapshot.Problems[0].Summary = "Crash", "it crashes now"
		}, "it crashes now", 8 * time.Second},
		"nothing is reported": {func(w *world) { w.snapshot.Time = time.Time{} }, "did not say", fixes.Limit + time.Minute},
	} {
		synctest.Test(t, func(t *testing.T) {
			w := shop()
			r := newRig(t, w).logIn(false)
			p := w.snapshot.Problems[0]
			to := r.s.watchFix(&p, "a fix", kube.Ref{Type: wellKnown[3], Namespace: "shop", Name: "cart"})
			time.Sleep(2 * time.Second)
			w.change(func() {
				problems := append([]cluster.Problem(nil), w.snapshot.Problems...)
				w.snapshot.Problems = problems
				c.change(w)
			})
			time.Sleep(c.after)
			synctest.Wait()
			body := r.get(to).Body.String()
			if !strings.Contains(body, c.want) || strings.Contains(body, "it is being done") {
				t.Errorf("%s: %s", name, body)
			}
			if failed := strings.Contains(body, "tab=history"); failed == strings.Contains(body, "is gone.") {
				t.Errorf("%s: the way back is offered: %t", name, failed)
			}
			r.s.Close()
		})
	}
}

func TestADrainIsFollowed(t *testing.T) {
	w := shop()
	r := newRig(t, w).logIn(false)
	body := r.get("/confirm?verb=drain&type=nodes&name=dev-1").Body.String()
	for _, want := range []string{"shop/cart-1", "its emptyDir is lost", "the disruption budget keep lets none go now", "kube-system/agent-1", "bonsai kubectl -p dev -- drain dev-1 --ignore-daemonsets --delete-emptydir-data"} {
		if !strings.Contains(body, want) {
			t.Errorf("no %q in %s", want, body)
		}
	}
	code, _, to := r.post("/do", url.Values{"verb": {"drain"}, "type": {"nodes"}, "name": {"dev-1"}})
	if code != 303 || !strings.HasPrefix(to, "/task?id=") {
		t.Fatalf("%d leads to %s", code, to)
	}
	r.follow("/live"+to, func(event, data string) bool { return event != "main" || !strings.Contains(data, "Its pods are gone") })
	if got := r.get("/task?id=none"); got.Code != 404 {
		t.Errorf("another task answers %d", got.Code)
	}
}

func TestTasksAreBounded(t *testing.T) {
	r := newRig(t, shop())
	for i := range mostTasks {
		if _, err := r.s.start(&task{}, func(ctx context.Context, _ *task) { <-ctx.Done() }); err != nil {
			t.Fatalf("task %d: %v", i, err)
		}
	}
	if _, err := r.s.start(&task{}, func(context.Context, *task) {}); fault.KindOf(err) != fault.Refused {
		t.Errorf("one more: %v", err)
	}
	r.s.Close() // which waits for all
	if _, err := r.s.start(&task{}, func(context.Context, *task) {}); fault.KindOf(err) != fault.NotRunning {
		t.Errorf("of a closed server: %v", err)
	}
}

// link is the first link of a page that begins with prefix, inside of an element of a class (".problem").
func link(page, class, prefix string) (path string) {
	root, err := html.Parse(strings.NewReader(page))
	if err != nil {
		return ""
	}
	var walk func(n *html.Node, inside bool)
	walk = func(n *html.Node, inside bool) {
		for _, a := range n.Attr {
			inside = inside || a.Key == "class" && strings.Contains(" "+a.Val+" ", " "+class[1:]+" ")
			if a.Key == "href" && inside && path == "" && strings.HasPrefix(a.Val, prefix) {
				path = a.Val
			}
		}
		for c := n.FirstChild; c != nil; c = c.NextSibling {
			walk(c, inside)
		}
	}
	walk(root, false)
	return path
}

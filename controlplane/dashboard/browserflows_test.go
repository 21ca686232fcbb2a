package dashboard

import (
	"net/url"
	"strings"
	"testing"
	"time"

	"bonsai/bootstrap/cluster"
	"bonsai/bootstrap/fault"
	"bonsai/test/browser"
)

// flow is a browser that is logged in to a rig's server. Its errors fail the test in the end.
func flow(t *testing.T, w *world) (r *rig, b *browser.Browser, base string) {
	t.Helper()
	browser.Find(t)
	r = newRig(t, w)
	login := r.serve()
	u, err := url.Parse(login)
	if err != nil {
		t.Fatal(err)
	}
	b = browser.New(t, "en")
	t.Cleanup(func() {
		if errs := b.Errors(); len(errs) > 0 {
			t.Errorf("errors in pages: %q", errs)
		}
	})
	b.Open(login)
	b.Shows("Overview")
	return r, b, "http://" + u.Host
}

// written are the texts that were written so far.
func (r *rig) texts() []string {
	r.w.mu.Lock()
	defer r.w.mu.Unlock()
	return append([]string(nil), r.w.written...)
}

const inText = "document.querySelector('textarea[data-code]')"

func TestEditingInABrowser(t *testing.T) {
	r, b, base := flow(t, shop())
	b.Open(base + "/object?type=deployments.apps&ns=shop&name=cart")
	b.Click(`.buttons a[href^="/edit"]`)
	b.Until("the line numbers", "document.querySelector('.numbers').textContent.startsWith('1\\n2\\n3')")
	// Tab indents, as does Enter after an indented line; Escape and Tab leave.
	browser.Eval[bool](b, inText+`.focus(), (t => { const at = t.value.indexOf('replicas: 2'); t.setSelectionRange(at + 10, at + 11); return true; })(`+inText+`)`)
	press := func(key string) bool { // a driver sends the character also where the key was used
		return browser.Eval[bool](b, inText+`.dispatchEvent(new KeyboardEvent('keydown', {key: '`+key+`', bubbles: true, cancelable: true}))`)
	}
	b.Type("3")
	press("Enter")
	b.Type("paused: true")
	b.Until("the line", inText+".value.includes('\\n  replicas: 3\\n  paused: true\\n')")
	browser.Eval[bool](b, inText+".setSelectionRange(0, 0), true")
	press("Tab")
	b.Until("the indentation", inText+".value.startsWith('  apiVersion')")
	browser.Eval[bool](b, `(t => { t.value = t.value.slice(2).replace('  paused: false\n', ''); return true; })(`+inText+`)`)
	if press("Tab") {
		t.Error("Tab leaves the text")
	}
	browser.Eval[bool](b, `(t => { t.value = t.value.trimEnd() + '\n'; return true; })(`+inText+`)`)
	if press("Escape"); !press("Tab") {
		t.Error("Escape and Tab do not leave the text")
	}
	b.Picture("edit")
	b.Click(`button[value="check"]`)
	b.Shows("What would change", "replicas: 3", "zone: default")
	b.Picture("edit-diff")
	r.w.mu.Lock()
	r.w.refused = fault.Newf(fault.Conflict, "change deployments/cart: it was changed").Advise("it has changed in the meantime; check it and repeat the action")
	r.w.mu.Unlock()
	b.Click(`button[value="do"]`)
	b.Shows("What others have changed meanwhile")
	r.w.mu.Lock()
	r.w.refused = nil
	r.w.mu.Unlock()
	b.Click(`button[value="rebase"]`)
	b.Shows("What would change", "paused: true")
	b.Click(`button[value="do"]`)
	b.Shows("It is changed.")
	if got := r.texts(); len(got) != 1 || !strings.Contains(got[0], "replicas: 3\n  paused: true\n") {
		t.Errorf("written: %q", got)
	}
}

func TestCreatingInABrowser(t *testing.T) {
	r, b, base := flow(t, shop())
	b.Open(base + "/workloads?type=configmaps&ns=shop")
	b.Click(`a[href^="/create"]`)
	b.Click(`.tabs a[href*="kind=deployment"]`)
	b.Until("the form", "document.querySelector('input[name=image]')")
	browser.Eval[bool](b, "document.querySelector('input[name=name]').focus(), true")
	b.Type("web")
	browser.Eval[bool](b, "document.querySelector('input[name=image]').focus(), true")
	b.Type("nginx:alpine")
	b.Click("form.fields button")
	b.Until("the YAML", inText+".value.includes('image: nginx:alpine')")
	b.Shows("create deployment web -n shop --image=nginx:alpine")
	b.Picture("create")
	b.Click(`button[value="check"]`)
	b.Shows("What would be created", "zone: default")
	b.Click(`button[value="do"]`)
	b.Until("the object's page", "location.pathname === '/object' && location.search.includes('name=web')")
	if got := r.texts(); len(got) != 1 || !strings.HasPrefix(got[0], "deployments/shop/web\n") {
		t.Errorf("written: %q", got)
	}
}

func TestMendingInABrowser(t *testing.T) {
	w := shop()
	w.advise(cluster.Kubectl("rollout", "undo").On("deployment/cart").In("shop").Change())
	_, b, base := flow(t, w)
	b.Shows("it asks for redi")
	b.Click(".problem a.primary")
	b.Shows("Take Deployment cart back to the revision before?", "image: web:0", "rollout undo deployments.apps/cart -n shop")
	b.Picture("fix")
	b.Click(`form[action="/do"] button`)
	b.Shows("it is being done, or watched")
	w.change(func() { w.snapshot.Problems = nil })
	b.Shows("The problem is gone.")
	b.Picture("fixed")

	// A node is drained, and a revision is chosen.
	b.Open(base + "/object?type=nodes&name=dev-1")
	b.Click(`.buttons a[href*="verb=drain"]`)
	b.Shows("Drain Node dev-1?", "shop/cart-1", "its emptyDir is lost")
	b.Picture("drain")
	b.Click(`form[action="/do"] button`)
	b.Shows("Its pods are gone")
	b.Open(base + "/object?type=deployments.apps&ns=shop&name=cart&tab=revisions")
	b.Shows("revision 3", "another image")
	b.Click(`a[href*="verb=rollback"]`)
	b.Shows("Take Deployment cart back to revision 2?")
	b.Click(`form[action="/do"] button`)
	b.Shows("It goes back; its pods are being replaced.")
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.done) != 3 || w.done[2].Revision != 2 {
		t.Errorf("done: %+v", w.done)
	}
}

func TestThePastInABrowser(t *testing.T) {
	w := shop()
	_, b, base := flow(t, w)
	b.Open(base + "/history")
	b.Until("the slider", "document.querySelector('input[data-time]')")
	browser.Eval[bool](b, `(e => { e.value = Number(e.min) + 1; return e.dispatchEvent(new Event('input')) && e.dispatchEvent(new Event('change')); })(document.querySelector('input[data-time]'))`)
	b.Shows("What is different now", "ConfigMap shop/gone")
	b.Picture("history-slider")
	b.Click(`a[href^="/past"]`)
	b.Shows("Deployment cart as it was", "What a revert would change", "replicas: 1")
	b.Picture("past")
	b.Click(`form[action="/past"] button`)
	b.Shows("It is as it was.")
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.reverted) != 1 {
		t.Errorf("reverted: %+v", w.reverted)
	}
}

func TestTrafficAndTimesInABrowser(t *testing.T) {
	w := shop()
	r, b, base := flow(t, w)
	for before := 60; before >= 0; before-- {
		use := []cluster.NodeUsage{{Node: "dev-1", CPU: float64(before%7) / 4, CPUs: 2, Memory: uint64(1<<30 + before<<22), MemoryLimit: 2 << 30}, {Node: "dev-2", CPU: 0.2, CPUs: 2, Memory: 1 << 28, MemoryLimit: 2 << 30}}
		r.s.used.add(time.Now().Add(-time.Duration(before)*time.Minute), use)
	}
	b.Type("gt")
	b.Shows("shop/deployment/cart", "unanswered", "dev-2: it does not answer")
	b.Until("arrows", "document.querySelectorAll('svg .traffic line').length === 2")
	b.Picture("traffic")
	b.Type("gq")
	b.Shows("redi.shop.svc.cluster.local.", "NXDOMAIN", "2 of 2")
	b.Picture("dns")
	b.Type("gb")
	b.Shows("Control plane", "2.20 s")
	b.Picture("start")
	b.Open(base + "/nodes")
	b.Until("plots", "document.querySelectorAll('.plot path').length >= 2")
	b.Picture("nodes")
	b.Open(base + "/object?type=pods&ns=shop&name=cart-1&tab=birth")
	b.Shows("Why this node", "containerd on dev-1")
	b.Picture("birth")
}

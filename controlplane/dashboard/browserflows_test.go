package dashboard

import (
	"net/url"
	"strings"
	"testing"

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
	b.Type("3\r" + "paused: true")
	b.Until("the line", inText+".value.includes('\\n  replicas: 3\\n  paused: true\\n')")
	browser.Eval[bool](b, inText+".setSelectionRange(0, 0), true")
	b.Type("\t")
	b.Until("the indentation", inText+".value.startsWith('  apiVersion')")
	browser.Eval[bool](b, `(t => { t.value = t.value.slice(2); return true; })(`+inText+`)`)
	b.Type("\x1b\t")
	b.Until("the focus", "document.activeElement !== "+inText)
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

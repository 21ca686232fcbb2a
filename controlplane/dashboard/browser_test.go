package dashboard

import (
	"net/url"
	"reflect"
	"strconv"
	"strings"
	"testing"

	"bonsai/bootstrap/cluster"
	"bonsai/bootstrap/kube"
	"bonsai/test/browser"
)

// serve has the rig's server listen, and returns its address with the port.
func (r *rig) serve() string {
	r.Helper()
	r.s.status = cluster.Dashboard{}
	r.s.Apply(cluster.Spec{Name: "dev", Addons: map[string]bool{cluster.DashboardAddon: true}})
	login, err := r.s.Login(false)
	if err != nil {
		r.Fatal(err)
	}
	return login.URL
}

// many gives a world that many pods more.
func (w *world) many(n int) {
	b := w.rows["pods"]
	for i := range n {
		name := "many-" + string(rune('a'+i%26)) + strings.Repeat("x", i%7) + "-" + strconv.Itoa(i)
		b.Set = append(b.Set, kube.Row{UID: "m" + strconv.Itoa(i), Namespace: "load", Name: name, Cells: []string{name, "Running", "dev-1"}, Created: at, Labels: map[string]string{"n": strconv.Itoa(i)}})
	}
	w.rows["pods"] = b
}

// TestInABrowser does what a user does, with a cluster whose every text is hostile.
func TestInABrowser(t *testing.T) {
	browser.Find(t)
	w := shop()
	w.many(10_000)
	poison(reflect.ValueOf(&w.events), hostile)
	poison(reflect.ValueOf(&w.lines), hostile)
	w.snapshot.Problems[0].Evidence[0] += hostile
	w.snapshot.Problems[0].Cause += hostile
	r := newRig(t, w)
	login := r.serve()
	u, err := url.Parse(login)
	if err != nil {
		t.Fatal(err)
	}
	base := "http://" + u.Host
	b := browser.New(t, "en")

	b.Open(login)
	b.Shows("container web exits again and again", "it asks for redi", "live")
	if at := b.Address(); at != base+"/" {
		t.Errorf("after the login the address is %s", at)
	}
	if cookies := browser.Eval[string](b, "document.cookie"); cookies != "" {
		t.Errorf("scripts see the cookies %q", cookies)
	}
	b.Picture("overview")
	w.change(func() { w.snapshot.Problems = nil })
	b.Shows("nothing is wrong")

	// Keys lead from page to page.
	b.Type("ga")
	b.Until("the drawing", "document.querySelector('svg .part.ok') && document.querySelectorAll('svg .pod').length > 2")
	b.Click(`a[data-explain="etcd"]`)
	b.Until("the explanation", "document.activeElement.id === 'explain-etcd'")
	b.Shows("12/s")
	b.Picture("architecture")
	b.Type("gp")
	b.Until("rows", "document.querySelectorAll('.table .body .row').length > 5")
	if n := browser.Eval[int](b, "document.querySelectorAll('.table .body .row').length"); n > 100 {
		t.Errorf("a table of 10,000 rows has %d elements", n)
	}
	b.Shows("10002 of 10002")
	b.Type("/")
	b.Until("the focus", "document.activeElement.id === 'filter'")
	browser.Eval[string](b, "document.activeElement.value = ''") // a driver sends the character also where the key was used
	b.Type("n=4711")
	b.Shows("1 of 10002")
	b.Until("the row", "document.querySelectorAll('.table .body .row').length === 1")
	if at := b.Address(); !strings.Contains(at, "q=n%3D4711") {
		t.Errorf("the filter is not in the address %s", at)
	}
	b.Open(base + "/workloads?type=pods&q=cart-1")
	b.Shows("1 of 10002")
	b.Until("the cells", `[...document.querySelectorAll('.table .body .row > div')].map(e => e.textContent).join() === 'shop,cart-1,CrashLoopBackOff,dev-1'`)
	b.Picture("workloads")
	b.Click(".table .body a")
	b.Shows("Pod cart-1", "CrashLoopBackOff")
	b.Picture("object")
	b.Open(base + "/object?type=pods&ns=shop&name=cart-1&tab=logs")
	b.Shows("lookup redi: no such host</script>")
	b.Open(base + "/events")
	b.Shows("BackOff</script>", "1 of 1")
	b.Open(base + "/object?type=pods&ns=shop&name=cart-1")
	b.Click(`.buttons a.danger`)
	b.Shows("Delete Pod cart-1?")
	b.Click("button.danger")
	b.Shows("It is being deleted.")
	w.mu.Lock()
	if len(w.done) != 1 || w.done[0].Verb != kube.VerbDelete || w.done[0].Ref.UID != "u2" {
		t.Errorf("done: %+v", w.done)
	}
	w.mu.Unlock()
	b.Until("the scripts", "document.getElementById('live').textContent === 'live'")
	b.Type("?")
	b.Until("the keys", "document.getElementById('help').open")

	// In Chinese, narrow and wide, light and dark.
	b.Open(base + "/nodes")
	b.Click("#language")
	b.Shows("节点", "实时")
	for _, path := range addresses() {
		b.Open(base + path)
		for _, width := range []int{360, 1280, 3840} {
			b.Size(width, 900)
			b.Fits()
		}
		if contrast := browser.Eval[[]string](b, lowContrast); len(contrast) > 0 {
			t.Errorf("%s has too little contrast: %q", path, contrast)
		}
		b.Dark(true)
		if contrast := browser.Eval[[]string](b, lowContrast); len(contrast) > 0 {
			t.Errorf("%s has too little contrast in the dark: %q", path, contrast)
		}
		b.Dark(false)
		if nameless := browser.Eval[[]string](b, withoutName); len(nameless) > 0 {
			t.Errorf("%s has controls without a name: %q", path, nameless)
		}
	}
	b.Size(360, 740)
	b.Open(base + "/")
	b.Picture("narrow-zh")
	b.Dark(true)
	b.Open(base + "/architecture")
	b.Until("the drawing", "document.querySelector('svg .part.ok')")
	b.Size(1280, 900)
	b.Picture("architecture-dark-zh")

	if alert := browser.Eval[int](b, "document.querySelectorAll('hostile, img, iframe').length"); alert != 0 {
		t.Errorf("text became %d elements", alert)
	}
	for _, request := range b.Requests() {
		if !strings.HasPrefix(request, base+"/") {
			t.Errorf("a page requests %s", request)
		}
	}
	if errs := b.Errors(); len(errs) > 0 {
		t.Errorf("errors in pages: %q", errs)
	}
	r.s.Revoke()
	b.Shows("会话已结束")
}

// lowContrast lists text with less contrast than WCAG's AA wants.
const lowContrast = `(() => {
	const rgb = c => { const m = c.match(/[\d.]+/g).map(Number); return m.length > 3 ? m : [...m, 1]; };
	const lum = c => { const f = c.slice(0, 3).map(v => { v /= 255; return v <= .03928 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4; }); return .2126 * f[0] + .7152 * f[1] + .0722 * f[2]; };
	const found = [];
	for (const e of document.querySelectorAll('body *:not(svg *)')) {
		const own = [...e.childNodes].some(n => n.nodeType === 3 && n.data.trim());
		if (!own || !e.checkVisibility() || e.closest('.hide, .skip, .severity, meter, option')) continue;
		let back = [255, 255, 255, 1];
		for (let p = e; p; p = p.parentElement) {
			const c = rgb(getComputedStyle(p).backgroundColor);
			if (c[3] > 0) { back = c; break; }
		}
		const s = getComputedStyle(e), a = lum(rgb(s.color)), b = lum(back);
		const ratio = (Math.max(a, b) + .05) / (Math.min(a, b) + .05);
		const large = parseFloat(s.fontSize) >= 24 || parseFloat(s.fontSize) >= 18.66 && s.fontWeight >= 700;
		if (ratio < (large ? 3 : 4.5)) found.push(e.tagName + '.' + e.className + ' ' + ratio.toFixed(1));
	}
	return [...new Set(found)].slice(0, 10);
})()`

// withoutName lists controls that a screen reader has no name for.
const withoutName = `[...document.querySelectorAll('a, button, input:not([type=hidden]), select, [role=table], [role=log], svg[role]')].filter(e =>
	e.checkVisibility() && !(e.textContent.trim() || e.getAttribute('aria-label') || e.getAttribute('aria-labelledby') || e.title || e.labels && e.labels.length)
).map(e => e.outerHTML.slice(0, 80))`

// TestOtherSitesInABrowser: pages of other sites, and of other ports of this machine, get nothing.
func TestOtherSitesInABrowser(t *testing.T) {
	browser.Find(t)
	w := shop()
	r := newRig(t, w)
	login := r.serve()
	u, err := url.Parse(login)
	if err != nil {
		t.Fatal(err)
	}
	base := "http://" + u.Host
	b := browser.New(t, "en")
	b.Open(login)
	b.Shows("it asks for redi")
	b.Open(browser.Page(`<body><iframe src="` + base + `/"></iframe><p>here</p><form method=post action="` + base + `/do"><input name=verb value=delete><input name=type value=pods><input name=ns value=shop><input name=name value=cart-1><button id=go>go</button></form>
		<script>fetch("` + base + `/rows?type=pods", {credentials: "include"}).then(r => r.text()).then(t => document.body.append("read " + t), e => document.body.append("refused"))</script>`))
	b.Shows("here", "refused")
	if text := b.Text(); strings.Contains(text, "read ") {
		t.Errorf("a page of another site reads %s", text)
	}
	b.Click("#go")
	b.Shows("another site")
	if len(w.done) > 0 {
		t.Errorf("a page of another site does %+v", w.done)
	}
	// By a name that is not the dashboard's.
	b = browser.New(t, "en", browser.Resolve("evil.test"))
	b.Open("http://evil.test:" + u.Port() + "/")
	b.Shows("This is not a name of the dashboard")
}

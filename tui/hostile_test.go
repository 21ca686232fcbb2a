package tui

import (
	"strings"
	"testing"
	"unicode"

	"bonsai/bootstrap/kube"
)

// TestHiddenCharactersAreShown: a name that looks like another one, because parts of it are invisible or turn the reading
// direction round, looks like what it is on each page.
func TestHiddenCharactersAreShown(t *testing.T) {
	const (
		name, shownName   = "cart\u200b-\u202e7d9\u2066", `cart\u{200b}-\u{202e}7d9\u{2066}`
		image, shownImage = "shop.example/\u202etrac\u202c:1\ufeff", `shop.example/\u{202e}trac\u{202c}:1\u{feff}`
	)
	s := shop()
	s.rows["pods"][0].Name, s.rows["pods"][0].Cells[0] = name, name
	p := &s.snapshot.Problems[0]
	p.Object, p.Cause, p.Evidence = "pod/shop/"+name, "cannot pull "+image, []string{"\x1b[31mERROR\x1b[0m of \u200bit"}
	s.containers = []kube.ContainerDetail{{Name: "cart", Image: image, State: kube.ContainerState{Phase: kube.ContainerRunning}}}
	for i := range s.logs {
		if strings.HasPrefix(s.logs[i].Source.Pod, "cart-") {
			s.logs[i].Source.Pod = name
			s.logs[i].Text += " \x1b[32mof\x1b[0m " + image
		}
	}
	r := newRig(t, s, 200, 60)
	shown := func(page string, texts ...string) {
		t.Helper()
		r.where = page
		r.shows(texts...)
		for _, c := range r.screen() {
			if c != '\n' && (unicode.IsControl(c) || unicode.Is(unicode.Cf, c)) {
				t.Errorf("%s: %U is on the screen", page, c)
			}
		}
		r.frame(200, 60)
	}
	shown("overview", "shop/"+shownName, "cannot pull "+shownImage)
	r.keys("enter")
	shown("problem", "cannot pull "+shownImage, `ERROR of \u{200b}it`)
	r.keys("esc", "3")
	shown("pods", `cart\u{200b}-`) // the column has no room for more
	r.keys("/", `"7d9"`, "enter")
	r.until("the pod", func(string) bool { return len(r.u.page().(*listPage).subjects()) == 1 })
	r.keys("enter")
	shown("object", "shop/"+shownName, shownImage, `ERROR of \u{200b}it`)
	r.keys("4")
	shown("logs", shownName, "starting cart 1.4.2 of "+shownImage)
}

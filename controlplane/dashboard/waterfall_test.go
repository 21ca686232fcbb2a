package dashboard

import (
	"strings"
	"testing"
	"time"

	"bonsai/bootstrap/cluster"
)

func TestWaterfall(t *testing.T) {
	d := fallOf([]fallStep{{Name: "b", Begin: time.Second, End: 2 * time.Second}, {Name: "a", End: time.Second}, {Name: "c", Begin: 1500 * time.Millisecond}, {Name: "d", Begin: 2 * time.Second, End: 2 * time.Second, Failed: true}}, 4*time.Second)
	var names []string
	for i, b := range d.Bars {
		names = append(names, b.Name)
		if b.X < fallLabel || b.X+b.W > d.Width || b.Y < fallHead || b.Y+b.H > d.Height || b.W < 2 {
			t.Errorf("bar %d is outside of the drawing: %+v", i, b)
		}
		if i > 0 && b.X < d.Bars[i-1].X {
			t.Errorf("bar %d is left of the one before", i)
		}
	}
	if strings.Join(names, "") != "abcd" || d.Bars[2].Took != "2.50 s" || d.Bars[2].Tone != "warn" || d.Bars[3].Tone != "bad" || d.Total != 4*time.Second {
		t.Errorf("%+v", d)
	}
	for _, span := range []time.Duration{0, time.Millisecond, 3 * time.Second, time.Hour, 240 * time.Hour} {
		d := fallOf([]fallStep{{Name: "a", End: span}}, span)
		if n := len(d.Ticks); n < 1 || n > 11 || span > 0 && n < 2 {
			t.Errorf("%s has %d marks: %+v", span, n, d.Ticks)
		}
	}
	if d := fallOf(nil, 0); len(d.Bars) != 0 {
		t.Errorf("nothing is %+v", d)
	}
}

func TestStartsAndBirths(t *testing.T) {
	w := shop()
	r := newRig(t, w).logIn(false)
	body := r.get("/start").Body.String()
	if strings.Count(body, `href="/start?n=`) != 2 || !strings.Contains(body, "Control plane") || !strings.Contains(body, "2.20 s") {
		t.Errorf("the newest start: %s", body)
	}
	if body := r.get("/start?n=1").Body.String(); strings.Contains(body, "Control plane") || !strings.Contains(body, "9.00 s") {
		t.Errorf("the one before: %s", body)
	}
	w.starts = nil
	if body := r.get("/start").Body.String(); !strings.Contains(body, "no start is recorded yet") {
		t.Errorf("without a start: %s", body)
	}
	path := "/object?type=pods&ns=shop&name=cart-1&tab=birth"
	for _, body := range []string{r.get(path).Body.String(), r.part("/live" + path)} {
		for _, want := range []string{"containerd on dev-1", "1.18 s", "Why this node", "it is cordoned"} {
			if !strings.Contains(body, want) {
				t.Errorf("no %q in %s", want, body)
			}
		}
	}
	if body := r.get(path).Body.String(); !strings.Contains(body, "bonsai birth shop/cart-1 -p dev") {
		t.Errorf("the command is missing: %s", body)
	}
	w.born = cluster.Birth{}
	if got := r.get(path); got.Code != 404 {
		t.Errorf("a pod without a story answers %d", got.Code)
	}
	if body := r.get("/object?type=deployments.apps&ns=shop&name=cart").Body.String(); strings.Contains(body, "tab=birth") {
		t.Error("a Deployment has the story of a pod")
	}
}

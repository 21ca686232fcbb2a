package dashboard

import (
	"net/url"
	"strconv"
	"strings"
	"testing"
	"time"

	"bonsai/bootstrap/cluster"
	"bonsai/bootstrap/fault"
)

func TestSlider(t *testing.T) {
	h := cluster.History{Begun: at}
	for _, after := range []int{300, 200, 200, 100} {
		h.Changes = append(h.Changes, cluster.Change{Time: at.Add(time.Duration(after) * time.Second)})
	}
	second := func(after int) int64 { return at.Unix() + int64(after) }
	for _, c := range []struct {
		at             int // 0 is now
		earlier, later int // 0 is none
	}{{0, 299, 0}, {299, 199, 0}, {250, 199, 299}, {199, 99, 299}, {99, 0, 199}, {10, 0, 99}} {
		var place time.Time
		if c.at != 0 {
			place = time.Unix(second(c.at), 0)
		}
		d := sliderOf(h, url.Values{"ns": {"shop"}}, place, at.Add(time.Hour))
		want := func(after int) string {
			if after == 0 {
				return ""
			}
			return "/history?" + url.Values{"at": {strconv.FormatInt(second(after), 10)}, "ns": {"shop"}}.Encode()
		}
		if d.Earlier != want(c.earlier) || d.Later != want(c.later) || d.Least != at.Unix() || d.Most != at.Add(time.Hour).Unix() || len(d.Ticks) != 3 || d.Ticks[0] != second(100) {
			t.Errorf("at %d: %+v, want %s and %s", c.at, d, want(c.earlier), want(c.later))
		}
	}
}

func TestThePast(t *testing.T) {
	w := shop()
	r := newRig(t, w).logIn(false)
	body := r.get("/history?ns=shop&at=1777863722").Body.String()
	for _, want := range []string{"What is different now", "ConfigMap shop/gone", "ConfigMap shop/new", "/past?at=1777863722&amp;name=cart&amp;ns=shop&amp;type=deployments.apps", "/past?at=1777863722&amp;name=gone", "bonsai diff -p dev --at 2026-05-04T03:02:02Z -n shop"} {
		if !strings.Contains(body, want) {
			t.Errorf("no %q in %s", want, body)
		}
	}
	if strings.Contains(body, "/past?at=1777863722&amp;name=new") {
		t.Error("what did not exist has a past")
	}
	path := "/past?name=cart&ns=shop&to=7&type=deployments.apps"
	body = r.get(path).Body.String()
	for _, want := range []string{"Deployment cart as it was", "replicas: 1", "<del>2</del>", "<ins>1</ins>", "bonsai revert deployments.apps/cart -p dev -n shop --to 7"} {
		if !strings.Contains(body, want) {
			t.Errorf("no %q in %s", want, body)
		}
	}
	if len(w.reverted) > 0 {
		t.Fatalf("reverted by looking: %+v", w.reverted)
	}
	code, _, to := r.post("/past", url.Values{"type": {field(body, "type")}, "ns": {field(body, "ns")}, "name": {field(body, "name")}, "to": {field(body, "to")}})
	if code != 303 || to != "/object?name=cart&ns=shop&type=deployments.apps&done=revert" || len(w.reverted) != 1 || w.reverted[0].To != 7 || w.reverted[0].Name != "cart" {
		t.Errorf("%d leads to %s, reverted %+v", code, to, w.reverted)
	}
	for path, want := range map[string]int{
		"/history?at=x": 400, "/history?at=-1": 400, "/history?at=1000": 400, "/past": 400, "/past?type=pods&name=none": 404, "/past?type=pods&name=cart&to=x": 400, "/past?type=pods&name=cart&at=99999999999999": 400,
	} {
		if got := r.get(path); got.Code != want {
			t.Errorf("%s answers %d, want %d", path, got.Code, want)
		}
	}
	w.refused = fault.Newf(fault.Refused, "revert cart: a webhook <b>refuses</b>")
	if body := r.get(path).Body.String(); !strings.Contains(body, "a webhook &lt;b&gt;refuses") || strings.Contains(body, "<button class=\"primary\"") {
		t.Errorf("a revert that would be refused: %s", body)
	}
	w.refused = nil
	r = newRig(t, w).logIn(true)
	if body := r.get(path).Body.String(); !strings.Contains(body, "replicas: 1") || strings.Contains(body, "action=\"/past\"") {
		t.Errorf("a read-only session gets %s", body)
	}
	if code, _, _ := r.post("/past", url.Values{"type": {"deployments.apps"}, "ns": {"shop"}, "name": {"cart"}, "to": {"7"}}); code != 403 || len(w.reverted) != 1 {
		t.Errorf("a read-only session's form answers %d", code)
	}
}

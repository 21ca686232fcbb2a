package tui

import (
	"testing"
)

func TestPodsScreen(t *testing.T) {
	r := newRig(t, shop(), 120, 30)
	r.keys("3")
	r.shows("cart-7d9f4-x2k", "CrashLoopBackOff", "购物车-漢字", "38m", "84M")
	r.keys("/", `"web"`)
	r.shows("/web", "1/2 (8)")
	r.frame(120, 30)
}

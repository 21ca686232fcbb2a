package tui

import "testing"

func TestResourcesAreCompared(t *testing.T) {
	r := newRig(t, shop(), 140, 30)
	r.settled()
	r.keys("B")
	r.shows("RESOURCES what is used of what is requested", "dev-1", "requested", "web-9cc6f-lm2", "38m/100m", "84M/128M", "64M")
	r.keys("/", `"lm2"`, "enter")
	r.shows("cpu 38m  request 100m  limit none   mem 84M  request 64M  limit 128M")
	r.keys("enter")
	r.shows("shop/web-9cc6f-lm2", "[Summary]")
	r.keys("esc", "esc", "n")
	r.shows("namespace")
	r.keys(`"ingress"`, "enter")
	r.until("one namespace", func(string) bool { return r.u.page().(*resourcesPage).grid.Total() == 2 })
	for _, size := range [][2]int{{40, 8}, {41, 11}, {80, 24}, {120, 40}, {200, 60}} {
		r.resize(size[0], size[1])
		r.frame(size[0], size[1])
	}
}

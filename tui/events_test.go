package tui

import (
	"testing"
)

func TestLookEvents(t *testing.T) {
	for _, s := range [][2]int{{80, 24}, {120, 40}, {200, 60}, {40, 10}} {
		r := newRig(t, shop(), s[0], s[1])
		r.keys("5")
		r.shows("BackOff")
		r.keys("j")
		r.frame(s[0], s[1])
		look(t, r)
	}
}

package tui

import (
	"slices"
	"testing"

	tea "github.com/charmbracelet/bubbletea"
)

// TestKeysThatArriveTogether: a terminal sends what is typed fast in one piece.
func TestKeysThatArriveTogether(t *testing.T) {
	r := newRig(t, shop(), 120, 30)
	r.send(tea.KeyMsg{Type: tea.KeyRunes, Runes: []rune("3jj/web x")})
	r.shows("[3 Pods]", "/web x")
	r.keys("esc")
	r.send(tea.KeyMsg{Type: tea.KeyRunes, Runes: []rune("9Q"), Paste: true})
	r.shows("[3 Pods]")
}

func TestPodsScreen(t *testing.T) {
	r := newRig(t, shop(), 120, 30)
	r.keys("3")
	r.shows("cart-7d9f4-x2k", "CrashLoopBackOff", "购物车-漢字", "38m", "84M")
	r.keys("/", `"web"`)
	r.shows("/web", "1/2 (8)")
	r.frame(120, 30)
}

func TestScreensHaveTheirNames(t *testing.T) {
	r := newRig(t, healthy(), 80, 24)
	var names []string
	for _, s := range r.u.screens {
		names = append(names, s.id)
	}
	if !slices.Equal(names, ScreenNames()) {
		t.Errorf("the screens are %q", names)
	}
}

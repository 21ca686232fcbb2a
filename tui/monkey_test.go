package tui

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	tea "github.com/charmbracelet/bubbletea"

	"bonsai/tui/keymap"
)

// TestAnyKeysInAnyOrder types keys at random, in terminals of any size: nothing panics, and each picture is exactly as
// large as the terminal.
func TestAnyKeysInAnyOrder(t *testing.T) {
	var all []string
	for _, place := range keymap.Places() {
		for _, a := range keymap.Default().Actions(place.Context) {
			for _, k := range a.Keys {
				if !slices.Contains(all, k) {
					all = append(all, k)
				}
			}
		}
	}
	all = append(all, "e", "w", "1", "3", "5", "6", "9")
	for name, world := range worlds {
		t.Run(name, func(t *testing.T) {
			rnd := rand.New(rand.NewPCG(uint64(len(name)), 11))
			r := newRig(t, world(), 100, 30, func(o *Options) { o.ReadOnly = true })
			w, h := 100, 30
			var last []string
			defer func() {
				if t.Failed() {
					t.Logf("the last keys were %q", last)
				}
			}()
			for n := range 500 {
				k := all[rnd.IntN(len(all))]
				last = append(last, k)[max(0, len(last)-39):]
				msg := tea.KeyMsg{Type: tea.KeyRunes, Runes: []rune(k)}
				if len([]rune(k)) > 1 || k == " " {
					msg = namedKey(t, k)
				}
				r.where = fmt.Sprintf("after %q", last)
				r.send(msg)
				if n%10 == 0 {
					w, h = 20+rnd.IntN(200), 5+rnd.IntN(60)
					r.send(sizeMsg(w, h))
					r.settle()
				}
				r.frame(w, h)
			}
		})
	}
}

// namedKey is keyMsg, also for keys with alt.
func namedKey(t *testing.T, name string) tea.KeyMsg {
	if rest, ok := strings.CutPrefix(name, "alt+"); ok {
		if rest := []rune(rest); len(rest) == 1 {
			return tea.KeyMsg{Type: tea.KeyRunes, Runes: rest, Alt: true}
		}
		m := keyMsg(t, rest)
		m.Alt = true
		return m
	}
	return keyMsg(t, name)
}

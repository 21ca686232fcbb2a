package paint

import (
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/charmbracelet/x/ansi"
)

// TestWidthsOfAlphabets: what Width takes a short way for has the width that grapheme clusters give it, alone and beside
// anything else.
func TestWidthsOfAlphabets(t *testing.T) {
	var known []rune
	for r := rune(0x80); r < 0x20000; r++ {
		if w := cells(r); w > 0 {
			known = append(known, r)
			if got := ansi.StringWidth(string(r)); got != w {
				t.Errorf("%U is %d cells wide, not %d", r, got, w)
			}
		}
	}
	others := []rune("aZ 0~\u0301\u0903ก็한☂👍क्ष\uFFFD—")
	rnd := rand.New(rand.NewPCG(1, 2))
	for range 20000 {
		var text []rune
		for range 1 + rnd.IntN(6) {
			if rnd.IntN(3) > 0 {
				text = append(text, known[rnd.IntN(len(known))])
			} else {
				text = append(text, others[rnd.IntN(len(others))])
			}
		}
		s := Clean(string(text))
		if got, want := Width(s), ansi.StringWidth(s); got != want {
			t.Fatalf("%q is %d cells wide, not %d", s, got, want)
		}
		sum := 0
		for rest := s; rest != ""; {
			n, w := Character(rest)
			rest, sum = rest[n:], sum+w
		}
		if want := Width(s); sum != want {
			t.Fatalf("the characters of %q are %d cells wide together, not %d", s, sum, want)
		}
	}
}

// TestWrapBreaksAtSpacesOnly: an option that is cut off its dash is another one for a reader who types it.
func TestWrapBreaksAtSpacesOnly(t *testing.T) {
	for _, test := range []struct {
		text string
		w    int
		want []string
	}{
		{"bonsai kubectl -- edit pod cart -n shop", 33, []string{"bonsai kubectl -- edit pod cart", "-n shop"}},
		{"bonsai kubectl -- edit pod cart -n shop", 32, []string{"bonsai kubectl -- edit pod cart", "-n shop"}},
		{"abcdefgh ij", 3, []string{"abc", "def", "gh", "ij"}},
		{"漢字漢字", 3, []string{"漢", "字", "漢", "字"}},
		{"漢字", 1, []string{"漢", "字"}},
		{"do it:  now", 6, []string{"do it:", "now"}},
		{"", 5, []string{""}},
		{"ab", 0, nil},
	} {
		if got := Wrap(test.text, test.w); !slices.Equal(got, test.want) {
			t.Errorf("%q in %d cells becomes %q, not %q", test.text, test.w, got, test.want)
		}
	}
}

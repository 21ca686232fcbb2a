package cli

import (
	"slices"
	"testing"

	"bonsai/tui"
	"bonsai/tui/paint"
	"bonsai/tui/words"
)

// TestNamesAreThoseOfTheUI compares what flags can be with what the terminal UI knows.
func TestNamesAreThoseOfTheUI(t *testing.T) {
	for what, names := range map[string][2][]string{
		"themes": {uiThemes, paint.Names()}, "screens": {uiScreens, tui.ScreenNames()}, "languages": {uiLanguages, words.Languages()},
	} {
		if !slices.Equal(names[0], names[1]) {
			t.Errorf("%s: the command line has %q, the UI %q", what, names[0], names[1])
		}
	}
}

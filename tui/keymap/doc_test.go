package keymap

import (
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write docs/keys.md anew")

// TestDocument keeps docs/keys.md what the map says.
func TestDocument(t *testing.T) {
	var b strings.Builder
	b.WriteString("# Keys of the terminal UI\n\nMade from `tui/keymap/default.go` by `go test ./tui/keymap -update`. The names in the last column are those of\n[ui.yaml](ui.md#settings), which can give any action other keys. `?` shows the keys of the screen where you are.\n")
	for _, section := range []struct {
		context Context
		title   string
	}{{Global, "Everywhere"}, {List, "In lists"}, {Text, "In logs and other texts"}, {Object, "On the page of an object"}, {Panes, "Where panes stand beside each other"}, {Start, "On the start view"}, {Dialog, "In questions, menus and prompts"}} {
		fmt.Fprintf(&b, "\n## %s\n\n| keys | what | name |\n|---|---|---|\n", section.title)
		for _, binding := range Default().Bindings() {
			if binding.Context != section.context {
				continue
			}
			var keys []string
			for _, k := range binding.Keys {
				keys = append(keys, "`"+Name(k)+"`")
			}
			fmt.Fprintf(&b, "| %s | %s | %s |\n", strings.Join(keys, " "), binding.Help, binding.ID)
		}
	}
	const path = "../../docs/keys.md"
	if *update {
		if err := os.WriteFile(path, []byte(b.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	have, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if string(have) != b.String() {
		t.Errorf("%s is not what the map says; write it anew with -update", path)
	}
}

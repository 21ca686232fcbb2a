package keymap

import (
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write docs/keys.md again")

const intro = `# Keys of the terminal UI

Made from ` + "`tui/keymap/default.go` by `go test ./tui/keymap -update`" + `. The names in the last column are those of
[ui.yaml](ui.md#settings), which can give any action other keys. ` + "`?`" + ` shows the keys of the screen where you are.

A page has keys of its own and those of what it is made of: the list of pods is a table of objects, which is a list, and
each of its rows is an object. A key is looked up from the most specific section to the most general; "Everywhere" comes
last.
`

// TestDocument keeps docs/keys.md what the map says.
func TestDocument(t *testing.T) {
	var b strings.Builder
	b.WriteString(intro)
	titles := map[Context]string{}
	for _, p := range Places() {
		titles[p.Context] = p.Title
	}
	for _, p := range Places() {
		fmt.Fprintf(&b, "\n## %s\n\n", p.Title)
		if len(p.Of) > 0 {
			var parts []string
			for _, c := range Chain(p.Of...) {
				parts = append(parts, "["+titles[c]+"](#"+anchor(titles[c])+")")
			}
			fmt.Fprintf(&b, "Also: %s.\n\n", strings.Join(parts, "; "))
		}
		b.WriteString("| keys | what | name |\n|---|---|---|\n")
		for _, a := range Default().Actions(p.Context) {
			var keys []string
			for _, k := range a.Keys {
				keys = append(keys, "`"+Name(k)+"`")
			}
			fmt.Fprintf(&b, "| %s | %s | %s |\n", strings.Join(keys, " "), a.Help, a.ID)
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
		t.Errorf("%s is not what the map says; write it again with -update", path)
	}
}

// anchor is the link to a heading.
func anchor(title string) string {
	title = strings.ToLower(strings.NewReplacer(":", "", ",", "").Replace(title))
	return strings.ReplaceAll(title, " ", "-")
}

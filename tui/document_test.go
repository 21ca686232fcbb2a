package tui

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"bonsai/tui/paint"
)

var (
	picturePlace = regexp.MustCompile("(?s)<!-- picture: (\\S+) -->\n```\n(.*?)```\n")
	emptyLines   = regexp.MustCompile(`\n{3,}`)
)

// TestGoldenPagesOfDocs keeps the pictures in docs/ui what the screens are, at 80x24, with lines that are empty left out.
func TestGoldenPagesOfDocs(t *testing.T) {
	pages, err := filepath.Glob("../docs/ui/*.md")
	if err != nil || len(pages) == 0 {
		t.Fatalf("there are no pages: %v", err)
	}
	for _, path := range pages {
		data, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		place := picturePlace.FindSubmatch(data)
		if place == nil {
			t.Errorf("%s has no place for a picture", path)
			continue
		}
		c, ok := goldens[string(place[1])]
		if !ok {
			t.Fatalf("%s wants a picture of %q, which there is not", path, place[1])
		}
		r := newRig(t, c.world(), 80, 24, func(o *Options) { o.Depth = paint.Mono })
		r.show(c.keys, c.shows)
		var lines []string
		for line := range strings.Lines(r.screen()) {
			lines = append(lines, strings.TrimRight(line, " \n"))
		}
		want := emptyLines.ReplaceAllString(strings.Join(lines, "\n"), "\n\n") + "\n"
		if string(place[2]) == want {
			continue
		}
		if !*update {
			t.Errorf("the picture in %s is not what is drawn; go test ./tui -run Golden -update rewrites it", path)
			continue
		}
		text := strings.Replace(string(data), string(place[0]), "<!-- picture: "+string(place[1])+" -->\n```\n"+want+"```\n", 1)
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

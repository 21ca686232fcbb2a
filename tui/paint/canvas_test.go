package paint

import (
	"strings"
	"testing"

	"github.com/charmbracelet/x/ansi"
)

func picture(c *Canvas) string {
	var lines []string
	for _, l := range c.Lines() {
		lines = append(lines, strings.TrimRight(ansi.Strip(l), " "))
	}
	return strings.Join(lines, "\n")
}

func TestCanvas(t *testing.T) {
	theme := func(ascii bool) *Theme {
		theme, err := NewTheme("auto", Colors16, ascii, true)
		if err != nil {
			t.Fatal(err)
		}
		return theme
	}
	for name, test := range map[string]struct {
		ascii bool
		draw  func(*Canvas)
		want  string
	}{
		"a box with a joint": {draw: func(c *Canvas) {
			c.Box(1, 0, 6, 3, Dim)
			c.Text(2, 1, Plain, "in here", 4)
			c.Joint(6, 1, Dim, "├")
			c.Across(7, 9, 1, Accent)
		}, want: " ╭────╮\n │in …├──\n ╰────╯"},
		"the same in ASCII": {ascii: true, draw: func(c *Canvas) {
			c.Box(1, 0, 6, 3, Dim)
			c.Joint(6, 1, Dim, "├")
			c.Down(3, 1, 2, Dim)
		}, want: " +----+\n | |  +\n +----+"},
		"wide characters are not left in halves": {draw: func(c *Canvas) {
			c.Text(0, 0, Plain, "漢字漢", 9)
			c.Text(1, 0, Plain, "x", 1)
			c.Text(4, 0, Plain, "y", 1)
		}, want: " x字y\n\n"},
		"what is outside is cut off": {draw: func(c *Canvas) {
			c.Box(-2, -1, 40, 9, Dim)
			c.Text(9, 1, Plain, "漢", 2)
			c.Text(8, 2, Plain, "abc", 9)
			c.Text(-1, 0, Plain, "no", 2)
		}, want: "o\n\n        ab"},
	} {
		t.Run(name, func(t *testing.T) {
			c := theme(test.ascii).Canvas(10, 3)
			test.draw(c)
			if got := picture(c); got != test.want {
				t.Errorf("got\n%s\nwant\n%s", got, test.want)
			}
			for _, l := range c.Lines() {
				if ansi.StringWidth(l) != 10 {
					t.Errorf("%q is not 10 cells wide", l)
				}
			}
		})
	}
}

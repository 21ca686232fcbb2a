package paint

import (
	"strings"

	"github.com/charmbracelet/x/ansi"
)

// Canvas is a picture made of characters, for what is not made of lines: boxes and arrows. What is drawn outside of it
// is cut off. It draws over what was there before.
type Canvas struct {
	t             *Theme
	width, height int
	cells         []cell
	pale          bool
}

// cell is one character; the second half of a wide one is empty.
type cell struct {
	text string
	role Role
	half bool
}

// Canvas begins an empty picture.
func (t *Theme) Canvas(width, height int) *Canvas {
	return &Canvas{t: t, width: max(0, width), height: max(0, height), cells: make([]cell, max(0, width)*max(0, height))}
}

// Pale draws everything dim, as old news.
func (c *Canvas) Pale(pale bool) *Canvas { c.pale = pale; return c }

// Text writes clean text from a cell to the right, at most w cells of it, and returns the column behind it.
func (c *Canvas) Text(x, y int, r Role, text string, w int) int {
	text = Cut(text, w, c.t.Glyphs.More)
	var state byte
	for text != "" {
		seq, width, n, next := ansi.DecodeSequence(text, state, nil)
		state, text = next, text[n:]
		if width > 0 {
			c.put(x, y, r, seq, width)
			x += width
		}
	}
	return x
}

func (c *Canvas) put(x, y int, r Role, text string, width int) {
	if y < 0 || y >= c.height || x < 0 || x+width > c.width {
		return
	}
	row := c.cells[y*c.width : (y+1)*c.width]
	if row[x].half { // of a wide one, whose first half cannot stay alone
		row[x-1] = cell{text: " "}
	}
	if end := x + width; end < c.width && row[end].half {
		row[end] = cell{text: " "}
	}
	row[x] = cell{text: text, role: r}
	for i := 1; i < width; i++ {
		row[x+i] = cell{half: true}
	}
}

// Box draws a border of w by h cells, with a title in it.
func (c *Canvas) Box(x, y, w, h int, r Role) {
	g := &c.t.Glyphs
	corners := [4]string{"╭", "╮", "╰", "╯"}
	side := "│"
	if g.Full == asciiGlyphs.Full {
		corners, side = [4]string{"+", "+", "+", "+"}, "|"
	}
	c.Across(x+1, x+w-1, y, r)
	c.Across(x+1, x+w-1, y+h-1, r)
	for i := y + 1; i < y+h-1; i++ {
		c.put(x, i, r, side, 1)
		c.put(x+w-1, i, r, side, 1)
	}
	c.put(x, y, r, corners[0], 1)
	c.put(x+w-1, y, r, corners[1], 1)
	c.put(x, y+h-1, r, corners[2], 1)
	c.put(x+w-1, y+h-1, r, corners[3], 1)
}

// Across draws a line from column x up to but not including end.
func (c *Canvas) Across(x, end, y int, r Role) {
	for ; x < end; x++ {
		c.put(x, y, r, c.t.Glyphs.Rule, 1)
	}
}

// Down draws a line from row y up to but not including end.
func (c *Canvas) Down(x, y, end int, r Role) {
	side := "│"
	if c.t.Glyphs.Full == asciiGlyphs.Full {
		side = "|"
	}
	for ; y < end; y++ {
		c.put(x, y, r, side, 1)
	}
}

// Joint draws one character where lines meet, in terminals with line characters; "+" in others.
func (c *Canvas) Joint(x, y int, r Role, text string) {
	if c.t.Glyphs.Full == asciiGlyphs.Full {
		text = "+"
	}
	c.put(x, y, r, text, 1)
}

// Lines returns the picture, line by line, each exactly as wide as the canvas.
func (c *Canvas) Lines() []string {
	lines := make([]string, 0, c.height)
	for y := range c.height {
		var line, run strings.Builder
		role := Plain
		flush := func() {
			on := role
			if c.pale {
				on = Dim
			}
			line.WriteString(c.t.Paint(on, run.String()))
			run.Reset()
		}
		for _, k := range c.cells[y*c.width : (y+1)*c.width] {
			if k.half {
				continue
			}
			if k.text == "" {
				k.text, k.role = " ", Plain
			}
			if k.role != role {
				flush()
				role = k.role
			}
			run.WriteString(k.text)
		}
		flush()
		lines = append(lines, line.String())
	}
	return lines
}

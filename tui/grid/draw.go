package grid

import (
	"strings"
	"time"

	"bonsai/tui/paint"
)

// Look is what drawing needs to know beside the rows.
type Look struct {
	Theme *paint.Theme
	// Age writes the age of a time.
	Age func(time.Time) string
	// Tick moves what spins.
	Tick int
	// Title translates the title of a column.
	Title func(string) string
	// Focused says that the cursor is visible.
	Focused bool
	// Pale draws everything as old news.
	Pale bool
	// Spins is called when a row that spins was drawn.
	Spins func()
}

// headerSpan is where a title stands, for clicks on it.
type headerSpan struct{ column, from, to int }

// gutter is the cells before the first column: cursor or mark, state, a space.
const gutter = 3

// Draw returns exactly h lines of w cells: titles, and as many rows as there is room for.
func (g *Grid) Draw(look Look, w, h int) []string {
	if h <= 0 {
		return nil
	}
	g.rows = h - 1
	g.clamp()
	shown, widths := g.layout(w - gutter)
	lines := make([]string, 0, h)
	lines = append(lines, g.drawHeader(look, w, shown, widths))
	for i := g.top; i < len(g.order) && len(lines) < h; i++ {
		lines = append(lines, g.drawRow(look, w, i, shown, widths))
	}
	blank := paint.Spaces(w)
	for len(lines) < h {
		lines = append(lines, blank)
	}
	return lines
}

func (g *Grid) drawHeader(look Look, w int, shown, widths []int) string {
	l := look.Theme.Line(w).Add(paint.Plain, paint.Spaces(gutter))
	g.header = g.header[:0]
	for n, c := range shown {
		title := strings.ToUpper(look.Title(g.columns[c].Title))
		if c == g.sortBy {
			if g.descend {
				title += look.Theme.Glyphs.Down
			} else {
				title += look.Theme.Glyphs.Up
			}
		}
		from := w - l.Room()
		if g.columns[c].Kind == Number {
			l.ColRight(paint.Dim, title, widths[n])
		} else {
			l.Col(paint.Dim, title, widths[n])
		}
		g.header = append(g.header, headerSpan{c, from, w - l.Room()})
	}
	return l.String()
}

func (g *Grid) drawRow(look Look, w, i int, shown, widths []int) string {
	it := g.order[i]
	l := look.Theme.Line(w)
	switch {
	case i == g.index && look.Focused:
		l.Add(paint.Strong, look.Theme.Glyphs.Cursor)
	case g.marks[it.ID]:
		l.Add(paint.Accent, look.Theme.Glyphs.Mark)
	default:
		l.Add(paint.Plain, " ")
	}
	if it.State == paint.StateBusy && look.Spins != nil {
		look.Spins()
	}
	l.State(it.State, look.Tick)
	for n, c := range shown {
		text, role := cell(it, c), paint.Plain
		if live := g.columns[c].Live; live != nil {
			text, _ = live(it)
		}
		if c < len(it.Roles) {
			role = it.Roles[c]
		}
		if g.columns[c].Kind == Age && !it.Time.IsZero() {
			text, role = look.Age(it.Time), paint.Dim
		}
		if look.Pale {
			role = paint.Dim
		}
		if g.columns[c].Kind == Number {
			l.ColRight(role, text, widths[n])
		} else {
			l.Col(role, text, widths[n])
		}
	}
	if i == g.index && look.Focused {
		l.Select()
	}
	return l.String()
}

// ageWidth is that of the longest age ("364d").
const ageWidth = 5

// layout chooses the columns for a width and how wide each is.
func (g *Grid) layout(w int) (shown, widths []int) {
	for i, c := range g.columns {
		if !c.Wide || g.wide {
			shown = append(shown, i)
		}
	}
	kept := g.kept()
	natural := func(c int) int {
		n := max(g.widths[c], paint.Width(g.columns[c].Title), g.columns[c].Min)
		if g.columns[c].Kind == Age {
			n = max(ageWidth, paint.Width(g.columns[c].Title))
		}
		if m := g.columns[c].Max; m > 0 {
			n = min(n, m)
		}
		return n
	}
	least := func(c int) int {
		n := min(natural(c), 8)
		if m := g.columns[c].Min; m > 0 {
			n = min(m, natural(c))
		}
		if c == kept { // it has to be readable, also where all columns are shown
			n = max(n, min(natural(c), w/3))
		}
		return n
	}
	// Columns go, the most dispensable first, until the rest has room at its least.
	for len(shown) > 1 {
		need, drop := 0, -1
		for n, c := range shown {
			need += least(c) + 1
			if g.columns[c].Drop > 0 && (drop < 0 || g.columns[c].Drop >= g.columns[shown[drop]].Drop) {
				drop = n
			}
		}
		if need <= w || drop < 0 {
			break
		}
		shown = append(shown[:drop:drop], shown[drop+1:]...)
	}
	// What is left shrinks where it is widest, what the row is about after all others.
	total := 0
	for _, c := range shown {
		widths = append(widths, natural(c))
		total += natural(c) + 1
	}
	for total > w {
		widest := -1
		for n, c := range shown {
			if widths[n] <= least(c) {
				continue
			}
			if widest < 0 || shown[widest] == kept || c != kept && widths[n] > widths[widest] {
				widest = n
			}
		}
		if widest < 0 {
			break
		}
		widths[widest]--
		total--
	}
	return shown, widths
}

// kept is the column that says what the row is about: the only one that is never left out. -1 if there are several.
func (g *Grid) kept() int {
	kept := -1
	for i, c := range g.columns {
		switch {
		case c.Drop > 0:
		case kept >= 0:
			return -1
		default:
			kept = i
		}
	}
	return kept
}

// Click handles a click into what the grid drew; y counts from its first line. It says whether that did something:
// the title of a column sorts by it, a row gets the cursor.
func (g *Grid) Click(x, y int) bool {
	if y == 0 {
		for _, s := range g.header {
			if x >= s.from && x < s.to {
				g.Sort(s.column, g.sortBy == s.column && !g.descend)
				return true
			}
		}
		return false
	}
	if at := g.top + y - 1; at < len(g.order) && y <= g.rows {
		g.moveTo(at)
		return true
	}
	return false
}

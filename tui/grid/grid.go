// Package grid is the table of the UI: thousands of rows of which the visible ones are drawn.
//
// Rows are known by their ID, and so is the cursor: it stays on its object whatever happens around it. Order, filter
// and column widths are kept up to date row by row. A Grid belongs to one goroutine.
//
// Begin reading at Grid; filter.go has the language of filters, draw.go the drawing.
package grid

import (
	"cmp"
	"slices"
	"strconv"
	"strings"
	"time"

	"bonsai/tui/paint"
)

// Kind is how a column sorts and aligns.
type Kind uint8

// The kinds of columns.
const (
	Text   Kind = iota
	Number      // to the right; sorts by Item.Values, or else by the number that the cell begins with
	Age         // derived from Item.Time while it is drawn
)

// Column heads one cell of each row.
type Column struct {
	Title string
	Kind  Kind
	// Wide columns are drawn only when wide output is wanted.
	Wide bool
	// Drop is when the column goes where room is short: higher goes first, 0 stays.
	Drop int
	// Min and Max bound its width; 0 is no bound.
	Min, Max int
	// Live, if set, gives text and number of the cell when it is drawn or sorted, in place of Item.Cells. Such a column
	// has a Min that is wide enough, and is sorted when Sort is called.
	Live func(*Item) (string, float64)
}

func sameColumns(a, b []Column) bool {
	return slices.EqualFunc(a, b, func(a, b Column) bool {
		return a.Title == b.Title && a.Kind == b.Kind && a.Wide == b.Wide && a.Drop == b.Drop && a.Min == b.Min && a.Max == b.Max &&
			(a.Live == nil) == (b.Live == nil)
	})
}

// Item is one row.
type Item struct {
	// ID is its identity. Key is what it sorts by at first and in case of equality, usually namespace/name.
	ID, Key string
	State   paint.State
	// Cells are clean text, one per column.
	Cells []string
	// Roles, if there are any, are those of the cells; Values their numbers.
	Roles  []paint.Role
	Values []float64
	Time   time.Time
	Labels map[string]string
	// Data is for the owner of the grid.
	Data any

	search string // lower-case text of all cells, made when it is first needed
}

// ByKey as a column to sort by is Item.Key.
const ByKey = -1

// Grid is a table. The zero value is not usable; make one with New.
type Grid struct {
	columns []Column
	widths  []int // the widest cell so far
	items   map[string]*Item
	order   []*Item // those that pass the filter, sorted
	marks   map[string]bool

	filter  filter
	sortBy  int
	descend bool
	wide    bool

	cursor string // ID; empty is the first row
	index  int    // of the cursor in order, as far as it is known
	top    int    // index of the first row on the screen
	rows   int    // on the screen
	lost   bool   // the object under the cursor went away since Lost was asked
	header []headerSpan
}

// New makes an empty table.
func New(columns []Column) *Grid {
	g := &Grid{items: map[string]*Item{}, marks: map[string]bool{}, sortBy: ByKey}
	g.SetColumns(columns)
	return g
}

// SetColumns changes the columns; the cells of the items have to follow.
func (g *Grid) SetColumns(columns []Column) {
	if sameColumns(columns, g.columns) {
		return
	}
	g.columns = columns
	g.widths = make([]int, len(columns))
	if g.sortBy >= len(columns) {
		g.sortBy = ByKey
	}
	for _, it := range g.items {
		it.search = ""
		g.measure(it)
	}
	g.arrange()
}

// Columns returns the columns.
func (g *Grid) Columns() []Column { return g.columns }

// Len is the number of rows that pass the filter, Total that of all.
func (g *Grid) Len() int   { return len(g.order) }
func (g *Grid) Total() int { return len(g.items) }

// Reset forgets all rows but not the cursor, which comes back with its object.
func (g *Grid) Reset() {
	clear(g.items)
	g.order = g.order[:0]
	clear(g.widths)
}

// Set adds rows, or replaces those of the same ID. Many at once are cheaper than one by one.
func (g *Grid) Set(items ...Item) {
	bulk := len(items) > 64
	for i := range items {
		it := items[i]
		g.measure(&it)
		old := g.items[it.ID]
		g.items[it.ID] = &it
		if bulk {
			continue
		}
		if at := g.find(old); at >= 0 {
			if g.filter.match(g, &it) && g.compare(old, &it) == 0 {
				g.order[at] = &it
				continue
			}
			g.order = slices.Delete(g.order, at, at+1)
			g.index += shiftDelete(at, g.index)
		}
		if g.filter.match(g, &it) {
			at, _ := slices.BinarySearchFunc(g.order, &it, g.compare)
			g.order = slices.Insert(g.order, at, &it)
			if at <= g.index && g.cursor != "" && it.ID != g.cursor {
				g.index++
			}
		}
	}
	if bulk {
		g.arrange()
	}
	g.follow()
}

// Remove takes rows out.
func (g *Grid) Remove(ids ...string) {
	for _, id := range ids {
		it := g.items[id]
		if it == nil {
			continue
		}
		delete(g.items, id)
		delete(g.marks, id)
		if at := g.find(it); at >= 0 {
			g.order = slices.Delete(g.order, at, at+1)
			if id == g.cursor {
				// The row that takes its place gets the cursor, and whoever acts on it learns that.
				g.lost = true
				g.index = min(at, len(g.order)-1)
				g.cursor = ""
				if g.index >= 0 {
					g.cursor = g.order[g.index].ID
				}
				continue
			}
			g.index += shiftDelete(at, g.index)
		}
	}
	g.follow()
}

func shiftDelete(at, index int) int {
	if at < index {
		return -1
	}
	return 0
}

// Lost says whether the object under the cursor has gone since Lost was asked before: what was meant for it must not
// hit its neighbour.
func (g *Grid) Lost() bool {
	lost := g.lost
	g.lost = false
	return lost
}

// find returns where it stands in order, -1 if nowhere.
func (g *Grid) find(it *Item) int {
	if it == nil {
		return -1
	}
	at, found := slices.BinarySearchFunc(g.order, it, g.compare)
	if found && g.order[at] == it {
		return at
	}
	return slices.Index(g.order, it)
}

// arrange filters and sorts everything.
func (g *Grid) arrange() {
	g.order = g.order[:0]
	for _, it := range g.items {
		if g.filter.match(g, it) {
			g.order = append(g.order, it)
		}
	}
	slices.SortFunc(g.order, g.compare)
	g.follow()
}

// follow finds the cursor again and keeps its line on the screen where it was.
func (g *Grid) follow() {
	if len(g.order) == 0 {
		g.index, g.top = 0, 0
		return
	}
	at := g.index
	if g.cursor == "" {
		at = 0
	} else if at < 0 || at >= len(g.order) || g.order[at].ID != g.cursor {
		at = g.find(g.items[g.cursor])
		if at < 0 { // filtered out, or not there yet
			at = min(max(g.index, 0), len(g.order)-1)
		}
	}
	if at != g.index {
		g.top += at - g.index
		g.index = at
	}
	g.clamp()
}

func (g *Grid) clamp() {
	rows := max(g.rows, 1)
	if g.index < g.top {
		g.top = g.index
	}
	if g.index >= g.top+rows {
		g.top = g.index - rows + 1
	}
	g.top = max(0, min(g.top, len(g.order)-rows))
}

func (g *Grid) measure(it *Item) {
	for i, c := range it.Cells {
		if i < len(g.widths) {
			g.widths[i] = max(g.widths[i], paint.Width(c))
		}
	}
}

func (g *Grid) compare(a, b *Item) int {
	n := 0
	if g.sortBy >= 0 && g.sortBy < len(g.columns) {
		switch g.columns[g.sortBy].Kind {
		case Age:
			n = b.Time.Compare(a.Time) // the youngest first
		case Number:
			n = cmp.Compare(g.number(a), g.number(b))
		default:
			n = strings.Compare(cell(a, g.sortBy), cell(b, g.sortBy))
		}
		if g.descend {
			n = -n
		}
	}
	if n == 0 {
		n = strings.Compare(a.Key, b.Key)
	}
	if n == 0 {
		n = strings.Compare(a.ID, b.ID)
	}
	return n
}

// number is what a row sorts by in a column of numbers.
func (g *Grid) number(it *Item) float64 {
	if live := g.columns[g.sortBy].Live; live != nil {
		_, v := live(it)
		return v
	}
	return number(it, g.sortBy)
}

func cell(it *Item, i int) string {
	if i < len(it.Cells) {
		return it.Cells[i]
	}
	return ""
}

func number(it *Item, i int) float64 {
	if i < len(it.Values) {
		return it.Values[i]
	}
	text := cell(it, i)
	end := 0
	for end < len(text) && (text[end] >= '0' && text[end] <= '9' || text[end] == '.' || end == 0 && text[end] == '-') {
		end++
	}
	v, err := strconv.ParseFloat(text[:end], 64)
	if err != nil {
		return -1
	}
	return v
}

// Sort orders the rows by a column, or ByKey.
func (g *Grid) Sort(column int, descend bool) {
	if column >= len(g.columns) {
		column = ByKey
	}
	g.sortBy, g.descend = column, descend
	g.arrange()
}

// Sorted says by what the rows are ordered.
func (g *Grid) Sorted() (column int, descend bool) { return g.sortBy, g.descend }

// SetWide shows all columns, or the usual ones.
func (g *Grid) SetWide(wide bool) { g.wide = wide }

// Wide says whether all columns are shown.
func (g *Grid) Wide() bool { return g.wide }

// Current returns the row under the cursor.
func (g *Grid) Current() (*Item, bool) {
	if g.index < 0 || g.index >= len(g.order) {
		return nil, false
	}
	return g.order[g.index], true
}

// Get returns a row by its ID.
func (g *Grid) Get(id string) (*Item, bool) {
	it, ok := g.items[id]
	return it, ok
}

// All calls f with every row that passes the filter, in order.
func (g *Grid) All(f func(*Item)) {
	for _, it := range g.order {
		f(it)
	}
}

// Move moves the cursor by rows.
func (g *Grid) Move(rows int) { g.moveTo(g.index + rows) }

// Page moves the cursor by screens.
func (g *Grid) Page(pages int) { g.Move(pages * max(1, g.rows-1)) }

// Top and Bottom move the cursor to the first and last row.
func (g *Grid) Top()    { g.moveTo(0); g.cursor = "" }
func (g *Grid) Bottom() { g.moveTo(len(g.order) - 1) }

// Point moves the cursor to a row by its ID, which may come later.
func (g *Grid) Point(id string) {
	g.cursor = id
	if at := g.find(g.items[id]); at >= 0 {
		g.moveTo(at)
	}
}

func (g *Grid) moveTo(at int) {
	if len(g.order) == 0 {
		return
	}
	g.index = max(0, min(at, len(g.order)-1))
	g.cursor = g.order[g.index].ID
	g.clamp()
}

// Mark marks the row under the cursor, or takes the mark away, and goes on to the next row.
func (g *Grid) Mark() {
	it, ok := g.Current()
	if !ok {
		return
	}
	if g.marks[it.ID] {
		delete(g.marks, it.ID)
	} else {
		g.marks[it.ID] = true
	}
	g.Move(1)
}

// Unmark takes all marks away and says whether there were any.
func (g *Grid) Unmark() bool {
	had := len(g.marks) > 0
	clear(g.marks)
	return had
}

// Marked are the marked rows, or the one under the cursor.
func (g *Grid) Marked() []*Item {
	var list []*Item
	for _, it := range g.order {
		if g.marks[it.ID] {
			list = append(list, it)
		}
	}
	if len(list) == 0 {
		if it, ok := g.Current(); ok {
			list = append(list, it)
		}
	}
	return list
}

// Position says where the cursor is, from 1, and of how many.
func (g *Grid) Position() (at, of int) {
	if len(g.order) == 0 {
		return 0, 0
	}
	return g.index + 1, len(g.order)
}

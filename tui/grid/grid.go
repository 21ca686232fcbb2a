// Package grid is the table of the UI: thousands of rows of which the visible ones are drawn.
//
// Rows are known by their ID, and so is the cursor: it stays on its object when rows around it change. Order, filter
// and column widths are kept up to date row by row. A Grid belongs to one goroutine.
//
// Start reading at Grid; filter.go has the language of filters, draw.go the drawing.
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
	// Min and Max bound its width; 0 means no limit.
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

	search string  // lower-case text of all cells, made when it is first needed
	number float64 // of the column that is sorted by, if it is one of numbers
}

// ByKey as a column to sort by is Item.Key.
const ByKey = -1

// Grid is a table. The zero value is not usable; make one with New.
type Grid struct {
	columns []Column
	widths  []int // the widest cell so far
	items   map[string]*Item
	all     []*Item // sorted
	order   []*Item // those that pass the filter, sorted; all itself if there is no filter
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
	g.all, g.order = nil, nil
	clear(g.widths)
}

// Set adds rows, or replaces those of the same ID. Many at once are cheaper than one by one.
func (g *Grid) Set(items ...Item) {
	line := g.index - g.top
	bulk := len(items) > 64
	for i := range items {
		it := items[i]
		g.measure(&it)
		g.prepare(&it)
		old := g.items[it.ID]
		g.items[it.ID] = &it
		if bulk {
			continue
		}
		g.all = g.replace(g.all, old, &it)
		if len(g.filter.terms) == 0 {
			continue
		}
		if g.filter.match(&it) {
			g.order = g.replace(g.order, old, &it)
		} else {
			g.order = g.without(g.order, old)
		}
	}
	if bulk {
		g.sort()
		g.narrow()
	}
	if len(g.filter.terms) == 0 {
		g.order = g.all
	}
	g.follow(line)
}

// replace puts an item where it belongs in a sorted list, in place of its older self, if there is one.
func (g *Grid) replace(list []*Item, old, it *Item) []*Item {
	if at := g.find(list, old); at >= 0 {
		if g.compare(old, it) == 0 {
			list[at] = it
			return list
		}
		list = slices.Delete(list, at, at+1)
	}
	at, _ := slices.BinarySearchFunc(list, it, g.compare)
	return slices.Insert(list, at, it)
}

func (g *Grid) without(list []*Item, it *Item) []*Item {
	if at := g.find(list, it); at >= 0 {
		return slices.Delete(list, at, at+1)
	}
	return list
}

// Remove takes rows out.
func (g *Grid) Remove(ids ...string) {
	line := g.index - g.top
	for _, id := range ids {
		it := g.items[id]
		if it == nil {
			continue
		}
		delete(g.items, id)
		delete(g.marks, id)
		at := -1
		if id == g.cursor {
			at = g.find(g.order, it)
		}
		filtered := len(g.filter.terms) > 0
		g.all = g.without(g.all, it)
		if filtered {
			g.order = g.without(g.order, it)
		} else {
			g.order = g.all
		}
		if at >= 0 {
			// The row that takes its place gets the cursor, and the next action on it learns that.
			g.lost, g.cursor = true, ""
			if g.index = min(at, len(g.order)-1); g.index >= 0 {
				g.cursor = g.order[g.index].ID
			}
		}
	}
	g.follow(line)
}

// Lost says whether the object under the cursor has gone since Lost was asked before: what was meant for it must not
// hit its neighbour.
func (g *Grid) Lost() bool {
	lost := g.lost
	g.lost = false
	return lost
}

// find returns the position of an item in a sorted list, -1 if nowhere.
func (g *Grid) find(list []*Item, it *Item) int {
	if it == nil {
		return -1
	}
	if at, found := slices.BinarySearchFunc(list, it, g.compare); found && list[at] == it {
		return at
	}
	return slices.Index(list, it)
}

// arrange sorts and filters everything.
func (g *Grid) arrange() {
	line := g.index - g.top
	g.sort()
	g.narrow()
	g.follow(line)
}

func (g *Grid) sort() {
	g.all = g.all[:0]
	for _, it := range g.items {
		g.prepare(it)
		g.all = append(g.all, it)
	}
	slices.SortFunc(g.all, g.compare)
}

// narrow makes order of all.
func (g *Grid) narrow() {
	if len(g.filter.terms) == 0 {
		g.order = g.all
		return
	}
	kept := make([]*Item, 0, len(g.all))
	for _, it := range g.all {
		if g.filter.match(it) {
			kept = append(kept, it)
		}
	}
	g.order = kept
}

// follow finds the cursor again and keeps it on its line of the screen.
func (g *Grid) follow(line int) {
	if len(g.order) == 0 {
		g.index, g.top = 0, 0
		return
	}
	at := 0
	if g.cursor != "" {
		if at = g.find(g.order, g.items[g.cursor]); at < 0 { // filtered out, or not there yet
			at = min(max(g.index, 0), len(g.order)-1)
		}
	}
	g.index, g.top = at, at-line
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
			n = cmp.Compare(a.number, b.number)
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

// prepare works out what an item is compared by.
func (g *Grid) prepare(it *Item) {
	if g.sortBy < 0 || g.sortBy >= len(g.columns) || g.columns[g.sortBy].Kind != Number {
		return
	}
	if live := g.columns[g.sortBy].Live; live != nil {
		_, it.number = live(it)
		return
	}
	it.number = number(it, g.sortBy)
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
	if at := g.find(g.order, g.items[id]); at >= 0 {
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

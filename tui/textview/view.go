// Package textview is a view of text that may grow for ever: logs, and YAML or descriptions as well.
//
// A View keeps the newest lines in a bounded ring and counts what it had to drop. It follows the end until somebody
// moves away from it; then it stands still, and counts what comes. A search finds and keeps what is around, a filter
// hides; both look at everything that is kept. Lines are measured once, when they are made (NewLine), and only what is
// visible is wrapped and painted, so that neither a line of 100 kB nor ten thousand lines a second are felt.
//
// Start reading at View, then Draw. A View belongs to one goroutine; lines may be made by any.
package textview

import (
	"slices"

	"bonsai/tui/paint"
)

// Times is how the times of lines are shown.
type Times int

// The ways.
const (
	Clock Times = iota
	Age
	None
)

// View is text and which part of it is shown. Make one with New.
type View struct {
	// Name is the column before the text: where a line comes from; nil for none. NameWidth is its width.
	Name      func(*Line) (string, paint.Role)
	NameWidth int
	Times     Times

	ring   ring
	live   bool // new lines come, and the end can be followed
	follow bool
	// waiting counts the lines that came since the end was left.
	waiting int
	wrap    bool
	raw     bool

	filterText string
	filter     pattern
	only       func(*Line) bool
	shown      []int64 // the lines that pass, if there is a filter

	searchText string
	search     pattern
	matches    []int64 // shown lines that match
	origin     *origin // where the search began, until somebody moves

	top, cursor pos
	column      int // of the text that is leftmost, if lines are not wrapped

	// What the last Draw found: rows and the width of the text, where each row stands, the longest line on it.
	rows, textWidth int
	drawn           []pos
	widest          int
	breaks          map[int64][]int32
}

// pos is a row of the text: a line, and the row of it if it is wrapped.
type pos struct {
	no  int64
	row int
}

func (p pos) before(o pos) bool { return p.no < o.no || p.no == o.no && p.row < o.row }

type origin struct {
	top, cursor pos
	column      int
	follow      bool
	waiting     int
}

// New makes an empty view. A live one follows its end and shows times.
func New(live bool) *View {
	v := &View{live: live, follow: live, rows: 1, textWidth: 80, breaks: map[int64][]int32{}}
	v.ring.most, v.ring.mostOf = MaxLines, MaxBytes
	if !live {
		v.Times = None
	}
	return v
}

// Append adds lines that have come.
func (v *View) Append(lines ...Line) {
	for i := range lines {
		v.ring.add(lines[i])
		no := v.ring.end() - 1
		if v.filtering() {
			if !v.passes(&lines[i]) {
				continue
			}
			v.shown = append(v.shown, no)
		}
		if v.matching(&lines[i]) {
			v.matches = append(v.matches, no)
		}
		if !v.follow {
			v.waiting++
		}
	}
	v.shown = fromNumber(v.shown, v.ring.first)
	v.matches = fromNumber(v.matches, v.ring.first)
}

// Merge adds lines that have come, and puts everything in the order of its times: for streams whose beginnings come one
// after the other. It costs as much as everything that is kept.
func (v *View) Merge(lines ...Line) {
	all := make([]Line, 0, v.ring.n+len(lines))
	for no := v.ring.first; no < v.ring.end(); no++ {
		all = append(all, *v.ring.at(no))
	}
	all = append(all, lines...)
	slices.SortStableFunc(all, func(a, b Line) int { return a.Time.Compare(b.Time) })
	v.SetText(all)
}

// fromNumber takes the numbers below first away from an ascending list.
func fromNumber(list []int64, first int64) []int64 {
	if len(list) == 0 || list[0] >= first {
		return list
	}
	i, _ := slices.BinarySearch(list, first)
	return list[i:]
}

// SetText replaces everything, and stays where it is.
func (v *View) SetText(lines []Line) {
	v.reset()
	for _, l := range lines {
		v.ring.add(l)
	}
	v.refilter(false)
}

// Clear takes all lines away, and goes back to the end.
func (v *View) Clear() {
	v.reset()
	v.shown, v.matches, v.origin = nil, nil, nil
	v.follow, v.waiting, v.top, v.cursor = v.live, 0, pos{}, pos{}
}

func (v *View) reset() {
	v.ring = ring{most: v.ring.most, mostOf: v.ring.mostOf}
	clear(v.breaks)
}

// count is the number of lines that are shown, number that of the i-th of them.
func (v *View) count() int {
	if v.filtering() {
		return len(v.shown)
	}
	return v.ring.n
}

func (v *View) number(i int) int64 {
	if v.filtering() {
		return v.shown[i]
	}
	return v.ring.first + int64(i)
}

// index is the place among the shown lines of the first one from a number on.
func (v *View) index(no int64) int {
	if v.filtering() {
		i, _ := slices.BinarySearch(v.shown, no)
		return i
	}
	return int(min(max(no-v.ring.first, 0), int64(v.ring.n)))
}

// stay keeps the line under the cursor on the screen, with what is around it now.
func (v *View) stay() {
	if !v.follow {
		v.top, v.cursor = v.normal(v.top), v.normal(v.cursor)
		v.reveal(v.margin())
	}
}

// NextRun goes to the next marker, or with -1 to the one before, and says whether there is one.
func (v *View) NextRun(by int) bool {
	i := v.index(v.cursor.no)
	if v.follow {
		i = v.count()
	}
	for i += by; i >= 0 && i < v.count(); i += by {
		if no := v.number(i); v.ring.at(no).Marker {
			v.origin = nil
			v.leaveEnd()
			v.cursor = pos{no, 0}
			v.top = v.cursor // a run is read from its beginning
			return true
		}
	}
	return false
}

// leaveEnd stops following.
func (v *View) leaveEnd() {
	if v.follow {
		v.follow, v.waiting = false, 0
		v.cursor = v.lastRow()
	}
}

// Pause stops following, or follows again.
func (v *View) Pause() {
	v.origin = nil
	if v.follow {
		v.leaveEnd()
	} else {
		v.Bottom()
	}
}

// Move moves the cursor by rows. Up leaves the end, down at the end follows again.
func (v *View) Move(rows int) {
	v.origin = nil
	if v.count() == 0 || v.follow && rows >= 0 {
		return
	}
	v.leaveEnd()
	before := v.normal(v.cursor)
	v.cursor = v.step(before, rows)
	if rows > 0 && v.cursor == before {
		v.Bottom()
	}
	v.reveal(v.margin())
}

// reveal moves the top so that the cursor is visible, with some rows around it.
func (v *View) reveal(around int) {
	if low := v.step(v.cursor, -around); low.before(v.top) {
		v.top = low
	}
	if high := v.step(v.cursor, around-v.rows+1); v.top.before(high) {
		v.top = high
	}
	if end := v.step(v.lastRow(), 1-v.rows); end.before(v.top) {
		v.top = end
	}
}

// Page moves by screens.
func (v *View) Page(by int) { v.scroll(by * max(1, v.rows-2)); v.origin = nil }

// Scroll moves what is visible, and takes the cursor along.
func (v *View) Scroll(rows int) { v.scroll(rows); v.origin = nil }

func (v *View) scroll(rows int) {
	if v.count() == 0 || v.follow && rows >= 0 {
		return
	}
	v.leaveEnd()
	before := v.normal(v.top)
	v.top = v.step(before, rows)
	if end := v.step(v.lastRow(), 1-v.rows); end.before(v.top) {
		v.top = end
	}
	if v.top == before { // at an end: the cursor goes there
		if rows > 0 {
			if last := v.lastRow(); v.cursor == last || v.live {
				v.Bottom()
			} else {
				v.cursor = last
			}
		} else {
			v.cursor = v.top
		}
		return
	}
	off := v.margin()
	if low := v.step(v.top, off); v.cursor.before(low) {
		v.cursor = low
	}
	if high := v.step(v.top, v.rows-1-off); high.before(v.cursor) {
		v.cursor = high
	}
}

// margin is how near to the edge the cursor gets before everything moves.
func (v *View) margin() int { return min(5, v.rows/4) }

// Top goes to the first line, Bottom to the last; there a live view follows.
func (v *View) Top() {
	v.origin = nil
	v.leaveEnd()
	v.cursor = v.normal(pos{})
	v.top = v.cursor
}

func (v *View) Bottom() {
	v.origin = nil
	v.cursor = v.lastRow()
	if v.live {
		v.follow, v.waiting = true, 0
	}
}

// Right moves by columns, if lines are not wrapped.
func (v *View) Right(by int) {
	if v.wrap {
		return
	}
	step := max(8, v.textWidth/4)
	v.column = min(max(0, v.column+by*step), max(0, v.widest-v.textWidth+1))
}

// ToggleWrap wraps long lines, or cuts them off.
func (v *View) ToggleWrap() {
	v.wrap = !v.wrap
	v.column, v.top.row, v.cursor.row = 0, 0, 0
}

// ToggleRaw shows JSON as received, or readable.
func (v *View) ToggleRaw() {
	v.raw = !v.raw
	clear(v.breaks)
	v.top.row, v.cursor.row, v.column = 0, 0, 0
	v.refilter(false)
}

// Click puts the cursor on a row of the last drawing, and says whether there is one.
func (v *View) Click(row int) bool {
	if row < 0 || row >= len(v.drawn) || v.drawn[row].no < v.ring.first {
		return false
	}
	v.origin = nil
	v.leaveEnd()
	v.cursor = v.drawn[row]
	return true
}

// step is the row that is some rows below another, as far as there are any.
func (v *View) step(p pos, rows int) pos {
	n := v.count()
	if n == 0 {
		return pos{}
	}
	i := v.index(p.no)
	if !v.wrap {
		return pos{v.number(max(0, min(n-1, i+rows))), 0}
	}
	p.row += rows
	for p.row < 0 && i > 0 {
		i--
		p.row += v.rowsOf(v.number(i))
	}
	for i < n-1 {
		have := v.rowsOf(v.number(i))
		if p.row < have {
			break
		}
		p.row -= have
		i++
	}
	no := v.number(i)
	return pos{no, max(0, min(p.row, v.rowsOf(no)-1))}
}

// normal is the nearest row that is shown.
func (v *View) normal(p pos) pos {
	n := v.count()
	if n == 0 {
		return pos{}
	}
	no := v.number(min(v.index(p.no), n-1))
	if no != p.no {
		return pos{no, 0}
	}
	return pos{no, max(0, min(p.row, v.rowsOf(no)-1))}
}

func (v *View) lastRow() pos {
	n := v.count()
	if n == 0 {
		return pos{}
	}
	no := v.number(n - 1)
	return pos{no, v.rowsOf(no) - 1}
}

// Current is the line under the cursor: the last one while the end is followed.
func (v *View) Current() (*Line, bool) {
	if v.count() == 0 {
		return nil, false
	}
	p := v.cursor
	if v.follow {
		p = v.lastRow()
	}
	return v.ring.at(v.normal(p).no), true
}

// Shown is a copy of the lines that pass the filter.
func (v *View) Shown() []Line {
	list := make([]Line, 0, v.count())
	for i := range v.count() {
		list = append(list, *v.ring.at(v.number(i)))
	}
	return list
}

// Len is the number of lines that are kept, Count that of the ones that are shown, Dropped that of those that had to go.
func (v *View) Len() int       { return v.ring.n }
func (v *View) Count() int     { return v.count() }
func (v *View) Dropped() int64 { return v.ring.first }

// Following says that the end is followed, Waiting how many lines came since it was left.
func (v *View) Following() bool { return v.follow }
func (v *View) Waiting() int    { return v.waiting }

// Live says that new lines may come.
func (v *View) Live() bool { return v.live }

// Wrapped and the others (Raw, Filter, Search, Column) are what was set.
func (v *View) Wrapped() bool  { return v.wrap }
func (v *View) Raw() bool      { return v.raw }
func (v *View) Filter() string { return v.filterText }
func (v *View) Search() string { return v.searchText }
func (v *View) Column() int    { return v.column }

// Position says which shown line the cursor is on, from 1, and how many there are.
func (v *View) Position() (at, of int) {
	of = v.count()
	if v.follow || of == 0 {
		return of, of
	}
	return v.index(v.normal(v.cursor).no) + 1, of
}

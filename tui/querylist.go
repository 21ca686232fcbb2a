package tui

import (
	"slices"

	"bonsai/tui/dnslog"
)

// queryList is the part of the ring that passes a filter, newest first, with a cursor that is tied to its question. As
// long as nobody moves the cursor it stays on the newest one.
type queryList struct {
	ring   *dnslog.Ring
	filter *dnslog.Filter
	// numbers pass the filter, in their order.
	numbers []uint64
	// cursor is a question; 0 is the newest. line is where on the screen it is.
	cursor uint64
	line   int
	rows   int // on the screen
	lost   bool
	// stopped is the first number that is not shown while the list is paused; 0 if it is not.
	stopped uint64
	// at says which question each line of the screen shows; 0 is none.
	at []uint64
}

func (l *queryList) add(n uint64) {
	if l.filter.Match(l.ring.Get(n)) {
		l.numbers = append(l.numbers, n)
	}
}

// trim forgets what the ring has forgotten.
func (l *queryList) trim() {
	oldest := l.ring.Oldest()
	if l.stopped > 0 && l.stopped <= oldest {
		l.stopped = 0 // all that was held is gone
	}
	gone, _ := slices.BinarySearch(l.numbers, oldest)
	if gone == 0 {
		return
	}
	l.numbers = l.numbers[gone:]
	if l.cursor > 0 && l.cursor < oldest {
		l.cursor, l.lost = 0, true
		if len(l.numbers) > 0 {
			l.cursor = l.numbers[0]
		}
	}
}

func (l *queryList) takeLost() bool {
	lost := l.lost
	l.lost = false
	return lost
}

func (l *queryList) setFilter(f *dnslog.Filter) {
	l.filter = f
	l.numbers = l.numbers[:0]
	for n := l.ring.Oldest(); n < l.ring.Next(); n++ {
		l.add(n)
	}
	if l.cursor > 0 {
		// The nearest one that is left gets the cursor.
		if i, found := slices.BinarySearch(l.numbers, l.cursor); !found {
			l.cursor = 0
			if i < len(l.numbers) {
				l.cursor = l.numbers[i]
			}
		}
	}
}

// count is how many are shown, waiting how many have come since the list was paused.
func (l *queryList) count() int {
	if l.stopped == 0 {
		return len(l.numbers)
	}
	n, _ := slices.BinarySearch(l.numbers, l.stopped)
	return n
}

func (l *queryList) waiting() int { return len(l.numbers) - l.count() }

func (l *queryList) paused() bool { return l.stopped > 0 }

func (l *queryList) pause(on bool) {
	l.stopped = 0
	if on {
		l.stopped = l.ring.Next()
	}
}

// number returns the question at a position; 0 is the newest.
func (l *queryList) number(pos int) uint64 { return l.numbers[l.count()-1-pos] }

// position of the cursor; 0 is the newest.
func (l *queryList) position() int {
	if l.cursor == 0 {
		return 0
	}
	i, _ := slices.BinarySearch(l.numbers, l.cursor)
	return max(0, min(l.count()-1, l.count()-1-i))
}

func (l *queryList) current() *dnslog.Query {
	if l.count() == 0 {
		return nil
	}
	return l.ring.Get(l.number(l.position()))
}

// tied says that the cursor stays on its question.
func (l *queryList) tied() bool { return l.cursor > 0 || l.paused() }

// tie ties the cursor to the question that it is on.
func (l *queryList) tie() {
	if l.count() > 0 {
		l.moveTo(l.position())
	}
}

func (l *queryList) moveTo(pos int) {
	n := l.count()
	if n == 0 {
		return
	}
	old := l.position()
	pos = max(0, min(pos, n-1))
	l.cursor = l.number(pos)
	l.line = max(0, min(l.line+pos-old, max(0, l.rows-1)))
}

func (l *queryList) move(rows int) {
	if rows < 0 && l.position() == 0 {
		l.follow()
		return
	}
	l.moveTo(l.position() + rows)
}

// follow puts the cursor on the newest question for good.
func (l *queryList) follow() { l.cursor, l.line = 0, 0 }

func (l *queryList) act(id string) bool {
	switch id {
	case "down":
		l.move(1)
	case "up":
		l.move(-1)
	case "page.down":
		l.move(max(1, l.rows-2))
	case "page.up":
		l.move(-max(1, l.rows-2))
	case "top":
		l.follow()
	case "bottom":
		l.moveTo(l.count() - 1)
	default:
		return false
	}
	return true
}

// click puts the cursor on the question of a line.
func (l *queryList) click(line int) {
	if line < 0 || line >= len(l.at) || l.at[line] == 0 {
		return
	}
	if i, found := slices.BinarySearch(l.numbers, l.at[line]); found {
		l.moveTo(l.count() - 1 - i)
		l.line = line
	}
}

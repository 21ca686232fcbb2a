package textview

// ring keeps the newest lines. Lines are numbered from 0 as they come; the number of a line never changes.
type ring struct {
	lines  []Line // a circle that begins at head
	head   int
	n      int
	first  int64 // the number of the oldest line that is kept
	bytes  int64
	most   int
	mostOf int64 // bytes
}

// The bounds of what a view keeps. A line that falls out is counted.
const (
	MaxLines = 50_000
	MaxBytes = 64 << 20
)

func (r *ring) end() int64 { return r.first + int64(r.n) }

// at returns a line that is kept.
func (r *ring) at(no int64) *Line { return &r.lines[(r.head+int(no-r.first))%len(r.lines)] }

func (r *ring) add(l Line) {
	if r.n == r.most {
		r.drop()
	}
	if r.n == len(r.lines) {
		r.grow()
	}
	r.lines[(r.head+r.n)%len(r.lines)] = l
	r.n++
	r.bytes += l.size()
	for r.bytes > r.mostOf && r.n > 1 {
		r.drop()
	}
}

func (r *ring) drop() {
	old := &r.lines[r.head]
	r.bytes -= old.size()
	*old = Line{}
	r.head = (r.head + 1) % len(r.lines)
	r.n--
	r.first++
}

func (r *ring) grow() {
	bigger := make([]Line, min(r.most, max(64, 2*len(r.lines))))
	for i := range r.n {
		bigger[i] = r.lines[(r.head+i)%len(r.lines)]
	}
	r.lines, r.head = bigger, 0
}

package dnslog

import (
	"cmp"
	"math/bits"
	"slices"
	"time"
)

const (
	// Size is how many questions a Ring keeps.
	Size = 50_000
	// Window is how far back figures go.
	Window = 5 * time.Minute

	// second-wide counters of the rate, and how many of them the rate is the mean of.
	seconds  = 120
	rateOver = 10
)

// Ring is the last questions. Each has a number, which counts from 1 and never comes again. The zero value is not
// usable; make one with New. It belongs to one goroutine.
type Ring struct {
	size int
	buf  []Query // number n is at n % size

	oldest, next uint64 // numbers
	window       uint64 // the first number that counts in figures

	names    map[Text]*Name
	clients  map[Text]*Client
	count    int
	verdicts [verdicts]int
	cached   int
	outside  int
	took     [buckets]int
	changed  map[Text]bool

	perSecond [seconds]uint32
	second    int64 // of the newest counter
	began     int64 // the second of the first question; 0 before
}

// Name is what the last minutes say about one name.
type Name struct {
	Asked        Text
	Count, Fails int
	// Last is the number of its newest question, LastFail that of the newest one that failed; 0 if none did.
	Last, LastFail uint64
	clients        map[Text]int
}

// Clients are who asks for it, those who do most first.
func (n *Name) Clients() []Text {
	list := make([]Text, 0, len(n.clients))
	for a := range n.clients {
		list = append(list, a)
	}
	slices.SortFunc(list, func(a, b Text) int {
		return cmp.Or(n.clients[b]-n.clients[a], cmp.Compare(a.Value(), b.Value()))
	})
	return list
}

// Client is one that asks, and how much.
type Client struct {
	Who          Text
	Count, Fails int
}

// New makes an empty ring of a size.
func New(size int) *Ring {
	return &Ring{size: size, oldest: 1, next: 1, window: 1, names: map[Text]*Name{}, clients: map[Text]*Client{}, changed: map[Text]bool{}}
}

// Add takes in a question and returns its number.
func (r *Ring) Add(q Query) uint64 {
	n := r.next
	if int(n-r.oldest) == r.size {
		if r.window == r.oldest {
			r.uncount()
		}
		r.oldest++
	}
	if i := int(n % uint64(r.size)); i < len(r.buf) {
		r.buf[i] = q
	} else {
		for len(r.buf) < i { // place 0 comes last
			r.buf = append(r.buf, Query{})
		}
		r.buf = append(r.buf, q)
	}
	r.next++
	r.tally(n, &q)
	return n
}

// Get returns a question by its number, nil if it is not kept.
func (r *Ring) Get(n uint64) *Query {
	if n < r.oldest || n >= r.next {
		return nil
	}
	return &r.buf[n%uint64(r.size)]
}

// Oldest is the number of the oldest question that is kept, Next that of the one to come.
func (r *Ring) Oldest() uint64 { return r.oldest }
func (r *Ring) Next() uint64   { return r.next }

func (r *Ring) tally(n uint64, q *Query) {
	r.figures(q, 1)
	name := r.names[q.Asked]
	if name == nil {
		name = &Name{Asked: q.Asked, clients: map[Text]int{}}
		r.names[q.Asked] = name
	}
	name.Count++
	name.Last = n
	name.clients[q.Client]++
	client := r.clients[q.Client]
	if client == nil {
		client = &Client{Who: q.Client}
		r.clients[q.Client] = client
	}
	client.Count++
	if q.Verdict.Failed() {
		name.Fails++
		name.LastFail = n
		client.Fails++
	}
	r.changed[q.Asked] = true
	s := q.at / int64(time.Second)
	r.turn(s)
	if r.began == 0 {
		r.began = s
	}
	if r.second-s < seconds {
		r.perSecond[s%seconds]++
	}
}

// uncount takes the oldest question that counts out of the figures.
func (r *Ring) uncount() {
	q := r.Get(r.window)
	r.window++
	r.figures(q, -1)
	name := r.names[q.Asked]
	name.Count--
	if name.clients[q.Client]--; name.clients[q.Client] == 0 {
		delete(name.clients, q.Client)
	}
	client := r.clients[q.Client]
	client.Count--
	if q.Verdict.Failed() {
		name.Fails--
		client.Fails--
	}
	if name.Count == 0 {
		delete(r.names, q.Asked)
	}
	if client.Count == 0 {
		delete(r.clients, q.Client)
	}
	r.changed[q.Asked] = true
}

func (r *Ring) figures(q *Query, by int) {
	r.count += by
	r.verdicts[q.Verdict] += by
	r.took[bucketOf(q.Took)] += by
	if q.Outside() {
		r.outside += by
		if q.Source.Value() != "forward" {
			r.cached += by
		}
	}
}

// Advance lets questions that are older than Window count no more. It says whether that changed any figure.
func (r *Ring) Advance(now time.Time) bool {
	edge := now.Add(-Window).UnixNano()
	any := false
	for r.window < r.next && r.Get(r.window).at < edge {
		r.uncount()
		any = true
	}
	r.turn(now.Unix())
	return any
}

// turn begins new counters for the seconds up to s.
func (r *Ring) turn(s int64) {
	if s-r.second >= seconds {
		clear(r.perSecond[:])
		r.second = s
	}
	for r.second < s {
		r.second++
		r.perSecond[r.second%seconds] = 0
	}
}

// Rate is questions per second, over the last few full seconds.
func (r *Ring) Rate(now time.Time) float64 {
	if r.began == 0 {
		return 0
	}
	s := now.Unix()
	over := min(rateOver, s-r.began)
	if over <= 0 {
		return float64(r.at(s))
	}
	sum := 0
	for i := range over {
		sum += r.at(s - 1 - i)
	}
	return float64(sum) / float64(over)
}

func (r *Ring) at(s int64) int {
	if s > r.second || r.second-s >= seconds {
		return 0
	}
	return int(r.perSecond[s%seconds])
}

// Past is the rate over the last n spans of so many seconds each, oldest first.
func (r *Ring) Past(now time.Time, n, span int) []float64 {
	list := make([]float64, n)
	for i := range n {
		end := now.Unix() - int64((n-1-i)*span)
		for j := range span {
			list[i] += float64(r.at(end-int64(j))) / float64(span)
		}
	}
	return list
}

// Count is how many questions figures are of.
func (r *Ring) Count() int { return r.count }

// Share is the part of all questions that ended so, from 0 to 1.
func (r *Ring) Share(v Verdict) float64 {
	if r.count == 0 {
		return 0
	}
	return float64(r.verdicts[v]) / float64(r.count)
}

// Of is how many questions ended so.
func (r *Ring) Of(v Verdict) int { return r.verdicts[v] }

// Cached is the part of the names of the world that came out of the cache; ok is false if nobody asked for any.
func (r *Ring) Cached() (share float64, ok bool) {
	if r.outside == 0 {
		return 0, false
	}
	return float64(r.cached) / float64(r.outside), true
}

// buckets of times grow by a quarter of their power of two: exact to a fifth.
const buckets = 4 * 40

func bucketOf(d time.Duration) int {
	us := uint64(max(0, d.Microseconds()))
	if us < 4 {
		return int(us)
	}
	n := bits.Len64(us) // 3 or more
	return min(buckets-1, (n-2)*4+int(us>>(n-3)&3))
}

// bucketTop is the longest time of a bucket.
func bucketTop(i int) time.Duration {
	if i < 4 {
		return time.Duration(i) * time.Microsecond
	}
	n := i/4 + 2
	return time.Duration((uint64(4+i%4)+1)<<(n-3)-1) * time.Microsecond
}

// Percentile is the time within which that part of the questions was answered, rounded up by at most a quarter.
func (r *Ring) Percentile(p float64) time.Duration {
	want := int(float64(r.count)*p + 0.999)
	for i, n := range r.took {
		if want -= n; want <= 0 && r.count > 0 {
			return bucketTop(i)
		}
	}
	return 0
}

// Names calls f for every name of the last minutes.
func (r *Ring) Names(f func(*Name)) {
	for _, n := range r.names {
		f(n)
	}
}

// NameOf returns what is known about a name, nil if nothing is.
func (r *Ring) NameOf(asked Text) *Name { return r.names[asked] }

// Changed calls f for every name whose figures have changed since it was called before.
func (r *Ring) Changed(f func(Text)) {
	for t := range r.changed {
		f(t)
	}
	clear(r.changed)
}

// Failing are the names that fail, most often first, at most n.
func (r *Ring) Failing(n int) []*Name {
	list := make([]*Name, 0, n+1)
	for _, name := range r.names {
		if name.Fails > 0 {
			list = keepBest(list, name, n, func(a, b *Name) int {
				return cmp.Or(b.Fails-a.Fails, cmp.Compare(a.Asked.Value(), b.Asked.Value()))
			})
		}
	}
	return list
}

// Asking are those who ask, most first, at most n.
func (r *Ring) Asking(n int) []*Client {
	list := make([]*Client, 0, n+1)
	for _, a := range r.clients {
		list = keepBest(list, a, n, func(a, b *Client) int {
			return cmp.Or(b.Count-a.Count, cmp.Compare(a.Who.Value(), b.Who.Value()))
		})
	}
	return list
}

// keepBest puts v into a sorted list of at most n.
func keepBest[T any](list []T, v T, n int, compare func(a, b T) int) []T {
	if len(list) == n && (n == 0 || compare(list[n-1], v) <= 0) {
		return list
	}
	at, _ := slices.BinarySearchFunc(list, v, compare)
	list = slices.Insert(list, at, v)
	return list[:min(n, len(list))]
}

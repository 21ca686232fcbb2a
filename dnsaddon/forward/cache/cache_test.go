package cache

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"time"

	"bonsai/dnsaddon/wire"

	"github.com/miekg/dns"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var start = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// ask makes the question as a parser would.
func ask(t testing.TB, name string, qtype uint16) *wire.Query {
	t.Helper()
	buf := make([]byte, 256)
	n, err := dns.PackDomainName(name, buf, 0, nil, false)
	if err != nil {
		t.Fatal(err)
	}
	return &wire.Query{ID: 0xBEEF, RD: true, Name: buf[:n], Folded: lowered(buf[:n]), Type: qtype}
}

// lowered is for names of any bytes, which bytes.ToLower would take for text.
func lowered(name []byte) []byte {
	low := bytes.Clone(name)
	for i, c := range low {
		if 'A' <= c && c <= 'Z' {
			low[i] = c + 'a' - 'A'
		}
	}
	return low
}

// says makes an upstream's reply out of records in presentation form; those after "--" are the authority.
func says(t testing.TB, q *wire.Query, rcode int, records ...string) *dns.Msg {
	t.Helper()
	name, _, err := dns.UnpackDomainName(q.Name, 0)
	if err != nil {
		t.Fatal(err)
	}
	m := new(dns.Msg).SetQuestion(name, q.Type)
	m.Response, m.RecursionAvailable, m.Authoritative, m.AuthenticatedData = true, true, true, true
	m.Rcode = rcode
	section := &m.Answer
	for _, r := range records {
		if r == "--" {
			section = &m.Ns
			continue
		}
		rr, err := dns.NewRR(r)
		if err != nil {
			t.Fatal(err)
		}
		*section = append(*section, rr)
	}
	return m
}

func newAnswer(t testing.TB, m *dns.Msg, q *wire.Query, o Options, now time.Time) *Answer {
	t.Helper()
	a, err := NewAnswer(m, q, o, now)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// owned is a cache in which every name is of zone 1.
func owned() *Cache { return New(func([]byte) uint32 { return 1 }) }

func put(t testing.TB, c *Cache, q *wire.Query, now time.Time, rcode int, records ...string) {
	t.Helper()
	c.Put(newAnswer(t, says(t, q, rcode, records...), q, Options{}.WithDefaults(), now), 1, now)
}

func get(t testing.TB, c *Cache, q *wire.Query, now time.Time) *dns.Msg {
	t.Helper()
	out, ok := c.Append(nil, q, 65535, now)
	if !ok {
		return nil
	}
	m := new(dns.Msg)
	if err := m.Unpack(out); err != nil {
		t.Fatal(err)
	}
	return m
}

const (
	a20   = "www.example.com. 20 IN A 192.0.2.1"
	soa60 = "example.com. 300 IN SOA ns.example.com. me.example.com. 1 2 3 4 60"
)

func TestStaleAnswers(t *testing.T) {
	c := owned()
	q := ask(t, "www.example.com.", dns.TypeA)
	put(t, c, q, start, 0, a20)
	ended := start.Add(20 * time.Second)
	a, state := c.Get(q, ended)
	if state != Stale {
		t.Fatalf("state %d, want stale", state)
	}
	m := new(dns.Msg)
	if err := m.Unpack(a.Stale(nil, q)); err != nil || m.Answer[0].Header().Ttl != 30 {
		t.Errorf("stale answer is %v, %v; want TTL 30", m, err)
	}

	c.Hold(a, ended.Add(5*time.Second))
	if _, state = c.Get(q, ended.Add(4*time.Second)); state != Held {
		t.Errorf("state %d, want held", state)
	}
	if _, state = c.Get(q, ended.Add(5*time.Second)); state != Stale {
		t.Errorf("state %d after holding, want stale", state)
	}

	// A failure says nothing about the answer that is there.
	put(t, c, q, ended, dns.RcodeServerFailure)
	if _, state = c.Get(q, ended); state == Fresh {
		t.Error("SERVFAIL replaced an answer that can be served")
	}
	if _, state = c.Get(q, ended.Add(time.Hour)); state != Miss {
		t.Errorf("state %d an hour later, want a miss", state)
	}
	put(t, c, q, ended.Add(time.Hour), dns.RcodeServerFailure)
	if _, state = c.Get(q, ended.Add(time.Hour)); state != Fresh {
		t.Errorf("state %d, want the SERVFAIL once the answer is too old", state)
	}
	if _, state = c.Get(q, ended.Add(time.Hour+5*time.Second)); state != Miss {
		t.Errorf("state %d, want that a SERVFAIL is never stale", state)
	}
}

func TestBoundInEntries(t *testing.T) {
	c := owned()
	c.SetCapacity(160, 32)
	for i := range 1000 {
		q := ask(t, fmt.Sprintf("n%d.example.com.", i), dns.TypeA)
		put(t, c, q, start, 0, fmt.Sprintf("n%d.example.com. 60 IN A 192.0.2.1", i))
	}
	for i := range 1000 {
		put(t, c, ask(t, fmt.Sprintf("x%d.example.com.", i), dns.TypeA), start, dns.RcodeNameError, "--", soa60)
	}
	st := c.Stats()
	if st.Entries[Success] != 160 || st.Entries[Denial] != 32 || st.Capacity != [2]uint64{160, 32} {
		t.Errorf("entries %v of %v, want 160 and 32", st.Entries, st.Capacity)
	}
	if st.Evictions[Success] != 840 || st.Evictions[Denial] != 968 {
		t.Errorf("evictions %v", st.Evictions)
	}
	c.SetCapacity(32, 16)
	if st := c.Stats(); st.Entries != [2]uint64{32, 16} {
		t.Errorf("entries after shrinking: %v", st.Entries)
	}
	checkConsistent(t, c)
	if n := c.Flush(); n != 48 {
		t.Errorf("flushed %d, want 48", n)
	}
	if st := c.Stats(); st.Entries != [2]uint64{} || st.Bytes != 0 {
		t.Errorf("after the flush: %+v", st)
	}
}

func TestBoundInBytes(t *testing.T) {
	c := owned()
	long := strings.Repeat("x", 250)
	putTexts := func(name string, n int) *wire.Query {
		q := ask(t, name, dns.TypeTXT)
		m := says(t, q, 0)
		for range n {
			m.Answer = append(m.Answer, &dns.TXT{
				Hdr: dns.RR_Header{Name: name, Rrtype: dns.TypeTXT, Class: dns.ClassINET, Ttl: 60}, Txt: []string{long},
			})
		}
		c.Put(newAnswer(t, m, q, Options{}.WithDefaults(), start), 1, start)
		return q
	}
	for i := range 1000 {
		putTexts(fmt.Sprintf("n%d.example.com.", i), 20)
	}
	if st := c.Stats(); st.Bytes > maxBytes || st.Bytes < maxBytes*3/4 {
		t.Errorf("%d bytes in %d entries, want a little below %d", st.Bytes, st.Entries[Success], maxBytes)
	}
	if get(t, c, putTexts("huge.test.", 70), start) != nil {
		t.Error("an answer above the limit was kept")
	}
	checkConsistent(t, c)
}

func TestWhatIsAskedForStays(t *testing.T) {
	c := owned()
	c.SetCapacity(320, 320)
	hot := ask(t, "hot.example.com.", dns.TypeA)
	put(t, c, hot, start, 0, "hot.example.com. 60 IN A 192.0.2.1")
	for i := range 5000 {
		put(t, c, ask(t, fmt.Sprintf("n%d.example.com.", i), dns.TypeA), start, 0, fmt.Sprintf("n%d.example.com. 60 IN A 192.0.2.1", i))
		if get(t, c, hot, start) == nil {
			t.Fatalf("evicted after %d others", i)
		}
	}
}

func TestNamesChangeOwners(t *testing.T) {
	owner := map[string]uint32{}
	c := New(func(folded []byte) uint32 { return owner[string(folded)] })
	a, b := ask(t, "a.example.com.", dns.TypeA), ask(t, "b.example.com.", dns.TypeA)
	owner[string(a.Folded)], owner[string(b.Folded)] = 1, 1
	put(t, c, a, start, 0, "a.example.com. 60 IN A 192.0.2.1")
	put(t, c, b, start, 0, "b.example.com. 60 IN A 192.0.2.1")
	owner[string(b.Folded)] = 2
	c.Reassign()
	if get(t, c, a, start) == nil || get(t, c, b, start) != nil {
		t.Error("want the answer of the unchanged zone, and only that")
	}
	put(t, c, b, start, 0, "b.example.com. 60 IN A 192.0.2.1") // late, of zone 1
	if get(t, c, b, start) != nil {
		t.Error("a late answer of the zone before was taken in")
	}
}

func TestSweep(t *testing.T) {
	c := owned()
	put(t, c, ask(t, "www.example.com.", dns.TypeA), start, 0, a20)
	put(t, c, ask(t, "fail.example.com.", dns.TypeA), start, dns.RcodeServerFailure)
	c.Sweep(start.Add(time.Minute))
	if st := c.Stats(); st.Entries != [2]uint64{1, 0} {
		t.Errorf("entries after a minute: %v, want the one that can be served stale", st.Entries)
	}
	c.Sweep(start.Add(2 * time.Hour))
	if st := c.Stats(); st.Entries != [2]uint64{} {
		t.Errorf("entries after two hours: %v", st.Entries)
	}
}

func TestCounts(t *testing.T) {
	c := owned()
	q := ask(t, "www.example.com.", dns.TypeA)
	c.Append(nil, q, 512, start) // left to Get, which counts
	c.Get(q, start)
	put(t, c, q, start, 0, a20)
	c.Append(nil, q, 512, start)
	c.Get(q, start)
	c.Get(q, start.Add(time.Minute))
	c.ServedStale()
	if st := c.Stats(); st.Hits != [2]uint64{2, 0} || st.Misses != 2 || st.Stale != 1 {
		t.Errorf("hits %v, misses %d, stale %d; want 2, 2, 1", st.Hits, st.Misses, st.Stale)
	}
}

func TestConcurrentUse(t *testing.T) {
	c := owned()
	c.SetCapacity(64, 64)
	var wg sync.WaitGroup
	for worker := range 8 {
		wg.Go(func() {
			r := rand.New(rand.NewPCG(uint64(worker), 1))
			for range 2000 {
				name := fmt.Sprintf("n%d.example.com.", r.IntN(200))
				q := ask(t, name, dns.TypeA)
				if worker%2 == 0 {
					put(t, c, q, start, 0, name+" 60 IN A 192.0.2.1")
				} else if m := get(t, c, q, start); m != nil && (m.Question[0].Name != name || len(m.Answer) != 1) {
					t.Errorf("asked for %s, got %v", name, m)
				}
				switch r.IntN(500) {
				case 0:
					c.Flush()
				case 1:
					c.Sweep(start)
				case 2:
					c.Reassign()
				}
			}
		})
	}
	wg.Wait()
	checkConsistent(t, c)
}

// checkConsistent compares maps and rings.
func checkConsistent(t *testing.T, c *Cache) {
	t.Helper()
	for i := range c.shards {
		s := &c.shards[i]
		n := 0
		for kind := range s.rings {
			r, bytes := &s.rings[kind], 0
			for pos, a := range r.answers {
				bytes += a.bytes()
				if a.pos != pos || s.entries[a.hash] != a || a.kind != Kind(kind) {
					t.Errorf("shard %d: answer %d of kind %d is misplaced", i, pos, kind)
				}
			}
			n += len(r.answers)
			if bytes != r.bytes {
				t.Errorf("shard %d: counted %d bytes, are %d", i, r.bytes, bytes)
			}
		}
		if n != len(s.entries) {
			t.Errorf("shard %d: %d entries, %d in rings", i, len(s.entries), n)
		}
	}
}

func TestAppendDoesNotAllocate(t *testing.T) {
	c := owned()
	q := ask(t, "www.example.com.", dns.TypeA)
	q.HasOPT, q.AD = true, true
	put(t, c, q, start, 0, a20)
	buf := make([]byte, 0, 1500)
	if n := testing.AllocsPerRun(100, func() {
		if _, ok := c.Append(buf, q, 1232, start); !ok {
			t.Fatal("no answer")
		}
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

package cache

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"runtime"
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

func TestWhatIsKeptAndForHowLong(t *testing.T) {
	for _, tc := range []struct {
		what    string
		qtype   uint16
		rcode   int
		records []string
		kind    Kind
		life    time.Duration // 0: not kept
	}{
		{"record", dns.TypeA, 0, []string{a20}, Success, 20 * time.Second},
		{"shortest of all", dns.TypeA, 0, []string{a20, "www.example.com. 11 IN A 192.0.2.2"}, Success, 11 * time.Second},
		{"short TTL is lifted", dns.TypeA, 0, []string{"www.example.com. 0 IN A 192.0.2.1"}, Success, 5 * time.Second},
		{"TTL above 2^31 is zero", dns.TypeA, 0, []string{"www.example.com. 2147483648 IN A 192.0.2.1"}, Success, 5 * time.Second},
		{"long TTL is cut", dns.TypeA, 0, []string{"www.example.com. 86400 IN A 192.0.2.1"}, Success, time.Hour},
		{"other case of the name", dns.TypeA, 0, []string{"wWw.eXample.com. 20 IN A 192.0.2.1"}, Success, 20 * time.Second},
		{"CNAME and record", dns.TypeA, 0, []string{"www.example.com. 300 IN CNAME x.test.", "x.test. 30 IN A 192.0.2.1"}, Success, 30 * time.Second},
		{"CNAME asked for", dns.TypeCNAME, 0, []string{"www.example.com. 300 IN CNAME x.test."}, Success, 300 * time.Second},
		{"CNAME to nothing, unproved", dns.TypeA, 0, []string{"www.example.com. 300 IN CNAME x.test."}, 0, 0},
		{"CNAME to nothing, proved", dns.TypeA, 0, []string{"www.example.com. 9 IN CNAME x.example.com.", "--", soa60}, Denial, 9 * time.Second},
		{"CNAMEs in a ring", dns.TypeA, 0, []string{"www.example.com. 9 IN CNAME x.test.", "x.test. 9 IN CNAME www.example.com."}, 0, 0},
		{"record of another name", dns.TypeA, 0, []string{"other.example.com. 20 IN A 192.0.2.1"}, 0, 0},
		{"record of another type", dns.TypeA, 0, []string{"www.example.com. 20 IN AAAA 2001:db8::1"}, 0, 0},
		{"record of another class", dns.TypeTXT, 0, []string{`www.example.com. 20 CH TXT "x"`}, 0, 0},
		{"NODATA", dns.TypeAAAA, 0, []string{"--", soa60}, Denial, 60 * time.Second},
		{"NODATA, SOA record shorter than its minimum", dns.TypeAAAA, 0, []string{"--", strings.Replace(soa60, "300", "7", 1)}, Denial, 7 * time.Second},
		{"NODATA, long", dns.TypeAAAA, 0, []string{"--", "example.com. 86400 IN SOA ns.example.com. me.example.com. 1 2 3 4 86400"}, Denial, 30 * time.Minute},
		{"NODATA without SOA", dns.TypeAAAA, 0, nil, 0, 0},
		{"NODATA with the SOA of another zone", dns.TypeAAAA, 0, []string{"--", "example.org. 300 IN SOA ns.example.com. me.example.com. 1 2 3 4 60"}, 0, 0},
		{"referral", dns.TypeA, 0, []string{"--", "example.com. 300 IN NS ns.example.com."}, 0, 0},
		{"NXDOMAIN", dns.TypeA, dns.RcodeNameError, []string{"--", soa60}, Denial, 60 * time.Second},
		{"NXDOMAIN without SOA", dns.TypeA, dns.RcodeNameError, nil, 0, 0},
		{"SERVFAIL", dns.TypeA, dns.RcodeServerFailure, nil, Denial, 5 * time.Second},
		{"SERVFAIL with records", dns.TypeA, dns.RcodeServerFailure, []string{a20}, Denial, 5 * time.Second},
		{"REFUSED", dns.TypeA, dns.RcodeRefused, nil, 0, 0},
		{"meta type", dns.TypeANY, 0, []string{a20}, 0, 0},
	} {
		t.Run(tc.what, func(t *testing.T) {
			q := ask(t, "www.example.com.", tc.qtype)
			a := newAnswer(t, says(t, q, tc.rcode, tc.records...), q, Options{}.WithDefaults(), start)
			if a.cacheable != (tc.life > 0) {
				t.Fatalf("kept: %v, want %v", a.cacheable, tc.life > 0)
			}
			if got := time.Duration(a.ends - a.stored); tc.life > 0 && (got != tc.life || a.kind != tc.kind) {
				t.Errorf("kind %d for %v, want kind %d for %v", a.kind, got, tc.kind, tc.life)
			}
		})
	}
}

func TestTruncatedAnswerIsNotKept(t *testing.T) {
	q := ask(t, "www.example.com.", dns.TypeA)
	m := says(t, q, 0, a20)
	m.Truncated = true
	a := newAnswer(t, m, q, Options{}.WithDefaults(), start)
	if a.cacheable || !a.Truncated() {
		t.Errorf("kept %v, truncated %v; want false, true", a.cacheable, a.Truncated())
	}
}

func TestOptionsSwitchOff(t *testing.T) {
	q := ask(t, "www.example.com.", dns.TypeA)
	for what, o := range map[string]Options{
		"success": {Success: Limits{Disabled: true}},
		"maximum": {Success: Limits{Max: -1}},
	} {
		if a := newAnswer(t, says(t, q, 0, a20), q, o.WithDefaults(), start); a.cacheable {
			t.Errorf("%s switched off, but kept", what)
		}
	}
	off := Options{Denial: Limits{Disabled: true}, ServFail: -1}.WithDefaults()
	for _, rcode := range []int{dns.RcodeNameError, dns.RcodeServerFailure} {
		if a := newAnswer(t, says(t, q, rcode, "--", soa60), q, off, start); a.cacheable {
			t.Errorf("%s kept", dns.RcodeToString[rcode])
		}
	}
	low := Options{Success: Limits{Max: 3 * time.Second}, Stale: -1}.WithDefaults()
	a := newAnswer(t, says(t, q, 0, a20), q, low, start)
	if a.ends-a.stored != int64(3*time.Second) || a.staleEnds != a.ends {
		t.Errorf("kept for %v, stale until %v later; want 3s, 0", time.Duration(a.ends-a.stored), time.Duration(a.staleEnds-a.ends))
	}
}

func TestAnswerIsTheAskers(t *testing.T) {
	c := owned()
	q := ask(t, "www.example.com.", dns.TypeA)
	put(t, c, q, start, 0, "www.EXAMPLE.com. 300 IN CNAME cdn.example.com.", "cdn.example.com. 20 IN A 192.0.2.1")

	asker := ask(t, "wWw.ExamplE.cOm.", dns.TypeA)
	asker.ID, asker.RD = 7, false
	m := get(t, c, asker, start)
	if m == nil {
		t.Fatal("no answer")
	}
	if m.Id != 7 || m.RecursionDesired || !m.RecursionAvailable || m.Authoritative || m.AuthenticatedData || m.IsEdns0() != nil {
		t.Errorf("header: %v", m.MsgHdr.String())
	}
	if got := m.Question[0].Name; got != "wWw.ExamplE.cOm." {
		t.Errorf("question is spelled %q", got)
	}
	if got := m.Answer[0].Header().Name; got != "wWw.ExamplE.cOm." {
		t.Errorf("owner is spelled %q", got)
	}
	if got := m.Answer[1].Header().Name; !strings.EqualFold(got, "cdn.example.com.") {
		t.Errorf("second owner is %q", got)
	}

	asker.HasOPT, asker.AD = true, true
	m = get(t, c, asker, start)
	opt := m.IsEdns0()
	if opt == nil || opt.UDPSize() != wire.UDPSize || opt.Do() || len(opt.Option) != 0 || !m.AuthenticatedData {
		t.Errorf("with OPT and AD asked for: %v", m)
	}
}

func TestTTLsCountDown(t *testing.T) {
	c := owned()
	q := ask(t, "www.example.com.", dns.TypeA)
	put(t, c, q, start, 0, "www.example.com. 300 IN CNAME cdn.example.com.", "cdn.example.com. 20 IN A 192.0.2.1")
	for _, tc := range []struct {
		after       time.Duration
		first, last uint32
	}{{0, 300, 20}, {999 * time.Millisecond, 300, 20}, {time.Second, 299, 19}, {19999 * time.Millisecond, 281, 1}} {
		m := get(t, c, q, start.Add(tc.after))
		if m == nil {
			t.Fatalf("no answer after %v", tc.after)
		}
		if a, b := m.Answer[0].Header().Ttl, m.Answer[1].Header().Ttl; a != tc.first || b != tc.last {
			t.Errorf("after %v TTLs are %d, %d; want %d, %d", tc.after, a, b, tc.first, tc.last)
		}
	}
	if get(t, c, q, start.Add(20*time.Second)) != nil {
		t.Error("answered after the end")
	}
	if get(t, c, q, start.Add(-time.Second)) != nil {
		t.Error("answered although the clock was set back")
	}
}

func TestDenialSaysHowLongItHolds(t *testing.T) {
	c := owned()
	q := ask(t, "no.example.com.", dns.TypeA)
	put(t, c, q, start, dns.RcodeNameError, "--", soa60)
	m := get(t, c, q, start.Add(10*time.Second))
	if m == nil || m.Rcode != dns.RcodeNameError || len(m.Ns) != 1 || m.Ns[0].Header().Ttl != 50 {
		t.Errorf("got %v; want NXDOMAIN with an SOA of TTL 50", m)
	}
}

// A resolver answers differently with and without DO and CD; showing one for the other was CVE-2024-0874.
func TestFlagsAreKeptApart(t *testing.T) {
	c := owned()
	for i, flags := range [][2]bool{{false, false}, {true, false}, {false, true}, {true, true}} {
		q := ask(t, "www.example.com.", dns.TypeA)
		q.DO, q.CD = flags[0], flags[1]
		if get(t, c, q, start) != nil {
			t.Errorf("DO %v, CD %v: answered from another's entry", q.DO, q.CD)
		}
		put(t, c, q, start, 0, fmt.Sprintf("www.example.com. 20 IN A 192.0.2.%d", i))
	}
	for i, flags := range [][2]bool{{false, false}, {true, false}, {false, true}, {true, true}} {
		q := ask(t, "www.example.com.", dns.TypeA)
		q.DO, q.CD, q.HasOPT = flags[0], flags[1], flags[0]
		m := get(t, c, q, start)
		if got, want := m.Answer[0].(*dns.A).A.String(), fmt.Sprintf("192.0.2.%d", i); got != want || m.CheckingDisabled != q.CD {
			t.Errorf("DO %v, CD %v: got %s, CD %v; want %s", q.DO, q.CD, got, m.CheckingDisabled, want)
		}
		if q.DO && !m.IsEdns0().Do() {
			t.Error("DO is not repeated")
		}
	}
}

func TestUpstreamsOptionsStayThere(t *testing.T) {
	c := owned()
	q := ask(t, "www.example.com.", dns.TypeA)
	m := says(t, q, 0, a20)
	m.SetEdns0(1, true) // a size that looks like class IN
	m.IsEdns0().Option = append(m.IsEdns0().Option, &dns.EDNS0_NSID{Code: dns.EDNS0NSID, Nsid: "aa"})
	c.Put(newAnswer(t, m, q, Options{}.WithDefaults(), start), 1, start)
	if got := get(t, c, q, start); got == nil || len(got.Extra) != 0 {
		t.Errorf("got %v; want no OPT", got)
	}
}

func TestAnswerThatDoesNotFitIsLeft(t *testing.T) {
	c := owned()
	q := ask(t, "www.example.com.", dns.TypeA)
	q.HasOPT = true
	put(t, c, q, start, 0, a20)
	whole, _ := c.Append(nil, q, 65535, start)
	prefix := []byte("before")
	if out, ok := c.Append(prefix, q, len(whole)-1, start); ok || string(out) != "before" {
		t.Errorf("got %q, %v with one byte too few", out, ok)
	}
	if out, ok := c.Append(prefix, q, len(whole), start); !ok || string(out) != "before"+string(whole) {
		t.Errorf("got %q, %v; want the answer after the prefix", out, ok)
	}
}

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

func BenchmarkAppend(b *testing.B) {
	for _, bc := range []struct {
		what    string
		records []string
	}{
		{"one", []string{a20}},
		{"cname+8", append([]string{"www.example.com. 300 IN CNAME cdn.example.com."}, addresses("cdn.example.com.", 8)...)},
	} {
		b.Run(bc.what, func(b *testing.B) {
			c := owned()
			q := ask(b, "www.example.com.", dns.TypeA)
			q.HasOPT = true
			put(b, c, q, start, 0, bc.records...)
			b.ReportAllocs()
			b.RunParallel(func(pb *testing.PB) {
				buf := make([]byte, 0, 1500)
				for pb.Next() {
					if _, ok := c.Append(buf, q, 1232, start); !ok {
						b.Fatal("no answer")
					}
				}
			})
		})
	}
}

func BenchmarkAppendMiss(b *testing.B) {
	c := owned()
	q := ask(b, "www.example.com.", dns.TypeA)
	b.ReportAllocs()
	for b.Loop() {
		c.Append(nil, q, 1232, start)
	}
}

// BenchmarkFull tells what a full cache of usual answers takes.
func BenchmarkFull(b *testing.B) {
	for b.Loop() {
		var before, after runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&before)
		c := owned()
		for i := range 2 * DefaultCapacity {
			name := fmt.Sprintf("host-%d.service.example.com.", i)
			put(b, c, ask(b, name, dns.TypeA), start, 0, addresses(name, 3)...)
			name = fmt.Sprintf("no-%d.service.example.com.", i)
			put(b, c, ask(b, name, dns.TypeA), start, dns.RcodeNameError, "--", soa60)
		}
		runtime.GC()
		runtime.ReadMemStats(&after)
		st := c.Stats()
		n := st.Entries[Success] + st.Entries[Denial]
		b.ReportMetric(float64(after.HeapAlloc-before.HeapAlloc)/(1<<20), "MiB")
		b.ReportMetric(float64(st.Bytes)/(1<<20), "MiB-counted")
		b.ReportMetric(float64(after.HeapAlloc-before.HeapAlloc)/float64(n), "B/entry")
		b.ReportMetric(float64(n), "entries")
		runtime.KeepAlive(c)
	}
}

func addresses(name string, n int) []string {
	var records []string
	for i := range n {
		records = append(records, fmt.Sprintf("%s 60 IN A 192.0.2.%d", name, i+1))
	}
	return records
}

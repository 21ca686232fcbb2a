package cache

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"bonsai/dnsaddon/wire"

	"github.com/miekg/dns"
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

func TestAnswerBelongsToTheClient(t *testing.T) {
	c := owned()
	q := ask(t, "www.example.com.", dns.TypeA)
	put(t, c, q, start, 0, "www.EXAMPLE.com. 300 IN CNAME cdn.example.com.", "cdn.example.com. 20 IN A 192.0.2.1")

	client := ask(t, "wWw.ExamplE.cOm.", dns.TypeA)
	client.ID, client.RD = 7, false
	m := get(t, c, client, start)
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

	client.HasOPT, client.AD = true, true
	m = get(t, c, client, start)
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

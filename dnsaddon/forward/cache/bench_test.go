package cache

import (
	"fmt"
	"runtime"
	"testing"

	"github.com/miekg/dns"
)

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

// BenchmarkFull reports the size of a full cache of typical answers.
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

package forward

import (
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/miekg/dns"
)

// BenchmarkForward asks an upstream on loopback, which runs in this process too, a new name each time.
func BenchmarkForward(b *testing.B) {
	up := newResolver(b, nil)
	f, _ := start(b, root(up))
	var n atomic.Int64
	b.ReportAllocs()
	b.SetParallelism(8)
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			if m, _, err := f.Exchange(b.Context(), question(fmt.Sprintf("n%d.test.", n.Add(1)), dns.TypeA), "udp"); err != nil || len(m.Answer) != 1 {
				b.Error(m, err)
			}
		}
	})
}

func BenchmarkExchangeCached(b *testing.B) {
	f, _ := start(b, root(newResolver(b, nil)))
	lookup(b, f, "www.test.")
	r := question("www.test.", dns.TypeA)
	b.ReportAllocs()
	for b.Loop() {
		if _, _, err := f.Exchange(b.Context(), r, "udp"); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkAppendCached(b *testing.B) {
	f, _ := start(b, root(newResolver(b, nil)))
	lookup(b, f, "www.test.")
	q := plain(b, "www.test.", dns.TypeA)
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		buf := make([]byte, 0, 1500)
		now := time.Now()
		for pb.Next() {
			if _, ok := f.AppendCached(buf, q, 1232, now); !ok {
				b.Fatal("no answer")
			}
		}
	})
}

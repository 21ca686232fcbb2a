package traffic

import (
	"math/bits"
	"time"
)

// Latencies are counted in buckets: one for each of the first eight microseconds, then four for each doubling up to two
// minutes. So a quantile is never wrong by more than an eighth.
const (
	single  = 8
	longest = 27 // bits of microseconds
	buckets = single + 4*(longest-3)
)

func bucket(took time.Duration) int {
	us := uint64(max(0, took.Microseconds()))
	if us < single {
		return int(us)
	}
	n := bits.Len64(us)
	if n > longest {
		return buckets - 1
	}
	// The two bits after the highest choose one of the four.
	return single + 4*(n-4) + int(us>>(n-3)&3)
}

// middle is roughly the average of the requests in a bucket.
func middle(b int) time.Duration {
	if b < single {
		return time.Duration(b)*time.Microsecond + time.Microsecond/2
	}
	n, quarter := (b-single)/4+4, (b-single)%4
	width := time.Duration(1) << (n - 3) * time.Microsecond
	return time.Duration(4+quarter)*width + width/2
}

// quantile is the latency that the share q of the counted requests did not exceed; -1 if there was none.
func quantile(counts *[buckets]uint64, q float64) time.Duration {
	total := uint64(0)
	for _, n := range counts {
		total += n
	}
	seen := uint64(0)
	for b, n := range counts {
		if seen += n; n > 0 && float64(seen) >= q*float64(total) {
			return middle(b)
		}
	}
	return -1
}

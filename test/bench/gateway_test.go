package main

import (
	"strings"
	"testing"
	"time"
)

func TestReadWrk(t *testing.T) {
	const good = `Running 5s test @ http://10.201.0.10/
  1 threads and 1 connections
  Thread Stats   Avg      Stdev     Max   +/- Stdev
    Latency   180.31us  102.11us   4.01ms   95.82%
    Req/Sec     5.50k   331.00     6.01k    70.59%
  Latency Distribution
     50%  162.00us
     75%  190.00us
     90%  240.00us
     99%  530.00us
  27913 requests in 5.10s, 4.02MB read
Requests/sec:   5473.12
Transfer/sec:    807.02KB
`
	if got, err := readWrk(good); err != nil || got.p50 != 162*time.Microsecond || got.rate != 5473.12 {
		t.Errorf("got %+v, %v", got, err)
	}
	for _, bad := range []string{
		"", "Requests/sec: 1\n", strings.Replace(good, "Requests/sec:", "  Non-2xx or 3xx responses: 27913\nRequests/sec:", 1),
		strings.Replace(good, "Requests/sec:", "  Socket errors: connect 1, read 0, write 0, timeout 0\nRequests/sec:", 1), strings.Replace(good, "162.00us", "many", 1),
	} {
		if got, err := readWrk(bad); err == nil {
			t.Errorf("%q is read as %+v", bad, got)
		}
	}
}

package proxy

import (
	"io"
	"net/http"
	"testing"

	"bonsai/bootstrap/gatewaytable"
)

// BenchmarkRequests compares a backend that is asked directly with one behind the data plane, over connections that are kept: what a
// request takes, and what is allocated for it in both together. Requests with POST take the way that those with a body take.
func BenchmarkRequests(b *testing.B) {
	answer := make([]byte, 1<<10)
	backend := backendServer(b, func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(answer) })
	p := start(b, false, gatewaytable.Rule{}, gatewaytable.HTTP1, backend)
	p.proxy.cfg.Access = nil // which keeps all entries here
	for _, way := range []struct{ name, address, method string }{
		{"direct", backend, http.MethodGet}, {"through the gateway", p.address, http.MethodGet}, {"through the gateway with POST", p.address, http.MethodPost},
	} {
		for _, parallel := range []int{1, 32} {
			b.Run(map[int]string{1: way.name, 32: way.name + ", 32 at a time"}[parallel], func(b *testing.B) {
				c := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 256}}
				defer c.CloseIdleConnections()
				b.ReportAllocs()
				b.SetParallelism(parallel)
				b.RunParallel(func(pb *testing.PB) {
					for pb.Next() {
						req, _ := http.NewRequestWithContext(b.Context(), way.method, "http://"+way.address+"/", nil)
						resp, err := c.Do(req)
						if err != nil {
							b.Error(err)
							return
						}
						_, _ = io.Copy(io.Discard, resp.Body)
						_ = resp.Body.Close()
					}
				})
			})
		}
	}
}

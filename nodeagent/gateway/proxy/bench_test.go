package proxy

import (
	"io"
	"net"
	"net/http"
	"sync"
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

// BenchmarkSimpleRequests is about the data plane alone: client and backend write and read fixed bytes. The change of a header takes
// requests to net/http.
func BenchmarkSimpleRequests(b *testing.B) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	var backend sync.WaitGroup
	defer backend.Wait()
	defer l.Close()
	const reply = "HTTP/1.1 200 OK\r\nDate: Mon, 02 Mar 2026 12:00:00 GMT\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: 12\r\n\r\nhello world\n"
	backend.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			backend.Go(func() { answerAll(conn, []byte(reply)) })
		}
	})
	change := &gatewaytable.HeaderChanges{Set: []gatewaytable.Header{{Name: "X-New", Value: "1"}}}
	for name, rule := range map[string]gatewaytable.Rule{"simple": {}, "with net/http": {Request: change}} {
		b.Run(name, func(b *testing.B) {
			p := start(b, false, rule, gatewaytable.HTTP1, l.Addr().String())
			log := NewAccessLog(io.Discard)
			defer log.Close()
			p.proxy.cfg.Access = log.Record
			conn, err := net.Dial("tcp", p.address)
			if err != nil {
				b.Fatal(err)
			}
			defer conn.Close()
			buffer := make([]byte, 4<<10)
			b.ReportAllocs()
			for b.Loop() {
				if _, err := io.WriteString(conn, "GET /cart?id=1 HTTP/1.1\r\nHost: web.test\r\nUser-Agent: curl/8.14.1\r\nAccept: */*\r\n\r\n"); err != nil {
					b.Fatal(err)
				}
				if _, err := conn.Read(buffer); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// answerAll answers each request that comes, all of which are without a body.
func answerAll(conn net.Conn, reply []byte) {
	defer conn.Close()
	buffer := make([]byte, 4<<10)
	for {
		if _, err := conn.Read(buffer); err != nil {
			return
		}
		if _, err := conn.Write(reply); err != nil {
			return
		}
	}
}

// Package stub is the upstream DNS server in these tests and measurements: it answers every name, always in the same
// way, based only on the question.
package stub

import (
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"net"
	"strings"
	"sync"
	"time"

	"github.com/miekg/dns"
)

// Server listens on one loopback address, UDP and TCP.
type Server struct {
	Addr     string
	servers  []*dns.Server
	finished sync.WaitGroup
}

// Start returns when the server answers.
func Start() (*Server, error) {
	// A port that is free for UDP may be taken for TCP.
	var errs error
	for range 20 {
		s, err := listen()
		if err == nil {
			return s, nil
		}
		errs = errors.Join(errs, err)
	}
	return nil, errs
}

func listen() (*Server, error) {
	packets, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	s := &Server{Addr: packets.LocalAddr().String()}
	listener, err := net.Listen("tcp", s.Addr)
	if err != nil {
		return nil, errors.Join(err, packets.Close())
	}
	for _, d := range []*dns.Server{{PacketConn: packets, UDPSize: dns.MaxMsgSize}, {Listener: listener, MaxTCPQueries: -1}} {
		d.Handler = dns.HandlerFunc(serve)
		started := make(chan struct{})
		d.NotifyStartedFunc = func() { close(started) }
		s.servers = append(s.servers, d)
		s.finished.Go(func() { _ = d.ActivateAndServe() })
		<-started
	}
	return s, nil
}

// Stop returns when everything of the server has ended.
func (s *Server) Stop() error {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	var errs error
	for _, d := range s.servers {
		errs = errors.Join(errs, d.ShutdownContext(ctx))
	}
	s.finished.Wait()
	return errs
}

func serve(w dns.ResponseWriter, r *dns.Msg) {
	reply := Answer(r)
	size := dns.MinMsgSize
	if opt := r.IsEdns0(); opt != nil {
		reply.SetEdns0(4096, opt.Do())
		size = int(opt.UDPSize())
	}
	if _, ok := w.RemoteAddr().(*net.TCPAddr); ok {
		size = dns.MaxMsgSize
	}
	reply.Truncate(size)
	_ = w.WriteMsg(reply) // the client notices a failure
}

// Answer is the reply to r, before any truncation. Names below "nx." do not exist, those below "nodata." have no
// records, those below "fail." end in SERVFAIL, those below "alias." are CNAMEs, those below "many." have 60 addresses;
// what any other name has is drawn from its spelling in lower case.
func Answer(r *dns.Msg) *dns.Msg {
	m := new(dns.Msg).SetReply(r)
	m.RecursionAvailable = true
	q := r.Question[0]
	name := strings.ToLower(q.Name)
	has := func(part string) bool { return strings.Contains("."+name, "."+part+".") }
	h := fnv.New32a()
	_, _ = h.Write([]byte(name))
	sum := h.Sum32()
	ttl := []uint32{0, 3, 5, 17, 30, 3600}[sum%6]
	switch {
	case has("fail"):
		m.Rcode = dns.RcodeServerFailure
		return m
	case has("nx"):
		m.Rcode = dns.RcodeNameError
	case has("nodata"):
	case has("alias"):
		target := strings.Replace(name, "alias.", fmt.Sprintf("target-%d.", sum%10), 1)
		m.Answer = append(m.Answer, &dns.CNAME{Hdr: header(q.Name, dns.TypeCNAME, ttl), Target: target})
		if q.Qtype != dns.TypeCNAME {
			m.Answer = append(m.Answer, records(target, q.Qtype, sum, ttl, 1)...)
		}
	case has("many"):
		m.Answer = records(q.Name, q.Qtype, sum, ttl, 60)
	default:
		m.Answer = records(q.Name, q.Qtype, sum, ttl, 1+int(sum%3))
	}
	if len(m.Answer) == 0 {
		const minimum = 20 // which the TTL of the SOA record must not exceed in such a reply, by RFC 2308
		m.Ns = []dns.RR{&dns.SOA{
			Hdr: header("test.", dns.TypeSOA, min(ttl, minimum)), Ns: "ns.test.", Mbox: "hostmaster.test.",
			Serial: 1, Refresh: 7200, Retry: 1800, Expire: 86400, Minttl: minimum,
		}}
	}
	return m
}

func header(name string, kind uint16, ttl uint32) dns.RR_Header {
	return dns.RR_Header{Name: name, Rrtype: kind, Class: dns.ClassINET, Ttl: ttl}
}

func records(name string, kind uint16, sum, ttl uint32, count int) []dns.RR {
	var out []dns.RR
	for i := range count {
		n := byte(i)
		switch kind {
		case dns.TypeA:
			out = append(out, &dns.A{Hdr: header(name, kind, ttl), A: net.IP{198, 51, byte(sum), n}})
		case dns.TypeAAAA:
			out = append(out, &dns.AAAA{Hdr: header(name, kind, ttl), AAAA: net.IP{0x20, 1, 0xd, 0xb8, 15: n, 14: byte(sum)}})
		case dns.TypeTXT:
			out = append(out, &dns.TXT{Hdr: header(name, kind, ttl), Txt: []string{fmt.Sprintf("text %d", i)}})
		case dns.TypePTR:
			out = append(out, &dns.PTR{Hdr: header(name, kind, ttl), Ptr: fmt.Sprintf("host-%d-%d.test.", sum%100, i)})
		}
	}
	return out
}

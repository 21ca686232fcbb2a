package server

import (
	"strings"
	"time"

	"github.com/miekg/dns"

	"bonsai/bootstrap/cluster"
)

// Limits for the records of one published answer.
const (
	publishedAnswers = 8
	publishedLength  = 200
)

// watched reports whether any watcher wants the questions of a listener.
func (l *listener) watched() bool {
	return l.server.opts.Feed.Active() || l.cluster && l.server.log.Load() != nil
}

// publish publishes an answered question. It parses the reply again, which is only worth it while there are watchers.
func (l *listener) publish(from client, reply []byte, source cluster.DNSSource, upstream string) {
	var m dns.Msg
	if err := m.Unpack(reply); err != nil {
		l.server.opts.Log.Error("own reply cannot be read", "err", err)
		return
	}
	q := cluster.DNSQuery{
		Time: from.arrived, Client: from.addr, Proto: from.proto(),
		Rcode: rcodeName(m.Rcode), Answers: data(m.Answer, publishedAnswers), Count: len(m.Answer),
		Took: time.Since(from.arrived), Source: source, Upstream: upstream,
	}
	if len(m.Question) == 1 {
		q.Name, q.Type = m.Question[0].Name, dns.Type(m.Question[0].Qtype).String()
	}
	if feed := l.server.opts.Feed; feed.Active() {
		feed.Publish(q)
	}
	if log := l.server.log.Load(); log != nil && l.cluster {
		(*log).Publish(q)
	}
}

// data returns the data of records in presentation form: without odd bytes, and shortened.
func data(rrs []dns.RR, limit int) (list []string) {
	for _, rr := range rrs[:min(len(rrs), limit)] {
		text := strings.TrimPrefix(rr.String(), rr.Header().String())
		list = append(list, text[:min(len(text), publishedLength)])
	}
	return list
}

func rcodeName(rcode int) string {
	// The library calls 16 by its name in signatures.
	if rcode == dns.RcodeBadVers {
		return "BADVERS"
	}
	if name, ok := dns.RcodeToString[rcode]; ok {
		return name
	}
	return "other"
}

package server

import (
	"strings"
	"time"

	"github.com/miekg/dns"

	"bonsai/bootstrap/cluster"
)

// What a watcher is told of the records of one answer.
const (
	toldAnswers = 8
	toldLength  = 200
)

// watched says whether anybody wants to be told the questions of a front.
func (f *front) watched() bool {
	return f.server.opts.Feed.Active() || f.cluster && f.server.log.Load() != nil
}

// tell publishes an answered question. It reads the reply anew, which is only worth it while somebody watches.
func (f *front) tell(from asker, reply []byte, source cluster.DNSSource, upstream string) {
	var m dns.Msg
	if err := m.Unpack(reply); err != nil {
		f.server.opts.Log.Error("own reply cannot be read", "err", err)
		return
	}
	q := cluster.DNSQuery{
		Time: from.arrived, Client: from.addr, Proto: from.proto(),
		Rcode: rcodeName(m.Rcode), Answers: data(m.Answer, toldAnswers), Count: len(m.Answer),
		Took: time.Since(from.arrived), Source: source, Upstream: upstream,
	}
	if len(m.Question) == 1 {
		q.Name, q.Type = m.Question[0].Name, dns.Type(m.Question[0].Qtype).String()
	}
	if feed := f.server.opts.Feed; feed.Active() {
		feed.Publish(q)
	}
	if log := f.server.log.Load(); log != nil && f.cluster {
		(*log).Publish(q)
	}
}

// data is what records say, in presentation form: without odd bytes, and cut short.
func data(rrs []dns.RR, limit int) (list []string) {
	for _, rr := range rrs[:min(len(rrs), limit)] {
		text := strings.TrimPrefix(rr.String(), rr.Header().String())
		list = append(list, text[:min(len(text), toldLength)])
	}
	return list
}

func rcodeName(rcode int) string {
	// The library calls 16 by the name that it has in signatures.
	if rcode == dns.RcodeBadVers {
		return "BADVERS"
	}
	if name, ok := dns.RcodeToString[rcode]; ok {
		return name
	}
	return "other"
}

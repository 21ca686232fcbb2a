package model

import (
	"context"
	"slices"
	"time"

	"bonsai/bootstrap/cluster"
	"bonsai/tui/feed"
)

// DNSPulse is how DNS does at the moment: how much was asked in the last minute, how much of it for nothing, and the
// newest questions. It is followed while somebody uses its Feed.
type DNSPulse struct {
	o    Options
	Feed *feed.Feed
	// Err is why nothing comes; Since is since when no question is missed, zero before.
	Err   error
	Since time.Time
	// Recent are the newest questions, the newest last.
	Recent  []cluster.DNSQuery
	seconds [PulseSpan]dnsSecond
	took    []time.Duration // of the newest questions
}

// PulseSpan is over how many seconds questions are counted.
const PulseSpan = 60

// dnsRecent and dnsTook bound what is kept.
const (
	dnsRecent = 12
	dnsTook   = 256
)

// DNSCount counts questions: all, for names that do not exist, that failed, that were answered from memory.
type DNSCount struct{ Asked, None, Failed, FromMemory int }

// dnsSecond counts the questions of one second.
type dnsSecond struct {
	at int64
	DNSCount
}

// NewDNSPulse makes one that follows nothing yet.
func (c *Cluster) NewDNSPulse() *DNSPulse {
	d := &DNSPulse{o: c.o}
	join := func(old, new []cluster.DNSQuery) []cluster.DNSQuery { return append(old, new...) }
	news := feed.NewBox(c.o.Hub, join, d.apply)
	watching := feed.NewBox(c.o.Hub, nil, func(struct{}) {
		// What was asked while nobody listened is not known: counting begins again.
		d.Since, d.Err, d.seconds = c.o.Now(), nil, [PulseSpan]dnsSecond{}
		c.o.Changed()
	})
	d.Feed = feed.New(c.o.Hub, func(ctx context.Context, healthy func()) error {
		return c.o.Source.DNSLog(ctx, func() {
			healthy()
			watching.Put(struct{}{})
		}, func(q cluster.DNSQuery) error {
			news.Put([]cluster.DNSQuery{q})
			return nil
		})
	}, func(err error) {
		d.Err = err
		c.o.Changed()
	})
	return d
}

func (d *DNSPulse) apply(list []cluster.DNSQuery) {
	for i := range list {
		q := &list[i]
		at := q.Time.Unix()
		s := &d.seconds[((at%PulseSpan)+PulseSpan)%PulseSpan]
		if s.at != at {
			*s = dnsSecond{at: at}
		}
		// A search of three names is three questions for nothing and one for something.
		s.Asked += 1 + len(q.Tries)
		s.None += len(q.Tries)
		switch q.Rcode {
		case "NXDOMAIN":
			s.None++
		case "SERVFAIL", "REFUSED":
			s.Failed++
		}
		if q.Source == cluster.DNSFromCache || q.Source == cluster.DNSFromStale {
			s.FromMemory++
		}
		d.took = append(d.took, q.Took)
	}
	if n := len(d.took); n > dnsTook {
		d.took = append(d.took[:0], d.took[n-dnsTook:]...)
	}
	for _, q := range list[max(0, len(list)-dnsRecent):] {
		q.Name, q.Pod, q.Answers = d.o.Clean(q.Name), d.o.Clean(q.Pod), slices.Clone(q.Answers)
		for i := range q.Answers {
			q.Answers[i] = d.o.Clean(q.Answers[i])
		}
		d.Recent = append(d.Recent, q)
	}
	if n := len(d.Recent); n > dnsRecent {
		d.Recent = append(d.Recent[:0], d.Recent[n-dnsRecent:]...)
	}
	d.o.Changed()
}

// Count adds up the last minute.
func (d *DNSPulse) Count() DNSCount {
	var all DNSCount
	now := d.o.Now().Unix()
	for _, s := range d.seconds {
		if s.Asked > 0 && s.at > now-PulseSpan {
			all.Asked += s.Asked
			all.None += s.None
			all.Failed += s.Failed
			all.FromMemory += s.FromMemory
		}
	}
	return all
}

// P99 is the 99th percentile of how long the newest questions took, -1 without any.
func (d *DNSPulse) P99() time.Duration {
	if len(d.took) == 0 {
		return -1
	}
	sorted := slices.Sorted(slices.Values(d.took))
	return sorted[(len(sorted)-1)*99/100]
}

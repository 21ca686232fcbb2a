package live

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"bonsai/bootstrap/cluster"
	"bonsai/cmd/bonsai/internal/learn/condition"
)

const (
	// askLimit bounds one question, bodyLimit what is kept of an answer of HTTP.
	askLimit  = 5 * time.Second
	bodyLimit = 64 << 10
	// askPause is between two rounds of questions: with it a step reacts within a second.
	askPause = 400 * time.Millisecond
)

// answer asks one question.
func (w *World) answer(ctx context.Context, q condition.Question) condition.Answer {
	ctx, cancel := w.limit(ctx, askLimit, "an answer")
	defer cancel()
	switch q.Topic {
	case condition.DNS:
		return w.lookup(ctx, q)
	case condition.HTTP:
		return w.get(ctx, q)
	default:
		return w.reach(ctx, q)
	}
}

// lookup asks as a pod of the namespace would: a name without dots is one of its namespace.
func (w *World) lookup(ctx context.Context, q condition.Question) condition.Answer {
	name := q.Of
	if !strings.Contains(name, ".") {
		name += "." + q.Namespace
	}
	found, err := w.daemon.DNSLookup(ctx, cluster.DNSQuestion{Name: name})
	if err != nil {
		return condition.Answer{Unasked: true, Seen: short(err)}
	}
	a := condition.Answer{Seen: "NXDOMAIN"}
	for _, s := range found.Steps {
		for _, record := range s.Answers {
			fields := strings.Fields(record)
			if len(fields) == 0 {
				continue
			}
			value := fields[len(fields)-1]
			if _, err := netip.ParseAddr(value); err == nil {
				return condition.Answer{OK: true, Seen: value}
			}
			a.Seen = "alias of " + value // of a name that nobody has
		}
		if s.Rcode != "NXDOMAIN" && s.Rcode != "NOERROR" {
			a.Seen = s.Rcode
		}
	}
	return a
}

// get asks a Service for a page, through the API server.
func (w *World) get(ctx context.Context, q condition.Question) condition.Answer {
	service, path, _ := strings.Cut(q.Of, "/")
	path, query, _ := strings.Cut(path, "?")
	// In one piece: only then a slash at the end stays, without which the API server redirects.
	request := w.raw.Get().AbsPath("/api/v1/namespaces/" + q.Namespace + "/services/" + service + "/proxy/" + path).MaxRetries(0)
	// As curl asks. A client of the API server prefers JSON, and programs answer that with something else than learners see.
	request = request.SetHeader("Accept", "*/*")
	for pair := range strings.SplitSeq(query, "&") {
		if key, value, ok := strings.Cut(pair, "="); ok {
			request = request.Param(key, value)
		}
	}
	code := 0
	body, err := request.Do(ctx).StatusCode(&code).Raw()
	body = body[:min(len(body), bodyLimit)]
	var own metav1.Status
	if err != nil && (code == 0 || json.Unmarshal(bytes.TrimSpace(body), &own) == nil && own.Kind == "Status") {
		if own.Message != "" { // the API server's words: it had nobody to ask
			return condition.Answer{Seen: own.Message}
		}
		return condition.Answer{Unasked: ctx.Err() == nil, Seen: short(err)} // to be silent is an answer, of the Service
	}
	return condition.Answer{OK: code < 400, Code: code, Body: string(body), Seen: fmt.Sprintf("HTTP %d", code)}
}

// reach walks from a pod to something else, with a real connection at the end.
func (w *World) reach(ctx context.Context, q condition.Question) condition.Answer {
	from, to, _ := strings.Cut(q.Of, " ")
	i := strings.LastIndexByte(to, ':')
	way, err := w.daemon.Why(ctx, cluster.WhyQuestion{From: q.Namespace + "/" + from, To: to[:i], Port: to[i+1:], Namespace: q.Namespace})
	if err != nil {
		return condition.Answer{Unasked: true, Seen: short(err)}
	}
	a := condition.Answer{OK: way.Reaches, Seen: "reached"}
	if !way.Reaches {
		a.Unasked = way.Ends == cluster.WhySource // nobody was there to ask
		a.Seen = string(way.Ends)
		if j := slices.IndexFunc(way.Steps, func(s cluster.WhyStep) bool { return s.Topic == way.Ends }); j >= 0 {
			a.Seen = way.Steps[j].Saw
		}
	}
	return a
}

// short is an error in one line.
func short(err error) string {
	line, _, _ := strings.Cut(err.Error(), "\n")
	return line
}

// poller answers at once with what it knows, and keeps asking what it was asked.
type poller struct {
	ask     func(context.Context, condition.Question) condition.Answer
	changed func()
	ctx     context.Context //nolint:containedctx // that of Follow, which made the poller and waits for it
	running *sync.WaitGroup

	mu     sync.Mutex // guards the rest
	known  map[condition.Question]condition.Answer
	asking map[condition.Question]bool
}

// answer is nothing for a question that is new.
func (a *poller) answer(_ context.Context, q condition.Question) condition.Answer {
	a.mu.Lock()
	defer a.mu.Unlock()
	if _, known := a.known[q]; !known {
		a.known[q] = condition.Answer{}
		a.start(q)
	}
	return a.known[q]
}

// start asks one question in the background, unless that happens already. The lock is held.
func (a *poller) start(q condition.Question) {
	if a.asking[q] || a.ctx.Err() != nil {
		return
	}
	if a.asking == nil {
		a.asking = map[condition.Question]bool{}
	}
	a.asking[q] = true
	a.running.Go(func() {
		answer := a.ask(a.ctx, q)
		a.mu.Lock()
		news := a.known[q] != answer
		a.known[q], a.asking[q] = answer, false
		a.mu.Unlock()
		if news {
			a.changed()
		}
	})
}

// keepAsking asks everything again and again.
func (a *poller) keepAsking() {
	tick := time.NewTicker(askPause)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
		case <-a.ctx.Done():
			return
		}
		a.mu.Lock()
		for q := range a.known {
			a.start(q)
		}
		a.mu.Unlock()
	}
}

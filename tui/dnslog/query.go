// Package dnslog keeps the last questions that cluster DNS has answered, and what they add up to.
//
// A Ring holds a bounded number of them in little memory: texts repeat, so each is held once, however many questions
// have it. Figures (rates, shares, who asks, what fails) are those of the last minutes and are kept up to date question
// by question. Nothing here knows terminals, but all text has been made harmless for them.
//
// Start reading at Ring; query.go says what is kept of a question.
package dnslog

import (
	"fmt"
	"slices"
	"strings"
	"time"
	"unique"

	"bonsai/bootstrap/cluster"
	"bonsai/tui/paint"
)

// Text is a string that is held once.
type Text = unique.Handle[string]

// Verdict is how a question ended.
type Verdict uint8

// The verdicts.
const (
	Found   Verdict = iota
	NoData          // the name exists, but has no records of that type
	Missing         // no such name
	Broken          // no answer: SERVFAIL, REFUSED and the like
	verdicts
)

// Failed says that the client got nothing and had no reason to expect that.
func (v Verdict) Failed() bool { return v >= Missing }

// Query is one answered question, small enough to keep many. Search paths are folded: a lookup is one Query.
type Query struct {
	// Time is when it was answered there, in nanoseconds since 1970.
	Time int64
	// at is when it was taken in here: clocks may differ.
	at   int64
	Took time.Duration
	// Client is "namespace/pod", "node/NAME", or an address.
	Client Text
	// Asked is what the program asked its resolver for; Name the full name of the last question, without its last dot.
	Asked, Name Text
	Type        Text
	Rcode       Text
	// Result is the answer in a few words.
	Result Text
	// Answers are all that is known about the answer.
	Answers  Text
	Node     Text
	Source   Text // a cluster.DNSSource
	Upstream Text
	// tries are what was appended to Asked before Name was asked, separated by spaces; "." is nothing.
	tries   Text
	Steps   uint8 // questions that it took
	Verdict Verdict
	TCP     bool
}

// Make reads a question as the cluster sends it. at is now.
func Make(q cluster.DNSQuery, at time.Time) Query {
	text := func(s string) Text { return unique.Make(paint.Clean(s)) }
	name := strings.TrimSuffix(q.Name, ".")
	if name == "" {
		name = "."
	}
	client := q.Pod
	if client == "" && q.Client.IsValid() {
		client = q.Client.String()
	}
	asked := askedFor(name, q.Tries)
	r := Query{
		Time: q.Time.UnixNano(), at: at.UnixNano(), Took: q.Took, Client: text(client), Asked: text(asked), Name: text(name), Type: text(q.Type), Rcode: text(q.Rcode),
		Answers: text(strings.Join(q.Answers, " ")), Node: text(q.Node), Source: text(string(q.Source)), Upstream: text(q.Upstream),
		Steps: uint8(min(255, len(q.Tries)+1)), TCP: q.Proto == "tcp",
	}
	rests := make([]string, 0, len(q.Tries))
	for _, t := range q.Tries {
		rest := strings.TrimPrefix(strings.TrimPrefix(strings.TrimSuffix(t, "."), asked), ".")
		if rest == "" {
			rest = "."
		}
		rests = append(rests, rest)
	}
	r.tries = text(strings.Join(rests, " "))
	switch {
	case q.Rcode == "NXDOMAIN":
		r.Verdict, r.Result = Missing, r.Rcode
	case q.Rcode != "NOERROR":
		r.Verdict, r.Result = Broken, r.Rcode
	case q.Count == 0:
		r.Verdict, r.Result = NoData, text("no "+q.Type)
	case len(q.Answers) == 0:
		r.Result = text(fmt.Sprintf("%d records", q.Count))
	default:
		// The address at the end of a chain of aliases is what the program uses.
		result := q.Answers[len(q.Answers)-1]
		if more := q.Count - 1; more > 0 {
			result += fmt.Sprintf(" +%d", more)
		}
		r.Result = text(result)
	}
	return r
}

// askedFor is the name that a search began with: what its names have in common.
func askedFor(name string, tries []string) string {
	if len(tries) == 0 {
		return name
	}
	common := strings.Split(name, ".")
	for _, t := range tries {
		labels := strings.Split(strings.TrimSuffix(t, "."), ".")
		n := 0
		for n < len(common) && n < len(labels) && strings.EqualFold(common[n], labels[n]) {
			n++
		}
		common = common[:n]
	}
	if len(common) == 0 {
		return name
	}
	return strings.Join(common, ".")
}

// Tries are what the search path appended to Asked before Name was asked, in order; "" is nothing. All of them failed.
func (q *Query) Tries() []string {
	text := q.tries.Value()
	if text == "" {
		return nil
	}
	list := strings.Split(text, " ")
	for i := range list {
		if list[i] == "." {
			list[i] = ""
		}
	}
	return list
}

// Rest is what Name has behind Asked; "" is nothing.
func (q *Query) Rest() string {
	return strings.TrimPrefix(strings.TrimPrefix(q.Name.Value(), q.Asked.Value()), ".")
}

// Outside says that the name was answered from outside the cluster.
func (q *Query) Outside() bool {
	return slices.Contains([]string{string(cluster.DNSFromForward), string(cluster.DNSFromCache), string(cluster.DNSFromStale)}, q.Source.Value())
}

// Wasteful says that a name of the world was found only after the cluster's search path was asked for it: a few
// questions for nothing, each time.
func (q *Query) Wasteful() bool { return q.Verdict == Found && q.Steps >= 3 && q.Outside() }

// Namespace is that of the asking pod, "" for others.
func (q *Query) Namespace() string {
	ns, _, ok := strings.Cut(q.Client.Value(), "/")
	if !ok || ns == "node" {
		return ""
	}
	return ns
}

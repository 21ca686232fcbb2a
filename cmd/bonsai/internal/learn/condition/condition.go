// Package condition decides whether a cluster is as a lesson wants it. A condition is one line of text:
//
//	pod/hello exists                                  one object: exists or absent
//	deployment/web ready                              it does what its kind is for
//	deployment/web .spec.replicas >= 3                a field: = != < <= > >= has, exists, absent
//	pod/hello .spec.containers[*].image = x           [*] is any entry, [2] the third, [name=web] the one with that field
//	node/a is Ready                                   a condition of its status is True
//	pod/hello label app = web                         also: annotation, image
//	pod/hello waiting ImagePullBackOff                a container, also an init container; also: terminated REASON or CODE, restarts >= 2
//	service/web endpoints >= 2                        pods behind a Service that are ready
//	pod/hello event FailedScheduling                  an Event about it
//	pods[app=web] count = 3                           objects with labels; also: where TEST count >= 1, any TEST, all TEST, none TEST
//	dns web answers                                   what a pod of the namespace gets from cluster DNS; also: dns web fails
//	http web:80/healthz has "ok"                      an answer of a Service; also: status = 200, answers, fails
//	reach client web:80                               a connection from the network of a pod; also: reach deploy/client web:80
//
// "pod/x in kube-system" is about another namespace. Tests are combined with not, and, or, in this order of precedence.
//
// The package reads no cluster: Eval gets a View. Begin reading at Parse.
package condition

import (
	"context"
	"slices"
	"time"
)

// Object is an object of the API, as JSON has it.
type Object = map[string]any

// View is a cluster at one moment.
type View interface {
	// Objects are all of a kind in a namespace, which is "" for kinds that are in none, each time in another order. They must not be
	// changed.
	Objects(k Kind, namespace string) []Object
	// Ask finds out what no object says. The answer may be a few hundred milliseconds old.
	Ask(ctx context.Context, q Question) Answer
	// Now is the time of the view.
	Now() time.Time
}

// Topic is what a Question is about.
type Topic string

// The topics.
const (
	DNS   Topic = "dns"   // Of is a name, asked by a pod of the namespace
	HTTP  Topic = "http"  // Of is SERVICE:PORT/PATH
	Reach Topic = "reach" // Of is FROM and TO:PORT with a space between
)

// Question is one that only a running cluster can answer.
type Question struct {
	Topic     Topic
	Namespace string
	Of        string
}

// Answer is what was seen. With OK false Seen says why: NXDOMAIN, refused, a timeout.
type Answer struct {
	OK bool
	// Unasked says that the question could not be asked, as with a pod that does not run: so it is not an answer of any kind.
	Unasked bool
	Code    int    // of HTTP
	Body    string // of HTTP, its beginning
	Seen    string
}

// Need is what has to be known for a condition.
type Need struct {
	Kind      Kind
	Namespace string
}

// Result is what became of a condition. Seen is the value that was found, if one word says it.
type Result struct {
	OK   bool
	Seen string
	// Unknown says that a question has no answer yet, or cannot be asked: neither the condition nor its opposite holds.
	Unknown bool
}

// Condition is a parsed condition. The zero value is not valid.
type Condition struct {
	text string
	root test
}

// String is the text that was parsed.
func (c Condition) String() string { return c.text }

// Eval decides. namespace is that of the lesson.
func (c Condition) Eval(ctx context.Context, v View, namespace string) Result {
	return c.root.eval(world{ctx, v, namespace})
}

// Needs are the objects that Eval looks at.
func (c Condition) Needs(namespace string) []Need {
	var needs []Need
	c.root.walk(func(t test) {
		for _, n := range t.needs(namespace) {
			if !slices.Contains(needs, n) {
				needs = append(needs, n)
			}
		}
	})
	return needs
}

// Asks says that Eval asks questions, whose answers change without an object that does.
func (c Condition) Asks() bool {
	asks := false
	c.root.walk(func(t test) {
		_, is := t.(question)
		asks = asks || is
	})
	return asks
}

// world is what a test is about.
type world struct {
	ctx       context.Context //nolint:containedctx // lives as long as one Eval
	view      View
	namespace string
}

// test is one node of a condition.
type test interface {
	eval(w world) Result
	needs(namespace string) []Need
	walk(f func(test))
}

type not struct{ of test }

func (t not) eval(w world) Result {
	r := t.of.eval(w)
	r.OK = !r.OK && !r.Unknown
	return r
}
func (t not) needs(string) []Need { return nil }
func (t not) walk(f func(test))   { f(t); t.of.walk(f) }

// all and either stop at the test that decides.
type all []test

func (t all) eval(w world) (r Result) {
	for _, one := range t {
		if r = one.eval(w); !r.OK {
			return r
		}
	}
	return r
}
func (t all) needs(string) []Need { return nil }
func (t all) walk(f func(test)) {
	f(t)
	for _, one := range t {
		one.walk(f)
	}
}

type either []test

func (t either) eval(w world) (r Result) {
	for _, one := range t {
		if r = one.eval(w); r.OK {
			return r
		}
	}
	return r
}
func (t either) needs(string) []Need { return nil }
func (t either) walk(f func(test)) {
	f(t)
	for _, one := range t {
		one.walk(f)
	}
}

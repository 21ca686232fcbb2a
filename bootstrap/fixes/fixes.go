// Package fixes says what a program can do about a problem on its own, and judges whether it has helped. Terminal UI and dashboard
// offer the same.
//
// A fix is a command that the diagnosis has advised: one of bonsai that is certain to be right, or one of those of kubectl that ask or
// show before they change one object. The package is pure; the program asks, shows the difference, and does it.
package fixes

import (
	"cmp"
	"slices"
	"strconv"
	"strings"
	"time"

	"bonsai/bootstrap/cluster"
	"bonsai/bootstrap/kube"
)

const (
	// Limit is how long a fix has to help: a rollout takes a while.
	Limit = 90 * time.Second
	// GoneFor is how long a problem has to be away: a pod that is replaced takes its problem with it for a moment.
	GoneFor = 5 * time.Second
)

// Fix is what can be done about a problem.
type Fix struct {
	// Command is what was advised. If it is one of bonsai, it is all of the fix.
	Command cluster.Command
	// Action is what a command of kubectl is. Of a scale the user says to how many replicas.
	Action kube.Action
	// Edit says that the user has to change the object in Action.Ref.
	Edit bool
}

// Bonsai says that the fix is a command of bonsai.
func (f Fix) Bonsai() bool { return f.Command.Tool == cluster.ToolBonsai }

// Of returns what can be done about a problem; false if nothing is known to help. Commands of bonsai have to be marked as a cure:
// others help once the user has done something else. typeOf knows a type by its name for kubectl, "deployment".
func Of(p *cluster.Problem, typeOf func(kind string) (kube.ResourceType, bool)) (Fix, bool) {
	if c, ok := p.Cure(); ok && c.Tool == cluster.ToolBonsai {
		return Fix{Command: c}, true
	}
	for _, a := range p.Advice {
		for _, c := range a.Commands {
			if c.Tool != cluster.ToolKubectl || !c.Changes || len(c.Gaps) > 0 {
				continue
			}
			if f, ok := kubectl(c, typeOf); ok {
				return f, true
			}
		}
	}
	return Fix{}, false
}

// kubectl is what some verbs of kubectl are.
func kubectl(c cluster.Command, typeOf func(kind string) (kube.ResourceType, bool)) (Fix, bool) {
	if len(c.Operands) == 0 || len(c.Verb) == 0 {
		return Fix{}, false
	}
	verb, kind := strings.Join(c.Verb[:len(c.Verb)-1], " "), c.Verb[len(c.Verb)-1]
	name := c.Operands[0]
	if of, rest, ok := strings.Cut(name, "/"); ok { // "rollout undo deployment/web"
		verb, kind, name = strings.Join(c.Verb, " "), of, rest
	}
	if verb == "" && kind == "uncordon" {
		verb, kind = kind, "node"
	}
	t, ok := typeOf(kind)
	if !ok || len(c.Operands) != 1 && verb != "set selector" {
		return Fix{}, false
	}
	f := Fix{Command: c, Action: kube.Action{Ref: kube.Ref{Type: t, Name: name}, Grace: -1}}
	if t.Namespaced {
		f.Action.Ref.Namespace = cmp.Or(c.Namespace, "default")
	}
	switch verb {
	case "uncordon":
		f.Action.Verb = kube.VerbUncordon
	case "rollout restart":
		f.Action.Verb = kube.VerbRestart
	case "rollout undo":
		f.Action.Verb, f.Action.Revision = kube.VerbRollback, revisionIn(c.Options)
	case "set selector":
		f.Action.Verb, f.Action.Selector = kube.VerbSetSelector, selectorIn(c.Operands[1:])
		return f, f.Action.Selector != nil
	case "scale":
		f.Action.Verb = kube.VerbScale
	case "edit":
		f.Edit = true
	case "delete":
		f.Action.Verb = kube.VerbDelete
	default:
		return Fix{}, false
	}
	return f, true
}

// revisionIn is that of "--to-revision"; 0 if there is none.
func revisionIn(options []string) int64 {
	at := slices.Index(options, "--to-revision")
	if at < 0 || at+1 >= len(options) {
		return 0
	}
	n, _ := strconv.ParseInt(options[at+1], 10, 64) // 0 is the one before
	return n
}

// selectorIn reads labels: "app=web,tier=front"; nil if that is not what it is.
func selectorIn(operands []string) map[string]string {
	if len(operands) != 1 {
		return nil
	}
	selector := map[string]string{}
	for part := range strings.SplitSeq(operands[0], ",") {
		k, v, ok := strings.Cut(part, "=")
		if !ok {
			return nil
		}
		selector[k] = v
	}
	return selector
}

// Key identifies a problem as long as it is the same one.
func Key(p *cluster.Problem) string {
	key := p.Kind + " " + p.Object + " " + p.Container
	if p.Kind == cluster.ProblemName || p.Kind == cluster.ProblemTarget {
		key += " " + p.Summary // one program may ask for several names that do not exist, a Service have several ports
	}
	return key
}

// Verdict is what is known about a fix.
type Verdict string

// The verdicts; all but Watching are final.
const (
	Watching Verdict = "watching"
	Helped   Verdict = "helped"   // the problem is gone
	Replaced Verdict = "replaced" // it is gone, but the object has another one
	Failed   Verdict = "failed"   // it is still there
)

// Watch judges one fix.
type Watch struct {
	Key, Object string
	Began       time.Time
	missed      time.Time // since when the problem is away; zero while it is there
}

// NewWatch begins to judge a fix of a problem.
func NewWatch(p *cluster.Problem, now time.Time) *Watch {
	return &Watch{Key: Key(p), Object: p.Object, Began: now}
}

// See looks at the problems of now, of a cluster that reports. The returned problem is why a fix has not helped. Something has to
// look again after GoneFor and after Limit, whether or not anything has changed.
func (w *Watch) See(problems []cluster.Problem, now time.Time) (Verdict, *cluster.Problem) {
	i := slices.IndexFunc(problems, func(p cluster.Problem) bool { return Key(&p) == w.Key })
	switch {
	case i >= 0 && now.Sub(w.Began) >= Limit:
		return Failed, &problems[i]
	case i >= 0:
		w.missed = time.Time{}
		return Watching, nil
	case w.missed.IsZero():
		w.missed = now
		return Watching, nil
	case now.Sub(w.missed) < GoneFor:
		return Watching, nil
	}
	other := slices.IndexFunc(problems, func(p cluster.Problem) bool { return p.Object == w.Object && p.Severity != cluster.SeverityInfo })
	if other >= 0 {
		return Replaced, &problems[other]
	}
	return Helped, nil
}

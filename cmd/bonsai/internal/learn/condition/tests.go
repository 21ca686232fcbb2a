package condition

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// absent is what is seen of an object or field that does not exist.
const absent = "absent"

// place is where objects are.
type place struct {
	kind      Kind
	namespace string // "" is the lesson's
}

func (p place) in(lesson string) string {
	if p.kind.Cluster {
		return ""
	}
	return cmp.Or(p.namespace, lesson)
}

func (p place) objects(w world) []Object { return w.view.Objects(p.kind, p.in(w.namespace)) }

// one is a test of one object.
type one struct {
	place
	name string
	is   predicate
}

func (t one) eval(w world) Result {
	objects := t.objects(w) // once: each call may have another order
	i := slices.IndexFunc(objects, func(o Object) bool { return text(get(o, "metadata", "name")) == t.name })
	if i < 0 {
		_, gone := t.is.(isAbsent)
		return Result{OK: gone, Seen: absent}
	}
	return t.is.of(subject{w, t.place, objects[i]})
}
func (t one) needs(lesson string) []Need { return t.is.needs(t.place, lesson) }
func (t one) walk(f func(test))          { f(t) }

// many is a test of several objects.
type many struct {
	place
	selector []requirement
	where    predicate // nil is all
	// how is count, any, all or none.
	how   string
	count comparison
}

// requirement is a label that objects have to have, or must not have.
type requirement struct {
	key, value string
	not        bool
}

func (r requirement) met(o Object) bool {
	labels, _ := get(o, "metadata", "labels").(map[string]any)
	value, ok := labels[r.key]
	return (ok && (r.value == "" || text(value) == r.value)) != r.not
}

func (t many) eval(w world) Result {
	selected, fit := 0, 0
	for _, o := range t.objects(w) {
		if slices.ContainsFunc(t.selector, func(r requirement) bool { return !r.met(o) }) {
			continue
		}
		selected++
		if t.where == nil || t.where.of(subject{w, t.place, o}).OK {
			fit++
		}
	}
	seen := fmt.Sprint(fit)
	switch t.how {
	case "count":
		return Result{OK: compare(fit, t.count.op, t.count.want), Seen: seen}
	case "any":
		return Result{OK: fit > 0, Seen: seen}
	case "none":
		return Result{OK: fit == 0, Seen: seen}
	default: // all
		return Result{OK: selected > 0 && fit == selected, Seen: fmt.Sprintf("%d/%d", fit, selected)}
	}
}
func (t many) needs(lesson string) []Need {
	if t.where == nil {
		return []Need{{t.kind, t.in(lesson)}}
	}
	return t.where.needs(t.place, lesson)
}
func (t many) walk(f func(test)) { f(t) }

// question is a test that no object answers.
type question struct {
	topic Topic
	of    string
	// how is answers, fails, status or has; the last two compare.
	how  string
	with comparison
}

func (t question) eval(w world) Result {
	a := w.view.Ask(w.ctx, Question{t.topic, w.namespace, t.of})
	if a == (Answer{}) || a.Unasked {
		return Result{Unknown: true, Seen: a.Seen}
	}
	switch t.how {
	case "answers":
		return Result{OK: a.OK, Seen: a.Seen}
	case "fails":
		return Result{OK: !a.OK, Seen: a.Seen}
	case "status":
		return Result{OK: a.Code != 0 && compare(a.Code, t.with.op, t.with.want), Seen: a.Seen}
	default: // has
		r := Result{OK: a.OK && strings.Contains(a.Body, t.with.want), Seen: a.Seen}
		if first, _, _ := strings.Cut(strings.TrimSpace(a.Body), "\n"); a.OK && !r.OK && first != "" {
			r.Seen += ": " + first // an answer, but another one
		}
		return r
	}
}
func (t question) needs(string) []Need { return nil }
func (t question) walk(f func(test))   { f(t) }

// subject is an object that a predicate is about.
type subject struct {
	world
	place
	object Object
}

// predicate is a statement about one object.
type predicate interface {
	of(s subject) Result
	needs(p place, lesson string) []Need
}

// itself are the needs of predicates that look at nothing but their object.
type itself struct{}

func (itself) needs(p place, lesson string) []Need { return []Need{{p.kind, p.in(lesson)}} }

type isExists struct{ itself }

func (isExists) of(subject) Result { return Result{OK: true} }

type isAbsent struct{ itself }

func (isAbsent) of(s subject) Result {
	if get(s.object, "metadata", "deletionTimestamp") != nil {
		return Result{Seen: "being deleted"}
	}
	return Result{Seen: "exists"}
}

// field compares what a path leads to.
type field struct {
	itself
	path path
	with comparison // or op is exists or absent
}

func (t field) of(s subject) Result {
	values := t.path.values(s.object)
	seen := absent
	if len(values) > 0 {
		seen = text(values[0])
	}
	switch t.with.op {
	case "exists":
		return Result{OK: len(values) > 0, Seen: seen}
	case absent:
		return Result{OK: len(values) == 0, Seen: seen}
	}
	return Result{OK: t.with.any(values), Seen: seen}
}

// image compares the images of containers; "bonsai/hello" is also docker.io/bonsai/hello:latest.
type image struct {
	itself
	with comparison
}

func (t image) of(s subject) Result {
	var images []any
	for _, spec := range []any{get(s.object, "spec"), get(s.object, "spec", "template", "spec"), get(s.object, "spec", "jobTemplate", "spec", "template", "spec")} {
		for _, c := range list(spec, "containers") {
			images = append(images, plainImage(text(get(c, "image"))))
		}
	}
	if len(images) == 0 {
		return Result{Seen: absent}
	}
	with := comparison{t.with.op, plainImage(t.with.want)}
	return Result{OK: with.any(images), Seen: text(images[0])}
}

func plainImage(name string) string {
	return strings.TrimSuffix(strings.TrimPrefix(name, "docker.io/"), ":latest")
}

// isTrue is a condition in the status.
type isTrue struct {
	itself
	condition string
}

func (t isTrue) of(s subject) Result {
	for _, c := range list(s.object, "status", "conditions") {
		if text(get(c, "type")) == t.condition {
			status := text(get(c, "status"))
			return Result{OK: status == "True", Seen: status}
		}
	}
	return Result{Seen: absent}
}

// container is about the states of containers, how being waiting, terminated or restarts.
type container struct {
	itself
	how  string
	want string
	with comparison
}

func (t container) of(s subject) Result {
	r := Result{Seen: absent}
	for _, status := range slices.Concat(list(s.object, "status", "initContainerStatuses"), list(s.object, "status", "containerStatuses")) {
		switch t.how {
		case "waiting":
			reason := text(get(status, "state", "waiting", "reason"))
			r.OK, r.Seen = reason == t.want || pulls[reason] && pulls[t.want], reason
		case "restarts":
			n := text(get(status, "restartCount"))
			r.OK, r.Seen = compare(n, t.with.op, t.with.want), n
		default: // terminated, now or before the last restart
			for _, state := range []string{"state", "lastState"} {
				reason, code := text(get(status, state, "terminated", "reason")), text(get(status, state, "terminated", "exitCode"))
				if reason != "" {
					r.Seen = reason
				}
				r.OK = r.OK || reason == t.want || code == t.want && code != ""
			}
		}
		if r.OK {
			return r
		}
	}
	return r
}

// pulls are the two reasons between which a container goes to and fro while its image cannot be had.
var pulls = map[string]bool{"ErrImagePull": true, "ImagePullBackOff": true}

// endpoints compares the number of ready addresses behind a Service.
type endpoints struct{ with comparison }

func (t endpoints) of(s subject) Result {
	n := ready(s)
	return Result{OK: compare(n, t.with.op, t.with.want), Seen: fmt.Sprint(n)}
}
func (endpoints) needs(p place, lesson string) []Need {
	return []Need{{p.kind, p.in(lesson)}, {endpointSlices, p.in(lesson)}}
}

// ready counts the addresses of a Service at which connections arrive.
func ready(s subject) int {
	n := 0
	for _, slice := range s.view.Objects(endpointSlices, s.in(s.world.namespace)) {
		labels, _ := get(slice, "metadata", "labels").(map[string]any)
		if text(labels["kubernetes.io/service-name"]) != text(get(s.object, "metadata", "name")) || len(list(slice, "ports")) == 0 {
			continue
		}
		for _, e := range list(slice, "endpoints") {
			if get(e, "conditions", "ready") != false {
				n += len(list(e, "addresses"))
			}
		}
	}
	return n
}

// event is that the API has an Event with a reason about the object.
type event struct{ reason string }

func (t event) of(s subject) Result {
	for _, e := range s.view.Objects(events, s.in(s.world.namespace)) {
		about := get(e, "involvedObject")
		if text(get(e, "reason")) == t.reason && text(get(about, "kind")) == s.kind.Name && text(get(about, "name")) == text(get(s.object, "metadata", "name")) {
			return Result{OK: true, Seen: t.reason}
		}
	}
	return Result{Seen: absent}
}
func (event) needs(p place, lesson string) []Need {
	return []Need{{p.kind, p.in(lesson)}, {events, p.in(lesson)}}
}

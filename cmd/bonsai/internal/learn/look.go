package learn

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"bonsai/bootstrap/fault"
	"bonsai/bootstrap/wait"
	"bonsai/cmd/bonsai/internal/learn/condition"
)

// World is a cluster in which lessons take place.
type World interface {
	// Apply makes the namespace and the objects, and changes those that exist; what is in no namespace belongs to owner until
	// Remove. nil objects make the namespace only.
	Apply(ctx context.Context, namespace, owner string, objects []condition.Object) error
	// Remove takes away the namespace and what Apply made in no namespace, and returns when it is gone.
	Remove(ctx context.Context, namespace, owner string) error
	// Exists reports whether the namespace exists.
	Exists(ctx context.Context, namespace string) (bool, error)
	// Read gets the objects that are needed once.
	Read(ctx context.Context, needs []condition.Need) (condition.View, error)
	// Follow calls f at once, and again soon after each change of these objects, until f returns an error or ctx ends. With asks it
	// also calls it several times per second, for what changes without an object that does.
	Follow(ctx context.Context, needs []condition.Need, asks bool, f func(condition.View) error) error
}

// Verdict is how far a step is.
type Verdict struct {
	Checks []Checked `json:"checks"`
	// Mistakes are the indices of those that were made.
	Mistakes []int `json:"-"`
	Green    bool  `json:"done"`
}

// Checked is what became of a check.
type Checked struct {
	Text string `json:"text"`
	OK   bool   `json:"ok"`
	// Seen is what was found instead, if a word says it.
	Seen string `json:"seen,omitempty"`
}

// Needs are the objects that a step looks at, and whether it asks questions.
func (s Step) Needs(namespace string) (needs []condition.Need, asks bool) {
	for c := range s.conditions() {
		asks = asks || c.Asks()
		for _, n := range c.Needs(namespace) {
			if !slices.Contains(needs, n) {
				needs = append(needs, n)
			}
		}
	}
	return needs, asks
}

// conditions are all of a step.
func (s Step) conditions() func(func(condition.Condition) bool) {
	return func(yield func(condition.Condition) bool) {
		for _, c := range s.Checks {
			if !yield(c.Condition) {
				return
			}
		}
		for _, m := range s.Mistakes {
			for _, c := range m.When {
				if !yield(c) {
					return
				}
			}
		}
	}
}

// Look judges a step. Mistakes are looked for only while it is not done.
func (s Step) Look(ctx context.Context, view condition.View, namespace string) Verdict {
	v := Verdict{Green: true}
	for _, c := range s.Checks {
		r := c.Condition.Eval(ctx, view, namespace)
		checked := Checked{Text: c.Text, OK: r.OK}
		if !r.OK {
			checked.Seen, v.Green = shorten(r.Seen), false
		}
		v.Checks = append(v.Checks, checked)
	}
	if v.Green {
		return v
	}
	for i, m := range s.Mistakes {
		if !slices.ContainsFunc(m.When, func(c condition.Condition) bool { return !c.Eval(ctx, view, namespace).OK }) {
			v.Mistakes = append(v.Mistakes, i)
		}
	}
	return v
}

// shorten keeps what was seen within a line.
func shorten(s string) string {
	if r := []rune(s); len(r) > 60 {
		return string(r[:59]) + "…"
	}
	return s
}

// Check looks at a step once.
func (s Step) Check(ctx context.Context, w World, namespace string) (Verdict, error) {
	needs, _ := s.Needs(namespace)
	view, err := w.Read(ctx, needs)
	if err != nil {
		return Verdict{}, err
	}
	return s.Look(ctx, view, namespace), nil
}

// Prepare makes what a lesson starts with. Each part of the setup but the last one has to work within the limit before the next one
// is made: so a lesson can begin with something that has changed.
func (l Lesson) Prepare(ctx context.Context, w World, namespace string, scale wait.Scale) error {
	if err := w.Apply(ctx, namespace, l.Name, nil); err != nil {
		return err
	}
	for i, m := range l.Setup {
		objects, err := Documents(m.YAML)
		if err != nil {
			return fault.New(fault.Internal, fmt.Sprintf("read line %d of lesson %s", m.Line, l.Name), err)
		}
		if err := w.Apply(ctx, namespace, l.Name, objects); err != nil {
			return err
		}
		if i == len(l.Setup)-1 {
			return nil
		}
		if err := works(ctx, w, namespace, objects, scale.Of(partLimit)); err != nil {
			return err
		}
	}
	return nil
}

// partLimit is how long a part of a setup may take until it works. A DaemonSet of images that are new to a node is the longest.
const partLimit = time.Minute

// works waits until workloads do what they are for.
func works(ctx context.Context, w World, namespace string, objects []condition.Object, limit time.Duration) error {
	ctx, cancel := context.WithTimeoutCause(ctx, limit, fault.New(fault.Timeout, "", &wait.Timeout{After: limit, For: "the beginning of the lesson to work"}))
	defer cancel()
	var needs []condition.Need
	var all []condition.Condition
	for _, o := range objects {
		version, _ := o["apiVersion"].(string)
		kind, _ := o["kind"].(string)
		metadata, _ := o["metadata"].(map[string]any)
		if !slices.Contains([]string{"Pod", "Deployment", "StatefulSet", "DaemonSet", "Job"}, kind) {
			continue
		}
		if _, ok := condition.KindOf(version, kind); !ok {
			continue
		}
		c, err := condition.Parse(fmt.Sprintf("%s/%v ready", kind, metadata["name"]))
		if err != nil {
			return fault.New(fault.Internal, "wait for "+kind, err)
		}
		all, needs = append(all, c), append(needs, c.Needs(namespace)...)
	}
	if len(all) == 0 {
		return nil
	}
	err := w.Follow(ctx, needs, false, func(v condition.View) error {
		if slices.ContainsFunc(all, func(c condition.Condition) bool { return !c.Eval(ctx, v, namespace).OK }) {
			return nil
		}
		return ErrEnough
	})
	if errors.Is(err, ErrEnough) {
		return nil
	}
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return err
}

// ErrEnough ends Follow.
var ErrEnough = errors.New("enough was seen")

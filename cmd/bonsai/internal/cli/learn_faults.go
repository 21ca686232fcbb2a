package cli

import (
	"context"
	"math/rand/v2"
	"time"

	"bonsai/bootstrap/fault"
	"bonsai/cmd/bonsai/internal/learn"
)

// nextFault begins the next fault: of the exam, or the first one that was never fixed.
func (c *class) nextFault(ctx context.Context) error {
	if e := c.progress.Exam; e.Running(now()) {
		return c.nextOfExam(ctx, e)
	}
	at := c.progress.Current[c.profile].Fault
	for _, l := range c.school.All(true, c.o.lang) {
		if l.Name != at && !c.progress.Lessons[l.Name].Done() && c.need(l) == nil {
			return c.start(ctx, l)
		}
	}
	return c.printAllFixed()
}

// nextOfExam records what became of the current fault and begins the next one, or shows the result.
func (c *class) nextOfExam(ctx context.Context, e *learn.Exam) error {
	name := e.Faults[e.At]
	points := 0
	if r := c.progress.Lessons[name]; r.Active(c.profile) && !r.Finished.IsZero() {
		points = learn.Points(r.AllHints, r.Finished.Sub(r.Started))
	}
	e.Next(points)
	if err := c.world.Remove(ctx, learn.NamespaceOf(name), name); err != nil {
		return err
	}
	if err := c.save(); err != nil || !e.Running(now()) {
		if err == nil {
			err = c.printExam(e)
		}
		return err
	}
	return c.startOfExam(ctx, e)
}

func (c *class) startOfExam(ctx context.Context, e *learn.Exam) error {
	l, ok := c.school.Find(e.Faults[e.At], c.o.lang)
	if !ok {
		return fault.Newf(fault.Usage, "fault %q of the exam is not among these", e.Faults[e.At]).Advise("end it", c.verb("exam").With("--end"))
	}
	c.wait(c.words.preparing)
	r, err := c.begin(ctx, l)
	if err != nil {
		return err
	}
	if !c.json() {
		c.printExamHead(e)
	}
	return c.show(r, true)
}

// learnExam begins an exam, shows the one that runs, or ends it.
func (a *app) learnExam(ctx context.Context, o learnOptions) error {
	c, err := a.class(o)
	if err != nil {
		return err
	}
	e := c.progress.Exam
	switch running := e.Running(now()); {
	case !running && o.end:
		return fault.Newf(fault.Usage, "no exam is running").Advise("begin one", c.verb("exam"))
	case !running:
		return c.within(ctx, func() error { return c.beginExam(ctx) })
	case e.Cluster != c.profile:
		return fault.Newf(fault.Usage, "an exam is running in cluster %q", e.Cluster).Advise("see it", c.verb("exam").Of(e.Cluster))
	case !o.end:
		return c.printExam(e)
	}
	return c.within(ctx, func() error { return c.endExam(ctx, e) })
}

// endExam ends an exam before its time is over, and shows the result.
func (c *class) endExam(ctx context.Context, e *learn.Exam) error {
	e.Limit = now().Sub(e.Started)
	if err := c.world.Remove(ctx, learn.NamespaceOf(e.Faults[e.At]), e.Faults[e.At]); err != nil {
		return err
	}
	if err := c.save(); err != nil {
		return err
	}
	return c.printExam(e)
}

// beginExam draws faults that this cluster can have, and begins the first one.
func (c *class) beginExam(ctx context.Context) error {
	var possible []learn.Lesson
	for _, l := range c.school.All(true, c.o.lang) {
		if c.need(l) == nil {
			possible = append(possible, l)
		}
	}
	if c.o.count < 1 || c.o.count > len(possible) {
		return fault.Newf(fault.Usage, "--count %d is not valid: from 1 to %d are possible in this cluster", c.o.count, len(possible))
	}
	if name := c.progress.Current[c.profile].Fault; name != "" {
		if err := c.world.Remove(ctx, learn.NamespaceOf(name), name); err != nil {
			return err
		}
	}
	seed := c.o.seed
	if seed == 0 {
		seed = uint64(time.Now().UnixNano())
	}
	return c.startOfExam(ctx, c.progress.Draw(possible, c.o.count, c.profile, now(), rand.New(rand.NewPCG(seed, seed))))
}

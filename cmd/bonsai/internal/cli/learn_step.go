package cli

import (
	"context"
	"errors"
	"slices"

	"bonsai/bootstrap/fault"
	"bonsai/cmd/bonsai/internal/learn"
	"bonsai/cmd/bonsai/internal/learn/condition"
)

// learnStart begins a lesson, or goes on with it.
func (a *app) learnStart(ctx context.Context, o learnOptions, name string) error {
	c, err := a.class(o)
	if err != nil {
		return err
	}
	l, err := c.find(name)
	if err != nil {
		return err
	}
	if c.o.faults && c.progress.Exam.Running(now()) {
		return fault.Newf(fault.Usage, "an exam is running").Advise("go on with it", c.verb("next")).Advise("end it", c.verb("exam").With("--end"))
	}
	return c.within(ctx, func() error { return c.start(ctx, l) })
}

// start begins a lesson unless it runs, and shows where it is.
func (c *class) start(ctx context.Context, l learn.Lesson) error {
	r, err := c.in(l)
	if err != nil {
		return err
	}
	going := false
	if r.record.Active(c.profile) && r.record.Finished.IsZero() {
		if going, err = c.world.Exists(ctx, r.namespace); err != nil {
			return err
		}
	}
	if err := c.tidy(ctx, l); err != nil {
		return err
	}
	if going {
		c.progress.Turn(l, c.profile)
	} else {
		c.wait(c.words.preparing)
		if r, err = c.begin(ctx, l); err != nil {
			return err
		}
	}
	if err := c.show(r, !going || r.record.Step == 0); err != nil {
		return err
	}
	if c.o.follow {
		return c.followSteps(ctx, r)
	}
	return nil
}

// show shows the current step, and records that.
func (c *class) show(r room, intro bool) error {
	r.record.Shown = r.record.Step + 1
	if err := c.save(); err != nil {
		return err
	}
	return c.printStep(r, intro)
}

// inCluster is what a verb does in the cluster.
func (a *app) inCluster(ctx context.Context, o learnOptions, do func(*class) error) error {
	c, err := a.class(o)
	if err != nil {
		return err
	}
	return c.within(ctx, func() error { return do(c) })
}

// within does something while it is connected to the cluster.
func (c *class) within(ctx context.Context, do func() error) error {
	leave, err := c.enter(ctx)
	if err != nil {
		return err
	}
	defer leave()
	return do()
}

// atStep is what a verb does with the current step. After the last one it says that all are done.
func (a *app) atStep(ctx context.Context, o learnOptions, do func(*class, room) error) error {
	return a.inCluster(ctx, o, func(c *class) error {
		r, err := c.current(ctx)
		if err != nil {
			return err
		}
		if r.record.Step >= len(r.Steps) {
			return c.printOver(r)
		}
		return do(c, r)
	})
}

// learnCheck says whether the current step is done.
func (a *app) learnCheck(ctx context.Context, o learnOptions) error {
	return a.atStep(ctx, o, func(c *class, r room) error {
		if c.o.follow {
			return c.followSteps(ctx, r)
		}
		c.diagnose(ctx, r)
		at := r.record.Step
		v, err := r.Steps[at].Check(ctx, c.world, r.namespace)
		if err != nil {
			return err
		}
		if err := c.judged(r, v); err != nil {
			return err
		}
		if err := c.printVerdict(r, at, v); err != nil {
			return err
		}
		return c.notDone(r, v)
	})
}

// judged records a verdict.
func (c *class) judged(r room, v learn.Verdict) error {
	if r.Fault {
		r.record.Looks++
	}
	if v.Green {
		r.record.Advance(r.Lesson, now())
	}
	return c.save()
}

// notDone is the error of a step that is not done.
func (c *class) notDone(r room, v learn.Verdict) error {
	if v.Green {
		return nil
	}
	missing := 0
	for _, one := range v.Checks {
		if !one.OK {
			missing++
		}
	}
	f := fault.Newf(fault.NotDone, "%s: "+c.words.missing, r.Name, missing, len(v.Checks))
	return f.Advise("", c.verb("hint"))
}

// learnNext goes on.
func (a *app) learnNext(ctx context.Context, o learnOptions) error {
	return a.inCluster(ctx, o, func(c *class) error { return c.next(ctx) })
}

func (c *class) next(ctx context.Context) error {
	if c.o.faults {
		return c.nextFault(ctx)
	}
	r, err := c.current(ctx)
	if err != nil {
		return err
	}
	if r.record.Step < len(r.Steps) && r.record.Step < r.record.Shown {
		step := r.record.Step
		v, err := r.Steps[step].Check(ctx, c.world, r.namespace)
		if err != nil {
			return err
		}
		if err := c.judged(r, v); err != nil {
			return err
		}
		if !v.Green {
			if err := c.printVerdict(r, step, v); err != nil {
				return err
			}
			return c.notDone(r, v)
		}
		if !c.json() {
			if err := c.printVerdict(r, step, v); err != nil {
				return err
			}
		}
	}
	if r.record.Step >= len(r.Steps) {
		return c.printOver(r)
	}
	return c.show(r, false)
}

// learnHint gives the next hint of the current step.
func (a *app) learnHint(ctx context.Context, o learnOptions) error {
	return a.atStep(ctx, o, func(c *class, r room) error {
		c.diagnose(ctx, r)
		step := r.Steps[r.record.Step]
		n := min(r.record.Hints, step.HintCount()-1)
		if r.record.Hints < step.HintCount() {
			r.record.Hints++
			r.record.AllHints++
		}
		if err := c.save(); err != nil {
			return err
		}
		return c.printHint(r, step, n)
	})
}

// learnReset takes a lesson away.
func (a *app) learnReset(ctx context.Context, o learnOptions, name string) error {
	c, err := a.class(o)
	if err != nil {
		return err
	}
	if name == "" {
		at := c.progress.Current[c.profile]
		if name = at.Lesson; c.o.faults {
			name = at.Fault
		}
		if name == "" {
			return fault.Newf(fault.Usage, "no %s was begun in cluster %q", c.thing(), c.profile).Advise("choose one", c.verb("list").OfNone())
		}
	}
	l, err := c.find(name)
	if err != nil {
		return err
	}
	return c.within(ctx, func() error {
		if err := c.world.Remove(ctx, learn.NamespaceOf(l.Name), l.Name); err != nil {
			return err
		}
		c.progress.Forget(l)
		if err := c.save(); err != nil {
			return err
		}
		return c.printReset(l)
	})
}

// diagnose keeps what bonsai itself reports about a fault, to show it when it is fixed. It is worth no error: the learner asked for
// something else.
func (c *class) diagnose(ctx context.Context, r room) {
	if !r.Fault {
		return
	}
	s, err := c.session.Engine.Status(ctx, c.profile)
	if err != nil {
		c.log.Debug("no diagnosis", "cause", err)
		return
	}
	r.record.Remember(learn.Diagnosis(s.Problems, r.namespace, r.Alone))
}

// followSteps watches until all steps are done or Ctrl-C.
func (c *class) followSteps(ctx context.Context, r room) error {
	for r.record.Step < len(r.Steps) {
		at := r.record.Step
		step := r.Steps[at]
		needs, asks := step.Needs(r.namespace)
		var last learn.Verdict
		first := true
		err := c.world.Follow(ctx, needs, asks, func(view condition.View) error {
			v := step.Look(ctx, view, r.namespace)
			if !first && same(last, v) {
				return nil
			}
			c.diagnose(ctx, r)
			if err := c.printChange(r, at, last, v, first); err != nil {
				return err
			}
			last, first = v, false
			if v.Green {
				return learn.ErrEnough
			}
			return nil
		})
		switch {
		case errors.Is(err, learn.ErrEnough):
		case ctx.Err() != nil:
			return c.save() // Ctrl-C is how watching ends
		default:
			return c.explain(err)
		}
		if err := c.judged(r, last); err != nil {
			return err
		}
		if err := c.printGreen(r, at); err != nil {
			return err
		}
		if r.record.Step < len(r.Steps) {
			if err := c.show(r, false); err != nil {
				return err
			}
		}
	}
	return c.printOver(r)
}

// same says that two verdicts look alike.
func same(a, b learn.Verdict) bool {
	return slices.Equal(a.Mistakes, b.Mistakes) && slices.EqualFunc(a.Checks, b.Checks, func(x, y learn.Checked) bool { return x.OK == y.OK })
}

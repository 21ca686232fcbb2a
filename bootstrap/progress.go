package bootstrap

import (
	"log/slog"
	"slices"
	"sync"
	"time"

	"bonsai/bootstrap/cluster"
	"bonsai/bootstrap/fault"
)

// recorder turns the steps of one operation into events for its observer, and into the timeline that is saved. It is
// safe for concurrent use.
type recorder struct {
	operation string
	started   time.Time
	out       func(cluster.Event)
	log       *slog.Logger

	mu    sync.Mutex // guards steps and serialises out
	steps []cluster.TimelineStep
}

func newRecorder(operation string, out func(cluster.Event), log *slog.Logger) *recorder {
	if out == nil {
		out = func(cluster.Event) {}
	}
	return &recorder{operation: operation, started: time.Now(), out: out, log: log}
}

// emit passes an event on and records it in the timeline.
func (r *recorder) emit(e cluster.Event) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if e.Time.IsZero() {
		e.Time = time.Now()
	}
	i := slices.IndexFunc(r.steps, func(s cluster.TimelineStep) bool { return s.Step == e.Step })
	switch {
	case e.Kind == cluster.StepStarted && i < 0:
		r.steps = append(r.steps, cluster.TimelineStep{Step: e.Step, Title: e.Title, Begin: e.Time.Sub(r.started)})
	case i >= 0 && (e.Kind == cluster.StepDone || e.Kind == cluster.StepFailed):
		r.steps[i].End = e.Time.Sub(r.started)
		if e.Elapsed == 0 {
			e.Elapsed = r.steps[i].End - r.steps[i].Begin
		}
	}
	if e.Title == "" && i >= 0 {
		e.Title = r.steps[i].Title
	}
	switch e.Kind {
	case cluster.StepStarted, cluster.StepWarning:
		r.log.Debug("step "+string(e.Kind), "step", e.Step, "detail", e.Detail)
	case cluster.StepDone, cluster.StepFailed:
		r.log.Debug("step "+string(e.Kind), "step", e.Step, "took", e.Elapsed.Round(time.Millisecond), "detail", e.Detail)
	}
	r.out(e)
}

// step runs f as one step. f may report what it is waiting for.
func (r *recorder) step(id, title string, f func(waitingFor func(string)) error) error {
	r.emit(cluster.Event{Kind: cluster.StepStarted, Step: id, Title: title})
	err := f(func(detail string) {
		r.emit(cluster.Event{Kind: cluster.StepProgress, Step: id, Detail: detail})
	})
	if err != nil {
		p := fault.Problem(err)
		r.emit(cluster.Event{Kind: cluster.StepFailed, Step: id, Detail: err.Error(), Problem: &p})
		return err
	}
	r.emit(cluster.Event{Kind: cluster.StepDone, Step: id})
	return nil
}

// warn reports something that does not stop the operation.
func (r *recorder) warn(id, text string) {
	p := cluster.Problem{Kind: id, Severity: cluster.SeverityWarning, Summary: text}
	r.emit(cluster.Event{Kind: cluster.StepWarning, Step: id, Detail: text, Problem: &p})
}

// warnOf reports an error that does not stop the operation, and what to do about it beside what the error says.
func (r *recorder) warnOf(id string, err error, advice ...cluster.Advice) {
	p := fault.Problem(err)
	p.Severity, p.Advice = cluster.SeverityWarning, slices.Concat(p.Advice, advice)
	r.emit(cluster.Event{Kind: cluster.StepWarning, Step: id, Detail: err.Error(), Problem: &p})
}

// timeline is the record so far; a step that has not ended ends now.
func (r *recorder) timeline() *cluster.Timeline {
	r.mu.Lock()
	defer r.mu.Unlock()
	total := time.Since(r.started)
	steps := slices.Clone(r.steps)
	for i := range steps {
		if steps[i].End == 0 {
			steps[i].End = total
		}
	}
	return &cluster.Timeline{Operation: r.operation, Started: r.started, Total: total, Steps: steps}
}

package dashboard

import (
	"context"
	"slices"
	"sync"
	"time"

	"bonsai/bootstrap/cluster"
	"bonsai/bootstrap/fault"
)

const (
	// mostTasks is how many tasks are kept, and how many there are at a time.
	mostTasks = 20
	// keptProgress is how many lines of a task are kept.
	keptProgress = 200
)

// The states of tasks.
const (
	taskRuns   = "runs"
	taskDone   = "done"
	taskFailed = "failed"
)

// task goes on for longer than a request: a drain, a fix that is watched. It ends with the server, not with the session.
type task struct {
	id string
	// title is in the language of who began it; back is the page that it is about, undo where it can be taken back.
	title, back, undo string
	began             time.Time

	mu      sync.Mutex // guards the rest
	lines   []string
	state   string
	result  string           // English, for Words
	problem *cluster.Problem // why it failed, or has not helped
	ended   time.Time
	changed chan struct{} // closed and replaced
}

// taskData is what the page task shows.
type taskData struct {
	Title, Back, Undo, State, Result string
	Began, Ended                     time.Time
	Lines                            []string
	Trouble                          *problemView
}

func (d taskData) title() string { return d.Title }

func (t *task) change(f func()) {
	t.mu.Lock()
	defer t.mu.Unlock()
	f()
	close(t.changed)
	t.changed = make(chan struct{})
}

// say adds a line to what is known about the task.
func (t *task) say(line string) {
	t.change(func() {
		t.lines = append(t.lines, line)
		t.lines = t.lines[max(0, len(t.lines)-keptProgress):]
	})
}

// end says how it ended, in English for Words, and why if it did not do what it should.
func (t *task) end(state, result string, problem *cluster.Problem) {
	t.change(func() { t.state, t.result, t.problem, t.ended = state, result, problem, time.Now() })
}

// now is what is known, and a channel that is closed when there is more.
func (t *task) now(q *request) (taskData, <-chan struct{}) {
	t.mu.Lock()
	defer t.mu.Unlock()
	d := taskData{Title: t.title, Back: t.back, Undo: t.undo, State: t.state, Began: t.began, Ended: t.ended, Lines: slices.Clone(t.lines)}
	if t.result != "" {
		d.Result = q.words.T(t.result)
	}
	if t.problem != nil {
		v := showProblem(q.words, q.cluster, *t.problem)
		d.Trouble = &v
	}
	return d, t.changed
}

// tasks are those of a server.
type tasks struct {
	mu  sync.Mutex // guards all
	all []*task    // the oldest first
}

// start begins a task, and returns where it is seen. run calls end.
func (s *Server) start(t *task, run func(ctx context.Context, t *task)) (string, error) {
	t.id, t.state, t.began, t.changed = secret()[:16], taskRuns, time.Now(), make(chan struct{})
	leave, ok := s.enter()
	if !ok {
		return "", fault.Newf(fault.NotRunning, "the cluster is stopping")
	}
	s.tasks.mu.Lock()
	defer s.tasks.mu.Unlock()
	if len(s.tasks.all) >= mostTasks {
		i := slices.IndexFunc(s.tasks.all, func(o *task) bool { o.mu.Lock(); defer o.mu.Unlock(); return o.state != taskRuns })
		if i < 0 {
			leave()
			return "", fault.Newf(fault.Refused, "%d things are being done already", mostTasks).Advise("wait until one of them ends")
		}
		s.tasks.all = slices.Delete(s.tasks.all, i, i+1)
	}
	s.tasks.all = append(s.tasks.all, t)
	go func() {
		defer leave() // Close waits for it
		run(s.ctx, t)
	}()
	return "/task?id=" + t.id, nil
}

func (s *Server) taskOf(q *request) (*task, error) {
	s.tasks.mu.Lock()
	defer s.tasks.mu.Unlock()
	i := slices.IndexFunc(s.tasks.all, func(t *task) bool { return t.id == q.query.Get("id") })
	if i < 0 {
		return nil, fault.Newf(fault.ObjectNotFound, "nothing of this name is being done: it has ended long ago, or the daemon has started again since").
			Advise("the history has what was changed", cluster.Bonsai("history").Of(q.cluster))
	}
	return s.tasks.all[i], nil
}

func (s *Server) loadTask(_ context.Context, q *request) (any, error) {
	t, err := s.taskOf(q)
	if err != nil {
		return nil, err
	}
	d, _ := t.now(q)
	return d, nil
}

func (s *Server) followTask(ctx context.Context, q *request, send func(any) error) error {
	t, err := s.taskOf(q)
	if err != nil {
		return err
	}
	for {
		d, changed := t.now(q)
		if err := send(d); err != nil {
			return err
		}
		if d.State != taskRuns {
			return nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

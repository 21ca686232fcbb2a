package tui

import (
	"context"
	"errors"
	"slices"
	"time"

	"bonsai/tui/feed"
)

// task is work in the background, which the user sees and can end.
type task struct {
	title  string
	detail string
	began  time.Time
	cancel context.CancelCauseFunc
	// changes names the cluster that it changes, whose lock it holds; empty for none. verb is that of the command line.
	changes, verb string
}

var errEnded = errors.New("ended by hand")

// work runs f in a goroutine of its own and then done in the program's. f may report what it is at.
func (u *ui) work(title string, f func(ctx context.Context, report func(string)) error, done func(error)) *task {
	ctx, cancel := context.WithCancelCause(u.hub.Context())
	t := &task{title: title, began: u.clock.now(), cancel: cancel}
	u.tasks = append(u.tasks, t)
	progress := feed.NewBox(u.hub, nil, func(text string) {
		t.detail = text
		u.touch()
	})
	end := feed.NewBox(u.hub, nil, func(err error) {
		cancel(nil)
		u.tasks = slices.DeleteFunc(u.tasks, func(o *task) bool { return o == t })
		done(err)
		u.touch()
	})
	u.hub.Go(func() { end.Put(f(ctx, progress.Put)) })
	return t
}

// fetch is work that is not worth a line: a question that is answered soon.
func fetch[T any](u *ui, f func(ctx context.Context) (T, error), done func(T, error)) {
	type result struct {
		value T
		err   error
	}
	end := feed.NewBox(u.hub, nil, func(r result) {
		done(r.value, r.err)
		u.touch()
	})
	u.hub.Go(func() {
		v, err := f(u.hub.Context())
		end.Put(result{v, err})
	})
}

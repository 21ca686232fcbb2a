package tui

import (
	"context"
	"time"

	"bonsai/tui/feed"
)

// pollPause is the pause between two questions of what sends nothing on its own.
const pollPause = 2 * time.Second

// poll is a feed of something that has to be asked for again and again. took is called in the program's goroutine, with an
// error only when it is new.
func poll[T any](u *ui, ask func(ctx context.Context) (T, error), took func(T, error)) *feed.Feed {
	box := feed.NewBox(u.hub, nil, func(v T) {
		took(v, nil)
		u.touch()
	})
	return feed.New(u.hub, func(ctx context.Context, healthy func()) error {
		for {
			v, err := ask(ctx)
			if err != nil {
				return err
			}
			healthy()
			box.Put(v)
			select {
			case <-ctx.Done():
				return nil
			case <-time.After(pollPause):
			}
		}
	}, func(err error) {
		if err != nil {
			var none T
			took(none, err)
			u.touch()
		}
	})
}

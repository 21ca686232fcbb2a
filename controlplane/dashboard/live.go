package dashboard

import (
	"context"
	"encoding/json"
	"net/http"
	"sync"
	"time"

	"bonsai/bootstrap/wait"
)

const (
	// beatInterval is the longest silence of a stream: so a page knows how old what it shows is.
	beatInterval = 2 * time.Second
	// partPause is the shortest pause between two versions of a page.
	partPause = 100 * time.Millisecond
	// troublePause is the pause before following something again that cannot be followed now.
	troublePause = time.Second
	// writeLimit is how long a browser may take to take something.
	writeLimit = 20 * time.Second
)

// stream is an answer of server-sent events. It is safe for concurrent use.
type stream struct {
	ctx context.Context //nolint:containedctx // that of the answer

	mu   sync.Mutex // guards w
	w    http.ResponseWriter
	rc   *http.ResponseController
	last time.Time
}

// send sends one event, whose data is v as JSON.
func (s *stream) send(event string, v any) error {
	data, err := json.Marshal(v)
	if err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.ctx.Err(); err != nil {
		return context.Cause(s.ctx)
	}
	_ = s.rc.SetWriteDeadline(time.Now().Add(writeLimit)) // a recorder of a test has none
	s.last = time.Now()
	// JSON has no line breaks, which would end the data.
	if _, err := s.w.Write([]byte("event: " + event + "\ndata: " + string(data) + "\n\n")); err != nil {
		return err
	}
	return s.rc.Flush()
}

// beat sends a sign of life whenever nothing else was sent for a while, until ctx ends.
func (s *stream) beat() {
	for wait.Pause(s.ctx, beatInterval) == nil {
		s.mu.Lock()
		quiet := time.Since(s.last) >= beatInterval
		s.mu.Unlock()
		if quiet && s.send("beat", nil) != nil {
			return
		}
	}
}

// stream answers with what follow sends, and follows again after an error, until the browser leaves or the session ends.
func (s *Server) stream(w http.ResponseWriter, q *request, follow func(ctx context.Context, out *stream) error) {
	ctx, done, ok := s.sessions.stream(q.Context(), q.session)
	if !ok {
		s.refuse(w, q.Request, &refusal{http.StatusTooManyRequests, "This session has too many pages open", "close some of them"})
		return
	}
	defer done()
	defer func() { _ = http.NewResponseController(w).SetWriteDeadline(time.Time{}) }() // the connection has other answers
	w.Header().Set("Content-Type", "text/event-stream")
	ctx, cancel := context.WithCancel(ctx)
	out := &stream{ctx: ctx, w: w, rc: http.NewResponseController(w)}
	w.WriteHeader(http.StatusOK)
	var beating sync.WaitGroup
	defer beating.Wait()
	defer cancel()
	beating.Go(out.beat)
	if out.send("beat", nil) != nil {
		return
	}
	for ctx.Err() == nil {
		err := follow(ctx, out)
		if ctx.Err() != nil {
			return
		}
		if err == nil {
			if out.send("end", nil) != nil {
				return
			}
			<-ctx.Done() // the page stays connected, and knows by the beats that nothing is stale
			return
		}
		p := s.problemOf(q, err)
		text := q.words.Diagnosis(p.Summary)
		if p.Cause != "" {
			text += ": " + q.words.Diagnosis(p.Cause)
		}
		if out.send("trouble", text) != nil || wait.Pause(ctx, troublePause) != nil {
			return
		}
	}
}

// live answers with newer versions of the part of a page that changes, if they differ.
func (s *Server) live(w http.ResponseWriter, q *request, p page) {
	s.stream(w, q, func(ctx context.Context, out *stream) error {
		last := ""
		return p.follow(ctx, q, func(data any) error {
			v := s.viewOf(q, p)
			v.Data, v.Back = data, ""
			html, err := s.pages.part(q.words, p.name, v)
			if err != nil || html == last {
				return err
			}
			last = html
			if err := out.send("main", html); err != nil {
				return err
			}
			return wait.Pause(ctx, partPause)
		})
	})
}

// newest runs sources, each of which calls its argument when something has changed, and calls send each time afterwards; what
// changes while it runs is one more call. It ends when a source or send fails or ctx ends, and waits for all.
func newest(ctx context.Context, send func() error, sources ...func(ctx context.Context, changed func()) error) error {
	ctx, cancel := context.WithCancel(ctx)
	signal, failed := make(chan struct{}, 1), make(chan error, len(sources))
	changed := func() {
		select {
		case signal <- struct{}{}:
		default:
		}
	}
	var running sync.WaitGroup
	defer running.Wait()
	defer cancel()
	for _, source := range sources {
		running.Go(func() { failed <- source(ctx, changed) })
	}
	for {
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case err := <-failed:
			return err
		case <-signal:
			if err := send(); err != nil {
				return err
			}
		}
	}
}

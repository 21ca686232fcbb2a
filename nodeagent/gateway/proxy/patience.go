package proxy

import (
	"io"
	"sync"
	"time"
)

// patience ends an exchange if the header of the answer does not come in time. The time begins again with each part of the request's
// body, and stands still while the client is to send one: a long upload is not a slow backend.
type patience struct {
	limit time.Duration

	mu    sync.Mutex // guards timer and over
	timer *time.Timer
	over  bool
}

func startPatience(limit time.Duration, end func()) *patience {
	return &patience{limit: limit, timer: time.AfterFunc(limit, end)}
}

// stop is called when the header has come, or the exchange is over.
func (p *patience) stop() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.over = true
	p.timer.Stop()
}

func (p *patience) pause() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.timer.Stop()
}

func (p *patience) again() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.over {
		p.timer.Reset(p.limit)
	}
}

// watch returns a body whose reading does that.
func (p *patience) watch(body io.ReadCloser) io.ReadCloser { return watched{body, p} }

type watched struct {
	io.ReadCloser
	patience *patience
}

func (w watched) Read(data []byte) (int, error) {
	w.patience.pause()
	n, err := w.ReadCloser.Read(data)
	w.patience.again()
	return n, err
}

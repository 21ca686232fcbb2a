package proxy

import (
	"bufio"
	"io"
	"net/http"
	"sync"
	"time"

	"bonsai/bootstrap/cluster"
)

// Access records requests; it may be called concurrently and must not block for long.
type Access func(cluster.GatewayRequest)

func requestOf(r *http.Request, uri string, rec *recorder, x *exchange, began time.Time) cluster.GatewayRequest {
	e := cluster.GatewayRequest{
		Began: began, Took: time.Since(began), Client: r.RemoteAddr, Method: r.Method, Host: r.Host, Path: uri, Proto: r.Proto,
		Status: rec.status, Bytes: rec.bytes, Endpoint: x.to, Agent: r.UserAgent(),
	}
	if x.backend != nil {
		e.Service = x.backend.Name
	}
	if x.rule != nil {
		e.From = x.rule.From
	}
	return e
}

// recorder remembers what was answered.
type recorder struct {
	http.ResponseWriter
	status int
	bytes  int64
}

// Unwrap is for http.ResponseController: flushing, and taking over the connection.
func (r *recorder) Unwrap() http.ResponseWriter { return r.ResponseWriter }

func (r *recorder) WriteHeader(status int) {
	if r.status < http.StatusOK { // not yet, or only informational
		r.status = status
	}
	r.ResponseWriter.WriteHeader(status)
}

func (r *recorder) Write(data []byte) (int, error) {
	if r.status == 0 {
		r.status = http.StatusOK
	}
	n, err := r.ResponseWriter.Write(data)
	r.bytes += int64(n)
	return n, err
}

const (
	// flushPause is how long a line may wait for others, to be written with them.
	flushPause = 200 * time.Millisecond
	logBuffer  = 64 << 10
	// maxLine is the longest line whose buffer is kept.
	maxLine = 4 << 10
)

// AccessLog writes a line for each request. Lines are written a moment later, many at once.
type AccessLog struct {
	lines lines

	mu    sync.Mutex // guards the rest
	w     *bufio.Writer
	later *time.Timer // nil while there is nothing to write
}

// NewAccessLog returns a log that writes to w. The caller closes it.
func NewAccessLog(w io.Writer) *AccessLog { return &AccessLog{w: bufio.NewWriterSize(w, logBuffer)} }

// Record is an Access.
func (l *AccessLog) Record(r cluster.GatewayRequest) {
	line := l.lines.get()
	defer l.lines.put(line)
	*line = r.Append((*line)[:0]) // not while others wait
	l.mu.Lock()
	defer l.mu.Unlock()
	_, _ = l.w.Write(*line) // a full disk must not stop traffic
	if l.later == nil {
		l.later = time.AfterFunc(flushPause, l.flush)
	}
}

// lines are buffers for lines that are being made.
type lines struct{ pool sync.Pool }

func (l *lines) get() *[]byte {
	if b, ok := l.pool.Get().(*[]byte); ok {
		return b
	}
	return new([]byte)
}

func (l *lines) put(b *[]byte) {
	if cap(*b) <= maxLine {
		l.pool.Put(b)
	}
}

func (l *AccessLog) flush() {
	l.mu.Lock()
	defer l.mu.Unlock()
	_ = l.w.Flush()
	l.later = nil
}

// Close writes what has not been written yet.
func (l *AccessLog) Close() {
	l.mu.Lock()
	if l.later != nil {
		l.later.Stop()
	}
	l.mu.Unlock()
	l.flush()
}

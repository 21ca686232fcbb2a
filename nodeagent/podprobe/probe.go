// Package podprobe connects from the network of a pod to something, as a program in the pod would, without anything in the pod: a part
// of the node agent.
//
//	POST /  a cluster.ProbeQuestion; a cluster.ProbeResult
//
// A connection is made by a thread that has entered the pod's network namespace and ends afterwards, so that no other goroutine ever
// runs there. Begin reading at Part.
package podprobe

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"bonsai/bootstrap/cluster"
	"bonsai/bootstrap/wait"
)

const (
	// Name is that of the part.
	Name = "probe"
	// connectLimit is less than the time after which the kernel sends the first packet for the third time (one second, and two more):
	// two packets that a policy stops are not yet an app that it starves.
	connectLimit = 2500 * time.Millisecond
	// answerLimit bounds the answer to a request.
	answerLimit = 3 * time.Second
	// maxAnswer bounds what is read of it.
	maxAnswer = 64 << 10
	// maxQuestion bounds what is read of a question.
	maxQuestion = 8 << 10
	// maxProcesses is how many processes of a pod are tried: each may just be ending.
	maxProcesses = 16
	// maxClients is how many probes run at a time.
	maxClients = 8
)

// Part answers the daemon. It keeps nothing and is safe for concurrent use.
type Part struct {
	proc      string
	processes func(uid string) ([]int, error)
	scale     wait.Scale
	clients   chan struct{} // a slot for each
}

// New returns the part. It starts nothing. processes returns processes of a pod by its UID, none if it is not on this node; proc is the
// folder of processes ("/proc").
func New(proc string, processes func(uid string) ([]int, error), scale wait.Scale) *Part {
	return &Part{proc, processes, scale, make(chan struct{}, maxClients)}
}

// Name implements nodeagent.Part.
func (*Part) Name() string { return Name }

// Handler implements nodeagent.Part.
func (p *Part) Handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("POST /{$}", func(w http.ResponseWriter, r *http.Request) {
		var q cluster.ProbeQuestion
		if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxQuestion)).Decode(&q); err != nil || !q.To.IsValid() {
			http.Error(w, fmt.Sprintf("the question cannot be read: %v", err), http.StatusBadRequest)
			return
		}
		select {
		case p.clients <- struct{}{}:
			defer func() { <-p.clients }()
		default:
			http.Error(w, "too many probes at a time; ask again", http.StatusTooManyRequests)
			return
		}
		result, err := p.probe(r.Context(), q)
		if err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(result) // fails only if the client is gone
	})
	return mux
}

// probe connects, and sends a request if there is one. A connection that does not come about is a result.
func (p *Part) probe(ctx context.Context, q cluster.ProbeQuestion) (r cluster.ProbeResult, err error) {
	ns, err := p.namespace(q.Pod)
	if err != nil {
		return r, err
	}
	defer func() { _ = ns.Close() }()
	limited, cancel := context.WithTimeout(ctx, p.scale.Of(connectLimit))
	defer cancel()
	began := time.Now()
	c, err := dialIn(limited, ns, q.To)
	r.Took = time.Since(began)
	if entering, ok := errors.AsType[*enterError](err); ok {
		return r, fmt.Errorf("connect from the network of pod %s: %w", q.Pod, entering)
	}
	if err != nil {
		r.Outcome, r.Reason = outcome(err), reason(err)
		return r, nil
	}
	defer func() { _ = c.Close() }()
	r.Outcome = cluster.ProbeConnected
	if a, ok := c.LocalAddr().(*net.TCPAddr); ok {
		r.Source = a.AddrPort()
	}
	if q.Path == "" {
		return r, nil
	}
	_ = c.SetDeadline(time.Now().Add(p.scale.Of(answerLimit)))
	if r.Status, err = request(ctx, c, q); err != nil {
		r.NoAnswer = reason(err)
	}
	r.Took = time.Since(began)
	return r, nil
}

// namespace opens the network namespace of a pod.
func (p *Part) namespace(uid string) (*os.File, error) {
	pids, err := p.processes(uid)
	if err != nil {
		return nil, err
	}
	for _, pid := range pids[:min(len(pids), maxProcesses)] {
		ns, err := os.Open(filepath.Join(p.proc, strconv.Itoa(pid), "ns", "net"))
		if errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ESRCH) {
			continue // it has ended
		}
		if err != nil {
			return nil, fmt.Errorf("find the network of pod %s: %w", uid, err)
		}
		return ns, nil
	}
	return nil, fmt.Errorf("pod %s has no process on this node", uid)
}

// enterError is that a network namespace cannot be entered.
type enterError struct{ error }

func (e *enterError) Unwrap() error { return e.error }

// dialIn connects from a network namespace.
func dialIn(ctx context.Context, ns *os.File, to netip.AddrPort) (net.Conn, error) {
	var c net.Conn
	var err error
	done := make(chan struct{})
	go func() {
		defer close(done)
		// It is never unlocked: the thread ends with this goroutine, and nobody else gets one that is in the namespace.
		runtime.LockOSThread()
		if err = unix.Setns(int(ns.Fd()), unix.CLONE_NEWNET); err != nil {
			err = &enterError{err}
			return
		}
		// An address needs no resolver, so the socket is made by this thread.
		c, err = (&net.Dialer{}).DialContext(ctx, "tcp", to.String())
	}()
	<-done
	return c, err
}

func outcome(err error) cluster.ProbeOutcome {
	switch {
	case errors.Is(err, syscall.ECONNREFUSED):
		return cluster.ProbeRefused
	case errors.Is(err, syscall.EHOSTUNREACH), errors.Is(err, syscall.ENETUNREACH):
		return cluster.ProbeUnreachable
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, os.ErrDeadlineExceeded):
		return cluster.ProbeTimeout
	}
	return cluster.ProbeFailed
}

// reason is an error without the addresses, which whoever asked knows.
func reason(err error) string {
	if errno, ok := errors.AsType[syscall.Errno](err); ok {
		return errno.Error()
	}
	if outcome(err) == cluster.ProbeTimeout {
		return "nothing came back"
	}
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return "the connection was closed without an answer"
	}
	return err.Error()
}

// request sends a request, and returns the status of the answer.
func request(ctx context.Context, c net.Conn, q cluster.ProbeQuestion) (status string, err error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+q.To.String()+q.Path, http.NoBody)
	if err != nil {
		return "", err
	}
	if q.Host != "" {
		r.Host = q.Host
	}
	r.Close = true
	r.Header.Set("User-Agent", "bonsai")
	if err := r.Write(c); err != nil {
		return "", err
	}
	resp, err := http.ReadResponse(bufio.NewReader(io.LimitReader(c, maxAnswer)), r)
	if err != nil {
		return "", err
	}
	return resp.Status, resp.Body.Close()
}

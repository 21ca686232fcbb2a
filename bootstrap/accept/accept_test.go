package accept

import (
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// scripted is a listener whose Accept ends with one error after the other, and then with a connection.
type scripted struct {
	mu     sync.Mutex // guards everything below
	errs   []error
	calls  []time.Time
	closed bool
}

func (s *scripted) Accept() (net.Conn, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.calls = append(s.calls, time.Now())
	if s.closed {
		return nil, net.ErrClosed
	}
	if len(s.errs) == 0 {
		server, client := net.Pipe()
		_ = client.Close()
		return server, nil
	}
	err := s.errs[0]
	s.errs = s.errs[1:]
	return nil, &net.OpError{Op: "accept", Net: "tcp", Err: os.NewSyscallError("accept4", err)}
}

func (s *scripted) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
	return nil
}

func (s *scripted) Addr() net.Addr { return &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 6443} }

func TestEveryErrorThatPassesIsTriedAgain(t *testing.T) {
	for _, errno := range []syscall.Errno{
		syscall.EMFILE, syscall.ENFILE, syscall.ENOBUFS, syscall.ENOMEM, syscall.ECONNABORTED, syscall.ECONNRESET, syscall.EINTR,
		syscall.EPROTO, syscall.ENETDOWN, syscall.EHOSTUNREACH, syscall.ETIMEDOUT, syscall.EPERM,
	} {
		synctest.Test(t, func(t *testing.T) {
			l := Patient(&scripted{errs: []error{errno, errno, errno}}, slog.New(slog.DiscardHandler))
			begin := time.Now()
			c, err := l.Accept()
			if err != nil {
				t.Fatalf("after three times %v: %v", errno, err)
			}
			_ = c.Close()
			if pause := time.Since(begin); pause != 35*time.Millisecond { // 5, 10, 20
				t.Errorf("after three times %v it paused for %s", errno, pause)
			}
		})
	}
}

func TestAnErrorThatLastsEndsTheListener(t *testing.T) {
	for _, errno := range []syscall.Errno{syscall.EBADF, syscall.EINVAL, syscall.ENOTSOCK} {
		l := Patient(&scripted{errs: []error{errno}}, slog.New(slog.DiscardHandler))
		if _, err := l.Accept(); !errors.Is(err, errno) {
			t.Errorf("%v becomes %v", errno, err)
		}
	}
}

func TestTroubleIsKnownWhileItLastsAndLoggedOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &scripted{}
		for range 20 {
			s.errs = append(s.errs, syscall.EMFILE)
		}
		var log strings.Builder
		l := Patient(s, slog.New(slog.NewTextHandler(&log, nil)))
		done := make(chan struct{})
		go func() {
			defer close(done)
			c, err := l.Accept()
			if err != nil {
				t.Error(err)
				return
			}
			_ = c.Close()
		}()
		synctest.Wait()
		if err := l.Trouble(); !errors.Is(err, syscall.EMFILE) {
			t.Errorf("trouble is %v", err)
		}
		<-done
		if err := l.Trouble(); err != nil {
			t.Errorf("trouble stays: %v", err)
		}
		if lines := strings.Count(log.String(), "\n"); lines != 2 || !strings.Contains(log.String(), "too many open files") {
			t.Errorf("the log is\n%s", &log)
		}
		last := s.calls[len(s.calls)-1].Sub(s.calls[len(s.calls)-2])
		if last != time.Second {
			t.Errorf("the pause grew to %s", last)
		}
	})
}

func TestCloseEndsAPause(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := Patient(&scripted{errs: []error{syscall.ENFILE}}, slog.New(slog.DiscardHandler))
		ended := make(chan error, 1)
		go func() {
			_, err := l.Accept()
			ended <- err
		}()
		synctest.Wait()
		if err := errors.Join(l.Close(), l.Close()); err != nil {
			t.Error(err)
		}
		if err := <-ended; !errors.Is(err, net.ErrClosed) {
			t.Errorf("got %v", err)
		}
	})
}

// TestOutOfFiles is the real thing: a client comes while the process has no descriptor left.
func TestOutOfFiles(t *testing.T) {
	inner, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l := Patient(inner, slog.New(slog.DiscardHandler))
	server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "hello") })}
	var serving sync.WaitGroup
	serving.Go(func() { _ = server.Serve(l) })
	defer func() { _ = server.Close(); serving.Wait() }()

	one, release := exhaust(t)
	defer release()
	_ = one.Close() // for the client's side
	client, err := net.Dial("tcp", inner.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for limit := time.After(20 * time.Second); l.Trouble() == nil; {
		select {
		case <-tick.C:
		case <-limit:
			t.Fatal("accepting does not fail although there are no descriptors")
		}
	}
	release()
	if _, err := io.WriteString(client, "GET / HTTP/1.0\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	if answer, err := io.ReadAll(client); err != nil || !strings.HasSuffix(string(answer), "hello") {
		t.Errorf("the client that came meanwhile reads %q, %v", answer, err)
	}
}

// exhaust opens files until no more can be opened; one of them is returned apart. release closes the others.
func exhaust(t *testing.T) (one *os.File, release func()) {
	t.Helper()
	var before syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &before); err != nil {
		t.Fatal(err)
	}
	few := before
	few.Cur = 100
	if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &few); err != nil {
		t.Fatal(err)
	}
	var all []*os.File
	release = sync.OnceFunc(func() {
		for _, f := range all {
			_ = f.Close()
		}
		if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &before); err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(release)
	for {
		f, err := os.Open(os.DevNull)
		if errors.Is(err, syscall.EMFILE) {
			return one, release
		}
		if err != nil {
			t.Fatal(err)
		}
		if one == nil {
			one = f
			continue
		}
		all = append(all, f)
	}
}

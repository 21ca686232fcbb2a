package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

const (
	// longest is how long a request may be slow or busy.
	longest = 10 * time.Minute
	// maxLeak is what one request may keep. The limit of the container comes first.
	maxLeak = 64 << 30
	// page is how often memory is touched, so that it is really used.
	page = 4096
)

// place is where the program runs.
type place struct {
	Pod       string   `json:"pod"`
	Namespace string   `json:"namespace,omitempty"`
	Node      string   `json:"node,omitempty"`
	Zone      string   `json:"zone,omitempty"`
	Addresses []string `json:"addresses,omitempty"`
}

// answer is what a client gets.
type answer struct {
	place
	Client  string      `json:"client"`
	Request string      `json:"request"`
	Host    string      `json:"host"`
	Headers http.Header `json:"headers"`
	// Leaked is the memory that requests have left behind.
	Leaked int64 `json:"leaked,omitempty"`
}

// server answers every path alike. What a request asks for besides that is in its query:
//
//	slow=2s        answers after that time
//	status=503     answers with that status
//	burn=30s       uses one CPU for that time, and answers then
//	leak=64Mi      keeps that much memory for good
//	unhealthy=1m   /healthz fails for that time
//	exit=3         ends the program, with that code
//
// Its fields must not be changed; what requests have done is behind mu.
type server struct {
	at   place
	exit func(code int)

	mu      sync.Mutex // guards the rest
	kept    [][]byte
	leaked  int64
	illTill time.Time
}

func newServer(at place, exit func(int)) *server { return &server{at: at, exit: exit} }

// ServeHTTP implements http.Handler.
func (s *server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path == "/healthz" {
		s.health(w)
		return
	}
	wish, err := parse(r.URL.Query())
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	if wish.unhealthy > 0 {
		s.mu.Lock()
		s.illTill = time.Now().Add(wish.unhealthy)
		s.mu.Unlock()
	}
	s.leak(wish.leak)
	burn(r.Context(), wish.burn)
	if !pause(r.Context(), wish.slow) {
		return // the client is gone
	}
	s.write(w, r, wish.status)
	if wish.exit >= 0 {
		_ = http.NewResponseController(w).Flush()
		s.exit(wish.exit)
	}
}

func (s *server) health(w http.ResponseWriter) {
	s.mu.Lock()
	ill := time.Now().Before(s.illTill)
	s.mu.Unlock()
	if ill {
		http.Error(w, "unhealthy, as it was asked to be", http.StatusServiceUnavailable)
		return
	}
	_, _ = io.WriteString(w, "ok\n")
}

func (s *server) write(w http.ResponseWriter, r *http.Request, status int) {
	s.mu.Lock()
	leaked := s.leaked
	s.mu.Unlock()
	a := answer{place: s.at, Client: r.RemoteAddr, Request: r.Method + " " + r.URL.RequestURI() + " " + r.Proto, Host: r.Host, Headers: r.Header, Leaked: leaked}
	if strings.Contains(r.Header.Get("Accept"), "application/json") {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(status)
		_ = json.NewEncoder(w).Encode(a) // fails only if the client is gone
		return
	}
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.Header().Set("X-Content-Type-Options", "nosniff") // headers of requests are in it
	w.WriteHeader(status)
	_, _ = io.WriteString(w, a.String())
}

// String is the answer for people.
func (a answer) String() string {
	var b strings.Builder
	line := func(name, value string) {
		if value != "" {
			fmt.Fprintf(&b, "%-10s %s\n", name, value)
		}
	}
	fmt.Fprintf(&b, "Hello from %s\n\n", a.Pod)
	line("namespace", a.Namespace)
	line("node", a.Node)
	line("zone", a.Zone)
	line("address", strings.Join(a.Addresses, ", "))
	line("client", a.Client)
	line("request", a.Request)
	line("host", a.Host)
	if a.Leaked > 0 {
		line("leaked", strconv.FormatInt(a.Leaked>>20, 10)+" MiB")
	}
	b.WriteByte('\n')
	for _, name := range slices.Sorted(maps.Keys(a.Headers)) {
		for _, value := range a.Headers[name] {
			fmt.Fprintf(&b, "%s: %s\n", name, value)
		}
	}
	return b.String()
}

// leak keeps memory, and uses it.
func (s *server) leak(size int64) {
	if size <= 0 {
		return
	}
	memory := make([]byte, size)
	for i := 0; i < len(memory); i += page {
		memory[i] = 1
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.kept, s.leaked = append(s.kept, memory), s.leaked+size
}

// burn uses a CPU for a while.
func burn(ctx context.Context, d time.Duration) {
	work := 0
	for end := time.Now().Add(d); time.Now().Before(end) && ctx.Err() == nil; {
		for i := range 100_000 {
			work += i
		}
	}
	_ = work
}

// pause waits; false if ctx ended first.
func pause(ctx context.Context, d time.Duration) bool {
	if d <= 0 {
		return true
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-t.C:
		return true
	}
}

// wish is what a request asks for.
type wish struct {
	slow, burn, unhealthy time.Duration
	leak                  int64
	status                int
	exit                  int // -1: the program goes on
}

func parse(query url.Values) (wish, error) {
	w := wish{status: http.StatusOK, exit: -1}
	var errs []error
	for _, name := range slices.Sorted(maps.Keys(query)) {
		text := query.Get(name)
		var err error
		switch name {
		case "slow":
			w.slow, err = duration(text)
		case "burn":
			w.burn, err = duration(text)
		case "unhealthy":
			w.unhealthy, err = duration(text)
		case "leak":
			w.leak, err = bytes(text)
		case "status":
			w.status, err = number(text, 200, 599)
		case "exit":
			w.exit, err = number(text, 0, 255)
		}
		if err != nil {
			errs = append(errs, fmt.Errorf("%s=%s: %w", name, text, err))
		}
	}
	return w, errors.Join(errs...)
}

func duration(text string) (time.Duration, error) {
	d, err := time.ParseDuration(text)
	if err != nil || d < 0 || d > longest {
		return 0, fmt.Errorf("it has to be a time up to %s, such as 2s", longest)
	}
	return d, nil
}

func number(text string, from, to int) (int, error) {
	n, err := strconv.Atoi(text)
	if err != nil || n < from || n > to {
		return 0, fmt.Errorf("it has to be a number from %d to %d", from, to)
	}
	return n, nil
}

// bytes reads an amount of memory as Kubernetes writes it: 64Mi, 1Gi, 5M, 100.
func bytes(text string) (int64, error) {
	digits := strings.TrimRight(text, "KMGik")
	factor, ok := map[string]int64{"": 1, "k": 1000, "Ki": 1 << 10, "M": 1e6, "Mi": 1 << 20, "G": 1e9, "Gi": 1 << 30}[text[len(digits):]]
	n, err := strconv.ParseInt(digits, 10, 64)
	if !ok || err != nil || n < 0 || n > maxLeak/factor {
		return 0, errors.New("it has to be an amount of memory up to 64Gi, such as 64Mi")
	}
	return n * factor, nil
}

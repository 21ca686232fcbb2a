package podprobe

import (
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"strings"
	"testing"

	"bonsai/bootstrap/cluster"
	"bonsai/bootstrap/wait"
)

// own is a part whose only pod is this process, in the network that it is in.
func own(t *testing.T, pids ...int) (ask func(cluster.ProbeQuestion) (cluster.ProbeResult, error)) {
	t.Helper()
	if len(pids) == 0 {
		pids = []int{1 << 30, os.Getpid()} // one that has ended
	}
	p := New("/proc", func(uid string) ([]int, error) {
		if uid != "me" {
			return nil, nil
		}
		return pids, nil
	}, wait.Scale(1))
	server := httptest.NewServer(p.Handler())
	t.Cleanup(server.Close)
	return func(q cluster.ProbeQuestion) (r cluster.ProbeResult, err error) {
		body, err := json.Marshal(q)
		if err != nil {
			t.Fatal(err)
		}
		resp, err := http.Post(server.URL, "application/json", strings.NewReader(string(body)))
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = resp.Body.Close() }()
		if resp.StatusCode != http.StatusOK {
			return r, errors.New(resp.Status)
		}
		return r, json.NewDecoder(resp.Body).Decode(&r)
	}
}

// entered fails or skips if the kernel does not let this process enter its own namespace again.
func entered(t *testing.T, err error) {
	t.Helper()
	if err != nil && os.Getuid() != 0 {
		t.Skip("entering a network namespace needs rights:", err)
	}
	if err != nil {
		t.Fatal(err)
	}
}

func TestAProbeSeesWhatAProgramWouldSee(t *testing.T) {
	ask := own(t)
	web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Host != "web.shop:8080" || r.URL.Path != "/healthz" {
			t.Errorf("it asks %s for %s", r.Host, r.URL)
		}
		w.WriteHeader(http.StatusTeapot)
		fmt.Fprint(w, "short and stout")
	}))
	defer web.Close()
	at := netip.MustParseAddrPort(web.Listener.Addr().String())
	r, err := ask(cluster.ProbeQuestion{Pod: "me", To: at})
	entered(t, err)
	if r.Outcome != cluster.ProbeConnected || r.Status != "" || r.Source.Addr() != at.Addr() || r.Took <= 0 {
		t.Errorf("without a request: %+v", r)
	}
	if r, err = ask(cluster.ProbeQuestion{Pod: "me", To: at, Path: "/healthz", Host: "web.shop:8080"}); err != nil || r.Status != "418 I'm a teapot" {
		t.Errorf("with a request: %+v, %v", r, err)
	}
	web.Close()
	if r, err = ask(cluster.ProbeQuestion{Pod: "me", To: at}); err != nil || r.Outcome != cluster.ProbeRefused {
		t.Errorf("where nothing listens: %+v, %v", r, err)
	}
	if r, err := ask(cluster.ProbeQuestion{Pod: "somebody else", To: at}); err == nil {
		t.Errorf("a pod that is not on the node: %+v", r)
	}
	if r, err := ask(cluster.ProbeQuestion{Pod: "me"}); err == nil {
		t.Errorf("nowhere: %+v", r)
	}
}

// TestAServerThatSaysNothing: a reply that is not an answer is distinguished from a missing connection.
func TestAServerThatSaysNothing(t *testing.T) {
	ask := own(t)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			_ = c.Close()
		}
	}()
	r, err := ask(cluster.ProbeQuestion{Pod: "me", To: netip.MustParseAddrPort(l.Addr().String()), Path: "/"})
	entered(t, err)
	if r.Outcome != cluster.ProbeConnected || r.Status != "" || r.NoAnswer == "" {
		t.Errorf("got %+v", r)
	}
}

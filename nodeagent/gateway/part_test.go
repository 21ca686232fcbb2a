package gateway

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"

	"bonsai/bootstrap/cluster"
	"bonsai/bootstrap/gatewaytable"
	"bonsai/nodeagent/agentapi"
)

// socketEnv makes the test's own executable the process that the part keeps.
const socketEnv = "TEST_GATEWAY_SOCKET"

func TestMain(m *testing.M) {
	if socket := os.Getenv(socketEnv); socket != "" {
		log := slog.New(slog.NewTextHandler(os.Stderr, nil))
		if err := (Server{Socket: socket, Address: netip.MustParseAddr("127.0.0.1"), Access: os.Stdout, Log: log}).Serve(context.Background()); err != nil {
			log.Error("serve", "err", err)
			os.Exit(1)
		}
		return
	}
	goleak.VerifyTestMain(m)
}

// node is a node's agent with the part, and its process.
type node struct {
	t      *testing.T
	part   *Part
	client *http.Client
	log    string
}

func startNode(t *testing.T) *node {
	t.Helper()
	dir, err := os.MkdirTemp("", "gw") // the path of a socket is short
	if err != nil {
		t.Fatal(err)
	}
	socket := filepath.Join(dir, "s")
	l, err := agentapi.ListenUnix(socket)
	if err != nil {
		t.Fatal(err)
	}
	n := &node{t: t, log: filepath.Join(dir, "log")}
	n.part = New(Config{
		Program: os.Args[0], Env: func() []string { return append(os.Environ(), socketEnv+"="+socket) },
		LogFile: n.log, Scale: 1, Log: slog.New(slog.DiscardHandler),
	})
	n.client = &http.Client{Transport: &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		var d net.Dialer
		return d.DialContext(ctx, "unix", socket)
	}}}
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	var running sync.WaitGroup
	running.Go(func() {
		api := agentapi.New(agentapi.Config{Parts: map[string]http.Handler{Name: n.part.Handler()}, Log: slog.New(slog.DiscardHandler)})
		if err := api.ServeLocal(ctx, l); err != nil {
			t.Error(err)
		}
	})
	running.Go(func() {
		if err := n.part.Run(ctx); err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(func() {
		cancel()
		running.Wait()
		n.client.CloseIdleConnections()
		if t.Failed() {
			text, _ := os.ReadFile(n.log)
			t.Logf("the process's log:\n%s", text)
		}
		_ = os.RemoveAll(dir)
	})
	return n
}

func (n *node) send(method, path string, v any) {
	n.t.Helper()
	data, err := json.Marshal(v)
	if err != nil {
		n.t.Fatal(err)
	}
	req, err := http.NewRequestWithContext(n.t.Context(), method, "http://agent/v1/gateway"+path, bytes.NewReader(data))
	if err != nil {
		n.t.Fatal(err)
	}
	resp, err := n.client.Do(req)
	if err != nil {
		n.t.Fatal(err)
	}
	_ = resp.Body.Close()
	if resp.StatusCode != http.StatusNoContent {
		n.t.Fatalf("%s %s: %s", method, path, resp.Status)
	}
}

// await reads reports, as the daemon does, until one is as wanted.
func (n *node) await(what string, ok func(gatewaytable.Report) bool) {
	n.t.Helper()
	ctx, cancel := context.WithTimeout(n.t.Context(), 20*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://agent/v1/gateway/report", nil)
	if err != nil {
		n.t.Fatal(err)
	}
	resp, err := n.client.Do(req)
	if err != nil {
		n.t.Fatal(err)
	}
	defer resp.Body.Close()
	for d := json.NewDecoder(resp.Body); ; {
		var report gatewaytable.Report
		if err := d.Decode(&report); err != nil {
			n.t.Fatalf("waiting for %s: %v", what, err)
		}
		if ok(report) {
			return
		}
	}
}

// freePort is one that nobody has at the moment.
func freePort(t *testing.T) uint16 {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return netip.MustParseAddrPort(l.Addr().String()).Port()
}

// tableOf leads all requests on ports to one endpoint.
func tableOf(t *testing.T, endpoint string, ports ...uint16) gatewaytable.Table {
	t.Helper()
	table := gatewaytable.Table{Backends: []gatewaytable.Backend{{Name: "default/web:80", Protocol: gatewaytable.HTTP1, Endpoints: []netip.AddrPort{netip.MustParseAddrPort(endpoint)}}}}
	for _, number := range ports {
		rule := gatewaytable.Rule{From: "ingress/default/web", Path: gatewaytable.Path{Kind: gatewaytable.PathPrefix, Value: "/"}, Backends: []gatewaytable.Weighted{{Weight: 1}}}
		table.Ports = append(table.Ports, gatewaytable.Port{Number: number, Groups: []gatewaytable.Group{{Listeners: []gatewaytable.Listener{{Hosts: []gatewaytable.Host{{Rules: []gatewaytable.Rule{rule}}}}}}}})
	}
	if err := table.Seal(); err != nil {
		t.Fatal(err)
	}
	return table
}

func get(t *testing.T, port uint16) (string, error) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, fmt.Sprintf("http://127.0.0.1:%d/", port), nil)
	if err != nil {
		t.Fatal(err)
	}
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: 10 * time.Second}
	resp, err := client.Do(req)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	return string(text), err
}

// TestTheProcessLivesAsLongAsItIsNeeded is the part's whole life: nothing, a table, a killed process, a taken port, the end.
func TestTheProcessLivesAsLongAsItIsNeeded(t *testing.T) {
	n := startNode(t)
	backend := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "hello") }))
	defer backend.Close()
	if c := n.part.Component(); c.Name != "" {
		t.Errorf("without a table there is %+v", c)
	}
	port := freePort(t)
	table := tableOf(t, backend.Listener.Addr().String(), port)
	n.send(http.MethodPut, "/table", table)
	serving := func(r gatewaytable.Report) bool { return r.Table == table.ID && slices.Contains(r.Listening, port) }
	n.await("serving", serving)
	if text, err := get(t, port); text != "hello" {
		t.Errorf("answer %q, %v", text, err)
	}

	before := n.part.Component()
	if before.Name != Name || before.Phase != cluster.PhaseRunning || before.PID == 0 {
		t.Fatalf("the process is %+v", before)
	}
	if err := syscall.Kill(before.PID, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	n.await("the end of the process", func(r gatewaytable.Report) bool { return len(r.Listening) == 0 || n.part.Component().PID != before.PID })
	n.await("another process", serving)
	if text, err := get(t, port); text != "hello" || n.part.Component().PID == before.PID {
		t.Errorf("after a restart: answer %q, %v", text, err)
	}

	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	other := netip.MustParseAddrPort(taken.Addr().String()).Port()
	table = tableOf(t, backend.Listener.Addr().String(), port, other)
	n.send(http.MethodPut, "/table", table)
	n.await("a port that another program has", func(r gatewaytable.Report) bool { return r.Failed[other] != "" && slices.Contains(r.Listening, port) })
	_ = taken.Close()
	n.await("the port once it is free", func(r gatewaytable.Report) bool { return slices.Contains(r.Listening, other) })

	n.send(http.MethodDelete, "/table", nil)
	for deadline := time.Now().Add(10 * time.Second); n.part.Component().Name != ""; {
		if time.Now().After(deadline) {
			t.Fatalf("the process is still %+v", n.part.Component())
		}
	}
	if _, err := get(t, port); !errors.Is(err, syscall.ECONNREFUSED) {
		t.Errorf("after the end: %v", err)
	}
	if text, _ := os.ReadFile(n.log); !bytes.Contains(text, []byte("ingress/default/web")) {
		t.Errorf("no request is in the log:\n%s", text)
	}
}

package agentapi

import (
	"bufio"
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"errors"
	"io"
	"log/slog"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"bonsai/bootstrap/cluster"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// fixture is a served agent and the certificates to talk to it.
type fixture struct {
	addr string
	ca   *authority
	stop func() error
}

type fakeImages struct{}

func (fakeImages) Images(context.Context) ([]cluster.NodeImage, error) {
	return []cluster.NodeImage{{Name: "docker.io/library/a:1", Loaded: true}}, nil
}

func serve(t testing.TB) *fixture {
	t.Helper()
	f := &fixture{ca: newAuthority(t)}
	dir := t.TempDir()
	f.ca.issue(t, dir, "agent", pkix.Name{CommonName: "bonsai:agent:n1", Organization: []string{"bonsai:agents"}})
	cfg, err := TLSConfig(dir)
	if err != nil {
		t.Fatal(err)
	}
	s := New(Config{
		Allowed: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/30")}, Denied: []netip.Addr{netip.MustParseAddr("127.0.0.2")},
		DialTimeout: 10 * time.Second, Images: fakeImages{}, Log: slog.New(slog.DiscardHandler),
		State: func(context.Context) State {
			return State{Node: "n1", Components: []cluster.Component{{Name: "containerd", Phase: cluster.PhaseRunning}}}
		},
	})
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	f.addr = l.Addr().String()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- s.ServeTLS(ctx, l, cfg) }()
	stopped := false
	f.stop = func() error {
		if stopped {
			return nil
		}
		stopped = true
		cancel()
		return <-done
	}
	t.Cleanup(func() {
		if err := f.stop(); err != nil {
			t.Errorf("serve ended with %v", err)
		}
	})
	return f
}

// dial does a TLS handshake as a client of this organization and reads one byte's worth of its outcome: in TLS 1.3
// a refused client learns of it only when it reads.
func (f *fixture) dial(t testing.TB, org string) *tls.Conn {
	t.Helper()
	dir := t.TempDir()
	f.ca.issue(t, dir, "client", pkix.Name{CommonName: "client", Organization: []string{org}})
	cert, err := tls.LoadX509KeyPair(filepath.Join(dir, "client.crt"), filepath.Join(dir, "client.key"))
	if err != nil {
		t.Fatal(err)
	}
	c, err := tls.Dial("tcp", f.addr, &tls.Config{RootCAs: f.ca.pool, ServerName: "n1", Certificates: []tls.Certificate{cert}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	if err := c.SetDeadline(time.Now().Add(20 * time.Second)); err != nil {
		t.Fatal(err)
	}
	return c
}

func request(t testing.TB, c *tls.Conn, method, path, body string) (*http.Response, *bufio.Reader) {
	t.Helper()
	req := &http.Request{Method: method, Host: "agent", URL: &url.URL{Path: path}}
	if method == http.MethodConnect {
		req.Host, req.URL = path, &url.URL{Opaque: path}
	} else {
		req.Body, req.ContentLength = io.NopCloser(strings.NewReader(body)), int64(len(body))
	}
	if err := req.Write(c); err != nil {
		t.Fatal(err)
	}
	r := bufio.NewReader(c)
	resp, err := http.ReadResponse(r, req)
	if err != nil {
		t.Fatal(err)
	}
	return resp, r
}

func text(t *testing.T, resp *http.Response) string {
	t.Helper()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func TestOnlyDaemonsGetIn(t *testing.T) {
	f := serve(t)
	c := f.dial(t, "system:nodes")
	if _, err := io.WriteString(c, "GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n"); err == nil {
		if _, err = c.Read(make([]byte, 1)); err == nil {
			t.Error("a node's certificate was let in")
		}
	}
	resp, _ := request(t, f.dial(t, daemons), http.MethodGet, "/healthz", "")
	if got := text(t, resp); got != "ok" {
		t.Errorf("healthz says %q", got)
	}
}

func TestState(t *testing.T) {
	f := serve(t)
	resp, _ := request(t, f.dial(t, daemons), http.MethodGet, "/v1/state", "")
	var got State
	if err := json.NewDecoder(resp.Body).Decode(&got); err != nil {
		t.Fatal(err)
	}
	if got.Node != "n1" || len(got.Components) != 1 || got.Components[0].Phase != cluster.PhaseRunning {
		t.Errorf("got %+v", got)
	}
}

func TestUsage(t *testing.T) {
	var failed error
	api := New(Config{Log: slog.New(slog.DiscardHandler), Usage: func() (cluster.NodeCounters, error) {
		return cluster.NodeCounters{CPU: time.Second, Pods: []cluster.PodCounters{{UID: "a", CPU: time.Millisecond}}}, failed
	}}).api()
	ask := func() *httptest.ResponseRecorder {
		w := httptest.NewRecorder()
		api.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/v1/usage", nil))
		return w
	}
	var got cluster.NodeCounters
	if err := json.NewDecoder(ask().Body).Decode(&got); err != nil || got.CPU != time.Second || len(got.Pods) != 1 || got.Pods[0].UID != "a" {
		t.Errorf("got %+v, %v", got, err)
	}
	failed = errors.New("no cgroups")
	if w := ask(); w.Code != http.StatusInternalServerError || !strings.Contains(w.Body.String(), "no cgroups") {
		t.Errorf("an error answers %d %s", w.Code, w.Body)
	}
}

func TestImages(t *testing.T) {
	f := serve(t)
	resp, _ := request(t, f.dial(t, daemons), http.MethodGet, "/v1/images", "")
	var got []cluster.NodeImage
	if err := json.NewDecoder(resp.Body).Decode(&got); err != nil || len(got) != 1 || got[0].Name != "docker.io/library/a:1" || !got[0].Loaded {
		t.Errorf("got %+v, %v", got, err)
	}
}

func TestConnectRefusesWhatIsOutside(t *testing.T) {
	f := serve(t)
	for _, target := range []string{"192.0.2.1:80", "127.0.0.2:80", "[::1]:80", "localhost:80"} {
		resp, _ := request(t, f.dial(t, daemons), http.MethodConnect, target, "")
		if resp.StatusCode != http.StatusForbidden {
			t.Errorf("CONNECT %s answers %d", target, resp.StatusCode)
		}
	}
	// A port that nobody listens on: the target's fault, not the agent's.
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_ = l.Close()
	if resp, _ := request(t, f.dial(t, daemons), http.MethodConnect, l.Addr().String(), ""); resp.StatusCode != http.StatusBadGateway {
		t.Errorf("CONNECT to a closed port answers %d", resp.StatusCode)
	}
}

// echoAtEnd listens, reads to the end of what the first client sends, and only then answers with it.
func echoAtEnd(t *testing.T) net.Addr {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		c, err := l.Accept()
		if err != nil {
			return
		}
		defer c.Close()
		b, _ := io.ReadAll(c)
		_, _ = c.Write(b)
	}()
	t.Cleanup(func() { _ = l.Close(); <-done })
	return l.Addr()
}

func TestConnectPassesHalfCloseOn(t *testing.T) {
	f := serve(t)
	c := f.dial(t, daemons)
	resp, r := request(t, c, http.MethodConnect, echoAtEnd(t).String(), "")
	if resp.StatusCode != http.StatusOK {
		t.Fatalf("CONNECT answers %d", resp.StatusCode)
	}
	sent := bytes.Repeat([]byte("0123456789abcdef"), 64<<10) // 1 MiB: more than all buffers on the way
	if _, err := c.Write(sent); err != nil {
		t.Fatal(err)
	}
	if err := c.CloseWrite(); err != nil {
		t.Fatal(err)
	}
	got, err := io.ReadAll(r)
	if err != nil || !bytes.Equal(got, sent) {
		t.Errorf("%d bytes came back (%v), want the %d that were sent", len(got), err, len(sent))
	}
}

func TestStopEndsTunnels(t *testing.T) {
	f := serve(t)
	c := f.dial(t, daemons)
	resp, r := request(t, c, http.MethodConnect, echoAtEnd(t).String(), "")
	if resp.StatusCode != http.StatusOK {
		t.Fatalf("CONNECT answers %d", resp.StatusCode)
	}
	if err := f.stop(); err != nil { // would hang if the tunnel did not end
		t.Fatal(err)
	}
	if _, err := r.ReadByte(); err == nil {
		t.Error("the tunnel still delivers")
	}
}

func TestLocalSocket(t *testing.T) {
	socket := filepath.Join(t.TempDir(), "s")
	if err := os.WriteFile(socket, nil, 0o600); err != nil { // left by an agent that was killed
		t.Fatal(err)
	}
	l, err := ListenUnix(socket)
	if err != nil {
		t.Fatal(err)
	}
	s := New(Config{Log: slog.New(slog.DiscardHandler), State: func(context.Context) State { return State{Node: "n1"} }})
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- s.ServeLocal(ctx, l) }()
	if got, err := NewClient(socket).State(ctx); err != nil || got.Node != "n1" {
		t.Errorf("state is %+v (%v)", got, err)
	}
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
}

// BenchmarkTunnel sends into a pod through the agent, as "kubectl cp" does; both ends of TLS are in this process.
func BenchmarkTunnel(b *testing.B) {
	f := serve(b)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		if c, err := l.Accept(); err == nil {
			_, _ = io.Copy(io.Discard, c)
			_ = c.Close()
		}
	}()
	defer func() { _ = l.Close(); <-done }()
	c := f.dial(b, daemons)
	if resp, _ := request(b, c, http.MethodConnect, l.Addr().String(), ""); resp.StatusCode != http.StatusOK {
		b.Fatalf("CONNECT answers %d", resp.StatusCode)
	}
	chunk := make([]byte, 1<<20)
	b.SetBytes(int64(len(chunk)))
	for b.Loop() {
		if _, err := c.Write(chunk); err != nil {
			b.Fatal(err)
		}
	}
	_ = c.Close()
}

// authority issues throw-away certificates.
type authority struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
	pool *x509.CertPool
}

func newAuthority(t testing.TB) *authority {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	tmpl := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "ca"}, NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, tmpl, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AddCert(cert)
	return &authority{cert, key, pool}
}

func (a *authority) issue(t testing.TB, dir, name string, subject pkix.Name) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.CreateCertificate(rand.Reader, &x509.Certificate{
		SerialNumber: big.NewInt(2), Subject: subject, NotAfter: time.Now().Add(time.Hour), DNSNames: []string{"n1"},
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth, x509.ExtKeyUsageServerAuth},
	}, a.cert, key.Public(), a.key)
	if err != nil {
		t.Fatal(err)
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	for file, block := range map[string]*pem.Block{
		name + ".crt": {Type: "CERTIFICATE", Bytes: der},
		name + ".key": {Type: "PRIVATE KEY", Bytes: keyDER},
		"ca.crt":      {Type: "CERTIFICATE", Bytes: a.cert.Raw},
	} {
		if err := os.WriteFile(filepath.Join(dir, file), pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

func TestPartsAnswerAtAndBelowTheirName(t *testing.T) {
	seen := ""
	api := New(Config{Log: slog.New(slog.DiscardHandler), Parts: map[string]http.Handler{
		"thing": http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { seen = r.Method + " " + r.URL.EscapedPath() }),
	}}).api()
	for path, want := range map[string]string{
		"/v1/thing": "PUT /", "/v1/thing/": "PUT /", "/v1/thing/a/b": "PUT /a/b", "/v1/thing/..%2Fx": "PUT /..%2Fx", "/v1/other": "", "/v1/things": "",
	} {
		seen = ""
		api.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest(http.MethodPut, path, nil))
		if seen != want {
			t.Errorf("%s: the part sees %q, want %q", path, seen, want)
		}
	}
}

package names

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"bonsai/bootstrap/cluster"
	"bonsai/bootstrap/fault"
	"bonsai/bootstrap/localca"
	"bonsai/bootstrap/servicename"
	"bonsai/bootstrap/wait"
	"bonsai/controlplane/observe/services"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// limit is how long anything may take on a busy machine.
const limit = 30 * time.Second

// world is a cluster: what it has, and where its addresses really are.
type world struct {
	t         *testing.T
	services  []services.Service
	endpoints map[string][]services.Endpoint
	// apps are listeners by address in the cluster.
	apps map[string]string
	down error // why the control plane does not answer
	mu   sync.Mutex
	kept int
	uses int
	// stranger is why nobody may use it.
	stranger error
	scale    wait.Scale // 0 is 1
	ca       string     // the folder of the local CA
	issuer   *localca.Issuer
}

func (w *world) Service(_ context.Context, namespace, name string) (services.Service, bool, error) {
	for _, s := range w.services {
		if s.Namespace == namespace && s.Name == name {
			return s, true, w.down
		}
	}
	return services.Service{}, false, w.down
}
func (w *world) Services(context.Context) ([]services.Service, error) { return w.services, w.down }
func (w *world) Endpoints(_ context.Context, namespace, name string) ([]services.Endpoint, error) {
	return w.endpoints[namespace+"/"+name], w.down
}

// refusal is an error of what is behind a node.
type refusal struct{}

func (refusal) Error() string { return "agent answers 502 Bad Gateway: connect: connection refused" }
func (refusal) Refused() bool { return true }

func (w *world) dial(ctx context.Context, network, address string) (net.Conn, error) {
	real, ok := w.apps[address]
	if !ok {
		return nil, fmt.Errorf("dial %s through node dev-1: %w", address, refusal{})
	}
	return new(net.Dialer).DialContext(ctx, network, real)
}

// app adds a Service with one port, behind which is a handler; h2c for one that speaks only HTTP/2.
func (w *world) app(name string, port servicename.Port, server *httptest.Server) {
	ip := netip.AddrFrom4([4]byte{10, 96, 0, byte(len(w.services) + 1)})
	w.services = append(w.services, services.Service{Namespace: "shop", Name: name, IP: ip, Ports: []servicename.Port{port}})
	if server != nil {
		w.apps[netip.AddrPortFrom(ip, uint16(port.Number)).String()] = server.Listener.Addr().String()
		w.t.Cleanup(server.Close)
	}
}

func plain(h http.HandlerFunc) *httptest.Server { return httptest.NewServer(h) }

func hello(text string) *httptest.Server {
	return plain(func(w http.ResponseWriter, r *http.Request) { fmt.Fprintf(w, "%s %s %s", text, r.Host, r.Proto) })
}

func newWorld(t *testing.T) *world {
	t.Helper()
	ca := t.TempDir()
	return &world{t: t, endpoints: map[string][]services.Endpoint{}, apps: map[string]string{}, kept: freePort(t), ca: ca, issuer: localca.NewIssuer(ca)}
}

func freePort(t *testing.T) int {
	t.Helper()
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port
}

func spec() cluster.Spec {
	return cluster.Spec{Name: "dev", Nodes: []cluster.Node{{Name: "dev-1", Index: 1}}}
}

// serve serves the names of the world at its port.
func (w *world) serve(s cluster.Spec) *Server {
	w.t.Helper()
	server := New(Options{
		Directory: w, Dial: w.dial, Log: slog.New(slog.DiscardHandler), Scale: cmp.Or(w.scale, 1),
		Use: func(context.Context, string) (func(), error) {
			w.mu.Lock()
			defer w.mu.Unlock()
			w.uses++
			return func() { w.mu.Lock(); w.uses--; w.mu.Unlock() }, nil
		},
		MayUse: func(net.Conn) error {
			w.mu.Lock()
			defer w.mu.Unlock()
			return w.stranger
		},
		Kept: func() int { return w.kept }, Keep: func(p int) error { w.kept = p; return nil },
		Elsewhere:   func(name string) (int, bool) { return 8099, name == "other" },
		Certificate: w.issuer.Certificate,
	})
	w.t.Cleanup(server.Close)
	server.Apply(s)
	return server
}

// refuse has the server serve nobody, for that reason.
func (w *world) refuse(why error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.stranger = why
}

// client asks the names' port, whatever the host of a URL.
func (w *world) client(protocols *http.Protocols) *http.Client {
	tr := &http.Transport{Protocols: protocols, DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, network, fmt.Sprint("127.0.0.1:", w.kept))
	}}
	w.t.Cleanup(tr.CloseIdleConnections)
	return &http.Client{Transport: tr, Timeout: limit, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
}

func (w *world) get(url string, header ...string) (status int, body string) {
	w.t.Helper()
	r, err := http.NewRequestWithContext(w.t.Context(), http.MethodGet, url, nil)
	if err != nil {
		w.t.Fatal(err)
	}
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	resp, err := w.client(nil).Do(r)
	if err != nil {
		w.t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		w.t.Fatal(err)
	}
	return resp.StatusCode, string(text)
}

func TestNamesLeadToServices(t *testing.T) {
	w := newWorld(t)
	w.app("web", servicename.Port{Name: "http", Number: 80}, hello("web"))
	w.services[0].Ports = append(w.services[0].Ports, servicename.Port{Name: "admin", Number: 8081})
	admin := hello("admin")
	defer admin.Close()
	w.apps["10.96.0.1:8081"] = admin.Listener.Addr().String()
	w.app("a--b", servicename.Port{Number: 80}, hello("dashes"))
	w.app("secure", servicename.Port{Name: "https", Number: 8443}, httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(w, "TLS %t", r.TLS != nil)
	})))
	// A Service without an address: its pods are asked.
	w.services = append(w.services, services.Service{Namespace: "shop", Name: "db", Ports: []servicename.Port{{Name: "http", Number: 80}}})
	pod := hello("pod")
	defer pod.Close()
	w.apps["10.244.1.2:8000"] = pod.Listener.Addr().String()
	ports := map[string]int{"http": 8000}
	w.endpoints["shop/db"] = []services.Endpoint{
		{IP: netip.MustParseAddr("10.244.1.2"), Host: "db-0", Ready: true, Ports: ports},
		{IP: netip.MustParseAddr("10.244.1.3"), Host: "db-1", Ports: ports},
	}
	w.serve(spec())
	for url, want := range map[string]string{
		"http://web.shop.localhost/":            "web web.shop.localhost HTTP/1.1",
		"http://WEB.shop.localhost:8080/":       "web WEB.shop.localhost:8080 HTTP/1.1",
		"http://web.shop.dev.localhost/":        "web web.shop.dev.localhost HTTP/1.1",
		"http://admin--web.shop.localhost/":     "admin admin--web.shop.localhost HTTP/1.1",
		"http://8081--web.shop.dev.localhost/":  "admin 8081--web.shop.dev.localhost HTTP/1.1",
		"http://a--b.shop.localhost/":           "dashes a--b.shop.localhost HTTP/1.1",
		"http://80--a--b.shop.localhost/":       "dashes 80--a--b.shop.localhost HTTP/1.1",
		"http://secure.shop.localhost/":         "TLS true",
		"http://db.shop.localhost/":             "pod db.shop.localhost HTTP/1.1",
		"http://db-0.db.shop.dev.localhost/":    "pod db-0.db.shop.dev.localhost HTTP/1.1",
		"http://80--db-0.db.shop.dev.localhost": "pod 80--db-0.db.shop.dev.localhost HTTP/1.1",
	} {
		if status, body := w.get(url); status != 200 || body != want {
			t.Errorf("%s: %d %q, want %q", url, status, body, want)
		}
	}
	if w.uses != 0 {
		t.Errorf("%d uses have not ended", w.uses)
	}
}

func TestWhatIsWrongIsSaid(t *testing.T) {
	w := newWorld(t)
	w.app("web", servicename.Port{Name: "http", Number: 80}, nil)
	w.app("starting", servicename.Port{Name: "http", Number: 80}, nil)
	w.app("empty", servicename.Port{Name: "http", Number: 80}, nil)
	w.app("dns", servicename.Port{Number: 53, Protocol: "UDP"}, nil)
	w.app("db", servicename.Port{Number: 5432}, nil)
	raw, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer raw.Close()
	go func() {
		for {
			c, err := raw.Accept()
			if err != nil {
				return
			}
			_, _ = io.WriteString(c, "this is not HTTP\r\n\r\n")
			c.Close()
		}
	}()
	w.apps["10.96.0.5:5432"] = raw.Addr().String()
	w.services = append(w.services, services.Service{Namespace: "shop", Name: "docs", External: "docs.test", Ports: []servicename.Port{{Number: 80}}})
	at := []services.Endpoint{{IP: netip.MustParseAddr("10.244.1.2"), Ready: true}}
	w.endpoints["shop/web"], w.endpoints["shop/db"] = at, at
	w.endpoints["shop/starting"] = []services.Endpoint{{IP: netip.MustParseAddr("10.244.1.2")}}
	w.serve(spec())
	for _, test := range []struct {
		url    string
		status int
		has    []string
	}{
		{"http://web.shop.localhost", 502, []string{"The app behind Service shop/web refuses the connection", "nothing listens", "kubectl"}},
		{"http://starting.shop.localhost", 503, []string{"No pod of Service shop/starting is ready", "of its 1 pods none is ready"}},
		{"http://empty.shop.localhost", 503, []string{"Service shop/empty has no pods", "selector"}},
		{"http://db.shop.localhost", 502, []string{"Port 5432 of Service shop/db does not speak HTTP", "bonsai port add"}},
		{"http://dns.shop.localhost", 404, []string{"has no port for TCP", "53/UDP"}},
		{"http://admin--web.shop.localhost", 404, []string{"Service shop/web has no port admin", "http 80/TCP"}},
		{"http://docs.shop.localhost", 502, []string{"another name of docs.test"}},
		{"http://wbe.shop.localhost", 404, []string{"Namespace shop has no Service wbe", "http://web.shop.localhost"}},
		{"http://web.shpo.localhost", 404, []string{"http://web.shop.localhost"}},
		{"http://web.shop.other.localhost", 404, []string{"This is the port of cluster dev", "http://web.shop.other.localhost:8099/"}},
		{"http://web.shop.gone.localhost", 404, []string{"no port is known"}},
		{"http://evil.test", 421, []string{`"evil.test" is not the name of a Service`}},
		{"http://bonsai-dashboard-dev.localhost", 421, []string{"those of dashboards"}},
		{"http://web.shop.bonsai-dashboard-ci.localhost", 421, []string{"those of dashboards"}},
		{"http://10.96.0.1", 421, []string{"is not the name of a Service"}},
		{"http://a.b.c.d.e.localhost", 421, []string{"more parts"}},
		{"http://localhost/nothing", 421, nil},
		{"http://localhost/", 200, []string{"http://web.shop.localhost"}},
		{"http://127.0.0.1/", 200, []string{"Services of cluster dev"}},
	} {
		status, body := w.get(test.url)
		if status != test.status {
			t.Errorf("%s: %d, want %d: %s", test.url, status, test.status, body)
		}
		for _, text := range test.has {
			if !strings.Contains(body, text) {
				t.Errorf("%s: %q is not in %s", test.url, text, body)
			}
		}
	}
	w.down = fault.Newf(fault.NotRunning, "the control plane of dev is still starting")
	if status, body := w.get("http://web.shop.localhost"); status != 503 || !strings.Contains(body, "still starting") {
		t.Errorf("without a control plane: %d %s", status, body)
	}
	w.down = nil
	w.refuse(errors.New("it belongs to the user with ID 7"))
	for _, protocols := range []func(*http.Protocols){func(p *http.Protocols) { p.SetHTTP1(true) }, func(p *http.Protocols) { p.SetUnencryptedHTTP2(true) }} {
		p := new(http.Protocols)
		protocols(p)
		resp, err := w.client(p).Get("http://web.shop.localhost")
		if err != nil {
			t.Fatal(err)
		}
		body, _ := io.ReadAll(resp.Body)
		resp.Body.Close()
		if resp.StatusCode != 403 || !strings.Contains(string(body), "ID 7") {
			t.Errorf("another user, %s: %d %s", resp.Proto, resp.StatusCode, body)
		}
	}
}

// What a page shows may come from whoever has a browser send requests.
func TestPagesAreHarmless(t *testing.T) {
	w := newWorld(t)
	w.serve(spec())
	c, err := net.Dial("tcp", fmt.Sprint("127.0.0.1:", w.kept))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	fmt.Fprint(c, "GET / HTTP/1.1\r\nHost: <script>alert(1)</script>\r\nAccept: text/html\r\nConnection: close\r\n\r\n")
	answer, err := io.ReadAll(c)
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(string(answer), "<script>") {
		t.Errorf("the page has a script:\n%s", answer)
	}
	status, body := w.get("http://nothing.localhost", "Accept", "text/html,*/*")
	if status != 404 || !strings.Contains(body, "<h1>Namespace default has no Service nothing</h1>") {
		t.Errorf("%d %s", status, body)
	}
}

// What is not HTTP any more ends with the listeners, too: a user who disables the names has nothing left open.
func TestWebSocketsEndWithTheListeners(t *testing.T) {
	for name, end := range map[string]func(*Server){
		"closed": (*Server).Close,
		"disabled": func(s *Server) {
			off := spec()
			off.Addons = map[string]bool{cluster.NamesAddon: false}
			s.Apply(off)
		},
	} {
		t.Run(name, func(t *testing.T) { testWebSocketsEnd(t, end) })
	}
}

func testWebSocketsEnd(t *testing.T, end func(*Server)) {
	t.Helper()
	w := newWorld(t)
	w.app("chat", servicename.Port{Name: "http", Number: 80}, plain(func(w http.ResponseWriter, r *http.Request) {
		c, _, err := http.NewResponseController(w).Hijack()
		if err != nil {
			return
		}
		defer c.Close()
		fmt.Fprintf(c, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: %s\r\n\r\n", r.Header.Get("Upgrade"))
		_, _ = io.Copy(c, c)
	}))
	server := w.serve(spec())
	c, err := net.Dial("tcp", fmt.Sprint("127.0.0.1:", w.kept))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(limit))
	fmt.Fprint(c, "GET / HTTP/1.1\r\nHost: chat.shop.localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
	in := bufio.NewReader(c)
	resp, err := http.ReadResponse(in, nil)
	if err != nil || resp.StatusCode != 101 || resp.Header.Get("Upgrade") != "websocket" {
		t.Fatalf("%+v, %v", resp, err)
	}
	fmt.Fprint(c, "ping\n")
	if line, err := in.ReadString('\n'); line != "ping\n" {
		t.Fatalf("%q, %v", line, err)
	}
	end(server)
	if _, err := in.ReadByte(); err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("after the end of the server: %v", err)
	}
	server.Close() // which waits
	if w.uses != 0 {
		t.Errorf("%d uses have not ended", w.uses)
	}
}

func TestHTTP2(t *testing.T) {
	w := newWorld(t)
	only := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Trailer", "Grpc-Status")
		fmt.Fprint(w, r.Proto)
		w.Header().Set("Grpc-Status", "0")
	}))
	only.Config.Protocols = new(http.Protocols)
	only.Config.Protocols.SetUnencryptedHTTP2(true)
	only.Start()
	w.app("rpc", servicename.Port{Name: "grpc", Number: 80}, only)
	w.app("web", servicename.Port{Name: "http", Number: 80}, hello("web"))
	w.serve(spec())
	p := new(http.Protocols)
	p.SetUnencryptedHTTP2(true)
	for url, want := range map[string]string{"http://rpc.shop.localhost": "HTTP/2.0", "http://web.shop.localhost": "web web.shop.localhost HTTP/1.1"} {
		resp, err := w.client(p).Get(url)
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(resp.Body)
		resp.Body.Close()
		if err != nil || resp.ProtoMajor != 2 || string(body) != want {
			t.Errorf("%s: %s %q, %v; want %q", url, resp.Proto, body, err, want)
		}
		if strings.Contains(url, "rpc") && resp.Trailer.Get("Grpc-Status") != "0" {
			t.Errorf("trailers are %v", resp.Trailer)
		}
	}
}

func TestLargeBodies(t *testing.T) {
	w := newWorld(t)
	w.app("files", servicename.Port{Name: "http", Number: 80}, plain(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/no" {
			http.Error(w, "too large", http.StatusRequestEntityTooLarge)
			return
		}
		n, err := io.Copy(io.Discard, r.Body)
		fmt.Fprint(w, n, " ", err)
	}))
	w.serve(spec())
	const size = 64 << 20
	for path, want := range map[string]string{"/": "67108864 <nil>", "/no": "too large\n"} {
		resp, err := w.client(nil).Post("http://files.shop.localhost"+path, "application/octet-stream", bytes.NewReader(make([]byte, size)))
		if err != nil {
			t.Fatal(err)
		}
		body, _ := io.ReadAll(resp.Body)
		resp.Body.Close()
		if string(body) != want {
			t.Errorf("%s: %d %q", path, resp.StatusCode, body)
		}
	}
}

func TestThePortStaysAndGivesWay(t *testing.T) {
	w := newWorld(t)
	first := w.kept
	s := w.serve(spec())
	if got := s.Status(); !got.Open || got.Port != first {
		t.Fatalf("%+v, want %d", got, first)
	}
	s.Apply(spec())
	if got := s.Status(); got.Port != first {
		t.Errorf("a plan like before moves it to %d", got.Port)
	}
	busy := spec()
	busy.Ports = []cluster.Port{{Port: first, Protocol: "tcp"}}
	s.Apply(busy)
	moved := s.Status()
	if !moved.Open || moved.Port == first {
		t.Errorf("%+v, although the plan has a port %d", moved, first)
	}
	l, err := net.Listen("tcp4", fmt.Sprint("127.0.0.1:", first))
	if err != nil {
		t.Errorf("the port is still served: %v", err)
	} else {
		defer l.Close()
	}
	s.Apply(spec())
	if got := s.Status(); got.Port != moved.Port || !got.Open {
		t.Errorf("%+v, want %+v: it goes nowhere without need", got, moved)
	}
	fixed := spec()
	fixed.AddonValues = map[string]map[string]string{cluster.NamesAddon: {cluster.NamesPortSetting: strconv.Itoa(first)}}
	s.Apply(fixed) // which is taken
	if got := s.Status(); got.Open || !strings.Contains(got.Reason, "in use") {
		t.Errorf("a port that is taken: %+v", got)
	}
	off := spec()
	off.Addons = map[string]bool{cluster.NamesAddon: false}
	s.Apply(off)
	if got := s.Status(); got.Open || !strings.Contains(got.Reason, "disabled") {
		t.Errorf("disabled: %+v", got)
	}
	s.Apply(spec())
	if got := s.Status(); got.Port != moved.Port || !got.Open {
		t.Errorf("enabled again: %+v, want %+v", got, moved)
	}
}

func TestPortsInOrder(t *testing.T) {
	if got := choose(0, nil); got[0] != 80 || got[1] != 8080 || got[2] != 0 {
		t.Errorf("got %v", got)
	}
	if got := choose(34567, []int{80}); got[0] != 34567 || got[1] != 8080 || got[2] != 0 {
		t.Errorf("got %v", got)
	}
	if got := choose(8080, []int{8080}); got[0] != 80 || got[1] != 0 {
		t.Errorf("got %v", got)
	}
}

package traffic

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"reflect"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/health"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/status"
	"google.golang.org/grpc/test/bufconn"

	"bonsai/bootstrap/cluster"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const loopback = "loopback"

// asked is a request of somebody with this certificate, or without one if cn is empty.
func asked(cn, agent, target string) *http.Request {
	r := httptest.NewRequest(http.MethodGet, target, nil)
	r.TLS = &tls.ConnectionState{}
	if cn != "" {
		r.TLS.PeerCertificates = []*x509.Certificate{{Subject: pkix.Name{CommonName: cn}}}
	}
	r.Header.Set("User-Agent", agent)
	return r
}

func TestCallers(t *testing.T) {
	const controller = "bonsai/v1.37.2 (linux/amd64) kubernetes/abc/system:serviceaccount:kube-system:deployment-controller"
	for _, c := range []struct {
		cn, agent string
		want      caller
	}{
		{"system:node:dev-1", "kubelet/v1", kubelet},
		{"system:kube-scheduler", "bonsai/v1 (linux/amd64) kubernetes/abc/scheduler", scheduler},
		{"system:kube-controller-manager", "x", controllerManager},
		{"", controller, controllerManager},
		{"kubernetes-admin", controller, clients}, // kubectl with a strange name
		{"system:kube-proxy", "kube-proxy/v1", clients},
		{"bonsai:agent:dev-1", "bonsai-agent", clients},
		{"", "kubectl/v1 (linux/amd64) kubernetes/abc", clients},
		{"", "", clients},
	} {
		if got := callerOf(asked(c.cn, c.agent, "/"), loopback); got != c.want {
			t.Errorf("%q with %q is %s, want %s", c.cn, c.agent, names[got], names[c.want])
		}
	}
	r := asked("", "bonsai/v1", "/")
	r.TLS.ServerName = loopback
	if got := callerOf(r, loopback); got != apiServer {
		t.Errorf("the loopback client is %s", names[got])
	}
	r.TLS = nil
	if got := callerOf(r, loopback); got != clients {
		t.Errorf("without TLS it is %s", names[got])
	}
}

func TestKinds(t *testing.T) {
	for target, want := range map[string]kind{
		"/api/v1/pods": short,
		"/api/v1/pods?allowWatchBookmarks=true&watch=true&resourceVersion=1": watch,
		"/api/v1/pods?watch=1":                                          watch,
		"/api/v1/pods?watch=false":                                      short,
		"/api/v1/pods?unwatch=true":                                     short,
		"/api/v1/pods?x=watch=true1&watch=true":                         watch,
		"/api/v1/watch/pods":                                            watch,
		"/api/v1/namespaces/a/pods/watch":                               short,
		"/api/v1/namespaces/a/pods/b/log":                               short,
		"/api/v1/namespaces/a/pods/b/log?container=c&follow=true":       stream,
		"/api/v1/namespaces/a/pods/b/exec?command=ls":                   stream,
		"/api/v1/namespaces/a/pods/b/attach":                            stream,
		"/api/v1/namespaces/a/pods/b/portforward":                       stream,
		"/api/v1/namespaces/a/services/b/proxy":                         stream,
		"/api/v1/namespaces/a/services/b/proxy/metrics":                 stream,
		"/apis/apps/v1/namespaces/a/deployments/b?fieldManager=kubectl": short,
	} {
		if got := kindOf(httptest.NewRequest(http.MethodGet, target, nil)); got != want {
			t.Errorf("%s is of kind %d, want %d", target, got, want)
		}
	}
}

// TestRequests serves some and looks at the figures, in the middle and at the end.
func TestRequests(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var c Counters
		h := c.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			d, _ := time.ParseDuration(r.Header.Get("Takes"))
			time.Sleep(d)
			switch r.Method {
			case http.MethodDelete:
				panic(http.ErrAbortHandler)
			case http.MethodPut:
				w.WriteHeader(http.StatusTooManyRequests)
				w.WriteHeader(http.StatusOK) // comes too late
			case http.MethodPost:
				w.WriteHeader(http.StatusCreated)
			}
		}), loopback)
		serve := func(method, cn, target, takes string) {
			r := asked(cn, "", target)
			r.Method = method
			r.Header.Set("Takes", takes)
			go func() {
				defer func() { _ = recover() }()
				h.ServeHTTP(httptest.NewRecorder(), r)
			}()
		}
		before := c.Read()
		for range 98 {
			serve(http.MethodPost, "system:node:a", "/api/v1/pods", "1ms")
		}
		serve(http.MethodPut, "system:node:b", "/api/v1/pods", "1s")
		serve(http.MethodDelete, "system:node:b", "/api/v1/pods", "1s")
		serve(http.MethodGet, "system:kube-scheduler", "/api/v1/pods?watch=true", "1m")
		serve(http.MethodPut, "system:kube-scheduler", "/api/v1/pods?watch=true", "0s")
		time.Sleep(500 * time.Millisecond)
		if r := c.Read(); r.Watches != 1 || r.Inflight != 2 {
			t.Errorf("%d watches and %d requests are open", r.Watches, r.Inflight)
		}
		time.Sleep(9500 * time.Millisecond)
		after := c.Read()
		got := Between(before, after, 10*time.Second)
		got[kubelet].P99 = got[kubelet].P99.Round(50 * time.Millisecond)
		want := []cluster.Link{
			{From: "clients", To: "kube-apiserver", P50: -1, P99: -1},
			{From: "kubelet", To: "kube-apiserver", Rate: 10, Errors: 0.1, P50: 960 * time.Microsecond, P99: time.Second},
			{From: "kube-scheduler", To: "kube-apiserver", Rate: 0.2, Errors: 0.1, P50: -1, P99: -1},
			{From: "kube-controller-manager", To: "kube-apiserver", P50: -1, P99: -1},
			{From: "kube-apiserver", To: "kube-apiserver", P50: -1, P99: -1},
			{From: "kube-apiserver", To: "etcd", P50: -1, P99: -1},
		}
		if !reflect.DeepEqual(got, want) {
			t.Errorf("got  %+v\nwant %+v", got, want)
		}
		time.Sleep(time.Minute)
		if r := c.Read(); r.Watches != 0 || r.Inflight != 0 {
			t.Errorf("%d watches and %d requests are left", r.Watches, r.Inflight)
		}
	})
}

// TestWhatTheWriterCan stays as it was: watches flush, exec takes the connection over.
func TestWhatTheWriterCan(t *testing.T) {
	var c Counters
	for _, http2 := range []bool{false, true} {
		s := httptest.NewUnstartedServer(c.Handler(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			_, flusher := w.(http.Flusher)
			_, hijacker := w.(http.Hijacker)
			err := http.NewResponseController(w).SetWriteDeadline(time.Now().Add(time.Minute))
			if !flusher || hijacker == http2 || err != nil {
				t.Errorf("HTTP/2 %v: flusher %v, hijacker %v, deadline %v", http2, flusher, hijacker, err)
			}
		}), loopback))
		s.EnableHTTP2 = http2
		s.StartTLS()
		resp, err := s.Client().Get(s.URL)
		if err != nil {
			t.Fatal(err)
		}
		_ = resp.Body.Close()
		s.Close()
	}
	if links := Between(Reading{links: make([]linkReading, callers+1)}, c.Read(), time.Second); links[clients].Rate != 2 || links[clients].Errors != 0 {
		t.Errorf("got %+v", links[clients])
	}
}

func TestBucketsAreContiguous(t *testing.T) {
	last := 0
	for us := range int64(1 << 20) {
		b := bucket(time.Duration(us) * time.Microsecond)
		if b != last && b != last+1 {
			t.Fatalf("%dµs is in bucket %d after %d", us, b, last)
		}
		last = b
		if off := float64(middle(b))/float64(us*1000+500) - 1; us > 0 && (off > 0.13 || off < -0.13) {
			t.Fatalf("%dµs counts as %s", us, middle(b))
		}
	}
	for d, want := range map[time.Duration]int{-1: 0, 0: 0, time.Hour: buckets - 1, 1<<63 - 1: buckets - 1} {
		if got := bucket(d); got != want {
			t.Errorf("%s is in bucket %d, want %d", d, got, want)
		}
	}
}

func TestQuantile(t *testing.T) {
	var none, one, many [buckets]uint64
	one[bucket(time.Millisecond)] = 1
	for us := range 1000 {
		many[bucket(time.Duration(us)*time.Microsecond)]++
	}
	for _, c := range []struct {
		counts     *[buckets]uint64
		q          float64
		from, most time.Duration
	}{
		{&none, 0.5, -1, -1},
		{&one, 0.5, 880 * time.Microsecond, 1120 * time.Microsecond},
		{&one, 0.99, 880 * time.Microsecond, 1120 * time.Microsecond},
		{&many, 0.5, 440 * time.Microsecond, 560 * time.Microsecond},
		{&many, 0.99, 880 * time.Microsecond, 1120 * time.Microsecond},
	} {
		if got := quantile(c.counts, c.q); got < c.from || got > c.most {
			t.Errorf("p%v is %s, want %s to %s", 100*c.q, got, c.from, c.most)
		}
	}
}

// etcdOutcome stands in for etcd's services behind a real gRPC server.
type etcdOutcome struct {
	*health.Server
	err error
}

func (o *etcdOutcome) Check(context.Context, *healthpb.HealthCheckRequest) (*healthpb.HealthCheckResponse, error) {
	return &healthpb.HealthCheckResponse{}, o.err
}

func TestEtcd(t *testing.T) {
	var c Counters
	service := &etcdOutcome{Server: health.NewServer()}
	l := bufconn.Listen(1 << 16)
	s := grpc.NewServer(c.EtcdOptions()...)
	healthpb.RegisterHealthServer(s, service)
	done := make(chan error, 1)
	go func() { done <- s.Serve(l) }()
	conn, err := grpc.NewClient("passthrough:etcd", grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) { return l.DialContext(ctx) }))
	if err != nil {
		t.Fatal(err)
	}
	client := healthpb.NewHealthClient(conn)
	before := c.Read()
	for _, service.err = range []error{
		nil, nil, status.Error(codes.OutOfRange, "compacted"), status.Error(codes.Unavailable, "no leader"), errors.New("disk"),
	} {
		if _, err := client.Check(t.Context(), &healthpb.HealthCheckRequest{}); (err == nil) != (service.err == nil) {
			t.Error(err)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	watch, err := client.Watch(ctx, &healthpb.HealthCheckRequest{})
	if err == nil {
		_, err = watch.Recv() // and stays open
	}
	if err != nil {
		t.Fatal(err)
	}
	cancel()
	got := Between(before, c.Read(), time.Second)[callers]
	if got.To != "etcd" || got.Rate != 5 || got.Errors != 2 || got.P50 < 0 || got.P99 < got.P50 {
		t.Errorf("got %+v", got)
	}
	if err := conn.Close(); err != nil {
		t.Error(err)
	}
	s.Stop()
	if err := <-done; err != nil {
		t.Error(err)
	}
}

// BenchmarkHandler is what counting costs a request.
func BenchmarkHandler(b *testing.B) {
	var c Counters
	h := c.Handler(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusOK) }), loopback)
	r, w := asked("system:node:a", "kubelet", "/api/v1/namespaces/a/pods/b?resourceVersion=0"), httptest.NewRecorder()
	b.ReportAllocs()
	for b.Loop() {
		h.ServeHTTP(w, r)
	}
}

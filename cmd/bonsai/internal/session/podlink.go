package session

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/httpstream" //nolint:staticcheck // what client-go takes and returns is still of this package
	"k8s.io/client-go/tools/portforward"
	"k8s.io/client-go/transport/spdy"
)

// dialLimit is how long it may take until the API server has connected to a pod's node.
const dialLimit = 10 * time.Second

// podLink is the connection to one pod that carries all connections to one of its ports. client-go's PortForwarder
// would do, except that its listener closes with the pod.
type podLink struct {
	uid, pod string
	port     int
	conn     httpstream.Connection

	mu       sync.Mutex // guards what follows
	users    int        // of the connection; it is closed with the last one
	requests int
}

// linkPod dials a pod, as kubectl does: over WebSocket, or over SPDY if there is nothing else.
func (s *Session) linkPod(ctx context.Context, p *corev1.Pod, port int) (*podLink, error) {
	c, err := s.api()
	if err != nil {
		return nil, err
	}
	// The context only ends the dialling.
	ctx, cancel := s.limit(ctx, dialLimit, "a connection to pod "+p.Name)
	defer cancel()
	config := withContext(ctx, c.config)
	u := c.raw.Post().Resource("pods").Namespace(p.Namespace).Name(p.Name).SubResource("portforward").URL()
	transport, upgrader, err := spdy.RoundTripperFor(config)
	if err != nil {
		return nil, err
	}
	current, err := portforward.NewSPDYOverWebsocketDialer(u, config)
	if err != nil {
		return nil, err
	}
	dialer := portforward.NewFallbackDialer(current, spdy.NewDialer(upgrader, &http.Client{Transport: transport}, http.MethodPost, u), func(err error) bool {
		return httpstream.IsUpgradeFailure(err) || httpstream.IsHTTPSProxyError(err)
	})
	conn, protocol, err := dialer.Dial(portforward.PortForwardProtocolV1Name)
	if err != nil {
		return nil, s.explain(ctx, "connect to pod "+p.Name, err)
	}
	if protocol != portforward.PortForwardProtocolV1Name {
		_ = conn.Close()
		return nil, fmt.Errorf("the API server speaks %q", protocol)
	}
	return &podLink{uid: string(p.UID), pod: p.Name, port: port, conn: conn, users: 1}, nil
}

// broken reports whether the connection has ended.
func (l *podLink) broken() bool {
	select {
	case <-l.conn.CloseChan():
		return true
	default:
		return false
	}
}

// hold keeps the connection open for one more user; false if it has ended.
func (l *podLink) hold() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.users == 0 || l.broken() {
		return false
	}
	l.users++
	return true
}

// release is the end of one user.
func (l *podLink) release() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.users--; l.users == 0 {
		_ = l.conn.Close()
	}
}

// carry connects local with the pod's port until either of them ends.
func (l *podLink) carry(local net.Conn, moved func(int)) error {
	l.mu.Lock()
	l.requests++
	id := strconv.Itoa(l.requests)
	l.mu.Unlock()
	open := func(kind string) (httpstream.Stream, error) {
		return l.conn.CreateStream(http.Header{
			corev1.StreamType: {kind}, corev1.PortHeader: {strconv.Itoa(l.port)}, corev1.PortForwardRequestIDHeader: {id},
		})
	}
	errorStream, err := open(corev1.StreamTypeError)
	if err != nil {
		return err
	}
	defer l.conn.RemoveStreams(errorStream)
	_ = errorStream.Close() // nothing is written there
	data, err := open(corev1.StreamTypeData)
	if err != nil {
		_ = errorStream.Reset()
		return err
	}
	defer l.conn.RemoveStreams(data)

	var wg sync.WaitGroup
	var message []byte
	wg.Go(func() { message, _ = io.ReadAll(io.LimitReader(errorStream, 4096)) })
	failed := make(chan struct{}) // the local side failed
	wg.Go(func() {
		_, err := io.Copy(counter{data, moved}, local)
		_ = data.Close() // the pod may still answer
		if err != nil {
			close(failed)
		}
	})
	answered := make(chan struct{})
	wg.Go(func() {
		_, _ = io.Copy(counter{local, moved}, data)
		close(answered)
	})
	select {
	case <-answered:
	case <-failed:
	}
	_ = data.Reset() // what was not sent would keep the error stream from ending
	_ = local.Close()
	wg.Wait()
	if text := strings.TrimSpace(string(message)); text != "" {
		return errors.New(text)
	}
	return nil
}

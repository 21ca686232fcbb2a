package session

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/url"
	"slices"
	"strconv"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"

	"bonsai/bootstrap/accept"
	"bonsai/bootstrap/fault"
	"bonsai/bootstrap/kube"
	"bonsai/bootstrap/wait"
)

const (
	// forwardRetry is the pause before a retry: there is no notification when a cluster comes back.
	forwardRetry = 500 * time.Millisecond
	// forwardPatience is how long a new connection waits for a ready pod.
	forwardPatience = 5 * time.Second
	// forwardReport is how often transferred bytes are reported.
	forwardReport = 500 * time.Millisecond
)

// Forward keeps a port of this machine connected to a port of any ready pod of the target.
func (s *Session) Forward(ctx context.Context, spec kube.ForwardSpec, f func(kube.ForwardState)) error {
	op := fmt.Sprintf("forward a port to %s in %s", spec.Target, spec.Namespace)
	if spec.Target.Name == "" || !slices.Contains([]string{"Pod", "Service", "Deployment", "StatefulSet"}, spec.Target.Kind) {
		return fault.Newf(fault.Usage, "%s: it is not a Pod, Service, Deployment or StatefulSet", op)
	}
	listeners, port, err := listen(spec.Local)
	if err != nil {
		return fault.New(fault.Conflict, fmt.Sprintf("%s: listen on port %d", op, spec.Local), err).Advise("choose another port, or 0 for a free one")
	}
	fw := &forwarder{s: s, spec: spec, f: f, dirty: make(chan struct{}, 1), conns: map[net.Conn]bool{}}
	fw.state = kube.ForwardState{Local: port, Reason: "looking for a ready pod"}
	fw.change(func() {})

	g, gctx := errgroup.WithContext(ctx)
	g.Go(func() error { return fw.report(gctx) })
	g.Go(func() error { return fw.choose(gctx) })
	for _, l := range listeners {
		g.Go(func() error { return fw.accept(gctx, g, l) })
	}
	stop := context.AfterFunc(gctx, func() {
		for _, l := range listeners {
			_ = l.Close()
		}
		fw.closeAll()
	})
	defer stop()
	err = g.Wait()
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return s.explain(ctx, op, err)
}

// listen opens a port on the loopback addresses; IPv6 is skipped where there is none.
func listen(port int) ([]net.Listener, int, error) {
	v4, err := net.Listen("tcp4", net.JoinHostPort("127.0.0.1", strconv.Itoa(port)))
	if err != nil {
		return nil, 0, err
	}
	port = v4.Addr().(*net.TCPAddr).Port
	quiet := slog.New(slog.DiscardHandler) // the terminal shows something else
	all := []net.Listener{accept.Patient(v4, quiet)}
	if v6, err := net.Listen("tcp6", net.JoinHostPort("::1", strconv.Itoa(port))); err == nil {
		all = append(all, accept.Patient(v6, quiet))
	}
	return all, port, nil
}

// forwarder is one forwarded port.
type forwarder struct {
	s     *Session
	spec  kube.ForwardSpec
	f     func(kube.ForwardState)
	dirty chan struct{} // has one element while the state is news

	mu     sync.Mutex // guards what follows
	state  kube.ForwardState
	link   *podLink // to the pod of the state; nil while there is none
	chosen chan struct{}
	conns  map[net.Conn]bool
	closed bool
}

// change changes the state and has it reported.
func (fw *forwarder) change(f func()) {
	fw.mu.Lock()
	f()
	fw.mu.Unlock()
	select {
	case fw.dirty <- struct{}{}:
	default:
	}
}

// report sends the state when it has changed, transferred bytes less often.
func (fw *forwarder) report(ctx context.Context) error {
	var sent kube.ForwardState
	for {
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-fw.dirty:
		}
		fw.mu.Lock()
		now := fw.state
		fw.mu.Unlock()
		if now == sent {
			continue
		}
		pause := flushInterval
		quiet := sent
		quiet.Bytes = now.Bytes
		if quiet == now {
			pause = forwardReport
		}
		fw.f(now)
		sent = now
		if err := wait.Pause(ctx, pause); err != nil {
			return err
		}
	}
}

// choose keeps a link to a ready pod, through the cluster's stops and starts.
func (fw *forwarder) choose(ctx context.Context) error {
	defer fw.unlink("")
	for {
		err := fw.chooseOnce(ctx)
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		fw.unlink(err.Error())
		if err := wait.Pause(ctx, forwardRetry); err != nil {
			return err
		}
	}
}

// chooseOnce follows the pods until the API server or the link disconnects.
func (fw *forwarder) chooseOnce(ctx context.Context) error {
	selector, err := fw.selector(ctx)
	if err != nil {
		return err
	}
	src := source{path: path(kube.PodType(), fw.spec.Namespace), params: selector}
	ctx, cancel := context.WithCancelCause(ctx)
	var watchers sync.WaitGroup
	defer watchers.Wait()
	defer cancel(nil)
	linked := func(link *podLink) {
		watchers.Go(func() {
			select {
			case <-ctx.Done():
			case <-link.conn.CloseChan():
				fw.mu.Lock()
				defer fw.mu.Unlock()
				if fw.link == link { // not given up by us
					cancel(fmt.Errorf("the connection to pod %s broke off", link.pod))
				}
			}
		})
	}
	return fw.s.follow(ctx, src, &objectSink[corev1.Pod]{changed: func(pods map[string]corev1.Pod) error {
		return fw.update(ctx, pods, linked)
	}})
}

// selector returns which pods are meant, as parameters of a list.
func (fw *forwarder) selector(ctx context.Context) (url.Values, error) {
	ctx, cancel := fw.s.limit(ctx, callLimit, "an answer from the API server")
	defer cancel()
	if fw.spec.Target.Kind == "Pod" {
		return url.Values{"fieldSelector": {"metadata.name=" + fw.spec.Target.Name}}, nil
	}
	c, err := fw.s.api()
	if err != nil {
		return nil, err
	}
	var selector *metav1.LabelSelector
	switch fw.spec.Target.Kind {
	case "Service":
		var o *corev1.Service
		if o, err = c.client.CoreV1().Services(fw.spec.Namespace).Get(ctx, fw.spec.Target.Name, metav1.GetOptions{}); err == nil {
			if len(o.Spec.Selector) == 0 {
				return nil, errors.New("the service selects no pods")
			}
			return url.Values{"labelSelector": {labels.SelectorFromSet(o.Spec.Selector).String()}}, nil
		}
	case "Deployment":
		var o *appsv1.Deployment
		if o, err = c.client.AppsV1().Deployments(fw.spec.Namespace).Get(ctx, fw.spec.Target.Name, metav1.GetOptions{}); err == nil {
			selector = o.Spec.Selector
		}
	case "StatefulSet":
		var o *appsv1.StatefulSet
		if o, err = c.client.AppsV1().StatefulSets(fw.spec.Namespace).Get(ctx, fw.spec.Target.Name, metav1.GetOptions{}); err == nil {
			selector = o.Spec.Selector
		}
	}
	if err != nil {
		return nil, fw.s.explain(ctx, "read "+fw.spec.Target.String(), err)
	}
	parsed, err := metav1.LabelSelectorAsSelector(selector)
	if err != nil {
		return nil, err
	}
	return url.Values{"labelSelector": {parsed.String()}}, nil
}

// update evaluates the current pods, and links to another one if the previous one is gone.
func (fw *forwarder) update(ctx context.Context, pods map[string]corev1.Pod, linked func(*podLink)) error {
	fw.mu.Lock()
	link := fw.link
	fw.mu.Unlock()
	if link != nil {
		p, ok := pods[link.uid]
		if ok && podReady(&p) && !link.broken() {
			return nil
		}
		fw.unlink("its pod " + link.pod + " is no longer ready")
	}
	var ready []corev1.Pod
	for _, p := range pods {
		if podReady(&p) {
			ready = append(ready, p)
		}
	}
	slices.SortFunc(ready, func(a, b corev1.Pod) int { return cmp.Compare(a.Name, b.Name) })
	reason := "no pod is ready"
	if len(pods) == 0 {
		reason = "there is no pod"
	}
	for _, p := range ready {
		port, err := fw.remotePort(ctx, &p)
		if err != nil {
			reason = err.Error()
			continue
		}
		link, err := fw.s.linkPod(ctx, &p, port)
		if err != nil {
			reason = fmt.Sprintf("connect to %s: %v", p.Name, err)
			continue
		}
		fw.change(func() {
			fw.link, fw.state.Pod, fw.state.Reason = link, p.Name, ""
			if fw.chosen != nil {
				close(fw.chosen)
				fw.chosen = nil
			}
		})
		linked(link)
		return nil
	}
	fw.change(func() { fw.state.Reason = reason })
	if len(ready) > 0 {
		return errors.New(reason) // try again: there is no event while a pod stays ready
	}
	return nil
}

// remotePort is the port of the pod: for a Service, its target port.
func (fw *forwarder) remotePort(ctx context.Context, p *corev1.Pod) (int, error) {
	if fw.spec.Target.Kind != "Service" {
		return fw.spec.Remote, nil
	}
	c, err := fw.s.api()
	if err != nil {
		return 0, err
	}
	ctx, cancel := fw.s.limit(ctx, callLimit, "an answer from the API server")
	defer cancel()
	o, err := c.client.CoreV1().Services(fw.spec.Namespace).Get(ctx, fw.spec.Target.Name, metav1.GetOptions{})
	if err != nil {
		return 0, err
	}
	return targetPort(o, p, fw.spec.Remote)
}

func targetPort(o *corev1.Service, p *corev1.Pod, port int) (int, error) {
	i := slices.IndexFunc(o.Spec.Ports, func(sp corev1.ServicePort) bool { return int(sp.Port) == port })
	if i < 0 {
		return 0, fmt.Errorf("service %s has no port %d", o.Name, port)
	}
	target := o.Spec.Ports[i].TargetPort
	if target.StrVal == "" {
		return cmp.Or(int(target.IntVal), port), nil
	}
	for _, c := range p.Spec.Containers {
		for _, cp := range c.Ports {
			if cp.Name == target.StrVal {
				return int(cp.ContainerPort), nil
			}
		}
	}
	return 0, fmt.Errorf("pod %s has no port %q", p.Name, target.StrVal)
}

func podReady(p *corev1.Pod) bool {
	return p.DeletionTimestamp == nil && slices.ContainsFunc(p.Status.Conditions, func(c corev1.PodCondition) bool {
		return c.Type == corev1.PodReady && c.Status == corev1.ConditionTrue
	})
}

// unlink gives the pod up. Connections through it end on their own.
func (fw *forwarder) unlink(reason string) {
	var old *podLink
	fw.change(func() {
		old, fw.link = fw.link, nil
		fw.state.Pod, fw.state.Reason = "", reason
	})
	if old != nil {
		old.release()
	}
}

// accept serves the connections of one listener.
func (fw *forwarder) accept(ctx context.Context, g *errgroup.Group, l net.Listener) error {
	for {
		conn, err := l.Accept()
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if err != nil {
			return err
		}
		g.Go(func() error {
			fw.serve(ctx, conn)
			return nil
		})
	}
}

// closeAll closes what is open, and everything opened later.
func (fw *forwarder) closeAll() {
	fw.mu.Lock()
	defer fw.mu.Unlock()
	fw.closed = true
	for c := range fw.conns {
		_ = c.Close()
	}
}

func (fw *forwarder) serve(ctx context.Context, conn net.Conn) {
	defer func() { _ = conn.Close() }()
	fw.change(func() {
		fw.conns[conn] = true
		fw.state.Connections++
		if fw.closed {
			_ = conn.Close()
		}
	})
	defer fw.change(func() {
		delete(fw.conns, conn)
		fw.state.Connections--
	})
	link := fw.wait(ctx)
	if link == nil {
		return
	}
	defer link.release()
	err := link.carry(conn, func(n int) { fw.change(func() { fw.state.Bytes += int64(n) }) })
	fw.change(func() {
		switch {
		case fw.link != link: // the reason is that of another pod
		case err != nil:
			fw.state.Reason = err.Error()
		default:
			fw.state.Reason = ""
		}
	})
}

// wait returns the link, held for the caller, and waits a while for one; nil if there is none.
func (fw *forwarder) wait(ctx context.Context) *podLink {
	ctx, cancel := context.WithTimeout(ctx, fw.s.o.Scale.Of(forwardPatience))
	defer cancel()
	for {
		fw.mu.Lock()
		if fw.link != nil && fw.link.hold() {
			link := fw.link
			fw.mu.Unlock()
			return link
		}
		if fw.chosen == nil {
			fw.chosen = make(chan struct{})
		}
		chosen := fw.chosen
		fw.mu.Unlock()
		select {
		case <-ctx.Done():
			return nil
		case <-chosen:
		}
	}
}

// counter reports how much passed through it.
type counter struct {
	w   io.Writer
	add func(int)
}

func (c counter) Write(p []byte) (int, error) {
	n, err := c.w.Write(p)
	c.add(n)
	return n, err
}

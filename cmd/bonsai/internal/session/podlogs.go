package session

import (
	"cmp"
	"context"
	"errors"
	"maps"
	"net/url"
	"slices"
	"strconv"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"
	corev1 "k8s.io/api/core/v1"

	"bonsai/bootstrap/kube"
)

const (
	// maxTails is how many containers are followed at once.
	maxTails = 400
	// backlogWorkers read the existing logs of this many containers in parallel.
	backlogWorkers = 16
	// maxBacklog limits what is read of one container that has no tail.
	maxBacklog = 50_000
)

// PodLogs sends the lines of the containers of the selected pods.
func (s *Session) PodLogs(ctx context.Context, q kube.LogQuery, f func([]kube.LogLine) error) error {
	l := &podLogs{s: s, q: q, f: f, buffer: newLogBuffer(), tails: map[string]*tail{}, started: make(chan struct{}), ended: make(chan struct{})}
	src := source{path: path(kube.PodType(), q.Namespace), params: url.Values{}}
	if q.Selector != "" {
		src.params.Set("labelSelector", q.Selector)
	}
	if len(q.Pods) == 1 {
		src.params.Set("fieldSelector", "metadata.name="+q.Pods[0])
	}
	if !q.Follow || q.Previous {
		var pods map[string]logPod
		once := &objectSink[logPod]{changed: func(objects map[string]logPod) error { pods = objects; return nil }}
		if _, err := s.list(ctx, src, once); err != nil {
			return s.explain(ctx, "list pods", err)
		}
		_, err := l.backlog(ctx, l.wanted(pods), true)
		return err
	}
	g, ctx := errgroup.WithContext(ctx)
	l.g, l.ctx = g, ctx
	g.Go(func() error { return s.follow(ctx, src, &objectSink[logPod]{changed: l.update}) })
	g.Go(func() error {
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-l.started:
		}
		if err := l.buffer.pump(ctx, l.ended, f); err != nil {
			return err
		}
		return errLogEnded
	})
	if err := g.Wait(); !errors.Is(err, errLogEnded) {
		return err
	}
	return nil
}

// errLogEnded ends the watch of pods when there is nothing left to follow.
var errLogEnded = errors.New("all containers have ended")

// podLogs is one run of PodLogs that follows.
type podLogs struct {
	s      *Session
	q      kube.LogQuery
	f      func([]kube.LogLine) error
	buffer *logBuffer
	// g runs the tails, which end with ctx.
	g    *errgroup.Group
	ctx  context.Context //nolint:containedctx // that of the call that it belongs to
	live atomic.Int32    // tails that run

	// The following belongs to the goroutine that follows pods.
	tails   map[string]*tail // by UID of the pod and name of the container
	begun   bool
	crowded bool
	closing bool
	started chan struct{} // closed when the existing lines were sent
	ended   chan struct{} // closed when nothing more can follow
}

// logPod is corev1.Pod with the fields that matter here.
type logPod struct {
	Metadata struct {
		UID       string `json:"uid"`
		Namespace string `json:"namespace"`
		Name      string `json:"name"`
	} `json:"metadata"`
	Spec struct {
		RestartPolicy  corev1.RestartPolicy `json:"restartPolicy"`
		InitContainers []struct {
			Name          string                         `json:"name"`
			RestartPolicy *corev1.ContainerRestartPolicy `json:"restartPolicy"`
		} `json:"initContainers"`
	} `json:"spec"`
	Status struct {
		Phase                      corev1.PodPhase          `json:"phase"`
		InitContainerStatuses      []corev1.ContainerStatus `json:"initContainerStatuses"`
		ContainerStatuses          []corev1.ContainerStatus `json:"containerStatuses"`
		EphemeralContainerStatuses []corev1.ContainerStatus `json:"ephemeralContainerStatuses"`
	} `json:"status"`
}

func (p *logPod) over() bool {
	return p.Status.Phase == corev1.PodSucceeded || p.Status.Phase == corev1.PodFailed
}

// instance is the state of a container; there is one after the other.
type instance struct {
	id      string // empty before the first one was made
	running bool
	final   bool // it ended, and no other comes
	// restarts counts those before it; end is how it ended, before is how the one before it ended.
	restarts    int
	end, before *corev1.ContainerStateTerminated
	gone        bool // with its pod
}

// logContainer is one container whose log is wanted.
type logContainer struct {
	uid, namespace, pod, name string
	now                       instance
}

func (c *logContainer) key() string { return c.uid + "/" + c.name }

// wanted are the containers that the query selects, in the order of pods and their containers.
func (l *podLogs) wanted(pods map[string]logPod) []logContainer {
	var all []logContainer
	for uid, p := range pods {
		if len(l.q.Pods) > 0 && !slices.Contains(l.q.Pods, p.Metadata.Name) {
			continue
		}
		for _, st := range slices.Concat(p.Status.InitContainerStatuses, p.Status.ContainerStatuses, p.Status.EphemeralContainerStatuses) {
			if l.q.Container == "" || l.q.Container == st.Name {
				all = append(all, logContainer{uid, p.Metadata.Namespace, p.Metadata.Name, st.Name, p.instance(&st)})
			}
		}
	}
	slices.SortStableFunc(all, func(a, b logContainer) int { return cmp.Compare(a.pod, b.pod) })
	return all
}

func (p *logPod) instance(st *corev1.ContainerStatus) instance {
	in := instance{
		id: st.ContainerID, running: st.State.Running != nil, restarts: int(st.RestartCount),
		end: st.State.Terminated, before: st.LastTerminationState.Terminated,
	}
	if in.end != nil {
		in.final = p.over() || p.Spec.RestartPolicy == corev1.RestartPolicyNever ||
			p.Spec.RestartPolicy == corev1.RestartPolicyOnFailure && in.end.ExitCode == 0
		for _, c := range p.Spec.InitContainers {
			sidecar := c.RestartPolicy != nil && *c.RestartPolicy == corev1.ContainerRestartPolicyAlways
			in.final = in.final || c.Name == st.Name && !sidecar && in.end.ExitCode == 0
		}
	}
	return in
}

// update evaluates the current pods and their state.
func (l *podLogs) update(pods map[string]logPod) error {
	containers := l.wanted(pods)
	if !l.begun {
		l.begun = true
		positions := map[string]*position{}
		var err error
		if l.q.Tail == 0 {
			err = l.f(nil)
		} else {
			positions, err = l.backlog(l.ctx, containers, false)
		}
		if err != nil {
			return err
		}
		for _, c := range containers {
			l.start(c, positions[c.key()], false)
		}
		close(l.started)
	}
	present := map[string]bool{}
	for _, c := range containers {
		present[c.key()] = true
		if t := l.tails[c.key()]; t != nil {
			t.tell(c.now)
		} else {
			l.start(c, nil, true)
		}
	}
	for key, t := range l.tails {
		if !present[key] {
			t.tell(instance{gone: true})
			delete(l.tails, key)
		}
	}
	l.finish(pods)
	return nil
}

// start starts following one container. A new one is sent from its beginning.
func (l *podLogs) start(c logContainer, at *position, fresh bool) {
	if l.live.Load() >= maxTails {
		if !l.crowded {
			l.crowded = true
			l.buffer.add(kube.LogLine{Time: time.Now(), Marker: &kube.LogMarker{Kind: kube.LogCrowded, Count: maxTails}})
		}
		return
	}
	t := &tail{l: l, c: c, updates: make(chan instance, 1), left: make(chan struct{}), over: make(chan struct{}), all: fresh || l.q.Tail != 0 || c.now.id == "", fresh: fresh}
	if at != nil {
		t.at = *at
	}
	if !fresh && !c.now.running {
		t.done = c.now.id // its log was sent
	}
	l.tails[c.key()] = t
	l.live.Add(1)
	l.g.Go(func() error {
		defer l.live.Add(-1)
		t.run(l.ctx)
		return nil
	})
}

// finish ends everything when pods were named and all of these have ended.
func (l *podLogs) finish(pods map[string]logPod) {
	if len(l.q.Pods) == 0 {
		return
	}
	over := 0
	for _, p := range pods {
		if slices.Contains(l.q.Pods, p.Metadata.Name) && p.over() {
			over++
		}
	}
	if over < len(l.q.Pods) || l.closing {
		return
	}
	l.closing = true
	tails := slices.Collect(maps.Values(l.tails))
	l.g.Go(func() error {
		for _, t := range tails {
			select {
			case <-t.over:
			case <-l.ctx.Done():
				return nil
			}
		}
		close(l.ended)
		return nil
	})
}

// backlog sends the existing lines of all containers, merged, and returns how far it got with each. alone means that
// there is nothing else to send: then it is an error if there is no log at all.
func (l *podLogs) backlog(ctx context.Context, containers []logContainer, alone bool) (map[string]*position, error) {
	lines := make([][]kube.LogLine, len(containers))
	errs := make([]error, len(containers))
	at := make(map[string]*position, len(containers))
	for _, c := range containers {
		at[c.key()] = &position{}
	}
	g, gctx := errgroup.WithContext(ctx)
	g.SetLimit(backlogWorkers)
	for i, c := range containers {
		if c.now.id == "" {
			continue
		}
		g.Go(func() error {
			lines[i], errs[i] = l.s.readLog(gctx, c, l.q, at[c.key()])
			return nil
		})
	}
	_ = g.Wait()
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	all := slices.Concat(lines...)
	for i, err := range errs {
		switch {
		case err == nil:
		case alone && len(all) == 0 && len(containers) == 1:
			return nil, l.s.explain(ctx, "read the log of "+containers[i].pod, err)
		case alone:
			all = append(all, containers[i].marker(time.Now(), kube.LogMarker{Kind: kube.LogUnreadable, Reason: err.Error()}))
		}
	}
	sortLines(all)
	if len(all) == 0 && !alone {
		return at, l.f(nil)
	}
	for part := range slices.Chunk(all, 1000) {
		if err := l.f(part); err != nil {
			return nil, err
		}
	}
	return at, nil
}

func (c *logContainer) source() kube.LogSource {
	return kube.LogSource{Namespace: c.namespace, Pod: c.pod, Container: c.name}
}

func (c *logContainer) line(t time.Time, text string) kube.LogLine {
	return kube.LogLine{Time: t, Source: c.source(), Text: text}
}

func (c *logContainer) marker(t time.Time, m kube.LogMarker) kube.LogLine {
	return kube.LogLine{Time: t, Source: c.source(), Marker: &m}
}

// logSource is where a container's log is.
func logSource(c logContainer) source {
	return source{
		path: path(kube.PodType(), c.namespace) + "/" + c.pod + "/log", accept: "application/json, */*",
		params: url.Values{"container": {c.name}, "timestamps": {"true"}},
	}
}

// readLog reads the existing lines of one container, at most the tail that the query wants.
func (s *Session) readLog(ctx context.Context, c logContainer, q kube.LogQuery, at *position) ([]kube.LogLine, error) {
	ctx, cancel := s.limit(ctx, answerLimit, "the log of "+c.pod)
	defer cancel()
	tail := q.Tail
	if tail < 0 || tail > maxBacklog {
		tail = maxBacklog
	}
	params := url.Values{"tailLines": {strconv.Itoa(tail)}}
	if q.Previous {
		params.Set("previous", "true")
	}
	body, err := s.stream(ctx, logSource(c), params)
	if err != nil {
		return nil, err
	}
	defer func() { _ = body.Close() }()
	var lines []kube.LogLine
	err = readLines(body, func(line []byte, cut int) {
		t, text, ok := parseLine(line, cut)
		if !ok {
			t = at.last
		}
		at.pass(t)
		lines = append(lines, c.line(t, text))
	})
	return lines, err
}

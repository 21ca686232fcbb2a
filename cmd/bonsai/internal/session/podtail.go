package session

import (
	"context"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"bonsai/bootstrap/kube"
	"bonsai/bootstrap/wait"
)

const (
	// logRetry is the pause before a stream that broke off is reopened, if there is no update earlier.
	logRetry = time.Second
	// endNews is the same after a stream that ended in order: that also happens when a container has ended, which the
	// API reports later. Reconnecting at once would return the log of the next container.
	endNews = 10 * time.Second
	// goneGrace is how long the last lines of a pod that is gone may take.
	goneGrace = 5 * time.Second
	// missedLines is how much is sent of a container that came and went unnoticed.
	missedLines = 1000
)

// noWatcher is what the kubelet writes into a log, and ends it, when the machine's inotify instances are used up: it
// needs one for each followed log, and the nodes of all clusters share them (fs.inotify.max_user_instances).
const noWatcher = "failed to create fsnotify watcher"

// tail follows one container through its restarts.
type tail struct {
	l       *podLogs
	c       logContainer
	updates chan instance // the newest state, if it is news
	left    chan struct{} // closed when the pod is gone
	over    chan struct{} // closed when run returns

	// The following belongs to run.
	at   position
	done string // the instance whose log was sent to its end
	all  bool   // start with the existing lines; otherwise with new ones
	// poll means that the kubelet cannot follow this log: it is read again and again instead.
	poll bool
	// fresh means that the pod was created while others were followed: all of it is sent.
	fresh bool
}

// tell passes the newest state on; one that was not processed yet is overwritten.
func (t *tail) tell(in instance) {
	select {
	case <-t.updates:
	default:
	}
	t.updates <- in
	if in.gone {
		close(t.left)
	}
}

// run follows one instance of the container after the other, until the last one has ended.
func (t *tail) run(ctx context.Context) {
	defer close(t.over)
	now, opened, complained := t.c.now, t.done, ""
	for {
		// Wait for one whose log was not sent.
		for now.id == "" || now.id == t.done {
			if now.gone || now.final && now.id == t.done {
				return
			}
			select {
			case <-ctx.Done():
				return
			case now = <-t.updates:
			}
		}
		if opened != now.id && (opened != "" || t.fresh && now.before != nil) {
			t.restarted(ctx, opened, now)
			t.all, t.poll = true, false
		}
		opened = now.id
		err := t.stream(ctx)
		if err != nil && ctx.Err() == nil && !waits(err) && complained != now.id {
			complained = now.id
			t.mark(time.Now(), kube.LogMarker{Kind: kube.LogUnreadable, Reason: err.Error()})
		}
		// The stream ends with the container, which the API reports a little later, or because of an error.
		id, pause := now.id, logRetry
		if err == nil && !t.poll {
			pause = endNews
		}
		for retry := time.NewTimer(pause); now.id == id; {
			if now.gone {
				return
			}
			if !now.running && (err == nil || waits(err)) {
				t.done = id
				if now.final && now.end != nil {
					t.mark(t.after(now.end.FinishedAt), kube.LogMarker{Kind: kube.LogEnded, End: outcome(now.end)})
				}
				break
			}
			select {
			case <-ctx.Done():
				return
			case now = <-t.updates:
				continue
			case <-retry.C:
			}
			break
		}
		if now.id != id && now.id != "" {
			t.done = id
		}
	}
}

// waits reports whether there is no log yet, or no longer.
func waits(err error) bool { return apierrors.IsBadRequest(err) || apierrors.IsNotFound(err) }

// stream sends the log of the newest instance until it ends, starting where it was sent to.
func (t *tail) stream(ctx context.Context) error {
	params := url.Values{"follow": {strconv.FormatBool(!t.poll)}}
	switch {
	case !t.all:
		params.Set("tailLines", "0")
	case !t.at.last.IsZero():
		params.Set("sinceTime", t.at.last.UTC().Truncate(time.Second).Format(time.RFC3339))
	}
	// A container without output does not start an answer: there is nothing to limit. It is only given up when its pod
	// is gone and the node does not end the stream.
	ctx, cancel := context.WithCancel(ctx)
	var watching sync.WaitGroup
	defer watching.Wait()
	defer cancel()
	watching.Go(func() {
		select {
		case <-ctx.Done():
		case <-t.left:
			if wait.Pause(ctx, t.l.s.o.Scale.Of(goneGrace)) == nil {
				cancel()
			}
		}
	})
	body, err := t.l.s.stream(ctx, logSource(t.c), params)
	if err != nil {
		return err
	}
	defer func() { _ = body.Close() }()
	t.all = true // what follows an interruption was not sent
	t.at.reopen()
	return readLines(body, t.add)
}

func (t *tail) add(line []byte, cut int) {
	stamp, text, ok := parseLine(line, cut)
	if !ok {
		if strings.HasPrefix(text, noWatcher) {
			t.poll = true
			return
		}
		stamp = t.at.last
	} else if !t.at.pass(stamp) {
		return
	}
	t.l.buffer.add(t.c.line(stamp, text))
}

// restarted reports a new instance, and one before it that was missed.
func (t *tail) restarted(ctx context.Context, last string, now instance) {
	if before := now.before; before != nil && before.ContainerID != "" && before.ContainerID != last {
		limited, cancel := t.l.s.limit(ctx, answerLimit, "the log of "+t.c.pod)
		body, err := t.l.s.stream(limited, logSource(t.c), url.Values{"previous": {"true"}, "tailLines": {strconv.Itoa(missedLines)}})
		if err == nil {
			t.at.reopen()
			_ = readLines(body, t.add) // it is sent as far as it can be read
			_ = body.Close()
		}
		cancel()
	}
	m := kube.LogMarker{Kind: kube.LogRestarted, Count: now.restarts}
	at := t.at.last.Add(1)
	if now.before != nil {
		m.End = outcome(now.before)
		at = t.after(now.before.FinishedAt)
	}
	t.mark(at, m)
}

// after is a time of whole seconds, but not before the last line.
func (t *tail) after(end metav1.Time) time.Time {
	if next := t.at.last.Add(1); end.Before(&metav1.Time{Time: next}) {
		return next
	}
	return end.Time
}

func (t *tail) mark(at time.Time, m kube.LogMarker) { t.l.buffer.add(t.c.marker(at, m)) }

// outcome is how a container ended. The API knows whole seconds.
func outcome(e *corev1.ContainerStateTerminated) kube.ContainerState {
	return containerState(corev1.ContainerState{Terminated: e})
}

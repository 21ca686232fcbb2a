package session

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"bonsai/bootstrap/kube"
)

// logAPI is an API server with pods, and a log for each container of each pod: a script per pod.
type logAPI struct {
	pods *script
	logs map[string]*script // by name of the pod
}

func (a *logAPI) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	const base = "/api/v1/namespaces/shop/pods"
	if r.URL.Path == base {
		a.pods.ServeHTTP(w, r)
		return
	}
	name := strings.TrimSuffix(strings.TrimPrefix(r.URL.Path, base+"/"), "/log")
	a.logs[name].ServeHTTP(w, r)
}

// logPodJSON is a pod whose one container has a state.
func logPodJSON(name, version, state string) string {
	return fmt.Sprintf(`{"metadata":{"name":%q,"namespace":"shop","uid":"uid-%s","resourceVersion":%q},"status":{"phase":"Running","containerStatuses":[{"name":"main",%s}]}}`,
		name, name, version, state)
}

func runningAs(id string) string {
	return fmt.Sprintf(`"containerID":%q,"state":{"running":{"startedAt":"2026-08-01T10:00:00Z"}}`, id)
}

func podList(items ...string) string {
	return fmt.Sprintf(`{"metadata":{"resourceVersion":"1"},"items":[%s]}`, strings.Join(items, ","))
}

// logLine is a line as the kubelet gives it, at a second of a minute.
func logLine(second float64, text string) string {
	t := time.Date(2026, 8, 1, 10, 0, 0, 0, time.UTC).Add(time.Duration(second * float64(time.Second)))
	return t.Format(time.RFC3339Nano) + " " + text + "\n"
}

// said runs PodLogs until it has sent a number of lines, and returns them.
func said(t *testing.T, s *Session, q kube.LogQuery, lines int) []string {
	t.Helper()
	ctx, cancel := context.WithTimeoutCause(t.Context(), limit, errors.New("the test took too long"))
	defer cancel()
	var all []string
	err := s.PodLogs(ctx, q, func(part []kube.LogLine) error {
		for _, l := range part {
			if l.Marker != nil {
				all = append(all, l.Source.Pod+" "+marked(l.Marker))
				continue
			}
			all = append(all, l.Source.Pod+" "+l.Text)
		}
		if len(all) >= lines {
			return errEnough
		}
		return nil
	})
	if !errors.Is(err, errEnough) && (err != nil || q.Follow) {
		t.Errorf("after %q: %v", all, err)
	}
	return all
}

// marked is a marker in one line.
func marked(m *kube.LogMarker) string {
	text := fmt.Sprintf("[%s %d exit %d %s", m.Kind, m.Count, m.End.ExitCode, m.End.Reason)
	if !m.End.Started.IsZero() {
		text += " ran " + m.End.Finished.Sub(m.End.Started).String()
	}
	return strings.TrimRight(text, " ") + "]"
}

func TestLogsOfPodsAreMergedByTime(t *testing.T) {
	s := newSession(t, &logAPI{
		pods: newScript(t, answer(t, wantParam("labelSelector", "app=web"), podList(logPodJSON("a", "1", runningAs("a1")), logPodJSON("b", "1", runningAs("b1"))))),
		logs: map[string]*script{
			"a": newScript(t, answer(t, wantParam("tailLines", "10"), logLine(1, "one")+logLine(3, "three"))),
			"b": newScript(t, answer(t, nil, logLine(2, "two")+logLine(4, "four"))),
		},
	})
	got := said(t, s, kube.LogQuery{Namespace: "shop", Selector: "app=web", Tail: 10}, 4)
	if want := []string{"a one", "b two", "a three", "b four"}; !slices.Equal(got, want) {
		t.Errorf("got %q", got)
	}
}

func TestAFollowedLogGoesOnAfterARestart(t *testing.T) {
	changes := make(chan string, 10)
	first := make(chan string, 10)
	s := newSession(t, &logAPI{
		pods: newScript(t, answer(t, nil, podList(logPodJSON("a", "1", runningAs("a1")))), feed(changes)),
		logs: map[string]*script{"a": newScript(t,
			answer(t, nil, logLine(1, "old")+logLine(2.5, "seen")), // what is there
			func(w http.ResponseWriter, r *http.Request) { // what comes, with what was in the same second
				if err := wantParam("sinceTime", "2026-08-01T10:00:02Z")(r); err != nil {
					t.Error(err)
				}
				feed(first)(w, r)
			},
			answer(t, nil, logLine(7, "again")),
		)},
	})
	first <- strings.TrimSuffix(logLine(2.5, "seen"), "\n")
	first <- strings.TrimSuffix(logLine(3, "dying"), "\n")
	close(first)
	changes <- event1("MODIFIED", logPodJSON("a", "2", `"containerID":"a2","restartCount":4,"state":{"running":{}},
		"lastState":{"terminated":{"containerID":"a1","exitCode":1,"reason":"Error","startedAt":"2026-08-01T10:00:00Z","finishedAt":"2026-08-01T10:00:03Z"}}`))
	got := said(t, s, kube.LogQuery{Namespace: "shop", Tail: 10, Follow: true}, 5)
	if want := []string{"a old", "a seen", "a dying", "a [restarted 4 exit 1 Error ran 3s]", "a again"}; !slices.Equal(got, want) {
		t.Errorf("got %q", got)
	}
}

func TestAContainerThatNobodySawIsToldFromItsPreviousLog(t *testing.T) {
	changes := make(chan string, 10)
	s := newSession(t, &logAPI{
		pods: newScript(t, answer(t, nil, podList(logPodJSON("a", "1", runningAs("a1")))), feed(changes)),
		logs: map[string]*script{"a": newScript(t,
			answer(t, nil, logLine(1, "one")), answer(t, nil, ""),
			answer(t, wantParam("previous", "true"), logLine(5, "missed")),
			answer(t, nil, logLine(7, "three")),
		)},
	})
	changes <- event1("MODIFIED", logPodJSON("a", "2", `"containerID":"a3","restartCount":2,"state":{"running":{}},
		"lastState":{"terminated":{"containerID":"a2","exitCode":137,"reason":"OOMKilled"}}`))
	got := said(t, s, kube.LogQuery{Namespace: "shop", Tail: 10, Follow: true}, 4)
	if want := []string{"a one", "a missed", "a [restarted 2 exit 137 OOMKilled]", "a three"}; !slices.Equal(got, want) {
		t.Errorf("got %q", got)
	}
}

func TestAPodThatJoinsAfterItsFirstRestartIsShownFromItsStart(t *testing.T) {
	changes := make(chan string, 10)
	s := newSession(t, &logAPI{
		pods: newScript(t, answer(t, nil, podList()), feed(changes)),
		logs: map[string]*script{"a": newScript(t, answer(t, wantParam("previous", "true"), logLine(5, "first")), answer(t, nil, logLine(7, "second")))},
	})
	changes <- event1("ADDED", logPodJSON("a", "2", `"containerID":"a2","restartCount":1,"state":{"running":{}},"lastState":{"terminated":{"containerID":"a1","exitCode":3}}`))
	got := said(t, s, kube.LogQuery{Namespace: "shop", Tail: 10, Follow: true}, 3)
	if want := []string{"a first", "a [restarted 1 exit 3]", "a second"}; !slices.Equal(got, want) {
		t.Errorf("got %q", got)
	}
}

func TestWithoutATailOnlyNewLinesAreSent(t *testing.T) {
	changes := make(chan string, 10)
	s := newSession(t, &logAPI{
		pods: newScript(t, answer(t, nil, podList(logPodJSON("a", "1", runningAs("a1")), logPodJSON("b", "1", `"state":{"waiting":{}}`))), feed(changes)),
		logs: map[string]*script{
			"a": newScript(t, answer(t, wantParam("tailLines", "0"), logLine(1, "now"))),
			"b": newScript(t, answer(t, wantParam("tailLines", ""), logLine(2, "its first"))),
		},
	})
	changes <- event1("MODIFIED", logPodJSON("b", "2", runningAs("b1")))
	got := said(t, s, kube.LogQuery{Namespace: "shop", Follow: true}, 2)
	slices.Sort(got)
	if want := []string{"a now", "b its first"}; !slices.Equal(got, want) {
		t.Errorf("got %q", got)
	}
}

func TestALogThatTheKubeletCannotFollowIsReadAgain(t *testing.T) {
	s := newSession(t, &logAPI{
		pods: newScript(t, answer(t, nil, podList(logPodJSON("a", "1", runningAs("a1"))))),
		logs: map[string]*script{"a": newScript(t, answer(t, nil, logLine(1, "one")),
			answer(t, wantParam("follow", "true"), logLine(1, "one")+"failed to create fsnotify watcher: too many open files\n"),
			answer(t, wantParam("follow", "false"), logLine(1, "one")+logLine(2, "two")),
		)},
	})
	got := said(t, s, kube.LogQuery{Namespace: "shop", Tail: 10, Follow: true}, 2)
	if want := []string{"a one", "a two"}; !slices.Equal(got, want) {
		t.Errorf("got %q", got)
	}
}

func TestANewPodJoinsAndANamedOneEnds(t *testing.T) {
	changes := make(chan string, 10)
	s := newSession(t, &logAPI{
		pods: newScript(t, answer(t, wantParam("fieldSelector", "metadata.name=a"), podList()), feed(changes)),
		logs: map[string]*script{"a": newScript(t, answer(t, nil, logLine(1, "work")+logLine(2, "done")))},
	})
	over := strings.Replace(logPodJSON("a", "2", `"containerID":"a1","state":{"terminated":{"containerID":"a1","exitCode":0,"reason":"Completed"}}`), "Running", "Succeeded", 1)
	changes <- event1("ADDED", logPodJSON("a", "1", `"state":{"waiting":{"reason":"ContainerCreating"}}`))
	changes <- event1("MODIFIED", over)
	var got []string
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	defer cancel()
	err := s.PodLogs(ctx, kube.LogQuery{Namespace: "shop", Pods: []string{"a"}, Tail: 10, Follow: true}, func(part []kube.LogLine) error {
		for _, l := range part {
			if l.Marker != nil {
				l.Text = marked(l.Marker)
			}
			got = append(got, l.Text)
		}
		return nil
	})
	if want := []string{"work", "done", "[ended 0 exit 0 Completed]"}; err != nil || !slices.Equal(got, want) {
		t.Errorf("got %q, %v", got, err)
	}
}

func TestALongLineIsCut(t *testing.T) {
	long := strings.Repeat("ü", maxLine) // twice as many bytes
	s := newSession(t, &logAPI{
		pods: newScript(t, answer(t, nil, podList(logPodJSON("a", "1", runningAs("a1"))))),
		logs: map[string]*script{"a": newScript(t, answer(t, nil, logLine(1, long)+logLine(2, "short")))},
	})
	got := said(t, s, kube.LogQuery{Namespace: "shop", Tail: -1}, 2)
	if len(got) != 2 || len(got[0]) > maxLine+100 || !strings.HasSuffix(got[0], " more bytes") || strings.Contains(got[0], "\ufffd") || got[1] != "a short" {
		t.Errorf("%d lines, the first of %d bytes", len(got), len(got[0]))
	}
}

func TestASlowReaderLosesTheOldestAndIsNotified(t *testing.T) {
	b := newLogBuffer()
	for i := range maxBuffered + 10 {
		b.add(kube.LogLine{Time: time.Unix(int64(i), 0), Text: fmt.Sprint(i)})
	}
	lines := b.take()
	m := lines[0].Marker
	if m == nil || m.Kind != kube.LogDropped {
		t.Fatalf("it begins with %+v", lines[0])
	}
	dropped := m.Count
	if last := lines[len(lines)-1].Text; dropped+len(lines)-1 != maxBuffered+10 || last != fmt.Sprint(maxBuffered+9) {
		t.Errorf("%d dropped, %d sent, the last is %s", dropped, len(lines)-1, last)
	}
	if more := b.take(); len(more) != 0 {
		t.Errorf("the drop is reported twice: %+v", more)
	}
}

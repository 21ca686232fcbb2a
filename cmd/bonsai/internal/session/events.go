package session

import (
	"cmp"
	"context"
	"encoding/json"
	"io"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/watch"

	"bonsai/bootstrap/kube"
)

// Events sends the Events of the cluster, newest last: all existing ones in the first call, which may be none, then
// each new or updated one. An Event that is counted again is sent again with its UID.
func (s *Session) Events(ctx context.Context, f func([]kube.EventLine) error) error {
	return s.follow(ctx, source{path: "/api/v1/events"}, &eventSink{f: f})
}

type eventSink struct {
	f      func([]kube.EventLine) error
	intern interner
	lines  []kube.EventLine
	// sent has the version of each Event that f knows: a new list only sends what is new in it.
	sent    map[string]string
	listing bool
	listed  map[string]bool // seen in the list that runs
	first   bool            // the first list was sent
}

// event is corev1.Event without what is not shown.
type event struct {
	Metadata struct {
		UID               string      `json:"uid"`
		Namespace         string      `json:"namespace"`
		ResourceVersion   string      `json:"resourceVersion"`
		CreationTimestamp metav1.Time `json:"creationTimestamp"`
	} `json:"metadata"`
	InvolvedObject struct {
		Kind string `json:"kind"`
		Name string `json:"name"`
	} `json:"involvedObject"`
	Reason         string           `json:"reason"`
	Message        string           `json:"message"`
	Type           string           `json:"type"`
	Count          int              `json:"count"`
	FirstTimestamp metav1.Time      `json:"firstTimestamp"`
	LastTimestamp  metav1.Time      `json:"lastTimestamp"`
	EventTime      metav1.MicroTime `json:"eventTime"`
	Series         *struct {
		Count            int              `json:"count"`
		LastObservedTime metav1.MicroTime `json:"lastObservedTime"`
	} `json:"series"`
	Source struct {
		Component string `json:"component"`
		Host      string `json:"host"`
	} `json:"source"`
	ReportingComponent string `json:"reportingComponent"`
	ReportingInstance  string `json:"reportingInstance"`
}

func (k *eventSink) line(e *event) kube.EventLine {
	l := kube.EventLine{
		UID: e.Metadata.UID, Warning: e.Type == corev1.EventTypeWarning, Reason: k.intern.string(e.Reason),
		Namespace: k.intern.string(e.Metadata.Namespace), Object: kube.Object{Kind: k.intern.string(e.InvolvedObject.Kind), Name: k.intern.string(e.InvolvedObject.Name)},
		Message: strings.TrimSpace(e.Message), Count: max(1, e.Count),
	}
	// The two generations of the API have their times in different fields; the newest counts.
	l.Time = e.Metadata.CreationTimestamp.Time
	for _, t := range []metav1.Time{e.FirstTimestamp, e.LastTimestamp, metav1.Time(e.EventTime)} {
		if t.After(l.Time) {
			l.Time = t.Time
		}
	}
	if e.Series != nil {
		l.Count = max(l.Count, e.Series.Count)
		if e.Series.LastObservedTime.After(l.Time) {
			l.Time = e.Series.LastObservedTime.Time
		}
	}
	l.Source, l.Node = k.intern.string(cmp.Or(e.Source.Component, e.ReportingComponent)), k.intern.string(e.Source.Host)
	return l
}

func (k *eventSink) begin() {
	k.lines, k.listing, k.listed = nil, true, map[string]bool{}
	if k.sent == nil {
		k.sent = map[string]string{}
	}
}

func (k *eventSink) page(body io.Reader) (listMeta, error) {
	var list struct {
		Metadata listMeta `json:"metadata"`
		Items    []event  `json:"items"`
	}
	if err := json.NewDecoder(body).Decode(&list); err != nil {
		return list.Metadata, err
	}
	for i := range list.Items {
		k.listed[list.Items[i].Metadata.UID] = true
		k.take(&list.Items[i])
	}
	return list.Metadata, nil
}

func (k *eventSink) take(e *event) {
	if k.sent[e.Metadata.UID] == e.Metadata.ResourceVersion {
		return
	}
	k.sent[e.Metadata.UID] = e.Metadata.ResourceVersion
	k.lines = append(k.lines, k.line(e))
}

func (k *eventSink) synced() {
	k.listing = false
	for uid := range k.sent {
		if !k.listed[uid] {
			delete(k.sent, uid)
		}
	}
	k.listed = nil
}

func (k *eventSink) change(kind watch.EventType, object []byte) (string, error) {
	var e event
	if err := json.Unmarshal(object, &e); err != nil {
		return "", err
	}
	switch kind {
	case watch.Added, watch.Modified:
		k.take(&e)
	case watch.Deleted:
		delete(k.sent, e.Metadata.UID)
	}
	return e.Metadata.ResourceVersion, nil
}

// flush waits for the whole list, because Events come in the order of their names.
func (k *eventSink) flush() error {
	if k.listing || len(k.lines) == 0 && k.first {
		return nil
	}
	lines := k.lines
	k.lines, k.first = nil, true
	slices.SortStableFunc(lines, func(a, b kube.EventLine) int { return a.Time.Compare(b.Time) })
	return k.f(lines)
}

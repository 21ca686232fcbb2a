package dashboard

import (
	"context"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"bonsai/bootstrap/fault"
	"bonsai/bootstrap/kube"
)

const (
	// logTail is how many existing lines of each container are sent.
	logTail = 500
	// mostLines bounds one event of a stream.
	mostLines = 2000
)

// logsData is the part of an object's page with logs.
type logsData struct {
	// Source is where the lines come from.
	Source     string
	Containers []string
	Container  string
	Previous   bool
	// Base is the address of this part without a choice of container.
	Base string
}

// hasLogs says whether objects of a type have logs.
func hasLogs(id string) bool {
	return slices.Contains([]string{"pods", "deployments.apps", "statefulsets.apps", "daemonsets.apps", "replicasets.apps", "jobs.batch"}, id)
}

// logsOf is what the page of an object shows around its logs.
func logsOf(q *request, ref kube.Ref, id string, o map[string]any) (*logsData, error) {
	d := &logsData{Container: q.query.Get("container"), Previous: q.query.Get("previous") == "true", Base: objectPath(id, ref.Namespace, ref.Name) + "&tab=" + tabLogs}
	source := url.Values{"ns": {ref.Namespace}, "container": {d.Container}, "previous": {strconv.FormatBool(d.Previous)}}
	if id == "pods" {
		source.Set("pod", ref.Name)
		for _, c := range containersOf(o) {
			d.Containers = append(d.Containers, c.Name)
		}
	} else {
		var with struct {
			Spec struct {
				Selector *metav1.LabelSelector  `json:"selector"`
				Template corev1.PodTemplateSpec `json:"template"`
			} `json:"spec"`
		}
		if err := convert(o, &with); err != nil {
			return nil, err
		}
		selector, err := metav1.LabelSelectorAsSelector(with.Spec.Selector)
		if err != nil || selector.Empty() {
			return nil, fault.Newf(fault.Usage, "it selects no pods")
		}
		source.Set("selector", selector.String())
		for _, c := range slices.Concat(with.Spec.Template.Spec.InitContainers, with.Spec.Template.Spec.Containers) {
			d.Containers = append(d.Containers, c.Name)
		}
	}
	d.Source = "/logs?" + source.Encode()
	return d, nil
}

// logLine is a line as the page gets it.
type logLine struct {
	Time string `json:"time,omitempty"`
	From string `json:"from"`
	Text string `json:"text"`
	// Note says that it is not a line of the log.
	Note bool `json:"note,omitempty"`
}

// streamLogs sends the lines of containers.
func (s *Server) streamLogs(w http.ResponseWriter, q *request) {
	query := kube.LogQuery{
		Namespace: q.query.Get("ns"), Selector: q.query.Get("selector"), Container: q.query.Get("container"), Tail: logTail,
		Previous: q.query.Get("previous") == "true",
	}
	query.Follow = !query.Previous
	if pod := q.query.Get("pod"); pod != "" {
		query.Pods = []string{pod}
	}
	if query.Namespace == "" || strings.ContainsAny(query.Namespace, "/%.") || len(query.Pods) == 0 && query.Selector == "" {
		s.refuse(w, q.Request, &refusal{http.StatusBadRequest, "The address does not name a log", ""})
		return
	}
	s.stream(w, q, func(ctx context.Context, out *stream) error {
		if err := out.send("reset", nil); err != nil {
			return err
		}
		return s.o.Objects.PodLogs(ctx, query, func(lines []kube.LogLine) error {
			for chunk := range slices.Chunk(lines, mostLines) {
				shown := make([]logLine, len(chunk))
				for i, l := range chunk {
					shown[i] = showLine(q.words, l)
				}
				if err := out.send("lines", shown); err != nil {
					return err
				}
			}
			return nil
		})
	})
}

func showLine(w Words, l kube.LogLine) logLine {
	v := logLine{From: l.Source.Pod + "/" + l.Source.Container, Text: l.Text}
	if !l.Time.IsZero() {
		v.Time = l.Time.UTC().Format(time.RFC3339Nano)
	}
	if m := l.Marker; m != nil {
		v.Note = true
		switch m.Kind {
		case kube.LogRestarted:
			v.Text = w.T("restart %d", m.Count)
		case kube.LogEnded:
			v.Text = w.T("it has ended")
		case kube.LogUnreadable:
			v.Text = w.T("it cannot be read: %s", m.Reason)
		case kube.LogDropped:
			v.Text = w.T("%d lines were lost here", m.Count)
		case kube.LogCrowded:
			v.Text = w.T("only %d containers are followed", m.Count)
		default:
			v.Text = w.T("lines may be missing here")
		}
	}
	return v
}

package tui

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"bonsai/bootstrap/kube"
	"bonsai/tui/feed"
	"bonsai/tui/model"
	"bonsai/tui/textview"
	"bonsai/tui/words"
)

// logTarget is one stream of logs. follow blocks as the session's methods do; that it returns nil says that no more can
// come.
type logTarget struct {
	follow func(ctx context.Context, f func([]kube.LogLine) error) error
}

func podTarget(u *ui, q kube.LogQuery) logTarget {
	return logTarget{func(ctx context.Context, f func([]kube.LogLine) error) error { return u.session.PodLogs(ctx, q, f) }}
}

// targetsOf are the streams for objects: one for all pods of a namespace, one for each workload and each component of a
// node.
func targetsOf(u *ui, list []subject, previous bool) []logTarget {
	var targets []logTarget
	tail := tailMany
	if len(list) == 1 {
		tail = tailOne
	}
	pods := map[string][]string{}
	for i := range list {
		s := &list[i]
		switch s.ref.Type.Resource {
		case "pods":
			pods[s.ref.Namespace] = append(pods[s.ref.Namespace], s.ref.Name)
		case "nodes":
			for _, name := range u.nodeComponents(s.ref.Name) {
				targets = append(targets, logTarget{func(ctx context.Context, f func([]kube.LogLine) error) error {
					return u.session.ComponentLogs(ctx, s.ref.Name, name, tail, f)
				}})
			}
		default:
			targets = append(targets, selectorTarget(u, s.ref, kube.LogQuery{Namespace: s.ref.Namespace, Tail: tailMany, Follow: !previous, Previous: previous}))
		}
	}
	for _, ns := range slices.Sorted(maps.Keys(pods)) {
		targets = append(targets, podTarget(u, kube.LogQuery{Namespace: ns, Pods: pods[ns], Tail: tail, Follow: !previous, Previous: previous}))
	}
	return targets
}

// nodeComponents are the parts of a node that have a log, the kubelet first.
func (u *ui) nodeComponents(node string) []string {
	names := []string{"kubelet"}
	for _, n := range u.state.Snapshot.Nodes {
		if n.Name != node {
			continue
		}
		for _, c := range n.Components {
			if c.Name != "kubelet" {
				names = append(names, c.Name)
			}
		}
	}
	return names
}

// selectorTarget follows the pods that a workload or Service selects, also those that come later.
func selectorTarget(u *ui, ref kube.Ref, q kube.LogQuery) logTarget {
	return logTarget{func(ctx context.Context, f func([]kube.LogLine) error) error {
		text, err := u.session.YAML(ctx, ref)
		if err != nil {
			return err
		}
		if q.Selector, err = selectorOf(text); err != nil {
			return fmt.Errorf("find the pods of %s %s: %w", singular(ref.Type), ref.Name, err)
		}
		return u.session.PodLogs(ctx, q, f)
	}}
}

// selectorOf reads the selector of pods out of a workload's or a Service's YAML, in the form of "kubectl -l".
func selectorOf(text string) (string, error) {
	var o struct {
		Spec struct {
			Selector map[string]any `yaml:"selector"`
		} `yaml:"spec"`
	}
	if err := yaml.Unmarshal([]byte(text), &o); err != nil {
		return "", err
	}
	labels := o.Spec.Selector
	_, plain := labels["matchLabels"].(map[string]any)
	expressions, rich := labels["matchExpressions"].([]any)
	if plain || rich {
		labels, _ = labels["matchLabels"].(map[string]any)
	}
	var terms []string
	for _, key := range slices.Sorted(maps.Keys(labels)) {
		terms = append(terms, fmt.Sprintf("%s=%v", key, labels[key]))
	}
	for _, e := range expressions {
		m, _ := e.(map[string]any)
		key, list := fmt.Sprint(m["key"]), []string{}
		if values, ok := m["values"].([]any); ok {
			for _, v := range values {
				list = append(list, fmt.Sprint(v))
			}
		}
		switch values := "(" + strings.Join(list, ",") + ")"; m["operator"] {
		case "In":
			terms = append(terms, key+" in "+values)
		case "NotIn":
			terms = append(terms, key+" notin "+values)
		case "Exists":
			terms = append(terms, key)
		case "DoesNotExist":
			terms = append(terms, "!"+key)
		}
	}
	if len(terms) == 0 {
		return "", fmt.Errorf("it selects no pods")
	}
	return strings.Join(terms, ","), nil
}

// logStream follows a target while its page is visible. It does not send a line twice.
type logStream struct {
	feed *feed.Feed
	// err and ended belong to the program: why nothing comes, and that nothing more can come.
	err   error
	ended bool
	// positions belong to the feed's goroutine, one run after the other.
	positions model.LogPositions
}

func newLogStream(p *logsPage, t logTarget) *logStream {
	s := &logStream{positions: model.LogPositions{}}
	u, lines, language := p.u, p.box, p.u.words
	ended := feed.NewBox(u.hub, nil, func(bool) {
		s.ended, s.err = true, nil
		u.touch()
	})
	s.feed = feed.New(u.hub, func(ctx context.Context, healthy func()) error {
		r := s.positions.Begin()
		err := t.follow(ctx, func(list []kube.LogLine) error {
			healthy()
			b := newBatch(r, list, language)
			if len(b.lines) > 0 {
				lines.Put(b)
			}
			return nil
		})
		if err != nil {
			return err
		}
		ended.Put(true)
		<-ctx.Done()
		return nil
	}, func(err error) {
		s.err = err
		u.touch()
	})
	return s
}

// newBatch makes lines for a view of what is news in a run of a stream.
func newBatch(r *model.LogRun, list []kube.LogLine, language words.W) logBatch {
	b := logBatch{lines: make([]textview.Line, 0, len(list))}
	r.News(list, func(l *kube.LogLine) {
		text := l.Text
		if l.Marker != nil {
			text = markerText(language, l.Source.Node, l.Marker)
		}
		line := textview.NewLine(l.Time, l.Source, text, l.Marker != nil)
		b.lines = append(b.lines, line)
		b.bytes += len(line.Text)
	})
	return b
}

package dashboard

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/yaml"

	"bonsai/bootstrap/cluster"
	"bonsai/bootstrap/fault"
	"bonsai/bootstrap/kube"
)

// The parts of an object's page.
const (
	tabSummary = "summary"
	tabYAML    = "yaml"
	tabEvents  = "events"
	tabLogs    = "logs"
	tabRelated = "related"
	tabHistory = "history"
	// tabRevisions is that of workloads which keep their pod templates.
	tabRevisions = "revisions"
	// tabBirth is that of pods: how one came to be.
	tabBirth = "birth"
)

// mostFacts bounds the fields of a spec or a status that a summary shows.
const mostFacts = 30

// objectData is what the page of an object shows.
type objectData struct {
	Ref      kube.Ref
	ID       string // of its type
	Created  time.Time
	Deleting bool
	Tab      string
	Tabs     []tabLink
	Actions  []actionLink

	Labels, Annotations map[string]string
	Spec, Status        []fact
	Conditions          []conditionView
	Containers          []containerView
	Problems            []problemView

	YAML, Managed string
	Events        []kube.EventLine
	Logs          *logsData
	Related       []relatedGroup
	History       *historyData
	Revisions     []revisionView
	Birth         *birthData
}

func (d objectData) title() string { return d.Ref.Type.Kind + " " + d.Ref.Name }

// tabLink is a part of the page.
type tabLink struct {
	Name, Title, Path string
	Current           bool
}

// fact is a field in one line.
type fact struct{ Name, Value string }

// conditionView is a condition. OK says that it is as one wants it.
type conditionView struct {
	kube.Condition
	OK bool
}

// containerView is a container of a pod.
type containerView struct {
	Name, Image, State, Reason string
	Init, Ready                bool
	Restarts                   int32
}

// refOf is the object that an address names.
func (s *Server) refOf(ctx context.Context, q url.Values) (kube.Ref, error) {
	t, err := s.typeOf(ctx, q.Get("type"))
	if err != nil {
		return kube.Ref{}, err
	}
	ref := kube.Ref{Type: t, Name: q.Get("name"), UID: q.Get("uid")}
	if t.Namespaced {
		ref.Namespace = q.Get("ns")
	}
	if ref.Name == "" || t.Namespaced && ref.Namespace == "" {
		return ref, fault.Newf(fault.Usage, "the address does not name an object")
	}
	// Names are parts of paths; this is what the API server holds them to.
	for _, part := range []string{ref.Name, ref.Namespace} {
		if part == "." || part == ".." || strings.ContainsAny(part, "/%") {
			return ref, fault.Newf(fault.Usage, "%q is not the name of an object", part)
		}
	}
	return ref, nil
}

func (s *Server) loadObject(ctx context.Context, q *request) (any, error) {
	var problems []cluster.Problem
	if tabOf(q) == tabSummary {
		problems = s.snapshot(ctx).Problems
	}
	return s.objectOf(ctx, q, problems)
}

// objectOf reads an object; problems are those of the cluster.
func (s *Server) objectOf(ctx context.Context, q *request, problems []cluster.Problem) (any, error) {
	ref, err := s.refOf(ctx, q.query)
	if err != nil {
		return nil, err
	}
	ref.UID = "" // the address of a page is that of a name
	o, err := s.o.Objects.Object(ctx, ref)
	if err != nil {
		return nil, err
	}
	d := objectData{Ref: ref, ID: typeName(ref.Type.Resource, ref.Type.Group), Tab: tabOf(q)}
	hide(o)
	var meta struct {
		Metadata metav1.ObjectMeta `json:"metadata"`
	}
	_ = convert(o, &meta) // what does not fit is missing: a custom resource may have anything
	d.Ref.UID, d.Created, d.Deleting = string(meta.Metadata.UID), meta.Metadata.CreationTimestamp.Time, meta.Metadata.DeletionTimestamp != nil
	d.Labels, d.Annotations = meta.Metadata.Labels, meta.Metadata.Annotations
	d.Tabs, d.Actions = tabsOf(q, d.Ref, d.ID, d.Tab), actionsOf(q, d.Ref, d.ID, o)
	switch d.Tab {
	case tabYAML:
		d.YAML, d.Managed, err = yamlOf(o)
	case tabEvents:
		d.Events, err = s.eventsOf(ctx, d.Ref)
	case tabLogs:
		d.Logs, err = logsOf(q, d.Ref, d.ID, o)
	case tabRelated:
		d.Related, err = s.related(ctx, q, d.Ref, o)
	case tabRevisions:
		d.Revisions, err = s.revisionsOf(ctx, q, d.Ref, d.ID)
	case tabBirth:
		if d.ID == "pods" {
			d.Birth, err = s.birth(ctx, ref.Namespace, ref.Name)
		}
	case tabHistory:
		var h cluster.History
		h, err = s.o.Cluster.History(ctx, cluster.HistoryQuery{
			Limit: mostChanges, ObjectQuery: cluster.ObjectQuery{Type: d.ID, Namespace: ref.Namespace, Name: ref.Name},
		})
		view := historyOf(h)
		d.History = &view
	default:
		summarize(q, &d, o, problems)
	}
	return d, err
}

// summarize fills the part that is shown first.
func summarize(q *request, d *objectData, o map[string]any, problems []cluster.Problem) {
	d.Spec, d.Status = factsOf(o["spec"]), factsOf(o["status"])
	var with struct {
		Status struct {
			Conditions []metav1.Condition `json:"conditions"`
		} `json:"status"`
	}
	_ = convert(o, &with)
	for _, c := range with.Status.Conditions {
		d.Conditions = append(d.Conditions, conditionView{kube.Condition{
			Type: c.Type, Status: string(c.Status), Reason: c.Reason, Message: c.Message, Since: c.LastTransitionTime.Time,
		}, (c.Status == metav1.ConditionTrue) != negative(c.Type)})
	}
	if d.ID == "pods" {
		d.Containers = containersOf(o)
	}
	for _, p := range problems {
		kind := strings.ToLower(d.Ref.Type.Kind)
		mine := p.Object == strings.Join([]string{kind, d.Ref.Namespace, d.Ref.Name}, "/") || p.Object == kind+"/"+d.Ref.Name
		if mine || d.ID == "pods" && slices.Contains(p.Pods, d.Ref.Namespace+"/"+d.Ref.Name) {
			d.Problems = append(d.Problems, showFixable(q, p))
		}
	}
}

// negative says of a condition that one does not want it.
func negative(condition string) bool {
	for _, word := range []string{"Pressure", "Fail", "Unavailable", "Disruption", "Degraded", "Terminating", "Dangling"} {
		if strings.Contains(condition, word) {
			return true
		}
	}
	return false
}

// followObject reads the object again whenever it, or what its part of the page is about, has changed.
func (s *Server) followObject(ctx context.Context, q *request, send func(any) error) error {
	ref, err := s.refOf(ctx, q.query)
	if err != nil {
		return err
	}
	var p pulse
	sources := []func(context.Context, func()) error{func(ctx context.Context, changed func()) error {
		return s.o.Objects.WatchRows(ctx, kube.RowQuery{Type: ref.Type, Namespace: ref.Namespace, Name: ref.Name}, func(kube.RowBatch) error {
			changed()
			return nil
		})
	}}
	switch tabOf(q) {
	case tabEvents:
		sources = append(sources, func(ctx context.Context, changed func()) error {
			return s.o.Objects.Events(ctx, func([]kube.EventLine) error { changed(); return nil })
		})
	case tabSummary:
		sources = append(sources, s.watch(&p))
	}
	return newest(ctx, func() error {
		limited, cancel := s.o.Scale.Limit(ctx, loadLimit, "what the page shows")
		defer cancel()
		snapshot, _, _ := p.now()
		if snapshot.Time.IsZero() && tabOf(q) == tabSummary {
			return nil // it comes in a moment
		}
		d, err := s.objectOf(limited, q, snapshot.Problems)
		if err != nil {
			return err
		}
		return send(d)
	}, sources...)
}

func tabOf(q *request) string {
	tab := q.query.Get("tab")
	if slices.Contains([]string{tabYAML, tabEvents, tabLogs, tabRelated, tabRevisions, tabBirth, tabHistory}, tab) {
		return tab
	}
	return tabSummary
}

func tabsOf(q *request, ref kube.Ref, id, current string) []tabLink {
	titles := []struct{ name, title string }{
		{tabSummary, "Summary"}, {tabYAML, "YAML"}, {tabEvents, "Events"}, {tabLogs, "Logs"}, {tabRelated, "Related"}, {tabRevisions, "Revisions"}, {tabBirth, "Birth"}, {tabHistory, "History"},
	}
	var tabs []tabLink
	for _, t := range titles {
		if t.name == tabLogs && !hasLogs(id) || t.name == tabRevisions && !slices.Contains(restartable, id) || t.name == tabBirth && id != "pods" {
			continue
		}
		path := objectPath(id, ref.Namespace, ref.Name)
		if t.name != tabSummary {
			path += "&tab=" + t.name
		}
		tabs = append(tabs, tabLink{t.name, q.words.T(t.title), path, t.name == current})
	}
	return tabs
}

// hide removes the values of a Secret: they never leave the daemon for the dashboard.
func hide(o map[string]any) {
	if o["kind"] != "Secret" || o["apiVersion"] != "v1" {
		return
	}
	for _, field := range []string{"data", "stringData"} {
		values, _ := o[field].(map[string]any)
		for key, v := range values {
			values[key] = fmt.Sprintf("(%d characters)", len(fmt.Sprint(v)))
		}
	}
	if meta, ok := o["metadata"].(map[string]any); ok {
		if annotations, ok := meta["annotations"].(map[string]any); ok {
			if _, has := annotations[corev1.LastAppliedConfigAnnotation]; has {
				annotations[corev1.LastAppliedConfigAnnotation] = "(hidden)"
			}
		}
	}
}

// yamlOf is an object as YAML, and its managed fields for themselves. o is changed.
func yamlOf(o map[string]any) (text, managed string, err error) {
	var fields any
	if meta, ok := o["metadata"].(map[string]any); ok {
		fields = meta["managedFields"]
		delete(meta, "managedFields")
	}
	main, err := yaml.Marshal(o)
	if err != nil || fields == nil {
		return string(main), "", err
	}
	rest, err := yaml.Marshal(fields)
	return string(main), string(rest), err
}

// factsOf are the fields of a spec or a status that have one value.
func factsOf(v any) (facts []fact) {
	fields, _ := v.(map[string]any)
	for _, name := range slices.Sorted(maps.Keys(fields)) {
		text := ""
		switch v := fields[name].(type) {
		case string:
			text = v
		case bool, int64, float64, json.Number:
			text = fmt.Sprint(v)
		default:
			continue
		}
		if text != "" && len(facts) < mostFacts {
			facts = append(facts, fact{name, short(text)})
		}
	}
	return facts
}

// convert reads an object as a value of another type.
func convert(o map[string]any, into any) error {
	data, err := json.Marshal(o)
	if err != nil {
		return err
	}
	return json.Unmarshal(data, into)
}

func containersOf(o map[string]any) (all []containerView) {
	var pod corev1.Pod
	if convert(o, &pod) != nil {
		return nil
	}
	add := func(specs []corev1.Container, statuses []corev1.ContainerStatus, init bool) {
		for _, c := range specs {
			v := containerView{Name: c.Name, Image: c.Image, Init: init, State: string(kube.ContainerWaiting)}
			for _, s := range statuses {
				if s.Name != c.Name {
					continue
				}
				v.Ready, v.Restarts = s.Ready, s.RestartCount
				switch {
				case s.State.Running != nil:
					v.State = string(kube.ContainerRunning)
				case s.State.Terminated != nil:
					v.State, v.Reason = string(kube.ContainerTerminated), s.State.Terminated.Reason
				case s.State.Waiting != nil:
					v.Reason = strings.TrimSpace(s.State.Waiting.Reason + " " + s.State.Waiting.Message)
				}
			}
			all = append(all, v)
		}
	}
	add(pod.Spec.InitContainers, pod.Status.InitContainerStatuses, true)
	add(pod.Spec.Containers, pod.Status.ContainerStatuses, false)
	return all
}

// eventsOf are the Events about an object, the newest first.
func (s *Server) eventsOf(ctx context.Context, ref kube.Ref) ([]kube.EventLine, error) {
	var mine []kube.EventLine
	err := s.o.Objects.Events(ctx, func(lines []kube.EventLine) error {
		for _, l := range lines {
			if l.Object.Kind == ref.Type.Kind && l.Object.Name == ref.Name && (ref.Namespace == "" || l.Namespace == ref.Namespace) {
				mine = append(mine, l)
			}
		}
		return errListed
	})
	if errors.Is(err, errListed) {
		err = nil
	}
	slices.SortStableFunc(mine, func(a, b kube.EventLine) int { return cmp.Or(b.Time.Compare(a.Time), cmp.Compare(a.UID, b.UID)) })
	return mine, err
}

func lineOfObject(q *request) cluster.Command {
	name, ns, object := q.query.Get("type"), q.query.Get("ns"), q.query.Get("name")
	c := cluster.Kubectl("describe").On(name, object)
	switch tabOf(q) {
	case tabYAML:
		c = cluster.Kubectl("get").On(name, object).With("-o", "yaml")
	case tabLogs:
		c = cluster.Kubectl("logs").On(name+"/"+object).With("--follow", "--all-containers")
	case tabBirth:
		return cluster.Bonsai("birth").On(ns + "/" + object)
	case tabRevisions:
		c = cluster.Kubectl("rollout", "history").On(name + "/" + object)
	case tabHistory:
		c = cluster.Bonsai("history").On(name + "/" + object)
		if ns != "" {
			c = c.With("-n", ns)
		}
		return c
	}
	return c.In(ns)
}

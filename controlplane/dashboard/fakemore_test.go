package dashboard

import (
	"cmp"
	"context"
	"encoding/json"
	"strings"

	"sigs.k8s.io/yaml"

	"bonsai/bootstrap/cluster"
	"bonsai/bootstrap/fault"
	"bonsai/bootstrap/kube"
)

func (w *world) Differences(_ context.Context, q cluster.DifferenceQuery) ([]cluster.Difference, error) {
	if q.At.Before(w.history.Begun) {
		return nil, fault.Newf(fault.Usage, "nothing is recorded of that time")
	}
	return w.differences, nil
}

func (w *world) Past(_ context.Context, r cluster.RevertRequest) (cluster.PastObject, error) {
	if r.Name != w.past.Name {
		return cluster.PastObject{}, fault.Newf(fault.ObjectNotFound, "no change of %s is recorded", r.Name)
	}
	return w.past, nil
}

func (w *world) Revert(_ context.Context, r cluster.RevertRequest) (cluster.Reverted, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.refused != nil {
		return cluster.Reverted{}, w.refused
	}
	if !r.DryRun {
		w.reverted = append(w.reverted, r)
	}
	return cluster.Reverted{ObjectName: w.past.ObjectName, Change: cluster.ChangeUpdated, At: at, Fields: []cluster.FieldChange{{Path: "spec.replicas", Before: json.RawMessage("2"), After: json.RawMessage("1")}}}, nil
}

func (w *world) Flows(ctx context.Context, send func(cluster.Flows) error) error {
	if err := send(w.flows); err != nil {
		return err
	}
	<-ctx.Done()
	return ctx.Err()
}

func (w *world) DNSLog(ctx context.Context, _ cluster.DNSLogQuery, watching func(), send func(cluster.DNSQuery) error) error {
	watching()
	for _, d := range w.questions {
		if err := send(d); err != nil {
			return err
		}
	}
	<-ctx.Done()
	return ctx.Err()
}

func (w *world) Birth(_ context.Context, namespace, name string, send func(cluster.Birth) error) error {
	if namespace != w.born.Namespace || name != w.born.Name {
		return fault.Newf(fault.ObjectNotFound, "pods %q not found", name)
	}
	return send(w.born)
}

func (w *world) Usage(context.Context) ([]cluster.NodeUsage, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.sampled++
	return w.load.Nodes, nil
}

func (w *world) Starts() []cluster.Timeline { return w.starts }

func (w *world) Operate(_ context.Context, args []string, f func(cluster.Event)) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.operated = append(w.operated, strings.Join(args, " "))
	f(cluster.Event{Kind: cluster.StepProgress, Step: "addons", Title: "enable it", Time: at})
	return w.failure
}

func key(ref kube.Ref) string { return ref.Type.Resource + "/" + ref.Namespace + "/" + ref.Name }

func (w *world) Relations(_ context.Context, ref kube.Ref) (kube.Relations, error) {
	return w.relations[key(ref)], nil
}

func (w *world) Revisions(_ context.Context, ref kube.Ref) ([]kube.Revision, error) {
	return w.revisions[key(ref)], nil
}

func (w *world) DrainPlan(context.Context, string) (kube.DrainPlan, error) { return w.drain, nil }

func (w *world) YAML(ctx context.Context, ref kube.Ref) (string, error) {
	o, err := w.Object(ctx, ref)
	if err != nil {
		return "", err
	}
	if meta, ok := o["metadata"].(map[string]any); ok {
		delete(meta, "managedFields")
	}
	text, err := yaml.Marshal(o)
	return string(text), err
}

func (w *world) Preview(ctx context.Context, a kube.Action) (kube.Difference, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.refused != nil {
		return kube.Difference{}, w.refused
	}
	return kube.Difference{Before: "spec:\n  template:\n    image: web:1\n", After: "spec:\n  template:\n    image: web:0\n"}, nil
}

// PreviewReplace adds a default, as an API server does.
func (w *world) PreviewReplace(ctx context.Context, ref kube.Ref, text string) (kube.Difference, error) {
	w.mu.Lock()
	err := w.refused
	w.mu.Unlock()
	if err != nil {
		return kube.Difference{}, err
	}
	before, err := w.YAML(ctx, ref)
	after := text
	if before != text {
		after += "zone: default\n"
	}
	return kube.Difference{Before: before, After: after}, err
}

func (w *world) Replace(_ context.Context, ref kube.Ref, text string) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.conflicts > 0 {
		w.conflicts--
		return fault.Newf(fault.Conflict, "it was changed")
	}
	if w.refused != nil {
		return w.refused
	}
	w.written = append(w.written, key(ref)+"\n"+text)
	return nil
}

func (w *world) newObjects(namespace, text string) (list []kube.NewObject, err error) {
	for part := range strings.SplitSeq(text, "---\n") {
		var o struct {
			Kind     string `json:"kind"`
			Metadata struct {
				Name      string `json:"name"`
				Namespace string `json:"namespace"`
			} `json:"metadata"`
		}
		if err := yaml.Unmarshal([]byte(part), &o); err != nil || o.Metadata.Name == "" {
			return nil, fault.Newf(fault.Usage, "read the text: an object has no name").Advise("correct the text; nothing was created")
		}
		t, _ := findType(w.types, o.Kind)
		list = append(list, kube.NewObject{Ref: kube.Ref{Type: t, Namespace: cmp.Or(o.Metadata.Namespace, namespace), Name: o.Metadata.Name}, YAML: part + "zone: default\n"})
	}
	return list, nil
}

func (w *world) PreviewCreate(_ context.Context, namespace, text string) ([]kube.NewObject, error) {
	return w.newObjects(namespace, text)
}

func (w *world) Create(_ context.Context, namespace, text string) (done []kube.Ref, err error) {
	list, err := w.newObjects(namespace, text)
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, n := range list {
		if w.refused != nil && len(done) == 1 {
			return done, w.refused
		}
		done = append(done, n.Ref)
		if data, err := yaml.YAMLToJSON([]byte(n.YAML)); err == nil {
			w.objects[key(n.Ref)] = string(data)
		}
		w.written = append(w.written, key(n.Ref)+"\n"+n.YAML)
	}
	return done, err
}

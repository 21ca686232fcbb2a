package session

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/yaml"

	"bonsai/bootstrap/cluster"
	"bonsai/bootstrap/fault"
	"bonsai/bootstrap/kube"
)

// Preview is what an action would make of its object: the API server runs all of it, with defaults, admission and validation,
// but stores nothing.
func (s *Session) Preview(ctx context.Context, a kube.Action) (kube.Difference, error) {
	var d kube.Difference
	op := string(a.Verb) + " " + name(a.Ref)
	ctx, cancel := s.limit(ctx, callLimit, "an answer from the API server")
	defer cancel()
	c, err := s.api()
	if err != nil {
		return d, err
	}
	if a.Verb != kube.VerbRun {
		before, err := s.get(ctx, c, op, a.Ref)
		if err != nil {
			return d, err
		}
		if d.Before, err = yamlOf(op, before); err != nil || a.Verb == kube.VerbDelete {
			return d, err
		}
	}
	after, err := s.change(ctx, c, op, a, []string{metav1.DryRunAll})
	if err != nil {
		return d, err
	}
	d.After, err = yamlOf(op, after)
	return d, err
}

// PreviewReplace is Preview of Replace.
func (s *Session) PreviewReplace(ctx context.Context, ref kube.Ref, text string) (kube.Difference, error) {
	var d kube.Difference
	op := "change " + name(ref)
	ctx, cancel := s.limit(ctx, callLimit, "an answer from the API server")
	defer cancel()
	c, err := s.api()
	if err != nil {
		return d, err
	}
	before, err := s.get(ctx, c, op, ref)
	if err != nil {
		return d, err
	}
	after, err := s.replace(ctx, c, op, ref, text, []string{metav1.DryRunAll})
	if err != nil {
		return d, err
	}
	if d.Before, err = yamlOf(op, before); err != nil {
		return d, err
	}
	d.After, err = yamlOf(op, after)
	return d, err
}

func yamlOf(op string, o *unstructured.Unstructured) (string, error) {
	o.SetManagedFields(nil)
	text, err := yaml.Marshal(o.Object)
	if err != nil {
		return "", fmt.Errorf("%s: %w", op, err)
	}
	return string(text), nil
}

// change carries out an action that changes or creates one object, and returns it as it is then.
func (s *Session) change(ctx context.Context, c *conn, op string, a kube.Action, dryRun []string) (*unstructured.Unstructured, error) {
	switch a.Verb {
	case kube.VerbScale:
		change := map[string]any{"spec": map[string]any{"replicas": a.Replicas}}
		if len(dryRun) > 0 { // the answer of the subresource is not the object
			return s.merge(ctx, c, op, a.Ref, change, dryRun)
		}
		return s.merge(ctx, c, op, a.Ref, change, dryRun, "scale")
	case kube.VerbRestart:
		return s.restart(ctx, c, op, a.Ref, dryRun)
	case kube.VerbCordon:
		return s.cordon(ctx, c, op, a.Ref, true, dryRun)
	case kube.VerbUncordon:
		return s.cordon(ctx, c, op, a.Ref, false, dryRun)
	case kube.VerbSuspend, kube.VerbResume:
		return s.merge(ctx, c, op, a.Ref, map[string]any{"spec": map[string]any{"suspend": a.Verb == kube.VerbSuspend}}, dryRun)
	case kube.VerbSetSelector:
		return s.setSelector(ctx, c, op, a, dryRun)
	case kube.VerbRun:
		return s.runJob(ctx, c, op, a, dryRun)
	case kube.VerbSetImage, kube.VerbSetResources:
		return s.setContainers(ctx, c, op, a, dryRun)
	case kube.VerbRollback:
		return s.rollback(ctx, c, op, a, dryRun)
	}
	return nil, fault.Newf(fault.Internal, "%s: no such action", op)
}

// merge changes some fields of an object, after checking that it is the intended one.
func (s *Session) merge(ctx context.Context, c *conn, op string, ref kube.Ref, change map[string]any, dryRun []string, subresource ...string) (*unstructured.Unstructured, error) {
	return s.patch(ctx, c, op, ref, types.MergePatchType, change, dryRun, subresource...)
}

func (s *Session) patch(ctx context.Context, c *conn, op string, ref kube.Ref, kind types.PatchType, change any, dryRun []string, subresource ...string) (*unstructured.Unstructured, error) {
	if ref.UID != "" {
		if _, err := s.get(ctx, c, op, ref); err != nil {
			return nil, err
		}
	}
	data, err := json.Marshal(change)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", op, err)
	}
	o, err := c.resource(ref).Patch(ctx, ref.Name, kind, data, metav1.PatchOptions{FieldManager: fieldManager, DryRun: dryRun}, subresource...)
	return o, s.explain(ctx, op, err)
}

// restarted is the annotation of "kubectl rollout restart": a changed pod template creates new pods.
const restarted = "kubectl.kubernetes.io/restartedAt"

func (s *Session) restart(ctx context.Context, c *conn, op string, ref kube.Ref, dryRun []string) (*unstructured.Unstructured, error) {
	if !rollsOut(ref.Type) {
		return nil, fault.Newf(fault.Usage, "%s: only Deployments, StatefulSets and DaemonSets recreate their pods", op)
	}
	o, err := s.get(ctx, c, op, ref)
	if err != nil {
		return nil, err
	}
	if err := notPaused(op, ref, o); err != nil {
		return nil, err
	}
	annotations := map[string]any{restarted: time.Now().Format(time.RFC3339)}
	return s.merge(ctx, c, op, ref, map[string]any{
		"spec": map[string]any{"template": map[string]any{"metadata": map[string]any{"annotations": annotations}}},
	}, dryRun)
}

// rollsOut says that a change of the pod template of such objects replaces their pods, one after the other.
func rollsOut(t kube.ResourceType) bool {
	return t.Group == "apps" && slices.Contains([]string{"deployments", "statefulsets", "daemonsets"}, t.Resource)
}

// notPaused refuses what does nothing to a Deployment that is paused.
func notPaused(op string, ref kube.Ref, o *unstructured.Unstructured) error {
	if paused, _, _ := unstructured.NestedBool(o.Object, "spec", "paused"); paused {
		return fault.Newf(fault.Usage, "%s: it is paused", op).
			Advise("", cluster.Kubectl("rollout", "resume", ref.Type.Resource).On(ref.Name).In(ref.Namespace).Change())
	}
	return nil
}

func (s *Session) cordon(ctx context.Context, c *conn, op string, ref kube.Ref, on bool, dryRun []string) (*unstructured.Unstructured, error) {
	value := any(nil) // as it was before the first cordon
	if on {
		value = true
	}
	return s.merge(ctx, c, op, ref, map[string]any{"spec": map[string]any{"unschedulable": value}}, dryRun)
}

// templatePath is where the pod template of an object is; false if it has none that can change.
func templatePath(t kube.ResourceType) ([]string, bool) {
	switch {
	case rollsOut(t), t.Group == "apps" && t.Resource == "replicasets":
		return []string{"spec", "template", "spec"}, true
	case t.Group == "batch" && t.Resource == "cronjobs":
		return []string{"spec", "jobTemplate", "spec", "template", "spec"}, true
	case t.Group == "" && t.Resource == "pods":
		return []string{"spec"}, true
	}
	return nil, false
}

// setContainers changes images or resources of containers of a pod template.
func (s *Session) setContainers(ctx context.Context, c *conn, op string, a kube.Action, dryRun []string) (*unstructured.Unstructured, error) {
	path, ok := templatePath(a.Ref.Type)
	if !ok {
		return nil, fault.Newf(fault.Usage, "%s: it has no pod template that can change", op)
	}
	o, err := s.get(ctx, c, op, a.Ref)
	if err != nil {
		return nil, err
	}
	changes := map[string]map[string]any{}
	for container, image := range a.Images {
		changes[container] = map[string]any{"name": container, "image": image}
	}
	for container, r := range a.Resources {
		changes[container] = map[string]any{"name": container, "resources": map[string]any{"requests": amounts(r.Requests), "limits": amounts(r.Limits)}}
	}
	spec := map[string]any{}
	for _, field := range []string{"initContainers", "containers"} {
		list, _, _ := unstructured.NestedSlice(o.Object, append(slices.Clone(path), field)...)
		var changed []any
		for _, entry := range list {
			container, _ := entry.(map[string]any)["name"].(string)
			if change := changes[container]; change != nil {
				changed = append(changed, change)
				delete(changes, container)
			}
		}
		if changed != nil {
			spec[field] = changed
		}
	}
	for container := range changes {
		return nil, fault.Newf(fault.Usage, "%s: it has no container %q", op, container)
	}
	var change any = spec
	for _, field := range slices.Backward(path) {
		change = map[string]any{field: change}
	}
	return s.patch(ctx, c, op, a.Ref, types.StrategicMergePatchType, change, dryRun)
}

// setSelector replaces all labels of a Service's selector.
func (s *Session) setSelector(ctx context.Context, c *conn, op string, a kube.Action, dryRun []string) (*unstructured.Unstructured, error) {
	o, err := s.get(ctx, c, op, a.Ref)
	if err != nil {
		return nil, err
	}
	selector := map[string]any{}
	before, _, _ := unstructured.NestedStringMap(o.Object, "spec", "selector")
	for k := range before {
		selector[k] = nil
	}
	for k, v := range a.Selector {
		selector[k] = v
	}
	return s.merge(ctx, c, op, a.Ref, map[string]any{"spec": map[string]any{"selector": selector}}, dryRun)
}

// amounts are quantities as a patch has them: an empty one takes the field away.
func amounts(list map[string]string) map[string]any {
	all := make(map[string]any, len(list))
	for resource, amount := range list {
		all[resource] = nil
		if amount != "" {
			all[resource] = amount
		}
	}
	return all
}

// runJob creates a Job of a CronJob, as kubectl does (pkg/cmd/create/create_job.go).
func (s *Session) runJob(ctx context.Context, c *conn, op string, a kube.Action, dryRun []string) (*unstructured.Unstructured, error) {
	o, err := s.get(ctx, c, op, a.Ref)
	if err != nil {
		return nil, err
	}
	var from batchv1.CronJob
	if err := runtime.DefaultUnstructuredConverter.FromUnstructured(o.Object, &from); err != nil {
		return nil, fmt.Errorf("%s: %w", op, err)
	}
	annotations := map[string]string{"cronjob.kubernetes.io/instantiate": "manual"}
	maps.Copy(annotations, from.Spec.JobTemplate.Annotations)
	job := &batchv1.Job{
		TypeMeta: metav1.TypeMeta{APIVersion: batchv1.SchemeGroupVersion.String(), Kind: "Job"},
		ObjectMeta: metav1.ObjectMeta{
			Name: a.JobName, Namespace: from.Namespace, Annotations: annotations, Labels: from.Spec.JobTemplate.Labels,
			OwnerReferences: []metav1.OwnerReference{{
				APIVersion: batchv1.SchemeGroupVersion.String(), Kind: "CronJob", Name: from.Name, UID: from.UID, Controller: new(true),
			}},
		},
		Spec: from.Spec.JobTemplate.Spec,
	}
	fields, err := runtime.DefaultUnstructuredConverter.ToUnstructured(job)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", op, err)
	}
	jobs := kube.Ref{Type: kube.ResourceType{Group: "batch", Version: "v1", Resource: "jobs", Kind: "Job", Namespaced: true}, Namespace: from.Namespace}
	made, err := c.resource(jobs).Create(ctx, &unstructured.Unstructured{Object: fields}, metav1.CreateOptions{FieldManager: fieldManager, DryRun: dryRun})
	return made, s.explain(ctx, op, err)
}

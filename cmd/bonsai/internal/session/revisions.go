package session

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/yaml"

	"bonsai/bootstrap/fault"
	"bonsai/bootstrap/kube"
)

// The annotations of revisions: of upstream's deployment controller (pkg/controller/deployment/util) and of kubectl.
const (
	revisionAnnotation        = "deployment.kubernetes.io/revision"
	revisionHistoryAnnotation = "deployment.kubernetes.io/revision-history"
	desiredReplicasAnnotation = "deployment.kubernetes.io/desired-replicas"
	maxReplicasAnnotation     = "deployment.kubernetes.io/max-replicas"
	changeCause               = "kubernetes.io/change-cause"
)

// revision is a Revision with what brings it back.
type revision struct {
	kube.Revision
	set  *appsv1.ReplicaSet         // of a Deployment
	data *appsv1.ControllerRevision // of a StatefulSet or DaemonSet
}

// Revisions are the pod templates that a workload has had, the newest first, as far as they are kept.
func (s *Session) Revisions(ctx context.Context, ref kube.Ref) ([]kube.Revision, error) {
	op := "read the revisions of " + name(ref)
	ctx, cancel := s.limit(ctx, callLimit, "an answer from the API server")
	defer cancel()
	c, err := s.api()
	if err != nil {
		return nil, err
	}
	o, err := s.get(ctx, c, op, ref)
	if err != nil {
		return nil, err
	}
	list, err := s.revisions(ctx, c, op, ref, o)
	if err != nil {
		return nil, err
	}
	all := make([]kube.Revision, len(list))
	for i := range list {
		all[i] = list[i].Revision
	}
	return all, nil
}

func (s *Session) revisions(ctx context.Context, c *conn, op string, ref kube.Ref, o *unstructured.Unstructured) ([]revision, error) {
	if !rollsOut(ref.Type) {
		return nil, fault.Newf(fault.Usage, "%s: only Deployments, StatefulSets and DaemonSets have revisions", op)
	}
	var list []revision
	if ref.Type.Resource == "deployments" {
		sets, err := c.client.AppsV1().ReplicaSets(ref.Namespace).List(ctx, metav1.ListOptions{})
		if err != nil {
			return nil, s.explain(ctx, op, err)
		}
		for i := range sets.Items {
			set := &sets.Items[i]
			number, err := strconv.ParseInt(set.Annotations[revisionAnnotation], 10, 64)
			if !metav1.IsControlledBy(set, o) || err != nil { // one without a number is about to get it
				continue
			}
			template := set.Spec.Template.DeepCopy()
			delete(template.Labels, appsv1.DefaultDeploymentUniqueLabelKey)
			text, err := templateYAML(template)
			if err != nil {
				return nil, fmt.Errorf("%s: %w", op, err)
			}
			list = append(list, revision{set: set, Revision: kube.Revision{
				Number: number, Name: set.Name, Created: set.CreationTimestamp.Time, Cause: set.Annotations[changeCause],
				Pods: int(set.Status.Replicas), Template: text,
			}})
		}
	} else {
		kept, err := c.client.AppsV1().ControllerRevisions(ref.Namespace).List(ctx, metav1.ListOptions{})
		if err != nil {
			return nil, s.explain(ctx, op, err)
		}
		pods, err := c.client.CoreV1().Pods(ref.Namespace).List(ctx, metav1.ListOptions{LabelSelector: appsv1.ControllerRevisionHashLabelKey})
		if err != nil {
			return nil, s.explain(ctx, op, err)
		}
		for i := range kept.Items {
			r := &kept.Items[i]
			if !metav1.IsControlledBy(r, o) {
				continue
			}
			text, err := patchedTemplate(r.Data.Raw)
			if err != nil {
				return nil, fmt.Errorf("%s: revision %d: %w", op, r.Revision, err)
			}
			list = append(list, revision{data: r, Revision: kube.Revision{
				Number: r.Revision, Name: r.Name, Created: r.CreationTimestamp.Time, Cause: r.Annotations[changeCause],
				Pods: podsOf(pods.Items, o, r), Template: text,
			}})
		}
	}
	slices.SortFunc(list, func(a, b revision) int { return cmp.Compare(b.Number, a.Number) })
	if len(list) > 0 {
		list[0].Current = true
	}
	return list, nil
}

// podsOf counts the pods of a revision. Their label has its name, or for those of a DaemonSet its hash.
func podsOf(pods []corev1.Pod, of metav1.Object, r *appsv1.ControllerRevision) int {
	n := 0
	for i := range pods {
		label := pods[i].Labels[appsv1.ControllerRevisionHashLabelKey]
		if metav1.IsControlledBy(&pods[i], of) && (label == r.Name || label == r.Labels[appsv1.ControllerRevisionHashLabelKey]) {
			n++
		}
	}
	return n
}

func templateYAML(template *corev1.PodTemplateSpec) (string, error) {
	fields := map[string]any{}
	data, err := json.Marshal(template)
	if err != nil {
		return "", err
	}
	if err := json.Unmarshal(data, &fields); err != nil {
		return "", err
	}
	return tidyTemplate(fields)
}

// patchedTemplate is the pod template in the patch that a ControllerRevision is.
func patchedTemplate(patch []byte) (string, error) {
	var o struct {
		Spec struct {
			Template map[string]any `json:"template"`
		} `json:"spec"`
	}
	if err := json.Unmarshal(patch, &o); err != nil {
		return "", err
	}
	delete(o.Spec.Template, "$patch")
	return tidyTemplate(o.Spec.Template)
}

// tidyTemplate leaves out what is always empty.
func tidyTemplate(fields map[string]any) (string, error) {
	if meta, ok := fields["metadata"].(map[string]any); ok {
		delete(meta, "creationTimestamp")
	}
	text, err := yaml.Marshal(fields)
	return string(text), err
}

// rollback makes a workload's pod template what it was, as "kubectl rollout undo" (pkg/polymorphichelpers/rollback.go).
func (s *Session) rollback(ctx context.Context, c *conn, op string, a kube.Action, dryRun []string) (*unstructured.Unstructured, error) {
	o, err := s.get(ctx, c, op, a.Ref)
	if err != nil {
		return nil, err
	}
	list, err := s.revisions(ctx, c, op, a.Ref, o)
	if err != nil {
		return nil, err
	}
	at := 1
	if a.Revision != 0 {
		at = slices.IndexFunc(list, func(r revision) bool { return r.Number == a.Revision })
	}
	if at < 0 || at >= len(list) {
		return nil, fault.Newf(fault.ObjectNotFound, "%s: the revision is not kept any more", op).
			Advise("spec.revisionHistoryLimit says how many are kept")
	}
	to := list[at]
	if to.data != nil {
		return s.patch(ctx, c, op, a.Ref, types.StrategicMergePatchType, json.RawMessage(to.data.Data.Raw), dryRun)
	}
	if err := notPaused(op, a.Ref, o); err != nil {
		return nil, err
	}
	// Annotations of the revision come back with it, but for those that the controller or kubectl writes.
	kept := []string{
		corev1.LastAppliedConfigAnnotation, revisionAnnotation, revisionHistoryAnnotation, desiredReplicasAnnotation, maxReplicasAnnotation,
		appsv1.DeprecatedRollbackTo,
	}
	annotations := map[string]string{}
	for _, k := range kept {
		if v, ok := o.GetAnnotations()[k]; ok {
			annotations[k] = v
		}
	}
	for k, v := range to.set.Annotations {
		if !slices.Contains(kept, k) {
			annotations[k] = v
		}
	}
	template := to.set.Spec.Template.DeepCopy()
	delete(template.Labels, appsv1.DefaultDeploymentUniqueLabelKey)
	type step struct {
		Op    string `json:"op"`
		Path  string `json:"path"`
		Value any    `json:"value"`
	}
	return s.patch(ctx, c, op, a.Ref, types.JSONPatchType, []step{
		{"replace", "/spec/template", template}, {"add", "/metadata/annotations", annotations},
	}, dryRun)
}

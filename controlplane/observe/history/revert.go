package history

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/util/retry"

	"bonsai/bootstrap/cluster"
	"bonsai/bootstrap/fault"
	"bonsai/controlplane/observe/history/journal"
)

// Agent is the name of reverts among clients and owners of fields.
const Agent = "bonsai revert"

// Revert makes an object as it was, or creates it again. It goes through the API server as a user's change does: webhooks
// and policies apply. Faults are ObjectNotFound, Usage, and Refused by the API server.
func (h *History) Revert(ctx context.Context, r cluster.RevertRequest) (cluster.Reverted, error) {
	s, err := h.one(ctx, r.ObjectQuery)
	if err != nil {
		return cluster.Reverted{}, err
	}
	value, at, err := h.past(s, r)
	if err != nil {
		return cluster.Reverted{}, err
	}
	if value == nil { // nothing has happened since then
		live, err := h.live(ctx, s)
		if err != nil {
			return cluster.Reverted{}, err
		}
		return cluster.Reverted{ObjectName: nameIn(s, live), At: at, DryRun: r.DryRun}, nil
	}
	past, err := h.decoder.decode(value)
	if err != nil {
		return cluster.Reverted{}, fmt.Errorf("read %s as it was: %w", s.subject(), err)
	}
	return h.put(ctx, s, past, at, r.DryRun)
}

// Past returns an object as it was, and of which time that is, without what the API server keeps of it; values in Secrets are replaced
// by their size. DryRun does not matter. The faults are those of Revert.
func (h *History) Past(ctx context.Context, r cluster.RevertRequest) (cluster.PastObject, error) {
	s, err := h.one(ctx, r.ObjectQuery)
	if err != nil {
		return cluster.PastObject{}, err
	}
	value, at, err := h.past(s, r)
	if err != nil {
		return cluster.PastObject{}, err
	}
	var o object
	if value == nil { // nothing has happened since then
		o, err = h.live(ctx, s)
	} else if o, err = h.decoder.decode(value); err != nil {
		err = fmt.Errorf("read %s as it was: %w", s.subject(), err)
	}
	if err != nil {
		return cluster.PastObject{}, err
	}
	return cluster.PastObject{ObjectName: nameIn(s, o), At: at, Object: shown(o)}, nil
}

// shown is an object for people.
func shown(o object) map[string]any {
	all, _ := visible(o).(map[string]any)
	if o.text("kind") != "Secret" {
		return all
	}
	for _, field := range []string{"data", "stringData"} {
		values, ok := all[field].(map[string]any)
		if !ok {
			continue
		}
		sizes := make(map[string]any, len(values))
		for key, v := range values {
			sizes[key] = hidden(v)
		}
		all[field] = sizes
	}
	return all
}

// past returns an object as a request wants it, and the time of that; nil if it has been like that since then.
func (h *History) past(s selector, r cluster.RevertRequest) (value []byte, at time.Time, err error) {
	err = h.journal.Read(func(v *journal.View) error {
		switch {
		case r.To != 0:
			value, at, err = h.after(v, s, r.To)
		case r.At.IsZero():
			value, at, err = h.deleted(v, s)
		default:
			at = r.At
			var list []*span
			if list, err = h.since(v, s, r.At); err == nil && len(list) > 0 {
				if value = list[0].before; value == nil {
					err = fault.Newf(fault.ObjectNotFound, "%s did not exist at %s", s.subject(), when(at)).
						Advise("see what has happened to it", h.historyOf(s))
				}
			}
		}
		value = bytes.Clone(value)
		return err
	})
	return value, at, err
}

// after returns an object as it was after the change of a revision.
func (h *History) after(v *journal.View, s selector, revision int64) (value []byte, at time.Time, err error) {
	var change *journal.Entry
	if err := v.Backward(time.Time{}, s.wanted(), func(e journal.Entry) bool {
		if id, ok := identify(e.Key); ok && e.Revision == revision && s.matches(id) {
			change = &e
		}
		return change == nil
	}); err != nil {
		return nil, at, err
	}
	switch {
	case change == nil:
		return nil, at, fault.Newf(fault.ObjectNotFound, "no change of %s with revision %d is recorded", s.subject(), revision).
			Advise("see which changes are recorded", h.historyOf(s))
	case change.Op == journal.Deleted:
		return nil, at, fault.Newf(fault.Usage, "revision %d is the deletion of %s", revision, s.subject()).
			Advise("see the revisions before it", h.historyOf(s))
	}
	value, err = v.Value(*change)
	return value, change.Time, err
}

// deleted returns an object that does not exist any more, as it was last.
func (h *History) deleted(v *journal.View, s selector) (value []byte, at time.Time, err error) {
	var newest *journal.Entry
	if err := v.Backward(time.Time{}, s.wanted(), func(e journal.Entry) bool {
		if id, ok := identify(e.Key); ok && s.matches(id) {
			newest = &e
		}
		return newest == nil
	}); err != nil {
		return nil, at, err
	}
	if newest == nil {
		return nil, at, fault.Newf(fault.ObjectNotFound, "no change of %s is recorded", s.subject()).Advise("see which changes are recorded", cluster.Bonsai("history").Of(h.Cluster))
	}
	if newest.Op != journal.Deleted {
		return nil, at, fault.Newf(fault.Usage, "%s exists: say to which time or revision it is to be reverted", s.subject()).
			Advise("see its revisions", h.historyOf(s))
	}
	value, err = v.Before(*newest)
	if err == nil && value == nil {
		err = fault.Newf(fault.ObjectNotFound, "it is not recorded how %s was", s.subject())
	}
	return value, newest.Time, err
}

func (h *History) historyOf(s selector) cluster.Command {
	c := cluster.Bonsai("history").On(s.Type + "/" + s.Name).Of(h.Cluster)
	if s.Namespace != "" {
		c = c.With("-n", s.Namespace)
	}
	return c
}

// client writes as the administrator of the cluster would. The API server's own client would not be subject to webhooks.
func (h *History) client(s selector) (dynamic.ResourceInterface, error) {
	if s.known == nil {
		return nil, fault.Newf(fault.ObjectNotFound, "the cluster has no type %q", s.Type).
			Advise("see which types it has", cluster.Kubectl("api-resources").Of(h.Cluster))
	}
	config := rest.CopyConfig(h.Client)
	config.UserAgent = Agent
	config.Impersonate = rest.ImpersonationConfig{UserName: "kubernetes-admin", Groups: []string{"system:masters"}}
	client, err := dynamic.NewForConfig(config)
	if err != nil {
		return nil, err
	}
	if s.known.namespaced {
		return client.Resource(s.known.GroupVersionResource).Namespace(s.Namespace), nil
	}
	return client.Resource(s.known.GroupVersionResource), nil
}

// live returns an object as it is now. One that does not exist is the fault ObjectNotFound.
func (h *History) live(ctx context.Context, s selector) (object, error) {
	client, err := h.client(s)
	if err != nil {
		return nil, err
	}
	o, err := client.Get(ctx, s.Name, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		return nil, fault.Newf(fault.ObjectNotFound, "there is no %s, and nothing of it is recorded", s.subject()).
			Advise("", cluster.Kubectl("get").On(s.Type).In(s.Namespace).Of(h.Cluster))
	}
	if err != nil {
		return nil, fmt.Errorf("look at %s: %w", s.subject(), err)
	}
	return o.Object, nil
}

// put writes an object as it was.
func (h *History) put(ctx context.Context, s selector, past object, at time.Time, dryRun bool) (cluster.Reverted, error) {
	stored, err := schema.ParseGroupVersion(past.text("apiVersion"))
	if err != nil {
		return cluster.Reverted{}, err
	}
	if s.known != nil { // the version in which it was stored is served, too
		known := *s.known
		known.Version = stored.Version
		s.known = &known
	}
	client, err := h.client(s)
	if err != nil {
		return cluster.Reverted{}, err
	}
	done := cluster.Reverted{ObjectName: nameIn(s, past), At: at, DryRun: dryRun}
	// Controllers change it, too.
	err = retry.RetryOnConflict(retry.DefaultBackoff, func() error {
		done.Change, done.Fields, err = h.putOnce(ctx, client, s, past, dryRun)
		return err
	})
	var status apierrors.APIStatus
	if errors.As(err, &status) {
		return done, fault.New(fault.Refused, fmt.Sprintf("revert %s", s.subject()), err)
	}
	if err != nil {
		return done, fmt.Errorf("revert %s: %w", s.subject(), err)
	}
	return done, nil
}

// putOnce is put for the object as it is at this moment. It returns what that has changed.
func (h *History) putOnce(ctx context.Context, client dynamic.ResourceInterface, s selector, past object, dryRun bool) (change string, fields []cluster.FieldChange, err error) {
	var dry []string
	if dryRun {
		dry = []string{metav1.DryRunAll}
	}
	now, err := client.Get(ctx, s.Name, metav1.GetOptions{})
	switch {
	case apierrors.IsNotFound(err):
		_, err = client.Create(ctx, &unstructured.Unstructured{Object: h.creatable(ctx, past)}, metav1.CreateOptions{FieldManager: Agent, DryRun: dry})
		return cluster.ChangeCreated, nil, err
	case err != nil:
		return "", nil, err
	case now.GetDeletionTimestamp() != nil:
		return "", nil, fault.Newf(fault.Refused, "%s is being deleted; it can be reverted when it is gone", s.subject())
	}
	wanted := updatable(past, now.Object)
	for _, f := range differences(now.Object, wanted) {
		if !isStatus(f) {
			fields = append(fields, f)
		}
	}
	if len(fields) == 0 {
		return "", nil, nil
	}
	_, err = client.Update(ctx, &unstructured.Unstructured{Object: wanted}, metav1.UpdateOptions{FieldManager: Agent, DryRun: dry})
	return cluster.ChangeUpdated, fields, err
}

func nameIn(s selector, o object) cluster.ObjectName {
	return cluster.ObjectName{
		APIVersion: o.text("apiVersion"), Kind: o.text("kind"), Resource: s.resource, Namespace: o.text("metadata", "namespace"), Name: o.text("metadata", "name"),
	}
}

// updatable is an object as it was, with what identifies the one that exists and what the API server keeps of it.
func updatable(past, now object) object {
	wanted, metadata := maps.Clone(past), maps.Clone(past.metadata())
	for _, field := range append([]string{"deletionTimestamp", "deletionGracePeriodSeconds"}, ownMetadata...) {
		delete(metadata, field)
		if v, ok := now.metadata()[field]; ok {
			metadata[field] = v
		}
	}
	if annotations := annotationsOf(past, now); len(annotations) > 0 {
		metadata["annotations"] = annotations
	} else {
		delete(metadata, "annotations")
	}
	wanted["metadata"] = metadata
	delete(wanted, "status")
	if v, ok := now["status"]; ok {
		wanted["status"] = v
	}
	return wanted
}

// annotationsOf are those of the past, with those of controllers as they are now.
func annotationsOf(past, now object) map[string]any {
	was, _ := past.metadata()["annotations"].(map[string]any)
	is, _ := now.metadata()["annotations"].(map[string]any)
	annotations := maps.Clone(was)
	for _, name := range ofControllers {
		delete(annotations, name)
		if v, ok := is[name]; ok {
			if annotations == nil {
				annotations = map[string]any{}
			}
			annotations[name] = v
		}
	}
	return annotations
}

// creatable is an object that was deleted, without what only the deleted one could have.
func (h *History) creatable(ctx context.Context, past object) object {
	wanted := withoutIdentity(past)
	owners, _ := wanted.metadata()["ownerReferences"].([]any)
	var kept []any
	for _, o := range owners { // else the garbage collector deletes it at once
		if reference, ok := o.(map[string]any); ok && h.exists(ctx, reference, past.text("metadata", "namespace")) {
			kept = append(kept, o)
		}
	}
	delete(wanted.metadata(), "ownerReferences")
	if len(kept) > 0 {
		wanted.metadata()["ownerReferences"] = kept
	}
	return wanted
}

// exists reports whether the owner that a reference is to still exists.
func (h *History) exists(ctx context.Context, reference map[string]any, namespace string) bool {
	owner := object(reference)
	gv, err := schema.ParseGroupVersion(owner.text("apiVersion"))
	if err != nil {
		return false
	}
	name := owner.text("kind")
	if gv.Group != "" {
		name += "." + gv.Group
	}
	s, err := h.selector(ctx, cluster.ObjectQuery{Type: name, Namespace: namespace, Name: owner.text("name")})
	if err != nil {
		return false
	}
	live, err := h.live(ctx, s)
	return err == nil && types.UID(live.text("metadata", "uid")) == types.UID(owner.text("uid"))
}

// jobLabels are those that the API server sets in the template of a Job, with the UID of that Job.
var jobLabels = []string{"controller-uid", "batch.kubernetes.io/controller-uid", "job-name", "batch.kubernetes.io/job-name"}

// bindings are the annotations of a claim that say that it has a volume.
var bindings = []string{"pv.kubernetes.io/bind-completed", "pv.kubernetes.io/bound-by-controller", "volume.kubernetes.io/selected-node"}

// withoutIdentity returns a copy of an object without its status, its identity, and what refers to either.
func withoutIdentity(past object) object {
	wanted := object((&unstructured.Unstructured{Object: past}).DeepCopy().Object)
	delete(wanted, "status")
	metadata := wanted.metadata()
	for _, field := range append([]string{"deletionTimestamp", "deletionGracePeriodSeconds"}, ownMetadata...) {
		delete(metadata, field)
	}
	spec, _ := wanted["spec"].(map[string]any)
	switch wanted.text("kind") {
	case "Pod": // it is placed again; its node may be gone
		delete(spec, "nodeName")
	case "PersistentVolumeClaim": // its volume was deleted with it, or belongs to the deleted claim
		delete(spec, "volumeName")
		annotations, _ := metadata["annotations"].(map[string]any)
		for _, name := range bindings {
			delete(annotations, name)
		}
	case "PersistentVolume": // a claim of the same name may have it again
		claim, _ := spec["claimRef"].(map[string]any)
		delete(claim, "uid")
		delete(claim, "resourceVersion")
	case "Job":
		if manual, _ := spec["manualSelector"].(bool); !manual {
			delete(spec, "selector")
			labels, _, _ := unstructured.NestedMap(spec, "template", "metadata", "labels")
			for _, name := range jobLabels {
				delete(labels, name)
			}
			if labels != nil {
				_ = unstructured.SetNestedMap(spec, labels, "template", "metadata", "labels") // it was a map before
			}
		}
	}
	return wanted
}

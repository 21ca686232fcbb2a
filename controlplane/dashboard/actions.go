package dashboard

import (
	"context"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"bonsai/bootstrap/cluster"
	"bonsai/bootstrap/fault"
	"bonsai/bootstrap/kube"
)

// mostReplicas bounds what a mistyped number can do.
const mostReplicas = 10_000

// actionLink is an action that an object's page offers.
type actionLink struct{ Verb, Title, Path string }

// confirmData is what the page confirm shows.
type confirmData struct {
	Verb kube.Verb
	Ref  kube.Ref
	ID   string
	// Title is the question, Notes what else one should know, Line the command that does the same.
	Title string
	Notes []string
	Line  string
	// Replicas are for scaling.
	Replicas int
	// Hidden are what the form sends besides.
	Hidden url.Values
	// Would is what changes, as the API server says; Trouble is why it would be refused, and Same that nothing would change.
	Would   difference
	Trouble *problemView
	Same    bool
	// With is what goes with an object that is deleted, and Plan what goes from a node that is drained.
	With []relatedGroup
	Plan *kube.DrainPlan
	Back string
}

func (d confirmData) title() string { return d.Title }

var (
	scalable    = []string{"deployments.apps", "statefulsets.apps", "replicasets.apps", "replicationcontrollers"}
	restartable = []string{"deployments.apps", "statefulsets.apps", "daemonsets.apps"}
	suspendable = []string{"cronjobs.batch", "jobs.batch"}
)

// possible are the verbs for objects of a type.
func possible(t kube.ResourceType) (verbs []kube.Verb) {
	id := typeName(t.Resource, t.Group)
	if slices.Contains(scalable, id) {
		verbs = append(verbs, kube.VerbScale)
	}
	if slices.Contains(restartable, id) {
		verbs = append(verbs, kube.VerbRestart, kube.VerbRollback)
	}
	switch id {
	case "nodes":
		verbs = append(verbs, kube.VerbCordon, kube.VerbUncordon, kube.VerbDrain)
	case "cronjobs.batch":
		verbs = append(verbs, kube.VerbRun)
	case "services":
		verbs = append(verbs, kube.VerbSetSelector)
	}
	if slices.Contains(suspendable, id) {
		verbs = append(verbs, kube.VerbSuspend, kube.VerbResume)
	}
	if slices.Contains(t.Verbs, "delete") {
		verbs = append(verbs, kube.VerbDelete)
	}
	return verbs
}

// offered says whether the page of an object offers a verb that is possible.
func offered(verb kube.Verb, spec map[string]any) bool {
	cordoned, _ := spec["unschedulable"].(bool)
	suspended, _ := spec["suspend"].(bool)
	switch verb {
	case kube.VerbCordon:
		return !cordoned
	case kube.VerbUncordon:
		return cordoned
	case kube.VerbSuspend:
		return !suspended
	case kube.VerbResume:
		return suspended
	case kube.VerbRollback, kube.VerbSetSelector: // by the list of revisions, and by problems
		return false
	}
	return true
}

// titles of actions, English, for Words.
var titles = map[kube.Verb]string{
	kube.VerbScale: "Scale", kube.VerbRestart: "Restart", kube.VerbDelete: "Delete", kube.VerbCordon: "Cordon", kube.VerbUncordon: "Uncordon", kube.VerbDrain: "Drain",
	kube.VerbRollback: "Go back", kube.VerbSetSelector: "Set the selector", kube.VerbSuspend: "Suspend", kube.VerbResume: "Resume", kube.VerbRun: "Run now",
}

// dones say what was done, English, for Words.
var dones = map[string]string{
	"edit": "It is changed.", "create": "It is created.", "revert": "It is as it was.",
	string(kube.VerbScale): "It is being scaled.", string(kube.VerbRestart): "Its pods are being replaced.", string(kube.VerbDelete): "It is being deleted.",
	string(kube.VerbCordon): "It accepts no new pods.", string(kube.VerbUncordon): "It accepts pods again.", string(kube.VerbRollback): "It goes back; its pods are being replaced.",
	string(kube.VerbSetSelector): "It has other pods.", string(kube.VerbSuspend): "It is suspended.", string(kube.VerbResume): "It goes on.", string(kube.VerbRun): "A Job is created.",
}

// actionsOf are what the page of an object offers.
func actionsOf(q *request, ref kube.Ref, id string, o map[string]any) (all []actionLink) {
	if q.session.readOnly {
		return nil
	}
	if editable(ref.Type) {
		all = append(all, actionLink{"edit", q.words.T("Edit"), editPath(id, ref.Namespace, ref.Name)})
	}
	spec, _ := o["spec"].(map[string]any)
	for _, verb := range possible(ref.Type) {
		if !offered(verb, spec) {
			continue
		}
		a := kube.Action{Verb: verb, Ref: ref, Replicas: 1} // the API's default
		if n, ok := spec["replicas"]; ok && verb == kube.VerbScale {
			a.Replicas, _ = strconv.Atoi(fmt.Sprint(n))
		}
		all = append(all, actionLink{string(verb), q.words.T(titles[verb]), "/confirm?" + parameters(a, id).Encode()})
	}
	return all
}

// parameters are an action as an address or a form has it.
func parameters(a kube.Action, id string) url.Values {
	v := url.Values{"verb": {string(a.Verb)}, "type": {id}, "ns": {a.Ref.Namespace}, "name": {a.Ref.Name}, "uid": {a.Ref.UID}}
	switch a.Verb {
	case kube.VerbScale:
		v.Set("replicas", strconv.Itoa(a.Replicas))
	case kube.VerbRollback:
		v.Set("revision", strconv.FormatInt(a.Revision, 10))
	case kube.VerbSetSelector:
		v.Set("selector", labelsText(a.Selector))
	}
	return v
}

// labelsText is labels as kubectl's arguments have them.
func labelsText(all map[string]string) string {
	parts := make([]string, 0, len(all))
	for _, k := range slices.Sorted(maps.Keys(all)) {
		parts = append(parts, k+"="+all[k])
	}
	return strings.Join(parts, ",")
}

// actionOf reads an action from an address or a form.
func (s *Server) actionOf(ctx context.Context, v url.Values) (kube.Action, error) {
	ref, err := s.refOf(ctx, v)
	if err != nil {
		return kube.Action{}, err
	}
	a := kube.Action{Verb: kube.Verb(v.Get("verb")), Ref: ref, Grace: -1}
	if !slices.Contains(possible(ref.Type), a.Verb) {
		return a, fault.Newf(fault.Usage, "%q is not an action on %s", a.Verb, ref.Type.Resource)
	}
	switch a.Verb {
	case kube.VerbScale:
		if a.Replicas, err = strconv.Atoi(v.Get("replicas")); err != nil || a.Replicas < 0 || a.Replicas > mostReplicas {
			return a, fault.Newf(fault.Usage, "%q is not a number of replicas", v.Get("replicas"))
		}
	case kube.VerbRollback:
		if a.Revision, err = strconv.ParseInt(v.Get("revision"), 10, 64); err != nil || a.Revision < 0 {
			return a, fault.Newf(fault.Usage, "%q is not a revision", v.Get("revision"))
		}
	case kube.VerbSetSelector:
		if a.Selector, err = pairs(strings.Split(v.Get("selector"), ",")); err != nil || len(a.Selector) == 0 {
			return a, fault.Newf(fault.Usage, "%q is not a selector", v.Get("selector"))
		}
	case kube.VerbRun:
		if a.JobName = v.Get("job"); a.JobName == "" {
			// A name of 63 characters with what is appended: the pods of a Job have more behind it.
			a.JobName = ref.Name[:min(len(ref.Name), 52)] + "-" + strconv.FormatInt(time.Now().Unix()%1e9, 36)
		}
	}
	return a, nil
}

// lineOfAction is the command that does the same.
func lineOfAction(a kube.Action) cluster.Command {
	id := typeName(a.Ref.Type.Resource, a.Ref.Type.Group)
	var c cluster.Command
	switch a.Verb {
	case kube.VerbScale:
		c = cluster.Kubectl("scale").On(id, a.Ref.Name).With("--replicas=" + strconv.Itoa(a.Replicas))
	case kube.VerbRestart:
		c = cluster.Kubectl("rollout", "restart").On(id, a.Ref.Name)
	case kube.VerbCordon, kube.VerbUncordon:
		c = cluster.Kubectl(string(a.Verb)).On(a.Ref.Name)
	case kube.VerbDrain:
		c = cluster.Kubectl("drain").On(a.Ref.Name).With("--ignore-daemonsets", "--delete-emptydir-data")
	case kube.VerbRollback:
		c = cluster.Kubectl("rollout", "undo").On(id + "/" + a.Ref.Name)
		if a.Revision != 0 {
			c = c.With("--to-revision", strconv.FormatInt(a.Revision, 10))
		}
	case kube.VerbSetSelector:
		c = cluster.Kubectl("set", "selector").On(id, a.Ref.Name, labelsText(a.Selector))
	case kube.VerbSuspend, kube.VerbResume:
		c = cluster.Kubectl("patch").On(id, a.Ref.Name).With("--patch", `{"spec":{"suspend":`+strconv.FormatBool(a.Verb == kube.VerbSuspend)+`}}`)
	case kube.VerbRun:
		c = cluster.Kubectl("create", "job").On(a.JobName).With("--from=cronjob/" + a.Ref.Name)
	default:
		c = cluster.Kubectl(string(a.Verb)).On(id, a.Ref.Name)
	}
	return c.In(a.Ref.Namespace).Change()
}

package dashboard

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"

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
	Back     string
}

func (d confirmData) title() string { return d.Title }

var (
	scalable    = []string{"deployments.apps", "statefulsets.apps", "replicasets.apps", "replicationcontrollers"}
	restartable = []string{"deployments.apps", "statefulsets.apps", "daemonsets.apps"}
)

// offered are the verbs for objects of a type. What a node accepts depends on whether it is cordoned.
func offered(t kube.ResourceType, cordoned bool) (verbs []kube.Verb) {
	id := typeName(t.Resource, t.Group)
	if slices.Contains(scalable, id) {
		verbs = append(verbs, kube.VerbScale)
	}
	if slices.Contains(restartable, id) {
		verbs = append(verbs, kube.VerbRestart)
	}
	switch {
	case id == "nodes" && cordoned:
		verbs = append(verbs, kube.VerbUncordon)
	case id == "nodes":
		verbs = append(verbs, kube.VerbCordon)
	}
	if slices.Contains(t.Verbs, "delete") {
		verbs = append(verbs, kube.VerbDelete)
	}
	return verbs
}

// titles of actions, English, for Words.
var titles = map[kube.Verb]string{
	kube.VerbScale: "Scale", kube.VerbRestart: "Restart", kube.VerbDelete: "Delete", kube.VerbCordon: "Cordon", kube.VerbUncordon: "Uncordon",
}

// dones say what was done, English, for Words.
var dones = map[string]string{
	"edit": "It is changed.", "create": "It is created.",
	string(kube.VerbScale): "It is being scaled.", string(kube.VerbRestart): "Its pods are being replaced.", string(kube.VerbDelete): "It is being deleted.",
	string(kube.VerbCordon): "It accepts no new pods.", string(kube.VerbUncordon): "It accepts pods again.",
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
	cordoned, _ := spec["unschedulable"].(bool)
	for _, verb := range offered(ref.Type, cordoned) {
		v := url.Values{"verb": {string(verb)}, "type": {id}, "ns": {ref.Namespace}, "name": {ref.Name}, "uid": {ref.UID}}
		if verb == kube.VerbScale {
			v.Set("replicas", "1") // the API's default
			if n, ok := spec["replicas"]; ok {
				v.Set("replicas", fmt.Sprint(n))
			}
		}
		all = append(all, actionLink{string(verb), q.words.T(titles[verb]), "/confirm?" + v.Encode()})
	}
	return all
}

// actionOf reads an action from an address or a form.
func (s *Server) actionOf(ctx context.Context, v url.Values) (kube.Action, error) {
	ref, err := s.refOf(ctx, v)
	if err != nil {
		return kube.Action{}, err
	}
	a := kube.Action{Verb: kube.Verb(v.Get("verb")), Ref: ref, Grace: -1}
	if !slices.Contains(append(offered(ref.Type, false), offered(ref.Type, true)...), a.Verb) {
		return a, fault.Newf(fault.Usage, "%q is not an action on %s", a.Verb, ref.Type.Resource)
	}
	if a.Verb == kube.VerbScale {
		if a.Replicas, err = strconv.Atoi(v.Get("replicas")); err != nil || a.Replicas < 0 || a.Replicas > mostReplicas {
			return a, fault.Newf(fault.Usage, "%q is not a number of replicas", v.Get("replicas"))
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
	default:
		c = cluster.Kubectl(string(a.Verb)).On(id, a.Ref.Name)
	}
	return c.In(a.Ref.Namespace).Change()
}

func (s *Server) loadConfirm(ctx context.Context, q *request) (any, error) {
	if err := readsOnly(q); err != nil {
		return nil, err
	}
	a, err := s.actionOf(ctx, q.query)
	if err != nil {
		return nil, err
	}
	return confirmOf(q, a), nil
}

func confirmOf(q *request, a kube.Action) confirmData {
	id := typeName(a.Ref.Type.Resource, a.Ref.Type.Group)
	d := confirmData{
		Verb: a.Verb, Ref: a.Ref, ID: id, Replicas: a.Replicas, Line: lineOfAction(a).Of(q.cluster).String(),
		Back: objectPath(id, a.Ref.Namespace, a.Ref.Name),
	}
	what := a.Ref.Type.Kind + " " + a.Ref.Name
	note := func(english string) { d.Notes = append(d.Notes, q.words.T(english)) }
	switch a.Verb {
	case kube.VerbScale:
		d.Title = q.words.T("Scale %s?", what)
	case kube.VerbRestart:
		d.Title = q.words.T("Restart the pods of %s?", what)
		note("they are replaced one after the other, as its strategy says")
	case kube.VerbCordon:
		d.Title = q.words.T("Keep new pods off %s?", what)
		note("pods that run there stay")
	case kube.VerbUncordon:
		d.Title = q.words.T("Let %s have pods again?", what)
	default:
		d.Title = q.words.T("Delete %s?", what)
		switch id {
		case "namespaces":
			note("everything in it is deleted too")
		case "customresourcedefinitions.apiextensions.k8s.io":
			note("all objects of this type are deleted with it")
		case "persistentvolumeclaims", "persistentvolumes":
			note("its data may be deleted with it")
		case "nodes":
			note("only the Node object is deleted: its container keeps running and registers again")
		case "pods":
			note("what created it creates another one; without an owner it is gone")
		default:
			note("what it created is deleted with it")
		}
	}
	return d
}

// do carries out an action that was confirmed, and leads to where its effect is seen.
func (s *Server) do(w http.ResponseWriter, q *request) {
	ctx := q.Context()
	p := page{name: "confirm", path: "/confirm"}
	a, err := s.actionOf(ctx, q.PostForm)
	if err == nil {
		err = s.o.Objects.Do(ctx, a, func(string) {})
		s.o.Log.Info("the dashboard changes something", "verb", a.Verb, "type", a.Ref.Type.Resource, "namespace", a.Ref.Namespace, "name", a.Ref.Name, "err", err)
	}
	if err != nil {
		v := s.viewOf(q, p)
		v.Trouble = s.problemOf(q, err)
		v.Title = q.words.T("It was not done")
		s.pages.write(w, q.words, statusOf(err), p.name, v)
		return
	}
	id := typeName(a.Ref.Type.Resource, a.Ref.Type.Group)
	to := objectPath(id, a.Ref.Namespace, a.Ref.Name)
	if a.Verb == kube.VerbDelete {
		to = "/workloads?" + url.Values{"type": {id}, "ns": {a.Ref.Namespace}}.Encode()
	}
	http.Redirect(w, q.Request, to+"&done="+string(a.Verb), http.StatusSeeOther)
}

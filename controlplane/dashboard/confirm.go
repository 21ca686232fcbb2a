package dashboard

import (
	"context"
	"net/http"
	"net/url"
	"slices"
	"time"

	"bonsai/bootstrap/cluster"
	"bonsai/bootstrap/kube"
	"bonsai/bootstrap/yamldiff"
)

// shown are the actions whose change is shown before. What the others do is all in their question.
var shown = []kube.Verb{kube.VerbRollback, kube.VerbRestart, kube.VerbSetSelector, kube.VerbSuspend, kube.VerbResume, kube.VerbRun, kube.VerbUncordon}

// mostCounted is how many types of objects of a namespace are counted, counting how long that may take.
const (
	mostCounted = 80
	counting    = 5 * time.Second
)

func (s *Server) loadConfirm(ctx context.Context, q *request) (any, error) {
	if err := readsOnly(q); err != nil {
		return nil, err
	}
	a, err := s.actionOf(ctx, q.query)
	if err != nil {
		return nil, err
	}
	d := confirmOf(q, a)
	d.Hidden = parameters(a, d.ID)
	d.Hidden.Del("replicas") // it is a field of its own
	if a.Verb == kube.VerbRun {
		d.Hidden.Set("job", a.JobName)
	}
	if fix := q.query.Get("fix"); fix != "" {
		d.Hidden.Set("fix", fix)
	}
	switch {
	case slices.Contains(shown, a.Verb):
		would, err := s.o.Objects.Preview(ctx, a)
		if err != nil {
			d.Trouble = s.problemOf(q, err)
			break
		}
		if a.Verb == kube.VerbRun {
			would.Before = ""
		}
		lines := yamldiff.Changes(would.Before, would.After)
		d.Would, d.Same = differenceOf(lines), len(lines) == 0
	case a.Verb == kube.VerbDrain:
		plan, err := s.o.Objects.DrainPlan(ctx, a.Ref.Name)
		if err != nil {
			return nil, err
		}
		d.Plan = &plan
	case a.Verb == kube.VerbDelete:
		if d.With, err = s.goesWith(ctx, q, a.Ref, d.ID); err != nil {
			return nil, err
		}
	}
	return d, nil
}

// confirmOf is the question about an action.
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
	case kube.VerbRollback:
		if d.Title = q.words.T("Take %s back to the revision before?", what); a.Revision != 0 {
			d.Title = q.words.T("Take %s back to revision %d?", what, a.Revision)
		}
		note("its pods are replaced one after the other, as its strategy says")
	case kube.VerbCordon:
		d.Title = q.words.T("Keep new pods off %s?", what)
		note("pods that run there stay")
	case kube.VerbUncordon:
		d.Title = q.words.T("Let %s have pods again?", what)
	case kube.VerbDrain:
		d.Title = q.words.T("Drain %s?", what)
		note("it gets no new pods, and those below are evicted, within what disruption budgets allow")
	case kube.VerbSetSelector:
		d.Title = q.words.T("Set the selector of %s?", what)
	case kube.VerbSuspend:
		d.Title = q.words.T("Suspend %s?", what)
		if id == "jobs.batch" {
			note("its pods are deleted until it is resumed")
		}
	case kube.VerbResume:
		d.Title = q.words.T("Let %s go on?", what)
	case kube.VerbRun:
		d.Title = q.words.T("Run %s now?", what)
		note("the Job below is created; its schedule stays as it is")
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

// goesWith is what goes with an object that is deleted, and what uses it.
func (s *Server) goesWith(ctx context.Context, q *request, ref kube.Ref, id string) ([]relatedGroup, error) {
	if id == "namespaces" {
		return s.inNamespace(ctx, ref.Name)
	}
	if ref.Namespace == "" {
		return nil, nil
	}
	r, err := s.o.Objects.Relations(ctx, ref)
	if err != nil {
		return nil, err
	}
	var with, usedBy []relatedObject
	owned(q.words, &r.Uses, 0, &with)
	for i := range r.UsedBy {
		flatten(q.words, &r.UsedBy[i], 0, &usedBy)
	}
	if len(with) == 0 {
		types, err := s.allTypes(ctx, false)
		if err != nil {
			return nil, err
		}
		if with, err = s.created(ctx, types, ref); err != nil {
			return nil, err
		}
	}
	var groups []relatedGroup
	for _, g := range []relatedGroup{{"goes with it", with}, {"is used by", usedBy}} {
		if len(g.Objects) > 0 {
			groups = append(groups, g)
		}
	}
	return groups, nil
}

// owned are what an object has created, and what that has.
func owned(w Words, n *kube.Relation, depth int, list *[]relatedObject) {
	for i := range n.Children {
		child := n.Children[i]
		if !slices.Contains(child.Kinds, kube.RelationOwns) {
			continue
		}
		below := child.Children
		child.Children = nil
		flatten(w, &child, depth, list)
		child.Children = below
		owned(w, &child, depth+1, list)
	}
}

// inNamespace counts what is in a namespace.
func (s *Server) inNamespace(ctx context.Context, namespace string) ([]relatedGroup, error) {
	types, err := s.allTypes(ctx, false)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, counting)
	defer cancel()
	group := relatedGroup{Title: "goes with it"}
	for _, t := range types[:min(len(types), mostCounted)] {
		if !t.Namespaced || t.Resource == "events" || !slices.Contains(t.Verbs, "list") {
			continue
		}
		rows, err := s.list(ctx, kube.RowQuery{Type: t, Namespace: namespace})
		if err != nil || len(rows) == 0 {
			continue // a type that cannot be read keeps nobody from deleting
		}
		group.Objects = append(group.Objects, relatedObject{
			Kind: t.Kind, Count: len(rows), Where: "/workloads?" + url.Values{"type": {typeName(t.Resource, t.Group)}, "ns": {namespace}}.Encode(),
		})
	}
	if len(group.Objects) == 0 {
		return nil, nil
	}
	return []relatedGroup{group}, nil
}

// do carries out an action that was confirmed, and leads to where its effect is seen.
func (s *Server) do(w http.ResponseWriter, q *request) {
	ctx, cancel := s.o.Scale.Limit(q.Context(), doLimit, "the change")
	defer cancel()
	to, title, err := s.carryOut(ctx, q)
	if err != nil {
		p := page{name: "confirm", path: "/confirm"}
		v := s.viewOf(q, p)
		v.Trouble = s.problemOf(q, err)
		v.Title = q.words.T("It was not done")
		if title != "" {
			v.Title += ": " + title
		}
		s.pages.write(w, q.words, statusOf(err), p.name, v)
		return
	}
	http.Redirect(w, q.Request, to, http.StatusSeeOther)
}

// carryOut does what a form says, and returns where its effect is seen.
func (s *Server) carryOut(ctx context.Context, q *request) (to, title string, err error) {
	a, err := s.actionOf(ctx, q.PostForm)
	if err != nil {
		return "", "", err
	}
	d := confirmOf(q, a)
	if a.Verb == kube.VerbDrain {
		to, err = s.drain(a, d)
		return to, d.Title, err
	}
	var problem *cluster.Problem
	if fix := q.PostForm.Get("fix"); fix != "" {
		problem = s.problemNamed(ctx, fix)
	}
	err = s.o.Objects.Do(ctx, a, func(string) {})
	s.changed(string(a.Verb), a.Ref, err)
	switch {
	case err != nil:
		return "", d.Title, err
	case problem != nil:
		return s.watchFix(problem, d.Title, a.Ref), "", nil
	case a.Verb == kube.VerbDelete:
		to = "/workloads?" + url.Values{"type": {d.ID}, "ns": {a.Ref.Namespace}}.Encode()
	case a.Verb == kube.VerbRun:
		to = objectPath("jobs.batch", a.Ref.Namespace, a.JobName)
	default:
		to = d.Back
	}
	return to + "&done=" + url.QueryEscape(string(a.Verb)), "", nil
}

// drain begins a drain, which may take minutes.
func (s *Server) drain(a kube.Action, d confirmData) (to string, err error) {
	return s.start(&task{title: d.Title, back: d.Back}, func(ctx context.Context, t *task) {
		err := s.o.Objects.Do(ctx, a, t.say)
		s.changed(string(a.Verb), a.Ref, err)
		if err != nil {
			problem := faultOf(err)
			t.end(taskFailed, "It was not done; the node accepts no new pods until it is uncordoned.", &problem)
			return
		}
		t.end(taskDone, "Its pods are gone; it accepts no new ones until it is uncordoned.", nil)
	})
}

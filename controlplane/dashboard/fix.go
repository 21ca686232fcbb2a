package dashboard

import (
	"context"
	"net/url"
	"strings"
	"sync"
	"time"

	"bonsai/bootstrap/cluster"
	"bonsai/bootstrap/fault"
	"bonsai/bootstrap/fixes"
	"bonsai/bootstrap/kube"
)

// judgePause is the pause between two looks whether a fix has helped.
const judgePause = time.Second

// fixLink is what can be done about a problem from here. Title is in the user's language.
type fixLink struct{ Title, Path string }

// wellKnown are the types that problems are about, for the time before the API server has said which ones it has.
var wellKnown = []kube.ResourceType{
	kube.PodType(), kube.NodeType(), kube.ServiceType(),
	{Group: "apps", Version: "v1", Resource: "deployments", Kind: "Deployment", Namespaced: true},
	{Group: "apps", Version: "v1", Resource: "statefulsets", Kind: "StatefulSet", Namespaced: true},
	{Group: "apps", Version: "v1", Resource: "daemonsets", Kind: "DaemonSet", Namespaced: true},
	{Group: "apps", Version: "v1", Resource: "replicasets", Kind: "ReplicaSet", Namespaced: true},
	{Group: "batch", Version: "v1", Resource: "jobs", Kind: "Job", Namespaced: true},
	{Group: "batch", Version: "v1", Resource: "cronjobs", Kind: "CronJob", Namespaced: true},
	{Version: "v1", Resource: "persistentvolumeclaims", Kind: "PersistentVolumeClaim", Namespaced: true},
	{Group: "networking.k8s.io", Version: "v1", Resource: "ingresses", Kind: "Ingress", Namespaced: true},
	{Version: "v1", Resource: "configmaps", Kind: "ConfigMap", Namespaced: true},
}

func wellKnownType(kind string) (kube.ResourceType, bool) { return findType(wellKnown, kind) }

// fixFor is what can be done about a problem from here; nil if nothing is known to help, or the session may not.
func fixFor(q *request, p *cluster.Problem) *fixLink {
	f, ok := fixes.Of(p, wellKnownType)
	if !ok || q.session.readOnly {
		return nil
	}
	key := fixes.Key(p)
	if f.Bonsai() {
		return &fixLink{q.words.T("Run it"), "/run?" + url.Values{"fix": {key}}.Encode()}
	}
	ref := f.Action.Ref
	id := typeName(ref.Type.Resource, ref.Type.Group)
	if f.Edit {
		return &fixLink{q.words.T("Edit it"), editPath(id, ref.Namespace, ref.Name) + "&" + url.Values{"fix": {key}}.Encode()}
	}
	v := parameters(f.Action, id)
	v.Set("fix", key)
	return &fixLink{q.words.T(titles[f.Action.Verb]), "/confirm?" + v.Encode()}
}

// problemNamed is the problem with a key, as it is now; nil if it is gone.
func (s *Server) problemNamed(ctx context.Context, key string) *cluster.Problem {
	for _, p := range s.snapshot(ctx).Problems {
		if fixes.Key(&p) == key {
			return &p
		}
	}
	return nil
}

// watchFix watches whether a fix helps, and returns where that is seen. If it cannot be watched, that is the page of the object.
func (s *Server) watchFix(p *cluster.Problem, title string, ref kube.Ref) string {
	back := objectPath(typeName(ref.Type.Resource, ref.Type.Group), ref.Namespace, ref.Name)
	to, err := s.start(&task{title: title, back: back, undo: back + "&tab=" + tabHistory}, func(ctx context.Context, t *task) { s.judge(ctx, t, p) })
	if err != nil {
		return back
	}
	return to
}

// judge ends a task when it is clear whether a fix has helped.
func (s *Server) judge(ctx context.Context, t *task, p *cluster.Problem) {
	ctx, cancel := context.WithTimeout(ctx, fixes.Limit+4*fixes.GoneFor)
	defer cancel()
	var known pulse
	var watching sync.WaitGroup
	defer watching.Wait()
	defer cancel()
	watching.Go(func() {
		for ctx.Err() == nil {
			_ = s.watch(&known)(ctx, func() {})
			select { // it is starting again
			case <-ctx.Done():
			case <-time.After(judgePause):
			}
		}
	})
	tick := time.NewTicker(judgePause)
	defer tick.Stop()
	w := fixes.NewWatch(p, time.Now())
	for {
		select {
		case <-ctx.Done():
			t.end(taskFailed, "The cluster did not say whether it has helped.", nil)
			return
		case <-tick.C:
		}
		snapshot, _, _ := known.now()
		if snapshot.Time.IsZero() {
			continue
		}
		switch verdict, why := w.See(snapshot.Problems, time.Now()); verdict {
		case fixes.Helped:
			t.end(taskDone, "The problem is gone.", nil)
			return
		case fixes.Replaced:
			t.end(taskFailed, "It is gone, but now there is this:", why)
			return
		case fixes.Failed:
			t.end(taskFailed, "It has not helped; it is still there:", why)
			return
		}
	}
}

// runData is what the page run shows: a command of bonsai that fixes a problem.
type runData struct {
	Line, Fix string
	Problem   problemView
}

func (s *Server) cureOf(ctx context.Context, q *request, key string) (*cluster.Problem, cluster.Command, error) {
	if err := readsOnly(q); err != nil {
		return nil, cluster.Command{}, err
	}
	p := s.problemNamed(ctx, key)
	if p == nil {
		return nil, cluster.Command{}, fault.Newf(fault.ObjectNotFound, "the problem is gone")
	}
	f, ok := fixes.Of(p, wellKnownType)
	if !ok || !f.Bonsai() {
		return nil, cluster.Command{}, fault.Newf(fault.Usage, "nothing is known that helps for certain")
	}
	return p, f.Command, nil
}

func (s *Server) loadRun(ctx context.Context, q *request) (any, error) {
	p, c, err := s.cureOf(ctx, q, q.query.Get("fix"))
	if err != nil {
		return nil, err
	}
	d := runData{Line: c.For(q.cluster).String(), Fix: q.query.Get("fix"), Problem: showProblem(q.words, q.cluster, *p)}
	d.Problem.Todo = nil
	return d, nil
}

// submitRun runs the command that fixes a problem: the one that is advised now, whatever the form says.
func (s *Server) submitRun(ctx context.Context, q *request) (any, string, error) {
	p, c, err := s.cureOf(ctx, q, q.PostForm.Get("fix"))
	if err != nil {
		return nil, "", err
	}
	line := c.For(q.cluster).String()
	to, err := s.start(&task{title: line, back: "/"}, func(ctx context.Context, t *task) {
		// The command outlives the daemon, which it may replace.
		detached, detach := context.WithCancelCause(context.WithoutCancel(ctx))
		defer detach(nil)
		defer context.AfterFunc(ctx, func() { detach(cluster.ErrDetach) })()
		last := ""
		err := s.o.Objects.Operate(detached, c.Arguments(), func(e cluster.Event) {
			if text := strings.TrimSpace(e.Title + " " + e.Detail); text != "" && text != last {
				last = text
				t.say(text)
			}
		})
		s.o.Log.Info("the dashboard runs a command", "command", line, "err", err)
		if err != nil {
			problem := faultOf(err)
			t.end(taskFailed, "It was not done", &problem)
			return
		}
		s.judge(ctx, t, p)
	})
	return nil, to, err
}

// showFixable is a problem with what can be done about it from here.
func showFixable(q *request, p cluster.Problem) problemView {
	v := showProblem(q.words, q.cluster, p)
	v.Fix = fixFor(q, &p)
	return v
}

// faultOf is an error as a problem.
func faultOf(err error) cluster.Problem { return fault.Problem(err) }

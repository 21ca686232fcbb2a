package apiserver

import (
	"context"
	"net/http"
	"strings"
	"sync"
	"time"

	"k8s.io/apiserver/pkg/admission"
	"k8s.io/apiserver/pkg/authentication/user"
	"k8s.io/apiserver/pkg/endpoints/request"
	"k8s.io/apiserver/pkg/endpoints/responsewriter"
	genericapiserver "k8s.io/apiserver/pkg/server"
	"k8s.io/kubernetes/pkg/apis/core"

	"bonsai/bootstrap/cluster"
	"bonsai/controlplane/observe/birth"
)

// births records the requests to the API server that are steps of a pod's birth. It observes three places: around the
// handlers, where start, end and caller of a request are known, around admission, where the object is, and around the
// storage of pods. A request that is not a step of a birth costs a comparison of its resource and a look into its
// context.
type births struct{ to *birth.Recorder }

// chain wraps the innermost handler, whatever wraps that.
func (b births) chain(outer func(http.Handler, *genericapiserver.Config) http.Handler) func(http.Handler, *genericapiserver.Config) http.Handler {
	return func(inner http.Handler, c *genericapiserver.Config) http.Handler { return outer(b.handler(inner), c) }
}

// step is which step of a birth a request can be.
type step int

const (
	none step = iota
	creation
	binding
	report
)

// stepOf returns which step a request may be. A server-side apply is a creation if the pod does not exist; admission
// knows.
func stepOf(i *request.RequestInfo) step {
	if i == nil || i.Resource != "pods" || i.APIGroup != "" {
		return none
	}
	switch {
	case i.Subresource == "" && (i.Verb == "create" || i.Verb == "patch"):
		return creation
	case i.Subresource == "binding" && i.Verb == "create":
		return binding
	case i.Subresource == "status" && (i.Verb == "patch" || i.Verb == "update"):
		return report
	}
	return none
}

// observed is one request that may be a step, from its handler to admission and back. A request that times out is
// answered while its work continues, so it is locked.
type observed struct {
	step step

	mu         sync.Mutex // guards everything below
	pod        birth.Pod  // its UID is empty until admission has seen the object
	call       birth.Call
	conditions birth.Conditions
}

type observedKey struct{}

func (b births) handler(inner http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		info, _ := request.RequestInfoFrom(r.Context())
		s := stepOf(info)
		if s == none {
			inner.ServeHTTP(w, r)
			return
		}
		o := &observed{step: s}
		ctx := context.WithValue(r.Context(), observedKey{}, o)
		answer := &status{ResponseWriter: w, code: http.StatusOK}
		inner.ServeHTTP(responsewriter.WrapForHTTP1Or2(answer), r.WithContext(ctx))
		b.finish(ctx, r, o, answer.code)
	})
}

// status remembers the status code of an answer.
type status struct {
	http.ResponseWriter
	code int
}

func (s *status) Unwrap() http.ResponseWriter { return s.ResponseWriter }

func (s *status) WriteHeader(code int) {
	s.code = code
	s.ResponseWriter.WriteHeader(code)
}

// finish reports a request that has been answered to the recorder.
func (b births) finish(ctx context.Context, r *http.Request, o *observed, code int) {
	now := time.Now()
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.pod.UID == "" {
		return // a dry run, refused, or something else
	}
	if code >= http.StatusMultipleChoices {
		if o.step == creation {
			b.to.NotCreated(o.pod)
		}
		return
	}
	if o.step == report {
		b.to.Reported(o.pod, now, o.conditions)
		return
	}
	c := o.call
	c.Begin, c.End = now, now
	if received, ok := request.ReceivedTimestampFrom(ctx); ok {
		c.Begin = received
	}
	if u, ok := request.UserFrom(ctx); ok {
		c.User = u.GetName()
		c.Who = caller(u, r.Header)
	}
	if t, ok := request.LatencyTrackersFrom(ctx); ok {
		c.Authentication, c.Authorization = t.AuthenticationTracker.GetLatency(), t.AuthorizationTracker.GetLatency()
		c.Queue = t.APFQueueWaitTracker.GetLatency()
		c.Webhooks = t.MutatingWebhookTracker.GetLatency() + t.ValidatingWebhookTracker.GetLatency()
	}
	if o.step == creation {
		b.to.Created(o.pod, c)
	} else {
		b.to.Bound(o.pod, c)
	}
}

// caller is the client of a request, in terms that a user of Kubernetes knows.
func caller(u user.Info, h http.Header) string {
	name := u.GetName()
	if node, ok := strings.CutPrefix(name, "system:node:"); ok {
		return "kubelet on " + node
	}
	agent := h.Get("User-Agent")
	if account, ok := strings.CutPrefix(name, "system:serviceaccount:kube-system:"); ok && strings.HasSuffix(agent, account) {
		// The controller manager gives each of its controllers an account, and the agent its name.
		return "kube-controller-manager (" + account + ")"
	}
	if account, ok := strings.CutPrefix(name, "system:serviceaccount:"); ok {
		return "service account " + strings.Replace(account, ":", "/", 1)
	}
	if component, ok := strings.CutPrefix(name, "system:"); ok {
		return strings.Replace(component, "apiserver", "kube-apiserver", 1)
	}
	if command := h.Get("Kubectl-Command"); command != "" {
		return bounded(command)
	}
	program, _, _ := strings.Cut(agent, "/")
	if program == "" {
		return name
	}
	return bounded(program)
}

// bounded shortens what a client may have made long.
func bounded(s string) string { return s[:min(len(s), 80)] }

// admission wraps a chain of admission plugins.
func (b births) admission(next admission.Interface) admission.Interface {
	return &watchedAdmission{Interface: next, births: b}
}

type watchedAdmission struct {
	admission.Interface
	births
}

// Admit runs the plugins that may change the object.
func (w *watchedAdmission) Admit(ctx context.Context, a admission.Attributes, o admission.ObjectInterfaces) error {
	next, ok := w.Interface.(admission.MutationInterface)
	if !ok {
		return nil
	}
	r, ok := ctx.Value(observedKey{}).(*observed)
	if !ok || r.step == report {
		return next.Admit(ctx, a, o)
	}
	begin := time.Now()
	err := next.Admit(ctx, a, o)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.call.Admission.Begin, r.call.Mutating = begin, time.Since(begin)
	return err
}

// Validate runs the plugins that decide finally; the object is complete here, including its name and UID.
func (w *watchedAdmission) Validate(ctx context.Context, a admission.Attributes, o admission.ObjectInterfaces) error {
	next, ok := w.Interface.(admission.ValidationInterface)
	if !ok {
		return nil
	}
	begin := time.Now()
	err := next.Validate(ctx, a, o)
	if err != nil || a.IsDryRun() {
		return err
	}
	if event, ok := a.GetObject().(*core.Event); ok {
		w.event(a, event, begin)
		return nil
	}
	if r, ok := ctx.Value(observedKey{}).(*observed); ok {
		w.observe(r, a, begin)
	}
	return nil
}

// observe records what an object says about a birth. It is called again when the write is retried.
func (b births) observe(r *observed, a admission.Attributes, begin time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	now := time.Now()
	r.call.Validating = now.Sub(begin)
	r.call.Admission.End = now
	switch object := a.GetObject().(type) {
	case *core.Pod:
		pod := birth.Pod{Namespace: object.Namespace, Name: object.Name, UID: string(object.UID)}
		switch {
		case cluster.NoKubeletRuns(object.Spec.SchedulerName): // it is not born
		case r.step == creation && a.GetOperation() == admission.Create:
			if r.pod.UID != "" && r.pod.UID != pod.UID {
				b.to.NotCreated(r.pod) // another attempt with another generated name
			}
			r.pod = pod
			b.to.Creating(pod)
		case r.step == report && strings.HasPrefix(a.GetUserInfo().GetName(), "system:node:") && b.to.Follows(pod.UID):
			r.pod, r.conditions = pod, conditions(object)
		}
	case *core.Binding:
		if r.step == binding {
			r.pod = birth.Pod{Namespace: a.GetNamespace(), Name: a.GetName(), UID: string(object.UID)}
		}
	}
}

func conditions(p *core.Pod) (c birth.Conditions) {
	for _, condition := range p.Status.Conditions {
		is := condition.Status == core.ConditionTrue
		switch condition.Type {
		case "PodReadyToStartContainers":
			c.Sandbox = is
		case core.PodInitialized:
			c.Initialized = is
		case core.ContainersReady:
			c.ContainersReady = is
		case core.PodReady:
			c.Ready = is
		}
	}
	return c
}

// maxMessage is more than kubelet reports about an image.
const maxMessage = 400

// event records when images were pulled. Kubelet's own time of an Event has whole seconds; its arrival is a few
// milliseconds late.
func (b births) event(a admission.Attributes, e *core.Event, at time.Time) {
	if e.InvolvedObject.Kind != "Pod" || e.Reason != "Pulling" && e.Reason != "Pulled" || !strings.HasPrefix(a.GetUserInfo().GetName(), "system:node:") {
		return
	}
	pod := birth.Pod{Namespace: e.InvolvedObject.Namespace, Name: e.InvolvedObject.Name, UID: string(e.InvolvedObject.UID)}
	_, container, _ := strings.Cut(e.InvolvedObject.FieldPath, "{") // spec.containers{main}
	container = strings.TrimSuffix(container, "}")
	if e.Reason == "Pulling" {
		b.to.Pulling(pod, container, at)
		return
	}
	b.to.Pulled(pod, container, at, e.Message[:min(len(e.Message), maxMessage)])
}

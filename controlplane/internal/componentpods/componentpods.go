// Package componentpods serves what the API server usually asks a kubelet about a pod, for the pods that show components
// (package mirror) and that no kubelet runs. It also leaves them out of the pods that kubelets see: a kubelet deletes mirror
// pods of which it has no static pod. Begin reading at Wrap.
package componentpods

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apiserver/pkg/authentication/user"
	"k8s.io/apiserver/pkg/endpoints/handlers/responsewriters"
	"k8s.io/apiserver/pkg/endpoints/request"
	"k8s.io/kubernetes/pkg/api/legacyscheme"
	"k8s.io/kubernetes/pkg/apis/core"
	"k8s.io/kubernetes/pkg/apis/core/validation"

	"bonsai/bootstrap/cluster"
	"bonsai/controlplane/mirror"
)

// Logs finds the logs of components by the names of their pods in kube-system.
type Logs interface {
	Log(pod string) (mirror.Log, bool)
}

// Wrap answers what it knows, and leaves all else to next, the innermost handler of the API server: the requests have passed
// authentication and authorization.
func Wrap(next http.Handler, logs Logs) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		info, ok := request.RequestInfoFrom(r.Context())
		if !ok || info.Resource != "pods" || info.APIGroup != "" {
			next.ServeHTTP(w, r)
			return
		}
		if info.Subresource == "" {
			next.ServeHTTP(w, forKubelet(r, info))
			return
		}
		if info.Namespace != metav1.NamespaceSystem {
			next.ServeHTTP(w, r)
			return
		}
		log, ours := logs.Log(info.Name)
		switch {
		case ours && info.Subresource == "log" && info.Verb == "get":
			serveLog(w, r, info.Name, log)
		case ours && slices.Contains([]string{"exec", "attach", "portforward"}, info.Subresource):
			refuse(w, r, apierrors.NewBadRequest(fmt.Sprintf("pod %s shows a component of bonsai and is not a container; its log can be read", info.Name)))
		default:
			next.ServeHTTP(w, r)
		}
	})
}

// forKubelet is a request for the list of a kubelet's pods, without those that it does not run; all others are unchanged.
func forKubelet(r *http.Request, info *request.RequestInfo) *http.Request {
	u, ok := request.UserFrom(r.Context())
	if !ok || info.Verb != "list" && info.Verb != "watch" || !strings.HasPrefix(u.GetName(), "system:node:") || !slices.Contains(u.GetGroups(), user.NodesGroup) {
		return r
	}
	query := r.URL.Query()
	selector := "spec.schedulerName!=" + cluster.ComponentPods + ",spec.schedulerName!=" + cluster.DNSStandIn
	if old := query.Get("fieldSelector"); old != "" {
		selector = old + "," + selector
	}
	query.Set("fieldSelector", selector)
	r = r.Clone(r.Context())
	r.URL.RawQuery = query.Encode()
	return r
}

func refuse(w http.ResponseWriter, r *http.Request, err error) {
	responsewriters.ErrorNegotiated(err, legacyscheme.Codecs, corev1.SchemeGroupVersion, w, r)
}

// serveLog answers "kubectl logs". What is wrong with the request is said as upstream and a kubelet do.
func serveLog(w http.ResponseWriter, r *http.Request, pod string, log mirror.Log) {
	var opts core.PodLogOptions
	if err := legacyscheme.ParameterCodec.DecodeParameters(r.URL.Query(), corev1.SchemeGroupVersion, &opts); err != nil {
		refuse(w, r, apierrors.NewBadRequest(err.Error()))
		return
	}
	// There is one stream of lines; who wants only one of two gets it.
	if opts.Stream == nil {
		opts.Stream = new(core.LogStreamAll)
	}
	if errs := validation.ValidatePodLogOptions(&opts, true); len(errs) > 0 {
		refuse(w, r, apierrors.NewInvalid(core.Kind("PodLogOptions"), pod, errs))
		return
	}
	if opts.Container != "" && opts.Container != log.Container {
		refuse(w, r, apierrors.NewBadRequest(fmt.Sprintf("container %s is not valid for pod %s", opts.Container, pod)))
		return
	}
	out := &body{w: w, rc: http.NewResponseController(w), flush: opts.Follow}
	err := log.Copy(r.Context(), queryOf(opts, time.Now()), out)
	switch {
	case err == nil || r.Context().Err() != nil:
		if !out.begun {
			out.begin()
		}
	case out.begun:
		panic(http.ErrAbortHandler) // kubectl reports that the log is not complete
	case errors.Is(err, mirror.ErrNoPrevious):
		refuse(w, r, apierrors.NewBadRequest(fmt.Sprintf("previous terminated container %q in pod %q not found", log.Container, pod)))
	default:
		refuse(w, r, apierrors.NewInternalError(fmt.Errorf("read the log of %s: %w", pod, err)))
	}
}

func queryOf(o core.PodLogOptions, now time.Time) mirror.Query {
	q := mirror.Query{Lines: -1, Follow: o.Follow, Previous: o.Previous, Timestamps: o.Timestamps}
	if o.TailLines != nil {
		q.Lines = int(*o.TailLines)
	}
	if o.LimitBytes != nil {
		q.Limit = *o.LimitBytes
	}
	switch {
	case o.SinceTime != nil:
		q.Since = o.SinceTime.Time
	case o.SinceSeconds != nil:
		q.Since = now.Add(-time.Duration(*o.SinceSeconds) * time.Second)
	}
	return q
}

// body is the answer: text that begins with the first line, so that an error before it has a status.
type body struct {
	w            http.ResponseWriter
	rc           *http.ResponseController
	flush, begun bool
}

func (b *body) begin() {
	b.begun = true
	b.w.Header().Set("Content-Type", "text/plain")
	b.w.WriteHeader(http.StatusOK)
}

func (b *body) Write(data []byte) (int, error) {
	if !b.begun {
		b.begin()
	}
	n, err := b.w.Write(data)
	if err == nil && b.flush {
		err = b.rc.Flush()
	}
	return n, err
}

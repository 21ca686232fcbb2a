// Package usage recognises requests by which a user uses a cluster, as opposed to what nodes, components, pods, health checks
// and bonsai itself ask of the API server all the time.
package usage

import (
	"context"
	"fmt"
	"net/http"
	"net/netip"
	"slices"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	"k8s.io/apiserver/pkg/authentication/serviceaccount"
	"k8s.io/apiserver/pkg/authentication/user"
	"k8s.io/apiserver/pkg/endpoints/handlers/responsewriters"
	"k8s.io/apiserver/pkg/endpoints/request"

	"bonsai/bootstrap/cluster"
)

// codecs write the answers of refused requests.
var codecs = func() runtime.NegotiatedSerializer {
	scheme := runtime.NewScheme()
	metav1.AddToGroupVersion(scheme, metav1.SchemeGroupVersion)
	scheme.AddUnversionedTypes(metav1.SchemeGroupVersion, &metav1.Status{})
	return serializer.NewCodecFactory(scheme)
}()

// Wrap calls use before next serves a request of a user, and done, if the request is one that lasts, when that has ended. It
// belongs inside authentication and authorization. If use fails, the request is refused with its error.
func Wrap(next http.Handler, use func(ctx context.Context, what string) (done func(), err error)) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		info, ok := request.RequestInfoFrom(r.Context())
		who, known := request.UserFrom(r.Context())
		if !ok || !known || !used(info, who, r) {
			next.ServeHTTP(w, r)
			return
		}
		done, err := use(r.Context(), info.Verb+" "+info.Resource+" by "+who.GetName()+" with "+r.UserAgent())
		if err != nil {
			refusal := apierrors.NewServiceUnavailable(fmt.Sprintf("the cluster is paused and cannot be woken: %v; try: bonsai unpause", err))
			responsewriters.ErrorNegotiated(refusal, codecs, schema.GroupVersion{Version: "v1"}, w, r)
			return
		}
		if info.Verb == "watch" {
			done() // it may stay open for as long as a terminal does
		} else {
			defer done()
		}
		next.ServeHTTP(w, r)
	})
}

// used reports whether a request is a use of the cluster.
func used(info *request.RequestInfo, who user.Info, r *http.Request) bool {
	switch {
	case !info.IsResourceRequest: // health, metrics, versions, discovery
		return false
	case info.APIGroup == "authorization.k8s.io" || info.APIGroup == "authentication.k8s.io": // what may I do, who am I
		return false
	case !isUser(who, r.RemoteAddr):
		return false
	case strings.HasPrefix(r.UserAgent(), cluster.OwnAgentPrefix) && reads(info):
		return false
	}
	return info.Verb != "watch" || begins(r)
}

// begins reports whether a watch is the first request of its client for these objects. Other watches continue what the client
// has listed or watched before, and clients renew them for as long as they run.
func begins(r *http.Request) bool {
	query := r.URL.Query()
	from := query.Get("resourceVersion")
	return from == "" || from == "0" || query.Get("sendInitialEvents") == "true"
}

// reads reports whether a request neither changes something nor leads into a container.
func reads(info *request.RequestInfo) bool {
	return slices.Contains([]string{"get", "list", "watch"}, info.Verb) &&
		!slices.Contains([]string{"exec", "attach", "portforward", "proxy"}, info.Subresource)
}

// isUser reports whether somebody outside the cluster makes a request, by hand or by a program.
func isUser(who user.Info, remote string) bool {
	if slices.Contains(who.GetGroups(), user.NodesGroup) {
		return false
	}
	namespace, _, err := serviceaccount.SplitUsername(who.GetName())
	if err != nil { // everything of Kubernetes, and of bonsai, that has no service account has such a name
		return !strings.HasPrefix(who.GetName(), "system:") && !strings.HasPrefix(who.GetName(), "bonsai:")
	}
	// Controllers have accounts in kube-system, and are in this process. Pods are on nodes, whose requests arrive at the nodes'
	// network; a user who has the token of an account is on this machine.
	from, err := netip.ParseAddrPort(remote)
	return namespace != metav1.NamespaceSystem && err == nil && from.Addr().Unmap().IsLoopback()
}

// Package readonly refuses every request to an API server that would change something, or that leads to nodes and pods: of a
// cluster that is only looked at, there are none.
package readonly

import (
	"net/http"
	"slices"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	"k8s.io/apimachinery/pkg/util/sets"
	"k8s.io/apiserver/pkg/endpoints/handlers/responsewriters"
	"k8s.io/apiserver/pkg/endpoints/request"
)

// resolver reads requests as every API server does.
var resolver = &request.RequestInfoFactory{APIPrefixes: sets.NewString("api", "apis"), GrouplessAPIPrefixes: sets.NewString("api")}

// codecs write the answers of refused requests.
var codecs = func() runtime.NegotiatedSerializer {
	scheme := runtime.NewScheme()
	metav1.AddToGroupVersion(scheme, metav1.SchemeGroupVersion)
	scheme.AddUnversionedTypes(metav1.SchemeGroupVersion, &metav1.Status{})
	return serializer.NewCodecFactory(scheme)
}()

// Wrap serves what only reads with next, and refuses the rest, except for requests that are exempt.
func Wrap(next http.Handler, exempt func(*http.Request) bool) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if why := refusal(r); why != "" && !exempt(r) {
			err := apierrors.NewMethodNotSupported(schema.GroupResource{Resource: "this request"}, r.Method)
			err.ErrStatus.Message = why
			responsewriters.ErrorNegotiated(err, codecs, metav1.SchemeGroupVersion, w, r)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// reading are the verbs that change nothing.
var reading = []string{"get", "list", "watch"}

// stored are the parts of objects that are stored with them.
var stored = []string{"", "status", "scale"}

// refusal is why a request is refused, "" if it is not.
func refusal(r *http.Request) string {
	info, err := resolver.NewRequestInfo(r)
	switch {
	case err != nil:
		return "the request cannot be read: " + err.Error()
	case !info.IsResourceRequest:
		if r.Method == http.MethodGet || r.Method == http.MethodHead || r.Method == http.MethodOptions {
			return ""
		}
	case info.APIGroup == "authorization.k8s.io" || info.APIGroup == "authentication.k8s.io":
		return "" // questions that are asked by creating them; nothing is stored
	case !slices.Contains(reading, info.Verb):
	case slices.Contains(stored, info.Subresource):
		return ""
	default:
		return "the cluster of this bundle does not run, so there is no " + info.Subresource + "; logs are files in the bundle"
	}
	return "the cluster of this bundle can only be looked at"
}

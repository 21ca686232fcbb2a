// Package componentstatus answers "kubectl get componentstatuses" from what is known in this process.
//
// Upstream's API server asks controller manager and scheduler at 127.0.0.1:10257 and 10259 and has no option for that.
// Here they have no ports: two clusters on one machine could not both have them, and everything else that they would
// serve there is known in the process. The handlers are upstream's; only the checks behind them are ours. Begin reading
// at Wrap.
package componentstatus

import (
	"errors"
	"fmt"
	"net/http"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apiserver/pkg/endpoints/handlers"
	"k8s.io/apiserver/pkg/endpoints/metrics"
	"k8s.io/apiserver/pkg/endpoints/request"
	"k8s.io/apiserver/pkg/storage/storagebackend"
	"k8s.io/apiserver/pkg/warning"
	"k8s.io/kubernetes/pkg/api/legacyscheme"
	"k8s.io/kubernetes/pkg/probe"
	upstream "k8s.io/kubernetes/pkg/registry/core/componentstatus"

	"bonsai/bootstrap/cluster"
)

// resource is the name in the API.
const resource = "componentstatuses"

// deprecated is upstream's warning; its handlers add it when they are installed, which ours are not.
const deprecated = "v1 ComponentStatus is deprecated in v1.19+"

// Wrap answers requests for component statuses and leaves all others to next, the innermost handler of the API server:
// they have passed authentication and authorization. components returns the states of the components of this process;
// those that upstream calls etcd-0 and so on are checked over stores, as upstream does.
func Wrap(next http.Handler, components func() []cluster.Component, stores []storagebackend.Config) http.Handler {
	storage := upstream.NewStorage(func() map[string]upstream.Server { return servers(components(), stores) })
	scope := &handlers.RequestScope{
		Namer:            handlers.ContextBasedNaming{Namer: runtime.Namer(meta.NewAccessor()), ClusterScoped: true},
		Serializer:       legacyscheme.Codecs,
		ParameterCodec:   legacyscheme.ParameterCodec,
		Creater:          legacyscheme.Scheme, //nolint:misspell // the name is upstream's
		Convertor:        legacyscheme.Scheme,
		Defaulter:        legacyscheme.Scheme,
		Typer:            legacyscheme.Scheme,
		UnsafeConvertor:  runtime.UnsafeObjectConvertor(legacyscheme.Scheme),
		TableConvertor:   storage,
		Resource:         corev1.SchemeGroupVersion.WithResource(resource),
		Kind:             corev1.SchemeGroupVersion.WithKind("ComponentStatus"),
		HubGroupVersion:  schema.GroupVersion{Version: runtime.APIVersionInternal},
		MetaGroupVersion: metav1.SchemeGroupVersion,
	}
	get := instrument("GET", "resource", handlers.GetResource(storage, scope))
	list := instrument("LIST", "cluster", handlers.ListResource(storage, nil, scope, false, 0))
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		info, ok := request.RequestInfoFrom(r.Context())
		if !ok || info.Resource != resource || info.APIGroup != "" || info.APIVersion != "v1" || info.Subresource != "" {
			next.ServeHTTP(w, r)
			return
		}
		switch info.Verb {
		case "get":
			get(w, r)
		case "list":
			list(w, r)
		default:
			next.ServeHTTP(w, r) // which refuses it
		}
	})
}

// instrument counts and warns as upstream's installer of handlers does.
func instrument(verb, scope string, next http.HandlerFunc) http.HandlerFunc {
	return metrics.InstrumentHandlerFunc(verb, "", "v1", resource, "", scope, metrics.APIServerComponent, true, "",
		func(w http.ResponseWriter, r *http.Request) {
			warning.AddWarning(r.Context(), "", deprecated)
			next(w, r)
		})
}

// servers are what upstream's storage checks, by the names that upstream gives them: it leaves the API server out, which
// answers the request, and calls the others without "kube-".
func servers(components []cluster.Component, stores []storagebackend.Config) map[string]upstream.Server {
	m := map[string]upstream.Server{}
	for _, c := range components {
		if name, ok := strings.CutPrefix(c.Name, "kube-"); ok && name != "apiserver" && c.Phase != cluster.PhaseOff {
			m[name] = component{c}
		}
	}
	for i, s := range stores {
		m[fmt.Sprintf("etcd-%d", i)] = &upstream.EtcdServer{Config: s}
	}
	return m
}

// component is a component of this process.
type component struct{ cluster.Component }

var _ upstream.Server = component{}

// DoServerCheck implements upstream.Server.
func (c component) DoServerCheck() (probe.Result, string, error) {
	if c.Phase == cluster.PhaseRunning {
		return probe.Success, "ok", nil
	}
	text := "it is " + strings.ToLower(string(c.Phase))
	if c.Phase == cluster.PhaseFailed {
		text = "it has failed"
	}
	if c.Reason != "" {
		text += ": " + c.Reason
	}
	return probe.Failure, "", errors.New(text)
}

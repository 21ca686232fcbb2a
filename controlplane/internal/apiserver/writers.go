package apiserver

import (
	"context"
	"net/http"
	"slices"

	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apiserver/pkg/endpoints/request"
	"k8s.io/apiserver/pkg/registry/generic"
	genericapiserver "k8s.io/apiserver/pkg/server"
	"k8s.io/apiserver/pkg/storage"
	"k8s.io/apiserver/pkg/storage/storagebackend"
	"k8s.io/apiserver/pkg/storage/storagebackend/factory"
	"k8s.io/client-go/tools/cache"

	"bonsai/controlplane/observe/history"
	"bonsai/controlplane/observe/history/journal"
)

// writes notes who makes each change: the handler knows the client of a request, the storage the revision that its write
// got. A user's own audit policy has nothing to do with it. A request that only reads costs a comparison of its verb.
type writes struct{ to *history.Writers }

type writerKey struct{}

// chain wraps the innermost handler, whatever wraps that.
func (w writes) chain(outer func(http.Handler, *genericapiserver.Config) http.Handler) func(http.Handler, *genericapiserver.Config) http.Handler {
	return func(inner http.Handler, c *genericapiserver.Config) http.Handler {
		return outer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
			info, ok := request.RequestInfoFrom(r.Context())
			if ok && info.IsResourceRequest && slices.Contains([]string{"create", "update", "patch", "delete", "deletecollection"}, info.Verb) {
				r = r.WithContext(context.WithValue(r.Context(), writerKey{}, writerOf(r, info)))
			}
			inner.ServeHTTP(rw, r)
		}), c)
	}
}

// writerOf is the client of a request.
func writerOf(r *http.Request, info *request.RequestInfo) journal.Writer {
	w := journal.Writer{Agent: bounded(r.UserAgent()), Subresource: info.Subresource}
	if u, ok := request.UserFrom(r.Context()); ok {
		w.User, w.Who = bounded(u.GetName()), caller(u, r.Header)
	}
	return w
}

// storage wraps the storage of all types whose changes are recorded.
func (w writes) storage(next generic.RESTOptionsGetter) generic.RESTOptionsGetter {
	return notedOptions{next, w.to}
}

type notedOptions struct {
	generic.RESTOptionsGetter
	to *history.Writers
}

func (n notedOptions) GetRESTOptions(r schema.GroupResource, example runtime.Object) (generic.RESTOptions, error) {
	o, err := n.RESTOptionsGetter.GetRESTOptions(r, example)
	if err != nil || !history.Records(r.Resource) {
		return o, err
	}
	decorator := o.Decorator
	o.Decorator = func(config *storagebackend.ConfigForResource, prefix string, key func(runtime.Object) (string, error), newFunc, newListFunc func() runtime.Object,
		attrs storage.AttrFunc, trigger storage.IndexerFuncs, indexers *cache.Indexers,
	) (storage.Interface, factory.DestroyFunc, error) {
		s, destroy, err := decorator(config, prefix, key, newFunc, newListFunc, attrs, trigger, indexers)
		return notedStorage{s, n.to}, destroy, err
	}
	return o, nil
}

// notedStorage is the storage of one type.
type notedStorage struct {
	storage.Interface
	to *history.Writers
}

func (s notedStorage) Create(ctx context.Context, key string, obj, out runtime.Object, ttl uint64) error {
	return s.note(ctx, out, s.Interface.Create(ctx, key, obj, out, ttl))
}

func (s notedStorage) Delete(ctx context.Context, key string, out runtime.Object, p *storage.Preconditions, validate storage.ValidateObjectFunc,
	cached runtime.Object, o storage.DeleteOptions,
) error {
	return s.note(ctx, out, s.Interface.Delete(ctx, key, out, p, validate, cached, o))
}

func (s notedStorage) GuaranteedUpdate(ctx context.Context, key string, out runtime.Object, ignoreNotFound bool, p *storage.Preconditions,
	update storage.UpdateFunc, cached runtime.Object,
) error {
	return s.note(ctx, out, s.Interface.GuaranteedUpdate(ctx, key, out, ignoreNotFound, p, update, cached))
}

// note remembers who has written the revision that out has, unless that failed.
func (s notedStorage) note(ctx context.Context, out runtime.Object, err error) error {
	writer, ok := ctx.Value(writerKey{}).(journal.Writer)
	if err != nil || !ok {
		return err
	}
	if object, metaErr := meta.Accessor(out); metaErr == nil {
		if revision, metaErr := s.Versioner().ParseResourceVersion(object.GetResourceVersion()); metaErr == nil && revision > 0 {
			s.to.Add(int64(revision), writer)
		}
	}
	return nil
}

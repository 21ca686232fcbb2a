package apiserver

import (
	"context"
	"time"

	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apiserver/pkg/registry/generic"
	"k8s.io/apiserver/pkg/storage"
	"k8s.io/apiserver/pkg/storage/storagebackend"
	"k8s.io/apiserver/pkg/storage/storagebackend/factory"
	"k8s.io/client-go/tools/cache"

	"bonsai/controlplane/observe/birth"
)

// storage wraps the storage of pods, to time the writes. Upstream's own tracker of a request's time in storage misses
// them: creations and updates bypass the part of the etcd client that it wraps.
func (b births) storage(next generic.RESTOptionsGetter) generic.RESTOptionsGetter {
	return timedOptions{next}
}

type timedOptions struct{ generic.RESTOptionsGetter }

func (t timedOptions) GetRESTOptions(r schema.GroupResource, example runtime.Object) (generic.RESTOptions, error) {
	o, err := t.RESTOptionsGetter.GetRESTOptions(r, example)
	if err != nil || r != (schema.GroupResource{Resource: "pods"}) {
		return o, err
	}
	decorator := o.Decorator
	o.Decorator = func(config *storagebackend.ConfigForResource, prefix string, key func(runtime.Object) (string, error), newFunc, newListFunc func() runtime.Object,
		attrs storage.AttrFunc, trigger storage.IndexerFuncs, indexers *cache.Indexers,
	) (storage.Interface, factory.DestroyFunc, error) {
		s, destroy, err := decorator(config, prefix, key, newFunc, newListFunc, attrs, trigger, indexers)
		return timedStorage{s}, destroy, err
	}
	return o, nil
}

// timedStorage is the storage of pods.
type timedStorage struct{ storage.Interface }

func (s timedStorage) Create(ctx context.Context, key string, obj, out runtime.Object, ttl uint64) error {
	defer timeWrite(ctx, time.Now())
	return s.Interface.Create(ctx, key, obj, out, ttl)
}

func (s timedStorage) GuaranteedUpdate(ctx context.Context, key string, out runtime.Object, ignoreNotFound bool, p *storage.Preconditions,
	update storage.UpdateFunc, cached runtime.Object,
) error {
	defer timeWrite(ctx, time.Now())
	return s.Interface.GuaranteedUpdate(ctx, key, out, ignoreNotFound, p, update, cached)
}

// timeWrite records the write of a request that is a step of a birth.
func timeWrite(ctx context.Context, begin time.Time) {
	o, ok := ctx.Value(observedKey{}).(*observed)
	if !ok {
		return
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	o.call.Etcd = birth.Span{Begin: begin, End: time.Now()}
}

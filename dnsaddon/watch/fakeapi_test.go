package watch

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/rest"
)

// fakeAPI speaks as much of the API as a Watcher hears: lists, watches and streamed lists in protobuf, over connections
// in memory, and it can be away.
type fakeAPI struct {
	t     testing.TB
	proto runtime.SerializerInfo

	mu sync.Mutex // guards what follows
	// objects by path of their kind and key.
	objects map[string]map[string]object
	version int
	// history are the changes since compacted; a watch from before cannot be served.
	history   []change
	compacted int
	changed   chan struct{}
	// refuse answers the readiness probe or all else with this status, if it is not 0.
	notReady, refuse int
	// noStream is an API server that cannot stream lists, noEvents one that takes no events just now.
	noStream, noEvents bool
	// slowPods holds up everything about pods until it is closed.
	slowPods chan struct{}
	events   map[string]*corev1.Event
	// frames, by path, are sent in place of a streamed list, and sending is called before each.
	frames  map[string][][]byte
	sending func()
	// requests by path, with what was asked behind it.
	requests []string
	server   *http.Server
	pipes    *pipes
	served   sync.WaitGroup
}

type object interface {
	metav1.Object
	runtime.Object
}

type change struct {
	path     string
	version  int
	was, now object // nil before it was made and after it was deleted
}

const (
	servicesPath   = "/api/v1/services"
	namespacesPath = "/api/v1/namespaces"
	podsPath       = "/api/v1/pods"
	configMapsPath = "/api/v1/namespaces/kube-system/configmaps"
	eventsPath     = "/api/v1/namespaces/kube-system/events"
	slicesPath     = "/apis/discovery.k8s.io/v1/endpointslices"
)

// newFakeAPI starts an API server that is gone when the test ends.
func newFakeAPI(t testing.TB) *fakeAPI {
	t.Helper()
	scheme := runtime.NewScheme()
	if err := errors.Join(corev1.AddToScheme(scheme), discoveryv1.AddToScheme(scheme)); err != nil {
		t.Fatal(err)
	}
	metav1.AddToGroupVersion(scheme, corev1.SchemeGroupVersion)
	info, ok := runtime.SerializerInfoForMediaType(serializer.NewCodecFactory(scheme).SupportedMediaTypes(), runtime.ContentTypeProtobuf)
	if !ok {
		t.Fatal("there is no protobuf")
	}
	f := &fakeAPI{
		t: t, proto: info, objects: map[string]map[string]object{}, version: 1, changed: make(chan struct{}),
		events: map[string]*corev1.Event{},
	}
	f.start()
	t.Cleanup(f.stop)
	return f
}

// config is what a client needs.
func (f *fakeAPI) config() *rest.Config {
	return &rest.Config{
		Host: "http://api.test", Dial: f.dial,
		Proxy: func(*http.Request) (*url.URL, error) { return nil, nil },
	}
}

// pathOf is the path of an object's kind.
func pathOf(o object) string {
	switch o.(type) {
	case *corev1.Service:
		return servicesPath
	case *corev1.Namespace:
		return namespacesPath
	case *corev1.Pod:
		return podsPath
	case *corev1.ConfigMap:
		return configMapsPath
	case *discoveryv1.EndpointSlice:
		return slicesPath
	}
	panic(fmt.Sprintf("no path for %T", o))
}

// put creates or replaces objects.
func (f *fakeAPI) put(all ...object) {
	for _, o := range all {
		f.change(o, false)
	}
}

// remove deletes an object.
func (f *fakeAPI) remove(o object) { f.change(o, true) }

func (f *fakeAPI) change(o object, gone bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	path, key := pathOf(o), o.GetNamespace()+"/"+o.GetName()
	if f.objects[path] == nil {
		f.objects[path] = map[string]object{}
	}
	f.version++
	c := change{path: path, version: f.version, was: f.objects[path][key]}
	if gone {
		delete(f.objects[path], key)
	} else {
		c.now = o.DeepCopyObject().(object)
		c.now.SetResourceVersion(strconv.Itoa(f.version))
		if c.now.GetUID() == "" {
			c.now.SetUID(types.UID("uid-" + o.GetName()))
		}
		f.objects[path][key] = c.now
	}
	f.history = append(f.history, c)
	f.announce()
}

// announce wakes all watches; f.mu is held.
func (f *fakeAPI) announce() {
	close(f.changed)
	f.changed = make(chan struct{})
}

// compact forgets the history, so that a watch has to begin with a list.
func (f *fakeAPI) compact() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.version++
	f.history, f.compacted = nil, f.version
}

// set changes how the server behaves.
func (f *fakeAPI) set(change func()) {
	f.mu.Lock()
	defer f.mu.Unlock()
	change()
}

// asked counts the requests that contain a text.
func (f *fakeAPI) asked(text string) int {
	f.mu.Lock()
	defer f.mu.Unlock()
	n := 0
	for _, r := range f.requests {
		if strings.Contains(r, text) {
			n++
		}
	}
	return n
}

func (f *fakeAPI) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	f.mu.Lock()
	f.requests = append(f.requests, r.Method+" "+r.URL.String())
	notReady, refuse, noStream, noEvents, slowPods := f.notReady, f.refuse, f.noStream, f.noEvents, f.slowPods
	f.mu.Unlock()
	q := r.URL.Query()
	if slowPods != nil && r.URL.Path == podsPath {
		select {
		case <-slowPods:
		case <-r.Context().Done():
			return
		}
	}
	switch {
	case r.URL.Path == "/readyz":
		if notReady != 0 {
			f.fail(w, notReady, metav1.StatusReasonUnknown)
		}
	case refuse != 0:
		f.fail(w, refuse, metav1.StatusReasonForbidden)
	case noEvents && r.Method == http.MethodPost:
		f.fail(w, http.StatusServiceUnavailable, metav1.StatusReasonServiceUnavailable)
	case r.Method == http.MethodPost && r.URL.Path == eventsPath:
		f.post(w, r)
	case q.Get("watch") == "" || q.Get("watch") == "false":
		f.list(w, r)
	case noStream && q.Get("sendInitialEvents") == "true":
		f.fail(w, http.StatusUnprocessableEntity, metav1.StatusReasonInvalid)
	default:
		f.watch(w, r)
	}
}

// fail answers with a Status, as JSON, which clients understand everywhere.
func (f *fakeAPI) fail(w http.ResponseWriter, code int, reason metav1.StatusReason) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(code)
	fmt.Fprintf(w, `{"kind":"Status","apiVersion":"v1","status":"Failure","reason":%q,"message":"made up","code":%d}`, reason, code)
}

func (f *fakeAPI) post(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return // the connection is gone
	}
	decoded, _, err := f.proto.Serializer.Decode(body, nil, nil)
	e, ok := decoded.(*corev1.Event)
	if err != nil || !ok {
		f.t.Errorf("post %T: %v", decoded, err)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.events[e.Name] != nil {
		f.fail(w, http.StatusConflict, metav1.StatusReasonAlreadyExists)
		return
	}
	f.events[e.Name] = e
	w.Header().Set("Content-Type", runtime.ContentTypeProtobuf)
	w.WriteHeader(http.StatusCreated)
	w.Write(body)
}

// selector is what a request narrows its kind to.
func selector(r *http.Request) func(object) bool {
	q := r.URL.Query()
	byLabel, err := labels.Parse(q.Get("labelSelector"))
	byField, err2 := fields.ParseSelector(q.Get("fieldSelector"))
	if err := errors.Join(err, err2); err != nil {
		panic(err)
	}
	return func(o object) bool {
		if o == nil {
			return false
		}
		set := fields.Set{"metadata.name": o.GetName()}
		if p, ok := o.(*corev1.Pod); ok {
			set["status.phase"] = string(p.Status.Phase)
		}
		return byLabel.Matches(labels.Set(o.GetLabels())) && byField.Matches(set)
	}
}

// selected are the objects of a kind in order of name; f.mu is held.
func (f *fakeAPI) selected(path string, fits func(object) bool) []object {
	var all []object
	for _, key := range slices.Sorted(maps.Keys(f.objects[path])) {
		if o := f.objects[path][key]; fits(o) {
			all = append(all, o)
		}
	}
	return all
}

func (f *fakeAPI) list(w http.ResponseWriter, r *http.Request) {
	f.mu.Lock()
	all, version := f.selected(r.URL.Path, selector(r)), strconv.Itoa(f.version)
	f.mu.Unlock()
	var list runtime.Object
	m, kind := metav1.ListMeta{ResourceVersion: version}, func(k string) metav1.TypeMeta { return metav1.TypeMeta{APIVersion: "v1", Kind: k} }
	switch r.URL.Path {
	case servicesPath:
		list = &corev1.ServiceList{TypeMeta: kind("ServiceList"), ListMeta: m, Items: values[corev1.Service](all)}
	case namespacesPath:
		list = &corev1.NamespaceList{TypeMeta: kind("NamespaceList"), ListMeta: m, Items: values[corev1.Namespace](all)}
	case podsPath:
		list = &corev1.PodList{TypeMeta: kind("PodList"), ListMeta: m, Items: values[corev1.Pod](all)}
	case configMapsPath:
		list = &corev1.ConfigMapList{TypeMeta: kind("ConfigMapList"), ListMeta: m, Items: values[corev1.ConfigMap](all)}
	case slicesPath:
		list = &discoveryv1.EndpointSliceList{TypeMeta: metav1.TypeMeta{APIVersion: "discovery.k8s.io/v1", Kind: "EndpointSliceList"}, ListMeta: m, Items: values[discoveryv1.EndpointSlice](all)}
	default:
		f.t.Errorf("unknown path %s", r.URL.Path)
		return
	}
	w.Header().Set("Content-Type", runtime.ContentTypeProtobuf)
	if err := f.proto.Serializer.Encode(list, w); err != nil {
		f.t.Logf("list: %v", err) // the connection is gone
	}
}

func values[T any](all []object) []T {
	var list []T
	for _, o := range all {
		list = append(list, *any(o).(*T))
	}
	return list
}

func (f *fakeAPI) watch(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", runtime.ContentTypeProtobuf+";stream=watch")
	out := http.NewResponseController(w)
	frames := f.proto.StreamSerializer.Framer.NewFrameWriter(w)
	send := func(kind string, o runtime.Object) error {
		frame, err := f.frame(kind, o)
		if err == nil {
			_, err = frames.Write(frame)
		}
		return err
	}
	path, fits, q := r.URL.Path, selector(r), r.URL.Query()
	f.mu.Lock()
	version, err := strconv.Atoi(q.Get("resourceVersion"))
	var initial []object
	if stream := q.Get("sendInitialEvents") == "true"; stream || err != nil || version == 0 {
		initial, version = f.selected(path, fits), f.version
	}
	end := version
	compacted, prepared, sending := f.compacted, f.frames[path], f.sending
	f.mu.Unlock()
	if version < compacted {
		_ = send("ERROR", &metav1.Status{TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "Status"}, Status: "Failure", Code: http.StatusGone, Reason: metav1.StatusReasonExpired})
		return
	}
	for _, frame := range prepared {
		sending()
		if _, err := frames.Write(frame); err != nil {
			return
		}
	}
	for _, o := range initial {
		if send("ADDED", typed(o)) != nil {
			return
		}
	}
	if q.Get("sendInitialEvents") == "true" && send("BOOKMARK", bookmark(path, end)) != nil {
		return
	}
	for {
		f.mu.Lock()
		changed := f.changed
		var news []change
		for _, c := range f.history {
			if c.version > version && c.path == path {
				news = append(news, c)
			}
		}
		version = f.version
		f.mu.Unlock()
		for _, c := range news {
			was, now := c.was != nil && fits(c.was), c.now != nil && fits(c.now)
			var err error
			switch {
			case was && now:
				err = send("MODIFIED", typed(c.now))
			case now:
				err = send("ADDED", typed(c.now))
			case was:
				last := c.was.DeepCopyObject().(object)
				last.SetResourceVersion(strconv.Itoa(c.version))
				err = send("DELETED", typed(last))
			}
			if err != nil {
				return
			}
		}
		if out.Flush() != nil {
			return
		}
		select {
		case <-r.Context().Done():
			return
		case <-changed:
		}
	}
}

// frame is a watch event in wire form.
func (f *fakeAPI) frame(kind string, o runtime.Object) ([]byte, error) {
	raw, err := runtime.Encode(f.proto.Serializer, o)
	if err != nil {
		return nil, err
	}
	return runtime.Encode(f.proto.StreamSerializer.Serializer, &metav1.WatchEvent{Type: kind, Object: runtime.RawExtension{Raw: raw}})
}

// typed says of an object what it is, as messages do.
func typed(o object) object {
	o = o.DeepCopyObject().(object)
	meta := o.GetObjectKind()
	switch o.(type) {
	case *corev1.Service:
		meta.SetGroupVersionKind(corev1.SchemeGroupVersion.WithKind("Service"))
	case *corev1.Namespace:
		meta.SetGroupVersionKind(corev1.SchemeGroupVersion.WithKind("Namespace"))
	case *corev1.Pod:
		meta.SetGroupVersionKind(corev1.SchemeGroupVersion.WithKind("Pod"))
	case *corev1.ConfigMap:
		meta.SetGroupVersionKind(corev1.SchemeGroupVersion.WithKind("ConfigMap"))
	case *discoveryv1.EndpointSlice:
		meta.SetGroupVersionKind(discoveryv1.SchemeGroupVersion.WithKind("EndpointSlice"))
	}
	return o
}

// bookmark ends a streamed list.
func bookmark(path string, version int) object {
	kinds := map[string]object{
		servicesPath: &corev1.Service{}, namespacesPath: &corev1.Namespace{}, podsPath: &corev1.Pod{},
		configMapsPath: &corev1.ConfigMap{}, slicesPath: &discoveryv1.EndpointSlice{},
	}
	o := kinds[path]
	o.SetResourceVersion(strconv.Itoa(version))
	o.SetAnnotations(map[string]string{metav1.InitialEventsAnnotationKey: "true"})
	return typed(o)
}

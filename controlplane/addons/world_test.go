package addons

import (
	"context"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"testing"
	"testing/synctest"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"bonsai/bootstrap/cluster"
)

// memory is a store without a server.
type memory struct {
	mu      sync.Mutex // guards everything below
	objects map[string]ref
	addon   map[string]string // of an object's key; nothing for what is not ours
	journal []string
	// fail makes an operation on a key fail ("apply ConfigMap kube-system/a").
	fail map[string]error
}

func newMemory() *memory {
	return &memory{objects: map[string]ref{}, addon: map[string]string{}, fail: map[string]error{}}
}

func (s *memory) do(what string, r ref) error {
	line := what + " " + r.String()
	s.journal = append(s.journal, line)
	return s.fail[line]
}

func (s *memory) apply(_ context.Context, u *unstructured.Unstructured, known bool) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	r := refOf(u)
	if err := s.do("apply", r); err != nil {
		return err
	}
	if _, exists := s.objects[r.key()]; exists && !known && s.addon[r.key()] == "" {
		return &foreignError{r}
	}
	s.objects[r.key()], s.addon[r.key()] = r, u.GetLabels()[Label]
	return nil
}

func (s *memory) owned(_ context.Context, kinds []schema.GroupVersionKind) (inventory, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	found := inventory{}
	for key, r := range s.objects {
		if a := s.addon[key]; a != "" && slices.Contains(kinds, r.gvk()) {
			found[a] = append(found[a], r)
		}
	}
	return found, s.fail["list"]
}

func (s *memory) exists(_ context.Context, r ref) (bool, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	_, ok := s.objects[r.key()]
	return ok, nil
}

func (s *memory) remove(_ context.Context, r ref) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.do("delete", r); err != nil {
		return err
	}
	delete(s.objects, r.key())
	delete(s.addon, r.key())
	return nil
}

// put is what somebody else does.
func (s *memory) put(r ref, addon string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.objects[r.key()], s.addon[r.key()] = r, addon
}

func (s *memory) drop(names ...string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	maps.DeleteFunc(s.objects, func(_ string, r ref) bool { return slices.Contains(names, r.name) })
}

func (s *memory) failing(what string, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.fail[what] = err
}

func (s *memory) names() (names []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, r := range s.objects {
		names = append(names, r.name)
	}
	slices.Sort(names)
	return names
}

func (s *memory) story() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.journal)
}

// thing is an addon of ConfigMaps.
type thing struct {
	cluster.AddonDescription
	mu     sync.Mutex // guards everything below
	maps   []string
	state  cluster.AddonState
	reason string
}

func (a *thing) Describe() cluster.AddonDescription { return a.AddonDescription }

func (a *thing) Objects(Cluster) (list []runtime.Object) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, name := range a.maps {
		list = append(list, &corev1.ConfigMap{
			TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "ConfigMap"}, ObjectMeta: metav1.ObjectMeta{Namespace: "kube-system", Name: name},
		})
	}
	return list
}

func (a *thing) Health(context.Context, Cluster) (cluster.AddonState, string, []cluster.Advice) {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.state, a.reason, nil
}

func (a *thing) is(state cluster.AddonState, reason string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.state, a.reason = state, reason
}

func (a *thing) has(names ...string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.maps = names
}

// controller is an addon with a runner.
type controller struct {
	*thing
	run func(ctx context.Context, c Cluster) error
}

func (a *controller) Run(ctx context.Context, c Cluster) error { return a.run(ctx, c) }

func newThing(name string, enabled bool, needs ...string) *thing {
	return &thing{
		AddonDescription: cluster.AddonDescription{Name: name, Default: enabled, Needs: needs},
		maps:             []string{name + "-1", name + "-2"}, state: cluster.AddonRunning,
	}
}

func mapRef(name string) ref {
	return refOf(&unstructured.Unstructured{Object: map[string]any{
		"apiVersion": "v1", "kind": "ConfigMap", "metadata": map[string]any{"namespace": "kube-system", "name": name},
	}})
}

// world is a manager at work.
type world struct {
	*Manager
	store  *memory
	cancel context.CancelFunc
	ended  chan struct{}
}

// begin connects a manager and, with run, runs it; the test ends it.
func begin(t *testing.T, s *memory, chosen map[string]bool, all ...Addon) *world {
	t.Helper()
	m, err := New(Options{Addons: all, Spec: cluster.Spec{Name: "dev", Addons: chosen}, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	w := &world{Manager: m, store: s, ended: make(chan struct{})}
	if err := m.connect(t.Context(), Cluster{Log: slog.New(slog.DiscardHandler)}, s); err != nil {
		t.Logf("apply: %v", err)
	}
	return w
}

func (w *world) run(t *testing.T) {
	t.Helper()
	var ctx context.Context
	ctx, w.cancel = context.WithCancel(t.Context())
	go func() { w.Run(ctx); close(w.ended) }()
	synctest.Wait()
}

func (w *world) end() {
	w.cancel()
	<-w.ended
}

// choose is what a user does. It returns the states of the moment in which nothing is done yet: nobody who waits for an
// end may take them for it.
func (w *world) choose(chosen map[string]bool) (states []cluster.AddonState) {
	w.passing.Lock()
	defer w.passing.Unlock()
	w.Reload(cluster.Spec{Name: "dev", Addons: chosen})
	for _, s := range w.Status() {
		states = append(states, s.State)
	}
	return states
}

// is checks states, given as "name=state".
func (w *world) is(t *testing.T, want ...string) {
	t.Helper()
	var got []string
	for _, s := range w.Status() {
		got = append(got, s.Name+"="+string(s.State))
	}
	if !slices.Equal(got, want) {
		t.Errorf("states are %v, want %v", got, want)
	}
}

func (w *world) status(name string) cluster.AddonStatus {
	list := w.Status()
	return list[slices.IndexFunc(list, func(s cluster.AddonStatus) bool { return s.Name == name })]
}

func (w *world) has(t *testing.T, want ...string) {
	t.Helper()
	if got := w.store.names(); !slices.Equal(got, want) {
		t.Errorf("the cluster has %v, want %v", got, want)
	}
}

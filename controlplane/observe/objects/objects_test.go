package objects

import (
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes/fake"
	"k8s.io/client-go/tools/cache"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func pod(name string) *corev1.Pod {
	return &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: "shop", Name: name, UID: "1", Annotations: map[string]string{"a": "b"}, ManagedFields: []metav1.ManagedFieldsEntry{{}},
		},
		Spec:   corev1.PodSpec{HostNetwork: true, Containers: []corev1.Container{{Name: "c", Image: "i", Args: []string{"x"}}}},
		Status: corev1.PodStatus{PodIPs: []corev1.PodIP{{IP: "10.244.1.2"}}},
	}
}

// seen records what a follower receives.
type seen struct {
	mu   sync.Mutex // guards all
	all  []string
	more chan struct{} // of one
}

func newSeen() *seen { return &seen{more: make(chan struct{}, 1)} }

func (s *seen) on(p *corev1.Pod, deleted bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	what := "+" + p.Name
	if deleted {
		what = "-" + p.Name
	}
	s.all = append(s.all, what)
	select {
	case s.more <- struct{}{}:
	default:
	}
}

// until waits until last is the newest record.
func (s *seen) until(t *testing.T, last string) {
	t.Helper()
	limit := time.After(10 * time.Second)
	for {
		s.mu.Lock()
		found := len(s.all) > 0 && s.all[len(s.all)-1] == last
		all := s.all
		s.mu.Unlock()
		if found {
			return
		}
		select {
		case <-s.more:
		case <-limit:
			t.Fatalf("still no %s: %v", last, all)
		}
	}
}

// lists counts those that the API server was asked for. An informer that starts asks once, and then watches.
func lists(c *fake.Clientset) (n int) {
	for _, a := range c.Actions() {
		if a.GetVerb() == "list" {
			n++
		}
	}
	return n
}

func TestOneInformerForAllFollowers(t *testing.T) {
	client := fake.NewClientset(pod("a"))
	s := New(Clients{Kubernetes: client})
	one, two := newSeen(), newSeen()
	first := Follow(s, one.on)
	one.until(t, "+a")
	second := Follow(s, two.on)
	two.until(t, "+a") // what is there already
	if !cache.WaitFor(t.Context(), "", first.Synced(), second.Synced()) {
		t.Fatal("never synced")
	}
	if _, err := client.CoreV1().Pods("shop").Create(t.Context(), pod("b"), metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	one.until(t, "+b")
	two.until(t, "+b")
	if n := lists(client); n != 1 {
		t.Errorf("%d lists for two followers", n)
	}
	got, ok := second.Get("shop", "b")
	if !ok || got.Annotations != nil || got.ManagedFields != nil || got.Spec.Containers[0].Args != nil {
		t.Errorf("not trimmed: %+v", got)
	}
	if got.UID != "1" || !got.Spec.HostNetwork || len(got.Status.PodIPs) != 1 || got.Spec.Containers[0].Image != "i" {
		t.Errorf("trimmed too much: %+v", got)
	}
	first.Stop()
	first.Stop() // a second time it does nothing
	if err := client.CoreV1().Pods("shop").Delete(t.Context(), "a", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	two.until(t, "-a")
	second.Stop()
	one.mu.Lock()
	if last := one.all[len(one.all)-1]; last != "+b" {
		t.Errorf("after its end the first follower received %s", last)
	}
	one.mu.Unlock()
	if len(s.kinds) != 0 {
		t.Error("something runs on although nobody follows")
	}
	if all := second.All(); len(all) != 1 || all[0].Name != "b" {
		t.Errorf("what was known is gone: %v", all)
	}
}

func TestItBeginsAgain(t *testing.T) {
	client := fake.NewClientset(pod("a"))
	s := New(Clients{Kubernetes: client})
	for range 2 {
		one := newSeen()
		f := Follow(s, one.on)
		one.until(t, "+a")
		f.Stop()
	}
	if n := lists(client); n != 2 {
		t.Errorf("%d lists", n)
	}
}

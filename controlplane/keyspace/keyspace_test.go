package keyspace

import (
	"bytes"
	"iter"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes/scheme"

	"bonsai/bootstrap/cluster"
)

// memory is etcd's data.
type memory map[string][]byte

func (m memory) All(prefix string) iter.Seq2[string, []byte] {
	now := maps.Clone(m)
	return func(yield func(string, []byte) bool) {
		for _, key := range slices.Sorted(maps.Keys(now)) {
			if strings.HasPrefix(key, prefix) && !yield(key, now[key]) {
				return
			}
		}
	}
}
func (m memory) Put(key string, value []byte) { m[key] = value }
func (m memory) Delete(key string)            { delete(m, key) }

// store writes an object as the API server does.
func (m memory) store(t *testing.T, key string, o runtime.Object) {
	t.Helper()
	kinds, _, err := scheme.Scheme.ObjectKinds(o)
	if err != nil {
		t.Fatal(err)
	}
	o.GetObjectKind().SetGroupVersionKind(kinds[0])
	var b bytes.Buffer
	if err := codec.Encode(o, &b); err != nil {
		t.Fatal(err)
	}
	m[key] = b.Bytes()
}

func (m memory) pod(t *testing.T, name, node string) {
	t.Helper()
	m.store(t, podsPrefix+"default/"+name, &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: "default"}, Spec: corev1.PodSpec{NodeName: node}})
}

func (m memory) node(t *testing.T, name, providerID string) {
	t.Helper()
	m.store(t, nodesPrefix+name, &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: name}, Spec: corev1.NodeSpec{ProviderID: providerID}})
}

// restorable takes the place of other data.
type restorable struct {
	memory
	replaced memory
}

func (r restorable) Replaced(prefix string) map[string][]byte {
	return maps.Collect(r.replaced.All(prefix))
}

func TestRestoreRemovesPodsOfNodesThatLeft(t *testing.T) {
	m := memory{}
	m.node(t, "dev-1", cluster.ProviderID("dev", "dev-1"))
	m.node(t, "dev-2", cluster.ProviderID("dev", "dev-2"))
	m.node(t, "kwok", "")
	for name, node := range map[string]string{"here": "dev-1", "left": "dev-2", "lost": "dev-7", "pending": "", "foreign": "kwok"} {
		m.pod(t, name, node)
	}
	m["/registry/example.com/things/a"] = []byte(`{"kind":"Thing"}`)
	want := maps.Clone(m)
	delete(want, podsPrefix+"default/left")
	delete(want, podsPrefix+"default/lost")
	if err := Restore(restorable{m, memory{}}, cluster.Spec{Name: "dev", Nodes: []cluster.Node{{Name: "dev-1"}, {Name: "dev-3"}}}); err != nil {
		t.Fatal(err)
	}
	want[podsPrefix+"default/here"] = m[podsPrefix+"default/here"] // its status is not under test
	if !maps.EqualFunc(m, want, bytes.Equal) {
		t.Errorf("left are %v, want %v", slices.Sorted(maps.Keys(m)), slices.Sorted(maps.Keys(want)))
	}
}

func TestRestoreKnowsWhichPodsStillRun(t *testing.T) {
	pod := func(uid, node string, phase corev1.PodPhase, ip string) *corev1.Pod {
		return &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: "p", UID: types.UID(uid)}, Spec: corev1.PodSpec{NodeName: node}, Status: corev1.PodStatus{Phase: phase, PodIP: ip}}
	}
	ending := pod("1", "dev-1", corev1.PodRunning, "now")
	ending.DeletionTimestamp = &metav1.Time{Time: time.Unix(1, 0)}
	const key = podsPrefix + "default/p"
	for name, tc := range map[string]struct {
		then, now *corev1.Pod
		want      string
	}{
		"still there":            {pod("1", "dev-1", corev1.PodRunning, "then"), pod("1", "dev-1", corev1.PodRunning, "now"), "Running now"},
		"has ended meanwhile":    {pod("1", "dev-1", corev1.PodRunning, "then"), pod("1", "dev-1", corev1.PodFailed, ""), "Failed "},
		"was deleted":            {pod("1", "dev-1", corev1.PodRunning, "then"), nil, "Pending "},
		"is being deleted":       {pod("1", "dev-1", corev1.PodRunning, "then"), ending, "Pending "},
		"another of its name":    {pod("1", "dev-1", corev1.PodRunning, "then"), pod("2", "dev-1", corev1.PodRunning, "now"), "Pending "},
		"had ended, was deleted": {pod("1", "dev-1", corev1.PodSucceeded, "then"), nil, "Succeeded then"},
		"had no node":            {pod("1", "", corev1.PodPending, ""), pod("1", "dev-1", corev1.PodRunning, "now"), "Pending "},
	} {
		t.Run(name, func(t *testing.T) {
			m, replaced := memory{}, memory{}
			m.store(t, key, tc.then)
			if tc.now != nil {
				replaced.store(t, key, tc.now)
			}
			if err := Restore(restorable{m, replaced}, cluster.Spec{Name: "dev", Nodes: []cluster.Node{{Name: "dev-1"}}}); err != nil {
				t.Fatal(err)
			}
			if s := read[corev1.Pod](t, m, key).Status; string(s.Phase)+" "+s.PodIP != tc.want {
				t.Errorf("its status is %q, want %q", string(s.Phase)+" "+s.PodIP, tc.want)
			}
		})
	}
}

func TestDamagedObjectsAreNamed(t *testing.T) {
	m := memory{podsPrefix + "default/p": []byte("k8s\x00nonsense")}
	if err := Restore(restorable{m, nil}, cluster.Spec{Name: "dev"}); err == nil || !strings.Contains(err.Error(), podsPrefix+"default/p") {
		t.Errorf("got %v", err)
	}
}

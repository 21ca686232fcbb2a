package kubelet

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	v1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes/fake"
)

// listing says what the fake says of itself: it cannot send a list as the events of a watch.
type listing struct{ *reportedNodes }

func (listing) IsWatchListSemanticsUnSupported() bool { return true }

// A pod that meets a Node object without a capacity is rejected for ever.
func TestANodeWithoutACapacityIsNotKnown(t *testing.T) {
	bare := func() *v1.Node { return &v1.Node{ObjectMeta: metav1.ObjectMeta{Name: nodeName}} }
	full := bare()
	full.Status.Capacity = v1.ResourceList{v1.ResourcePods: resource.MustParse("110")}
	synctest.Test(t, func(t *testing.T) {
		api := fake.NewClientset(bare())
		client := newReportedNodes(api)
		factory := informers.NewSharedInformerFactory(listing{client}, 0)
		nodes := factory.Core().V1().Nodes()
		informer := nodes.Informer()
		ctx, stop := context.WithCancel(t.Context())
		factory.StartWithContext(ctx)
		defer factory.Shutdown()
		defer stop() // before Shutdown, which waits
		want := func(when string, known bool) {
			t.Helper()
			time.Sleep(time.Second) // of the bubble's clock
			synctest.Wait()
			if !informer.HasSynced() {
				t.Fatalf("%s: the list has not come", when)
			}
			if n, err := nodes.Lister().Get(nodeName); (err == nil) != known {
				t.Errorf("%s: got %v, %v", when, n, err)
			}
		}
		want("made by the control plane", false)
		report := func(n *v1.Node) {
			t.Helper()
			if _, err := api.CoreV1().Nodes().UpdateStatus(t.Context(), n, metav1.UpdateOptions{}); err != nil {
				t.Fatal(err)
			}
		}
		report(bare())
		want("changed by the control plane", false)
		soon, cancel := context.WithTimeout(ctx, time.Second)
		defer cancel()
		if client.await(soon) {
			t.Error("a node without a capacity counts as reported")
		}
		report(full)
		want("reported by its kubelet", true)
		if !client.await(ctx) {
			t.Error("it does not count as reported")
		}
		if err := api.CoreV1().Nodes().Delete(t.Context(), nodeName, metav1.DeleteOptions{}); err != nil {
			t.Fatal(err)
		}
		want("deleted", false)
		if _, err := api.CoreV1().Nodes().Create(t.Context(), bare(), metav1.CreateOptions{}); err != nil {
			t.Fatal(err)
		}
		want("made again", false)
	})
}

package controlplane_test

import (
	"context"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"

	"bonsai/bootstrap/cluster"
	"bonsai/controlplane"
	"bonsai/controlplane/mirror"
)

// TestComponentsAreShownAsPods: to users, but not to kubelets, which would delete them.
func TestComponentsAreShownAsPods(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "etcd.log"), []byte("of etcd\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	cp := startWith(t, dir, func(s *cluster.Spec) { s.Nodes[0].ControlPlane = true }, func(o *controlplane.Options) {
		o.Mirror = mirror.New(mirror.Options{
			Spec: o.Config.Spec, Version: "v1.37.2", Parts: controlplane.Parts(o.Config, "v1.37.2"), Log: slog.New(slog.DiscardHandler),
			LogFile: func(name string) string { return filepath.Join(dir, name+".log") },
		})
	})
	defer cp.Stop()
	client := cp.Client()
	for _, name := range []string{"test-1", "test-2"} { // as their kubelets would do it
		n, err := client.CoreV1().Nodes().Get(t.Context(), name, metav1.GetOptions{})
		if err != nil {
			t.Fatal(err)
		}
		n.Status.Conditions = []corev1.NodeCondition{{Type: corev1.NodeReady, Status: corev1.ConditionTrue}}
		if _, err := client.CoreV1().Nodes().UpdateStatus(t.Context(), n, metav1.UpdateOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	factory := informers.NewSharedInformerFactory(client, 0)
	nodes := factory.Core().V1().Nodes().Informer()
	factory.StartWithContext(ctx)
	var showing sync.WaitGroup
	showing.Go(func() {
		if err := cp.ShowComponents(ctx, nodes); err != nil {
			t.Error(err)
		}
	})
	defer func() {
		cancel()
		showing.Wait()
		factory.Shutdown()
	}()

	pods := client.CoreV1().Pods(metav1.NamespaceSystem)
	wait := func(what string, ok func() bool) {
		t.Helper()
		late := time.After(time.Minute)
		tick := time.NewTicker(20 * time.Millisecond)
		defer tick.Stop()
		for !ok() {
			select {
			case <-late:
				t.Fatalf("timed out waiting for %s", what)
			case <-tick.C:
			}
		}
	}
	ready := func(name string) (*corev1.Pod, bool) {
		p, err := pods.Get(t.Context(), name, metav1.GetOptions{})
		return p, err == nil && len(p.Status.ContainerStatuses) == 1 && p.Status.ContainerStatuses[0].Ready
	}
	for _, name := range []string{controlplane.Etcd, controlplane.APIServer, controlplane.ControllerManager, controlplane.Scheduler} {
		wait(name+" to be ready", func() bool { _, ok := ready(name + "-test-1"); return ok })
	}
	wait("kube-proxy", func() bool {
		_, err := pods.Get(t.Context(), "kube-proxy-test-2", metav1.GetOptions{})
		return err == nil
	})

	// A kubelet sees the pods that it has to run.
	mine := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: "mine"}, Spec: corev1.PodSpec{
		NodeName: "test-1", Containers: []corev1.Container{{Name: "a", Image: "a"}},
	}}
	if _, err := client.CoreV1().Pods(metav1.NamespaceDefault).Create(t.Context(), mine, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	config := rest.CopyConfig(cp.LoopbackConfig())
	config.Impersonate = rest.ImpersonationConfig{UserName: "system:node:test-1", Groups: []string{"system:nodes"}}
	kubelet, err := kubernetes.NewForConfig(config)
	if err != nil {
		t.Fatal(err)
	}
	list, err := kubelet.CoreV1().Pods("").List(t.Context(), metav1.ListOptions{FieldSelector: "spec.nodeName=test-1"})
	if err != nil || len(list.Items) != 1 || list.Items[0].Name != "mine" {
		t.Errorf("the kubelet sees %v, %v; want only its own pod", list, err)
	}
	watch, err := kubelet.CoreV1().Pods("").Watch(t.Context(), metav1.ListOptions{FieldSelector: "spec.nodeName=test-1"})
	if err != nil {
		t.Fatal(err)
	}
	defer watch.Stop()

	// Deleted, it comes back; the kubelet's watch does not report it.
	old, _ := ready("etcd-test-1")
	if err := pods.Delete(t.Context(), "etcd-test-1", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	wait("etcd's pod to come back", func() bool {
		p, ok := ready("etcd-test-1")
		return ok && p.UID != old.UID
	})
	if err := client.CoreV1().Pods(metav1.NamespaceDefault).Delete(t.Context(), "mine", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	for seen := false; !seen; {
		e := <-watch.ResultChan()
		p, ok := e.Object.(*corev1.Pod)
		if !ok || p.Name != "mine" {
			t.Fatalf("the kubelet's watch reports %+v", e.Object)
		}
		seen = p.DeletionTimestamp != nil
	}

	log, err := pods.GetLogs("etcd-test-1", &corev1.PodLogOptions{TailLines: new(int64(5))}).DoRaw(t.Context())
	if err != nil || string(log) != "of etcd\n" {
		t.Errorf("the log is %q, %v", log, err)
	}
	follow, stop := context.WithCancel(t.Context())
	stream, err := pods.GetLogs("etcd-test-1", &corev1.PodLogOptions{Follow: true, Container: "etcd"}).Stream(follow)
	if err != nil {
		t.Fatal(err)
	}
	line := make([]byte, len("of etcd\n"))
	if _, err := io.ReadFull(stream, line); err != nil || string(line) != "of etcd\n" {
		t.Errorf("followed: %q, %v", line, err)
	}
	stop()
	_ = stream.Close()
	for what, tc := range map[string]struct {
		opts corev1.PodLogOptions
		want string
	}{
		"previous":  {corev1.PodLogOptions{Previous: true}, `previous terminated container "etcd" in pod "etcd-test-1" not found`},
		"container": {corev1.PodLogOptions{Container: "x"}, "container x is not valid for pod etcd-test-1"},
	} {
		// The error has no text for a request whose answer is not decoded.
		if body, err := pods.GetLogs("etcd-test-1", &tc.opts).DoRaw(t.Context()); !apierrors.IsBadRequest(err) || !strings.Contains(string(body), tc.want) {
			t.Errorf("%s: %s, %v, want %q", what, body, err, tc.want)
		}
	}
	if _, err := pods.GetLogs("etcd-test-1", &corev1.PodLogOptions{TailLines: new(int64(-1))}).DoRaw(t.Context()); !apierrors.IsInvalid(err) {
		t.Errorf("a negative number of lines: %v", err)
	}
	exec := client.CoreV1().RESTClient().Post().Namespace(metav1.NamespaceSystem).Resource("pods").Name("etcd-test-1").SubResource("exec").Param("command", "sh")
	if err := exec.Do(t.Context()).Error(); !apierrors.IsBadRequest(err) || !strings.Contains(err.Error(), "is not a container") {
		t.Errorf("exec: %v", err)
	}
}

package e2e

import (
	"crypto/rand"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"

	"bonsai/bootstrap/imagestore/imagetest"
	"bonsai/test/e2e/harness"
)

// TestNodesHaveTheirImagesBeforePodsNeedThem: a node that is added, and those of a cluster that is made of a file, run no pod
// before its image is there. The kubelet looks again only after ten seconds, then twenty.
func TestNodesHaveTheirImagesBeforePodsNeedThem(t *testing.T) {
	t.Parallel()
	c := harness.New(t)
	c.Start(t, "--nodes", "1")
	c.LoadImages(t)
	// It comes with the others, and takes its time.
	large := filepath.Join(t.TempDir(), "large.tar")
	content := make([]byte, 150<<20)
	_, _ = rand.Read(content) // never fails
	layer := imagetest.Tar([2]string{"file", string(content)})
	if err := os.WriteFile(large, imagetest.Docker([]string{"large.bonsai.test/app:1"}, string(layer)), 0o600); err != nil {
		t.Fatal(err)
	}
	c.Must(t, "image", "load", large)
	n := keptNamespace(t, c, "early")
	labels := map[string]string{"app": "everywhere"}
	pod := n.Pod("everywhere", harness.Testpod, "serve")
	pod.Spec.Containers[0].ImagePullPolicy = corev1.PullNever
	// Of a DaemonSet, whose pods are bound to a node before that is Ready.
	if _, err := n.Client.AppsV1().DaemonSets(n.Namespace).Create(t.Context(), &appsv1.DaemonSet{
		ObjectMeta: metav1.ObjectMeta{Name: "everywhere"},
		Spec: appsv1.DaemonSetSpec{
			Selector: &metav1.LabelSelector{MatchLabels: labels},
			Template: corev1.PodTemplateSpec{ObjectMeta: metav1.ObjectMeta{Labels: labels}, Spec: pod.Spec},
		},
	}, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	everywhere := func(n *harness.Namespace, nodes int32) {
		t.Helper()
		harness.Until(t, harness.PodLimit, fmt.Sprintf("a pod on each of %d nodes", nodes), func() error {
			d, err := n.Client.AppsV1().DaemonSets(n.Namespace).Get(t.Context(), "everywhere", metav1.GetOptions{})
			if err == nil && d.Status.NumberReady != nodes {
				err = fmt.Errorf("%d are Ready", d.Status.NumberReady)
			}
			return err
		})
		wantNoMissingImage(t, n.Client)
	}
	everywhere(n, 1)

	c.Must(t, "node", "add")
	began := time.Now()
	everywhere(n, 2)
	t.Logf("the pod on the added node is Ready %s after the node", time.Since(began))

	file := filepath.Join(t.TempDir(), "cluster.bonsai")
	c.Must(t, "checkpoint", "export", file)
	c.Must(t, "delete")
	there := &harness.Cluster{Home: harness.NewHome(t)}
	there.Name = there.Home.Name()
	began = time.Now()
	there.Must(t, "start", "--from", file)
	took := time.Since(began)
	everywhere(&harness.Namespace{Cluster: there, Namespace: n.Namespace, Client: there.Client(t)}, 2)
	t.Logf("the start took %s, and all pods are Ready after %s", took, time.Since(began))

	// Nodes that have their images wait for nothing.
	there.Must(t, "stop")
	if r := there.Start(t); strings.Contains(r.Stdout+r.Stderr, "Images of") {
		t.Errorf("a start of nodes that have their images brings some: %s", r)
	}
}

// wantNoMissingImage checks that no kubelet has looked for an image in vain.
func wantNoMissingImage(t *testing.T, client kubernetes.Interface) {
	t.Helper()
	events, err := client.CoreV1().Events(metav1.NamespaceAll).List(t.Context(), metav1.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range events.Items {
		if slices.Contains([]string{"ErrImageNeverPull", "Failed", "BackOff"}, e.Reason) {
			t.Errorf("%s %s/%s: %s: %s", e.InvolvedObject.Kind, e.InvolvedObject.Namespace, e.InvolvedObject.Name, e.Reason, e.Message)
		}
	}
}

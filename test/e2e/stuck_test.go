package e2e

import (
	"fmt"
	"slices"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"bonsai/bootstrap/cluster"
	"bonsai/test/e2e/harness"
)

// TestWhatDoesNotGoOn: status names what holds a namespace, the revision to which a stuck rollout goes back, and the liveness
// probe that kills a container. What it prints to type fixes the first two.
func TestWhatDoesNotGoOn(t *testing.T) {
	t.Parallel()
	c := harness.New(t)
	c.Start(t, "--nodes", "1")
	c.LoadImages(t)
	shop, held := c.NewNamespace(t), c.NewNamespace(t)

	held.Kubectl(t, "-n", held.Namespace, "create", "configmap", "x")
	held.Kubectl(t, "-n", held.Namespace, "patch", "configmap", "x", "--type=merge", "-p", `{"metadata":{"finalizers":["nobody.bonsai.test/x"]}}`)
	held.Kubectl(t, "delete", "namespace", held.Namespace, "--wait=false")

	deploy(t, shop, "web", 2, idle)
	probed := shop.Pod("probed", harness.Busybox, "-c", idle)
	probed.Spec.Containers[0].LivenessProbe = &corev1.Probe{
		PeriodSeconds: 1, FailureThreshold: 2, ProbeHandler: corev1.ProbeHandler{TCPSocket: &corev1.TCPSocketAction{Port: intstr.FromInt32(8080)}},
	}
	if _, err := shop.Client.CoreV1().Pods(shop.Namespace).Create(t.Context(), probed, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	shop.Kubectl(t, "-n", shop.Namespace, "rollout", "status", "deployment/web", "--timeout", harness.Scale(time.Minute).String())
	shop.Kubectl(t, "-n", shop.Namespace, "set", "image", "deployment/web", "main=nowhere.bonsai.test/web:2")

	finalizer := planted{name: "finalizer", want: expected{
		Kind: cluster.ProblemDeletion, Object: "namespace/NS", Summary: "ConfigMap x has finalizer nobody.bonsai.test/x, which holds it",
		Hint: "patch configmaps x -n " + held.Namespace,
	}}
	rollout := planted{name: "rollout", want: expected{
		Kind: cluster.ProblemRollout, Object: "deployment/NS/web", Summary: "its rollout is stuck; 2 pods of the revision before still run",
		Cause: "image nowhere.bonsai.test/web:2", Hint: "rollout undo deployment/web -n " + shop.Namespace + " --to-revision 1",
	}}
	liveness := planted{name: "liveness", want: expected{
		Kind: cluster.ProblemProbe, Object: "pod/NS/probed", Summary: "the container is restarted because its liveness probe fails",
		Cause: "nothing listens on port 8080", Hint: "logs probed",
	}}
	for p, n := range map[*planted]*harness.Namespace{&finalizer: held, &rollout: shop, &liveness: shop} {
		t.Run(p.name, func(t *testing.T) { p.reported(t, n) })
	}
	doAsAdvised(t, c, finalizer.want.Kind)
	doAsAdvised(t, c, rollout.want.Kind)
	harness.Until(t, time.Minute, "an end of the namespace", func() error {
		_, err := held.Client.CoreV1().Namespaces().Get(t.Context(), held.Namespace, metav1.GetOptions{})
		if errors.IsNotFound(err) {
			return nil
		}
		return fmt.Errorf("it is there (%w)", err)
	})
	harness.Until(t, time.Minute, "an end of both problems", func() error {
		s, _ := c.Status(t)
		if slices.ContainsFunc(s.Problems, func(p cluster.Problem) bool { return p.Kind == finalizer.want.Kind || p.Kind == rollout.want.Kind }) {
			return fmt.Errorf("status reports %s", problemLines(s.Problems))
		}
		return nil
	})
}

// doAsAdvised runs what the first piece of advice of the only problem of a kind says.
func doAsAdvised(t *testing.T, c *harness.Cluster, kind string) {
	t.Helper()
	s, _ := c.Status(t)
	i := slices.IndexFunc(s.Problems, func(p cluster.Problem) bool { return p.Kind == kind })
	if i < 0 {
		t.Fatalf("no %s any more: %s", kind, problemLines(s.Problems))
	}
	for _, command := range s.Problems[i].Advice[0].Commands {
		if r := c.Run(t, command.Argv()[1:]...); r.Code != 0 {
			t.Errorf("%s: %s", command, r)
		}
	}
}

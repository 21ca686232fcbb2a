package controlplane_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	admissionv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"

	"bonsai/bootstrap/cluster"
	"bonsai/controlplane"
)

// TestAWebhookThatNobodyAnswersDoesNotKeepTheClusterFromStarting has a webhook for everything, which fails closed and
// whose Service is gone: what an uninstalled policy engine leaves.
func TestAWebhookThatNobodyAnswersDoesNotKeepTheClusterFromStarting(t *testing.T) {
	dir := t.TempDir()
	start := func(nodes int) *controlplane.ControlPlane {
		return startWithAddons(t, dir, func(s *cluster.Spec) {
			for len(s.Nodes) < nodes {
				s.Nodes = append(s.Nodes, s.PlanNode(len(s.Nodes)+1))
			}
		}, nil)
	}
	cp := start(2)
	all, path := admissionv1.AllScopes, "/"
	hook := &admissionv1.ValidatingWebhookConfiguration{ObjectMeta: metav1.ObjectMeta{Name: "policy"}, Webhooks: []admissionv1.ValidatingWebhook{{
		Name: "all.policy.test", FailurePolicy: new(admissionv1.Fail), SideEffects: new(admissionv1.SideEffectClassNone), TimeoutSeconds: new(int32(2)),
		AdmissionReviewVersions: []string{"v1"},
		ClientConfig:            admissionv1.WebhookClientConfig{Service: &admissionv1.ServiceReference{Namespace: "policy", Name: "policy", Path: &path}},
		Rules: []admissionv1.RuleWithOperations{{
			Operations: []admissionv1.OperationType{admissionv1.Create, admissionv1.Update},
			Rule:       admissionv1.Rule{APIGroups: []string{"*"}, APIVersions: []string{"*"}, Resources: []string{"*"}, Scope: &all},
		}},
	}}}
	if _, err := cp.Client().AdmissionregistrationV1().ValidatingWebhookConfigurations().Create(t.Context(), hook, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	// Something that the next start has to write.
	if err := cp.Client().RbacV1().ClusterRoles().Delete(t.Context(), "bonsai:agent", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	cp.Stop()

	cp = start(3)
	defer cp.Stop()
	if _, err := cp.Client().RbacV1().ClusterRoles().Get(t.Context(), "bonsai:agent", metav1.GetOptions{}); err != nil {
		t.Error(err)
	}
	if _, err := cp.Client().CoreV1().Nodes().Get(t.Context(), "test-3", metav1.GetOptions{}); err != nil {
		t.Error(err)
	}
	// The webhook is as closed to users as before.
	config := rest.CopyConfig(cp.LoopbackConfig())
	config.Impersonate = rest.ImpersonationConfig{UserName: "jane", Groups: []string{"system:masters"}}
	jane, err := kubernetes.NewForConfig(config)
	if err != nil {
		t.Fatal(err)
	}
	eventually(t, "jane's write being refused", func() error {
		_, err := jane.CoreV1().ConfigMaps("default").Create(context.WithoutCancel(t.Context()), &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{GenerateName: "x-"}}, metav1.CreateOptions{})
		if err == nil {
			return errors.New("it was let through")
		}
		if !strings.Contains(err.Error(), "all.policy.test") {
			return fmt.Errorf("refused by something else: %w", err)
		}
		return nil
	})
	if err := jane.AdmissionregistrationV1().ValidatingWebhookConfigurations().Delete(t.Context(), "policy", metav1.DeleteOptions{}); err != nil {
		t.Errorf("the webhook cannot be removed: %v", err)
	}
}

package diagnose

import (
	"testing"
	"time"

	admissionv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"bonsai/bootstrap/cluster"
)

func TestWebhooksThatNobodyAnswers(t *testing.T) {
	const object = "validatingwebhookconfiguration/policy"
	hook := func(age time.Duration, policy *admissionv1.FailurePolicyType, at *admissionv1.ServiceReference) *admissionv1.ValidatingWebhookConfiguration {
		return &admissionv1.ValidatingWebhookConfiguration{
			ObjectMeta: metav1.ObjectMeta{Name: "policy", CreationTimestamp: ago(age)},
			Webhooks:   []admissionv1.ValidatingWebhook{{Name: "all.policy.test", FailurePolicy: policy, ClientConfig: admissionv1.WebhookClientConfig{Service: at}}},
		}
	}
	at := &admissionv1.ServiceReference{Namespace: "shop", Name: "policy"}
	service := func(selector map[string]string) *corev1.Service {
		return &corev1.Service{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "policy"}, Spec: corev1.ServiceSpec{Selector: selector}}
	}
	engine := func(ready corev1.ConditionStatus, since time.Duration) *corev1.Pod {
		return pod("engine", func(p *corev1.Pod) {
			p.OwnerReferences, p.Labels = nil, map[string]string{"app": "policy"}
			p.Status.Conditions = append(p.Status.Conditions, corev1.PodCondition{Type: corev1.PodReady, Status: ready, LastTransitionTime: ago(since)})
		})
	}
	missing := want{cluster.ProblemWebhook, object, "webhook all.policy.test refuses whatever it covers, because nobody answers it",
		"its Service shop/policy does not exist", "delete validatingwebhookconfiguration policy"}
	silent := missing
	silent.cause = "no pod of its Service shop/policy is ready"
	selector := map[string]string{"app": "policy"}
	for name, test := range map[string]struct {
		hook     *admissionv1.ValidatingWebhookConfiguration
		services []*corev1.Service
		pods     []*corev1.Pod
		wants    []want
	}{
		"its Service is gone":                {hook: hook(time.Hour, new(admissionv1.Fail), at), wants: []want{missing}},
		"Fail is the default":                {hook: hook(time.Hour, nil, at), wants: []want{missing}},
		"it fails open":                      {hook: hook(time.Hour, new(admissionv1.Ignore), at)},
		"it was installed just now":          {hook: hook(time.Second, nil, at)},
		"it is not in the cluster":           {hook: hook(time.Hour, nil, nil)},
		"its Service has no pods":            {hook: hook(time.Hour, nil, at), services: []*corev1.Service{service(selector)}, wants: []want{silent}},
		"its Service names endpoints itself": {hook: hook(time.Hour, nil, at), services: []*corev1.Service{service(nil)}},
		"its pod is ready": {
			hook: hook(time.Hour, nil, at), services: []*corev1.Service{service(selector)}, pods: []*corev1.Pod{engine(corev1.ConditionTrue, time.Minute)},
		},
		"its pod has not been ready for a moment": {
			hook: hook(time.Hour, nil, at), services: []*corev1.Service{service(selector)}, pods: []*corev1.Pod{engine(corev1.ConditionFalse, time.Second)},
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := world()
			s.Validating, s.Pods = []*admissionv1.ValidatingWebhookConfiguration{test.hook}, test.pods
			s.Services = append(s.Services, test.services...)
			check(t, s, test.wants...)
		})
	}
	s := world()
	s.Mutating = []*admissionv1.MutatingWebhookConfiguration{{
		ObjectMeta: metav1.ObjectMeta{Name: "policy", CreationTimestamp: ago(time.Hour)},
		Webhooks:   []admissionv1.MutatingWebhook{{Name: "all.policy.test", ClientConfig: admissionv1.WebhookClientConfig{Service: at}}},
	}}
	missing.object, missing.hint = "mutatingwebhookconfiguration/policy", "delete mutatingwebhookconfiguration policy"
	check(t, s, missing)
}

// TestWebhooksThatDoNotAnswerThoughTheyCould: what the API server says in Events decides about those whose pods are ready, and
// about those outside of the cluster.
func TestWebhooksThatDoNotAnswerThoughTheyCould(t *testing.T) {
	configuration := func(client admissionv1.WebhookClientConfig) []*admissionv1.ValidatingWebhookConfiguration {
		return []*admissionv1.ValidatingWebhookConfiguration{{
			ObjectMeta: metav1.ObjectMeta{Name: "policy", CreationTimestamp: ago(time.Hour)},
			Webhooks:   []admissionv1.ValidatingWebhook{{Name: "all.policy.test", ClientConfig: client}},
		}}
	}
	refused := func(since time.Duration) *corev1.Event {
		e := eventAbout("ReplicaSet", "rs", "FailedCreate", `Error creating: Internal error occurred: failed calling webhook "all.policy.test": failed to call webhook: Post "https://policy.shop.svc:443/": context deadline exceeded`, since)
		e.LastTimestamp = ago(since)
		return e
	}
	at := admissionv1.WebhookClientConfig{Service: &admissionv1.ServiceReference{Namespace: "shop", Name: "policy"}}
	url := "https://policy.example.com/"
	ready := func(s *State) {
		s.Services = append(s.Services, &corev1.Service{
			ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "policy"},
			Spec:       corev1.ServiceSpec{Selector: map[string]string{"app": "policy"}, Ports: []corev1.ServicePort{{Port: 443}}},
		})
		s.Pods = []*corev1.Pod{pod("engine", func(p *corev1.Pod) {
			p.Labels = map[string]string{"app": "policy"}
			p.Status.Conditions = append(p.Status.Conditions, corev1.PodCondition{Type: corev1.PodReady, Status: corev1.ConditionTrue})
		})}
	}
	w := want{cluster.ProblemWebhook, "validatingwebhookconfiguration/policy", "webhook all.policy.test refuses whatever it covers, because nobody answers it",
		"the API server cannot call it: Post", "delete validatingwebhookconfiguration policy"}
	s := world()
	s.Validating = configuration(at)
	ready(&s)
	check(t, s)
	s.Events = []*corev1.Event{refused(time.Minute)}
	check(t, s, w)
	s.Events = []*corev1.Event{refused(time.Hour)}
	check(t, s)
	s.Validating, s.Events = configuration(admissionv1.WebhookClientConfig{URL: &url}), []*corev1.Event{refused(time.Minute)}
	check(t, s, w)
	at.Service.Port = new(int32(8443))
	s.Validating, s.Events = configuration(at), nil
	w.cause = "its Service shop/policy has no port 8443"
	check(t, s, w)
}

package diagnose

import (
	"time"

	admissionv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"

	"bonsai/bootstrap/cluster"
)

// webhookGrace is how long a webhook may have nobody who answers: it is just being installed, or comes up with the
// cluster.
const webhookGrace = 20 * time.Second

// webhooks looks for those that fail closed and that nobody answers: they refuse everything that they cover.
func (d *diagnosis) webhooks() {
	for _, c := range d.Validating {
		for _, w := range c.Webhooks {
			d.webhook("validatingwebhookconfiguration", &c.ObjectMeta, w.Name, w.FailurePolicy, w.ClientConfig.Service)
		}
	}
	for _, c := range d.Mutating {
		for _, w := range c.Webhooks {
			d.webhook("mutatingwebhookconfiguration", &c.ObjectMeta, w.Name, w.FailurePolicy, w.ClientConfig.Service)
		}
	}
}

// webhook looks at one. Those at a URL outside of the cluster, and Services that name their endpoints themselves, cannot be
// judged from here.
func (d *diagnosis) webhook(kind string, m *metav1.ObjectMeta, name string, policy *admissionv1.FailurePolicyType, at *admissionv1.ServiceReference) {
	if at == nil || policy != nil && *policy != admissionv1.Fail {
		return
	}
	where, cause := at.Namespace+"/"+at.Name, ""
	since := m.CreationTimestamp.Time
	if since.Before(d.Begun) {
		since = d.Begun
	}
	service := d.service(at.Namespace, at.Name)
	switch {
	case service == nil:
		cause = "its Service " + where + " does not exist"
	case len(service.Spec.Selector) == 0:
		return
	default:
		var changed time.Time
		var ready bool
		if ready, changed = d.anyReady(at.Namespace, labels.SelectorFromSet(service.Spec.Selector)); ready {
			return
		}
		if changed.After(since) {
			since = changed
		}
		cause = "no pod of its Service " + where + " is ready"
	}
	if !d.over(since, webhookGrace) {
		return
	}
	d.blamed[where] = true
	d.add(finding{of: owner{kind: kind, name: m.Name}, key: name, Problem: cluster.Problem{
		Kind: cluster.ProblemWebhook, Severity: cluster.SeverityError, Since: since,
		Summary: "webhook " + name + " refuses whatever it covers, because nobody answers it", Cause: cause + "; its failurePolicy is Fail",
		Advice: advise("get its pods running, or remove it if its owner was uninstalled", cluster.Kubectl("delete", kind).On(m.Name).Change()),
	}})
}

func (d *diagnosis) service(namespace, name string) *corev1.Service {
	for _, s := range d.Services {
		if s.Namespace == namespace && s.Name == name {
			return s
		}
	}
	return nil
}

// anyReady says whether one of the selected pods is ready, and when the last of them changed that.
func (d *diagnosis) anyReady(namespace string, selector labels.Selector) (ready bool, changed time.Time) {
	for _, p := range d.Pods {
		if p.Namespace != namespace || p.DeletionTimestamp != nil || !selector.Matches(labels.Set(p.Labels)) {
			continue
		}
		for _, c := range p.Status.Conditions {
			if c.Type != corev1.PodReady {
				continue
			}
			if c.Status == corev1.ConditionTrue {
				return true, time.Time{}
			}
			if c.LastTransitionTime.After(changed) {
				changed = c.LastTransitionTime.Time
			}
		}
	}
	return false, changed
}

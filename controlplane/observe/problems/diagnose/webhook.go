package diagnose

import (
	"slices"
	"strconv"
	"strings"
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

// unansweredFor is how long after a call that failed a webhook is taken to fail: controllers try again at longer and
// longer intervals.
const unansweredFor = 3 * time.Minute

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

// webhook looks at one. Those at a URL outside of the cluster, and Services that name their endpoints themselves, are judged
// by what the API server says of them in Events.
func (d *diagnosis) webhook(kind string, m *metav1.ObjectMeta, name string, policy *admissionv1.FailurePolicyType, at *admissionv1.ServiceReference) {
	if policy != nil && *policy != admissionv1.Fail {
		return
	}
	since := d.sinceBegun(m.CreationTimestamp.Time)
	cause, changed := "", time.Time{}
	if at != nil {
		cause, changed = d.webhookServer(at)
	}
	if changed.After(since) {
		since = changed
	}
	var evidence []string
	if cause == "" {
		// Its pods may be ready and yet not answer, or it is at a URL: the API server says so where it matters.
		e, message := d.refusedBy(name)
		if e == nil {
			return
		}
		cause, since, evidence = "the API server cannot call it: "+oneLine(message), d.sinceBegun(firstSeen(e)), []string{oneLine(e.Message)}
	}
	if !d.over(since, webhookGrace) {
		return
	}
	if at != nil {
		d.blamed[at.Namespace+"/"+at.Name] = true
	}
	d.add(finding{of: owner{kind: kind, name: m.Name}, key: name, Problem: cluster.Problem{
		Kind: cluster.ProblemWebhook, Severity: cluster.SeverityError, Since: since,
		Summary: "webhook " + name + " refuses whatever it covers, because nobody answers it", Cause: cause + "; its failurePolicy is Fail", Evidence: evidence,
		Advice: advise("get its pods running, or remove it if its owner was uninstalled", cluster.Kubectl("delete", kind).On(m.Name).Change()),
	}})
}

// webhookServer says why nobody can answer at a Service, and since when its pods are not ready; nothing if somebody could.
func (d *diagnosis) webhookServer(at *admissionv1.ServiceReference) (cause string, since time.Time) {
	where := at.Namespace + "/" + at.Name
	service := d.service(at.Namespace, at.Name)
	switch {
	case service == nil:
		return "its Service " + where + " does not exist", since
	case len(service.Spec.Selector) == 0:
		return "", since
	}
	ready, since := d.anyReady(at.Namespace, labels.SelectorFromSet(service.Spec.Selector))
	if !ready {
		return "no pod of its Service " + where + " is ready", since
	}
	port := int32(443)
	if at.Port != nil {
		port = *at.Port
	}
	if len(service.Spec.Ports) > 0 && !slices.ContainsFunc(service.Spec.Ports, func(p corev1.ServicePort) bool { return p.Port == port }) {
		return "its Service " + where + " has no port " + strconv.Itoa(int(port)), since
	}
	return "", since
}

// refusedBy returns the newest Event of the last minutes about something that the API server did not do, because it could
// not call a webhook, and why it could not.
func (d *diagnosis) refusedBy(webhook string) (newest *corev1.Event, cause string) {
	for _, e := range d.Events {
		if !strings.Contains(e.Message, "failed calling webhook") || d.Now.Sub(lastSeen(e)) > unansweredFor || lastSeen(e).Before(d.Begun) {
			continue
		}
		if m := webhookFailed.FindStringSubmatch(e.Message); m != nil && m[1] == webhook && (newest == nil || lastSeen(e).After(lastSeen(newest))) {
			newest, cause = e, m[2]
		}
	}
	if newest != nil {
		d.until(lastSeen(newest).Add(unansweredFor + time.Second))
	}
	return newest, cause
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

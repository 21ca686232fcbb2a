package diagnose

import (
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"bonsai/bootstrap/cluster"
)

// missing is a ConfigMap or Secret that does not exist, or lacks a key.
type missing struct {
	secret bool
	name   string
	key    string // empty if the object itself is missing
}

func (m missing) kind() string {
	if m.secret {
		return "Secret"
	}
	return "ConfigMap"
}

// config looks for a container that cannot be configured (kubelet's kuberuntime_container.go, kubelet_pods.go).
func (d *diagnosis) config(c container) bool {
	w := c.status.State.Waiting
	if w == nil || w.Reason != "CreateContainerConfigError" {
		return false
	}
	since := scheduledAt(c.pod)
	if !d.over(since, configGrace) {
		return true
	}
	if m, ok := missingIn(w.Message); ok {
		d.addMissing(c.pod, c.spec.Name, m, "its environment")
		return true
	}
	p := cluster.Problem{
		Kind: cluster.ProblemStart, Severity: cluster.SeverityError, Since: since, Container: c.spec.Name,
		Summary: c.word() + " cannot be configured", Cause: oneLine(w.Message),
		Advice: describe(c.pod),
	}
	// kubelet's security_context_others.go
	if strings.Contains(w.Message, "runAsNonRoot") {
		p.Summary = c.word() + " must not run as root, but its image does"
		p.Advice = advise("set securityContext.runAsUser to a number above 0, or use an image with a user")
	}
	d.add(finding{Problem: p, of: d.ownerOf(c.pod), pod: c.pod, key: c.spec.Name})
	return true
}

// missingIn parses kubelet's messages about references: `configmap "x" not found`, `secrets "x" not found`, "couldn't
// find key K in ConfigMap NS/NAME".
func missingIn(message string) (missing, bool) {
	if rest, ok := after(message, "couldn't find key "); ok {
		key, object, _ := strings.Cut(rest, " in ")
		kind, name, _ := strings.Cut(object, " ")
		if i := strings.LastIndexByte(name, '/'); i >= 0 {
			name = name[i+1:]
		}
		if name = strings.TrimSpace(name); name != "" {
			return missing{secret: kind == "Secret", name: name, key: key}, true
		}
	}
	for _, kind := range []string{"configmap", "configmaps", "secret", "secrets"} {
		if name := between(message, kind+` "`, `" not found`); name != "" {
			return missing{secret: strings.HasPrefix(kind, "secret"), name: name}, true
		}
	}
	return missing{}, false
}

// addMissing adds a missing reference, with a similar name or key.
func (d *diagnosis) addMissing(p *corev1.Pod, container string, m missing, forWhat string) {
	plural := strings.ToLower(m.kind()) + "s"
	f := finding{of: d.ownerOf(p), pod: p, key: m.kind() + "/" + m.name + "/" + m.key, Problem: cluster.Problem{
		Kind: cluster.ProblemConfig, Severity: cluster.SeverityError, Since: scheduledAt(p), Container: container,
		Summary: m.kind() + " " + m.name + " does not exist",
		Cause:   "the pod needs it for " + forWhat,
		Advice:  advise("create it; see those that exist", cluster.Kubectl("get", plural).In(p.Namespace)),
	}}
	q := Question{Topic: NamesConfigMap, Namespace: p.Namespace}
	if m.secret {
		q.Topic = NamesSecret
	}
	wrong := m.name
	if m.key != "" {
		f.Summary = m.kind() + " " + m.name + " has no key " + m.key
		f.Advice = advise("see its keys", cluster.Kubectl("describe", strings.TrimSuffix(plural, "s")).On(m.name).In(p.Namespace))
		q = Question{Topic: KeysOfConfigMap, Namespace: p.Namespace, Name: m.name}
		if m.secret {
			q.Topic = KeysOfSecret
		}
		wrong = m.key
	}
	if a, ok := d.ask(q); ok {
		if slices.Contains(a.Lines, wrong) {
			return // it has been created; the kubelet will see that at its next attempt
		}
		f.Summary += meant(wrong, a.Lines)
	}
	d.add(f)
}

// describe is the advice to look at all that is known of a pod.
func describe(p *corev1.Pod) []cluster.Advice {
	return advise("", cluster.Kubectl("describe", "pod").On(p.Name).In(p.Namespace))
}

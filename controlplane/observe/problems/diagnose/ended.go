package diagnose

import (
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"

	"bonsai/bootstrap/cluster"
)

// endedWindow is how long an ended pod counts: the kubelet measures storage every ten seconds, and a pod takes its time to
// exceed a limit again. Two of them in this time are not chance.
const endedWindow = 10 * time.Minute

// countEnded records a pod that the kubelet has ended or refused, and that a controller replaces. Once is an incident, and
// the new pod may do better; but a Deployment whose pods are evicted one after the other looks healthy in between.
func (d *diagnosis) countEnded(p *corev1.Pod) {
	if p.Status.Reason == "" || d.ownerOf(p).kind == "pod" {
		return
	}
	if at := endedAt(p); at.Before(d.Begun) || d.over(at, endedWindow) {
		return
	}
	d.ended = append(d.ended, p)
}

// endedAt is when a failed pod came to its end.
func endedAt(p *corev1.Pod) time.Time {
	at := p.CreationTimestamp.Time
	for _, c := range p.Status.Conditions {
		if c.LastTransitionTime.After(at) {
			at = c.LastTransitionTime.Time
		}
	}
	return at
}

// endedAgain reports owners of several such pods.
func (d *diagnosis) endedAgain() {
	type cause struct {
		of     owner
		reason string
	}
	pods := map[cause][]*corev1.Pod{}
	for _, p := range d.ended {
		c := cause{d.ownerOf(p), p.Status.Reason}
		pods[c] = append(pods[c], p)
	}
	for c, all := range pods {
		if len(all) < 2 {
			continue
		}
		// The newest says what is true now.
		slices.SortFunc(all, func(a, b *corev1.Pod) int { return endedAt(b).Compare(endedAt(a)) })
		for _, p := range all {
			d.add(finding{of: c.of, pod: p, key: "ended/" + c.reason, Problem: cluster.Problem{
				Kind: cluster.ProblemFailed, Severity: cluster.SeverityError, Since: endedAt(p),
				Summary: "its pods are ended by their node again and again: " + c.reason, Cause: oneLine(all[0].Status.Message),
				Advice: endedAdvice(all[0]),
			}})
		}
	}
}

// endedAdvice is what helps a pod that the kubelet ends, by what the kubelet says (pkg/kubelet/eviction).
func endedAdvice(p *corev1.Pod) []cluster.Advice {
	switch text := p.Status.Message; {
	case strings.HasPrefix(text, "Usage of EmptyDir volume"):
		return advise("raise the volume's sizeLimit, or write less into it")
	case strings.Contains(text, "ephemeral local storage") || strings.Contains(text, "local ephemeral storage"):
		return advise("raise the limit of ephemeral-storage, or write less to the container's own files, logs and emptyDir volumes")
	case strings.Contains(text, "low on resource: memory"):
		return advise("give the node more memory, or its pods limits", cluster.Bonsai("top", "pods").With("-A"))
	}
	return describe(p)
}

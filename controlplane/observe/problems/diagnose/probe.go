package diagnose

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"bonsai/bootstrap/cluster"
)

// probeGrace is added to the limits of a probe: the kubelet starts at a random moment of the period.
const probeGrace = 3 * time.Second

// probe looks for a container that runs and does not become ready.
func (d *diagnosis) probe(c container) bool {
	r, p := c.status.State.Running, c.spec.ReadinessProbe
	if r == nil || c.status.Ready || p == nil || c.first() {
		return false
	}
	if c.status.Started != nil && !*c.status.Started {
		return false // its startup probe decides; if that fails, it is killed
	}
	event := d.probeEvent(c, "Readiness probe ")
	if event != nil && lastSeen(event).Before(r.StartedAt.Time) {
		event = nil
	}
	since := r.StartedAt.Time
	if ready := podCondition(c.pod, corev1.ContainersReady); ready != nil && ready.LastTransitionTime.After(since) {
		since = ready.LastTransitionTime.Time
	}
	// Before the first answers, nothing is wrong; if it has been ready before, the kubelet has waited already.
	first := r.StartedAt.Add(time.Duration(p.InitialDelaySeconds) * time.Second)
	patience := time.Duration(max(p.FailureThreshold, 1)*max(p.PeriodSeconds, 1))*time.Second + probeGrace
	if !d.over(first, patience) {
		return false
	}
	f := finding{of: d.ownerOf(c.pod), pod: c.pod, key: "readiness/" + c.spec.Name, Problem: cluster.Problem{
		Kind: cluster.ProblemProbe, Severity: cluster.SeverityWarning, Container: c.spec.Name, Since: since,
		Summary: c.word() + " is running but not ready",
		Cause:   "its readiness probe (" + probeWords(p) + ") fails",
		Advice:  probeAdvice(c, p),
	}}
	if event != nil {
		f.Cause = "its readiness probe (" + probeWords(p) + "): " + probeAnswer(p, event.Message)
		f.Evidence = []string{oneLine(event.Message)}
	}
	d.add(f)
	return true
}

// probeEvent returns the newest Event of one kind of probe (kubelet's prober.go: "Readiness probe failed: …").
func (d *diagnosis) probeEvent(c container, kind string) *corev1.Event {
	return d.eventOf(c.pod.UID, func(e *corev1.Event) bool {
		return e.Reason == "Unhealthy" && c.isIn(e) && strings.HasPrefix(e.Message, kind)
	})
}

// killedByProbe looks for a container that the kubelet killed because a probe failed. The Event that says so may be older
// than the container's last life: the kubelet writes no more than 25 of them about a pod at once and then one every five
// minutes (client-go's EventCorrelator), which back-offs use up, and Events are deleted after an hour.
func (d *diagnosis) killedByProbe(c container, e ending, f *finding) bool {
	switch e.ExitCode {
	case 137, 143, 0, 1, 2:
	default:
		return false
	}
	for _, kind := range []struct {
		word  string
		probe *corev1.Probe
	}{{"liveness", c.spec.LivenessProbe}, {"startup", c.spec.StartupProbe}} {
		if kind.probe == nil {
			continue
		}
		event := d.probeEvent(c, strings.ToUpper(kind.word[:1])+kind.word[1:]+" probe ")
		id := Probed{c.pod.UID, c.spec.Name, kind.word}
		message := d.Noted[id]
		if event != nil {
			message = event.Message
		}
		if message != "" {
			d.noted[id] = message
		}
		could, exactly := couldKill(c, e, kind.probe)
		if !d.failedInLife(c, e, kind.probe, event) && !(could && (message != "" || exactly)) {
			continue
		}
		f.Kind, f.key = cluster.ProblemProbe, kind.word+"/"+c.spec.Name
		f.Summary = c.word() + " is restarted because its " + kind.word + " probe fails"
		f.Cause = probeWords(kind.probe) + ": " + probeAnswer(kind.probe, message)
		f.Evidence = []string{oneLine(message)}
		f.Advice = probeAdvice(c, kind.probe)
		if message == "" {
			f.Summary = c.word() + " is killed (exit code " + strconv.Itoa(int(e.ExitCode)) + "), probably because its " + kind.word + " probe fails"
			f.Cause = probeWords(kind.probe) + ": its last life ended when the probe could have ended it"
			f.Evidence = nil
		}
		if kind.word == "startup" || kind.probe.InitialDelaySeconds < 5 && c.spec.StartupProbe == nil {
			f.Advice = append(f.Advice, cluster.Advise("if it only needs longer to start, add a startupProbe that waits"))
		}
		return true
	}
	return false
}

// failedInLife reports whether an Event says that a probe failed in a container's last life, and that the container was
// not dead before the probe could see it.
func (d *diagnosis) failedInLife(c container, e ending, p *corev1.Probe, event *corev1.Event) bool {
	if event == nil {
		return false
	}
	at := lastSeen(event)
	if at.Before(e.StartedAt.Add(-time.Second)) || e.FinishedAt.Sub(at) > killGrace(c, p)+10*time.Second {
		return false
	}
	return e.ExitCode == 137 || e.ExitCode == 143 || event.Count >= max(p.FailureThreshold, 1)
}

// couldKill reports whether a container was killed when the kubelet does that for a probe: after as many failures as that
// allows, and its grace period if it did not exit on its own; exactly means that the probe then failed from the beginning,
// again and again. Of the other kills, the kernel's for memory have a reason of their own.
func couldKill(c container, e ending, p *corev1.Probe) (could, exactly bool) {
	if e.ExitCode != 137 && e.ExitCode != 143 {
		return false, false
	}
	seconds := func(n int32) time.Duration { return time.Duration(max(n, 1)) * time.Second }
	fails := time.Duration(max(p.FailureThreshold, 1))
	least := time.Duration(p.InitialDelaySeconds)*time.Second + (fails-1)*seconds(p.PeriodSeconds)
	most := least + seconds(p.PeriodSeconds) + fails*seconds(p.TimeoutSeconds) + killGrace(c, p) + 10*time.Second
	if e.ExitCode == 137 {
		least += killGrace(c, p)
	}
	life := e.FinishedAt.Sub(e.StartedAt.Time)
	could = life >= least-time.Second
	return could, could && life <= most && c.status.RestartCount >= 3
}

// killGrace is how long the kubelet waits between asking a container to stop, because of a probe, and killing it.
func killGrace(c container, p *corev1.Probe) time.Duration {
	for _, s := range []*int64{p.TerminationGracePeriodSeconds, c.pod.Spec.TerminationGracePeriodSeconds} {
		if s != nil {
			return time.Duration(*s) * time.Second
		}
	}
	return 30 * time.Second
}

// probeWords is the request of a probe: "GET /healthz on port 8080".
func probeWords(p *corev1.Probe) string {
	switch {
	case p.HTTPGet != nil:
		path := p.HTTPGet.Path
		if !strings.HasPrefix(path, "/") {
			path = "/" + path
		}
		return "GET " + path + " on port " + p.HTTPGet.Port.String()
	case p.TCPSocket != nil:
		return "connect to port " + p.TCPSocket.Port.String()
	case p.GRPC != nil:
		return "gRPC health on port " + strconv.Itoa(int(p.GRPC.Port))
	case p.Exec != nil:
		return "command " + clip(strings.Join(p.Exec.Command, " "), 60)
	}
	return "of an unknown kind"
}

var statusCode = regexp.MustCompile(`HTTP probe failed with statuscode: (\d+)`)

// probeAnswer is the result of a probe, in plain words. The messages are those of k8s.io/kubernetes/pkg/probe.
func probeAnswer(p *corev1.Probe, message string) string {
	text, ok := after(message, " probe failed: ", " probe errored and resulted in unknown state: ", " probe errored: ")
	if !ok {
		text = message
	}
	text = strings.TrimSpace(text)
	port := probePort(p)
	if m := statusCode.FindStringSubmatch(text); m != nil {
		return "it answers " + m[1]
	}
	switch {
	case strings.Contains(text, "connection refused"):
		return "nothing listens on port " + port
	case containsAny(text, "context deadline exceeded", "i/o timeout", "Client.Timeout exceeded", "timed out", "timeout:"):
		return fmt.Sprintf("timed out after %ds", max(p.TimeoutSeconds, 1))
	case strings.Contains(text, "connection reset"):
		return "the connection to port " + port + " is cut off"
	case strings.Contains(text, "server gave HTTP response to HTTPS client"):
		return "port " + port + " speaks http, but the probe uses https"
	case strings.Contains(text, "malformed HTTP response"):
		return "port " + port + " does not speak http"
	case containsAny(text, "executable file not found", "no such file or directory") && p.Exec != nil:
		return "the command does not exist in the image"
	case text == "" && p.Exec != nil:
		return "the command fails and prints nothing"
	case p.Exec != nil:
		return "the command fails: " + oneLine(text)
	}
	return oneLine(text)
}

func probePort(p *corev1.Probe) string {
	switch {
	case p.HTTPGet != nil:
		return p.HTTPGet.Port.String()
	case p.TCPSocket != nil:
		return p.TCPSocket.Port.String()
	case p.GRPC != nil:
		return strconv.Itoa(int(p.GRPC.Port))
	}
	return "?"
}

// probeAdvice says what to look at; a probe of a port that the container does not name is the usual mistake.
func probeAdvice(c container, p *corev1.Probe) []cluster.Advice {
	log := cluster.Advise("see its log", logOf(c))
	var port intstr.IntOrString
	switch {
	case p.HTTPGet != nil:
		port = p.HTTPGet.Port
	case p.TCPSocket != nil:
		port = p.TCPSocket.Port
	default:
		return []cluster.Advice{log}
	}
	var own []string
	for _, cp := range c.spec.Ports {
		if cp.Name == port.StrVal && port.Type == intstr.String || cp.ContainerPort == port.IntVal && port.Type == intstr.Int {
			return []cluster.Advice{log}
		}
		own = append(own, strconv.Itoa(int(cp.ContainerPort)))
	}
	if len(own) == 0 {
		return []cluster.Advice{log}
	}
	return append(advise("the probe uses port "+port.String()+", but the container declares that it listens on "+listed(own)), log)
}

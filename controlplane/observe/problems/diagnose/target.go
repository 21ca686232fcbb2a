package diagnose

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"bonsai/bootstrap/cluster"
)

const (
	// maxListening is how many pods are asked for their ports, over all Services: each costs a request to a node. A pod that
	// listens is asked once for each start of its containers.
	maxListening = 60
	// maxPodsAsked is how many pods of one Service are asked, one after the other, until one listens.
	maxPodsAsked = 3
)

// targetPorts looks at the ports to which a Service with ready pods leads.
func (d *diagnosis) targetPorts(s *corev1.Service, pods []*corev1.Pod) {
	pods = slices.DeleteFunc(slices.Clone(pods), func(p *corev1.Pod) bool { return !d.isReady(p) })
	for i, port := range s.Spec.Ports {
		if port.TargetPort.Type == intstr.String && !slices.ContainsFunc(pods, func(p *corev1.Pod) bool { return portNumber(p, port) > 0 }) {
			d.noSuchPort(s, i, pods)
			continue
		}
		d.listens(s, i, pods)
	}
}

// portNumber is the port of a pod to which a Service's port leads; 0 if the pod has none of that name. Like upstream's
// FindPort (pkg/api/v1/pod), it looks at sidecars, too.
func portNumber(p *corev1.Pod, port corev1.ServicePort) int32 {
	if port.TargetPort.Type == intstr.Int {
		return cmp.Or(port.TargetPort.IntVal, port.Port)
	}
	for _, c := range lasting(p) {
		for _, cp := range c.Ports {
			if cp.Name == port.TargetPort.StrVal && cmp.Or(cp.Protocol, corev1.ProtocolTCP) == cmp.Or(port.Protocol, corev1.ProtocolTCP) {
				return cp.ContainerPort
			}
		}
	}
	return 0
}

// lasting are the containers that run as long as the pod: its own, and init containers that are sidecars.
func lasting(p *corev1.Pod) (list []*corev1.Container) {
	for i := range p.Spec.Containers {
		list = append(list, &p.Spec.Containers[i])
	}
	for i := range p.Spec.InitContainers {
		if r := p.Spec.InitContainers[i].RestartPolicy; r != nil && *r == corev1.ContainerRestartPolicyAlways {
			list = append(list, &p.Spec.InitContainers[i])
		}
	}
	return list
}

// noSuchPort reports a target port whose name no pod has.
func (d *diagnosis) noSuchPort(s *corev1.Service, i int, pods []*corev1.Pod) {
	if len(pods) == 0 || !d.over(s.CreationTimestamp.Time, serviceGrace) {
		return
	}
	name := s.Spec.Ports[i].TargetPort.StrVal
	f := serviceFinding(cluster.ProblemTarget, portKey(s.Spec.Ports[i]), s)
	var names, words []string
	var numbers []int32
	for _, p := range pods {
		for _, c := range lasting(p) {
			for _, cp := range c.Ports {
				if cmp.Or(cp.Protocol, corev1.ProtocolTCP) != cmp.Or(s.Spec.Ports[i].Protocol, corev1.ProtocolTCP) || slices.Contains(numbers, cp.ContainerPort) {
					continue
				}
				numbers = append(numbers, cp.ContainerPort)
				word := strconv.Itoa(int(cp.ContainerPort))
				if cp.Name != "" {
					names = append(names, cp.Name)
					word = cp.Name + " (" + word + ")"
				}
				words = append(words, word)
			}
		}
	}
	slices.Sort(words)
	f.Summary = portWords(s.Spec.Ports[i]) + " leads to " + name + ", which no pod has" + meant(name, names)
	f.Cause = "no container of " + podsWords(pods) + " declares a port of that name; declared: " + listed(words)
	if len(words) == 0 {
		f.Cause = "no container of " + podsWords(pods) + " declares a port; without a name, a target port needs no declaration"
		// What it listens on can only be seen from inside.
		if a, ok := d.askPorts(pods[0], 0, s.Spec.Ports[i].Protocol); ok {
			numbers = reachable(a.Ports, s.Spec.Ports[i].Protocol)
			if len(numbers) > 0 {
				f.Cause = "no container of " + podsWords(pods) + " declares a port; it listens on " + numbersWords(numbers)
			}
		}
	}
	f.Advice = advise("change it by hand", editService(s))
	if len(numbers) == 1 {
		f.Advice = slices.Concat(advise("if that is meant, lead to the port that they have", retarget(s, i, numbers[0])), f.Advice)
	}
	d.add(f)
}

// listens reports a port of a Service to which pods lead on which nothing in them listens.
func (d *diagnosis) listens(s *corev1.Service, i int, pods []*corev1.Pod) {
	port := s.Spec.Ports[i]
	if port.Protocol == corev1.ProtocolSCTP {
		return // its sockets are in no table
	}
	var silent []*corev1.Pod
	var first []cluster.Listening
	var target int32
	for _, p := range pods {
		n := portNumber(p, port)
		if n == 0 || n > 65535 {
			continue
		}
		if !visible(p) || probed(p, n, port.Protocol) {
			return
		}
		if !d.over(newestStart(p), serviceGrace) || !d.over(s.CreationTimestamp.Time, serviceGrace) {
			return
		}
		a, ok := d.askPorts(p, n, port.Protocol)
		if !ok || a.Found {
			return
		}
		if len(silent) == 0 {
			first, target = a.Ports, n
		}
		if silent = append(silent, p); len(silent) == maxPodsAsked {
			break
		}
	}
	if len(silent) == 0 {
		return
	}
	f := serviceFinding(cluster.ProblemTarget, portKey(port), s)
	if start := newestStart(silent[0]); start.After(f.Since) {
		f.Since = start
	}
	f.Summary = portWords(port) + " leads to " + strconv.Itoa(int(target)) + ", where nothing listens"
	numbers := reachable(first, port.Protocol)
	who := "pod " + silent[0].Name
	inside := slices.ContainsFunc(first, func(l cluster.Listening) bool {
		return l.Inside && int32(l.Port) == target && l.Protocol == string(cmp.Or(port.Protocol, corev1.ProtocolTCP))
	})
	switch {
	case inside:
		f.Cause = who + " listens on it at 127.0.0.1 only, which no other pod can reach"
		f.Advice = advise("make the program listen at all addresses (0.0.0.0)", cluster.Kubectl("logs").On(silent[0].Name).In(s.Namespace))
	case len(numbers) > 0:
		f.Cause = who + " listens on " + numbersWords(numbers)
		f.Advice = advise("change it by hand", editService(s))
		if len(numbers) == 1 {
			f.Advice = slices.Concat(advise("if that is meant, lead to the port that it listens on", retarget(s, i, numbers[0])), f.Advice)
		}
	default:
		f.Cause = who + " listens on no port at all"
		f.Advice = advise("see whether its program has started to serve", cluster.Kubectl("logs").On(silent[0].Name).In(s.Namespace))
	}
	d.add(f)
}

// askPorts asks a pod's node whether something in it listens on a port. With port 0 it asks for all ports.
func (d *diagnosis) askPorts(p *corev1.Pod, port int32, protocol corev1.Protocol) (Answer, bool) {
	q := Question{
		Topic: Listening, Namespace: p.Namespace, Name: p.Name, ID: string(p.UID), Node: p.Spec.NodeName,
		Port: port, Protocol: string(cmp.Or(protocol, corev1.ProtocolTCP)), Start: newestStart(p).Unix(),
	}
	if d.listening >= maxListening {
		return Answer{}, false
	}
	d.listening++
	return d.ask(q)
}

// newestStart is when the newest container of a pod was started.
func newestStart(p *corev1.Pod) (t time.Time) {
	for _, c := range containers(p) {
		if r := c.status.State.Running; r != nil && r.StartedAt.After(t) {
			t = r.StartedAt.Time
		}
	}
	return t
}

// visible reports whether what a pod listens on can be seen in its node's kernel: not in a sandbox with a kernel of its
// own, and not if it may redirect connections to other ports.
func visible(p *corev1.Pod) bool {
	if p.Spec.RuntimeClassName != nil {
		return false
	}
	for _, c := range slices.Concat(p.Spec.InitContainers, p.Spec.Containers) {
		switch s := c.SecurityContext; {
		case s == nil:
		case s.Privileged != nil && *s.Privileged:
			return false
		case s.Capabilities != nil && slices.ContainsFunc(s.Capabilities.Add, func(c corev1.Capability) bool { return c == "NET_ADMIN" || c == "ALL" }):
			return false
		}
	}
	return true
}

// probed reports whether a readiness probe, which a ready pod has passed, connects to the port.
func probed(p *corev1.Pod, port int32, protocol corev1.Protocol) bool {
	if cmp.Or(protocol, corev1.ProtocolTCP) != corev1.ProtocolTCP {
		return false
	}
	for _, c := range lasting(p) {
		if c.ReadinessProbe == nil {
			continue
		}
		var at intstr.IntOrString
		switch r := c.ReadinessProbe; {
		case r.HTTPGet != nil && r.HTTPGet.Host == "":
			at = r.HTTPGet.Port
		case r.TCPSocket != nil && r.TCPSocket.Host == "":
			at = r.TCPSocket.Port
		case r.GRPC != nil:
			at = intstr.FromInt32(r.GRPC.Port)
		default:
			continue
		}
		if portNumber(p, corev1.ServicePort{TargetPort: at}) == port {
			return true
		}
	}
	return false
}

// reachable are the ports of a protocol to which other pods can connect.
func reachable(ports []cluster.Listening, protocol corev1.Protocol) (list []int32) {
	for _, l := range ports {
		if !l.Inside && l.Protocol == string(cmp.Or(protocol, corev1.ProtocolTCP)) {
			list = append(list, int32(l.Port))
		}
	}
	return list
}

// retarget lets a port of a Service lead to another port of its pods.
func retarget(s *corev1.Service, i int, to int32) cluster.Command {
	patch := fmt.Sprintf(`[{"op":"replace","path":"/spec/ports/%d/targetPort","value":%d}]`, i, to)
	return cluster.Kubectl("patch", "service").On(s.Name).In(s.Namespace).With("--type=json", "-p", patch).Change()
}

func portKey(p corev1.ServicePort) string {
	return string(p.Protocol) + "/" + strconv.Itoa(int(p.Port))
}

func portWords(p corev1.ServicePort) string {
	text := "port " + strconv.Itoa(int(p.Port))
	if p.Protocol == corev1.ProtocolUDP {
		text += " (UDP)"
	}
	return text
}

func podsWords(pods []*corev1.Pod) string {
	if len(pods) == 1 {
		return "pod " + pods[0].Name
	}
	return "its " + count(len(pods), "pod")
}

func numbersWords(numbers []int32) string {
	var words []string
	for _, n := range numbers {
		words = append(words, strconv.Itoa(int(n)))
	}
	return listed(words)
}

package diagnose

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"bonsai/bootstrap/cluster"
)

// portInUse looks for a container that exited because a port was in use.
func (d *diagnosis) portInUse(c container, lines []string, f *finding) bool {
	port, found := 0, false
	for _, l := range slices.Backward(lines) {
		if port, found = portOf(l); found {
			f.Cause = clip(strings.TrimSpace(structured(l)), maxLine)
			break
		}
	}
	if !found {
		return false
	}
	what := "a port"
	if port > 0 {
		what = "port " + strconv.Itoa(port)
	}
	f.Kind, f.key = cluster.ProblemPort, what
	if c.pod.Spec.HostNetwork {
		f.Summary = what + " is taken on node " + c.pod.Spec.NodeName
		f.Advice = advise("the pod uses its node's network: stop what has the port, or use another one")
		if other := d.holderOf(c.pod.Spec.NodeName, int32(port), c.pod); other != "" {
			f.Cause = "pod " + other + " has it: " + f.Cause
		} else if own := nodePorts[port]; own != "" {
			f.Cause = own + " of the node has it: " + f.Cause
		}
		return true
	}
	f.Summary = what + " is taken inside the pod"
	f.Advice = advise("the containers of a pod share their ports: make one of them listen elsewhere")
	if others := len(c.pod.Spec.Containers); others == 1 {
		f.Advice = advise("the container listens on it twice, or starts a second process that does")
	}
	return true
}

// nodePorts are the ports of the node's own components.
var nodePorts = map[int]string{
	cluster.KubeletPort: "the kubelet", 10248: "the kubelet", 10249: "kube-proxy", 10256: "kube-proxy",
	cluster.AgentPort: "the agent", cluster.DNSPort: "cluster DNS", cluster.DNSMetricsPort: "cluster DNS",
}

// holderOf returns another pod that has a port of a node.
func (d *diagnosis) holderOf(node string, port int32, not *corev1.Pod) string {
	if port == 0 {
		return ""
	}
	for _, p := range d.Pods {
		if p.Spec.NodeName != node || p.UID == not.UID || ended(p) {
			continue
		}
		for _, c := range slices.Concat(p.Spec.InitContainers, p.Spec.Containers) {
			for _, cp := range c.Ports {
				if cp.HostPort == port || p.Spec.HostNetwork && cp.ContainerPort == port {
					return podName(p)
				}
			}
		}
	}
	return ""
}

// hostPorts are those that a pod requests on its node.
func hostPorts(p *corev1.Pod) (ports []int32) {
	for _, c := range slices.Concat(p.Spec.InitContainers, p.Spec.Containers) {
		for _, cp := range c.Ports {
			if cp.HostPort > 0 && !slices.Contains(ports, cp.HostPort) {
				ports = append(ports, cp.HostPort)
			}
		}
	}
	return ports
}

// portsTaken adds a pod whose ports are not free on any node.
func (d *diagnosis) portsTaken(p *corev1.Pod, f finding) {
	f.Kind, f.key = cluster.ProblemPort, "host"
	var held, ports []string
	for _, port := range hostPorts(p) {
		by := ""
		for _, n := range d.Nodes {
			if other := d.holderOf(n.Name, port, p); other != "" {
				by = fmt.Sprintf("%s has %d on %s", other, port, n.Name)
				held = append(held, by)
			}
		}
		if by != "" {
			ports = append(ports, strconv.Itoa(int(port)))
		}
	}
	f.Summary = "the host port that the pod requests is not free on any node"
	if len(ports) > 0 {
		f.Summary = "host port " + listed(ports) + " is taken on every node that could take the pod"
	}
	f.Cause = "pods with a host port cannot share a node"
	if len(held) > 0 {
		f.Cause = listed(held)
	}
	f.Advice = advise("use a Service instead of hostPort, run fewer of the pod, or add a node", d.oneNodeMore())
	d.add(f)
}

// ended reports whether a pod has released its resources on the node.
func ended(p *corev1.Pod) bool {
	return p.Status.Phase == corev1.PodSucceeded || p.Status.Phase == corev1.PodFailed
}

// portIn finds the port in a message that it is in use.
var portIn = []*regexp.Regexp{
	regexp.MustCompile(`(?i)[:\s](\d{1,5})\)?:? (?:bind: )?address (?:is )?already in use`),
	regexp.MustCompile(`(?i)address already in use:? \S*?:(\d{1,5})\b`),
	regexp.MustCompile(`(?i)port (\d{1,5}) (?:is )?(?:already )?(?:in use|was already in use|taken)`),
	regexp.MustCompile(`bind\(\) to \S*?:(\d{1,5}) failed \(98`), // nginx
	regexp.MustCompile(`(?i)\b(\d{1,5})\b.*address already in use`),
	regexp.MustCompile(`(?i)address already in use.*\b(\d{2,5})\b`),
}

// portOf returns the port that a line complains about; 0 if it names none, false if it does not complain.
func portOf(line string) (port int, ok bool) {
	for _, r := range portIn {
		if m := r.FindStringSubmatch(line); m != nil {
			if n, err := strconv.Atoi(m[1]); err == nil && n > 0 && n < 1<<16 {
				return n, true
			}
		}
	}
	return 0, containsAny(strings.ToLower(line), "address already in use", "address in use", "eaddrinuse")
}

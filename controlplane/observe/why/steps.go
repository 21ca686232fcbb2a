package why

import (
	"cmp"
	"context"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"bonsai/bootstrap/cluster"
)

// sourceStep looks at the pod that asks.
func (w *walk) sourceStep(context.Context) bool {
	p := w.source
	describe := cluster.Kubectl("describe", "pod").On(p.Name).In(p.Namespace)
	n, ok := w.node(p.Spec.NodeName)
	switch {
	case p.Status.Phase != corev1.PodRunning || !w.out.From.Address.IsValid():
		return w.failed(cluster.WhySource, fmt.Sprintf("pod %s does not run: it is %s", nameOf(p), cmp.Or(string(p.Status.Phase), "unknown")), nil, cluster.Advise("see why", describe))
	case !ok:
		return w.failed(cluster.WhySource, fmt.Sprintf("node %s, on which pod %s is, does not run", p.Spec.NodeName, nameOf(p)), nil, cluster.Advise("", cluster.Bonsai("node", "list")))
	}
	w.sourceNode = n
	return w.ok(cluster.WhySource, "pod %s (%s) on node %s", nameOf(p), w.out.From.Address, n.Name)
}

// nameStep asks DNS for what has a name.
func (w *walk) nameStep(ctx context.Context) bool {
	if w.to.name == "" || w.to.missing != "" {
		return true
	}
	name := strings.TrimSuffix(w.to.name, ".")
	if w.Lookup() == nil {
		if w.to.service != nil && w.serviceAddress() {
			return w.skipped(cluster.WhyName, "cluster DNS is disabled")
		}
		return w.failed(cluster.WhyName, "cluster DNS is disabled, so nobody is asked for "+name, nil,
			cluster.Advise("", cluster.Bonsai("addons", "enable").On(cluster.DNSAddon).Change()))
	}
	if !w.mayAskDNS(ctx) {
		return false
	}
	answer, err := w.Lookup()(ctx, cluster.DNSQuestion{Name: w.to.name, Pod: nameOf(w.source), Plain: w.to.exact})
	if err != nil {
		return w.failed(cluster.WhyName, "cluster DNS does not answer", []string{err.Error()}, cluster.Advise("see how the servers are", cluster.Bonsai("dns", "status")))
	}
	var reasons []string
	for _, s := range answer.Steps {
		for _, record := range s.Answers {
			if fields := strings.Fields(record); len(fields) == 5 && fields[3] == "A" {
				if a, err := netip.ParseAddr(fields[4]); err == nil && !w.to.address.IsValid() {
					w.to.address, name = a, strings.TrimSuffix(fields[0], ".")
				}
			}
		}
		if s.Rule != "" && !slices.Contains(reasons, s.Rule) {
			reasons = append(reasons, s.Rule)
		}
	}
	if !w.to.address.IsValid() {
		query := cluster.Bonsai("dns", "query").On(w.to.name).With("--from", nameOf(w.source), "--trace")
		if s := w.to.service; s != nil { // without pods a headless Service has no addresses
			saw, more, advice := w.nobody(ctx, s, nil)
			return w.failed(cluster.WhyName, "cluster DNS has no address for "+name, append([]string{"Service " + s.Namespace + "/" + s.Name + ": " + saw}, more...), advice...)
		}
		return w.failed(cluster.WhyName, "cluster DNS has no address for "+name, reasons, cluster.Advise("see each step", query))
	}
	return w.ok(cluster.WhyName, "%s has the address %s", name, w.to.address)
}

// mayAskDNS asks the rules of the node whether the pod may ask cluster DNS.
func (w *walk) mayAskDNS(ctx context.Context) bool {
	if w.source.Spec.HostNetwork || w.source.Spec.DNSPolicy == corev1.DNSNone {
		return true
	}
	server := w.DNSServer
	if w.source.Spec.DNSPolicy == corev1.DNSDefault {
		server = cluster.NodeResolver
	}
	answer, err := w.Agents.JudgePolicies(ctx, w.sourceNode, cluster.PolicyQuestion{Source: w.out.From.Address, Dest: netip.AddrPortFrom(server, 53), Proto: "UDP"})
	if err != nil || answer.Egress == nil || answer.Egress.Allowed {
		return true // the steps of policies say what is wrong with the agent
	}
	return w.failed(cluster.WhyName, denies(answer.Egress.Policies)+" let the pod ask cluster DNS", allowances(answer.Egress.Policies), w.edit(answer.Egress.Policies)...)
}

// serviceAddress takes the address of the Service itself; false if it has none.
func (w *walk) serviceAddress() bool {
	a, err := netip.ParseAddr(w.to.service.Spec.ClusterIP)
	if err == nil {
		w.to.address = a
	}
	return err == nil
}

// serviceStep finds what has the address.
func (w *walk) serviceStep(ctx context.Context) bool {
	if w.to.missing != "" {
		var more []string
		if len(w.to.near) > 0 {
			more = []string{"the namespace has the Services " + listed(w.to.near)}
		}
		return w.failed(cluster.WhyService, w.to.missing, more)
	}
	if p := w.to.pod; p != nil {
		a, err := netip.ParseAddr(p.Status.PodIP)
		if err != nil {
			return w.failed(cluster.WhyService, fmt.Sprintf("pod %s has no address: it is %s", nameOf(p), p.Status.Phase), nil,
				cluster.Advise("see why", cluster.Kubectl("describe", "pod").On(p.Name).In(p.Namespace)))
		}
		w.to.address = a
		return w.ok(cluster.WhyService, "%s is that of pod %s", a, nameOf(p))
	}
	if w.to.address.IsLoopback() {
		w.to.pod, w.to.service = w.source, nil
		return w.ok(cluster.WhyService, "%s is the pod itself", w.to.address)
	}
	list, err := w.Client.CoreV1().Services("").List(ctx, metav1.ListOptions{})
	if err != nil {
		return w.failed(cluster.WhyService, "the Services cannot be read", []string{err.Error()})
	}
	a := w.to.address
	for i := range list.Items {
		if s := &list.Items[i]; hasAddress(s, a) {
			w.to.service = s
			return w.ok(cluster.WhyService, "%s is that of Service %s/%s", a, s.Namespace, s.Name)
		}
	}
	pods, err := w.Client.CoreV1().Pods("").List(ctx, metav1.ListOptions{})
	if err != nil {
		return w.failed(cluster.WhyService, "the pods cannot be read", []string{err.Error()})
	}
	for i := range pods.Items {
		p := &pods.Items[i]
		if p.Status.PodIP == a.String() && !p.Spec.HostNetwork && p.Status.Phase == corev1.PodRunning {
			w.to.pod = p
			return w.ok(cluster.WhyService, "%s is that of pod %s", a, nameOf(p))
		}
	}
	if n, ok := w.nodeAt(a); ok {
		for i := range list.Items {
			for j := range list.Items[i].Spec.Ports {
				if p := &list.Items[i].Spec.Ports[j]; p.NodePort > 0 && strconv.Itoa(int(p.NodePort)) == w.q.Port {
					w.to.service, w.to.named = &list.Items[i], p
					return w.ok(cluster.WhyService, "port %d of node %s is that of Service %s/%s", p.NodePort, n.Name, list.Items[i].Namespace, list.Items[i].Name)
				}
			}
		}
		return w.ok(cluster.WhyService, "%s is that of node %s", a, n.Name)
	}
	if w.ours(a) {
		return w.failed(cluster.WhyService, fmt.Sprintf("%s is an address of the cluster that nothing has", a), nil,
			cluster.Advise("see which addresses Services and pods have", cluster.Kubectl("get", "services,pods").With("-A", "-o", "wide")))
	}
	return w.ok(cluster.WhyService, "%s is outside of the cluster", a)
}

// ours reports whether an address is one that only pods can have.
func (w *walk) ours(a netip.Addr) bool {
	return slices.ContainsFunc(w.Nodes(), func(n cluster.Node) bool { return n.PodCIDR.Contains(a) })
}

func hasAddress(s *corev1.Service, a netip.Addr) bool {
	all := append([]string{s.Spec.ClusterIP}, s.Spec.ExternalIPs...)
	for _, i := range s.Status.LoadBalancer.Ingress {
		all = append(all, i.IP)
	}
	return slices.Contains(all, a.String())
}

// portStep finds the port, and where it leads to.
func (w *walk) portStep(context.Context) bool {
	number, err := strconv.ParseUint(w.q.Port, 10, 16)
	isNumber := err == nil && number > 0
	s := w.to.service
	switch {
	case w.to.named != nil: // of a node
		w.to.port = uint16(w.to.named.NodePort)
	case s != nil && s.Spec.ClusterIP != corev1.ClusterIPNone && s.Spec.Type != corev1.ServiceTypeExternalName:
		port, have := choosePort(s, w.q.Port, corev1.Protocol(w.out.Proto))
		if port == nil && w.q.Port == "" && len(have) > 1 {
			return w.failed(cluster.WhyPort, fmt.Sprintf("Service %s/%s has several ports: %s", s.Namespace, s.Name, listed(have)), nil, cluster.Advise("say which one"))
		}
		if port == nil {
			return w.failed(cluster.WhyPort, fmt.Sprintf("Service %s/%s has no port %s", s.Namespace, s.Name, strings.TrimSpace(w.q.Port+" "+w.out.Proto)),
				[]string{"it has " + cmp.Or(listed(have), "none")}, cluster.Advise("change it by hand", cluster.Kubectl("edit", "service").On(s.Name).In(s.Namespace).Change()))
		}
		w.to.named, w.to.port = port, uint16(port.Port)
	case isNumber:
		w.to.port = uint16(number)
		return true
	default:
		if port := w.declared(); port > 0 {
			w.to.port = port
			return w.ok(cluster.WhyPort, "port %d, which the pod declares", port)
		}
		if w.q.Port == "" {
			return w.failed(cluster.WhyPort, "it is not known which port is meant", nil, cluster.Advise("say which one"))
		}
		return w.failed(cluster.WhyPort, fmt.Sprintf("there is no port %s", w.q.Port), nil)
	}
	return w.ok(cluster.WhyPort, "port %d leads to port %s of its pods", w.to.port, targetWords(w.to.named))
}

func targetWords(p *corev1.ServicePort) string {
	if text := p.TargetPort.String(); text != "0" && text != "" {
		return text
	}
	return strconv.Itoa(int(p.Port))
}

// declared is the port of the pod that is meant: the one of that name, or the only one.
func (w *walk) declared() (port uint16) {
	if w.to.pod == nil {
		return 0
	}
	found := 0
	for _, c := range w.to.pod.Spec.Containers {
		for _, p := range c.Ports {
			if cmp.Or(p.Protocol, corev1.ProtocolTCP) == corev1.Protocol(w.out.Proto) && (w.q.Port == "" || p.Name == w.q.Port) {
				port = uint16(p.ContainerPort)
				found++
			}
		}
	}
	if found != 1 {
		return 0
	}
	return port
}

// choosePort finds a port by number or name, or the only one, and puts all into words.
func choosePort(s *corev1.Service, want string, protocol corev1.Protocol) (port *corev1.ServicePort, have []string) {
	var fit []*corev1.ServicePort
	for i := range s.Spec.Ports {
		p := &s.Spec.Ports[i]
		text := fmt.Sprintf("%d/%s", p.Port, cmp.Or(p.Protocol, corev1.ProtocolTCP))
		if p.Name != "" {
			text += " (" + p.Name + ")"
		}
		have = append(have, text)
		if cmp.Or(p.Protocol, corev1.ProtocolTCP) != protocol {
			continue
		}
		if want != "" && (want == p.Name || want == strconv.Itoa(int(p.Port))) {
			return p, have
		}
		fit = append(fit, p)
	}
	if want == "" && len(fit) == 1 {
		return fit[0], have
	}
	return nil, have
}

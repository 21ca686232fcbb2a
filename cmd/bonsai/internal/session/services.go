package session

import (
	"cmp"
	"context"
	"net"
	"slices"
	"strconv"
	"strings"
	"sync"

	"golang.org/x/sync/errgroup"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"

	"bonsai/bootstrap/cluster"
	"bonsai/bootstrap/kube"
	"bonsai/bootstrap/wait"
)

// shownNodes is how many nodes' addresses are shown for a NodePort; each node has it.
const shownNodes = 3

// Services sends where each Service is reachable, again after each change.
func (s *Session) Services(ctx context.Context, f func([]kube.ServiceLine) error) error {
	m := &serviceModel{dirty: make(chan struct{}, 1)}
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { // beside the rest, since an engine may be slow or silent
		m.setHostReaches(s.hostReachesNodes(ctx))
		return nil
	})
	g.Go(func() error {
		return s.follow(ctx, source{path: "/api/v1/services"}, &objectSink[corev1.Service]{changed: m.setServices})
	})
	g.Go(func() error {
		return s.follow(ctx, source{path: "/apis/discovery.k8s.io/v1/endpointslices"}, &objectSink[discoveryv1.EndpointSlice]{changed: m.setSlices})
	})
	g.Go(func() error {
		return s.follow(ctx, source{path: "/api/v1/nodes"}, &objectSink[nodeAddresses]{changed: m.setNodes})
	})
	g.Go(func() error {
		var last []kube.ServiceLine
		for first := true; ; {
			select {
			case <-ctx.Done():
				return context.Cause(ctx)
			case <-m.dirty:
			}
			lines, ok := m.lines()
			// Nodes report every few seconds, which changes nothing here.
			if !ok || !first && slices.EqualFunc(lines, last, equalLines) {
				continue
			}
			if err := f(lines); err != nil {
				return err
			}
			first, last = false, lines
			if err := wait.Pause(ctx, flushInterval); err != nil {
				return err
			}
		}
	})
	return g.Wait()
}

func equalLines(a, b kube.ServiceLine) bool {
	return a.UID == b.UID && a.Namespace == b.Namespace && a.Name == b.Name && a.Kind == b.Kind && a.ClusterIP == b.ClusterIP &&
		a.Ready == b.Ready && a.Total == b.Total && slices.Equal(a.Ports, b.Ports) && slices.Equal(a.Reachable, b.Reachable)
}

// serviceModel joins the results of three watches.
type serviceModel struct {
	dirty chan struct{} // has one element while something is new

	mu          sync.Mutex // guards what follows
	hostReaches bool       // this machine reaches the nodes' addresses; false until known
	services    []corev1.Service
	endpoints   map[string]endpointCount // by "namespace/service"
	nodes       []string                 // addresses
	known       [3]bool                  // which of the three before are complete
}

// endpointCount counts the endpoints of a Service.
type endpointCount struct{ ready, total int }

// nodeAddresses is corev1.Node with the fields that matter here.
type nodeAddresses struct {
	Status struct {
		Addresses []corev1.NodeAddress `json:"addresses"`
	} `json:"status"`
}

func (m *serviceModel) set(which int, change func()) error {
	m.mu.Lock()
	change()
	m.known[which] = true
	m.mu.Unlock()
	m.wake()
	return nil
}

func (m *serviceModel) wake() {
	select {
	case m.dirty <- struct{}{}:
	default:
	}
}

func (m *serviceModel) setHostReaches(reaches bool) {
	m.mu.Lock()
	m.hostReaches = reaches
	m.mu.Unlock()
	m.wake()
}

func (m *serviceModel) setServices(objects map[string]corev1.Service) error {
	list := make([]corev1.Service, 0, len(objects))
	for _, o := range objects {
		list = append(list, o)
	}
	slices.SortFunc(list, func(a, b corev1.Service) int {
		return cmp.Or(cmp.Compare(a.Namespace, b.Namespace), cmp.Compare(a.Name, b.Name))
	})
	return m.set(0, func() { m.services = list })
}

func (m *serviceModel) setSlices(objects map[string]discoveryv1.EndpointSlice) error {
	counts := map[string]endpointCount{}
	for _, o := range objects {
		key := o.Namespace + "/" + o.Labels[discoveryv1.LabelServiceName]
		c := counts[key]
		for _, e := range o.Endpoints {
			c.total++
			if e.Conditions.Ready == nil || *e.Conditions.Ready { // nil is ready, says the API
				c.ready++
			}
		}
		counts[key] = c
	}
	return m.set(1, func() { m.endpoints = counts })
}

func (m *serviceModel) setNodes(objects map[string]nodeAddresses) error {
	var list []string
	for _, o := range objects {
		for _, a := range o.Status.Addresses {
			if a.Type == corev1.NodeInternalIP {
				list = append(list, a.Address)
				break
			}
		}
	}
	slices.Sort(list)
	return m.set(2, func() { m.nodes = list })
}

// lines are all Services, once everything about them is known.
func (m *serviceModel) lines() ([]kube.ServiceLine, bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.known != [3]bool{true, true, true} {
		return nil, false
	}
	lines := make([]kube.ServiceLine, len(m.services))
	for i := range m.services {
		o := &m.services[i]
		count := m.endpoints[o.Namespace+"/"+o.Name]
		lines[i] = kube.ServiceLine{
			UID: string(o.UID), Namespace: o.Namespace, Name: o.Name, Kind: string(o.Spec.Type), ClusterIP: o.Spec.ClusterIP,
			Ready: count.ready, Total: count.total, Created: o.CreationTimestamp.Time, Ports: servicePorts(o), Reachable: m.reachable(o),
		}
	}
	return lines, true
}

func servicePorts(o *corev1.Service) []kube.ServicePort {
	var ports []kube.ServicePort
	for _, p := range o.Spec.Ports {
		port := kube.ServicePort{Name: p.Name, Port: int(p.Port), Protocol: string(p.Protocol)}
		if p.AppProtocol != nil {
			port.AppProtocol = *p.AppProtocol
		}
		if target := p.TargetPort.String(); target != "0" && target != strconv.Itoa(port.Port) {
			port.Target = target
		}
		ports = append(ports, port)
	}
	return ports
}

// reachable are the addresses of a Service.
func (m *serviceModel) reachable(o *corev1.Service) []kube.Address {
	if o.Spec.Type == corev1.ServiceTypeExternalName {
		return []kube.Address{{Address: dnsName(o), From: kube.ReachPods, Alias: o.Spec.ExternalName}}
	}
	nodes := kube.ReachNodes
	if m.hostReaches {
		nodes = kube.ReachHost
	}
	var all []kube.Address
	add := func(host string, port int32, from kube.Reach) {
		all = append(all, kube.Address{Address: net.JoinHostPort(host, strconv.Itoa(int(port))), From: from})
	}
	for _, p := range o.Spec.Ports {
		add(dnsName(o), p.Port, kube.ReachPods)
		if o.Spec.ClusterIP != corev1.ClusterIPNone && o.Spec.ClusterIP != "" {
			add(o.Spec.ClusterIP, p.Port, kube.ReachPods)
		}
		for _, ip := range o.Spec.ExternalIPs {
			add(ip, p.Port, kube.ReachOutside)
		}
		for _, in := range o.Status.LoadBalancer.Ingress {
			add(cmp.Or(in.IP, in.Hostname), p.Port, kube.ReachOutside)
		}
		if p.NodePort != 0 {
			for _, ip := range m.nodes[:min(len(m.nodes), shownNodes)] {
				add(ip, p.NodePort, nodes)
			}
		}
	}
	return all
}

func dnsName(o *corev1.Service) string {
	return strings.Join([]string{o.Name, o.Namespace, "svc", cluster.ClusterDomain}, ".")
}

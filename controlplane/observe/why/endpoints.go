package why

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/util/intstr"

	"bonsai/bootstrap/cluster"
	"bonsai/bootstrap/nearmiss"
)

// endpointsStep finds what is behind the address.
func (w *walk) endpointsStep(ctx context.Context) bool {
	w.out.Address = netip.AddrPortFrom(w.to.address, w.to.port)
	s := w.to.service
	if s == nil || w.to.named == nil { // a pod, or something that is none
		e := endpoint{at: w.out.Address, pod: w.to.pod}
		if e.pod == nil && s != nil {
			e.pod = w.podAt(ctx, s.Namespace, w.to.address)
		}
		if e.pod != nil {
			e.node, _ = w.node(e.pod.Spec.NodeName)
		}
		w.endpoints = []endpoint{e}
		return true
	}
	list, err := w.Client.DiscoveryV1().EndpointSlices(s.Namespace).List(ctx, metav1.ListOptions{
		LabelSelector: labels.Set{discoveryv1.LabelServiceName: s.Name}.String(),
	})
	if err != nil {
		return w.failed(cluster.WhyEndpoints, "the endpoints of the Service cannot be read", []string{err.Error()})
	}
	elsewhere := 0
	for _, slice := range list.Items {
		port := portOf(slice, w.to.named)
		for _, e := range slice.Endpoints {
			if e.Conditions.Ready != nil && !*e.Conditions.Ready || port == 0 || len(e.Addresses) == 0 || len(w.endpoints) == maxEndpoints {
				continue
			}
			a, err := netip.ParseAddr(e.Addresses[0])
			if err != nil {
				continue
			}
			node := ""
			if e.NodeName != nil {
				node = *e.NodeName
			}
			if p := s.Spec.InternalTrafficPolicy; p != nil && *p == corev1.ServiceInternalTrafficPolicyLocal && node != w.sourceNode.Name {
				elsewhere++
				continue
			}
			one := endpoint{at: netip.AddrPortFrom(a, port)}
			one.node, _ = w.node(node)
			if e.TargetRef != nil && e.TargetRef.Kind == "Pod" {
				if p, err := w.Client.CoreV1().Pods(s.Namespace).Get(ctx, e.TargetRef.Name, metav1.GetOptions{}); err == nil {
					one.pod = p
				}
			}
			w.endpoints = append(w.endpoints, one)
		}
	}
	switch {
	case len(w.endpoints) > 0:
		return w.ok(cluster.WhyEndpoints, "%s ready: %s", are(len(w.endpoints)), listed(names(w.endpoints)))
	case elsewhere > 0:
		return w.failed(cluster.WhyEndpoints, fmt.Sprintf("none of its pods is on node %s", w.sourceNode.Name),
			[]string{"its internalTrafficPolicy is Local, so that pods of other nodes are not used"}, edit(s))
	}
	saw, more, advice := w.nobody(ctx, s, w.to.named)
	return w.failed(cluster.WhyEndpoints, saw, more, advice...)
}

// maxEndpoints is how many are looked at.
const maxEndpoints = 8

func are(n int) string {
	if n == 1 {
		return "1 pod is"
	}
	return fmt.Sprintf("%d pods are", n)
}

func names(list []endpoint) (names []string) {
	for _, e := range list {
		if e.pod != nil {
			names = append(names, e.pod.Name)
		} else {
			names = append(names, e.at.Addr().String())
		}
	}
	return names
}

// podAt finds a pod by its address; nil if there is none.
func (w *walk) podAt(ctx context.Context, namespace string, a netip.Addr) *corev1.Pod {
	list, err := w.Client.CoreV1().Pods(namespace).List(ctx, metav1.ListOptions{})
	if err != nil {
		return nil
	}
	i := slices.IndexFunc(list.Items, func(p corev1.Pod) bool { return p.Status.PodIP == a.String() && p.Status.Phase == corev1.PodRunning })
	if i < 0 {
		return nil
	}
	return &list.Items[i]
}

// portOf is the number of a Service's port in a slice; 0 if it has none, because pods do not declare the name to which it leads.
func portOf(s discoveryv1.EndpointSlice, port *corev1.ServicePort) uint16 {
	for _, p := range s.Ports {
		name := ""
		if p.Name != nil {
			name = *p.Name
		}
		if p.Port != nil && name == port.Name && (p.Protocol == nil || *p.Protocol == cmp.Or(port.Protocol, corev1.ProtocolTCP)) {
			return uint16(*p.Port)
		}
	}
	return 0
}

func edit(s *corev1.Service) cluster.Advice {
	return cluster.Advise("change it by hand", cluster.Kubectl("edit", "service").On(s.Name).In(s.Namespace).Change())
}

// nobody says why no pod of a Service is ready; port is the one that is meant, nil for none.
func (w *walk) nobody(ctx context.Context, s *corev1.Service, port *corev1.ServicePort) (saw string, more []string, advice []cluster.Advice) {
	if len(s.Spec.Selector) == 0 {
		return "it has no selector, and nobody has given it endpoints", nil, []cluster.Advice{edit(s)}
	}
	list, err := w.Client.CoreV1().Pods(s.Namespace).List(ctx, metav1.ListOptions{})
	if err != nil {
		return "its pods cannot be read", []string{err.Error()}, nil
	}
	var selected []*corev1.Pod
	for i := range list.Items {
		p := &list.Items[i]
		if p.Status.Phase != corev1.PodSucceeded && p.Status.Phase != corev1.PodFailed && labels.SelectorFromSet(s.Spec.Selector).Matches(labels.Set(p.Labels)) {
			selected = append(selected, p)
		}
	}
	if len(selected) == 0 {
		saw, more = noneSelected(s, list.Items)
		return saw, more, []cluster.Advice{
			cluster.Advise("see the labels that pods have", cluster.Kubectl("get", "pods").In(s.Namespace).With("--show-labels")), edit(s),
		}
	}
	if port != nil && port.TargetPort.Type == intstr.String && slices.ContainsFunc(selected, ready) {
		var have []string
		for _, p := range selected {
			for _, c := range p.Spec.Containers {
				for _, cp := range c.Ports {
					if text := strings.TrimSpace(fmt.Sprintf("%d %s", cp.ContainerPort, cp.Name)); !slices.Contains(have, text) {
						have = append(have, text)
					}
				}
			}
		}
		return fmt.Sprintf("it leads to the port named %s, and no pod declares one", port.TargetPort.StrVal), []string{"declared are: " + cmp.Or(listed(have), "none")}, []cluster.Advice{edit(s)}
	}
	for _, p := range selected {
		for _, c := range p.Status.Conditions {
			if c.Type == corev1.PodReady && c.Status != corev1.ConditionTrue {
				more = append(more, "pod "+p.Name+": "+cmp.Or(strings.Join(strings.Fields(c.Message), " "), c.Reason, "not ready"))
			}
		}
	}
	return fmt.Sprintf("none of its %d pods is ready", len(selected)), more[:min(len(more), 3)], []cluster.Advice{
		cluster.Advise("see what its pods wait for", cluster.Kubectl("describe", "pods").In(s.Namespace).With("-l", labels.Set(s.Spec.Selector).String())),
	}
}

// noneSelected says which label no pod has, and which one it may have been.
func noneSelected(s *corev1.Service, pods []corev1.Pod) (saw string, more []string) {
	saw = "it selects no pod: none has " + labels.Set(s.Spec.Selector).String()
	for _, key := range slices.Sorted(maps.Keys(s.Spec.Selector)) {
		var values []string
		for _, p := range pods {
			if v, ok := p.Labels[key]; ok && !slices.Contains(values, v) {
				values = append(values, v)
			}
		}
		if len(values) == 0 {
			continue
		}
		slices.Sort(values)
		if slices.Contains(values, s.Spec.Selector[key]) {
			continue
		}
		if near := nearmiss.Nearest(s.Spec.Selector[key], values); near != "" {
			saw += "; meant " + key + "=" + near + "?"
		}
		more = append(more, "pods there have "+key+"="+strings.Join(values[:min(len(values), 4)], ", "+key+"="))
	}
	if len(pods) == 0 {
		more = append(more, "namespace "+s.Namespace+" has no pods")
	}
	return saw, more
}

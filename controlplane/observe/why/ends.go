package why

import (
	"cmp"
	"context"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"

	"bonsai/bootstrap/cluster"
	"bonsai/bootstrap/fault"
	"bonsai/bootstrap/nearmiss"
	"bonsai/controlplane/observe/flows"
)

// kinds are the words for kinds of ends, as kubectl has them.
var kinds = map[string]string{
	"pod": "pod", "pods": "pod", "po": "pod", "svc": "service", "service": "service", "services": "service",
	"deploy": "deployment", "deployment": "deployment", "deployments": "deployment", "sts": "statefulset", "statefulset": "statefulset", "statefulsets": "statefulset",
	"ds": "daemonset", "daemonset": "daemonset", "daemonsets": "daemonset", "job": "job", "jobs": "job", "rs": "replicaset", "replicaset": "replicaset", "replicasets": "replicaset",
}

// end is one end as it was written. Without a kind it can be anything.
type end struct{ kind, namespace, name string }

func (e end) String() string { return e.namespace + "/" + e.name }

// parseEnd reads "NAME", "NAMESPACE/NAME", "KIND/NAME" or "NAMESPACE/KIND/NAME".
func parseEnd(text, namespace string) (e end, err error) {
	parts := strings.Split(text, "/")
	e.namespace, e.name = namespace, parts[len(parts)-1]
	switch {
	case slices.Contains(parts, "") || len(parts) > 3:
		err = fault.Newf(fault.Usage, "%q is not valid: use POD, NAMESPACE/POD or KIND/NAME", text)
	case len(parts) == 3:
		e.namespace, e.kind = parts[0], kinds[strings.ToLower(parts[1])]
		if e.kind == "" {
			err = fault.Newf(fault.Usage, "%q is not valid: %q is not a kind of pod, Service or workload", text, parts[1])
		}
	case len(parts) == 2:
		if e.kind = kinds[strings.ToLower(parts[0])]; e.kind == "" {
			e.namespace = parts[0]
		}
	}
	return e, err
}

// target is the other end. One of name, service, pod and address is known at first.
type target struct {
	// name is what is looked up, exact whether without the search path.
	name    string
	exact   bool
	service *corev1.Service
	pod     *corev1.Pod
	address netip.Addr
	// port is what is connected to, and named the Service's port of that number.
	port  uint16
	named *corev1.ServicePort
	// host is the one of an HTTP request.
	host string
	// missing says what does not exist, and what does.
	missing string
	near    []string
}

// ends finds both ends.
func (w *walk) ends(ctx context.Context) error {
	namespace := cmp.Or(w.q.Namespace, metav1.NamespaceDefault)
	from, err := parseEnd(w.q.From, namespace)
	if err != nil {
		return err
	}
	if w.source, err = w.findPod(ctx, from); err != nil {
		return err
	}
	w.out.From = cluster.FlowEnd{
		Kind: cluster.FlowPod, Namespace: w.source.Namespace, Name: w.source.Name, Workload: flows.Workload(w.source), Node: w.source.Spec.NodeName,
	}
	w.out.From.Address, _ = netip.ParseAddr(w.source.Status.PodIP)
	return w.findTarget(ctx)
}

// findTarget reads and finds the other end.
func (w *walk) findTarget(ctx context.Context) error {
	text := w.q.To
	if strings.Contains(text, "://") {
		u, err := url.Parse(text)
		if err != nil || u.Hostname() == "" {
			return fault.Newf(fault.Usage, "%q is not a URL", text)
		}
		switch u.Scheme {
		case "http":
			w.q.HTTP = cmp.Or(w.q.HTTP, u.RequestURI(), "/")
			w.q.Port = cmp.Or(w.q.Port, u.Port(), "80")
		case "https":
			w.q.Port = cmp.Or(w.q.Port, u.Port(), "443")
		default:
			w.q.Port = cmp.Or(w.q.Port, u.Port())
		}
		text = u.Hostname()
	}
	if at, err := netip.ParseAddrPort(text); err == nil {
		w.q.Port = cmp.Or(w.q.Port, strconv.Itoa(int(at.Port())))
		w.to.address = at.Addr().Unmap()
		return nil
	}
	if a, err := netip.ParseAddr(text); err == nil {
		w.to.address = a.Unmap()
		return nil
	}
	if name, port, ok := strings.Cut(text, ":"); ok && !strings.Contains(text, "/") {
		w.q.Port, text = cmp.Or(w.q.Port, port), name
	}
	if text == "" || strings.ContainsAny(text, " \t\r\n") {
		return fault.Newf(fault.Usage, "%q is not a name, an address or an object", w.q.To)
	}
	if !strings.Contains(text, "/") {
		w.to.name, w.to.host, w.to.exact = text, strings.TrimSuffix(text, "."), strings.HasSuffix(text, ".")
		return nil
	}
	e, err := parseEnd(text, cmp.Or(w.q.Namespace, w.source.Namespace))
	if err != nil {
		return err
	}
	if e.kind == "" || e.kind == "service" {
		s, err := w.Client.CoreV1().Services(e.namespace).Get(ctx, e.name, metav1.GetOptions{})
		if err == nil {
			w.to.service, w.to.host, w.to.exact = s, s.Name+"."+s.Namespace, true
			w.to.name = s.Name + "." + s.Namespace + ".svc." + cluster.ClusterDomain + "."
			return nil
		}
		if !apierrors.IsNotFound(err) {
			return fault.New(fault.ControlPlane, "read Service "+e.String(), err)
		}
		if e.kind == "service" {
			return w.noService(ctx, e, "Service "+e.String()+" does not exist")
		}
	}
	p, err := w.findPod(ctx, e)
	if fault.KindOf(err) == fault.ObjectNotFound && e.kind == "" {
		return w.noService(ctx, e, "there is neither a Service nor a pod "+e.String())
	}
	if err != nil {
		return err
	}
	w.to.pod = p
	return nil
}

// noService makes what does not exist the step at which the way ends.
func (w *walk) noService(ctx context.Context, e end, text string) error {
	w.to.missing = text
	list, err := w.Client.CoreV1().Services(e.namespace).List(ctx, metav1.ListOptions{})
	if err != nil {
		return fault.New(fault.ControlPlane, "list the Services of namespace "+e.namespace, err)
	}
	var names []string
	for _, s := range list.Items {
		names = append(names, s.Name)
	}
	if near := nearmiss.Nearest(e.name, names); near != "" {
		w.to.missing += "; meant " + near + "?"
	}
	w.to.near = names
	return nil
}

// findPod finds a pod: the one of that name, or the best one of a workload or Service.
func (w *walk) findPod(ctx context.Context, e end) (*corev1.Pod, error) {
	pods := w.Client.CoreV1().Pods(e.namespace)
	if e.kind == "" || e.kind == "pod" {
		p, err := pods.Get(ctx, e.name, metav1.GetOptions{})
		if err == nil {
			return p, nil
		}
		if !apierrors.IsNotFound(err) {
			return nil, fault.New(fault.ControlPlane, "read pod "+e.String(), err)
		}
	}
	selector := ""
	if e.kind == "service" {
		s, err := w.Client.CoreV1().Services(e.namespace).Get(ctx, e.name, metav1.GetOptions{})
		if err != nil {
			return nil, fault.New(fault.ObjectNotFound, "read Service "+e.String(), err)
		}
		if len(s.Spec.Selector) == 0 {
			return nil, fault.Newf(fault.ObjectNotFound, "Service %s selects no pods", e)
		}
		selector = labels.Set(s.Spec.Selector).String()
	}
	list, err := pods.List(ctx, metav1.ListOptions{LabelSelector: selector})
	if err != nil {
		return nil, fault.New(fault.ControlPlane, "list the pods of namespace "+e.namespace, err)
	}
	var best *corev1.Pod
	var names []string
	for i := range list.Items {
		p := &list.Items[i]
		names = append(names, p.Name)
		kind, name, _ := strings.Cut(flows.Workload(p), "/")
		if selector == "" && (name != e.name || e.kind != "" && kind != e.kind) {
			continue
		}
		if best == nil || quality(p) > quality(best) {
			best = p
		}
	}
	if best != nil {
		return best, nil
	}
	f := fault.Newf(fault.ObjectNotFound, "pod %s does not exist", e)
	if e.kind != "" && e.kind != "pod" {
		f = fault.Newf(fault.ObjectNotFound, "%s %s has no pods", e.kind, e)
	}
	if near := nearmiss.Nearest(e.name, names); near != "" {
		f = f.Advisef("did you mean %s?", e.namespace+"/"+near)
	}
	return nil, f.Advise("see the pods there", cluster.Kubectl("get", "pods").In(e.namespace).Of(w.Cluster))
}

// quality is how much can be seen from a pod.
func quality(p *corev1.Pod) int {
	switch {
	case p.DeletionTimestamp != nil || p.Status.Phase != corev1.PodRunning:
		return 0
	case !ready(p):
		return 1
	}
	return 2
}

func ready(p *corev1.Pod) bool {
	return slices.ContainsFunc(p.Status.Conditions, func(c corev1.PodCondition) bool {
		return c.Type == corev1.PodReady && c.Status == corev1.ConditionTrue
	})
}

package dns

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"bonsai/bootstrap/cluster"
	"bonsai/bootstrap/fault"
)

const (
	clusterNdots = 5 // what kubelet writes for pods that ask the cluster's DNS
	plainNdots   = 1 // what a resolver does without being told
	maxNdots     = 15
	// The limits of kubelet on a search path.
	maxSearch      = 32
	maxSearchChars = 2048
)

// asker is who a lookup is made for: a pod, as its resolv.conf makes it ask.
type asker struct {
	node    string // where it runs; empty if nowhere yet
	address netip.Addr
	ndots   int
	// before and after are its search domains around those of its node.
	before, after []string
	// nodeSearch says that it has those of its node.
	nodeSearch bool
	notes      []string
}

// defaultAsker is a pod of the namespace default with nothing special about it.
func defaultAsker() asker {
	return asker{ndots: clusterNdots, before: clusterSearch(metav1.NamespaceDefault), nodeSearch: true}
}

func clusterSearch(namespace string) []string {
	return []string{namespace + ".svc." + cluster.ClusterDomain, "svc." + cluster.ClusterDomain, cluster.ClusterDomain}
}

// askerOf derives what kubelet writes into a pod's resolv.conf, and notes what makes the pod ask somebody else.
func askerOf(pod *corev1.Pod) asker {
	a := asker{node: pod.Spec.NodeName, ndots: plainNdots}
	servers := []string{cluster.DNSServiceIP.String()}
	switch policy := pod.Spec.DNSPolicy; {
	case policy == corev1.DNSNone:
		servers = nil
	case policy == corev1.DNSDefault, policy == corev1.DNSClusterFirst && pod.Spec.HostNetwork:
		servers = []string{cluster.NodeResolver.String()}
		a.nodeSearch = true
	default:
		a.before, a.nodeSearch, a.ndots = clusterSearch(pod.Namespace), true, clusterNdots
	}
	if c := pod.Spec.DNSConfig; c != nil {
		servers = append(servers, c.Nameservers...)
		a.after = c.Searches
		for _, o := range c.Options {
			if o.Name == "ndots" && o.Value != nil {
				if n, err := strconv.Atoi(*o.Value); err == nil {
					a.ndots = min(max(n, 0), maxNdots)
				}
			}
		}
	}
	if len(servers) > 0 && servers[0] != cluster.DNSServiceIP.String() {
		a.notes = append(a.notes, fmt.Sprintf("the pod asks %s and not the cluster's DNS, because its dnsPolicy is %s%s; it may get another answer",
			servers[0], pod.Spec.DNSPolicy, onHostNetwork(pod)))
	}
	a.address, _ = netip.ParseAddr(pod.Status.PodIP)
	if !a.address.IsValid() {
		a.notes = append(a.notes, "the pod has no address yet; its node asks in its place")
	}
	return a
}

func onHostNetwork(pod *corev1.Pod) string {
	if pod.Spec.HostNetwork {
		return " and it is on its node's network"
	}
	return ""
}

// search is the whole search path of a on a node with these search domains.
func (a asker) search(node []string) []string {
	if !a.nodeSearch {
		node = nil
	}
	var path []string
	chars := -1
	for _, s := range slices.Concat(a.before, node, a.after) {
		if slices.Contains(path, s) {
			continue
		}
		if chars += 1 + len(s); len(path) == maxSearch || chars > maxSearchChars {
			break
		}
		path = append(path, s)
	}
	return path
}

// askerFor looks up the pod of a "namespace/name".
func (v *View) askerFor(ctx context.Context, name string) (asker, error) {
	ctx, cancel := v.Scale.Limit(ctx, answerLimit, "an answer from the API server")
	defer cancel()
	namespace, name, ok := strings.Cut(name, "/")
	if !ok || namespace == "" || name == "" {
		return asker{}, fault.Newf(fault.Usage, "%q is not NAMESPACE/NAME of a pod", strings.Join([]string{namespace, name}, "/"))
	}
	pods := v.Client.CoreV1().Pods(namespace)
	pod, err := pods.Get(ctx, name, metav1.GetOptions{})
	if err == nil {
		return askerOf(pod), nil
	}
	if !apierrors.IsNotFound(err) {
		return asker{}, fault.New(fault.ControlPlane, "look up pod "+namespace+"/"+name, err)
	}
	f := fault.Newf(fault.Usage, "there is no pod %s/%s", namespace, name)
	// A Deployment's name is what people know; its pods' names begin with it.
	if list, err := pods.List(ctx, metav1.ListOptions{}); err == nil {
		var like []string
		for _, p := range list.Items {
			if strings.HasPrefix(p.Name, name) {
				like = append(like, p.Namespace+"/"+p.Name)
			}
		}
		if len(like) > 0 {
			slices.Sort(like)
			return asker{}, f.Advisef("did you mean %s?", strings.Join(like[:min(len(like), 3)], ", "))
		}
	}
	return asker{}, f.Advise("see the pods there", cluster.Kubectl("get", "pods").In(namespace).Of(v.Cluster))
}

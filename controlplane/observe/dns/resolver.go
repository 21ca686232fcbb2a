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
	plainNdots   = 1 // the default of a resolver
	maxNdots     = 15
	// The limits of kubelet on a search path.
	maxSearch      = 32
	maxSearchChars = 2048
)

// client is the pod on whose behalf a lookup is made, with the settings of its resolv.conf.
type client struct {
	node    string // where it runs; empty if nowhere yet
	address netip.Addr
	ndots   int
	// before and after are its search domains around those of its node.
	before, after []string
	// nodeSearch says that it also has those of its node.
	nodeSearch bool
	notes      []string
}

// defaultClient is a pod of the namespace default with ordinary settings.
func defaultClient() client {
	return client{ndots: clusterNdots, before: clusterSearch(metav1.NamespaceDefault), nodeSearch: true}
}

func clusterSearch(namespace string) []string {
	return []string{namespace + ".svc." + cluster.ClusterDomain, "svc." + cluster.ClusterDomain, cluster.ClusterDomain}
}

// clientOf derives what kubelet writes into a pod's resolv.conf, and notes what makes the pod ask another server than that of
// the cluster.
func clientOf(pod *corev1.Pod, server string) client {
	c := client{node: pod.Spec.NodeName, ndots: plainNdots}
	servers := []string{server}
	switch policy := pod.Spec.DNSPolicy; {
	case policy == corev1.DNSNone:
		servers = nil
	case policy == corev1.DNSDefault, policy == corev1.DNSClusterFirst && pod.Spec.HostNetwork:
		servers = []string{cluster.NodeResolver.String()}
		c.nodeSearch = true
	default:
		c.before, c.nodeSearch, c.ndots = clusterSearch(pod.Namespace), true, clusterNdots
	}
	if conf := pod.Spec.DNSConfig; conf != nil {
		servers = append(servers, conf.Nameservers...)
		c.after = conf.Searches
		for _, o := range conf.Options {
			if o.Name == "ndots" && o.Value != nil {
				if n, err := strconv.Atoi(*o.Value); err == nil {
					c.ndots = min(max(n, 0), maxNdots)
				}
			}
		}
	}
	if len(servers) > 0 && servers[0] != server {
		c.notes = append(c.notes, fmt.Sprintf("the pod asks %s and not the cluster's DNS, because its dnsPolicy is %s%s; it may get another answer",
			servers[0], pod.Spec.DNSPolicy, onHostNetwork(pod)))
	}
	c.address, _ = netip.ParseAddr(pod.Status.PodIP)
	if !c.address.IsValid() {
		c.notes = append(c.notes, "the pod has no address yet; its node asks in its place")
	}
	return c
}

func onHostNetwork(pod *corev1.Pod) string {
	if pod.Spec.HostNetwork {
		return " and it is on its node's network"
	}
	return ""
}

// search is the whole search path of c on a node with these search domains.
func (c client) search(node []string) []string {
	if !c.nodeSearch {
		node = nil
	}
	var path []string
	chars := -1
	for _, s := range slices.Concat(c.before, node, c.after) {
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

// clientFor looks up the pod of a "namespace/name".
func (v *View) clientFor(ctx context.Context, name string) (client, error) {
	ctx, cancel := v.Scale.Limit(ctx, answerLimit, "an answer from the API server")
	defer cancel()
	namespace, name, ok := strings.Cut(name, "/")
	if !ok || namespace == "" || name == "" {
		return client{}, fault.Newf(fault.Usage, "%q is not NAMESPACE/NAME of a pod", strings.Join([]string{namespace, name}, "/"))
	}
	pods := v.Client.CoreV1().Pods(namespace)
	pod, err := pods.Get(ctx, name, metav1.GetOptions{})
	if err == nil {
		return clientOf(pod, v.Server.String()), nil
	}
	if !apierrors.IsNotFound(err) {
		return client{}, fault.New(fault.ControlPlane, "look up pod "+namespace+"/"+name, err)
	}
	f := fault.Newf(fault.Usage, "pod %s/%s does not exist", namespace, name)
	// People know the name of a Deployment; its pods' names begin with it.
	if list, err := pods.List(ctx, metav1.ListOptions{}); err == nil {
		var like []string
		for _, p := range list.Items {
			if strings.HasPrefix(p.Name, name) {
				like = append(like, p.Namespace+"/"+p.Name)
			}
		}
		if len(like) > 0 {
			slices.Sort(like)
			return client{}, f.Advisef("did you mean %s?", strings.Join(like[:min(len(like), 3)], ", "))
		}
	}
	return client{}, f.Advise("see the pods there", cluster.Kubectl("get", "pods").In(namespace).Of(v.Cluster))
}

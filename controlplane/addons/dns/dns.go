// Package dns is the addon that gives a cluster its names. The servers themselves run in the agents of the nodes; this
// package publishes them: the Service kube-dns, whose address every pod has in its resolv.conf, and its endpoints, one
// per node, which are ready if the node's server answers.
//
// Pods ask the server of their own node; if it is down, another node's server answers within moments. Begin reading at
// New.
package dns

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/intstr"

	"bonsai/bootstrap/cluster"
	"bonsai/controlplane/addons"
)

// Name is the addon's.
const Name = cluster.DNSAddon

// Names that other programs look for: those of CoreDNS as kubeadm sets it up.
const (
	namespace = metav1.NamespaceSystem
	service   = "kube-dns"
)

// DNS is the addon. Create it with New.
type DNS struct {
	machine Machine

	mu sync.Mutex // guards everything below
	// phases are the known phases of the nodes' servers; nil while the addon does not run.
	phases map[string]cluster.Phase
	// answered reports that some node has answered since it runs.
	answered bool
	// settling reports that a start should wait for the pods that stand for the servers; see standIn.
	settling bool
	// pending reports that the endpoints in the API are not yet up to date.
	pending bool
}

var (
	_ addons.Addon      = (*DNS)(nil)
	_ addons.Runner     = (*DNS)(nil)
	_ addons.NodePart   = (*DNS)(nil)
	_ addons.NodePhases = (*DNS)(nil)
)

// New returns the addon. The nodes' servers follow machine, unless it is nil.
func New(machine Machine) *DNS { return &DNS{machine: machine} }

// Describe implements addons.Addon.
func (d *DNS) Describe() cluster.AddonDescription {
	return cluster.AddonDescription{
		Name: Name, Version: "1.0", Maintainer: "bonsai", Description: "Names of Services and pods, answered on every node",
		Docs: "docs/dns.md", Delivery: cluster.DeliveryBuiltin, Offline: true, Default: true,
		Settings: settings(),
	}
}

// NodeRules implements addons.NodePart. They are what kubeadm gives to CoreDNS; pods are read if the servers are configured
// to verify the names of pods.
func (d *DNS) NodeRules() addons.NodeRules {
	watch := []string{"get", "list", "watch"}
	return addons.NodeRules{
		Cluster: []rbacv1.PolicyRule{
			{APIGroups: []string{""}, Resources: []string{"services", "namespaces", "pods"}, Verbs: watch},
			{APIGroups: []string{"discovery.k8s.io"}, Resources: []string{"endpointslices"}, Verbs: watch},
		},
		System: []rbacv1.PolicyRule{
			// The user's configuration, and Events about what is wrong with it.
			{APIGroups: []string{""}, Resources: []string{"configmaps"}, ResourceNames: []string{cluster.DNSConfigMap, cluster.DNSValuesMap, "coredns-custom", "kube-dns"}, Verbs: watch},
			{APIGroups: []string{""}, Resources: []string{"events"}, Verbs: []string{"create"}},
		},
	}
}

// ports are those of the Service; each leads to where the nodes' servers listen.
var ports = []struct {
	name         string
	protocol     corev1.Protocol
	port, target int32
}{
	{"dns", corev1.ProtocolUDP, 53, cluster.DNSPort},
	{"dns-tcp", corev1.ProtocolTCP, 53, cluster.DNSPort},
	{"metrics", corev1.ProtocolTCP, cluster.DNSMetricsServicePort, cluster.DNSMetricsPort},
}

// Objects implements addons.Addon. The endpoints of the slice are left to Run.
func (d *DNS) Objects(c addons.Cluster) []runtime.Object {
	spec := c.Spec()
	address := spec.DNSServiceIP().String()
	labels := map[string]string{appLabel: service, "kubernetes.io/cluster-service": "true", "kubernetes.io/name": "CoreDNS"}
	svc := &corev1.Service{
		TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "Service"},
		ObjectMeta: metav1.ObjectMeta{
			Namespace: namespace, Name: service, Labels: maps.Clone(labels),
			// Prometheus scrapes the endpoints of an annotated Service, so this is their port.
			Annotations: map[string]string{"prometheus.io/scrape": "true", "prometheus.io/port": fmt.Sprint(cluster.DNSMetricsPort)},
		},
		Spec: corev1.ServiceSpec{
			Type: corev1.ServiceTypeClusterIP, ClusterIP: address, ClusterIPs: []string{address},
			IPFamilies: []corev1.IPFamily{corev1.IPv4Protocol}, IPFamilyPolicy: new(corev1.IPFamilyPolicySingleStack),
			// No selector: the servers are not pods. Other nodes' servers take over when the own node's is not ready,
			// which internalTrafficPolicy: Local would forbid.
			TrafficDistribution: new(corev1.ServiceTrafficDistributionPreferSameNode),
		},
	}
	labels[discoveryv1.LabelServiceName] = service
	// Other controllers that manage slices leave those alone that name another manager.
	labels[discoveryv1.LabelManagedBy] = addons.FieldManager
	slice := &discoveryv1.EndpointSlice{
		TypeMeta:    metav1.TypeMeta{APIVersion: "discovery.k8s.io/v1", Kind: "EndpointSlice"},
		ObjectMeta:  metav1.ObjectMeta{Namespace: namespace, Name: sliceName, Labels: labels},
		AddressType: discoveryv1.AddressTypeIPv4,
	}
	for _, p := range ports {
		svc.Spec.Ports = append(svc.Spec.Ports, corev1.ServicePort{Name: p.name, Protocol: p.protocol, Port: p.port, TargetPort: intstr.FromInt32(p.target)})
		slice.Ports = append(slice.Ports, discoveryv1.EndpointPort{Name: &p.name, Protocol: &p.protocol, Port: &p.target})
	}
	objects := []runtime.Object{svc, slice}
	if text := directives(d.Describe(), spec); text != "" {
		objects = append(objects, &corev1.ConfigMap{
			TypeMeta:   metav1.TypeMeta{APIVersion: "v1", Kind: "ConfigMap"},
			ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: cluster.DNSValuesMap},
			Data:       map[string]string{cluster.DNSValuesKey: text},
		})
	}
	return objects
}

// Health implements addons.Addon, from what the nodes have reported to Run.
func (d *DNS) Health(_ context.Context, c addons.Cluster) (cluster.AddonState, string, []cluster.Advice) {
	spec := c.Spec()
	d.mu.Lock()
	defer d.mu.Unlock()
	var silent []string
	nodes := spec.ActiveNodes()
	for _, n := range nodes {
		if !answers(d.phases[n.Name]) {
			silent = append(silent, n.Name)
		}
	}
	total := len(nodes)
	switch {
	case len(silent) == 0 && d.pending:
		return cluster.AddonInstalling, "its endpoints are being written", nil
	case len(silent) == 0:
		return cluster.AddonRunning, "", nil
	case len(silent) == total && !d.answered:
		return cluster.AddonInstalling, silence(total) + " yet", nil
	}
	reason := silence(total)
	if answering := total - len(silent); answering > 0 {
		slices.Sort(silent)
		reason = fmt.Sprintf("%d of %d nodes answer, not %s", answering, total, strings.Join(silent, ", "))
	}
	return cluster.AddonDegraded, reason, []cluster.Advice{
		cluster.Advise("see why", cluster.Bonsai("logs").On("bonsai-agent").With("--node", silent[0])),
		cluster.Advise("repair what is missing", cluster.Bonsai("start").Change()),
	}
}

// silence is the state if no node answers.
func silence(nodes int) string {
	if nodes == 1 {
		return "the node does not answer"
	}
	return fmt.Sprintf("none of %d nodes answers", nodes)
}

// Nodes implements addons.NodePhases.
func (d *DNS) Nodes() map[string]cluster.Phase {
	d.mu.Lock()
	defer d.mu.Unlock()
	phases := maps.Clone(d.phases)
	for name, p := range phases {
		if d.settling && answers(p) {
			phases[name] = cluster.PhaseStarting
		}
	}
	return phases
}

// answers reports whether a server in that phase answers questions.
func answers(p cluster.Phase) bool { return p == cluster.PhaseRunning || p == cluster.PhaseDegraded }

package mirror

import (
	"encoding/hex"
	"encoding/json"
	"hash/fnv"
	"slices"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"bonsai/bootstrap/cluster"
)

const (
	namespace = metav1.NamespaceSystem
	// registry is of no image: nothing is pulled, and who collects images sees that there is nothing to collect.
	registry = "bonsai.internal/"
	// hashAnnotation and sourceAnnotation are among those by which kubelets mark their mirror pods.
	hashAnnotation   = "kubernetes.io/config.hash"
	sourceAnnotation = "kubernetes.io/config.source"
	description      = "kubernetes.io/description"
)

// The components of a node that are shown.
const (
	kubeProxy = "kube-proxy"
	dns       = "dns"
	// agent is the process that dns is a part of.
	agent = "bonsai-agent"
)

// Part is a component of the control plane.
type Part struct {
	// Name is that of the component and of its log ("kube-apiserver").
	Name    string
	Version string
	// Command is what upstream's program would be called with to do the same.
	Command []string
}

// shown is one component, as a pod.
type shown struct {
	Part
	node cluster.Node
	// host says that it runs on this machine, and not in the node.
	host   bool
	labels map[string]string
	text   string
}

// podName is as kubeadm's.
func (s shown) podName() string { return s.Name + "-" + s.node.Name }

// plan returns the pods that should exist. The control plane, which runs on this machine, is shown on the node that has its
// role. Nodes that the user has stopped have none.
func (k *Keeper) plan(spec cluster.Spec) (list []shown) {
	nodes := spec.ActiveNodes()
	if len(nodes) == 0 {
		return nil
	}
	first := slices.IndexFunc(nodes, func(n cluster.Node) bool { return n.ControlPlane })
	for _, p := range k.o.Parts {
		list = append(list, shown{
			Part: p, node: nodes[max(first, 0)], host: true,
			labels: map[string]string{"component": p.Name, "tier": "control-plane"},
			text:   "It runs in bonsai's own process on the machine of the nodes, beside the rest of the control plane: bonsai logs " + p.Name,
		})
	}
	for _, n := range nodes {
		list = append(list, shown{
			Part: Part{Name: kubeProxy, Version: k.o.Version}, node: n,
			labels: map[string]string{"k8s-app": kubeProxy},
			text:   "It runs in the node, in one process with the kubelet: bonsai logs kube-proxy",
		})
		if spec.Wants(cluster.DNSAddon, true) {
			list = append(list, shown{
				Part: Part{Name: dns, Version: k.o.Version}, node: n,
				labels: map[string]string{"k8s-app": "kube-dns"}, // by which the documentation of Kubernetes finds its logs
				text:   "It runs in the agent of the node: bonsai dns status",
			})
		}
	}
	return list
}

// pod is the object of a component; owner is the node's.
func (s shown) pod(owner types.UID) *corev1.Pod {
	p := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: namespace, Name: s.podName(), Labels: s.labels,
			Annotations: map[string]string{description: s.text, sourceAnnotation: "bonsai"},
			// As kubelets do: it goes with its node.
			OwnerReferences: []metav1.OwnerReference{{APIVersion: "v1", Kind: "Node", Name: s.node.Name, UID: owner, Controller: new(true)}},
		},
		Spec: corev1.PodSpec{
			NodeName: s.node.Name,
			// No scheduler has this name. The API server leaves its pods out of what it shows to kubelets, which delete mirror
			// pods of which they have no static pod.
			SchedulerName: cluster.ComponentPods,
			HostNetwork:   true, // of the node, or of this machine
			// Nothing has to end when the object does, and "kubectl delete" does not wait.
			TerminationGracePeriodSeconds: new(int64(0)),
			PriorityClassName:             "system-node-critical",
			AutomountServiceAccountToken:  new(false),
			EnableServiceLinks:            new(false),
			// Nothing evicts it: it would only come back.
			Tolerations: []corev1.Toleration{{Operator: corev1.TolerationOpExists}},
			Containers: []corev1.Container{{
				Name: s.Name, Image: registry + s.Name + ":" + s.Version, ImagePullPolicy: corev1.PullNever, Command: s.Command,
				// Without a value the scheduler assumes one, which would keep pods off the node: what this takes is not the node's.
				Resources: corev1.ResourceRequirements{Requests: corev1.ResourceList{
					corev1.ResourceCPU: resource.MustParse("0"), corev1.ResourceMemory: resource.MustParse("0"),
				}},
			}},
		},
	}
	hash := hashOf(p)
	p.Annotations[hashAnnotation], p.Annotations[corev1.MirrorPodAnnotationKey] = hash, hash
	return p
}

// hashOf differs between two versions of a pod. What the API server adds to one is not in it.
func hashOf(p *corev1.Pod) string {
	data, err := json.Marshal(p)
	if err != nil {
		panic(err) // values that Kubernetes itself encodes
	}
	sum := fnv.New128a()
	_, _ = sum.Write(data) // never fails
	return hex.EncodeToString(sum.Sum(nil))
}

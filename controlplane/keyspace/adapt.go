package keyspace

import (
	"bytes"
	"fmt"
	"maps"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"bonsai/bootstrap/cluster"
)

const (
	configMapsPrefix = "/registry/configmaps/"
	secretsPrefix    = "/registry/secrets/"
	volumesPrefix    = "/registry/persistentvolumes/"
	slicesPrefix     = "/registry/endpointslices/"
	endpointsPrefix  = "/registry/services/endpoints/"

	// rootCA is the name of the ConfigMap with the cluster's CA, one in each namespace.
	rootCA = "kube-root-ca.crt"
)

// ofTheOther are prefixes of what belongs to the cluster of the checkpoint and not to the new one. The components that need
// it create it again.
var ofTheOther = []string{
	nodesPrefix,
	// Who leads, and that kubelets are alive.
	"/registry/leases/",
	// Where the API server is: of its own address, not of the objects.
	"/registry/masterleases/",
	"/registry/services/endpoints/default/kubernetes",
	"/registry/endpointslices/default/kubernetes",
	// The CAs that may authenticate clients. The API server would add its own and keep the other's.
	"/registry/configmaps/kube-system/extension-apiserver-authentication",
	// Certificates of the other CA.
	"/registry/certificatesigningrequests/",
	// What kubelets and drivers say about nodes.
	"/registry/csinodes/", "/registry/volumeattachments/", "/registry/resourceslices/",
	// What has happened there.
	"/registry/events/",
}

// Target is the cluster for which objects are adapted.
type Target struct {
	Spec cluster.Spec
	// CA is the PEM of its authority.
	CA []byte
}

// Adapt makes the objects of another cluster, from, fit a new one of the same number of nodes: as if they had always been
// in it. Its nodes take the places of the other's, in their order; pods stay on the node in the same place and are started
// there; what identifies the other cluster is removed or replaced.
func Adapt(s Store, from cluster.Spec, to Target) error {
	names := map[string]string{}
	for i, n := range from.Nodes {
		if i < len(to.Spec.Nodes) {
			names[n.Name] = to.Spec.Nodes[i].Name
		}
	}
	a := adapter{s, names, to.CA}
	for _, step := range []func() error{a.pods, a.volumes, a.configMaps, a.tokens, a.endpoints} {
		if err := step(); err != nil {
			return err
		}
	}
	for _, prefix := range ofTheOther {
		for key := range s.All(prefix) {
			s.Delete(key)
		}
	}
	return nil
}

type adapter struct {
	Store
	// nodes are the names of the new nodes, by those that were in the same place.
	nodes map[string]string
	ca    []byte
}

// change reads the objects below prefix, and writes those that f changes back. Those that f drops are deleted.
func change[T any, P interface {
	*T
	runtime.Object
}](s Store, prefix string, gvk schema.GroupVersionKind, f func(key string, o P) (verdict, error)) error {
	for key, value := range s.All(prefix) {
		object := P(new(T))
		if err := decode(key, value, object); err != nil {
			return err
		}
		v, err := f(key, object)
		if err != nil {
			return fmt.Errorf("%s: %w", key, err)
		}
		switch v {
		case drop:
			s.Delete(key)
		case keep:
		case write:
			object.GetObjectKind().SetGroupVersionKind(gvk)
			var b bytes.Buffer
			if err := codec.Encode(object, &b); err != nil {
				return fmt.Errorf("write %s: %w", key, err)
			}
			s.Put(key, b.Bytes())
		}
	}
	return nil
}

// verdict is what happens to an object.
type verdict int

const (
	keep verdict = iota
	write
	drop
)

func core(kind string) schema.GroupVersionKind { return corev1.SchemeGroupVersion.WithKind(kind) }

// pods puts pods on the new nodes. Their kubelets have never heard of them and start them; those of DaemonSets and the like
// as well. Pods of static manifests are their node's.
func (a adapter) pods() error {
	return change(a, podsPrefix, core("Pod"), func(_ string, p *corev1.Pod) (verdict, error) {
		if p.Spec.NodeName == "" {
			return keep, nil
		}
		node, ok := a.nodes[p.Spec.NodeName]
		if !ok || static(p) || p.DeletionTimestamp != nil {
			return drop, nil
		}
		p.Spec.NodeName = node
		if p.Spec.Affinity != nil && p.Spec.Affinity.NodeAffinity != nil {
			a.rename(p.Spec.Affinity.NodeAffinity.RequiredDuringSchedulingIgnoredDuringExecution)
		}
		if host, ok := a.nodes[p.Spec.NodeSelector[corev1.LabelHostname]]; ok {
			p.Spec.NodeSelector[corev1.LabelHostname] = host
		}
		if !ended(p) {
			p.Status = toBeStarted(p)
		}
		return write, nil
	})
}

// rename writes the new names into a selector of nodes.
func (a adapter) rename(s *corev1.NodeSelector) (renamed bool) {
	if s == nil {
		return false
	}
	replace := func(values []string) {
		for i, v := range values {
			if node, ok := a.nodes[v]; ok {
				values[i], renamed = node, true
			}
		}
	}
	for _, term := range s.NodeSelectorTerms {
		for _, e := range term.MatchExpressions {
			if e.Key == corev1.LabelHostname {
				replace(e.Values)
			}
		}
		for _, e := range term.MatchFields {
			if e.Key == metav1.ObjectNameField {
				replace(e.Values)
			}
		}
	}
	return renamed
}

// volumes puts volumes that are on a node's disk on the new node.
func (a adapter) volumes() error {
	return change(a, volumesPrefix, core("PersistentVolume"), func(_ string, pv *corev1.PersistentVolume) (verdict, error) {
		if pv.Spec.NodeAffinity == nil || !a.rename(pv.Spec.NodeAffinity.Required) {
			return keep, nil
		}
		return write, nil
	})
}

// configMaps publishes the new CA. The controller that does that comes after the first pods.
func (a adapter) configMaps() error {
	return change(a, configMapsPrefix, core("ConfigMap"), func(_ string, m *corev1.ConfigMap) (verdict, error) {
		if m.Name != rootCA {
			return keep, nil
		}
		m.Data = map[string]string{"ca.crt": string(a.ca)}
		return write, nil
	})
}

// tokens removes tokens that the other cluster has signed: the controller of such Secrets signs new ones.
func (a adapter) tokens() error {
	return change(a, secretsPrefix, core("Secret"), func(_ string, s *corev1.Secret) (verdict, error) {
		if s.Type != corev1.SecretTypeServiceAccountToken {
			return keep, nil
		}
		delete(s.Data, corev1.ServiceAccountTokenKey)
		delete(s.Data, corev1.ServiceAccountRootCAKey)
		return write, nil
	})
}

// endpoints removes the addresses of the other cluster's pods, which pods of another Service may get here. Controllers write
// those of this one's.
func (a adapter) endpoints() error {
	managed := map[string]bool{}
	if err := change(a, slicesPrefix, discoveryv1.SchemeGroupVersion.WithKind("EndpointSlice"), func(_ string, s *discoveryv1.EndpointSlice) (verdict, error) {
		switch s.Labels[discoveryv1.LabelManagedBy] {
		case "endpointslice-controller.k8s.io":
			managed[s.Namespace+"/"+s.Labels[discoveryv1.LabelServiceName]] = true
			return drop, nil
		}
		return keep, nil
	}); err != nil {
		return err
	}
	for _, service := range slices.Sorted(maps.Keys(managed)) {
		if !strings.HasSuffix(service, "/") {
			a.Delete(endpointsPrefix + service)
		}
	}
	return nil
}

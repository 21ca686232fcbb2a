package gateway

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	applycorev1 "k8s.io/client-go/applyconfigurations/core/v1"
	applydiscoveryv1 "k8s.io/client-go/applyconfigurations/discovery/v1"
	applymetav1 "k8s.io/client-go/applyconfigurations/meta/v1"
	"k8s.io/client-go/kubernetes"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"bonsai/bootstrap/cluster"
	"bonsai/controlplane/addons/gateway/compile"
)

// fronts keeps the Services by which Gateways have addresses of their own, each with an EndpointSlice that names the nodes.
type fronts struct {
	client kubernetes.Interface
	// applied are digests of what was applied last, by the Service's key. What somebody else changes is not put right until the
	// Gateway changes or the daemon starts again; what somebody deletes is.
	applied map[compile.Key]string
}

func newFronts(client kubernetes.Interface) *fronts {
	return &fronts{client: client, applied: map[compile.Key]string{}}
}

// byKey are Services by their keys, and fronted the keys of those that have the EndpointSlice of a Gateway.
func byKey(list []*corev1.Service) map[compile.Key]*corev1.Service {
	services := map[compile.Key]*corev1.Service{}
	for _, s := range list {
		services[compile.Key{Namespace: s.Namespace, Name: s.Name}] = s
	}
	return services
}

func fronted(list []*discoveryv1.EndpointSlice) map[compile.Key]bool {
	keys := map[compile.Key]bool{}
	for _, s := range list {
		if s.Labels[discoveryv1.LabelManagedBy] == compile.Owner {
			keys[compile.Key{Namespace: s.Namespace, Name: s.Labels[discoveryv1.LabelServiceName]}] = true
		}
	}
	return keys
}

// apply makes the Services what they should be, and deletes those of Gateways that do not want one. have are all Services that
// there are, and sliced those that have the EndpointSlice.
func (f *fronts) apply(ctx context.Context, have map[compile.Key]*corev1.Service, sliced map[compile.Key]bool, want map[compile.Key]compile.Front) error {
	var mu sync.Mutex
	var errs []error
	var working sync.WaitGroup
	slots := make(chan struct{}, parallelWrites)
	do := func(key compile.Key, digest string, work func() error) {
		slots <- struct{}{}
		working.Go(func() {
			defer func() { <-slots }()
			err := work()
			mu.Lock()
			defer mu.Unlock()
			if err != nil {
				delete(f.applied, key)
				errs = append(errs, fmt.Errorf("write Service %s: %w", key, err))
				return
			}
			f.applied[key] = digest
		})
	}
	for key, front := range want {
		digest, err := json.Marshal(front)
		if err != nil {
			return fmt.Errorf("encode the Service of Gateway %s: %w", front.Gateway, err)
		}
		mu.Lock()
		same := f.applied[key] == string(digest)
		mu.Unlock()
		if !same || have[key] == nil || !sliced[key] {
			do(key, string(digest), func() error { return f.put(ctx, front) })
		}
	}
	for key, s := range have {
		if _, wanted := want[key]; !wanted && s.Labels[compile.OwnerLabel] == compile.Owner && s.DeletionTimestamp == nil {
			do(key, "", func() error { return f.remove(ctx, s) })
		}
	}
	working.Wait()
	return errors.Join(errs...)
}

// put applies the Service and the EndpointSlice of a Gateway.
func (f *fronts) put(ctx context.Context, front compile.Front) error {
	options := metav1.ApplyOptions{FieldManager: fieldManager, Force: true}
	key := front.Service
	_, err := f.client.CoreV1().Services(key.Namespace).Apply(ctx, service(front), options)
	if err == nil {
		_, err = f.client.DiscoveryV1().EndpointSlices(key.Namespace).Apply(ctx, slice(front), options)
	}
	if apierrors.HasStatusCause(err, corev1.NamespaceTerminatingCause) {
		return nil // and with it the Gateway
	}
	return err
}

func (f *fronts) remove(ctx context.Context, s *corev1.Service) error {
	err := f.client.CoreV1().Services(s.Namespace).Delete(ctx, s.Name, metav1.DeleteOptions{Preconditions: metav1.NewUIDPreconditions(string(s.UID))})
	if apierrors.IsNotFound(err) || apierrors.IsConflict(err) {
		return nil
	}
	return err
}

// service is the Service of a Gateway. With externalTrafficPolicy Local, the node that announces the address serves what comes
// there, and knows the client's own address.
func service(front compile.Front) *applycorev1.ServiceApplyConfiguration {
	spec := applycorev1.ServiceSpec().
		WithType(corev1.ServiceTypeLoadBalancer).
		WithLoadBalancerClass(cluster.LoadBalancerClass).
		WithAllocateLoadBalancerNodePorts(false).
		WithExternalTrafficPolicy(corev1.ServiceExternalTrafficPolicyLocal)
	if front.Requested.IsValid() {
		spec.WithLoadBalancerIP(front.Requested.String())
	}
	for _, p := range front.Ports {
		spec.WithPorts(applycorev1.ServicePort().WithName(portName(p)).WithProtocol(corev1.ProtocolTCP).
			WithPort(int32(p.Number)).WithTargetPort(intstr.FromInt32(int32(p.Inner))))
	}
	return applycorev1.Service(front.Service.Name, front.Service.Namespace).
		WithLabels(front.Labels).WithAnnotations(front.Annotations).WithOwnerReferences(owner(front)).WithSpec(spec)
}

func slice(front compile.Front) *applydiscoveryv1.EndpointSliceApplyConfiguration {
	s := applydiscoveryv1.EndpointSlice(front.Service.Name, front.Service.Namespace).
		WithLabels(map[string]string{discoveryv1.LabelServiceName: front.Service.Name, discoveryv1.LabelManagedBy: compile.Owner}).
		WithOwnerReferences(owner(front)).
		WithAddressType(discoveryv1.AddressTypeIPv4)
	for _, p := range front.Ports {
		s.WithPorts(applydiscoveryv1.EndpointPort().WithName(portName(p)).WithProtocol(corev1.ProtocolTCP).WithPort(int32(p.Inner)))
	}
	for _, n := range front.Nodes {
		s.WithEndpoints(applydiscoveryv1.Endpoint().WithAddresses(n.Address.String()).WithNodeName(n.Name).
			WithConditions(applydiscoveryv1.EndpointConditions().WithReady(n.Ready)))
	}
	return s
}

func portName(p compile.FrontPort) string { return fmt.Sprintf("port-%d", p.Number) }

func owner(front compile.Front) *applymetav1.OwnerReferenceApplyConfiguration {
	return applymetav1.OwnerReference().WithAPIVersion(gatewayv1.GroupVersion.String()).WithKind("Gateway").
		WithName(front.Gateway.Name).WithUID(front.UID).WithController(true)
}

// removeAll deletes the Services of all Gateways: the addon is disabled.
func (f *fronts) removeAll(ctx context.Context) error {
	list, err := f.client.CoreV1().Services(metav1.NamespaceAll).List(ctx, metav1.ListOptions{LabelSelector: compile.OwnerLabel + "=" + compile.Owner})
	if err != nil {
		return fmt.Errorf("list the Services of Gateways: %w", err)
	}
	var errs []error
	for i := range list.Items {
		errs = append(errs, f.remove(ctx, &list.Items[i]))
	}
	return errors.Join(errs...)
}

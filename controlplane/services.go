package controlplane

import (
	"context"
	"fmt"
	"net"
	"slices"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// DialInside connects to the address of a pod, a Service or a node, and to no other.
func (cp *ControlPlane) DialInside(ctx context.Context, network, address string) (net.Conn, error) {
	return cp.dialer.DialInside(ctx, network, address)
}

// DialService connects to a port of a Service, NAMESPACE/NAME, through a node.
func (cp *ControlPlane) DialService(ctx context.Context, service string, port int) (net.Conn, error) {
	namespace, name, _ := strings.Cut(service, "/")
	s, err := cp.client.CoreV1().Services(namespace).Get(ctx, name, metav1.GetOptions{})
	if err != nil {
		return nil, err
	}
	if s.Spec.ClusterIP == "" || s.Spec.ClusterIP == corev1.ClusterIPNone {
		return nil, fmt.Errorf("the Service %s has no address of its own", service)
	}
	if !slices.ContainsFunc(s.Spec.Ports, func(p corev1.ServicePort) bool { return int(p.Port) == port && p.Protocol != corev1.ProtocolUDP }) {
		return nil, fmt.Errorf("the Service %s has no port %d", service, port)
	}
	return cp.dialer.DialContext(ctx, "tcp", net.JoinHostPort(s.Spec.ClusterIP, strconv.Itoa(port)))
}

package bootstrap

import (
	"context"
	"encoding/json"
	"fmt"
	"net/netip"
	"net/url"
	"time"

	"bonsai/bootstrap/fault"
)

// servicesLimit bounds one request to the API server.
const servicesLimit = 5 * time.Second

// Service is what a user has to know of one to reach it.
type Service struct {
	Namespace string `json:"namespace"`
	Name      string `json:"name"`
	Type      string `json:"type"`
	// Address is that of its load balancer; not valid if it has none.
	Address netip.Addr    `json:"address,omitzero"`
	Ports   []ServicePort `json:"ports"`
}

// ServicePort is one port of a Service; NodePort is 0 if nodes do not listen for it.
type ServicePort struct {
	Name     string `json:"name,omitempty"`
	Protocol string `json:"protocol"`
	Port     int    `json:"port"`
	NodePort int    `json:"nodePort,omitempty"`
	// AppProtocol is what is spoken at the port, if the Service says so.
	AppProtocol string `json:"appProtocol,omitempty"`
}

// Services lists the Services of a namespace of a running cluster, of all for "".
func (m *Manager) Services(ctx context.Context, name, namespace string) ([]Service, error) {
	if _, err := m.livingDaemon(name); err != nil {
		return nil, err
	}
	state := m.env.Dir.Cluster(name)
	spec, err := state.LoadSpec()
	if err != nil {
		return nil, err
	}
	ctx, cancel := m.limit(ctx, servicesLimit, "an answer from the API server")
	defer cancel()
	path := "/api/v1/services"
	if namespace != "" {
		path = "/api/v1/namespaces/" + url.PathEscape(namespace) + "/services"
	}
	text, err := m.get(ctx, state, spec, path)
	if err != nil {
		return nil, fault.New(fault.ControlPlane, "list the Services of cluster "+name, err)
	}
	return servicesOf(text)
}

// servicesOf reads a ServiceList.
func servicesOf(list []byte) ([]Service, error) {
	var all struct {
		Items []struct {
			Metadata struct{ Namespace, Name string }
			Spec     struct {
				Type  string
				Ports []ServicePort
			}
			Status struct {
				LoadBalancer struct{ Ingress []struct{ IP string } }
			}
		}
	}
	if err := json.Unmarshal(list, &all); err != nil {
		return nil, fmt.Errorf("read the list of Services: %w", err)
	}
	services := make([]Service, 0, len(all.Items))
	for _, i := range all.Items {
		s := Service{Namespace: i.Metadata.Namespace, Name: i.Metadata.Name, Type: i.Spec.Type, Ports: i.Spec.Ports}
		for _, in := range i.Status.LoadBalancer.Ingress {
			if a, err := netip.ParseAddr(in.IP); err == nil && !s.Address.IsValid() {
				s.Address = a
			}
		}
		services = append(services, s)
	}
	return services, nil
}

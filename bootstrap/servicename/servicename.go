// Package servicename has the names by which Services are reached from this machine: SERVICE.NAMESPACE.CLUSTER.localhost. It
// reads them (Parse), makes them (URL), and says which port of a Service is meant (Choose). It is pure.
//
// Everything below "localhost" is this machine: browsers, curl and systemd's resolver know that without asking anybody (RFC
// 6761, section 6.3), so that no file of the machine has to change.
package servicename

import (
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"
)

// Top is the domain of all names.
const Top = "localhost"

// dashboardPrefix begins the first label below Top that a dashboard has.
const dashboardPrefix = "bonsai-dashboard-"

// DashboardHost is the name of this machine under which the dashboard of a cluster is. Cookies do not distinguish ports, and
// browsers take the last two labels as a site: no Service and no Ingress is served below this name (IsDashboard).
func DashboardHost(cluster string) string { return dashboardPrefix + cluster + "." + Top }

// IsDashboard says whether a host without a port is that of a dashboard of any cluster, or below one.
func IsDashboard(host string) bool {
	rest, ok := strings.CutSuffix(strings.ToLower(strings.TrimSuffix(host, ".")), "."+Top)
	return ok && strings.HasPrefix(rest[strings.LastIndexByte(rest, '.')+1:], dashboardPrefix)
}

// defaultNamespace is that of a name without one.
const defaultNamespace = "default"

// separator is between a port and what follows it in the first label. A Service or pod may have it in its name, the name of a
// port may not (validation.IsValidPortName of k8s.io/apimachinery).
const separator = "--"

// ErrForeign is the error for a name that is not below Top.
var ErrForeign = errors.New("it does not end with ." + Top)

// Target is what a name asks for.
type Target struct {
	// Pod is the host name of one pod of the Service; empty for any.
	Pod                string
	Service, Namespace string
	// Cluster is empty if the name does not say it.
	Cluster string
	// Port is the name or number of a port of the Service; empty if the name does not say it.
	Port string
}

// Parse reads a name without a port. Where the first label has a separator, Target is what it means if that is a part of the
// name; Split has the other reading. The error for a name that is not below Top is ErrForeign.
func Parse(host string) (Target, error) {
	host = strings.ToLower(strings.TrimSuffix(host, "."))
	rest, ok := strings.CutSuffix(host, "."+Top)
	if !ok {
		return Target{}, ErrForeign
	}
	if len(host) > 253 {
		return Target{}, errors.New("it is longer than 253 characters")
	}
	labels := strings.Split(rest, ".")
	for _, l := range labels {
		if !isLabel(l) {
			return Target{}, fmt.Errorf("%q is not a name in Kubernetes, of lower-case letters, digits and dashes", l)
		}
	}
	switch len(labels) {
	case 1:
		return Target{Service: labels[0], Namespace: defaultNamespace}, nil
	case 2:
		return Target{Service: labels[0], Namespace: labels[1]}, nil
	case 3:
		return Target{Service: labels[0], Namespace: labels[1], Cluster: labels[2]}, nil
	case 4:
		return Target{Pod: labels[0], Service: labels[1], Namespace: labels[2], Cluster: labels[3]}, nil
	}
	return Target{}, errors.New("it has more parts than POD.SERVICE.NAMESPACE.CLUSTER." + Top)
}

// Split is the target if the first label begins with a port; ok says whether it can.
func (t Target) Split() (_ Target, ok bool) {
	first := &t.Service
	if t.Pod != "" {
		first = &t.Pod
	}
	port, rest, found := strings.Cut(*first, separator)
	if !found || !isLabel(port) || !isLabel(rest) {
		return t, false
	}
	t.Port, *first = port, rest
	return t, true
}

// isLabel says whether text may be a part of a name.
func isLabel(text string) bool {
	return text != "" && len(text) <= 63 && text[0] != '-' && text[len(text)-1] != '-' && !strings.ContainsFunc(text, func(r rune) bool {
		return r != '-' && (r < '0' || r > '9') && (r < 'a' || r > 'z')
	})
}

// URL is where a browser reaches a port of a Service; listener is the port of this machine. port is empty for the one that
// Choose takes.
func URL(listener int, namespace, service, port string) string {
	host := service + "." + namespace + "." + Top
	if port != "" {
		host = port + separator + host
	}
	return HostURL(listener, host, false)
}

// HostURL is where a browser reaches a host at a port of this machine, by TLS or without.
func HostURL(listener int, host string, secure bool) string {
	scheme, usual := "http", 80
	if secure {
		scheme, usual = "https", 443
	}
	if listener != usual {
		host = net.JoinHostPort(host, strconv.Itoa(listener))
	}
	return scheme + "://" + host
}

// Secure is a URL of URL or HostURL without TLS as one with TLS: both are served at the same port.
func Secure(listener int, plain string) string {
	host := strings.TrimPrefix(plain, "http://")
	if h, _, err := net.SplitHostPort(host); err == nil {
		host = h
	}
	return HostURL(listener, host, true)
}

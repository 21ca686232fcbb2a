package cluster

import "strconv"

// NamesAddon is the name of the addon for names of Services on this machine, which clusters have by default.
const NamesAddon = "localhost-names"

// Settings of NamesAddon.
const (
	NamesPortSetting    = "port"    // 0 is any
	NamesOriginsSetting = "origins" // of web pages besides the names
)

// PACPath is where the names' port has the configuration for browsers that use it as a proxy, at the host "localhost".
const PACPath = "/proxy.pac"

// Names is where the Services of a cluster have names on this machine: http://SERVICE.NAMESPACE.localhost:PORT.
type Names struct {
	// Open says that Port is served, on loopback; otherwise Reason says why not.
	Open bool `json:"open"`
	Port int  `json:"port,omitempty"`
	// TLSPort is served as well, 0 if there is none: 443 if Port is 80, so that URLs need no port. Both ports speak TLS.
	TLSPort int    `json:"tlsPort,omitempty"`
	Reason  string `json:"reason,omitempty"`
	// Hosts are those of Ingresses and routes below localhost, at the same port.
	Hosts []NamedHost `json:"hosts,omitempty"`
}

// Secure is the port for URLs with TLS.
func (n Names) Secure() int {
	if n.TLSPort != 0 {
		return n.TLSPort
	}
	return n.Port
}

// Serves says whether it listens at a port.
func (n Names) Serves(port int) bool {
	return n.Open && port != 0 && (port == n.Port || port == n.TLSPort)
}

// NamedHost is a host of Ingresses and routes that this machine reaches by name.
type NamedHost struct {
	// Host may have a wildcard as its first label.
	Host string `json:"host"`
	// From are the objects that it is from, such as "ingress/shop/web". Those of another Ingress class or Gateway than the first
	// are in Also: they get only what the first ones have no rule for.
	From []string `json:"from"`
	Also []string `json:"also,omitempty"`
	// Services are those behind it, NAMESPACE/NAME.
	Services []string `json:"services,omitempty"`
}

// NamesPort is the port that the user chose for names of Services, 0 for any.
func (s *Spec) NamesPort() int {
	port, err := strconv.Atoi(s.AddonValues[NamesAddon][NamesPortSetting])
	if err != nil {
		return 0
	}
	return port
}

// NamesOrigins are those of web pages that the user lets send requests to names of Services.
func (s *Spec) NamesOrigins() []string { return List(s.AddonValues[NamesAddon][NamesOriginsSetting]) }

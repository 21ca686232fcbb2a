package cluster

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"
)

// The protocols of a Port.
const (
	TCP = "tcp"
	UDP = "udp"
)

// Port is a port of this machine that leads into the cluster: to a port of the nodes, or of a Service.
type Port struct {
	// Address and Port are where the control plane's process listens.
	Address  netip.Addr `json:"address"`
	Port     int        `json:"port"`
	Protocol string     `json:"protocol"`
	// Node is the only node that connections go to; empty for any that answers, the first one by preference.
	Node string `json:"node,omitempty"`
	// Service is NAMESPACE/NAME of a Service; without it connections go to nodes.
	Service string `json:"service,omitempty"`
	// Target is the port of the node, or of the Service.
	Target int `json:"target"`
}

// ParsePort reads [ADDRESS:]PORT:TARGET[@NODE][/tcp|/udp], where TARGET is a port of nodes, or NAMESPACE/NAME:PORT of a
// Service. The address is 127.0.0.1 if there is none. A node is taken as it is written; see Spec.ResolvePort.
func ParsePort(text string) (Port, error) {
	fail := func(why string) (Port, error) {
		return Port{}, fmt.Errorf("port %q: %s; a port is written as [ADDRESS:]PORT:TARGET[@NODE][/udp]", text, why)
	}
	where, rest, err := cutListen(text)
	if err != nil {
		return fail(err.Error())
	}
	target := rest
	if target == "" {
		return fail("it has no target")
	}
	if base, protocol, ok := cutProtocol(target); ok {
		target, where.Protocol = base, protocol
	}
	target, where.Node, _ = strings.Cut(target, "@")
	if strings.Contains(rest, "@") && where.Node == "" {
		return fail("the node after @ is missing")
	}
	if slash := strings.Contains(target, "/"); slash {
		service, port, ok := strings.Cut(target, ":")
		namespace, name, _ := strings.Cut(service, "/")
		if !ok || !label(namespace) || !label(name) {
			return fail("a Service is written as NAMESPACE/NAME:PORT")
		}
		if where.Node != "" {
			return fail("a Service is on no node")
		}
		if where.Protocol == UDP {
			return fail("a Service can be reached by TCP only; give the NodePort of the Service for UDP")
		}
		where.Service, target = service, port
	}
	if where.Target, err = parsePortNumber(target); err != nil {
		return fail(err.Error())
	}
	return where, nil
}

// ParseListen reads [ADDRESS:]PORT[/udp], with which a port is named.
func ParseListen(text string) (Port, error) {
	base, protocol, ok := cutProtocol(text)
	if !ok {
		base, protocol = text, TCP
	}
	p, rest, err := cutListen(base)
	if err == nil && rest != "" {
		err = errors.New("it is named without its target")
	}
	if err != nil {
		return Port{}, fmt.Errorf("port %q: %w; a port is named as [ADDRESS:]PORT[/udp]", text, err)
	}
	p.Protocol = protocol
	return p, nil
}

// cutListen reads [ADDRESS:]PORT from the beginning of text, and returns what comes after the next colon.
func cutListen(text string) (p Port, rest string, err error) {
	p = Port{Address: netip.AddrFrom4([4]byte{127, 0, 0, 1}), Protocol: TCP}
	first, rest, _ := strings.Cut(text, ":")
	if strings.HasPrefix(text, "[") {
		inside, after, ok := strings.Cut(text[1:], "]:")
		if !ok {
			return p, "", errors.New("the bracket of its address is not closed")
		}
		first, rest = inside, after
	}
	if addr, err := netip.ParseAddr(first); err == nil {
		p.Address = addr
		first, rest, _ = strings.Cut(rest, ":")
	} else if strings.Contains(first, ".") || strings.HasPrefix(text, "[") {
		return p, "", fmt.Errorf("%q is not an address", first)
	}
	p.Port, err = parsePortNumber(first)
	return p, rest, err
}

func cutProtocol(text string) (base, protocol string, ok bool) {
	for _, protocol := range []string{TCP, UDP} {
		if base, ok := strings.CutSuffix(text, "/"+protocol); ok {
			return base, protocol, true
		}
	}
	return text, "", false
}

func parsePortNumber(text string) (int, error) {
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 || n > 65535 || strconv.Itoa(n) != text {
		return 0, fmt.Errorf("%q is not a number from 1 to 65535", text)
	}
	return n, nil
}

// label reports whether text can be the name of a namespace or of a Service.
func label(text string) bool {
	return text != "" && len(text) <= 63 && alphanumeric(text[0]) && alphanumeric(text[len(text)-1]) &&
		strings.Trim(text, "abcdefghijklmnopqrstuvwxyz0123456789-") == ""
}

// Listen is where it listens, which no other port has: "127.0.0.1:8080", "127.0.0.1:53/udp".
func (p Port) Listen() string {
	text := netip.AddrPortFrom(p.Address, uint16(p.Port)).String()
	if p.Protocol == UDP {
		text += "/" + UDP
	}
	return text
}

// To is where it leads: "80", "80@dev-2", "default/web:80".
func (p Port) To() string {
	switch {
	case p.Service != "":
		return fmt.Sprintf("%s:%d", p.Service, p.Target)
	case p.Node != "":
		return fmt.Sprintf("%d@%s", p.Target, p.Node)
	}
	return strconv.Itoa(p.Target)
}

// String is the port as ParsePort reads it.
func (p Port) String() string {
	text := netip.AddrPortFrom(p.Address, uint16(p.Port)).String() + ":" + p.To()
	if p.Protocol == UDP {
		text += "/" + UDP
	}
	return text
}

// PortWith returns the ports with p added, in the place of one that listens at the same address.
func PortWith(ports []Port, p Port) []Port {
	ports = slices.Clone(ports)
	if i := slices.IndexFunc(ports, func(o Port) bool { return o.Listen() == p.Listen() }); i >= 0 {
		ports[i] = p
		return ports
	}
	return append(ports, p)
}

// ResolvePort returns the port with the name of its node, which may be given by number, or why this cluster cannot have it.
func (s *Spec) ResolvePort(p Port) (Port, error) {
	if p.Protocol == TCP && p.Port == s.APIPort && (p.Address.IsUnspecified() || p.Address.String() == "127.0.0.1" || p.Address == s.Gateway) {
		return p, fmt.Errorf("port %s is that of the API server", p.Listen())
	}
	if p.Node == "" {
		return p, nil
	}
	var names []string
	for _, n := range s.Nodes {
		if n.Name == p.Node || strconv.Itoa(n.Index) == p.Node {
			p.Node = n.Name
			return p, nil
		}
		names = append(names, n.Name)
	}
	if len(names) == 0 {
		return p, fmt.Errorf("port %s: the cluster has no nodes", p)
	}
	return p, fmt.Errorf("port %s: unknown node %q; the nodes are %s", p, p.Node, strings.Join(names, ", "))
}

// validatePort reports what a spec file must not contain.
func validatePort(p Port) error {
	if !p.Address.IsValid() || p.Port < 1 || p.Port > 65535 || p.Target < 1 || p.Target > 65535 || p.Protocol != TCP && p.Protocol != UDP {
		return fmt.Errorf("port %+v is not possible", p)
	}
	return nil
}

// PortStatus is a port with what is known of it.
type PortStatus struct {
	Port
	// Open says that the control plane's process listens; Reason why it does not.
	Open   bool   `json:"open"`
	Reason string `json:"reason,omitempty"`
	// Connections are open ones, or peers of UDP; Served counts all of them since it listens.
	Connections int   `json:"connections"`
	Served      int64 `json:"served"`
}

package loadbalancer

import (
	"fmt"
	"net"
	"net/netip"

	"bonsai/bootstrap/cluster"
)

// apart returns why this machine does not reach the addresses of Services; empty if it does. With an engine in a virtual machine
// or on another one (Docker Desktop), the nodes' network ends there, and this machine has no interface in it. local are the
// addresses of this machine, as net.InterfaceAddrs returns them.
func apart(spec cluster.Spec, local []net.Addr) string {
	for _, a := range local {
		if n, ok := a.(*net.IPNet); ok {
			if own, ok := netip.AddrFromSlice(n.IP); ok && spec.Subnet.Contains(own.Unmap()) {
				return ""
			}
		}
	}
	return fmt.Sprintf("this machine has no interface in the nodes' network %s, so that only pods and nodes reach the addresses of Services", spec.Subnet)
}

// apartAdvice is how a Service is reached from a machine that is apart.
func apartAdvice() []cluster.Advice {
	const target = "8080:NAMESPACE/NAME:PORT"
	return []cluster.Advice{cluster.Advise("reach a Service by a port of this machine", cluster.Bonsai("port", "add").On(target).Fill(target).Change())}
}

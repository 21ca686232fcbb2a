package doctor

import (
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"bonsai/bootstrap/cluster"
	"bonsai/bootstrap/fault"
	"bonsai/bootstrap/routes"
)

// Known is a cluster of this state folder.
type Known struct {
	Spec    cluster.Spec
	Running bool
	// Context is how the kubeconfig leads to it, in the words of package kubeconfig; Leads that it does.
	Context string
	Leads   bool
	// Apart says that it does not on purpose.
	Apart bool
}

// CheckPorts finds ports of clusters that do not run and on which something else listens. free reports whether nothing listens
// on a port of an address.
func CheckPorts(clusters []Known, free func(netip.AddrPort) bool) Check {
	c := Check{ID: IDPorts}
	loopback := netip.AddrFrom4([4]byte{127, 0, 0, 1})
	checked := 0
	for _, k := range clusters {
		if k.Running {
			continue
		}
		checked++
		if port := k.Spec.APIPort; !free(netip.AddrPortFrom(loopback, uint16(port))) {
			c.add(cluster.ProblemPortLost, cluster.SeverityWarning, fmt.Sprintf("something listens on port %d, which the API server of cluster %s uses", port, k.Spec.Name),
				"it was started while the cluster did not run",
				cluster.Advise("see what it is", cluster.Program("ss", "-ltnp").On(fmt.Sprintf("sport = :%d", port))),
				cluster.Advise("or give the cluster another port", cluster.Bonsai("start").Of(k.Spec.Name).With("--api-port", "PORT").Fill("PORT").Change()))
		}
		for _, p := range k.Spec.Ports {
			at := netip.AddrPortFrom(p.Address, uint16(p.Port))
			if p.Protocol != cluster.TCP || free(at) {
				continue
			}
			c.add(cluster.ProblemPortLost, cluster.SeverityWarning, fmt.Sprintf("something listens on %s, which is a port of cluster %s", at, k.Spec.Name),
				"it was started while the cluster did not run",
				cluster.Advise("see what it is", cluster.Program("ss", "-ltnp").On(fmt.Sprintf("sport = :%d", p.Port))),
				cluster.Advise("or close the port of the cluster", cluster.Bonsai("port", "list").Of(k.Spec.Name)))
		}
	}
	switch {
	case checked > 0:
		c.Detail = "those of " + counted(checked) + " that does not run"
		if checked > 1 {
			c.Detail = "those of " + counted(checked) + " that do not run"
		}
	case free(netip.AddrPortFrom(loopback, defaultPort)):
		c.Detail = fmt.Sprintf("%d is free for a new cluster", defaultPort)
	default:
		c.Detail = fmt.Sprintf("%d is taken; a new cluster gets another one", defaultPort)
	}
	return c
}

// defaultPort is what a new cluster takes if it can.
const defaultPort = 6443

// CheckSubnets judges the ranges of nodes, pods and Services by what this machine reaches, and whether one is free for a new
// cluster. taken are the ranges of the engine's networks, of clusters and of interfaces.
func CheckSubnets(clusters []Known, taken []netip.Prefix, all []routes.Route) Check {
	c := Check{ID: IDSubnets}
	free, err := cluster.ChooseSubnet(taken)
	if err != nil {
		c.add(cluster.ProblemNoSubnet, cluster.SeverityWarning, "no range is free for the nodes of a new cluster", err.Error(),
			cluster.Advise("name a free one", cluster.Bonsai("start").With("--subnet", "172.29.0.0/22").Change()),
			cluster.Advise("or delete clusters that you do not need", cluster.Bonsai("profile", "list").OfNone()))
	} else {
		c.Detail = free.String() + " is free for a new cluster"
	}
	for _, k := range clusters {
		s := k.Spec
		if len(s.Nodes) == 0 {
			continue
		}
		var inside []string
		for _, r := range all {
			// Its bridge has the range itself, and this machine the address of the gateway.
			if r.To.Bits() > s.Subnet.Bits() && s.Subnet.Contains(r.To.Addr()) && r.To.Addr() != s.Gateway {
				inside = append(inside, r.To.String())
			}
		}
		if len(inside) > 0 {
			c.add(cluster.ProblemBeside, cluster.SeverityError, fmt.Sprintf("this machine has other routes into the network of the nodes of cluster %s", s.Name),
				fmt.Sprintf("the nodes are in %s, and what is at %s is reached elsewhere, for example through a VPN", s.Subnet, strings.Join(inside, ", ")),
				cluster.Advise("recreate the cluster in a free range", cluster.Bonsai("delete").Of(s.Name).Change(),
					cluster.Bonsai("start").Of(s.Name).With("--subnet", "172.29.0.0/22").Change()))
		}
		if met := routes.Beside(all, s.Subnet, s.PodRange(), s.ServiceRange()); len(met) > 0 {
			slices.SortFunc(met, netip.Prefix.Compare)
			c.add(cluster.ProblemRange, cluster.SeverityWarning, fmt.Sprintf("pods of cluster %s cannot reach what this machine reaches at %s", s.Name, list(slices.Compact(met))),
				fmt.Sprintf("the cluster's pods have %s, its Services %s", s.PodRange(), s.ServiceRange()),
				cluster.Advise("recreate the cluster with other ranges", cluster.Bonsai("delete").Of(s.Name).Change(),
					cluster.Bonsai("start").Of(s.Name).With("--pod-subnet", "172.24.0.0/16", "--service-subnet", "172.25.0.0/16").Change()))
		}
	}
	return c
}

func list(ranges []netip.Prefix) string {
	words := make([]string, len(ranges))
	for i, r := range ranges {
		words[i] = r.String()
	}
	return strings.Join(words, ", ")
}

// Firewall is a program that filters what comes to this machine.
type Firewall string

// Those that are recognized.
const (
	UFW       Firewall = "ufw"
	Firewalld Firewall = "firewalld"
)

// Probe is whether a node of a running cluster reaches the API server on this machine.
type Probe struct {
	Cluster, Node string
	// Err is why it does not, nil if it does.
	Err error
}

// CheckFirewall judges the path from nodes to this machine: by what nodes of running clusters report, and, without any, by which
// firewalls are active.
func CheckFirewall(active []Firewall, probes []Probe) Check {
	c := Check{ID: IDFirewall}
	reached := 0
	for _, p := range probes {
		if p.Err == nil {
			reached++
			continue
		}
		f := Failed(IDFirewall, p.Err)
		for i := range f.Findings {
			f.Findings[i].Problem = f.Findings[i].For(p.Cluster)
			f.Findings[i].Object = "node/" + p.Node
		}
		c.Findings = append(c.Findings, f.Findings...)
	}
	if len(probes) > 0 {
		c.Detail = fmt.Sprintf("nodes of %d of %s that run reach the API server", reached, counted(len(probes)))
		return c
	}
	for _, name := range active {
		c.add(cluster.ProblemFirewall, cluster.SeverityWarning, string(name)+" is active, and may keep nodes from the API server on this machine",
			"nodes reach it at the gateway of their network; a start finds out, and names what to allow", allow(name, cluster.SubnetPool.String(), defaultPort))
	}
	if c.Detail = "no cluster runs that could be asked"; len(active) == 0 {
		c.Detail += ", and no firewall is recognized"
	}
	return c
}

// allow is how a firewall lets nodes reach an API server.
func allow(f Firewall, from string, port int) cluster.Advice {
	if f == UFW {
		return cluster.Advise("with ufw", cluster.Program("sudo", "ufw", "allow", "from", from, "to", "any", "port", strconv.Itoa(port), "proto", "tcp").Change())
	}
	return cluster.Advise("with firewalld", cluster.Program("sudo", "firewall-cmd", "--zone=trusted", "--add-source="+from).Change())
}

// Unreachable is the fault of nodes that do not reach the API server at an address of this machine.
func Unreachable(spec *cluster.Spec, evidence []string) *fault.Fault {
	server := netip.AddrPortFrom(spec.Gateway, uint16(spec.APIPort))
	from, port := spec.Subnet.String(), strconv.Itoa(spec.APIPort)
	f := fault.Newf(fault.Unreachable, "nodes cannot reach the API server at %s on this host", server).
		WithEvidence(evidence...).
		Advise("a firewall on this host probably drops what comes from container networks; allow it, then start again")
	f.Advice = append(f.Advice, allow(UFW, from, spec.APIPort), allow(Firewalld, from, spec.APIPort))
	return f.Advise("with iptables", cluster.Program("sudo", "iptables", "-I", "INPUT", "-s", from, "-p", "tcp", "--dport", port, "-j", "ACCEPT").Change())
}

// CheckKubeconfig judges whether the user's kubeconfig can be used, and whether it leads to the clusters that run. err is why
// it cannot be used.
func CheckKubeconfig(err error, clusters []Known) Check {
	if err != nil {
		return Failed(IDKubeconfig, err)
	}
	c := Check{ID: IDKubeconfig}
	leads := 0
	for _, k := range clusters {
		switch {
		case k.Leads:
			leads++
		case k.Running && !k.Apart:
			c.add(cluster.ProblemContext, cluster.SeverityWarning, fmt.Sprintf("no context of the kubeconfig leads to cluster %s", k.Spec.Name),
				"its entry is "+strings.ToLower(k.Context), cluster.Advise("write the entry", cluster.Bonsai("update-context").Of(k.Spec.Name).Change())).
				Repair = Repair{Do: WriteContext, Of: k.Spec.Name}
		}
	}
	if c.Detail = "it can be changed"; len(clusters) > 0 {
		c.Detail += fmt.Sprintf("; contexts lead to %d of %s", leads, counted(len(clusters)))
	}
	return c
}

// CheckClusters sums up the clusters of the state folder; broken are those whose spec cannot be used, and troubles what is
// wrong with others.
func CheckClusters(clusters []Known, broken []error, troubles []cluster.Problem) Check {
	running := 0
	for _, k := range clusters {
		if k.Running {
			running++
		}
	}
	c := Check{ID: IDClusters, Detail: fmt.Sprintf("%s, %d running", counted(len(clusters)+len(broken)), running)}
	for _, err := range broken {
		c.Findings = append(c.Findings, Finding{Problem: fault.Problem(err)})
	}
	for _, p := range troubles {
		c.Findings = append(c.Findings, Finding{Problem: p})
	}
	return c
}

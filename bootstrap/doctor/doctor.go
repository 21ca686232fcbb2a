// Package doctor judges whether this machine is fit for clusters: facts go in, checks with problems come out, each problem
// with what to type. It does no input or output; package doctor/look reads the facts, and bootstrap.Manager.Doctor puts both
// together.
//
// Begin reading at Check. kernel.go, machine.go and network.go have the checks.
package doctor

import (
	"cmp"
	"fmt"
	"slices"

	"bonsai/bootstrap/cluster"
	"bonsai/bootstrap/fault"
)

// IDs of the checks, in the order in which they are shown. They are stable.
const (
	IDEngine     = "engine"
	IDCgroups    = "cgroups"
	IDKernel     = "kernel"
	IDLimits     = "limits"
	IDMemory     = "memory"
	IDDisk       = "disk"
	IDClock      = "clock"
	IDFolder     = "state-folder"
	IDKubeconfig = "kubeconfig"
	IDPorts      = "ports"
	IDSubnets    = "subnets"
	IDFirewall   = "firewall"
	IDProxy      = "proxy"
	IDSession    = "session"
	IDClusters   = "clusters"
)

// titles name the checks for people.
var titles = map[string]string{
	IDEngine: "Container engine", IDCgroups: "Control groups", IDKernel: "Kernel", IDLimits: "Limits", IDMemory: "Memory",
	IDDisk: "Disk", IDClock: "Clock", IDFolder: "State folder", IDKubeconfig: "kubeconfig", IDPorts: "Ports",
	IDSubnets: "Networks", IDFirewall: "Firewall", IDProxy: "Proxy", IDSession: "Session", IDClusters: "Clusters",
}

// Remedy is a kind of repair that needs no root, or for which this process has the rights.
type Remedy string

// The remedies.
const (
	RaiseLimit   Remedy = "limit"      // Of is a limits.Name
	MakePrivate  Remedy = "private"    // Of is a folder
	WriteContext Remedy = "kubeconfig" // Of is a cluster
)

// Repair is what "--fix" does about a problem; the zero value is nothing.
type Repair struct {
	Do Remedy
	Of string
}

// Finding is a problem, perhaps with a repair.
type Finding struct {
	cluster.Problem
	Repair Repair
}

// Check is the outcome of one check. One that could not look at anything is Unknown, and Detail says why.
type Check struct {
	ID, Detail string
	Unknown    bool
	Findings   []Finding
}

// Result is the check as it is shown.
func (c Check) Result() cluster.Check {
	r := cluster.Check{ID: c.ID, Title: titles[c.ID], Detail: c.Detail}
	for _, f := range c.Findings {
		r.Problems = append(r.Problems, f.Problem)
	}
	cluster.SortProblems(r.Problems)
	r.State = cluster.Worst(r.Problems)
	if c.Unknown && r.State == cluster.CheckOK {
		r.State = cluster.CheckUnknown
	}
	return r
}

// add notes a problem.
func (c *Check) add(kind string, severity cluster.Severity, summary, cause string, advice ...cluster.Advice) *Finding {
	c.Findings = append(c.Findings, Finding{Problem: cluster.Problem{Kind: kind, Severity: severity, Summary: summary, Cause: cause, Advice: advice}})
	return &c.Findings[len(c.Findings)-1]
}

// Failed is a check that found a fault.
func Failed(id string, err error) Check {
	return Check{ID: id, Findings: []Finding{{Problem: fault.Problem(err)}}}
}

// Unknown is a check that could not look at anything.
func Unknown(id, why string) Check { return Check{ID: id, Detail: why, Unknown: true} }

// Unfit is the fault of a machine by its worst problem, nil without errors. Its kind is that of the problem if that has an
// exit code.
func Unfit(checks []cluster.Check) error {
	var worst []cluster.Problem
	for _, c := range checks {
		for _, p := range c.Problems {
			if p.Severity == cluster.SeverityError {
				worst = append(worst, p)
			}
		}
	}
	if len(worst) == 0 {
		return nil
	}
	kind := fault.Kind(worst[0].Kind)
	if !slices.Contains(fault.Kinds(), kind) {
		kind = fault.Machine
	}
	return fault.Newf(kind, "%s", cmp.Or(worst[0].Cause, worst[0].Summary))
}

// counted is "1 cluster", "2 clusters".
func counted(clusters int) string {
	if clusters == 1 {
		return "1 cluster"
	}
	return fmt.Sprintf("%d clusters", clusters)
}

// size is an amount of bytes in the unit that suits it.
func size(n int64) string {
	if n < 1<<30 {
		return fmt.Sprintf("%d MiB", n>>20)
	}
	return fmt.Sprintf("%.1f GiB", float64(n)/(1<<30))
}

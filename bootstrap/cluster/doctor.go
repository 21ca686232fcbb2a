package cluster

import "slices"

// CheckState is the outcome of a Check.
type CheckState string

// The states, best first.
const (
	CheckOK      CheckState = "ok"
	CheckUnknown CheckState = "unknown" // it could not be looked at
	CheckWarning CheckState = "warning"
	CheckError   CheckState = "error" // clusters cannot run, or one of those that exist
)

// Check is one thing that "bonsai doctor" looks at on this machine.
type Check struct {
	// ID is stable and meant for scripts ("engine"), Title names it for people.
	ID    string     `json:"id"`
	Title string     `json:"title"`
	State CheckState `json:"state"`
	// Detail is what was seen, in one line.
	Detail string `json:"detail,omitempty"`
	// Problems are what is wrong, with what to type. Those in Fixed are gone.
	Problems []Problem `json:"problems,omitempty"`
	// Fixed says what "--fix" has done.
	Fixed []string `json:"fixed,omitempty"`
}

// Worst is the state of the worst problem, and CheckOK without any.
func Worst(problems []Problem) CheckState {
	has := func(s Severity) bool {
		return slices.ContainsFunc(problems, func(p Problem) bool { return p.Severity == s })
	}
	switch {
	case has(SeverityError):
		return CheckError
	case has(SeverityWarning):
		return CheckWarning
	}
	return CheckOK
}

// Kinds of problems with this machine, which "bonsai doctor" finds besides those that are kinds of faults.
const (
	ProblemKernel   = "KernelLacks"      // the kernel was built without something that nodes need
	ProblemModules  = "ModulesGone"      // the running kernel's modules are not on the disk any more
	ProblemCgroups  = "CgroupsLack"      // a control group controller that nodes need is off
	ProblemCgroupV1 = "CgroupV1"         // control groups of version 1, which Kubernetes has deprecated
	ProblemEngine   = "EngineWarning"    // the engine works, but something about it may cause trouble
	ProblemRAM      = "LittleMemory"     // little memory is left for another cluster
	ProblemRoom     = "LittleDisk"       // little room is left on a disk
	ProblemClock    = "ClockWrong"       // the clock is behind what was made earlier
	ProblemFirewall = "FirewallActive"   // a firewall that may keep nodes from the API server
	ProblemProxy    = "ProxyUnusable"    // a variable of the environment that is not a proxy
	ProblemSession  = "EndsWithSession"  // the control plane ends when the user logs out
	ProblemNoSubnet = "SubnetsTaken"     // no range is free for the nodes of a new cluster
	ProblemBeside   = "SubnetRouted"     // this machine reaches something else at addresses of nodes
	ProblemContext  = "ContextMissing"   // the kubeconfig does not lead to a running cluster
	ProblemFolder   = "StateFolderOpen"  // others may read the state folder
	ProblemDistant  = "StateFolderAway"  // the state folder is on a network file system
	ProblemAfar     = "EngineElsewhere"  // the engine is not on this machine's kernel
	ProblemPortLost = "StoppedPortTaken" // something listens on the port of a cluster that does not run
)

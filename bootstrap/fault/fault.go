// Package fault is bonsai's error type for everything that a user can do something about: a stable kind, what was tried
// on what, the cause, and what to type next. The kind determines the exit code, in one place.
//
// Inside a package plain wrapped errors are fine; an error that leaves it towards the user must have been turned into a
// Fault. errors.As finds it at any depth.
package fault

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"slices"

	"bonsai/bootstrap/cluster"
)

// Kind is a class of failure. Its text is stable: scripts and the JSON output rely on it.
type Kind string

// All kinds, with the exit code of each in codes.
const (
	Internal         Kind = "Internal"           // a bug in bonsai itself
	Usage            Kind = "Usage"              // an invalid flag or argument
	NotFound         Kind = "ClusterNotFound"    // no cluster of that name
	NodeNotFound     Kind = "NodeNotFound"       // no node of that name
	Busy             Kind = "ClusterBusy"        // another bonsai command is working on the cluster
	SpecBroken       Kind = "SpecBroken"         // spec.json cannot be read
	State            Kind = "StateFolder"        // the state folder is read-only, full or not ours
	Limit            Kind = "MachineLimit"       // a limit of this machine is too low
	Machine          Kind = "MachineUnfit"       // something else on this machine keeps clusters from running
	EngineDown       Kind = "EngineDown"         // Docker does not answer
	EnginePermission Kind = "EnginePermission"   // this user may not use Docker
	EngineTooOld     Kind = "EngineTooOld"       // Docker's API is older than we need
	Engine           Kind = "EngineFailed"       // Docker answered with an error
	Conflict         Kind = "Conflict"           // a port, subnet or name is taken
	Version          Kind = "KubernetesVersion"  // a version that this binary does not have
	ControlPlane     Kind = "ControlPlaneFailed" // etcd, API server, controllers or scheduler
	Node             Kind = "NodeFailed"         // a node did not become ready
	Unreachable      Kind = "HostUnreachable"    // nodes cannot reach the API server (host firewall)
	NotRunning       Kind = "ClusterNotRunning"  // the command needs a running cluster
	Timeout          Kind = "Timeout"            // a wait reached its limit
	Canceled         Kind = "Canceled"           // Ctrl-C
	Kubeconfig       Kind = "Kubeconfig"         // the user's kubeconfig cannot be read or written
	Output           Kind = "Output"             // the command's own output cannot be written
	Image            Kind = "Image"              // an image that cannot be found or loaded
	AddonNotFound    Kind = "AddonNotFound"      // no addon of that name in this version
	Addon            Kind = "AddonFailed"        // an addon does not run, or is needed by others
	NotResolved      Kind = "NotResolved"        // cluster DNS has no answer for a name
	Blocked          Kind = "NodeNotEmptied"     // pods or data keep a node from being deleted
	ObjectNotFound   Kind = "ObjectNotFound"     // the API does not have the object, or no longer has it
	Refused          Kind = "RequestRefused"     // the API server rejected a request
	// CheckpointNotFound means that there is no checkpoint of that name, Checkpoint that one cannot be saved or used.
	CheckpointNotFound Kind = "CheckpointNotFound"
	Checkpoint         Kind = "CheckpointUnusable"
	// NotReached means that one end does not reach the other.
	NotReached Kind = "NotReached"
	// NotDone means that a step of a lesson is not done yet.
	NotDone Kind = "StepNotDone"
)

// codes are documented in docs/problems.md, which package kinds makes. 1 is anything unclassified, 2 is reserved for usage as in most tools; the
// tens are groups: 1x this machine's state, 2x the engine, 3x the cluster, 4x objects in it.
var codes = map[Kind]int{
	Internal: 1, Usage: 2,
	State: 10, SpecBroken: 11, Busy: 12, Conflict: 13, Kubeconfig: 14, Version: 15, Limit: 16, Output: 17, Machine: 18,
	EngineDown: 20, EnginePermission: 21, EngineTooOld: 22, Engine: 23, Unreachable: 24, Image: 25,
	NotFound: 30, NodeNotFound: 31, NotRunning: 32, ControlPlane: 33, Node: 34, Timeout: 35,
	AddonNotFound: 36, Addon: 37, NotResolved: 38, Blocked: 39,
	ObjectNotFound: 40, Refused: 41, CheckpointNotFound: 42, Checkpoint: 43, NotReached: 44, NotDone: 48,
	Canceled: 130,
}

// Kinds lists all kinds, in the order of their exit codes.
func Kinds() []Kind {
	return slices.SortedFunc(maps.Keys(codes), func(a, b Kind) int { return cmp.Compare(codes[a], codes[b]) })
}

// Fault is an error with a kind and advice.
type Fault struct {
	Kind Kind
	// Op is what was tried on what ("create node bonsai-1"); it is printed before the cause.
	Op string
	// Err is the cause.
	Err error
	// Advice is what to type or do next, the best first; empty if there is nothing sensible to say.
	Advice []cluster.Advice
	// Evidence are the relevant log lines, oldest first.
	Evidence []string
}

// New returns a fault of a kind with a cause.
func New(kind Kind, op string, err error) *Fault { return &Fault{Kind: kind, Op: op, Err: err} }

// Newf returns a fault with a formatted cause; %w works.
func Newf(kind Kind, format string, args ...any) *Fault {
	return &Fault{Kind: kind, Err: fmt.Errorf(format, args...)}
}

// Advise adds a thing to do, with the commands that do it in this order, and returns the fault. text does not repeat
// what the commands say; it may be empty. It is a fixed phrase where possible, so that it can be translated.
func (f *Fault) Advise(text string, commands ...cluster.Command) *Fault {
	f.Advice = append(f.Advice, cluster.Advise(text, commands...))
	return f
}

// Advisef adds a thing to do for which there is no command and whose text has to name something.
func (f *Fault) Advisef(format string, args ...any) *Fault {
	return f.Advise(fmt.Sprintf(format, args...))
}

// WithEvidence adds log lines and returns the fault.
func (f *Fault) WithEvidence(lines ...string) *Fault {
	f.Evidence = append(f.Evidence, lines...)
	return f
}

func (f *Fault) Error() string {
	switch {
	case f.Op == "" && f.Err == nil:
		return string(f.Kind)
	case f.Op == "":
		return f.Err.Error()
	case f.Err == nil:
		return f.Op
	}
	return f.Op + ": " + f.Err.Error()
}

func (f *Fault) Unwrap() error { return f.Err }

// KindOf returns the kind of the outermost fault in err's chain, Internal if there is none.
func KindOf(err error) Kind {
	if f, ok := errors.AsType[*Fault](err); ok {
		return f.Kind
	}
	return Internal
}

// ExitCode maps an error to the process's exit code; nil is 0.
func ExitCode(err error) int {
	if err == nil {
		return 0
	}
	if c, ok := codes[KindOf(err)]; ok {
		return c
	}
	return 1
}

// KindOfCode returns the kind that a command with this exit code has failed with, Internal for any other code.
func KindOfCode(code int) Kind {
	for kind, c := range codes {
		if c == code {
			return kind
		}
	}
	return Internal
}

// Problem turns any error into the value that CLI, JSON and terminal UI show.
func Problem(err error) cluster.Problem {
	p := cluster.Problem{Kind: string(Internal), Severity: cluster.SeverityError, Summary: err.Error()}
	if f, ok := errors.AsType[*Fault](err); ok {
		p.Kind, p.Advice, p.Evidence = string(f.Kind), f.Advice, f.Evidence
		if f.Op != "" && f.Err != nil {
			p.Summary, p.Cause = f.Op, f.Err.Error()
		}
	}
	return p
}

// FromProblem restores the error from which a problem was created, for a process that received one.
func FromProblem(p cluster.Problem) *Fault {
	f := &Fault{Kind: Kind(p.Kind), Op: p.Summary, Advice: p.Advice, Evidence: p.Evidence}
	if p.Cause != "" {
		f.Err = errors.New(p.Cause)
	}
	return f
}

// Package limits knows the limits of a Linux machine that the nodes of all clusters share, what nodes and pods take of
// them, and how programs report that they have reached one. It judges whether a machine has enough left for a start.
//
// It is pure: facts go in, verdicts come out. Package limits/machine reads the facts. docs/limits.md is the same table for
// users, which a test compares with this one. Begin reading at Judge; the table is in table.go.
package limits

import (
	"fmt"

	"bonsai/bootstrap/cluster"
	"bonsai/bootstrap/fault"
)

// Level is how much of a limit is used.
type Level struct {
	Limit, Used int64
	// AtLeast says that not everything that uses it could be seen.
	AtLeast bool
}

// left is how much can still be taken.
func (l Level) left() int64 { return max(0, l.Limit-l.Used) }

// Facts are the levels of a machine. A limit that is not in it is unknown, and nothing is said about it.
type Facts map[Name]Level

// Demand is what is about to be started.
type Demand struct {
	Nodes int
	// ControlPlane says that its process starts too, and counts towards the same limits.
	ControlPlane bool
	CgroupV2     bool
}

// of is what is needed of a limit.
func (d Demand) of(l Limit) int64 {
	n := int64(d.Nodes) * l.Cost.Node
	if d.ControlPlane {
		n += l.Cost.ControlPlane
	}
	return n
}

// room is what a few pods on each node need of a limit.
func (d Demand) room(l Limit) int64 {
	if d.CgroupV2 {
		return int64(d.Nodes) * somePods * l.Cost.PodV2
	}
	return int64(d.Nodes) * somePods * l.Cost.Pod
}

const (
	// somePods is how many pods on each new node have to fit, or a start warns.
	somePods = 10
	// nearlyFull is how many percent of a limit are used when a start warns about one that nodes do not use up.
	nearlyFull = 90
	// littleDisk is how much free space of the engine's disk is too little for a few images.
	littleDisk = 1 << 30
)

// Grade is how bad a verdict is.
type Grade int

// The grades.
const (
	// Near means that it fits, with room for few or no pods.
	Near Grade = iota + 1
	// Short means that what is about to be started certainly does not fit.
	Short
)

// Verdict is a limit that is too low.
type Verdict struct {
	Limit
	Level
	Grade  Grade
	Needs  int64
	demand Demand
}

// Judge returns the limits that are too low for a demand, in the order of the table.
func Judge(facts Facts, d Demand) []Verdict {
	var list []Verdict
	if d.Nodes == 0 && !d.ControlPlane {
		return nil
	}
	for _, l := range table {
		level, known := facts[l.Name]
		if !known || level.Limit <= 0 {
			continue
		}
		v := Verdict{Limit: l, Level: level, Needs: d.of(l), demand: d}
		switch left := level.left(); {
		case v.Needs > left:
			v.Grade = Short
		case l.full && level.Used*100 >= level.Limit*nearlyFull,
			l.Name == Disk && left < littleDisk,
			v.Needs+d.room(l)+l.spare > left:
			v.Grade = Near
		default:
			continue
		}
		list = append(list, v)
	}
	return list
}

// String says what is left and what is needed.
func (v Verdict) String() string {
	left, of := fmt.Sprint(v.left()), fmt.Sprint(v.Level.Limit)
	needs := fmt.Sprint(v.Needs)
	if v.Name == Disk {
		left, of, needs = mebibytes(v.left()), mebibytes(v.Level.Limit), mebibytes(v.Needs)
	}
	if v.AtLeast {
		left = "at most " + left
	}
	text := fmt.Sprintf("%s of %s %s are left", left, of, v.Noun)
	if v.Name == Disk {
		text = fmt.Sprintf("%s of %s of the %s are free", left, of, v.Noun)
	}
	if v.Needs == 0 {
		return text
	}
	what := "the control plane takes"
	if v.demand.Nodes > 0 {
		what = nodes(v.demand.Nodes) + " take"
		if v.demand.Nodes == 1 {
			what += "s"
		}
	}
	text += fmt.Sprintf(", and %s %s", what, needs)
	if v.Grade == Near && v.Name != Disk && !v.full {
		text += ", without pods"
	}
	return text
}

func nodes(n int) string {
	if n == 1 {
		return "1 node"
	}
	return fmt.Sprintf("%d nodes", n)
}

func mebibytes(n int64) string { return fmt.Sprintf("%d MiB", n>>20) }

// Fault is the error of a start that does not fit.
func (v Verdict) Fault() *fault.Fault {
	f := fault.Newf(fault.Limit, "this machine does not have enough %s: %s", v.Noun, v)
	f.Advice = v.Advice()
	return f
}

// Advice is how to raise a limit, or what to do about one that cannot be raised.
func (l Limit) Advice() []cluster.Advice {
	switch {
	case l.Setting != "":
		return []cluster.Advice{
			cluster.Advise("raise this machine's limit", cluster.Program("sudo", "sysctl", "-w").On(fmt.Sprintf("%s=%d", l.Setting, l.Value)).Change()),
			cluster.Advise("to keep it across restarts of the machine, write the setting into a file in /etc/sysctl.d"),
		}
	case l.Name == Disk:
		return []cluster.Advice{cluster.Advise("see what uses the space", cluster.Program("docker", "system", "df"))}
	case l.Name == LoopDevices:
		return []cluster.Advice{cluster.Advise("see what uses loop devices", cluster.Program("sudo", "losetup", "--list"))}
	}
	return []cluster.Advice{cluster.Advise("raise the limit of the container engine's service")}
}

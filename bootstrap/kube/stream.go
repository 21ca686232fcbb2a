package kube

import (
	"io"
	"time"
)

// EventLine is one Event.
type EventLine struct {
	UID       string    `json:"uid"`
	Time      time.Time `json:"time"`
	Warning   bool      `json:"warning,omitempty"`
	Reason    string    `json:"reason"`
	Namespace string    `json:"namespace,omitempty"`
	// Object is what it is about.
	Object  Object `json:"object"`
	Message string `json:"message"`
	// Count is how often it was seen.
	Count int `json:"count"`
	// Source is the component that reports it, Node the one that this runs on; both may be empty.
	Source string `json:"source,omitempty"`
	Node   string `json:"node,omitempty"`
}

// LogQuery selects logs.
type LogQuery struct {
	Namespace string `json:"namespace"`
	// Pods by name; empty with a Selector, or with neither for the whole namespace.
	Pods     []string `json:"pods,omitempty"`
	Selector string   `json:"selector,omitempty"`
	// Container is empty for all.
	Container string `json:"container,omitempty"`
	// Tail is how many existing lines of each container are sent; negative is all.
	Tail   int  `json:"tail"`
	Follow bool `json:"follow,omitempty"`
	// Previous selects the log of the containers before their last restart; it cannot be followed.
	Previous bool `json:"previous,omitempty"`
}

// LogLine is one line of one log.
type LogLine struct {
	Time   time.Time `json:"time,omitzero"`
	Source LogSource `json:"source,omitzero"`
	Text   string    `json:"text,omitempty"`
	// Marker is what happened at this point of the log; such a line has no Text. It is nil for lines of the log itself.
	Marker *LogMarker `json:"marker,omitempty"`
}

// LogSource is where a line comes from: a container of a pod, a component of a node, or one of this machine, which has
// neither Pod nor Node.
type LogSource struct {
	Namespace string `json:"namespace,omitempty"`
	Pod       string `json:"pod,omitempty"`
	Node      string `json:"node,omitempty"`
	// Container is the container, or the component.
	Container string `json:"container,omitempty"`
}

// Place is the pod ("namespace/name") or the node, empty for this machine.
func (s LogSource) Place() string {
	if s.Pod == "" {
		return s.Node
	}
	return s.Namespace + "/" + s.Pod
}

// LogMarker is something that happened to a log.
type LogMarker struct {
	Kind LogMarkerKind `json:"kind"`
	// Count is the number of the restart, or how many lines or containers are meant.
	Count int `json:"count,omitempty"`
	// End is how a container ended, zero if that is not known.
	End ContainerState `json:"end,omitzero"`
	// Reason is why the log cannot be read.
	Reason string `json:"reason,omitempty"`
}

// LogMarkerKind says what a LogMarker is about.
type LogMarkerKind string

// What can happen to a log.
const (
	LogRestarted  LogMarkerKind = "restarted"  // the container, for the Count-th time; the one before it ended as End says
	LogEnded      LogMarkerKind = "ended"      // the container, for good
	LogUnreadable LogMarkerKind = "unreadable" // because of Reason
	LogDropped    LogMarkerKind = "dropped"    // Count lines, because they came faster than they were taken
	LogCrowded    LogMarkerKind = "crowded"    // there are more containers than the Count that are followed
	LogGap        LogMarkerKind = "gap"        // lines may be missing here
	LogNodeOutput LogMarkerKind = "nodeOutput" // the node is stopped; what follows is its container's own output
)

// Exec is a command to run in a container, or in a node if Pod is empty.
type Exec struct {
	Node      string `json:"node,omitempty"`
	Namespace string `json:"namespace,omitempty"`
	Pod       string `json:"pod,omitempty"`
	Container string `json:"container,omitempty"`
	// Command is empty for the best available shell.
	Command []string `json:"command,omitempty"`
	// The streams belong to the call, not to the value. With Size the command has a terminal.
	Stdin  io.Reader           `json:"-"`
	Stdout io.Writer           `json:"-"`
	Stderr io.Writer           `json:"-"`
	Size   <-chan TerminalSize `json:"-"`
}

// TerminalSize is in characters.
type TerminalSize struct {
	Width  int `json:"width"`
	Height int `json:"height"`
}

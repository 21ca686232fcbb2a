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

// LogLine is one line of one container's log.
type LogLine struct {
	Time time.Time `json:"time,omitzero"`
	// Pod is "namespace/name"; the node for logs of nodes.
	Pod string `json:"pod,omitempty"`
	// Container is the component for logs of components.
	Container string `json:"container,omitempty"`
	Text      string `json:"text"`
	// Marker lines are not from the log: a restart, a container that ended, lines that were dropped.
	Marker bool `json:"marker,omitempty"`
}

// Exec is a command to run in a container, or in a node if Pod is empty.
type Exec struct {
	Node      string `json:"node,omitempty"`
	Namespace string `json:"namespace,omitempty"`
	Pod       string `json:"pod,omitempty"`
	Container string `json:"container,omitempty"`
	// Command is empty for the best shell that there is.
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

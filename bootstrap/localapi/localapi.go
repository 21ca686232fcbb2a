// Package localapi is how CLI and terminal UI talk to a cluster's daemon: HTTP with JSON over a unix socket that only
// the cluster's owner can open.
//
//	GET  /v1/snapshot   one cluster.Snapshot
//	GET  /v1/watch      a Snapshot per line: one at once, then whenever it is another one, about ten a second at most
//	GET  /v1/events     a cluster.Event per line: all since the daemon began, until its start has ended
//	GET  /v1/logs       text; component, tail, follow
//	GET  /v1/load       a cluster.Load per line, once a second
//	GET  /v1/addons     []cluster.AddonStatus, all of them
//	GET  /v1/dns/status  []cluster.DNSStatus, one per node
//	GET  /v1/flows       a cluster.Flows per line, once a second: who talks to whom
//	POST /v1/why         a cluster.WhyQuestion; a cluster.Why
//	GET  /v1/dns/log     a cluster.DNSQuery per line: what is answered from now on; node, pod, fold
//	POST /v1/dns/lookup  a cluster.DNSQuestion; a cluster.DNSAnswer
//	POST /v1/dns/flush   []cluster.DNSFlushed; node
//	GET  /v1/dns/host    a cluster.HostDNS: the names that the cluster has on this machine
//	GET  /v1/birth      a cluster.Birth per line, until the pod is ready or gone; namespace, name
//	GET  /v1/ports      []cluster.PortStatus
//	POST /v1/drain      a cluster.DrainRequest; a cluster.DrainProgress per line, until the nodes are empty
//	POST /v1/uncordon   let nodes take pods again; node
//	POST /v1/history    a cluster.HistoryQuery; a cluster.History
//	POST /v1/diff       a cluster.DifferenceQuery; []cluster.Difference
//	POST /v1/revert     a cluster.RevertRequest; a cluster.Reverted
//	POST /v1/dashboard/login   a cluster.DashboardLogin; readonly
//	POST /v1/dashboard/revoke  a cluster.DashboardRevoked
//	POST /v1/pause      end everything that acts on objects and nodes; answers when that is done; idle
//	POST /v1/resume     run it again
//	POST /v1/reload     read spec.json again; answers when that is done
//	POST /v1/stop       stop in order; answers at once
//
// An error is a cluster.Problem: as the body of an answer that is not 200, or, once a stream has begun, in its trailer.
// A stream that breaks off is an error too, so that a daemon's crash is never mistaken for the end of a stream. Begin
// reading at Backend, Listen and Client.
package localapi

import (
	"context"
	"io"

	"bonsai/bootstrap/cluster"
)

// Backend provides the daemon's answers. Its methods may be called concurrently from any goroutine; ctx ends when the
// client disconnects or the server closes.
type Backend interface {
	Snapshot(ctx context.Context) cluster.Snapshot
	// Watch calls send with the newest snapshot until ctx ends or send fails, and returns that failure.
	Watch(ctx context.Context, send func(cluster.Snapshot) error) error
	// Events calls send with every event since the daemon started and returns when its start has succeeded or failed.
	Events(ctx context.Context, send func(cluster.Event) error) error
	Logs(ctx context.Context, q LogQuery, w io.Writer) error
	LoadBackend
	FlowBackend
	AddonBackend
	DNSBackend
	BirthBackend
	PortBackend
	DrainBackend
	HandoverBackend
	CheckpointBackend
	HistoryBackend
	PauseBackend
	DashboardBackend
	Reload(ctx context.Context) error
	// Stop begins an orderly stop and returns at once.
	Stop()
}

// LogQuery selects log lines.
type LogQuery struct {
	Component string
	// Tail is how many lines from the end to start with; 0 or less means all.
	Tail   int
	Follow bool
}

// problemTrailer carries the Problem of a stream that ended with an error, as JSON; endTrailer marks the end of a
// complete one.
const (
	problemTrailer = "Bonsai-Problem"
	endTrailer     = "Bonsai-End"
)

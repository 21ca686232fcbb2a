// Package tui is the terminal UI: is the cluster fine, and if not, why, and which key helps.
//
// It draws what a Session reports and asks that Session for everything. It does not use the network, the files of a
// cluster or Kubernetes types. Start reading at Run, then Session.
package tui

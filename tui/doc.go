// Package tui is the terminal UI: is the cluster fine, and if not, why, and which key helps.
//
// It draws what a Session reports and asks that Session for everything; it knows no network, no files of a cluster and no
// Kubernetes types. Begin reading at Run, then Session.
package tui

// Package usage measures how much CPU, memory and disk a node and each of its pods use.
//
// The node returns counters (cluster.NodeCounters), read from its cgroups on request only; the client computes figures
// from two of them. So the node keeps no state, and any number of clients, each at its own pace, get correct answers.
// Begin reading at Read; pods.go knows where the kubelet puts pods.
package usage

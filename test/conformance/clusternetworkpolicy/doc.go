// Package clusternetworkpolicy runs upstream's conformance tests of ClusterNetworkPolicy (sigs.k8s.io/network-policy-api/conformance)
// against a cluster of bonsai. It is a module of its own, so that the suite does not influence the versions that Kubernetes' tests are
// built with.
//
// run.sh builds everything and starts the cluster; TestConformance runs the suite in it.
package clusternetworkpolicy

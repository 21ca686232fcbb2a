// Package bonsaitest starts Kubernetes clusters for Go tests:
//
//	func TestOperator(t *testing.T) {
//		cluster := bonsaitest.Start(t)
//		client, err := kubernetes.NewForConfig(cluster.Config())
//		…
//	}
//
// A cluster is an API server with etcd, which starts in about a second and needs no container engine, or, with the option
// Nodes, a whole cluster that runs pods. It ends with its test. Shared is one for all tests of a package. Package envtest,
// below, has the form of controller-runtime's package of that name.
//
// The package runs the executable bonsai: that of the option Executable, the one that BONSAI_BIN names, bonsai in the folder bin
// beside go.mod, in PATH, or a tool of go.mod, in this order. It is a module of its own, with client-go as its only
// requirement besides what envtest needs, so that it does not decide which versions of Kubernetes its users have.
//
// Nothing is left behind. A cluster is deleted when its test ends; and when the test's process is killed, bonsai finds that out
// and deletes the cluster half a second later. The user's kubeconfig is not touched.
//
// When a test fails, the end of the cluster's logs is in its output. More is kept on request: with BONSAI_TEST_ARTIFACTS, or the
// flag -artifacts of "go test", a bundle, which "bonsai bundle open" serves as an API; with BONSAI_TEST_KEEP=1 the cluster
// itself. Begin reading at Start.
package bonsaitest

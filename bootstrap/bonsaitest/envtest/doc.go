// Package envtest has the form of sigs.k8s.io/controller-runtime/pkg/envtest, and starts bonsai's API server in place of the
// binaries that setup-envtest downloads. A suite that is written for the one runs on the other with a changed import:
//
//	import "bonsai/bootstrap/bonsaitest/envtest" // was "sigs.k8s.io/controller-runtime/pkg/envtest"
//
//	testEnv := &envtest.Environment{CRDDirectoryPaths: []string{"../config/crd/bases"}}
//	cfg, err := testEnv.Start()
//	…
//	err = testEnv.Stop()
//
// CRDs and webhooks are installed by controller-runtime's own code. Fields that are about the binaries have no effect. Flags
// that ControlPlane gives the API server are passed on, or refused when bonsai sets them itself. Begin reading at Environment.
package envtest

// Package controllerruntime names the release of controller-runtime whose own suites run.sh runs on package bonsaitest/envtest.
// It is a module of its own, so that it does not influence the versions that bonsai links.
package controllerruntime

import _ "sigs.k8s.io/controller-runtime" // go.mod has its version

package main

import (
	"bonsai/bootstrap/guardian"
	"bonsai/cmd/bonsai/internal/cli"
	"bonsai/nodeagent/kubelet"
)

// roles lists the other programs that this executable can be. Only it, daemon.go, settings.go and kubectl.go link
// Kubernetes.
func roles() []cli.Role {
	return []cli.Role{
		{Name: "daemon", Doc: "etcd and the control plane of one cluster; started by bonsai start", Main: runDaemon},
		{Name: "guardian", Doc: "restarts the daemon of one cluster when it exits unexpectedly; started by the daemon", Main: guardian.Main},
		{Name: "kubelet", Doc: "kubelet and kube-proxy of one node; started by the node's agent", Main: kubelet.Main},
	}
}

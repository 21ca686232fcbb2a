package main

import (
	"github.com/go-logr/logr"
	"k8s.io/klog/v2"

	"bonsai/bootstrap/cluster"
	"bonsai/controlplane/check"
	"bonsai/nodeagent/kubelet"
)

// checkSettings is cli.Env.CheckSettings: it asks the components, which this executable contains.
func checkSettings(s cluster.Settings, minor string) map[string]error {
	klog.SetLogger(logr.Discard()) // what it returns says it all
	wrong := check.Settings(s, minor)
	if text := s.Files[cluster.FileKubelet]; text != "" {
		if err := kubelet.CheckSettings(text); err != nil {
			wrong[cluster.FileKubelet] = err
		}
	}
	return wrong
}

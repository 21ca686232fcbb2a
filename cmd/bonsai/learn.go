package main

import (
	"errors"
	"io/fs"
	"os"

	"github.com/go-logr/logr"
	"k8s.io/klog/v2"

	"bonsai/bootstrap/cluster"
	"bonsai/bootstrap/fault"
	"bonsai/bootstrap/localapi"
	"bonsai/bootstrap/statedir"
	"bonsai/bootstrap/wait"
	"bonsai/cmd/bonsai/internal/learn"
	"bonsai/cmd/bonsai/internal/learn/live"
)

// openLessons makes a running cluster what lessons take place in.
func openLessons(state statedir.Cluster, daemon *localapi.Client) (learn.World, func(), error) {
	kubeconfig, err := os.ReadFile(state.Kubeconfig())
	switch {
	case errors.Is(err, fs.ErrNotExist), err == nil && !state.DaemonAlive():
		return nil, nil, fault.Newf(fault.NotRunning, "cluster %q is not running", state.Name)
	case err != nil:
		return nil, nil, fault.New(fault.State, "read the cluster's kubeconfig", err).Advise("write it again", cluster.Bonsai("start").Cure())
	}
	klog.SetLogger(logr.Discard()) // what a watch says while the API server restarts is nothing for learners
	w, err := live.Open(kubeconfig, daemon, wait.FromEnv())
	if err != nil {
		return nil, nil, err
	}
	return w, w.Close, nil
}

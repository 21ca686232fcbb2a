// Package daemon is the process behind a running cluster: the control plane, and the local API over which CLI and
// terminal UI see into it. It never talks to the container engine.
//
// The process is the unit of restart. When a component ends by itself, the daemon writes why and ends too; the
// next start makes a new one. Begin reading at Main.
package daemon

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"k8s.io/klog/v2"

	"bonsai/bootstrap"
	"bonsai/bootstrap/cluster"
	"bonsai/bootstrap/componentlog"
	"bonsai/bootstrap/fault"
	"bonsai/bootstrap/localapi"
	"bonsai/bootstrap/statedir"
	"bonsai/bootstrap/wait"
	"bonsai/controlplane"
	"bonsai/controlplane/addons"
	"bonsai/controlplane/addons/builtin"
	"bonsai/controlplane/config"
)

// components says whose log a record belongs to, by the package that wrote it.
var components = []componentlog.Prefix{
	{Package: "bonsai", Component: "daemon"},
	{Package: "main", Component: "daemon"},
	// The controller of an addon, which runs in this process.
	{Package: "sigs.k8s.io/sig-storage-lib-external-provisioner", Component: "daemon"},
	{Package: "go.etcd.io/etcd/server", Component: controlplane.Etcd},
	{Package: "k8s.io/kubernetes/pkg/scheduler", Component: controlplane.Scheduler},
	{Package: "k8s.io/kubernetes/cmd/kube-scheduler", Component: controlplane.Scheduler},
	{Package: "k8s.io/kubernetes/pkg/controller", Component: controlplane.ControllerManager},
	{Package: "k8s.io/kubernetes/cmd/kube-controller-manager", Component: controlplane.ControllerManager},
	{Package: "k8s.io/controller-manager", Component: controlplane.ControllerManager},
	{Package: "k8s.io/endpointslice", Component: controlplane.ControllerManager},
}

// Main runs the daemon of the cluster that args name, until ctx ends or the local API is asked to stop it.
func Main(ctx context.Context, args []string) error {
	flags := flag.NewFlagSet("daemon", flag.ContinueOnError)
	name := flags.String("cluster", cluster.DefaultName, "name of the cluster")
	if err := flags.Parse(args); err != nil {
		return fault.New(fault.Usage, "", err)
	}
	dir, err := statedir.Home()
	if err != nil {
		return err
	}
	state := dir.Cluster(*name)
	lock, err := state.LockDaemon(ctx)
	if err != nil {
		return err
	}
	defer func() { _ = lock.Release() }()
	spec, err := state.LoadSpec()
	if err != nil {
		return err
	}

	logs := componentlog.New(state.Logs(), controlplane.APIServer, components)
	// The daemon's own lines go to its stdout and stderr, which are its log file or the user's terminal.
	logs.Redirect("daemon", os.Stderr)
	defer func() { _ = logs.Close() }()
	klog.SetSlogLogger(slog.New(logs.Handler()))

	d := &daemon{
		state: state, log: slog.New(logs.ComponentHandler("daemon")), logs: logs, spec: *spec,
		scale: wait.FromEnv(), changed: make(chan struct{}), agents: map[string]agentState{},
	}
	err = d.run(ctx)
	crash := filepath.Join(state.Dir(), bootstrap.CrashFile)
	if err != nil {
		d.log.Error("the daemon ends", "err", err)
		_ = statedir.WriteFile(crash, []byte(err.Error()))
	} else {
		_ = os.Remove(crash)
	}
	return err
}

// run is the daemon's life.
func (d *daemon) run(ctx context.Context) error {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	d.stop = stop
	if err := d.newAddons(); err != nil {
		return err
	}
	server, err := localapi.Listen(d.state.APISocket(), d)
	if err != nil {
		return err
	}
	defer func() { _ = server.Close() }()
	if err := announce(); err != nil {
		return err
	}

	begin := time.Now()
	cp, err := controlplane.Start(ctx, controlplane.Options{
		Config: configFor(d.state, d.spec), Events: d.event, Log: d.log, LogHandler: d.logs.ComponentHandler, Scale: d.scale,
		ApplyAddons: d.applyAddons, NodeRules: addons.NodeRulesOf(builtin.All()),
	})
	if err != nil {
		d.finishStart(cluster.StepFailed, err)
		return err
	}
	d.log.Info("control plane is ready", "took", time.Since(begin).Round(time.Millisecond))
	stopWatching, err := d.attach(cp)
	if err != nil {
		cp.Stop()
		d.finishStart(cluster.StepFailed, err)
		return err
	}
	stopAddons := d.runAddons()
	d.finishStart(cluster.StepDone, nil)

	select {
	case <-ctx.Done():
	case err = <-cp.Failed():
	}
	begin = time.Now()
	stopAddons()
	stopWatching()
	cp.Stop()
	d.log.Info("control plane has stopped", "took", time.Since(begin).Round(time.Millisecond))
	return err
}

// announce tells the process that spawned this one that the local API listens.
func announce() error {
	text := os.Getenv(bootstrap.EnvReadyFD)
	if text == "" {
		return nil // started by hand
	}
	fd, err := strconv.Atoi(text)
	if err != nil {
		return fmt.Errorf("%s is %q, want a number: %w", bootstrap.EnvReadyFD, text, err)
	}
	pipe := os.NewFile(uintptr(fd), "ready")
	_, err = pipe.Write([]byte{1})
	return errors.Join(err, pipe.Close())
}

func configFor(state statedir.Cluster, spec cluster.Spec) config.Config {
	return config.Config{
		Spec: spec, PKIDir: state.PKI(), EtcdDir: state.Etcd(), RunDir: filepath.Dir(state.EtcdSocket()),
		EtcdLog: state.LogFile(controlplane.Etcd), Emulate: emulated(spec.KubernetesVersion),
	}
}

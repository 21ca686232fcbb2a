package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"

	"k8s.io/client-go/dynamic"
	"k8s.io/component-base/version"
	"k8s.io/klog/v2"

	"bonsai/bootstrap"
	"bonsai/bootstrap/cluster"
	"bonsai/bootstrap/componentlog"
	"bonsai/bootstrap/direct"
	"bonsai/bootstrap/fault"
	"bonsai/bootstrap/lastwords"
	"bonsai/bootstrap/spawn"
	"bonsai/bootstrap/statedir"
	"bonsai/bootstrap/wait"
	"bonsai/cmd/bonsai/internal/daemon"
	"bonsai/cmd/bonsai/internal/session"
	"bonsai/controlplane"
	"bonsai/controlplane/addons"
	"bonsai/controlplane/addons/builtin"
	"bonsai/controlplane/addons/gateway"
	"bonsai/controlplane/config"
	"bonsai/controlplane/dashboard"
	"bonsai/controlplane/mirror"
	uiwords "bonsai/tui/words"
)

// components maps the packages that write log records to components.
func components() []componentlog.Prefix {
	return []componentlog.Prefix{
		{Package: "bonsai", Component: "daemon"},
		{Package: "main", Component: "daemon"},
		// The controllers of addons, which run in this process.
		{Package: "sigs.k8s.io/sig-storage-lib-external-provisioner", Component: "daemon"},
		{Package: "sigs.k8s.io/metrics-server", Component: "daemon"},
		{Package: "go.etcd.io/etcd/server", Component: controlplane.Etcd},
		{Package: "k8s.io/kubernetes/pkg/scheduler", Component: controlplane.Scheduler},
		{Package: "k8s.io/kubernetes/cmd/kube-scheduler", Component: controlplane.Scheduler},
		{Package: "k8s.io/kubernetes/pkg/controller", Component: controlplane.ControllerManager},
		{Package: "k8s.io/kubernetes/cmd/kube-controller-manager", Component: controlplane.ControllerManager},
		{Package: "k8s.io/controller-manager", Component: controlplane.ControllerManager},
		{Package: "k8s.io/endpointslice", Component: controlplane.ControllerManager},
	}
}

// runDaemon puts together the daemon of the cluster that args name, and runs it until ctx ends or the local API is asked
// to stop it.
func runDaemon(ctx context.Context, args []string) error {
	flags := flag.NewFlagSet("daemon", flag.ContinueOnError)
	name := flags.String("cluster", cluster.DefaultName, "name of the cluster")
	guarded := flags.Bool(strings.TrimLeft(spawn.FlagGuarded, "-"), false, "keep a guardian, which restarts this process when it exits unexpectedly")
	restore := flags.String("restore", "", "name of the checkpoint to start with")
	if err := flags.Parse(args); err != nil {
		return fault.New(fault.Usage, "", err)
	}
	// Before anything asks: the control plane's requests to nodes, webhooks and aggregated APIs stay on this machine.
	if err := direct.Only(); err != nil {
		return err
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
	words, err := lastwords.Open(filepath.Join(state.Dir(), spawn.CrashFile))
	if err != nil {
		return fault.New(fault.State, "open the file for the reason of a crash", err)
	}
	defer func() { _ = words.Close() }()
	logs := componentlog.New(state.Logs(), controlplane.APIServer, components())
	// The daemon's stdout and stderr are its log file, or the user's terminal.
	logs.Attach("daemon")
	defer func() { _ = logs.Close() }()
	klog.SetSlogLogger(slog.New(logs.Handler()))
	setVerbosity(logs, spec.Settings)
	slog.SetDefault(slog.New(logs.Handler())) // also for the standard library's log, which would write to stderr without bound
	// Kubernetes' components log why and end the process when they cannot go on.
	exit := klog.OsExit
	klog.OsExit = func(code int) {
		words.Say(logs.LastError())
		exit(code)
	}
	log, scale := slog.New(logs.ComponentHandler("daemon")), wait.FromEnv()

	paused := state.Paused()
	var guard func(context.Context)
	if *guarded {
		if guard, err = guardBy(state, log); err != nil {
			return err
		}
	}
	executable, err := os.Executable()
	if err != nil {
		return fmt.Errorf("find this executable: %w", err)
	}
	// The dashboard asks the API server as a client of its own: what its user does is authorized and recorded as such.
	objects := session.New(session.Options{Name: *name, State: dir, Client: "dashboard", KeepLog: true, Scale: scale, Executable: executable})
	defer objects.Close()
	return daemon.Run(ctx, daemon.Options{
		State: state, Spec: *spec, KubernetesVersion: version.Get().GitVersion, Emulated: emulated(spec.KubernetesVersion), Log: log, Scale: scale,
		Words: words, Guard: guard,
		Dashboard: daemon.DashboardParts{Objects: objects, Words: func(lang string) dashboard.Words { return uiwords.For(lang) }},
		Paused:    paused, Pause: pausing(state, "pause", "--if-idle"), Unpause: pausing(state, "unpause"), Delete: deleting(state),
		Parts: func(calls daemon.Calls) (daemon.Parts, error) {
			checkpoint, err := restoreOf(state, *restore)
			if err != nil {
				return daemon.Parts{}, err
			}
			var shown atomic.Pointer[mirror.Keeper] // which shows the addon dns, and that may have changed before it is there
			host := newHostDNS(state, log)
			here := builtin.Machine{
				Names: calls.Names, Gateway: gateway.Machine{Sign: calls.Sign, Hosts: calls.Hosts}, Resolver: host.options(), Dashboard: calls.Dashboard,
				Registry: calls.Registry,
			}
			manager, err := addons.New(addons.Options{Addons: builtin.All(here), Spec: *spec, Log: log, Scale: scale, Changed: func() {
				calls.Changed()
				if k := shown.Load(); k != nil {
					k.Touch()
				}
			}})
			if err != nil {
				return daemon.Parts{}, fmt.Errorf("prepare the addons: %w", err)
			}
			keeper := mirror.New(mirror.Options{
				Spec: *spec, Version: version.Get().GitVersion, Parts: controlplane.Parts(configFor(state, *spec), version.Get().GitVersion),
				LogFile: state.LogFile, DNS: func() map[string]cluster.Phase { return manager.Nodes(cluster.DNSAddon) }, Log: log, Scale: scale,
			})
			shown.Store(keeper)
			return daemon.Parts{Addons: manager, HostDNS: host.status, Start: func(ctx context.Context, events func(cluster.Event)) (daemon.ControlPlane, error) {
				return controlplane.Start(ctx, controlplane.Options{
					Config: configFor(state, *spec), Events: events, Log: log, LogHandler: logs.ComponentHandler, Scale: scale,
					EtcdLog: logs.Writer(controlplane.Etcd), Say: words.Say,
					NodeRules: addons.NodeRulesOf(builtin.All(builtin.Machine{})), Mirror: keeper, Restore: checkpoint,
					PoliciesEnforced: func() bool { return manager.Wants(cluster.NetworkPolicyAddon) },
					HistoryDir:       state.History(), Paused: paused != nil, Use: calls.Use,
					ApplyAddons: func(ctx context.Context, cp *controlplane.ControlPlane) error {
						return applyAddons(ctx, manager, cp, log)
					},
				})
			}}, nil
		},
	})
}

// setVerbosity makes components log what the user wants. klog's own level is that of the process: the most verbose one's.
func setVerbosity(logs *componentlog.Set, s cluster.Settings) {
	most := 0
	for of, name := range map[string]string{
		cluster.ComponentAPIServer: controlplane.APIServer, cluster.ComponentControllerManager: controlplane.ControllerManager,
		cluster.ComponentScheduler: controlplane.Scheduler,
	} {
		if v := s.Verbosity(of); v > 0 {
			logs.Verbose(name, v)
			most = max(most, v)
		}
	}
	flags := flag.NewFlagSet("klog", flag.ContinueOnError)
	klog.InitFlags(flags)
	_ = flags.Set("v", strconv.Itoa(most)) // a number, which it takes
}

// restoreOf is the checkpoint that a command asks the daemon to start with, nil if it does not.
func restoreOf(state statedir.Cluster, name string) (*controlplane.Restore, error) {
	if name == "" {
		return nil, nil
	}
	checkpoints := bootstrap.CheckpointsOf(state)
	_, from, err := checkpoints.Get(name)
	if err != nil {
		return nil, fmt.Errorf("restore checkpoint %s: %w", name, err)
	}
	r := &controlplane.Restore{From: from, Open: func() (io.ReadCloser, error) { return checkpoints.Open(name) }}
	if claims, _, ok := state.ClaimsRestore(); ok && claims.Checkpoint == name {
		r.Mark = claims.ID
	}
	list, err := checkpoints.List()
	if err != nil {
		return nil, err
	}
	for _, c := range list {
		r.Newest = max(r.Newest, c.Revision)
	}
	return r, nil
}

// applyAddons is controlplane.Options.ApplyAddons. The state of an addon says why it cannot be applied; the cluster starts
// without it.
func applyAddons(ctx context.Context, m *addons.Manager, cp *controlplane.ControlPlane, log *slog.Logger) error {
	client, err := dynamic.NewForConfig(cp.LoopbackConfig())
	if err != nil {
		return err
	}
	if err := m.Apply(ctx, addons.Cluster{
		Client: cp.Client(), Config: cp.LoopbackConfig(), Dynamic: client, Agents: cp.Agents(), Groups: cp.Groups(), Log: log,
	}); err != nil {
		log.Warn("not all addons could be applied", "err", err)
	}
	return nil
}

func configFor(state statedir.Cluster, spec cluster.Spec) config.Config {
	return config.Config{
		Spec: spec, PKIDir: state.PKI(), EtcdDir: state.Etcd(), RunDir: filepath.Dir(state.EtcdSocket()), LogDir: state.Logs(),
		Emulate: emulated(spec.KubernetesVersion), Volatile: state.Owner() != nil,
	}
}

// emulated is the minor to emulate for a wanted version: none for the binary's own.
func emulated(wanted string) string {
	own := strings.TrimPrefix(version.Get().GitVersion, "v")
	if wanted == "" || strings.HasPrefix(own+".", wanted+".") {
		return ""
	}
	return wanted
}

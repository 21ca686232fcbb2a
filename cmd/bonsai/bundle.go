package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"sync"
	"syscall"

	"k8s.io/component-base/version"
	"k8s.io/klog/v2"

	"bonsai/bootstrap"
	"bonsai/bootstrap/bundle"
	"bonsai/bootstrap/cluster"
	"bonsai/bootstrap/componentlog"
	"bonsai/bootstrap/direct"
	"bonsai/bootstrap/fault"
	"bonsai/bootstrap/kubeconfig"
	"bonsai/bootstrap/pki"
	"bonsai/bootstrap/wait"
	"bonsai/cmd/bonsai/internal/cli"
	"bonsai/controlplane"
	"bonsai/controlplane/config"
)

// openBundle is cli.Env.OpenBundle: etcd and an API server over the objects of a bundle, in this process and in a folder that is
// removed afterwards. Of what a bundle says, only its objects, its version and its ranges are used.
func openBundle(ctx context.Context, file string, port int, use func(context.Context, cli.OpenBundle) error) (err error) {
	// Before anything asks; there is nothing that should be reached through a proxy.
	if err := direct.Only(); err != nil {
		return err
	}
	from, err := os.Open(file)
	if err != nil {
		return bootstrap.BundleFault(file, err)
	}
	defer func() { _ = from.Close() }()
	dir, err := os.MkdirTemp("", "bonsai-bundle-") // with mode 0700
	if err != nil {
		return fault.New(fault.State, "unpack the bundle", err).Advise("make room, or set TMPDIR to a folder elsewhere")
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	store := filepath.Join(dir, bundle.StoreFile)
	m, err := bundle.Extract(from, store)
	if err != nil {
		return bootstrap.BundleFault(file, err)
	}
	spec, err := specOf(m, port)
	if err != nil {
		return err
	}
	logs := componentlog.New(filepath.Join(dir, "logs"), controlplane.APIServer, components())
	defer func() { _ = logs.Close() }()
	klog.SetSlogLogger(slog.New(logs.Handler()))
	before := slog.Default()
	slog.SetDefault(slog.New(logs.Handler()))
	defer slog.SetDefault(before)
	exit := klog.OsExit
	klog.OsExit = func(code int) { // a component cannot go on, and this process with it
		fmt.Fprintf(os.Stderr, "error: %s\n", logs.LastError())
		_ = os.RemoveAll(dir)
		exit(code)
	}
	cp, err := serveBundle(ctx, dir, store, spec, logs)
	if err != nil {
		return bundleFault(file, spec, err)
	}
	defer quietly(filepath.Join(dir, "stderr"), cp.Stop)
	opened, err := openedBundle(dir, m, spec)
	if err != nil {
		return err
	}
	running, stop := context.WithCancelCause(ctx)
	var watching sync.WaitGroup
	watching.Go(func() {
		select {
		case err := <-cp.Failed():
			stop(fault.New(fault.ControlPlane, "serve the bundle", err))
		case <-running.Done():
		}
	})
	defer watching.Wait()
	defer stop(nil)
	return use(running, opened)
}

// quietly runs f while standard error leads into a file: the API server's client of etcd has a logger of its own, which writes
// there when its connections are cut, and no option that changes that.
func quietly(file string, f func()) {
	if back, err := redirectStderr(file); err == nil {
		defer back()
	}
	f()
}

// redirectStderr has the process's standard error lead into a new file; back undoes that.
func redirectStderr(file string) (back func(), err error) {
	const stderr = 2
	to, err := os.OpenFile(file, os.O_WRONLY|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	defer func() { _ = to.Close() }()
	before, err := syscall.Dup(stderr)
	if err != nil {
		return nil, err
	}
	syscall.CloseOnExec(before)
	if err := syscall.Dup3(int(to.Fd()), stderr, 0); err != nil {
		_ = syscall.Close(before)
		return nil, err
	}
	return func() {
		_ = syscall.Dup3(before, stderr, 0)
		_ = syscall.Close(before)
	}, nil
}

// specOf is a cluster without nodes, whose API server reads what a bundle has.
func specOf(m bundle.Manifest, port int) (cluster.Spec, error) {
	minor, _, err := cluster.ParseKubernetesVersion(m.KubernetesVersion, version.Get().GitVersion)
	if err != nil {
		return cluster.Spec{}, fault.New(fault.Version, "open a bundle of Kubernetes "+m.KubernetesVersion, err)
	}
	if port == 0 {
		l, err := net.Listen("tcp4", "127.0.0.1:0")
		if err != nil {
			return cluster.Spec{}, fault.New(fault.Conflict, "find a free port", err)
		}
		port = l.Addr().(*net.TCPAddr).Port
		if err := l.Close(); err != nil {
			return cluster.Spec{}, err
		}
	}
	spec := cluster.Spec{
		Version: cluster.SpecVersion, Name: "bundle", ID: "bundle", KubernetesVersion: minor, APIPort: port, Nodes: []cluster.Node{},
		// The last range of those that clusters have. There is no such network, and nobody connects to its gateway.
		Subnet:    netip.MustParsePrefix("10.201.252.0/22"),
		PodSubnet: m.PodSubnet, ServiceSubnet: m.ServiceSubnet, UpstreamHooks: false,
		Settings: cluster.Settings{FeatureGates: m.FeatureGates, Args: map[string]map[string]string{
			// The endpoints of the Service "kubernetes" stay those of the cluster.
			cluster.ComponentAPIServer: {"endpoint-reconciler-type": "none"},
		}},
	}
	spec.Replan()
	if err := spec.Validate(); err != nil {
		return spec, fault.New(fault.Usage, "open the bundle", err)
	}
	return spec, nil
}

func serveBundle(ctx context.Context, dir, store string, spec cluster.Spec, logs *componentlog.Set) (*controlplane.ControlPlane, error) {
	pkiDir := filepath.Join(dir, "pki")
	if err := pki.Ensure(pkiDir, spec); err != nil {
		return nil, err
	}
	return controlplane.Start(ctx, controlplane.Options{
		Config: config.Config{
			Spec: spec, PKIDir: pkiDir, EtcdDir: filepath.Join(dir, "etcd"), RunDir: filepath.Join(dir, "run"), LogDir: filepath.Join(dir, "logs"),
			Emulate: emulated(spec.KubernetesVersion),
		},
		Events: func(cluster.Event) {}, Log: slog.New(logs.ComponentHandler("daemon")), LogHandler: logs.ComponentHandler,
		EtcdLog: logs.Writer(controlplane.Etcd), Say: func(string) {}, Scale: wait.FromEnv(), Archive: true,
		Restore: &controlplane.Restore{From: spec, Open: func() (io.ReadCloser, error) { return os.Open(store) }},
	})
}

func bundleFault(file string, spec cluster.Spec, err error) error {
	if errors.Is(err, syscall.EADDRINUSE) {
		return fault.New(fault.Conflict, "open bundle "+file, err).Advise("choose another port, or 0 for a free one", cluster.Bonsai("bundle", "open").On(file).OfNone())
	}
	return fault.New(fault.ControlPlane, fmt.Sprintf("serve the objects of bundle %s as Kubernetes %s", file, spec.KubernetesVersion), err)
}

func openedBundle(dir string, m bundle.Manifest, spec cluster.Spec) (cli.OpenBundle, error) {
	o := cli.OpenBundle{Manifest: m, Server: fmt.Sprintf("https://127.0.0.1:%d", spec.APIPort), Kubeconfig: filepath.Join(dir, "kubeconfig")}
	entry := kubeconfig.Entry{Name: "bundle", Server: o.Server}
	for file, to := range map[string]*[]byte{"ca.crt": &entry.CA, "admin.crt": &entry.Cert, "admin.key": &entry.Key} {
		data, err := os.ReadFile(filepath.Join(dir, "pki", file))
		if err != nil {
			return o, fault.New(fault.State, "read the certificates of the open bundle", err)
		}
		*to = data
	}
	if err := os.WriteFile(o.Kubeconfig, entry.File(), 0o600); err != nil {
		return o, fault.New(fault.State, "write the kubeconfig of the open bundle", err)
	}
	return o, nil
}

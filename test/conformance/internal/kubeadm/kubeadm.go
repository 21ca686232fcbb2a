// Package kubeadm runs a control plane as kubeadm configures it: upstream's etcd, kube-apiserver, kube-controller-manager
// and kube-scheduler, each a process of its own, with certificates, kubeconfigs and command lines that upstream's kubeadm
// made. It needs neither root nor a container engine, and listens on the loopback interface only.
//
// Begin reading at Start; what differs from a plane on a machine of its own is in config.go.
package kubeadm

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"sigs.k8s.io/yaml"
)

// Files that kubeadm makes.
const (
	controllerManagerConf = "controller-manager.conf"
	schedulerConf         = "scheduler.conf"
	adminConf             = "super-admin.conf"
)

// Options say what to run and where.
type Options struct {
	// Bin is the folder of the programs: kubeadm, etcd, kube-apiserver, kube-controller-manager, kube-scheduler.
	Bin string
	// Dir is an empty folder for everything that the plane writes.
	Dir string
	// Version is that of the programs ("v1.37.2").
	Version string
	// Emulate is the minor version that they emulate ("1.36"), empty for none.
	Emulate string
}

// Plane is a running control plane.
type Plane struct {
	// Kubeconfig has all rights.
	Kubeconfig string
	// ControllerManager and Scheduler are the addresses of their secure ports.
	ControllerManager, Scheduler string

	cancel    context.CancelFunc
	processes []*process
}

// limit is how long each component has until it is healthy, on a busy machine.
const limit = 2 * time.Minute

// Start returns once all components are healthy. The caller stops the plane; ctx ends it, too.
func Start(ctx context.Context, o Options) (p *Plane, err error) {
	free, err := freePorts(ctx, 6)
	if err != nil {
		return nil, err
	}
	ports := ports{free[0], free[1], free[2], free[3], free[4], free[5]}
	commands, err := prepare(ctx, o, ports)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(ctx)
	address := func(port int) string { return fmt.Sprintf("https://%s:%d", loopback, port) }
	p = &Plane{
		Kubeconfig:        filepath.Join(o.Dir, adminConf),
		ControllerManager: address(ports.controllerManager), Scheduler: address(ports.scheduler),
		cancel: cancel,
	}
	defer func() {
		if err != nil {
			p.Stop()
		}
	}()
	client := healthClient()
	// The kubelet starts them all at once and restarts those that come too early.
	for _, c := range []struct{ name, health string }{
		{"etcd", fmt.Sprintf("http://%s:%d/readyz", loopback, ports.etcdMetrics)},
		{"kube-apiserver", address(ports.api) + "/readyz"},
		{"kube-controller-manager", p.ControllerManager + "/healthz"},
		{"kube-scheduler", p.Scheduler + "/readyz"},
	} {
		command := commands[c.name]
		if len(command) == 0 {
			return nil, fmt.Errorf("kubeadm wrote no command for %s", c.name)
		}
		started, err := start(ctx, c.name, filepath.Join(o.Bin, command[0]), command[1:], filepath.Join(o.Dir, c.name+".log"))
		if err != nil {
			return nil, err
		}
		p.processes = append(p.processes, started)
		if err := started.waitHealthy(ctx, client, c.health); err != nil {
			return nil, err
		}
	}
	return p, nil
}

// Stop kills the processes, whose data nobody needs any more, and returns when they are gone.
func (p *Plane) Stop() {
	p.cancel()
	for _, process := range p.processes {
		<-process.ended
	}
}

// prepare lets kubeadm write everything that the components need, and returns their command lines by name.
func prepare(ctx context.Context, o Options, p ports) (map[string][]string, error) {
	file, err := config(o, p)
	if err != nil {
		return nil, err
	}
	path := filepath.Join(o.Dir, "kubeadm.yaml")
	if err := os.WriteFile(path, file, 0o600); err != nil {
		return nil, err
	}
	// Manifests go to /etc/kubernetes, except in a dry run.
	manifests := filepath.Join(o.Dir, "manifests")
	for _, phase := range [][]string{
		{"certs", "all"},
		{"kubeconfig", "all", "--kubeconfig-dir", o.Dir},
		{"etcd", "local", "--dry-run"},
		{"control-plane", "all", "--dry-run"},
	} {
		cmd := exec.CommandContext(ctx, filepath.Join(o.Bin, "kubeadm"), append([]string{"init", "phase"}, append(phase, "--config", path)...)...)
		// Nothing else of the environment: kubeadm passes the proxies in it on to the components.
		cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "KUBEADM_INIT_DRYRUN_DIR=" + manifests}
		if out, err := cmd.CombinedOutput(); err != nil {
			return nil, fmt.Errorf("kubeadm init phase %s: %w\n%s", phase[0], err, out)
		}
	}
	for _, name := range []string{controllerManagerConf, schedulerConf, adminConf} {
		if err := leadToLoopback(filepath.Join(o.Dir, name)); err != nil {
			return nil, err
		}
	}
	commands := map[string][]string{}
	for _, name := range []string{"etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler"} {
		if commands[name], err = command(filepath.Join(manifests, name+".yaml")); err != nil {
			return nil, err
		}
	}
	return commands, nil
}

// command is that of the only container of a static pod.
func command(manifest string) ([]string, error) {
	data, err := os.ReadFile(manifest)
	if err != nil {
		return nil, err
	}
	var pod struct {
		Spec struct {
			Containers []struct{ Command []string }
		}
	}
	if err := yaml.Unmarshal(data, &pod); err != nil {
		return nil, fmt.Errorf("read %s: %w", manifest, err)
	}
	if len(pod.Spec.Containers) != 1 {
		return nil, fmt.Errorf("%s has %d containers, want one", manifest, len(pod.Spec.Containers))
	}
	return pod.Spec.Containers[0].Command, nil
}

// leadToLoopback changes a kubeconfig of kubeadm, which leads to the advertised address, where nothing listens.
func leadToLoopback(kubeconfig string) error {
	data, err := os.ReadFile(kubeconfig)
	if err != nil {
		return err
	}
	return os.WriteFile(kubeconfig, bytes.ReplaceAll(data, []byte(advertised), []byte(loopback)), 0o600)
}

// freePorts are n different ports of the loopback interface on which nothing listens now.
func freePorts(ctx context.Context, n int) ([]int, error) {
	var ports []int
	for range n {
		l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", loopback+":0")
		if err != nil {
			return nil, fmt.Errorf("find a free port: %w", err)
		}
		defer func() { _ = l.Close() }() // not before all are found: they must differ
		ports = append(ports, l.Addr().(*net.TCPAddr).Port)
	}
	return ports, nil
}

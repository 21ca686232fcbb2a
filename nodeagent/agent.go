// Package nodeagent is what runs inside a node: it turns a container into a Kubernetes node and keeps it running.
//
// Run is the main flow. The container is prepared to look like a machine (hostprep), containerd is configured
// (containerd) and started together with the kubelet's process (supervise), which also runs kube-proxy and waits for
// containerd. In the meantime the pod network is set up (podnet) and the agent's own API starts listening (agentapi).
// Nothing in it waits for the API server. Parts, for example cluster DNS, are passed in by the program and run besides
// all that. When the agent is asked to stop, the kubelet goes first, so that it does not restart the pods that end
// next; then their containers; then containerd.
//
// The agent is process 1's only child and may be killed at any time: its child processes are killed with it, its pods
// keep running, and its successor takes them over. The heavy part, package kubelet below this one, is never imported
// here.
package nodeagent

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"time"

	"k8s.io/client-go/rest"

	"bonsai/bootstrap/cluster"
	"bonsai/bootstrap/wait"
	"bonsai/nodeagent/agentapi"
	"bonsai/nodeagent/cgroupinfo"
	"bonsai/nodeagent/containerd"
	"bonsai/nodeagent/devices"
	"bonsai/nodeagent/hostprep"
	"bonsai/nodeagent/listening"
	"bonsai/nodeagent/podnet"
	"bonsai/nodeagent/podtimes"
	"bonsai/nodeagent/supervise"
	"bonsai/nodeagent/usage"
)

const (
	cniConfig  = "/etc/cni/net.d/10-bonsai.conflist"
	pauseImage = cluster.PayloadDir + "/images/pause.tar"
	// startsFile is on a tmpfs, and therefore as old as the container's start.
	startsFile = "/run/bonsai/agent-starts"

	// Path is where nodes find programs.
	Path = cluster.PayloadDir + "/bin:/usr/sbin:/usr/bin:/sbin:/bin"

	// How long stopping a node may take before its processes are killed: "bonsai stop" promises three seconds in all.
	kubeletGrace    = 500 * time.Millisecond
	podGrace        = time.Second
	containerdGrace = time.Second
	// checkFilesLimit is for a program that reads a few files and ends.
	checkFilesLimit = 10 * time.Second

	// pauseImageLimit bounds one attempt to import the pause image, which takes a tenth of a second.
	pauseImageLimit = 30 * time.Second
	// dialLimit bounds the dialing of a tunnel's target, which is in the same machine.
	dialLimit = 5 * time.Second
)

// LoadConfig reads the node's configuration, which the driver has written.
func LoadConfig() (cfg cluster.NodeConfig, err error) {
	data, err := os.ReadFile(cluster.NodeConfigFile)
	if err != nil {
		return cfg, fmt.Errorf("read node configuration: %w", err)
	}
	if err := json.Unmarshal(data, &cfg); err != nil {
		return cfg, fmt.Errorf("read node configuration %s: %w", cluster.NodeConfigFile, err)
	}
	return cfg, nil
}

// agent is one running node agent.
type agent struct {
	cfg     cluster.NodeConfig
	log     *slog.Logger
	started time.Time
	// restarts counts the agents before this one since the container started.
	restarts int

	runtime    *containerd.Client
	containerd *supervise.Process
	kubelet    *supervise.Process
	network    *podnet.Network
	health     *health
	parts      []Part

	mu      sync.Mutex    // guards changed
	changed chan struct{} // closed and replaced whenever the state of a child has changed
}

// childChanged wakes those who watch the components.
func (a *agent) childChanged(cluster.Component) {
	a.mu.Lock()
	defer a.mu.Unlock()
	close(a.changed)
	a.changed = make(chan struct{})
}

// Run makes this container the node of cfg until ctx ends, then stops everything in order: parts last, because pods use
// them until the end. It returns early only with an error that prevents the container from being a node.
func Run(ctx context.Context, cfg cluster.NodeConfig, log *slog.Logger, parts ...Part) (err error) {
	a := &agent{cfg: cfg, log: log, started: time.Now(), parts: parts, changed: make(chan struct{})}
	if err := hostprep.AddAddress(cluster.NodeResolver); err != nil {
		log.Error("pods with dnsPolicy Default cannot resolve names", "cause", err)
	}
	if err := hostprep.NewNodeResolvConf().Keep(); err != nil {
		log.Error("the node's own resolvers are unknown", "cause", err)
	}
	// Unless the domains have to stay or go, they stay until the DNS server has examined them, which takes less than a kubelet
	// needs to start.
	search := func(own []string) []string {
		if cfg.DNSSearch == cluster.DNSSearchNone {
			return nil
		}
		return own
	}
	// First of all: if only the agent was restarted, pods are waiting for answers.
	defer a.startParts(ctx)()
	if err := hostprep.Prepare(cluster.NodeResolver, search, log); err != nil {
		return fmt.Errorf("prepare the node: %w", err)
	}
	a.restarts = countStart(startsFile)
	if err := a.configureContainerd(); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, a.runtime.Close()) }()
	if a.health, err = newHealth(cfg); err != nil {
		return err
	}
	a.network = podnet.New(podnet.Config{
		NodeName: cfg.Node.Name, NodeIP: cfg.Node.IP, PodCIDR: cfg.Node.PodCIDR,
		ClusterCIDR: cfg.PodCIDR, Peers: cfg.Peers, CNIConfig: cniConfig,
	}, log)

	stop := a.startChildren(ctx)
	defer stop()

	// Everything else ends at once when the node stops or one part of it fails.
	ctx, giveUp := context.WithCancelCause(ctx)
	var tasks sync.WaitGroup
	defer tasks.Wait()
	defer giveUp(nil)
	tasks.Go(func() { a.ensurePauseImage(ctx) })
	tasks.Go(func() { a.offerPlugins(ctx) })
	tasks.Go(func() {
		if err := devices.New(log).Run(ctx); err != nil {
			log.Warn("devices that the kernel makes from now on do not appear in the node", "cause", err)
		}
	})
	if err := a.network.Setup(ctx); err != nil {
		return fmt.Errorf("set up the pod network: %w", err)
	}
	tasks.Go(func() { a.network.Run(ctx) })
	tasks.Go(func() { giveUp(a.network.Follow(ctx, APIClient(cfg))) })
	if err := a.serve(ctx, &tasks, giveUp); err != nil {
		return err
	}
	log.Info("node agent is running", "node", cfg.Node.Name, "took", time.Since(a.started).Round(time.Millisecond))
	<-ctx.Done()
	if cause := context.Cause(ctx); !errors.Is(cause, context.Canceled) {
		return cause
	}
	return nil
}

// countStart adds one to the number in a file and returns the previous value. It is used for status only: an unreadable
// number counts as zero, and a failure to write it is ignored.
func countStart(path string) int {
	data, _ := os.ReadFile(path)
	n, _ := strconv.Atoi(string(data))
	_ = os.WriteFile(path, []byte(strconv.Itoa(n+1)), 0o600)
	return n
}

func (a *agent) configureContainerd() error {
	c, err := containerd.Detect()
	if err != nil {
		return err
	}
	if c.Snapshotter != "overlayfs" {
		a.log.Warn("overlay cannot be mounted on the node's volume; images are copied instead, which is slow")
	}
	if err := containerd.Write(c, a.cfg.Registries, a.cfg.WaitScale); err != nil {
		return err
	}
	a.runtime, err = containerd.NewClient(containerd.Socket, c.Snapshotter)
	return err
}

// startChildren starts containerd and the kubelet's process, which itself waits for containerd. The returned function
// stops kubelet, all containers and containerd, in this order.
func (a *agent) startChildren(ctx context.Context) (stop func()) {
	bin := filepath.Join(cluster.PayloadDir, "bin")
	env := func() []string { return childEnv(os.Environ(), a.cfg.WaitScale) }
	a.containerd = supervise.New(supervise.Spec{
		Name: "containerd", Path: filepath.Join(bin, "containerd"), Args: []string{"--config", containerd.ConfigFile},
		// Only containerd has business outside the cluster. What it starts inherits this, except the programs in pods.
		Env:     func() []string { return append(env(), a.proxy().Environment()...) },
		LogFile: filepath.Join(cluster.NodeLogDir, "containerd.log"), Grace: a.cfg.WaitScale.Of(containerdGrace),
		Check: func(ctx context.Context) error {
			ctx, cancel := a.cfg.WaitScale.Limit(ctx, checkFilesLimit, "containerd to read its settings")
			defer cancel()
			return containerd.CheckDropIns(ctx, filepath.Join(bin, "containerd"))
		},
		Ready: func(ctx context.Context) error {
			version, err := a.runtime.WaitReady(ctx)
			if err == nil {
				a.log.Info("containerd answers", "version", version, "sinceStart", time.Since(a.started).Round(time.Millisecond))
			}
			return err
		},
	}, a.log)
	a.kubelet = supervise.New(supervise.Spec{
		Name: "kubelet", Path: filepath.Join(bin, "bonsai"), Args: []string{"role", "kubelet"},
		Env: env, LogFile: filepath.Join(cluster.NodeLogDir, "kubelet.log"), Grace: a.cfg.WaitScale.Of(kubeletGrace),
		Ready: a.health.waitKubelet, OnChange: a.childChanged,
		// It hides settings of the kernel from itself. In the node's own namespace that would keep pods from having user
		// namespaces: the kernel refuses them a /proc while parts of the node's are covered.
		OwnMounts: true,
	}, a.log)

	// They outlive ctx: its end triggers the orderly stop.
	ctx = context.WithoutCancel(ctx)
	stopContainerd := startOne(ctx, a.containerd)
	stopKubelet := startOne(ctx, a.kubelet)
	return func() {
		began := time.Now()
		stopKubelet()
		ctx, cancel := a.cfg.WaitScale.Limit(ctx, 2*podGrace, "pods to stop")
		defer cancel()
		if err := a.runtime.StopTasks(ctx, a.cfg.WaitScale.Of(podGrace)); err != nil {
			a.log.Warn("pods were not stopped in order", "cause", err)
		}
		stopContainerd()
		if err := devices.DetachLoops(devices.LoopsFile); err != nil {
			a.log.Warn("loop devices of pods stay on the machine", "cause", err)
		}
		a.log.Info("node has stopped", "took", time.Since(began).Round(time.Millisecond))
	}
}

// proxy is the one for pulls. It may have changed since the agent started.
func (a *agent) proxy() cluster.Proxy {
	cfg, err := LoadConfig()
	if err != nil {
		a.log.Warn("pulls use the proxy that was configured when the agent started", "cause", err)
		cfg = a.cfg
	}
	return cfg.Proxy
}

func startOne(ctx context.Context, p *supervise.Process) (stop func()) {
	ctx, cancel := context.WithCancel(ctx)
	done := make(chan struct{})
	go func() {
		defer close(done)
		p.Run(ctx)
	}()
	return func() { cancel(); <-done }
}

// childEnv is the container's own environment plus what programs in a node rely on.
func childEnv(base []string, scale wait.Scale) []string {
	return append(base,
		"PATH="+Path, "HOME=/root",
		// containerd checks for this to know that it cannot load kernel modules.
		"container=docker",
		wait.Env+"="+scale.String())
}

// ensurePauseImage makes sure that the image of pod sandboxes is present. No pod starts without it, so it never gives
// up.
func (a *agent) ensurePauseImage(ctx context.Context) {
	for {
		attempt, cancel := a.cfg.WaitScale.Limit(ctx, pauseImageLimit, "the pause image to be imported")
		_, err := a.runtime.WaitReady(attempt)
		if err == nil {
			err = a.runtime.EnsureImage(attempt, containerd.SandboxImage, pauseImage)
		}
		cancel()
		if err == nil || ctx.Err() != nil {
			return
		}
		a.log.Error("the pause image cannot be imported; no pod can start without it", "cause", err)
		select {
		case <-ctx.Done():
			return
		case <-time.After(time.Second):
		}
	}
}

// offerPlugins puts the payload's CNI plugins where others look for them. That takes no time from the start: containerd
// is up before the first copy.
func (a *agent) offerPlugins(ctx context.Context) {
	ctx, cancel := a.cfg.WaitScale.Limit(ctx, pauseImageLimit, "containerd to answer")
	defer cancel()
	_, err := a.runtime.WaitReady(ctx)
	if err == nil {
		err = hostprep.CopyPlugins(containerd.PluginDir, hostprep.AddedCNIDir)
	}
	if err != nil && ctx.Err() == nil {
		a.log.Warn("CNI plugins that delegate to the node's own do not find them", "cause", err)
	}
}

// serve opens both of the agent's listeners.
func (a *agent) serve(ctx context.Context, tasks *sync.WaitGroup, giveUp context.CancelCauseFunc) error {
	tlsConfig, err := agentapi.TLSConfig(cluster.NodePKIDir)
	if err != nil {
		return err
	}
	local, err := agentapi.ListenUnix(agentapi.Socket)
	if err != nil {
		return err
	}
	// The cluster's bridge, and no other address.
	remote, err := net.Listen("tcp", netip.AddrPortFrom(a.cfg.Node.IP, cluster.AgentPort).String())
	if err != nil {
		return errors.Join(fmt.Errorf("listen: %w", err), local.Close())
	}
	s := agentapi.New(agentapi.Config{
		Allowed: []netip.Prefix{a.cfg.PodCIDR, a.cfg.ServiceCIDR, a.cfg.Subnet},
		// The host itself: the cluster must not reach what listens on the bridge there.
		Denied:      []netip.Addr{a.cfg.Gateway},
		DialTimeout: a.cfg.WaitScale.Of(dialLimit), State: a.state, Usage: measure, Images: a.runtime, Log: a.log,
		Components: a.shown, LogDir: cluster.NodeLogDir,
		Pods:      podtimes.New(podtimes.Dir, a.runtime.Conn()),
		Listening: listening.Reader{Proc: "/proc", Processes: Processes}.Pod,
		Parts:     a.handlers(),
	})
	tasks.Go(func() { giveUp(s.ServeLocal(ctx, local)) })
	tasks.Go(func() { giveUp(s.ServeTLS(ctx, remote, tlsConfig)) })
	return nil
}

// measure reads the counters of this node.
func measure() (cluster.NodeCounters, error) {
	return usage.Read(places())
}

// Processes returns processes of a pod of this node, by its UID; none if the pod is not on this node.
func Processes(uid string) ([]int, error) { return usage.Processes(places(), uid) }

func places() usage.Places {
	return usage.Places{Cgroups: cgroupinfo.Root, Kubelet: hostprep.KubeletCgroup, Meminfo: "/proc/meminfo", Disk: "/var"}
}

// APIClient uses the agent's own certificate, whose rights are those of the ClusterRole bonsai:agent.
func APIClient(cfg cluster.NodeConfig) *rest.Config {
	return &rest.Config{
		Host: cfg.APIServer, UserAgent: "bonsai-agent",
		TLSClientConfig: rest.TLSClientConfig{
			CAFile:   filepath.Join(cluster.NodePKIDir, "ca.crt"),
			CertFile: filepath.Join(cluster.NodePKIDir, "agent.crt"),
			KeyFile:  filepath.Join(cluster.NodePKIDir, "agent.key"),
		},
	}
}

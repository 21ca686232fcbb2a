// Package kubelet is the heavy role of a node: the upstream kubelet and kube-proxy, unmodified, in one process inside
// the node container. They share the runtime, the schemes and the code of one executable, which is most of what two
// processes would cost.
//
// Neither component can be stopped or restarted inside a process (both keep goroutines that never end, and call os.Exit
// when they give up), so the process is the unit of restart: when either ends, Run returns and the process must exit.
// The node agent, which is another process, restarts it; pods are not affected.
//
// Begin reading at Run; the settings are in config.go and proxy.go.
package kubelet

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"os"
	"time"

	"github.com/go-logr/logr"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/klog/v2"

	"bonsai/bootstrap/cluster"
	"bonsai/bootstrap/componentlog"
	"bonsai/nodeagent/hostprep"
)

// Names of the two components, as in status and in their log files' names.
const (
	kubeletName   = "kubelet"
	kubeProxyName = "kube-proxy"
)

// verbosity is klog's -v of both components: 2 is what upstream recommends as the default for most systems.
const verbosity = 2

// Config holds the paths of a node. Zero fields have the defaults of a node container.
type Config struct {
	Node cluster.NodeConfig
	// PKIDir holds the certificates (cluster.NodePKIDir).
	PKIDir string
	// RunDir gets the files that the components read: kubeconfigs with mode 0600 (/run/bonsai).
	RunDir string
	// LogDir holds the log file of kube-proxy; the kubelet's lines go to stderr, which the agent collects.
	LogDir string
	// DropInDir has the user's own kubelet settings (hostprep.DropInDir).
	DropInDir string
}

func (c *Config) setDefaults() {
	c.PKIDir = cmpOr(c.PKIDir, cluster.NodePKIDir)
	c.RunDir = cmpOr(c.RunDir, "/run/bonsai")
	c.LogDir = cmpOr(c.LogDir, cluster.NodeLogDir)
	c.DropInDir = cmpOr(c.DropInDir, hostprep.DropInDir)
}

func cmpOr(s, otherwise string) string {
	if s == "" {
		return otherwise
	}
	return s
}

// Main is the role's whole program: it reads the node's configuration file and runs until a component ends or ctx does.
// Afterwards the process must exit, with the error's code.
func Main(ctx context.Context, args []string) error {
	flags := flag.NewFlagSet(kubeletName, flag.ContinueOnError)
	path := flags.String("config", cluster.NodeConfigFile, "the node's configuration `file`")
	if err := flags.Parse(args); err != nil {
		return err
	}
	node, err := readNode(*path)
	if err != nil {
		return err
	}
	return Run(ctx, Config{Node: node})
}

func readNode(path string) (node cluster.NodeConfig, err error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return node, fmt.Errorf("read node configuration: %w", err)
	}
	if err := json.Unmarshal(data, &node); err != nil {
		return node, fmt.Errorf("read node configuration %s: %w", path, err)
	}
	return node, nil
}

// Run starts both components and blocks until one of them ends or ctx does. It returns nil only if ctx ended. The API
// server need not answer yet; containerd must do so within a minute.
func Run(ctx context.Context, cfg Config) error {
	cfg.setDefaults()
	logs := componentlog.New(cfg.LogDir, kubeletName, []componentlog.Prefix{
		{Package: "k8s.io/kubernetes/pkg/proxy", Component: kubeProxyName},
		{Package: "k8s.io/kubernetes/cmd/kube-proxy", Component: kubeProxyName},
		{Package: "sigs.k8s.io/knftables", Component: kubeProxyName},
	})
	logs.Redirect(kubeletName, os.Stderr)
	log := setUpLogging(logs)
	settle := startWithoutGC(log)

	cfg.Node.FeatureGates = setGates(cfg.Node.FeatureGates, log)
	shieldKernel(cfg.RunDir, log)
	if err := writeKubeconfigs(cfg); err != nil {
		return err
	}
	// Upstream's contextual logging carries the component's name into the libraries that both use.
	kubeletCtx := klog.NewContext(ctx, logr.FromSlogHandler(logs.ComponentHandler(kubeletName)))
	proxyCtx := klog.NewContext(ctx, logr.FromSlogHandler(logs.ComponentHandler(kubeProxyName)))

	type end struct {
		component string
		err       error
	}
	ended := make(chan end, 2)
	go func() { ended <- end{kubeletName, runKubelet(kubeletCtx, cfg, log)} }()
	go func() { ended <- end{kubeProxyName, runProxy(proxyCtx, cfg, settle)} }()

	select {
	case e := <-ended:
		klog.Flush()
		if ctx.Err() != nil {
			return nil
		}
		if e.err == nil {
			e.err = errors.New("ended without an error")
		}
		return fmt.Errorf("run %s: %w", e.component, e.err)
	case <-ctx.Done():
		// There is nothing to wait for: kube-proxy never returns and the kubelet has no orderly end of its own; what
		// they own (pods, rules in the kernel) is meant to survive them.
		klog.Flush()
		return nil
	}
}

// setUpLogging makes klog, slog and the standard library's log write through logs.
func setUpLogging(logs *componentlog.Set) *slog.Logger {
	logs.Level.Set(slog.Level(-verbosity))
	log := slog.New(logs.Handler())
	slog.SetDefault(log)
	klog.SetSlogLogger(log)
	// klog checks its own verbosity before it asks the logger.
	var level klog.Level
	if err := level.Set(fmt.Sprint(verbosity)); err != nil {
		panic(err) // only a malformed number fails
	}
	return log
}

// poll calls check until it succeeds, at once and then with growing pauses up to a fifth of a second, so that a start
// loses little time and a slow machine is not kept busy. On timeout the error says what was last missing.
func poll(ctx context.Context, what string, limit time.Duration, check func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	backoff := wait.Backoff{Duration: 10 * time.Millisecond, Factor: 1.5, Steps: 10, Cap: 200 * time.Millisecond}
	var last error
	err := backoff.DelayFunc().Until(ctx, true, true, func(ctx context.Context) (bool, error) {
		err := check(ctx)
		if err != nil && (last == nil || ctx.Err() == nil) {
			last = err
		}
		return err == nil, nil
	})
	if err != nil {
		return fmt.Errorf("wait for %s: %w (limit %s)", what, last, limit)
	}
	return nil
}

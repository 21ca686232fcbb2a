package cli

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"sync"

	"github.com/spf13/cobra"

	"bonsai/bootstrap/cluster"
	"bonsai/bootstrap/fault"
	"bonsai/bootstrap/node"
	"bonsai/bootstrap/termsafe"
	"bonsai/cmd/bonsai/internal/logsource"
)

type logsOptions struct {
	node   string
	follow bool
	tail   int
}

func (a *app) logsCommand() *cobra.Command {
	var o logsOptions
	cmd := &cobra.Command{
		Use:   "logs [COMPONENT]",
		Short: "Show the log of any component on any node",
		Long: `Logs prints the end of a component's log. Components of the control plane run on this machine: daemon, etcd,
kube-apiserver, kube-controller-manager, kube-scheduler; the names also work without their "kube-". Their logs can be read
when the cluster is stopped. Components of a node are kubelet, kube-proxy, containerd and bonsai-agent; without
--node all nodes are shown. Without COMPONENT it is the whole control plane or, with --node, the output of the node's
container.

Logs of pods are shown by kubectl.`,
		Example: `  bonsai logs
  bonsai logs apiserver -f
  bonsai logs kubelet --node 2 --tail 200
  bonsai logs --node bonsai-1`,
		Args:              argCount(0, 1, "at most one component"),
		ValidArgsFunction: cobra.FixedCompletions(slices.Concat(logsource.HostComponents(), logsource.NodeComponents()), cobra.ShellCompDirectiveNoFileComp),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.runLogs(cmd.Context(), strings.Join(args, ""), o)
		},
	}
	f := cmd.Flags()
	f.StringVar(&o.node, "node", "", "name or number of a node")
	f.BoolVarP(&o.follow, "follow", "f", false, "continue with new lines, until Ctrl-C")
	f.IntVar(&o.tail, "tail", 60, "number of lines from the end; -1 for all")
	_ = cmd.RegisterFlagCompletionFunc("node", a.completeNodes)
	return cmd
}

// logSource is one log to show.
type logSource struct {
	name string
	copy func(ctx context.Context, w io.Writer) error
}

func hostLog(name, path string, r logsource.Range) logSource {
	return logSource{name, func(ctx context.Context, w io.Writer) error { return logsource.Host(ctx, path, r, w) }}
}

func (a *app) runLogs(ctx context.Context, component string, o logsOptions) error {
	if component != "" {
		if err := cluster.ValidateName(component); err != nil { // it becomes part of a path
			return fault.Newf(fault.Usage, "%q is not a component", component).Advise("", help("bonsai logs"))
		}
	}
	if o.tail < -1 {
		return fault.Newf(fault.Usage, "--tail %d is not valid: use a number of lines, or -1 for all", o.tail)
	}
	s, err := a.open()
	if err != nil {
		return err
	}
	spec, err := a.spec(s)
	if err != nil {
		return err
	}
	var sources []logSource
	component = logsource.FullName(component)
	lines := logsource.Range{Lines: o.tail, Follow: o.follow}
	switch {
	case o.node == "" && component == "":
		for _, name := range logsource.HostComponents() {
			path := s.State.Cluster(a.profile).LogFile(name)
			if _, err := os.Stat(path); err == nil {
				sources = append(sources, hostLog(name, path, lines))
			}
		}
		if len(sources) == 0 {
			return fault.Newf(fault.NotRunning, "cluster %q has no logs yet", a.profile).Advise("", cluster.Bonsai("start").Cure())
		}
	case o.node == "" && slices.Contains(logsource.HostComponents(), component):
		sources = []logSource{hostLog(component, s.State.Cluster(a.profile).LogFile(component), lines)}
	default:
		nodes := spec.Nodes
		if o.node != "" || len(nodes) == 0 {
			n, err := a.findNode(spec, o.node)
			if err != nil {
				return err
			}
			nodes = []cluster.Node{n}
		}
		if err := a.wake(ctx, s); err != nil {
			return err
		}
		driver, err := s.Driver()
		if err != nil {
			return err
		}
		defer func() { _ = driver.Close() }()
		containers, err := node.ByName(ctx, driver, spec.ID)
		if err != nil {
			return err
		}
		for _, n := range nodes {
			sources = append(sources, logSource{n.Name, func(ctx context.Context, w io.Writer) error {
				c, ok := containers[n.Name]
				switch {
				case !ok:
					return node.Gone(spec, n.Name)
				case component == "":
					return driver.Logs(ctx, c.Name, max(0, o.tail), o.follow, w)
				}
				return logsource.Node(ctx, driver, c, component, lines, w)
			}})
		}
	}
	err = a.showLogs(ctx, sources, o.follow)
	if ctx.Err() != nil && o.follow {
		return nil // Ctrl-C is how following ends
	}
	return a.explain(err)
}

// showLogs writes the sources one after the other, or when following all in parallel with a name before each line.
func (a *app) showLogs(ctx context.Context, sources []logSource, follow bool) error {
	out := a.Stdout
	if isTerminal(out) {
		out = termsafe.Writer(out)
	}
	if len(sources) == 1 {
		return sources[0].copy(ctx, out)
	}
	if !follow {
		var errs []error
		for i, s := range sources {
			if i > 0 {
				fmt.Fprintln(out)
			}
			fmt.Fprintf(out, "==> %s <==\n", s.name)
			errs = append(errs, s.copy(ctx, out))
		}
		return errors.Join(errs...)
	}
	var wg sync.WaitGroup
	var mu sync.Mutex // guards out
	errs := make([]error, len(sources))
	for i, s := range sources {
		wg.Go(func() {
			w := &prefixWriter{prefix: s.name + " | ", w: out, mu: &mu}
			errs[i] = s.copy(ctx, w)
			w.flush()
		})
	}
	wg.Wait()
	return errors.Join(errs...)
}

// prefixWriter writes whole lines only, so that those of several logs do not mix.
type prefixWriter struct {
	prefix string
	w      io.Writer
	mu     *sync.Mutex
	rest   []byte
}

func (p *prefixWriter) Write(data []byte) (int, error) {
	p.rest = append(p.rest, data...)
	for {
		line, rest, ok := bytes.Cut(p.rest, []byte{'\n'})
		if !ok {
			return len(data), nil
		}
		p.mu.Lock()
		_, err := fmt.Fprintf(p.w, "%s%s\n", p.prefix, line)
		p.mu.Unlock()
		if err != nil {
			return 0, err
		}
		p.rest = rest
	}
}

func (p *prefixWriter) flush() {
	if len(p.rest) > 0 {
		_, _ = p.Write([]byte{'\n'})
	}
}

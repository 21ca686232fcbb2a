package cli

import (
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"bonsai/bootstrap"
	"bonsai/bootstrap/cluster"
	"bonsai/bootstrap/fault"
	"bonsai/bootstrap/plan"
)

type nodeAddOptions struct {
	count  int
	cpus   string
	memory string
	labels []string
	taints []string
	role   string
	mounts []string
}

func (a *app) nodeAddCommand() *cobra.Command {
	var o nodeAddOptions
	cmd := &cobra.Command{
		Use:   "add",
		Short: "Add nodes",
		Long: `Add adds nodes to a cluster, and returns when they are Ready. Those of a stopped cluster are there when it is started.
Each gets the next number; the name of a node that was deleted is not given again. Other nodes are not touched.

If it fails, what it created is removed.`,
		Example: `  bonsai node add
  bonsai node add --count 2 --cpus 2 --memory 4g
  bonsai node add --labels topology.kubernetes.io/zone=b,disk=ssd --taints gpu=yes:NoSchedule
  bonsai node add --role control-plane`,
		Args: argCount(0, 0, "no arguments; the next name is chosen"),
		RunE: func(cmd *cobra.Command, _ []string) error { return a.runNodeAdd(cmd.Context(), o) },
	}
	f := cmd.Flags()
	f.IntVar(&o.count, "count", 1, "how many")
	f.StringVar(&o.cpus, "cpus", "", "processors of each, such as 2 or 0.5 (default no limit)")
	f.StringVar(&o.memory, "memory", "", "memory of each, such as 2g or 1500m (default no limit)")
	f.StringSliceVar(&o.labels, "labels", nil, "labels, such as disk=ssd,zone=a")
	f.StringSliceVar(&o.taints, "taints", nil, "taints, such as gpu=yes:NoSchedule, with one of the effects NoSchedule, PreferNoSchedule and NoExecute")
	f.StringArrayVar(&o.mounts, "mount", nil, "file or folder of the engine's machine that they have, as `HOST:PATH[:ro]`; may be repeated")
	f.StringVar(&o.role, "role", cluster.RoleWorker, cluster.RoleWorker+" or "+cluster.RoleControlPlane+": which label of a role they get; the control plane itself is not on nodes")
	_ = cmd.RegisterFlagCompletionFunc("role", cobra.FixedCompletions([]string{cluster.RoleWorker, cluster.RoleControlPlane}, cobra.ShellCompDirectiveNoFileComp))
	a.addOutput(cmd, "json prints each step as a line")
	return cmd
}

func (a *app) runNodeAdd(ctx context.Context, o nodeAddOptions) error {
	nodes, err := o.check()
	if err != nil {
		return err
	}
	return a.nodeVerb("add", func(s Session, run bootstrap.Run) error {
		p, err := s.Engine.Apply(ctx, "node add", a.profile, nodes.Wanted, run)
		if err != nil || a.json() {
			return err
		}
		names := changed(p, plan.KindAddNode)
		if p.Current.Running {
			fmt.Fprintf(a.Stdout, "%s ready.\n", areIs(names))
		} else {
			fmt.Fprintf(a.Stdout, "%s added, and will be there when the cluster is started:  %s\n", areIs(names), a.command("start"))
		}
		return nil
	})
}

// check reports all mistakes of the command line at once.
func (o nodeAddOptions) check() (nodes plan.NewNodes, _ error) {
	var errs []error
	bad := func(err error, advice string) {
		if err != nil {
			errs = append(errs, fault.New(fault.Usage, "", err).Advise(advice))
		}
	}
	nodes.Count = o.count
	if o.count < 1 || o.count > cluster.MaxNodes {
		bad(fmt.Errorf("--count %d is not possible: from 1 to %d", o.count, cluster.MaxNodes), "for example:  --count 2")
	}
	var err error
	if o.cpus != "" {
		nodes.CPUs, err = parseCPUs(o.cpus)
		bad(err, "for example:  --cpus 2")
	}
	if o.memory != "" {
		nodes.MemoryBytes, err = parseMemory(o.memory)
		bad(err, "for example:  --memory 2g")
	}
	if len(o.labels) > 0 {
		nodes.Labels, err = cluster.ParseNodeLabels(o.labels)
		bad(err, "for example:  --labels disk=ssd,zone=a")
	}
	for _, text := range o.taints {
		t, err := cluster.ParseTaint(text)
		bad(err, "for example:  --taints gpu=yes:NoSchedule")
		nodes.Taints = append(nodes.Taints, t)
	}
	if nodes.Mounts, err = parseMounts(o.mounts); err != nil {
		errs = append(errs, err)
	}
	switch o.role {
	case cluster.RoleWorker:
	case cluster.RoleControlPlane:
		nodes.ControlPlane = true
	default:
		bad(fmt.Errorf("--role %q is not valid: use %s or %s", o.role, cluster.RoleWorker, cluster.RoleControlPlane), "omit it for a worker")
	}
	return nodes, errors.Join(errs...)
}

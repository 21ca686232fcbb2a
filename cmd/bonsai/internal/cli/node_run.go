package cli

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/spf13/cobra"

	"bonsai/bootstrap"
	"bonsai/bootstrap/cluster"
	"bonsai/bootstrap/fault"
	"bonsai/bootstrap/plan"
)

func (a *app) nodeStopCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "stop NODE...",
		Short: "Stop nodes and keep everything on them",
		Long: `Stop stops nodes as if their machines were switched off. Kubernetes notices after about 40 seconds, and creates their
pods elsewhere after five minutes, unless the pods say otherwise. To move pods away first, use kubectl drain.

A node that was stopped stays so when its cluster is stopped and started, until node start; status does not count it
as a problem.`,
		Example: `  bonsai node stop bonsai-3
  bonsai node stop 2 3`,
		Args:              manyNodes,
		ValidArgsFunction: a.completeManyNodes,
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.nodeVerb("stop", func(s Session, run bootstrap.Run) error {
				p, err := s.Engine.Apply(cmd.Context(), "node stop", a.profile, plan.StoppedNodes(args), run)
				return a.printNodes(p, err, []plan.Kind{plan.KindStopNode}, "stopped.", "They are stopped already.")
			})
		},
	}
	a.addOutput(cmd, "json prints each step as a line")
	return cmd
}

func (a *app) nodeStartCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "start NODE...",
		Short: "Start nodes that were stopped",
		Long: `Start starts nodes that node stop has stopped, or that have exited, and returns when they are Ready. If the cluster
does not run, they will start with it.`,
		Example: `  bonsai node start bonsai-3
  bonsai node start 2 3`,
		Args:              manyNodes,
		ValidArgsFunction: a.completeManyNodes,
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.nodeVerb("start", func(s Session, run bootstrap.Run) error {
				p, err := s.Engine.Apply(cmd.Context(), "node start", a.profile, plan.StartedNodes(args), run)
				done := "ready."
				if !p.Current.Running {
					done = "no longer stopped, and will start with the cluster:  " + a.command("start")
				}
				return a.printNodes(p, err, []plan.Kind{plan.KindStartNode}, done, "There is nothing to start.")
			})
		},
	}
	a.addOutput(cmd, "json prints each step as a line")
	return cmd
}

func (a *app) nodeRestartCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "restart NODE...",
		Short: "Stop nodes and start them again",
		Long: `Restart stops nodes and starts them, as if their machines were restarted, and returns when they are Ready. Pods are
started again where they were. Nodes that were stopped are started.`,
		Example:           `  bonsai node restart bonsai-2`,
		Args:              manyNodes,
		ValidArgsFunction: a.completeManyNodes,
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.nodeVerb("restart", func(s Session, run bootstrap.Run) error {
				err := s.Engine.RestartNodes(cmd.Context(), a.profile, args, run)
				if err != nil || a.json() {
					return a.explain(err)
				}
				spec, err := a.spec(s)
				if err != nil {
					return err
				}
				found, err := plan.FindNodes(spec, args)
				var names []string
				for _, n := range found {
					names = append(names, n.Name)
				}
				fmt.Fprintf(a.Stdout, "%s ready.\n", areIs(names))
				return err
			})
		},
	}
	a.addOutput(cmd, "json prints each step as a line")
	return cmd
}

// printNodes prints the result of a verb: done follows the names of the nodes that the plan changes.
func (a *app) printNodes(p plan.Plan, err error, kinds []plan.Kind, done, nothing string) error {
	if err != nil || a.json() {
		return err
	}
	names := changed(p, kinds...)
	if len(names) == 0 {
		fmt.Fprintln(a.Stdout, nothing)
		return nil
	}
	fmt.Fprintln(a.Stdout, areIs(names), done)
	return nil
}

type nodeUpdateOptions struct {
	cpus, memory    string
	mounts, unmount []string
}

func (a *app) nodeUpdateCommand() *cobra.Command {
	var o nodeUpdateOptions
	cmd := &cobra.Command{
		Use:   "update NODE...",
		Short: "Change the processors, the memory and the mounts of nodes",
		Long: `Update changes how much of the machine's processors and memory nodes may use. The scheduler sees it: what a node offers
changes with it. Pods keep running; only the kubelet is restarted. Removing a limit recreates the container of the node, with
its data; its pods start again.

It also mounts files and folders of the engine's machine in nodes, or removes such mounts, which recreates them in the same
way. Pods use what is mounted by hostPath volumes.`,
		Example: `  bonsai node update bonsai-2 --cpus 2 --memory 4g
  bonsai node update 2 3 --memory no-limit
  bonsai node update 1 --mount ~/src:/src:ro
  bonsai node update 1 --unmount /src`,
		Args:              manyNodes,
		ValidArgsFunction: a.completeManyNodes,
		RunE:              func(cmd *cobra.Command, args []string) error { return a.runNodeUpdate(cmd.Context(), args, o) },
	}
	f := cmd.Flags()
	f.StringVar(&o.cpus, "cpus", "", "processors, such as 2 or 0.5; no-limit removes the limit")
	f.StringVar(&o.memory, "memory", "", "memory, such as 2g or 1500m; no-limit removes the limit")
	f.StringArrayVar(&o.mounts, "mount", nil, "file or folder of the engine's machine to mount, as `HOST:PATH[:ro]`; may be repeated")
	f.StringArrayVar(&o.unmount, "unmount", nil, "`PATH` in the nodes at which nothing is to be mounted any more; may be repeated")
	a.addOutput(cmd, "json prints each step as a line")
	return cmd
}

func (a *app) runNodeUpdate(ctx context.Context, names []string, o nodeUpdateOptions) error {
	var cpus *float64
	var memory *int64
	var errs []error
	if o.cpus != "" {
		n, err := parseCPUs(o.cpus)
		if err != nil {
			errs = append(errs, fault.New(fault.Usage, "", err).Advise("for example:  --cpus 2"))
		}
		cpus = &n
	}
	if o.memory != "" {
		n, err := parseMemory(o.memory)
		if err != nil {
			errs = append(errs, fault.New(fault.Usage, "", err).Advise("for example:  --memory 2g"))
		}
		memory = &n
	}
	mounts, err := parseMounts(o.mounts)
	if err != nil {
		errs = append(errs, err)
	}
	if cpus == nil && memory == nil && len(mounts)+len(o.unmount)+len(errs) == 0 {
		errs = append(errs, fault.Newf(fault.Usage, "there is nothing to change").Advise("for example:  --cpus 2 --memory 4g"))
	}
	if err := errors.Join(errs...); err != nil {
		return err
	}
	return a.nodeVerb("update", func(s Session, run bootstrap.Run) error {
		p, err := s.Engine.Apply(ctx, "node update", a.profile, func(current plan.State, env plan.Environment) (plan.State, error) {
			wanted, err := plan.RemountedNodes(names, mounts, o.unmount)(current, env)
			if err != nil {
				return current, err
			}
			return plan.ResizedNodes(names, cpus, memory)(wanted, env)
		}, run)
		return a.printNodes(p, err, []plan.Kind{plan.KindResizeNode, plan.KindMountNode}, "changed.", "They have these limits and mounts already.")
	})
}

// parseMounts reads what mounts are given as, and reports all mistakes at once. nil are none.
func parseMounts(texts []string) (list []cluster.Mount, err error) {
	dir, err := fileDir(standardInput)
	if err != nil {
		return nil, err
	}
	var errs []error
	for _, text := range texts {
		m, err := cluster.ParseMount(text, dir)
		if err == nil && slices.ContainsFunc(list, func(o cluster.Mount) bool { return o.Path == m.Path }) {
			err = fmt.Errorf("--mount has the path %s twice", m.Path)
		}
		if err != nil {
			errs = append(errs, fault.New(fault.Usage, "", err).Advise("for example:  --mount /home/me/src:/src:ro"))
			continue
		}
		list = append(list, m)
	}
	return list, errors.Join(errs...)
}

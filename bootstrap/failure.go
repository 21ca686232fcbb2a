package bootstrap

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"syscall"
	"time"

	"bonsai/bootstrap/cluster"
	"bonsai/bootstrap/componentlog"
	"bonsai/bootstrap/doctor"
	"bonsai/bootstrap/fault"
	"bonsai/bootstrap/node"
	"bonsai/bootstrap/pki"
	"bonsai/bootstrap/plan"
)

// evidenceLines is how many lines of a log are shown with a failure.
const evidenceLines = 8

// failed ends an operation that failed after its first change: it explains the error, and removes what was created.
func (o *operation) failed(ctx context.Context, err error) error {
	err = o.explain(ctx, err)
	if !o.run.Keep {
		err = errors.Join(err, o.undo(ctx))
	}
	return err
}

// explain turns the error of a failed operation into a fault with the relevant log lines. It reads logs, so it has to
// be called before undo.
func (o *operation) explain(ctx context.Context, err error) error {
	if ctx.Err() != nil && errors.Is(err, context.Canceled) {
		return fault.New(fault.Canceled, "", errors.New(o.rec.operation+" was cancelled"))
	}
	f, ok := errors.AsType[*fault.Fault](err)
	if !ok {
		f = fault.New(fault.Internal, o.rec.operation+" cluster "+o.state.Name, err)
	}
	if f.Kind == fault.Node && len(f.Evidence) == 0 {
		ctx, cancel := o.limit(context.WithoutCancel(ctx), 5*time.Second, "the logs of nodes")
		defer cancel()
		f = f.WithEvidence(o.nodeEvidence(ctx)...)
		if len(f.Advice) == 0 {
			f.Advise("to see everything, keep what a failed start leaves", cluster.Bonsai("start").Of(o.state.Name).With("--keep").Change()).
				Advise("then read its log", cluster.Bonsai("logs").On("kubelet").Of(o.state.Name).With("--node", o.state.Name+"-1"))
		}
	}
	adviseOnLimit(f)
	return f
}

// nodeEvidence are the last lines of the nodes' own logs that look like problems.
func (o *operation) nodeEvidence(ctx context.Context) []string {
	if o.driver == nil {
		return nil
	}
	containers, err := o.driver.List(ctx, o.Wanted.Spec.ID)
	if err != nil {
		return nil
	}
	var lines []string
	for _, c := range containers {
		if !c.Running {
			lines = append(lines, fmt.Sprintf("%s: container is %s (exit code %d)", c.Node, c.State, c.ExitCode))
		}
		for _, line := range append(o.containerTroubles(ctx, c.Name), o.componentWords(ctx, c.Name)...) {
			lines = append(lines, c.Node+": "+line)
		}
	}
	return lines
}

// containerTroubles are the last lines of a container's own log that look like problems, none if it cannot be read.
func (o *operation) containerTroubles(ctx context.Context, container string) []string {
	var out bytes.Buffer
	if err := o.driver.Logs(ctx, container, 40, false, &out); err != nil {
		return nil
	}
	return componentlog.Troubles(out.String(), evidenceLines)
}

// containerLook is the pause between two checks of the nodes' containers.
const containerLook = 500 * time.Millisecond

// watchContainers gives up as soon as the container of a node that should run has exited: its kubelet will never report
// Ready.
func (o *operation) watchContainers(ctx context.Context, giveUp context.CancelCauseFunc) {
	tick := time.NewTicker(containerLook)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		containers, err := o.driver.List(ctx, o.Wanted.Spec.ID)
		if err != nil {
			continue
		}
		for _, c := range containers {
			if _, planned := o.Wanted.Spec.NodeByName(c.Node); !planned || c.Running || o.Wanted.Down[c.Node] {
				continue
			}
			f := fault.New(fault.Node, "wait for node "+c.Node, fmt.Errorf("its container %s has exited with code %d", c.Name, c.ExitCode)).
				WithEvidence(o.containerTroubles(ctx, c.Name)...)
			if c.ExitCode == 128+int(syscall.SIGKILL) {
				f.Advice = []cluster.Advice{killedAdvice()}
			}
			giveUp(f)
			return
		}
	}
}

// watchReachability checks, if nodes are not ready for suspiciously long, from inside one of them whether it reaches
// the API server at all: a host firewall that drops packets from bridges is the usual cause, and looks fine from
// outside.
func (o *operation) watchReachability(ctx context.Context, giveUp context.CancelCauseFunc) {
	wait := o.env.Scale.Of(unreachableAfter)
	for range 3 {
		select {
		case <-ctx.Done():
			return
		case <-time.After(wait):
		}
		containers, err := o.driver.List(ctx, o.Wanted.Spec.ID)
		if err != nil {
			continue
		}
		i := slices.IndexFunc(containers, func(c node.Container) bool { return c.Running })
		if i < 0 {
			return // which watchContainers reports
		}
		if err := reachesServer(ctx, o.driver, containers[i].Name, o.Wanted.Spec); err != nil {
			giveUp(err)
			return
		}
	}
}

// reachesServer asks a node whether it reaches the API server on this machine. The error is a fault if it does not; what cannot
// be asked is not an error.
func reachesServer(ctx context.Context, driver node.Driver, container string, spec *cluster.Spec) error {
	server := netip.AddrPortFrom(spec.Gateway, uint16(spec.APIPort))
	var out bytes.Buffer
	code, err := driver.Exec(ctx, container, node.Exec{
		Cmd: []string{"bonsai-agent", "probe", "https://" + server.String()}, Stdout: &out, Stderr: &out,
	})
	if err != nil || code == 0 || ctx.Err() != nil {
		return nil
	}
	return doctor.Unreachable(spec, componentlog.Troubles(out.String(), 3))
}

// forget removes the folder that taking the lock created, if no cluster was created.
func (o *operation) forget() error {
	if o.existed || o.state.Exists() {
		return nil
	}
	return o.state.Remove()
}

// undo reverts what this run did: everything of a new cluster; of an existing one everything that was changed, while
// its data and its running parts stay.
func (o *operation) undo(ctx context.Context) error {
	ctx, cancel := o.limit(context.WithoutCancel(ctx), cleanupLimit, "the cleanup")
	defer cancel()
	return o.rec.step("cleanup", "Removing what this "+o.rec.operation+" created", func(func(string)) error {
		if o.Current.Spec == nil {
			return o.removeAll(ctx)
		}
		return o.restore(ctx)
	})
}

// removeAll removes every trace of the cluster; the kubeconfig is written when nothing can fail any more.
func (o *operation) removeAll(ctx context.Context) error {
	var errs []error
	if o.daemon != nil {
		errs = append(errs, o.kill(ctx, o.daemon))
	}
	if o.driver != nil {
		id := o.Wanted.Spec.ID
		errs = append(errs, removeLater(o.driver.RemoveCluster(ctx, id), id))
	}
	return errors.Join(append(errs, o.state.Remove())...)
}

// restore brings an existing cluster back to its state before this run. The spec comes first: if this is killed, too, a
// later start continues from the old one and removes the rest. What only had to be repaired stays repaired.
func (o *operation) restore(ctx context.Context) error {
	old := o.Current.Spec
	save := old
	o.restoring = restoring{} // a daemon that finds an unfinished restore goes back
	o.held = nil              // what runs on waits for nothing
	var errs []error
	if o.driver != nil && len(old.Nodes) == 0 {
		// By a spec without nodes no later command asks the engine. So this one names them as long as it has any.
		if err := o.driver.RemoveCluster(ctx, old.ID); err != nil {
			errs, save = append(errs, err), o.Wanted.Spec
		}
	}
	errs = append(errs, o.state.SaveSpec(save), pki.Ensure(o.state.PKI(), *save))
	if o.daemon != nil {
		errs = append(errs, o.kill(ctx, o.daemon))
	}
	if o.driver != nil && len(old.Nodes) > 0 {
		containers, err := node.ByName(ctx, o.driver, old.ID)
		errs = append(errs, err)
		for _, n := range o.Wanted.Spec.Nodes {
			if _, had := old.NodeByName(n.Name); !had {
				errs = append(errs, o.driver.RemoveNode(ctx, old.ID, n.Name))
			} else if c, ok := containers[n.Name]; ok && o.daemon != nil && o.Current.Down[n.Name] {
				errs = append(errs, o.driver.StopNode(ctx, c.Name, o.env.Scale.Of(nodeGrace)))
			}
		}
	}
	if o.Current.Running {
		// Without the Node objects of nodes that are gone, and with the previous addons.
		errs = append(errs, o.revive(ctx))
	}
	if o.touchesNodes() && slices.ContainsFunc(o.Changes, func(c plan.Change) bool { return c.Kind() != plan.KindStart }) {
		errs = append(errs, o.restoreNodes(ctx))
	}
	return errors.Join(errs...)
}

// restoreNodes gives nodes that were running their old limits and configuration back.
func (o *operation) restoreNodes(ctx context.Context) error {
	var ran []cluster.Node
	for _, n := range o.Current.Spec.Nodes {
		if !o.Current.Down[n.Name] {
			ran = append(ran, n)
		}
	}
	if len(ran) == 0 {
		return nil
	}
	if err := o.runNodes(ctx, o.Current.Spec, ran); err != nil {
		return err
	}
	if err := o.reloadKubelets(ctx); err != nil {
		return err
	}
	return o.reloadRegistries(ctx)
}

package bootstrap

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"os"
	"slices"
	"strings"
	"syscall"
	"time"

	"bonsai/bootstrap/fault"
	"bonsai/bootstrap/kubeconfig"
	"bonsai/bootstrap/node"
)

// evidenceLines is how many lines of a log are shown with a failure.
const evidenceLines = 8

// explain turns the error of a failed start into a fault with the log lines that matter. It reads logs, so it comes
// before undo.
func (s *start) explain(ctx context.Context, err error) error {
	if ctx.Err() != nil && errors.Is(err, context.Canceled) {
		return fault.New(fault.Canceled, "", errors.New("start was cancelled"))
	}
	f, ok := errors.AsType[*fault.Fault](err)
	if !ok {
		f = fault.New(fault.Internal, "start cluster "+s.spec.Name, err)
	}
	if f.Kind == fault.Node && len(f.Evidence) == 0 {
		ctx, cancel := s.limit(context.WithoutCancel(ctx), 5*time.Second, "the logs of nodes")
		defer cancel()
		f = f.WithEvidence(s.nodeEvidence(ctx)...)
		if len(f.Advice) == 0 {
			f = f.WithHint("see the whole story with:  bonsai start -p %[1]s --keep  and then  bonsai logs -p %[1]s kubelet --node %[1]s-1", s.spec.Name)
		}
	}
	return f
}

// nodeEvidence are the last lines of the nodes' own logs that look like trouble.
func (s *start) nodeEvidence(ctx context.Context) []string {
	if s.driver == nil {
		return nil
	}
	containers, err := s.driver.List(ctx, s.spec.ID)
	if err != nil {
		return nil
	}
	var lines []string
	for _, c := range containers {
		if !c.Running {
			lines = append(lines, fmt.Sprintf("%s: container is %s (exit code %d)", c.Node, c.State, c.ExitCode))
		}
		for _, line := range s.containerTroubles(ctx, c.Name) {
			lines = append(lines, c.Node+": "+line)
		}
	}
	return lines
}

// containerTroubles are the last lines of a container's own log that look like trouble, none if it cannot be read.
func (s *start) containerTroubles(ctx context.Context, container string) []string {
	var out bytes.Buffer
	if err := s.driver.Logs(ctx, container, 40, false, &out); err != nil {
		return nil
	}
	return troubles(out.String(), evidenceLines)
}

// killedHint is for what has ended by SIGKILL.
const killedHint = "something has killed it; if this machine ran out of memory, that is here:  sudo dmesg | grep -i oom"

// troubles are the last n lines of a log that tell of an error, or its last n lines if none does.
func troubles(log string, n int) []string {
	var all, bad []string
	for line := range strings.Lines(log) {
		line = strings.TrimSpace(line)
		if line == "" {
			continue
		}
		all = append(all, line)
		lower := strings.ToLower(line)
		if line[0] == 'E' || line[0] == 'F' || strings.Contains(lower, "error") || strings.Contains(lower, "fail") || strings.Contains(lower, "panic") {
			bad = append(bad, line)
		}
	}
	if len(bad) == 0 {
		bad = all
	}
	return bad[max(0, len(bad)-n):]
}

// tailOf are the telling last lines of a file.
func tailOf(path string, n int) []string {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil
	}
	return troubles(string(data[max(0, len(data)-64<<10):]), n)
}

// containerLook is the pause between two looks at the nodes' containers.
const containerLook = 500 * time.Millisecond

// watchContainers gives up as soon as the container of a node has ended: its kubelet will never report Ready.
func (s *start) watchContainers(ctx context.Context, giveUp context.CancelCauseFunc) {
	tick := time.NewTicker(containerLook)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		containers, err := s.driver.List(ctx, s.spec.ID)
		if err != nil {
			continue
		}
		for _, c := range containers {
			if _, planned := s.spec.NodeByName(c.Node); !planned || c.Running {
				continue
			}
			f := fault.New(fault.Node, "wait for node "+c.Node, fmt.Errorf("its container %s has ended, with exit code %d", c.Name, c.ExitCode)).
				WithEvidence(s.containerTroubles(ctx, c.Name)...)
			if c.ExitCode == 128+int(syscall.SIGKILL) {
				f = f.WithHint(killedHint)
			}
			giveUp(f)
			return
		}
	}
}

// watchReachability asks, when nodes stay away for suspiciously long, one of them whether it reaches the API server
// at all: a host firewall that drops packets from bridges is the usual cause, and looks like nothing from outside.
func (s *start) watchReachability(ctx context.Context, giveUp context.CancelCauseFunc) {
	wait := s.env.Scale.Of(unreachableAfter)
	for range 3 {
		select {
		case <-ctx.Done():
			return
		case <-time.After(wait):
		}
		containers, err := s.driver.List(ctx, s.spec.ID)
		if err != nil {
			continue
		}
		i := slices.IndexFunc(containers, func(c node.Container) bool { return c.Running })
		if i < 0 {
			return // which watchContainers tells
		}
		server := netip.AddrPortFrom(s.spec.Gateway, uint16(s.spec.APIPort))
		var out bytes.Buffer
		code, err := s.driver.Exec(ctx, containers[i].Name, node.Exec{
			Cmd: []string{"bonsai-agent", "probe", "https://" + server.String()}, Stdout: &out, Stderr: &out,
		})
		if err == nil && code != 0 && ctx.Err() == nil {
			giveUp(fault.Newf(fault.Unreachable, "nodes cannot reach the API server at %s on this host", server).
				WithEvidence(troubles(out.String(), 3)...).
				WithHint("a firewall on this host probably drops what comes from container networks; allow it:\n"+
					"  ufw:        sudo ufw allow from %[1]s to any port %[2]d proto tcp\n"+
					"  firewalld:  sudo firewall-cmd --zone=trusted --add-source=%[1]s\n"+
					"  iptables:   sudo iptables -I INPUT -s %[1]s -p tcp --dport %[2]d -j ACCEPT\n"+
					"then run bonsai start again", s.spec.Subnet, s.spec.APIPort))
			return
		}
	}
}

// forget removes the folder that taking the lock made for a cluster that came to nothing.
func (s *start) forget(existed bool) error {
	if existed || s.state.Exists() {
		return nil
	}
	return s.state.Remove()
}

// undo takes back what this run made: all of a new cluster; of an existing one the daemon that was spawned and the
// nodes that were added, while its data and its running parts stay.
func (s *start) undo(ctx context.Context) error {
	ctx, cancel := s.limit(context.WithoutCancel(ctx), cleanupLimit, "the cleanup")
	defer cancel()
	return s.rec.step("cleanup", "Removing what this start made", func(func(string)) error {
		if s.existing == nil {
			return errors.Join(s.removeAll(ctx))
		}
		return s.restore(ctx)
	})
}

// removeAll removes every trace of the cluster.
func (s *start) removeAll(ctx context.Context) error {
	var errs []error
	if s.daemon != nil {
		errs = append(errs, s.daemon.kill(ctx))
	}
	if s.driver != nil {
		errs = append(errs, s.driver.RemoveCluster(ctx, s.spec.ID))
	}
	_, err := kubeconfig.Remove(s.spec.Name, authority(s.state))
	return errors.Join(append(errs, err, s.state.Remove())...)
}

// restore brings an existing cluster back to what it was before this run.
func (s *start) restore(ctx context.Context) error {
	var errs []error
	if s.driver != nil {
		containers, err := node.ByName(ctx, s.driver, s.spec.ID)
		errs = append(errs, err)
		for _, n := range s.spec.Nodes {
			if _, old := s.existing.NodeByName(n.Name); !old {
				errs = append(errs, s.driver.RemoveNode(ctx, s.spec.ID, n.Name))
			} else if c, ok := containers[n.Name]; ok && s.daemon != nil {
				errs = append(errs, s.driver.StopNode(ctx, c.Name, nodeGrace))
			}
		}
	}
	if s.daemon != nil {
		errs = append(errs, s.daemon.kill(ctx))
	}
	errs = append(errs, s.state.SaveSpec(s.existing))
	if s.running && !maps.Equal(s.existing.Addons, s.spec.Addons) {
		errs = append(errs, s.client().Reload(ctx))
	}
	return errors.Join(errs...)
}

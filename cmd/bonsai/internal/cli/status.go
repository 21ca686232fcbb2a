package cli

import (
	"context"
	"fmt"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"bonsai/bootstrap/cluster"
	"bonsai/bootstrap/fault"
	"bonsai/bootstrap/kubeconfig"
	"bonsai/bootstrap/servicename"
	"bonsai/bootstrap/termsafe"
)

func (a *app) statusCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "status",
		Short: "Show the state of a cluster, its nodes and components",
		Long: `Status shows for each node its type, the state of its host (the container), its kubelet, the API server and your
kubeconfig, and lists every component with its restarts and for how long it has been in its state.

Exit codes: 0 everything runs and is ready; 30 there is no such cluster; 32 it is stopped, paused, or still starting;
33 the control plane is not healthy; 34 it is, but not every node is ready.`,
		Example: `  bonsai status
  bonsai status -o json
  until bonsai status >/dev/null; do sleep 1; done`,
		Args: argCount(0, 0, "no arguments"),
		RunE: func(cmd *cobra.Command, _ []string) error { return a.runStatus(cmd.Context()) },
	}
	a.addOutput(cmd, "format of the answer")
	return cmd
}

func (a *app) runStatus(ctx context.Context) error {
	s, err := a.open()
	if err != nil {
		return err
	}
	snapshot, err := s.Engine.Status(ctx, a.profile)
	if fault.KindOf(err) == fault.NotFound {
		a.noteForeign(ctx, s)
	}
	if err != nil {
		return err
	}
	if a.json() {
		err = writeJSON(a.Stdout, snapshot)
	} else {
		err = a.printStatus(snapshot)
	}
	if err != nil {
		return err
	}
	if code := statusCode(snapshot); code != 0 {
		return exitCode(code)
	}
	return nil
}

// statusCode is the exit code of status for scripts, in the numbers of the corresponding faults.
func statusCode(s cluster.Snapshot) int {
	code := func(k fault.Kind) int { return fault.ExitCode(&fault.Fault{Kind: k}) }
	switch s.Phase {
	case cluster.PhaseRunning:
		return 0
	case cluster.PhaseStopped, cluster.PhasePaused, cluster.PhaseStarting, cluster.PhaseStopping, cluster.PhaseAbsent:
		return code(fault.NotRunning)
	}
	if s.APIServer != cluster.PhaseRunning {
		return code(fault.ControlPlane)
	}
	for _, c := range s.Components {
		if c.Phase != cluster.PhaseRunning && c.Phase != cluster.PhaseOff {
			return code(fault.ControlPlane)
		}
	}
	return code(fault.Node)
}

func (a *app) printStatus(s cluster.Snapshot) error {
	out := a.Stdout
	look := styleFor(out)
	phase := func(p cluster.Phase) string {
		switch p {
		case cluster.PhaseRunning:
			return look.green(string(p))
		case cluster.PhaseFailed, cluster.PhaseDegraded, cluster.PhaseAbsent:
			return look.red(string(p))
		}
		return look.yellow(string(p))
	}
	head := fmt.Sprintf("%s: %s", s.Name, phase(s.Phase))
	if s.KubernetesVersion != "" {
		head += ", Kubernetes " + s.KubernetesVersion
	}
	if s.Emulated != "" {
		head += " emulating " + s.Emulated
	}
	if s.Server != "" {
		head += ", " + s.Server
	}
	fmt.Fprintln(out, head)

	if len(s.Nodes) == 0 { // the machine itself is the only host
		fmt.Fprintf(out, "\n%s\ntype: Control Plane\nhost: %s\napiserver: %s\nkubeconfig: %s\n", s.Name, phase(hostPhase(s)), phase(s.APIServer), access(s))
	}
	for _, n := range s.Nodes {
		fmt.Fprintf(out, "\n%s\ntype: %s\nhost: %s\nkubelet: %s\napiserver: %s\nkubeconfig: %s\n",
			n.Name, nodeType(n.Role), phase(n.Host), phase(n.Kubelet), phase(s.APIServer), access(s))
	}
	if p := s.Paused; p != nil {
		how := ""
		if p.Auto {
			how = ", because nobody used it"
		}
		fmt.Fprintf(out, "\npaused for %s%s; the next request wakes it, or:  %s\n", age(s.Time.Sub(p.Since)), how, a.command("unpause"))
	}
	if n := s.Names; n != nil && n.Open {
		fmt.Fprintf(out, "\nServices: %s\n", servicename.URL(n.Port, "NAMESPACE", "SERVICE", ""))
		for _, h := range n.Hosts {
			fmt.Fprintf(out, "%s: %s\n", termsafe.String(strings.Join(h.From, ", ")), termsafe.String(servicename.HostURL(n.Port, h.Host, false)))
			if len(h.Also) > 0 {
				fmt.Fprintf(out, "  %s claims it, too, and gets what that has no rule for\n", termsafe.String(strings.Join(h.Also, " and ")))
			}
		}
	}
	if rows := componentRows(s); len(rows) > 1 {
		fmt.Fprintln(out)
		if err := table(out, rows); err != nil {
			return err
		}
	}
	for _, p := range s.Problems {
		fmt.Fprintln(out)
		printProblem(out, look, p)
	}
	if s.Kubeconfig != kubeconfig.Configured && s.Kubeconfig != kubeconfig.Own {
		a.note("kubectl's context %q is %s; repair it:  %s", s.Name, s.Kubeconfig, a.command("update-context"))
	}
	return nil
}

// access says how the user's kubeconfig leads to the cluster, with the contexts unless it is just the one of its name.
func access(s cluster.Snapshot) string {
	switch {
	case len(s.Contexts) == 0, len(s.Contexts) == 1 && s.Contexts[0] == s.Name:
		return s.Kubeconfig
	case len(s.Contexts) == 1:
		return fmt.Sprintf("%s (context %s)", s.Kubeconfig, termsafe.String(s.Contexts[0]))
	}
	return fmt.Sprintf("%s (contexts %s)", s.Kubeconfig, termsafe.String(strings.Join(s.Contexts, ", ")))
}

func hostPhase(s cluster.Snapshot) cluster.Phase {
	if s.APIServer == cluster.PhaseStopped || s.APIServer == cluster.PhaseFailed {
		return cluster.PhaseStopped
	}
	return cluster.PhaseRunning
}

// nodeType is minikube's word for a role.
func nodeType(role string) string {
	switch role {
	case "control-plane":
		return "Control Plane"
	case "", "worker":
		return "Worker"
	}
	return role
}

func componentRows(s cluster.Snapshot) [][]string {
	rows := [][]string{{"COMPONENT", "ON", "STATE", "RESTARTS", "AGE", "REASON"}}
	reasons := false
	add := func(where string, list []cluster.Component) {
		for _, c := range list {
			since := ""
			if !c.Since.IsZero() {
				since = age(s.Time.Sub(c.Since))
			}
			reasons = reasons || c.Reason != ""
			rows = append(rows, []string{c.Name, where, string(c.Phase), strconv.Itoa(c.Restarts), since, c.Reason})
		}
	}
	add("host", s.Components)
	for _, n := range s.Nodes {
		add(n.Name, n.Components)
	}
	if !reasons {
		for i := range rows {
			rows[i] = rows[i][:5]
		}
	}
	return rows
}

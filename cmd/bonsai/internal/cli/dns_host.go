package cli

import (
	"context"
	"fmt"
	"net"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"bonsai/bootstrap"
	"bonsai/bootstrap/cluster"
	"bonsai/bootstrap/fault"
	"bonsai/bootstrap/hostdns"
)

func (a *app) dnsHostCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "host",
		Short: "Give programs of this machine the names of Services and Ingresses",
		Long: `The addon ingress-dns answers, on a port of 127.0.0.1, the names that this machine reaches: Services by the names that they
have in the cluster, and hosts of Ingresses, Gateways and routes. These commands have this machine's own resolver ask it about
these domains, and about nothing else.`,
		Example: `  bonsai dns host enable
  bonsai dns host status
  bonsai dns host disable`,
		Args: a.groupArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	printOnly := false
	enable := &cobra.Command{
		Use:   "enable",
		Short: "Enable the addon ingress-dns, and have this machine ask it",
		Long: `Enable enables the addon ingress-dns of a running cluster, and configures what resolves names on this machine: systemd-resolved,
dnsmasq, or macOS. That needs root. As another user it prints the commands, for a shell of root.

What it configures is taken back by disable, and when the cluster is deleted.`,
		Example: `  bonsai dns host enable
  bonsai dns host enable --print | sudo sh`,
		Args: argCount(0, 0, "no arguments"),
		RunE: func(cmd *cobra.Command, _ []string) error { return a.runDNSHostEnable(cmd.Context(), printOnly) },
	}
	disable := &cobra.Command{
		Use:   "disable",
		Short: "Take back what enable has configured, and disable the addon",
		Example: `  bonsai dns host disable
  bonsai dns host disable --print | sudo sh`,
		Args: argCount(0, 0, "no arguments"),
		RunE: func(cmd *cobra.Command, _ []string) error { return a.runDNSHostDisable(cmd.Context(), printOnly) },
	}
	for _, c := range []*cobra.Command{enable, disable} {
		c.Flags().BoolVar(&printOnly, "print", false, "print the commands for root, and do not run them")
	}
	status := &cobra.Command{
		Use:   "status",
		Short: "Show which names this machine has, where they lead, and whether it asks for them",
		Long: `Status shows the resolver, its domains, whether this machine asks it, and every name with its addresses, or with the reason why
it has none. It looks up a name as programs do, whatever has configured the machine.

Exit codes: 0 if programs of this machine get the names; 37 if not.`,
		Example: `  bonsai dns host status
  bonsai dns host status -o json`,
		Args: argCount(0, 0, "no arguments"),
		RunE: func(cmd *cobra.Command, _ []string) error { return a.runDNSHostStatus(cmd.Context()) },
	}
	a.addOutput(status, "format of the answer")
	cmd.AddCommand(enable, disable, status)
	return cmd
}

// hostNames returns what the cluster's resolver answers, of a running cluster.
func (a *app) hostNames(ctx context.Context) (Session, *cluster.Spec, cluster.HostDNS, error) {
	client, spec, err := a.daemon()
	if err != nil {
		return Session{}, nil, cluster.HostDNS{}, err
	}
	names, err := client.HostDNS(ctx)
	if err != nil {
		return Session{}, nil, cluster.HostDNS{}, a.explain(err)
	}
	s, err := a.open()
	return s, spec, names, err
}

// configOf is what makes this machine ask for the names.
func configOf(ctx context.Context, s Session, spec *cluster.Spec, h cluster.HostDNS) (hostdns.Names, hostdns.Config, error) {
	n := hostdns.Names{Cluster: spec.Name, ID: spec.ID, Port: h.Port, Domains: h.Domains}
	c, err := hostdns.Find(s.Host.Look(ctx, spec.Subnet), n)
	return n, c, err
}

func (a *app) runDNSHostEnable(ctx context.Context, printOnly bool) error {
	if _, _, _, err := a.hostNames(ctx); err != nil { // nothing is changed for a cluster that does not run
		return err
	}
	if err := a.setHostDNS(ctx, "dns host enable", true); err != nil {
		return err
	}
	s, spec, h, err := a.hostNames(ctx)
	if err != nil {
		return err
	}
	if !h.Open {
		return fault.Newf(fault.Addon, "the names of cluster %q are not answered: %s", a.profile, h.Reason).Advise("", cluster.Bonsai("addons", "status").On(cluster.HostDNSAddon))
	}
	n, c, err := configOf(ctx, s, spec, h)
	if err != nil {
		return err
	}
	if !printOnly && (len(c.Files) == 0 || s.Host.InPlace(c)) && s.Host.Asks(ctx, a.profile, false) {
		fmt.Fprintf(a.Stdout, "Programs of this machine get the names of cluster %s, by %s.\n", a.profile, c.Manager)
		return nil
	}
	if printOnly || !hostdns.Root() {
		fmt.Fprint(a.Stdout, c.Script())
		a.note("root has to run these commands to have %s ask for the names:  %s | sudo sh", c.Manager, a.command("dns host enable --print"))
		return nil
	}
	if err := s.Host.Apply(ctx, n, c); err != nil {
		return err
	}
	if !s.Host.Asks(ctx, a.profile, true) {
		return fault.Newf(fault.Addon, "%s is configured, and programs of this machine still do not get the names of cluster %q", c.Manager, a.profile).
			Advise("undo the configuration", cluster.Bonsai("dns", "host", "disable").Change())
	}
	fmt.Fprintf(a.Stdout, "Programs of this machine get the names of cluster %s, by %s.\n", a.profile, c.Manager)
	if !c.Lasting {
		a.note("this ends with a restart of this machine; then type it again:  %s", a.command("dns host enable"))
	}
	return nil
}

// setHostDNS enables or disables the addon, and waits until the resolver answers or is gone, if the cluster runs.
func (a *app) setHostDNS(ctx context.Context, verb string, on bool) error {
	s, err := a.open()
	if err != nil {
		return err
	}
	return a.operation(verb, false, func(p *progress) error {
		running, err := s.Engine.SetAddons(ctx, a.profile, func(chosen bootstrap.AddonChoice) error {
			chosen.Enabled[cluster.HostDNSAddon] = on
			return nil
		})
		switch {
		case err != nil:
			return err
		case !running && on:
			return fault.Newf(fault.NotRunning, "cluster %q was stopped in the meantime", a.profile).Advise("", cluster.Bonsai("start").Change())
		case !running:
			return nil
		}
		return a.awaitAddons(ctx, s.Engine, p, []string{cluster.HostDNSAddon}, on)
	})
}

func (a *app) runDNSHostDisable(ctx context.Context, printOnly bool) error {
	s, err := a.open()
	if err != nil {
		return err
	}
	spec, err := a.spec(s)
	if err != nil {
		return err
	}
	c, found := s.Host.Installed(spec.Name, spec.ID)
	if !found {
		// What has no files is known by what would be configured now; the port does not matter.
		_, c, err = configOf(ctx, s, spec, cluster.HostDNS{Domains: spec.HostDNSDomains(nil)})
		found = err == nil && len(c.Files) == 0
	}
	switch {
	case !found && printOnly:
		a.note("nothing of this machine's resolver is configured for cluster %s", a.profile)
		return nil
	case found && (printOnly || !hostdns.Root()):
		fmt.Fprint(a.Stdout, c.UndoScript())
		a.note("root has to run these commands to take back what %s was configured with:  %s | sudo sh", c.Manager, a.command("dns host disable --print"))
		if printOnly {
			return nil
		}
	case found:
		if err := s.Host.Remove(ctx, c); err != nil {
			return err
		}
	}
	if err := a.setHostDNS(ctx, "dns host disable", false); err != nil {
		return err
	}
	if !found || hostdns.Root() {
		fmt.Fprintf(a.Stdout, "Programs of this machine do not get the names of cluster %s.\n", a.profile)
	}
	return nil
}

// hostStatus is the answer of "dns host status -o json".
type hostStatus struct {
	cluster.HostDNS
	// Asked says that programs of this machine get the names, Manager what is configured for that, if bonsai did it.
	Asked   bool     `json:"asked"`
	Manager string   `json:"manager,omitempty"`
	Files   []string `json:"files,omitempty"`
}

func (a *app) runDNSHostStatus(ctx context.Context) error {
	s, spec, h, err := a.hostNames(ctx)
	if err != nil {
		return err
	}
	status := hostStatus{HostDNS: h, Asked: h.Open && s.Host.Asks(ctx, a.profile, false)}
	if c, ok := s.Host.Installed(spec.Name, spec.ID); ok {
		status.Manager = c.Manager
		for _, f := range c.Files {
			status.Files = append(status.Files, f.Path)
		}
	}
	if a.json() {
		status.Domains, status.Names = append([]string{}, h.Domains...), append([]cluster.HostName{}, h.Names...)
		err = writeJSON(a.Stdout, status)
	} else {
		err = a.printDNSHostStatus(status)
	}
	if err == nil && !status.Asked {
		err = exitCode(fault.ExitCode(&fault.Fault{Kind: fault.Addon}))
	}
	return err
}

func (a *app) printDNSHostStatus(s hostStatus) error {
	if !s.Open {
		fmt.Fprintf(a.Stdout, "names are not answered: %s\nenable it:  %s\n", safeLines(s.Reason, ""), a.command("dns host enable"))
		return nil
	}
	rows := [][]string{
		{"resolver", net.JoinHostPort("127.0.0.1", strconv.Itoa(s.Port))},
		{"domains", strings.Join(s.Domains, ", ")},
	}
	switch configured := s.Manager + " (" + strings.Join(s.Files, ", ") + ")"; {
	case s.Asked && s.Manager != "":
		rows = append(rows, []string{"this machine", "asks it, by " + configured})
	case s.Asked:
		rows = append(rows, []string{"this machine", "asks it"})
	case s.Manager != "":
		rows = append(rows, []string{"this machine", "does not ask it, although there is a configuration for " + configured})
	default:
		rows = append(rows, []string{"this machine", "does not ask it; have it ask:  " + a.command("dns host enable")})
	}
	if err := table(a.Stdout, rows); err != nil {
		return err
	}
	names := [][]string{{"NAME", "ADDRESS", "OF", "REASON"}}
	own := cluster.HostDNSOwnDomain(a.profile)
	for _, n := range s.Names {
		if cluster.Below(n.Name, own) { // the same Services
			continue
		}
		var addresses []string
		for _, at := range n.Addresses {
			addresses = append(addresses, at.String())
		}
		slices.Sort(addresses)
		names = append(names, []string{n.Name, strings.Join(addresses, ","), n.Of, n.Reason})
	}
	if len(names) == 1 {
		return nil
	}
	fmt.Fprintln(a.Stdout)
	return table(a.Stdout, withoutEmptyLast(names))
}

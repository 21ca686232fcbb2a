package cli

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"bonsai/bootstrap/cluster"
	"bonsai/bootstrap/fault"
)

// PortEngine is what the port verbs need from the engine.
type PortEngine interface {
	Ports(ctx context.Context, name string) ([]cluster.PortStatus, error)
	SetPorts(ctx context.Context, name string, change func(spec cluster.Spec) ([]cluster.Port, error)) (running bool, err error)
}

// portSyntax is a part of the help of what takes ports.
const portSyntax = `A port is written as [ADDRESS:]PORT:TARGET[@NODE][/udp]. It listens on ADDRESS, 127.0.0.1 if there is none; 0.0.0.0 lets
other machines in. TARGET is a port of the nodes (a NodePort, or the hostPort of a pod), or NAMESPACE/NAME:PORT of a
Service, TCP only. With @NODE, a name or number, only that node is asked; otherwise the first that answers.`

func (a *app) portCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "port",
		Short: "Open ports of this machine that lead into the cluster",
		Example: `  bonsai port add 8080:30080
  bonsai port list`,
		Args: a.groupArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	add := &cobra.Command{
		Use:   "add [ADDRESS:]PORT:TARGET[@NODE][/udp]...",
		Short: "Open ports of this machine",
		Long: `Add opens ports of this machine that lead into the cluster. They answer at once, no container is recreated, and they are
open whenever the cluster runs. A port that exists is changed.

` + portSyntax,
		Example: `  bonsai port add 8080:30080
  bonsai port add 8080:default/web:80 0.0.0.0:5353:30053/udp
  bonsai port add 9000:9000@2`,
		Args: argCount(1, 100, "ports such as 8080:30080"),
		RunE: func(cmd *cobra.Command, args []string) error { return a.runPortAdd(cmd.Context(), args) },
	}
	list := &cobra.Command{
		Use:     "list",
		Aliases: []string{"ls"},
		Short:   "List the ports of this machine that lead into the cluster",
		Example: `  bonsai port list
  bonsai port list -o json`,
		Args: argCount(0, 0, "no arguments"),
		RunE: func(cmd *cobra.Command, _ []string) error { return a.runPortList(cmd.Context()) },
	}
	a.addOutput(list, "format of the list")
	remove := &cobra.Command{
		Use:               "remove [ADDRESS:]PORT[/udp]...",
		Aliases:           []string{"rm", "delete"},
		Short:             "Close ports of this machine",
		Long:              `Remove closes ports of this machine, and the connections through them.`,
		Example:           `  bonsai port remove 8080 0.0.0.0:5353/udp`,
		Args:              argCount(1, 100, "ports such as 8080"),
		ValidArgsFunction: a.completePorts,
		RunE:              func(cmd *cobra.Command, args []string) error { return a.runPortRemove(cmd.Context(), args) },
	}
	cmd.AddCommand(add, list, remove)
	return cmd
}

// parsePorts reads what ports are given as, and reports all mistakes at once.
func parsePorts(texts []string, advice cluster.Advice) (list []cluster.Port, err error) {
	var errs []error
	for _, text := range texts {
		p, err := cluster.ParsePort(text)
		if err == nil && slices.ContainsFunc(list, func(o cluster.Port) bool { return o.Listen() == p.Listen() }) {
			err = fmt.Errorf("port %s is given twice", p.Listen())
		}
		if err != nil {
			f := fault.New(fault.Usage, "", err)
			f.Advice = []cluster.Advice{advice}
			errs = append(errs, f)
			continue
		}
		list = append(list, p)
	}
	return list, errors.Join(errs...)
}

func (a *app) runPortAdd(ctx context.Context, args []string) error {
	wished, err := parsePorts(args, cluster.Advise("", help("bonsai port add")))
	if err != nil {
		return err
	}
	s, err := a.open()
	if err != nil {
		return err
	}
	running, err := s.Engine.SetPorts(ctx, a.profile, func(spec cluster.Spec) ([]cluster.Port, error) {
		ports := spec.Ports
		var errs []error
		for i, p := range wished {
			p, err := spec.ResolvePort(p)
			if err != nil {
				errs = append(errs, fault.New(fault.Usage, "", err).Advise("see the nodes", cluster.Bonsai("node", "list")))
				continue
			}
			wished[i] = p
			ports = cluster.PortWith(ports, p)
		}
		return ports, errors.Join(errs...)
	})
	if err != nil {
		return a.explain(err)
	}
	for _, p := range wished {
		if err := a.printPort(p, running); err != nil {
			return err
		}
	}
	return nil
}

func (a *app) printPort(p cluster.Port, running bool) error {
	when := "leads"
	if !running {
		when = "will lead, from the next start on,"
	}
	_, err := fmt.Fprintf(a.Stdout, "%s %s to %s.\n", p.Listen(), when, describeTarget(p))
	return err
}

// describeTarget says where a port leads.
func describeTarget(p cluster.Port) string {
	switch {
	case p.Service != "":
		return fmt.Sprintf("port %d of Service %s", p.Target, p.Service)
	case p.Node != "":
		return fmt.Sprintf("port %d of node %s", p.Target, p.Node)
	}
	return fmt.Sprintf("port %d of the nodes", p.Target)
}

func (a *app) runPortRemove(ctx context.Context, args []string) error {
	var gone []cluster.Port
	var errs []error
	for _, arg := range args {
		p, err := cluster.ParseListen(arg)
		if err != nil {
			errs = append(errs, fault.New(fault.Usage, "", err).Advise("", help("bonsai port remove")))
		}
		gone = append(gone, p)
	}
	if err := errors.Join(errs...); err != nil {
		return err
	}
	s, err := a.open()
	if err != nil {
		return err
	}
	_, err = s.Engine.SetPorts(ctx, a.profile, func(spec cluster.Spec) ([]cluster.Port, error) {
		ports := slices.Clone(spec.Ports)
		var errs []error
		for _, p := range gone {
			i := slices.IndexFunc(ports, func(o cluster.Port) bool { return o.Listen() == p.Listen() })
			if i < 0 {
				errs = append(errs, fault.Newf(fault.Usage, "cluster %q has no port %s", spec.Name, p.Listen()).
					Advise("see its ports", cluster.Bonsai("port", "list")))
				continue
			}
			ports = slices.Delete(ports, i, i+1)
		}
		return ports, errors.Join(errs...)
	})
	if err != nil {
		return a.explain(err)
	}
	for _, p := range gone {
		if _, err := fmt.Fprintf(a.Stdout, "%s is closed.\n", p.Listen()); err != nil {
			return err
		}
	}
	return nil
}

func (a *app) runPortList(ctx context.Context) error {
	s, err := a.open()
	if err != nil {
		return err
	}
	list, err := s.Engine.Ports(ctx, a.profile)
	if err != nil {
		return a.explain(err)
	}
	if a.json() {
		return writeJSON(a.Stdout, append([]cluster.PortStatus{}, list...))
	}
	text := [][]string{{"LISTENS ON", "PROTOCOL", "TO", "STATE", "CONNECTIONS"}}
	for _, p := range list {
		state := "open"
		if !p.Open {
			state = "closed: " + p.Reason
		}
		text = append(text, []string{strings.TrimSuffix(p.Listen(), "/"+cluster.UDP), p.Protocol, p.To(), state, fmt.Sprint(p.Connections)})
	}
	return table(a.Stdout, text)
}

func (a *app) completePorts(_ *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
	s, err := a.open()
	if err != nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	spec, err := a.spec(s)
	if err != nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	var names []string
	for _, p := range spec.Ports {
		if !slices.Contains(args, p.Listen()) {
			names = append(names, p.Listen())
		}
	}
	return names, cobra.ShellCompDirectiveNoFileComp
}

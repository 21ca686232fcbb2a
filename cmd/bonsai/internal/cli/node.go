package cli

import (
	"fmt"

	"github.com/spf13/cobra"
)

func (a *app) nodeCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:     "node",
		Short:   "Look at the nodes of a cluster",
		Example: `  bonsai node list`,
		Args:    a.groupArgs,
		RunE:    func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	list := &cobra.Command{
		Use:     "list",
		Aliases: []string{"ls"},
		Short:   "List the nodes with their addresses",
		Long: `List prints a line per node: its name, a tab, its address. It lists the nodes of the cluster, running or not; their
state is shown by status.`,
		Example: `  bonsai node list
  bonsai node list -o json`,
		Args: argCount(0, 0, "no arguments"),
		RunE: func(*cobra.Command, []string) error { return a.runNodeList() },
	}
	a.addOutput(list, "format of the list")
	cmd.AddCommand(list)
	return cmd
}

func (a *app) runNodeList() error {
	s, err := a.open()
	if err != nil {
		return err
	}
	spec, err := a.spec(s)
	if err != nil {
		return err
	}
	if a.json() {
		return writeJSON(a.Stdout, append(spec.Nodes[:0:0], spec.Nodes...))
	}
	for _, n := range spec.Nodes {
		if _, err := fmt.Fprintf(a.Stdout, "%s\t%s\n", n.Name, n.IP); err != nil {
			return err
		}
	}
	return nil
}

package cli

import (
	"fmt"

	"github.com/spf13/cobra"
)

func (a *app) ipCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "ip [NODE]",
		Short: "Print the address of a node",
		Long: `Ip prints the address of a node, by default of the first one. NodePorts and hostPorts answer there. It never changes as
long as the node exists.`,
		Example: `  bonsai ip
  curl http://$(bonsai ip 2):30080`,
		Args:              argCount(0, 1, "one node at most"),
		ValidArgsFunction: a.completeNodes,
		RunE: func(_ *cobra.Command, args []string) error {
			s, err := a.open()
			if err != nil {
				return err
			}
			spec, err := a.spec(s)
			if err != nil {
				return err
			}
			name := ""
			if len(args) > 0 {
				name = args[0]
			}
			n, err := a.findNode(spec, name)
			if err != nil {
				return err
			}
			_, err = fmt.Fprintln(a.Stdout, n.IP)
			return err
		},
	}
}

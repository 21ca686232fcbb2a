package cli

import (
	"github.com/spf13/cobra"

	"bonsai/bootstrap/fault"
)

// roleCommand is how bonsai starts itself as another program. The flags of the command line do not apply: everything
// after the role's name belongs to the role.
func (a *app) roleCommand() *cobra.Command {
	return &cobra.Command{
		Use:                "role [NAME [ARGUMENTS]]",
		Short:              "Run one of the programs that a cluster consists of; without a name, list them",
		Hidden:             true,
		DisableFlagParsing: true,
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				var rows [][]string
				for _, r := range a.Roles {
					rows = append(rows, []string{r.Name, r.Doc})
				}
				return table(a.Stdout, rows)
			}
			for _, r := range a.Roles {
				if r.Name == args[0] {
					return r.Main(cmd.Context(), args[1:])
				}
			}
			return fault.Newf(fault.Usage, "unknown role %q", args[0]).Advise("see all of them", ofPath(cmd.CommandPath()).OfNone())
		},
	}
}

package cli

import (
	"github.com/spf13/cobra"
)

func (a *app) versionCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "version",
		Short: "Print the versions of bonsai and its components",
		Example: `  bonsai version
  bonsai version -o json`,
		Args: argCount(0, 0, "no arguments"),
		RunE: func(*cobra.Command, []string) error {
			if a.json() {
				return writeJSON(a.Stdout, a.Info)
			}
			i := a.Info
			return table(a.Stdout, [][]string{
				{"bonsai", i.Version + " (commit " + i.Commit + ")"},
				{"kubernetes", i.Kubernetes},
				{"etcd", i.Etcd},
				{"containerd", i.Containerd},
				{"runc", i.Runc},
				{"cni plugins", i.CNIPlugins},
				{"go", i.Go + " " + i.Platform},
			})
		},
	}
	a.addOutput(cmd, "format of the answer")
	return cmd
}

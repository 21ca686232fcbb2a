package cli

import (
	"bytes"
	"slices"

	"github.com/spf13/cobra"

	"bonsai/bootstrap/cluster"
	"bonsai/bootstrap/clusterfile"
	"bonsai/bootstrap/fault"
)

func (a *app) configCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "config",
		Short: "Show the file that makes a cluster again",
		Example: `  bonsai config view
  bonsai config schema > cluster.schema.json`,
		Args: a.groupArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	var raw bool
	view := &cobra.Command{
		Use:   "view",
		Short: "Print the cluster file of a cluster that exists",
		Long: `View prints the file that makes a cluster like this one: its nodes, and what was chosen for it by flags or a file. What
bonsai has found itself, such as a free range of addresses, is not in it. The cluster need not run.

Passwords are hidden unless --raw is given; a file with hidden ones is refused.`,
		Example: `  bonsai config view > cluster.yaml
  bonsai config view -p dev --raw | bonsai apply -p test -f -`,
		Args: argCount(0, 0, "no arguments"),
		RunE: func(*cobra.Command, []string) error { return a.runConfigView(raw) },
	}
	view.Flags().BoolVar(&raw, "raw", false, "with passwords")
	schema := &cobra.Command{
		Use:   "schema",
		Short: "Print the JSON schema of cluster files, for editors",
		Long: `Schema prints the JSON schema by which editors complete and check cluster files. Editors with the YAML language server
use it for a file that begins with the line

  # yaml-language-server: $schema=cluster.schema.json`,
		Example: `  bonsai config schema > cluster.schema.json`,
		Args:    argCount(0, 0, "no arguments"),
		RunE: func(*cobra.Command, []string) error {
			data, err := clusterfile.Schema(a.Addons)
			if err != nil {
				return fault.New(fault.Internal, "", err)
			}
			_, err = a.Stdout.Write(data)
			return err
		},
	}
	cmd.AddCommand(view, schema)
	return cmd
}

func (a *app) runConfigView(raw bool) error {
	s, err := a.open()
	if err != nil {
		return err
	}
	spec, err := a.spec(s)
	if err != nil {
		return err
	}
	off := func(addon string) bool {
		return !slices.ContainsFunc(a.Addons, func(d cluster.AddonDescription) bool { return d.Name == addon && d.Default })
	}
	view := func(raw bool) ([]byte, error) {
		file, err := clusterfile.View(*spec, clusterfile.ViewOptions{Kubernetes: a.Info.Kubernetes, Raw: raw, OffByDefault: off})
		if err != nil {
			return nil, fault.New(fault.Internal, "write the file of cluster "+spec.Name, err)
		}
		return file, nil
	}
	whole, err := view(true)
	if err != nil {
		return err
	}
	shown, err := view(raw)
	if err != nil {
		return err
	}
	if !bytes.Equal(whole, shown) {
		a.note("passwords are hidden; --raw shows them")
	}
	_, err = a.Stdout.Write(shown)
	return err
}

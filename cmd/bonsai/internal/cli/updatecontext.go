package cli

import (
	"fmt"

	"github.com/spf13/cobra"
)

func (a *app) updateContextCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "update-context",
		Short: "Make kubectl's context lead to the cluster again",
		Long: `Update-context writes the cluster's context into your kubeconfig ($KUBECONFIG or ~/.kube/config) as it is now,
and makes it the current one. Use it when status says that the kubeconfig is Misconfigured or Missing.`,
		Example: `  bonsai update-context
  KUBECONFIG=./config bonsai update-context -p ci`,
		Args: argCount(0, 0, "no arguments"),
		RunE: func(*cobra.Command, []string) error { return a.runUpdateContext() },
	}
}

func (a *app) runUpdateContext() error {
	s, err := a.open()
	if err != nil {
		return err
	}
	changed, err := s.Engine.UpdateContext(a.profile)
	if err != nil {
		return err
	}
	text := "The context %q was repaired and is the current one.\n"
	if !changed {
		text = "The context %q was right; it is the current one.\n"
	}
	_, err = fmt.Fprintf(a.Stdout, text, a.profile)
	return err
}

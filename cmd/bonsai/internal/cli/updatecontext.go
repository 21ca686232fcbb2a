package cli

import (
	"fmt"

	"github.com/spf13/cobra"
)

func (a *app) updateContextCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "update-context",
		Short: "Point kubectl's context to the cluster again",
		Long: `Update-context writes the cluster's context into your kubeconfig ($KUBECONFIG or ~/.kube/config) as it is now,
and makes it the current one. Contexts of yours that lead to the cluster, whatever their names, are repaired where
needed, and none is added then; if one of them is the current one, it stays. Use it when status says that the
kubeconfig is Misconfigured or Missing.`,
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
	m, err := s.Engine.UpdateContext(a.profile)
	if err != nil {
		return err
	}
	if m.Displaced != "" {
		a.note("kubectl's context %q pointed to another cluster, at %s", m.Context, m.Displaced)
	}
	state := "was correct"
	if m.Changed {
		state = "was repaired"
	}
	if m.Current != "" {
		_, err = fmt.Fprintf(a.Stdout, "The context %q %s. The current one is still %q, which is set in a file that cannot be changed.\n", m.Context, state, m.Current)
		return err
	}
	end := "; it is the current one"
	if m.Changed {
		end = " and is the current one"
	}
	_, err = fmt.Fprintf(a.Stdout, "The context %q %s%s.\n", m.Context, state, end)
	return err
}

package cli

import (
	"context"
	"fmt"
	"strconv"

	"github.com/spf13/cobra"

	"bonsai/bootstrap"
	"bonsai/bootstrap/cluster"
	"bonsai/bootstrap/fault"
)

// DashboardEngine is what the verb dashboard needs, besides AddonEngine.
type DashboardEngine interface {
	DashboardLogin(ctx context.Context, name string, readOnly bool) (cluster.DashboardLogin, error)
	DashboardRevoke(ctx context.Context, name string) (cluster.DashboardRevoked, error)
}

type dashboardOptions struct {
	url, noOpen, readOnly, revoke bool
	port                          int
	portGiven                     bool
}

func (a *app) dashboardCommand() *cobra.Command {
	var o dashboardOptions
	cmd := &cobra.Command{
		Use:   "dashboard",
		Short: "Show the cluster in a browser",
		Long: `Dashboard opens the cluster in a browser: what is wrong and why, the control plane and the nodes in a live drawing, all objects,
Events, logs. It enables the addon "dashboard" if that is not enabled. The pages come from the cluster's own daemon, on
a port of 127.0.0.1; nothing is loaded from anywhere else.

The printed URL lets one browser in, once, within two minutes; no other user of this machine gets anything. --revoke ends all
sessions, as the end of the daemon does.`,
		Example: `  bonsai dashboard
  bonsai dashboard --readonly
  bonsai dashboard --url            print the URL and nothing else
  bonsai dashboard --port 9000      keep it at this port from now on
  bonsai dashboard --revoke`,
		Args: argCount(0, 0, "no arguments"),
		RunE: func(cmd *cobra.Command, _ []string) error {
			o.portGiven = cmd.Flags().Changed("port")
			if o.revoke {
				for _, flag := range []string{"url", "no-open", "port", "readonly"} {
					if cmd.Flags().Changed(flag) {
						return fault.Newf(fault.Usage, "--revoke and --%s exclude each other", flag).Advise("", help("bonsai dashboard"))
					}
				}
				return a.runDashboardRevoke(cmd.Context())
			}
			return a.runDashboard(cmd.Context(), o)
		},
	}
	f := cmd.Flags()
	f.BoolVar(&o.url, "url", false, "print only the URL, and open nothing")
	f.BoolVar(&o.noOpen, "no-open", false, "open nothing")
	f.BoolVar(&o.readOnly, "readonly", false, "the session that begins changes nothing")
	f.IntVar(&o.port, "port", 0, "port of this machine, also from now on; 0 is a free one")
	f.BoolVar(&o.revoke, "revoke", false, "end all sessions")
	a.addOutput(cmd, "format of the answer; json opens nothing")
	return cmd
}

func (a *app) runDashboardRevoke(ctx context.Context) error {
	s, err := a.open()
	if err != nil {
		return err
	}
	revoked, err := s.Engine.DashboardRevoke(ctx, a.profile)
	if err != nil {
		return a.explain(err)
	}
	if a.json() {
		return writeJSON(a.Stdout, revoked)
	}
	_, err = fmt.Fprintf(a.Stdout, "%s ended, %s not opened yet made void.\n", count(revoked.Sessions, "session"), count(revoked.Tokens, "URL"))
	return err
}

func (a *app) runDashboard(ctx context.Context, o dashboardOptions) error {
	if o.port < 0 || o.port > 65535 {
		return fault.Newf(fault.Usage, "--port %d is not a port: it is between 0 and 65535", o.port)
	}
	s, err := a.open()
	if err != nil {
		return err
	}
	values := map[string]string{}
	if o.portGiven {
		values[cluster.DashboardPortSetting] = strconv.Itoa(o.port)
		if o.port == 0 {
			values[cluster.DashboardPortSetting] = "" // the default
		}
	}
	spec, err := a.spec(s)
	if err != nil {
		return err
	}
	if !spec.Wants(cluster.DashboardAddon, false) || o.portGiven && spec.DashboardPort() != o.port {
		running, err := s.Engine.SetAddons(ctx, a.profile, func(chosen bootstrap.AddonChoice) error {
			chosen.Enabled[cluster.DashboardAddon] = true
			give(chosen, cluster.DashboardAddon, values)
			return nil
		})
		if err != nil {
			return a.explain(err)
		}
		if running && !a.json() && !o.url {
			a.note("addon %s is enabled", cluster.DashboardAddon)
		}
	}
	login, err := s.Engine.DashboardLogin(ctx, a.profile, o.readOnly)
	if err != nil {
		return a.explain(err)
	}
	if a.json() {
		return writeJSON(a.Stdout, login)
	}
	if _, err := fmt.Fprintln(a.Stdout, login.URL); err != nil || o.url {
		return err
	}
	if o.noOpen {
		a.note("the URL works once, within two minutes")
		return nil
	}
	if err := browse(ctx, login.URL, login.Address); err != nil {
		a.note("%v; open the URL yourself: it works once, within two minutes", err)
	}
	return nil
}

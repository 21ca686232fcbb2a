package cli

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"bonsai/bootstrap"
	"bonsai/bootstrap/cluster"
	"bonsai/bootstrap/fault"
	"bonsai/controlplane/addons/catalog"
)

// AddonEngine is what the addon verbs need from the engine.
type AddonEngine interface {
	Addons(ctx context.Context, name string) ([]cluster.AddonStatus, error)
	WatchAddons(ctx context.Context, name string, f func([]cluster.AddonStatus) error) error
	SetAddons(ctx context.Context, name string, change func(chosen bootstrap.AddonChoice) error) (running bool, err error)
}

func (a *app) addonsCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "addons",
		Short: "List, enable, disable and configure what a cluster has besides Kubernetes itself",
		Example: `  bonsai addons list
  bonsai addons enable storage-provisioner
  bonsai addons configure dns
  bonsai addons status`,
		Args: a.groupArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(a.addonsListCommand(), a.addonsEnableCommand(), a.addonsDisableCommand(), a.addonsStatusCommand(), a.addonsConfigureCommand())
	return cmd
}

// catalog is what this executable knows about addons.
func (a *app) catalog() (*catalog.Catalog, error) {
	c, err := catalog.New(a.Addons)
	if err != nil {
		return nil, fault.New(fault.Internal, "read the list of addons", err)
	}
	return c, nil
}

// findAddons refuses unknown names, with what is known about each.
func findAddons(c *catalog.Catalog, names []string) (errs []error) {
	for _, name := range names {
		if _, err := c.Find(name); err != nil {
			errs = append(errs, err)
		}
	}
	return errs
}

func (a *app) completeAddons(_ *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
	var names []string
	for _, d := range a.Addons {
		if !slices.Contains(args, d.Name) {
			names = append(names, d.Name)
		}
	}
	slices.Sort(names)
	return names, cobra.ShellCompDirectiveNoFileComp
}

type addonsListOptions struct{ docs, all, offline bool }

func (a *app) addonsListCommand() *cobra.Command {
	var o addonsListOptions
	cmd := &cobra.Command{
		Use:     "list",
		Aliases: []string{"ls"},
		Short:   "List the addons with their state",
		Long: `List prints a line per addon. Its status is what was just observed, not what was requested: disabled, installing,
running, degraded, blocked, failed or removing; and stopped for an enabled addon while the cluster is stopped. It also
works without a cluster, and lists the available addons.

--all adds every other name that is known from minikube, with what became of it: coming with a later version of bonsai,
replaced by another addon, or retired.`,
		Example: `  bonsai addons list
  bonsai addons list --all
  bonsai addons list -o json`,
		Args: argCount(0, 0, "no arguments"),
		RunE: func(cmd *cobra.Command, _ []string) error { return a.runAddonsList(cmd.Context(), o) },
	}
	cmd.Flags().BoolVarP(&o.docs, "docs", "d", false, "add a column with the documentation of each")
	cmd.Flags().BoolVar(&o.all, "all", false, "add minikube's addons that are not available here, with what became of them")
	cmd.Flags().BoolVar(&o.offline, "offline", false, "only those that work without pulling or downloading anything")
	a.addOutput(cmd, "format of the list; json is minikube's object with additional fields")
	return cmd
}

// addonEntry is an addon in the JSON of list: minikube's keys first, with minikube's meaning.
type addonEntry struct {
	// Profile and Status are omitted without a cluster. Status is "enabled" or "disabled", as the user wants it.
	Profile    string `json:",omitempty"`
	Status     string `json:",omitempty"`
	Maintainer string
	Docs       string
	// Availability is "here", or the fate of one that is not available: coming, replaced, retired.
	Availability string
	// State is what was observed; Reason and Hint explain it.
	State  cluster.AddonState `json:",omitempty"`
	Reason string             `json:",omitempty"`
	Hint   string             `json:",omitempty"`

	Version  string                `json:",omitempty"`
	Delivery cluster.AddonDelivery `json:",omitempty"`
	Offline  bool
	Default  bool
	Needs    []string `json:",omitempty"`
	// Values are those of settings that the user chose; configure has all settings.
	Values      map[string]string `json:",omitempty"`
	Description string
	// ReplacedBy and Since are only set for an addon that is not available.
	ReplacedBy string `json:",omitempty"`
	Since      string `json:",omitempty"`
}

func (a *app) runAddonsList(ctx context.Context, o addonsListOptions) error {
	c, err := a.catalog()
	if err != nil {
		return err
	}
	list, exists, err := a.addonStatuses(ctx, c)
	if err != nil {
		return err
	}
	slices.SortFunc(list, func(x, y cluster.AddonStatus) int { return strings.Compare(x.Name, y.Name) })
	if o.offline {
		list = slices.DeleteFunc(list, func(s cluster.AddonStatus) bool { return !s.Offline })
	}
	var others []catalog.Entry
	if o.all && !o.offline { // nothing is known about the others' offline use
		others = c.Elsewhere()
	}
	if a.json() {
		return writeJSON(a.Stdout, a.addonEntries(list, others, exists))
	}
	rows := [][]string{{"NAME", "PROFILE", "STATUS", "VERSION", "DELIVERY", "OFFLINE", "MAINTAINER", "DESCRIPTION"}}
	if o.docs {
		rows[0] = append(rows[0], "DOCS")
	}
	for _, s := range list {
		profile, offline := "", "no"
		if exists {
			profile = a.profile
		}
		if s.Offline {
			offline = "yes"
		}
		row := []string{s.Name, profile, string(s.State), s.Version, string(s.Delivery), offline, s.Maintainer, s.Description}
		if o.docs {
			row = append(row, s.Docs)
		}
		rows = append(rows, row)
	}
	for _, e := range others {
		row := []string{e.Name, "", string(e.Fate), "", "", "", "", e.Summary()}
		if o.docs {
			row = append(row, "")
		}
		rows = append(rows, row)
	}
	if err := table(a.Stdout, rows); err != nil {
		return err
	}
	for _, s := range list {
		if addonAilment(s) {
			a.note("addon %s is %s: %s; more:  %s", s.Name, s.State, safeLines(s.Reason, "  "), a.command("addons status "+s.Name))
		}
	}
	return nil
}

// addonStatuses returns the status of every available addon, whatever the state of the cluster; exists reports whether
// there is one.
func (a *app) addonStatuses(ctx context.Context, c *catalog.Catalog) (list []cluster.AddonStatus, exists bool, err error) {
	s, err := a.open()
	if err != nil {
		return nil, false, err
	}
	spec, err := a.spec(s)
	switch {
	case fault.KindOf(err) == fault.NotFound:
		return c.Idle(nil), false, nil
	case err != nil:
		return nil, false, err
	}
	list, err = s.Engine.Addons(ctx, a.profile)
	if fault.KindOf(err) == fault.NotRunning {
		return c.Idle(spec), true, nil
	}
	return list, true, err
}

// addonAilment reports whether there is something to explain about an addon.
func addonAilment(s cluster.AddonStatus) bool {
	switch s.State {
	case cluster.AddonRunning, cluster.AddonDisabled, cluster.AddonStopped, "":
		return false
	}
	return true
}

func (a *app) addonEntries(list []cluster.AddonStatus, others []catalog.Entry, exists bool) map[string]addonEntry {
	entries := map[string]addonEntry{}
	for _, s := range list {
		e := addonEntry{
			Maintainer: s.Maintainer, Docs: s.Docs, Availability: "here", State: s.State, Reason: s.Reason, Hint: s.For(a.profile).HintText(),
			Version: s.Version, Delivery: s.Delivery, Offline: s.Offline, Default: s.Default, Needs: s.Needs, Values: s.Values, Description: s.Description,
		}
		if exists {
			e.Profile, e.Status = a.profile, "disabled"
			if s.Enabled {
				e.Status = "enabled"
			}
		}
		entries[s.Name] = e
	}
	for _, o := range others {
		e := addonEntry{Availability: string(o.Fate), Description: o.Reason, ReplacedBy: o.By, Since: o.Since}
		e.Hint = cluster.Problem{Advice: o.Instead}.For(a.profile).HintText()
		if exists {
			e.Profile, e.Status = a.profile, "disabled"
		}
		entries[o.Name] = e
	}
	return entries
}

// addonNames joins names for a sentence.
func addonNames(names []string) string {
	if len(names) < 2 {
		return strings.Join(names, "")
	}
	return fmt.Sprintf("%s and %s", strings.Join(names[:len(names)-1], ", "), names[len(names)-1])
}

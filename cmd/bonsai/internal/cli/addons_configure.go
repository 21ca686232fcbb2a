package cli

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"bonsai/bootstrap"
	"bonsai/bootstrap/cluster"
	"bonsai/bootstrap/fault"
	"bonsai/bootstrap/nearmiss"
)

func (a *app) addonsConfigureCommand() *cobra.Command {
	noWait := false
	cmd := &cobra.Command{
		Use:   "configure NAME [SETTING=VALUE...]",
		Short: "Show or change the settings of an addon",
		Long: `Configure shows the settings of an addon, with the value and the default of each, and what a change costs. With values it
changes them, and returns when the addon runs with them. They are kept for every later start, and while the addon is
disabled. A setting without a value (SETTING=) has its default again. Lists are written with commas.

A running cluster takes a change over at once. docs/addons.md describes the settings.`,
		Example: `  bonsai addons configure default-storageclass
  bonsai addons configure default-storageclass reclaimPolicy=Retain
  bonsai addons configure dns upstreams=10.0.0.53,10.0.0.54 cacheSeconds=`,
		Args:              argCount(1, 100, "the name of an addon, and settings such as reclaimPolicy=Retain"),
		ValidArgsFunction: a.completeSettings,
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.runAddonsConfigure(cmd.Context(), args[0], args[1:], !noWait)
		},
	}
	cmd.Flags().BoolVar(&noWait, "no-wait", false, "return at once, without waiting until it runs with new values")
	a.addOutput(cmd, "json has every setting, or prints each step of a change as a line")
	return cmd
}

func (a *app) completeSettings(cmd *cobra.Command, args []string, toComplete string) ([]string, cobra.ShellCompDirective) {
	if len(args) == 0 {
		return a.completeAddons(cmd, args, toComplete)
	}
	var names []string
	for _, d := range a.Addons {
		if d.Name != args[0] {
			continue
		}
		for _, s := range d.Settings {
			names = append(names, s.Name+"=")
		}
	}
	return names, cobra.ShellCompDirectiveNoSpace | cobra.ShellCompDirectiveNoFileComp
}

// settingValues reads SETTING=VALUE. One without a value is empty.
func settingValues(d cluster.AddonDescription, args []string) (map[string]string, error) {
	values := map[string]string{}
	var errs []error
	wrong := func(format string, args ...any) {
		errs = append(errs, fault.Newf(fault.Usage, format, args...).Advise("see its settings", cluster.Bonsai("addons", "configure").On(d.Name)))
	}
	for _, arg := range args {
		name, text, ok := strings.Cut(arg, "=")
		s, known := d.Setting(name)
		switch {
		case !ok:
			wrong("%q is not a setting of addon %s with its value, as SETTING=VALUE", arg, d.Name)
		case !known:
			errs = append(errs, unknownSetting(d, name))
		case strings.TrimSpace(text) == "":
			values[name] = ""
		default:
			value, err := s.Canonical(text)
			if err != nil {
				wrong("%s of addon %s: %w", name, d.Name, err)
			}
			values[name] = value
		}
	}
	return values, errors.Join(errs...)
}

func unknownSetting(d cluster.AddonDescription, name string) error {
	var names []string
	for _, s := range d.Settings {
		names = append(names, s.Name)
	}
	f := fault.Newf(fault.Usage, "addon %s has no setting %q", d.Name, name)
	if len(names) == 0 {
		return fault.Newf(fault.Usage, "addon %s has no settings", d.Name)
	}
	if like := nearmiss.Nearest(name, names); like != "" {
		return f.Advisef("did you mean %s?", like)
	}
	return f.Advise("see its settings", cluster.Bonsai("addons", "configure").On(d.Name))
}

// give changes the chosen values of an addon; an empty one is no longer chosen.
func give(chosen bootstrap.AddonChoice, addon string, values map[string]string) {
	all := maps.Clone(chosen.Values[addon])
	if all == nil {
		all = map[string]string{}
	}
	maps.Copy(all, values)
	maps.DeleteFunc(all, func(_, value string) bool { return value == "" })
	chosen.Values[addon] = all
}

func (a *app) runAddonsConfigure(ctx context.Context, name string, args []string, wait bool) error {
	c, err := a.catalog()
	if err != nil {
		return err
	}
	d, err := c.Find(name)
	if err != nil {
		return err
	}
	if len(args) == 0 {
		return a.showSettings(d)
	}
	values, err := settingValues(d, args)
	if err != nil {
		return err
	}
	s, err := a.open()
	if err != nil {
		return err
	}
	running, enabled := false, false
	err = a.operation("addons configure", false, func(p *progress) error {
		running, err = s.Engine.SetAddons(ctx, a.profile, func(chosen bootstrap.AddonChoice) error {
			enabled = c.Wanted(chosen.Enabled)[name]
			give(chosen, name, values)
			return nil
		})
		if err != nil || !running || !enabled || !wait {
			return err
		}
		return a.awaitAddons(ctx, s.Engine, p, []string{name}, true)
	})
	if err != nil || a.json() {
		return err
	}
	when := ""
	switch {
	case !enabled:
		when = ", once it is enabled:  " + a.command("addons enable "+name)
	case !running:
		when = ", from the next start on:  " + a.command("start")
	}
	for _, s := range d.Settings {
		value, given := values[s.Name]
		if !given {
			continue
		}
		if value == "" {
			value = defaultText(s)
		}
		fmt.Fprintf(a.Stdout, "%s of %s is %s%s\n", s.Name, name, value, when)
		if running && enabled {
			fmt.Fprintf(a.Stdout, "  %s.\n", s.Cost)
		}
	}
	return nil
}

// defaultText is the default of a setting for a person.
func defaultText(s cluster.AddonSetting) string {
	if s.Default == "" {
		return "empty"
	}
	return s.Default
}

// settingEntry is a setting in the JSON of configure.
type settingEntry struct {
	cluster.AddonSetting
	Value string `json:"value"`
	// Chosen says that the value is the user's, and not the default.
	Chosen bool `json:"chosen"`
}

// showSettings prints the settings of an addon. It also works without a cluster.
func (a *app) showSettings(d cluster.AddonDescription) error {
	s, err := a.open()
	if err != nil {
		return err
	}
	spec, err := a.spec(s)
	if err != nil {
		if fault.KindOf(err) != fault.NotFound {
			return err
		}
		spec = &cluster.Spec{}
	}
	list := []settingEntry{}
	for _, s := range d.Settings {
		_, chosen := spec.AddonValues[d.Name][s.Name]
		list = append(list, settingEntry{AddonSetting: s, Value: d.Value(*spec, s.Name), Chosen: chosen})
	}
	if a.json() {
		return writeJSON(a.Stdout, struct {
			Addon    string         `json:"addon"`
			Settings []settingEntry `json:"settings"`
		}{d.Name, list})
	}
	if len(list) == 0 {
		_, err := fmt.Fprintf(a.Stdout, "%s has no settings.\n", d.Name)
		return err
	}
	var text strings.Builder
	for i, s := range list {
		if i > 0 {
			text.WriteByte('\n')
		}
		value := s.Value
		if value == "" {
			value = "empty"
		}
		notes := []string{"the default"}
		if s.Chosen {
			notes = []string{"default: " + defaultText(s.AddonSetting)}
		}
		fmt.Fprintf(&text, "%s: %s  (%s)\n", s.Name, safeLines(value, ""), strings.Join(append(notes, possible(s.AddonSetting)...), "; "))
		fmt.Fprintf(&text, "  %s.\n  A change: %s.\n", s.Description, firstLower(s.Cost))
	}
	_, err = fmt.Fprint(a.Stdout, text.String())
	return err
}

// possible says which values a setting can have, if that is not clear from its description.
func possible(s cluster.AddonSetting) []string {
	switch s.Type {
	case cluster.SettingChoice:
		return []string{"possible: " + strings.Join(s.Options, ", ")}
	case cluster.SettingInteger:
		return []string{fmt.Sprintf("possible: %d to %d", s.Min, s.Max)}
	}
	return nil
}

func firstLower(text string) string {
	if text == "" {
		return text
	}
	return strings.ToLower(text[:1]) + text[1:]
}

// setFlag is --set of enable: values for the only addon that is named.
func (a *app) setFlag(names, set []string) (map[string]string, error) {
	if len(set) == 0 {
		return nil, nil
	}
	if names = slices.Compact(slices.Sorted(slices.Values(names))); len(names) > 1 {
		return nil, fault.Newf(fault.Usage, "--set is for one addon, and %s are named", addonNames(names)).
			Advise("enable them one by one, or use", cluster.Bonsai("addons", "configure").On(names[0]))
	}
	c, err := a.catalog()
	if err != nil {
		return nil, err
	}
	d, err := c.Find(names[0])
	if err != nil {
		return nil, err
	}
	return settingValues(d, set)
}

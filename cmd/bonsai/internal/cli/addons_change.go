package cli

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"bonsai/bootstrap"
	"bonsai/bootstrap/cluster"
	"bonsai/bootstrap/fault"
	"bonsai/bootstrap/wait"
	"bonsai/controlplane/addons/catalog"
)

const (
	// addonLimit is how long enable and disable wait; BONSAI_WAIT_SCALE multiplies it.
	addonLimit = time.Minute
	// addonPatience is how long an addon may be failed before enable gives up on it: it is retried in the meantime.
	addonPatience = 5 * time.Second
)

func (a *app) addonsEnableCommand() *cobra.Command {
	noWait := false
	var set []string
	cmd := &cobra.Command{
		Use:   "enable NAME...",
		Short: "Enable addons, and those that they need",
		Long: `Enable enables addons of the cluster, together with those that they need, and returns when all of them are running. The
choice is kept for every later start. If the cluster is stopped, it takes effect with the next start.

If an addon is not running within a minute, the command fails and says why; the addon stays enabled.`,
		Example: `  bonsai addons enable default-storageclass
  bonsai addons enable default-storageclass --set reclaimPolicy=Retain
  bonsai addons enable -p ci storage-provisioner --no-wait`,
		Args:              argCount(1, 100, "names of addons"),
		ValidArgsFunction: a.completeAddons,
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.runAddonsEnable(cmd.Context(), args, set, !noWait)
		},
	}
	cmd.Flags().StringArrayVar(&set, "set", nil, "`SETTING=VALUE` of the addon; configure shows its settings (repeatable)")
	cmd.Flags().BoolVar(&noWait, "no-wait", false, "return at once, without waiting until they are running")
	a.addOutput(cmd, "json prints each step as a line")
	return cmd
}

func (a *app) addonsDisableCommand() *cobra.Command {
	cascade, noWait := false, false
	cmd := &cobra.Command{
		Use:   "disable NAME...",
		Short: "Disable addons and remove what they have in the cluster",
		Long: `Disable removes addons from the cluster and returns when they are gone. User data stays: claims, volumes and their
contents. An addon that others need is disabled only together with them, with --cascade.

The choice is kept for every later start. If the cluster is stopped, it takes effect with the next start.`,
		Example: `  bonsai addons disable default-storageclass
  bonsai addons disable storage-provisioner --cascade`,
		Args:              argCount(1, 100, "names of addons"),
		ValidArgsFunction: a.completeAddons,
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.runAddonsDisable(cmd.Context(), args, cascade, !noWait)
		},
	}
	cmd.Flags().BoolVar(&cascade, "cascade", false, "disable the addons that need them, too")
	cmd.Flags().BoolVar(&noWait, "no-wait", false, "return at once, without waiting until they are gone")
	a.addOutput(cmd, "json prints each step as a line")
	return cmd
}

func (a *app) runAddonsEnable(ctx context.Context, names, set []string, wait bool) error {
	c, err := a.catalog()
	if err != nil {
		return err
	}
	if errs := findAddons(c, names); len(errs) > 0 {
		return errors.Join(errs...)
	}
	values, err := a.setFlag(names, set)
	if err != nil {
		return err
	}
	return a.changeAddons(ctx, "addons enable", wait, true, func(chosen bootstrap.AddonChoice) ([]string, error) {
		all := a.withNeeds(c, chosen.Enabled, names)
		for _, name := range all {
			chosen.Enabled[name] = true
		}
		if len(values) > 0 {
			give(chosen, names[0], values)
		}
		return all, nil
	})
}

// withNeeds returns names after the addons that they need; it reports which of these are added to the chosen ones.
func (a *app) withNeeds(c *catalog.Catalog, chosen map[string]bool, names []string) []string {
	wanted := c.Wanted(chosen)
	var all []string
	for _, need := range c.NeededBy(names...) {
		if wanted[need] {
			continue
		}
		all = append(all, need)
		var users []string
		for _, name := range names {
			if slices.Contains(c.NeededBy(name), need) {
				users = append(users, name)
			}
		}
		a.note("%s is enabled as well: %s needs it", need, addonNames(users))
	}
	for _, name := range names {
		if !slices.Contains(all, name) {
			all = append(all, name)
		}
	}
	return all
}

func (a *app) runAddonsDisable(ctx context.Context, names []string, cascade, wait bool) error {
	c, err := a.catalog()
	if err != nil {
		return err
	}
	if errs := findAddons(c, names); len(errs) > 0 {
		return errors.Join(errs...)
	}
	return a.changeAddons(ctx, "addons disable", wait, false, func(chosen bootstrap.AddonChoice) ([]string, error) {
		users := c.Needing(c.Wanted(chosen.Enabled), names...)
		if len(users) > 0 && !cascade {
			return nil, fault.Newf(fault.Addon, "%s cannot be disabled: %s needs it", addonNames(names), addonNames(users)).
				Advise("disable all of them", cluster.Bonsai("addons", "disable").On(names...).With("--cascade").Change())
		}
		if len(users) > 0 {
			a.note("%s needs it and is disabled as well", addonNames(users))
		}
		all := users
		for _, name := range names {
			if !slices.Contains(all, name) {
				all = append(all, name)
			}
		}
		for _, name := range all {
			chosen.Enabled[name] = false
		}
		return all, nil
	})
}

// changeAddons changes the choice and, if the cluster runs, waits until it has taken effect. change returns the addons
// that it enabled or disabled, in the order in which to report them.
func (a *app) changeAddons(ctx context.Context, verb string, wait, on bool, change func(chosen bootstrap.AddonChoice) ([]string, error)) error {
	s, err := a.open()
	if err != nil {
		return err
	}
	var names []string
	running := false
	err = a.operation(verb, false, func(p *progress) error {
		running, err = s.Engine.SetAddons(ctx, a.profile, func(chosen bootstrap.AddonChoice) (err error) {
			names, err = change(chosen)
			return err
		})
		if err != nil || !running || !wait {
			return err
		}
		return a.awaitAddons(ctx, s.Engine, p, names, on)
	})
	if err != nil || a.json() {
		return err
	}
	for _, name := range names {
		switch {
		case running && wait && on:
			fmt.Fprintf(a.Stdout, "%s is running.\n", name)
		case running && on:
			fmt.Fprintf(a.Stdout, "%s is enabled. Check its state:  %s\n", name, a.command("addons status "+name))
		case running && wait:
			fmt.Fprintf(a.Stdout, "%s is disabled.\n", name)
		case running:
			fmt.Fprintf(a.Stdout, "%s is being removed. Check its state:  %s\n", name, a.command("addons status "+name))
		case on:
			fmt.Fprintf(a.Stdout, "%s is enabled from the next start on:  %s\n", name, a.command("start"))
		default:
			fmt.Fprintf(a.Stdout, "%s is disabled from the next start on:  %s\n", name, a.command("start"))
		}
	}
	return nil
}

// addonWait is one addon that is waited for.
type addonWait struct {
	name   string
	last   cluster.AddonStatus
	done   bool
	failed time.Time // since when it is; zero if it is not
}

// awaitAddons returns when all named addons are running, or gone, and reports what it waits for.
func (a *app) awaitAddons(ctx context.Context, engine AddonEngine, p *progress, names []string, on bool) error {
	ctx, cancel := wait.FromEnv().Limit(ctx, addonLimit, "addons")
	defer cancel()
	began := time.Now()
	tell := func(kind cluster.EventKind, name, detail string) {
		p.Event(cluster.Event{
			Kind: kind, Step: "addon/" + name, Title: "Addon " + name, Detail: detail, Time: time.Now(), Elapsed: time.Since(began),
		})
	}
	waits := make([]*addonWait, len(names))
	for i, name := range names {
		waits[i] = &addonWait{name: name}
		tell(cluster.StepStarted, name, "")
	}
	errDone := errors.New("the desired state is reached")
	err := engine.WatchAddons(ctx, a.profile, func(list []cluster.AddonStatus) error {
		left := 0
		for _, w := range waits {
			if w.done {
				continue
			}
			done, err := w.look(list, on)
			switch {
			case err != nil:
				tell(cluster.StepFailed, w.name, w.last.Reason)
				return a.addonFault(w, on, err)
			case done:
				tell(cluster.StepDone, w.name, "")
			default:
				left++
				tell(cluster.StepProgress, w.name, w.last.Reason)
			}
		}
		if left == 0 {
			return errDone
		}
		return nil
	})
	if errors.Is(err, errDone) {
		return nil
	}
	if limit, ok := errors.AsType[*wait.Timeout](context.Cause(ctx)); ok {
		var errs []error
		for _, w := range waits {
			if !w.done {
				tell(cluster.StepFailed, w.name, w.last.Reason)
				errs = append(errs, a.addonFault(w, on, fmt.Errorf("after %s it is still %s", limit.After, w.story())))
			}
		}
		return errors.Join(errs...)
	}
	return a.explain(err)
}

// look evaluates an observation. An error means that waiting is pointless.
func (w *addonWait) look(list []cluster.AddonStatus, on bool) (done bool, err error) {
	i := slices.IndexFunc(list, func(s cluster.AddonStatus) bool { return s.Name == w.name })
	w.last = cluster.AddonStatus{State: cluster.AddonDisabled}
	if i >= 0 {
		w.last = list[i]
	}
	if !on {
		w.done = w.last.State == cluster.AddonDisabled
		return w.done, nil
	}
	switch w.last.State {
	case cluster.AddonRunning:
		w.done = true
	case cluster.AddonBlocked:
		return false, errors.New(w.story())
	case cluster.AddonDisabled:
		return false, errors.New("it was disabled in the meantime")
	case cluster.AddonFailed:
		if w.failed.IsZero() {
			w.failed = time.Now()
		}
		if time.Since(w.failed) > addonPatience {
			return false, errors.New(w.story())
		}
		return false, nil
	}
	w.failed = time.Time{}
	return w.done, nil
}

func (w *addonWait) story() string {
	if w.last.Reason == "" {
		return string(w.last.State)
	}
	return string(w.last.State) + ": " + w.last.Reason
}

func (a *app) addonFault(w *addonWait, on bool, cause error) error {
	verb := "disable"
	if on {
		verb = "enable"
	}
	f := fault.New(fault.Addon, verb+" addon "+w.name, cause)
	if f.Advice = w.last.Advice; len(f.Advice) == 0 {
		f.Advise("", cluster.Bonsai("addons", "status").On(w.name))
	}
	return f
}

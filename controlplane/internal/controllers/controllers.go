// Package controllers runs upstream's kube-controller-manager inside this process.
package controllers

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"slices"

	"github.com/spf13/pflag"
	utilfeature "k8s.io/apiserver/pkg/util/feature"
	"k8s.io/component-base/configz"
	"k8s.io/component-base/featuregate"
	"k8s.io/kubernetes/cmd/kube-controller-manager/app"
	"k8s.io/kubernetes/cmd/kube-controller-manager/app/options"
	"k8s.io/kubernetes/cmd/kube-controller-manager/names"
)

// Enabled counts the controllers that Run runs. Upstream's metric running_managed_controllers includes only one or two.
func Enabled() (n int) {
	for name, c := range app.NewControllerDescriptors() {
		// Pod CIDRs are planned, see config.ControllerManagerFlags.
		if c.IsDisabledByDefault() || name == names.NodeIpamController {
			continue
		}
		if !slices.ContainsFunc(c.GetRequiredFeatureGates(), func(f featuregate.Feature) bool { return !utilfeature.DefaultFeatureGate.Enabled(f) }) {
			n++
		}
	}
	return n
}

// Run runs all default controllers until ctx ends; it returns nil after a clean stop. The API server has to be ready:
// the controller manager checks it only once a second.
func Run(ctx context.Context, flags []string) error {
	opts, err := options.NewKubeControllerManagerOptions()
	if err != nil {
		return fmt.Errorf("create kube-controller-manager options: %w", err)
	}
	all, disabled, aliases := app.KnownControllers(), app.ControllersDisabledByDefault(), app.ControllerAliases()
	fs := pflag.NewFlagSet("kube-controller-manager", pflag.ContinueOnError)
	named := opts.Flags(all, disabled, aliases)
	for _, set := range named.FlagSets {
		fs.AddFlagSet(set)
	}
	if err := fs.Parse(flags); err != nil {
		return fmt.Errorf("parse kube-controller-manager flags: %w", err)
	}
	opts.ParsedFlags = &named
	config, err := opts.Config(ctx, all, disabled, aliases)
	if err != nil {
		return fmt.Errorf("configure kube-controller-manager: %w", err)
	}
	// Registered for the whole process; a later Run would fail because of the name.
	defer configz.Delete(app.ConfigzName)
	if err := app.Run(ctx, config.Complete()); err != nil && ctx.Err() == nil {
		return fmt.Errorf("run kube-controller-manager: %w", brief(err))
	}
	return nil
}

// passed are the checks of a health endpoint that passed, as in the answer of an API server that is not healthy, quoted or not.
var passed = regexp.MustCompile(`\[\+\]\S+ ok(\\n|\n)`)

// brief is err without what is in order: an API server that is not healthy lists forty checks, and people need the one that
// failed.
func brief(err error) error {
	if text := err.Error(); passed.MatchString(text) {
		return errors.New(passed.ReplaceAllString(text, ""))
	}
	return err
}

// Package scheduler runs upstream's kube-scheduler inside this process, with two plugins of ours: upstream's
// VolumeBinding, which waits for the volumes of bonsai's own provisioner without upstream's pauses of a second, and one
// that only observes (observer).
package scheduler

import (
	"context"
	"fmt"

	"github.com/spf13/pflag"
	"k8s.io/component-base/configz"
	"k8s.io/kubernetes/cmd/kube-scheduler/app"
	"k8s.io/kubernetes/cmd/kube-scheduler/app/options"

	"bonsai/controlplane/config"
	"bonsai/controlplane/observe/birth"
)

// Run schedules pods until ctx ends; it returns nil after a clean stop. The API server has to be ready. The scheduler's
// verdicts on each pod are reported to births.
func Run(ctx context.Context, flags []string, births *birth.Recorder) error {
	opts := options.NewOptions()
	fs := pflag.NewFlagSet("kube-scheduler", pflag.ContinueOnError)
	for _, set := range opts.Flags.FlagSets {
		fs.AddFlagSet(set)
	}
	if err := fs.Parse(flags); err != nil {
		return fmt.Errorf("parse kube-scheduler flags: %w", err)
	}
	complete, scheduler, err := app.Setup(ctx, opts, app.WithPlugin(config.VolumeBindingPlugin, newVolumeBinding),
		app.WithPlugin(config.ObserverPlugin, newObserver(births)))
	if err != nil {
		return fmt.Errorf("set up kube-scheduler: %w", err)
	}
	// Registered for the whole process; a later Run would fail because of the name.
	defer configz.Delete("componentconfig")
	// Without an election Run's end is always reported as an error, including the normal one.
	if err := app.Run(ctx, complete, scheduler); err != nil && ctx.Err() == nil {
		return fmt.Errorf("run kube-scheduler: %w", err)
	}
	return nil
}

package scheduler

import (
	"context"
	"fmt"
	"time"

	"k8s.io/apimachinery/pkg/runtime"
	utilfeature "k8s.io/apiserver/pkg/util/feature"
	configv1 "k8s.io/kube-scheduler/config/v1"
	fwk "k8s.io/kube-scheduler/framework"
	schedulerconfig "k8s.io/kubernetes/pkg/scheduler/apis/config"
	"k8s.io/kubernetes/pkg/scheduler/apis/config/scheme"
	"k8s.io/kubernetes/pkg/scheduler/framework/plugins/feature"
	"k8s.io/kubernetes/pkg/scheduler/framework/plugins/volumebinding"

	"bonsai/controlplane/config"
)

// volumeBinding is upstream's plugin of that name, except for the waiting, which is eagerBinder's.
type volumeBinding struct{ *volumebinding.VolumeBinding }

// This plugin must implement the same interfaces as upstream's. Embedding ensures that, and these lines ensure that
// upstream's plugin is still embedded completely after an upgrade.
var (
	_ fwk.PreFilterPlugin   = volumeBinding{}
	_ fwk.FilterPlugin      = volumeBinding{}
	_ fwk.PreScorePlugin    = volumeBinding{}
	_ fwk.ScorePlugin       = volumeBinding{}
	_ fwk.ReservePlugin     = volumeBinding{}
	_ fwk.PreBindPlugin     = volumeBinding{}
	_ fwk.EnqueueExtensions = volumeBinding{}
	_ fwk.SignPlugin        = volumeBinding{}
)

// Name differs from upstream's because names of its own plugins are reserved.
func (volumeBinding) Name() string { return config.VolumeBindingPlugin }

// newVolumeBinding returns the plugin with upstream's default arguments.
func newVolumeBinding(ctx context.Context, _ runtime.Object, h fwk.Handle) (fwk.Plugin, error) {
	args, err := defaultArgs()
	if err != nil {
		return nil, err
	}
	made, err := volumebinding.New(ctx, args, h, feature.NewSchedulerFeaturesFromGates(utilfeature.DefaultFeatureGate))
	if err != nil {
		return nil, fmt.Errorf("make upstream's plugin %s: %w", volumebinding.Name, err)
	}
	plugin, ok := made.(*volumebinding.VolumeBinding)
	if !ok {
		return nil, fmt.Errorf("upstream's plugin %s is a %T", volumebinding.Name, made)
	}
	binder, err := newEagerBinder(plugin.Binder, h.ClientSet(), h.SharedInformerFactory(), time.Duration(args.BindTimeoutSeconds)*time.Second)
	if err != nil {
		return nil, err
	}
	plugin.Binder = binder
	return volumeBinding{plugin}, nil
}

// defaultArgs are those that upstream's configuration would give to its plugin.
func defaultArgs() (*schedulerconfig.VolumeBindingArgs, error) {
	var versioned configv1.VolumeBindingArgs
	scheme.Scheme.Default(&versioned)
	var args schedulerconfig.VolumeBindingArgs
	if err := scheme.Scheme.Convert(&versioned, &args, nil); err != nil {
		return nil, fmt.Errorf("default arguments of plugin %s: %w", volumebinding.Name, err)
	}
	return &args, nil
}

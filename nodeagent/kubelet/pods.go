package kubelet

import (
	"context"

	v1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	corev1client "k8s.io/client-go/kubernetes/typed/core/v1"
	"k8s.io/client-go/tools/record"
	"k8s.io/klog/v2"
	"k8s.io/kubernetes/cmd/kubelet/app/options"
	"k8s.io/kubernetes/pkg/api/legacyscheme"
	"k8s.io/kubernetes/pkg/kubelet"
	"k8s.io/kubernetes/pkg/kubelet/config"
	"k8s.io/kubernetes/pkg/kubelet/server"
	kubelettypes "k8s.io/kubernetes/pkg/kubelet/types"
	kubeletutil "k8s.io/kubernetes/pkg/kubelet/util"
)

// podSources are where a kubelet gets its pods from. It has none until begin is called: to the kubelet, that is a source which has
// not answered yet, so that it runs nothing and removes nothing.
type podSources struct {
	static func()        // begins to read the user's static pods
	begun  chan struct{} // closed by begin
}

// setPods gives the kubelet its sources of pods: as it makes them itself (makePodSourceConfig in upstream's pkg/kubelet), except
// that they wait for begin, and that it asks the API server as soon as it may. The kubelet looks once a second whether its node is
// known, for the first time when that cannot be, so that each pod of a node that starts waited for that second.
//
// It leaves the sources to the kubelet, and returns nil, if that has clients of its own, or a source that users have added.
func setPods(ctx context.Context, deps *kubelet.Dependencies, settings *options.KubeletServer) *podSources {
	nodes, ours := deps.KubeClient.(*reportedNodes)
	if !ours || settings.StaticPodURL != "" {
		return nil
	}
	log, node := klog.FromContext(ctx), types.NodeName(settings.HostnameOverride)
	// The recorder and the tracker are those that the command would make.
	events := record.NewBroadcaster(record.WithContext(ctx))
	deps.Recorder = events.NewRecorder(legacyscheme.Scheme, v1.EventSource{Component: server.ComponentKubelet, Host: string(node)})
	events.StartStructuredLogging(3)
	events.StartRecordingToSink(&corev1client.EventSinkImpl{Interface: deps.EventClient.Events("")})
	deps.PodStartupLatencyTracker = kubeletutil.NewPodStartupLatencyTracker()

	s := &podSources{static: func() {}, begun: make(chan struct{})}
	deps.PodConfig = config.NewPodConfig(deps.Recorder, deps.PodStartupLatencyTracker)
	if settings.StaticPodPath != "" {
		files := deps.PodConfig.Channel(ctx, kubelettypes.FileSource)
		s.static = func() {
			config.NewSourceFile(log, settings.StaticPodPath, node, settings.FileCheckFrequency.Duration, files)
		}
	}
	known := func() bool { return s.await(ctx) && nodes.await(ctx) }
	config.NewSourceApiserver(log, nodes, node, known, deps.PodConfig.Channel(ctx, kubelettypes.ApiserverSource))
	return s
}

// begin lets the kubelet have its pods. It is called once.
func (s *podSources) begin() {
	s.static()
	close(s.begun)
}

// await returns true when begin has been called, and false if ctx ended before.
func (s *podSources) await(ctx context.Context) bool {
	select {
	case <-s.begun:
		return true
	case <-ctx.Done():
		return false
	}
}

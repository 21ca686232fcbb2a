package kubelet

import (
	"fmt"
	"time"

	"k8s.io/apimachinery/pkg/runtime"
	clientset "k8s.io/client-go/kubernetes"
	corev1client "k8s.io/client-go/kubernetes/typed/core/v1"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/component-base/tracing"
	"k8s.io/kubernetes/cmd/kubelet/app/options"
	"k8s.io/kubernetes/pkg/kubelet"
)

// setClients gives the kubelet its clients of the API server: as its command makes them of the same settings, except that
// the main one is reportedNodes, and the one for its status heldStatus. The command makes all or none, and has to if the user
// wants certificates that the kubelet renews itself.
func setClients(deps *kubelet.Dependencies, server *options.KubeletServer) error {
	if server.RotateCertificates {
		return nil
	}
	config, err := clientcmd.BuildConfigFromFlags("", server.KubeConfig)
	if err != nil {
		return fmt.Errorf("read kubeconfig: %w", err)
	}
	if config.ContentType = server.ContentType; config.ContentType == runtime.ContentTypeProtobuf {
		config.AcceptContentTypes = runtime.ContentTypeProtobuf + "," + runtime.ContentTypeJSON
	}
	config.QPS, config.Burst = float32(server.KubeAPIQPS), int(server.KubeAPIBurst)
	config.Wrap(tracing.WrapperFor(deps.TracerProvider))
	plain, err := clientset.NewForConfig(config)
	if err != nil {
		return fmt.Errorf("create client: %w", err)
	}
	deps.KubeClient = newReportedNodes(plain)

	events := rest.CopyConfig(config)
	if events.QPS, events.Burst = float32(server.EventRecordQPS), int(server.EventBurst); events.QPS == 0 {
		events.QPS = -1 // no limit
	}
	if deps.EventClient, err = corev1client.NewForConfig(events); err != nil {
		return fmt.Errorf("create client for events: %w", err)
	}

	heartbeat := rest.CopyConfig(config)
	heartbeat.QPS = -1
	heartbeat.Timeout = min(server.NodeStatusUpdateFrequency.Duration, time.Duration(server.NodeLeaseDurationSeconds)*time.Second)
	client, err := clientset.NewForConfig(heartbeat)
	if err != nil {
		return fmt.Errorf("create client for the node's status: %w", err)
	}
	deps.HeartbeatClient = newHeldStatus(client)
	// HTTP/2 finds out about dead connections itself.
	deps.OnHeartbeatFailure = func() {}
	return nil
}

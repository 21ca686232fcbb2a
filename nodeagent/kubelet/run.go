package kubelet

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"time"

	"github.com/spf13/pflag"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"k8s.io/apiserver/pkg/server/flagz"
	utilfeature "k8s.io/apiserver/pkg/util/feature"
	cliflag "k8s.io/component-base/cli/flag"
	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"
	"k8s.io/kubernetes/cmd/kubelet/app"
	"k8s.io/kubernetes/cmd/kubelet/app/options"
)

// runKubelet returns when the kubelet has ended or could not start. ctx ends it, as far as the kubelet can be ended.
func runKubelet(ctx context.Context, cfg Config, log *slog.Logger) error {
	server, err := newServer(cfg)
	if err != nil {
		return err
	}
	if err := options.ValidateKubeletServer(server); err != nil {
		return fmt.Errorf("validate configuration: %w", err)
	}
	// The kubelet gives up at the first failed call, so containerd must answer before it starts.
	if err := waitForRuntime(ctx, cfg.Node.WaitScale.Of(time.Minute)); err != nil {
		return err
	}
	// As its command does: what follows asks for gates, and the metrics say which are on.
	if err := utilfeature.DefaultMutableFeatureGate.SetFromMap(server.FeatureGates); err != nil {
		return fmt.Errorf("set feature gates: %w", err)
	}
	utilfeature.DefaultMutableFeatureGate.AddMetrics()
	deps, err := app.UnsecuredDependencies(ctx, server, utilfeature.DefaultFeatureGate)
	if err != nil {
		return fmt.Errorf("create dependencies: %w", err)
	}
	if deps.CAdvisorInterface, err = newMachine(ctx, server, log); err != nil {
		return fmt.Errorf("observe machine: %w", err)
	}
	if err := setClients(deps, server); err != nil {
		return fmt.Errorf("connect the kubelet: %w", err)
	}
	deps.Flagz = flagsOf(server)
	return app.Run(ctx, server, deps, utilfeature.DefaultFeatureGate)
}

// flagsOf is what the kubelet serves at /flagz: its settings as flags, of which none was passed. Those of a copy, because
// flags set what they are bound to.
func flagsOf(server *options.KubeletServer) flagz.Reader {
	flags, kubelet := pflag.NewFlagSet(kubeletName, pflag.ContinueOnError), server.KubeletFlags
	kubelet.AddFlags(flags)
	options.AddKubeletConfigFlags(flags, server.KubeletConfiguration.DeepCopy())
	return flagz.NamedFlagSetsReader{FlagSets: cliflag.NamedFlagSets{FlagSets: map[string]*pflag.FlagSet{kubeletName: flags}}}
}

// waitForRuntime waits until containerd's CRI service answers.
func waitForRuntime(ctx context.Context, limit time.Duration) error {
	// A plain connection first: after a refused one gRPC pauses for a second, and logs each.
	var dialer net.Dialer
	began := time.Now()
	err := poll(ctx, "containerd to listen at "+containerdSocket, limit, func(ctx context.Context) error {
		conn, err := dialer.DialContext(ctx, "unix", containerdSocket)
		if err != nil {
			return err
		}
		return conn.Close()
	})
	if err != nil {
		return err
	}
	conn, err := grpc.NewClient("unix://"+containerdSocket, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		return fmt.Errorf("dial containerd: %w", err)
	}
	client := runtimeapi.NewRuntimeServiceClient(conn)
	err = poll(ctx, "containerd to answer at "+containerdSocket, limit-time.Since(began), func(ctx context.Context) error {
		_, err := client.Version(ctx, &runtimeapi.VersionRequest{})
		return err
	})
	return errors.Join(err, conn.Close())
}

package kubelet

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"sync"
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

	"bonsai/bootstrap/cluster"
	"bonsai/nodeagent/agentapi"
	"bonsai/nodeagent/builtinimages"
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
	defer serveImages(ctx, cfg, server, log)()
	var waiting sync.WaitGroup
	defer waiting.Wait()
	ctx, cancel := context.WithCancel(ctx) // ends the waiting with the kubelet
	defer cancel()
	images := func() {
		if cfg.Node.AwaitImages {
			waitForImages(ctx, cluster.NodeConfigFile, cluster.NodeImagesArrived, filepath.Join(cfg.RunDir, "without-images"), cfg.Node.WaitScale.Of(imagesLimit), log)
		}
	}
	if pods := setPods(ctx, deps, server); pods != nil { // all else in the kubelet begins while images are on their way
		waiting.Go(func() {
			if images(); ctx.Err() == nil {
				pods.begin()
			}
		})
	} else {
		images()
	}
	return app.Run(ctx, server, deps, utilfeature.DefaultFeatureGate)
}

// imagesSocket is where the kubelet's image service is.
func (c *Config) imagesSocket() string { return filepath.Join(c.RunDir, "images.sock") }

// serveImages serves the image service that the kubelet is to use, unless the user has chosen another; the returned function ends it.
// If that is not possible, the kubelet uses containerd's.
func serveImages(ctx context.Context, cfg Config, server *options.KubeletServer, log *slog.Logger) (stop func()) {
	socket := cfg.imagesSocket()
	if server.ImageServiceEndpoint != "unix://"+socket {
		return func() {}
	}
	ctx, cancel := context.WithCancel(ctx)
	agent := agentapi.NewClient(agentapi.Socket)
	stopped, err := builtinimages.Serve(ctx, socket, containerdSocket, agent.EnsureImage, cfg.Node.WaitScale, log)
	if err != nil {
		log.Warn("the images of the payload are not there for pods", "cause", err)
		server.ImageServiceEndpoint = ""
		return cancel
	}
	return func() { cancel(); stopped() }
}

// flagsOf is what the kubelet serves at /flagz: its settings as flags, of which none was passed. Those of a copy, because
// flags set what they are bound to.
func flagsOf(server *options.KubeletServer) flagz.Reader {
	flags, kubelet := pflag.NewFlagSet(kubeletName, pflag.ContinueOnError), server.KubeletFlags
	kubelet.AddFlags(flags)
	options.AddKubeletConfigFlags(flags, server.KubeletConfiguration.DeepCopy())
	return flagz.NamedFlagSetsReader{FlagSets: cliflag.NamedFlagSets{FlagSets: map[string]*pflag.FlagSet{kubeletName: flags}}}
}

// imagesLimit is how long the pods of a new node wait for the images that are on their way. Whoever brings them may have been
// killed; a start gives up after half a minute more.
const imagesLimit = time.Minute

// waitForImages returns when the configuration file no longer says that images are on their way, or the file arrived exists, or after
// the limit: then without them, once for the time until the container stops. The file givenUp is where that is remembered.
func waitForImages(ctx context.Context, config, arrived, givenUp string, limit time.Duration, log *slog.Logger) {
	if _, err := os.Stat(givenUp); err == nil {
		return
	}
	began := time.Now()
	log.Info("pods wait for images that are on their way")
	err := poll(ctx, "images that are on their way", limit, func(context.Context) error {
		if _, err := os.Stat(arrived); err == nil {
			return nil
		}
		node, err := readNode(config) // which fails while it is being replaced
		if err == nil && node.AwaitImages {
			err = errors.New("not all are there")
		}
		return err
	})
	switch {
	case ctx.Err() != nil:
	case err == nil:
		log.Info("the images are there", "waited", time.Since(began).Round(time.Millisecond))
	default:
		log.Warn("pods start without all images; those that need one may have to wait for it", "cause", err)
		if err := os.WriteFile(givenUp, nil, 0o600); err != nil {
			log.Warn("pods of the next kubelet wait for images again", "cause", err)
		}
	}
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

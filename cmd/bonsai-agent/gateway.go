package main

import (
	"context"
	"log/slog"
	"os"
	"path/filepath"
	"runtime/debug"

	"bonsai/bootstrap/cluster"
	"bonsai/nodeagent"
	"bonsai/nodeagent/agentapi"
	"bonsai/nodeagent/gateway"
)

// gatewayMemory is where the collector begins to work harder; half of it is what buffers of a thousand connections take.
const gatewayMemory = 64 << 20

// gatewayGarbage is how much garbage there may be beside what is in use, in percent, below gatewayMemory. What is in use is a few
// megabytes, and a loaded gateway makes a hundred megabytes of garbage a second: with the usual 100 it would collect all the time.
const gatewayGarbage = 400

// gatewayPart is the data plane of Ingress and Gateway API; its process is this program with the verb "gateway".
func gatewayPart(cfg cluster.NodeConfig, log *slog.Logger) *gateway.Part {
	return gateway.New(gateway.Config{
		Program: filepath.Join(cluster.PayloadDir, "bin/bonsai-agent"), Args: []string{gateway.Name}, Env: os.Environ,
		LogFile: filepath.Join(cluster.NodeLogDir, gateway.Name+".log"), Scale: cfg.WaitScale, Log: log,
	})
}

// serveGateway is that process.
func serveGateway(ctx context.Context, args []string) error {
	if len(args) > 0 {
		return errUsage
	}
	cfg, err := nodeagent.LoadConfig()
	if err != nil {
		return err
	}
	debug.SetMemoryLimit(gatewayMemory)
	debug.SetGCPercent(gatewayGarbage)
	log := slog.New(slog.NewTextHandler(os.Stderr, nil))
	return gateway.Server{Socket: agentapi.Socket, Address: cfg.Node.IP, Access: os.Stdout, Log: log}.Serve(ctx)
}

// Command bonsai-agent is the node agent and also the tools to inspect a node:
//
//	bonsai-agent run                  be the agent; started by bonsai-init
//	bonsai-agent gateway              be the data plane of Ingress and Gateway API; started by the agent
//	bonsai-agent status [-o json]     the node's components
//	bonsai-agent images import FILE|- import a docker or OCI archive; prints the names of its images
//	bonsai-agent images receive       read a delivery of the machine's image store from stdin
//	bonsai-agent images unpacked CHAIN...
//	                                  those layers that the node has, as JSON
//	bonsai-agent images export NAME...
//	                                  write images of the node's store to stdout, as an archive in OCI form
//	bonsai-agent images rm NAME...    remove names from the node's store, and what has no other name; prints them as JSON
//	bonsai-agent images pull NAME...  pull images as for a pod
//	bonsai-agent images ls [-o json]  the images in the node's store
//	bonsai-agent disk                 what takes room in the node, as JSON
//	bonsai-agent probe URL            exit 0 if URL answers at all
//	bonsai-agent release              detach the pods' loop devices from the machine, before the node is removed
//	bonsai-agent registries           have containerd use the registry mirrors and the proxy of the node's configuration
//	bonsai-agent limits               have the kubelet read the limits of the node's container again
//	bonsai-agent layers FOLDER DRIVER ID [DIGEST...]
//	                                  write layers of an image from the data folder of a Docker engine to stdout; not in a node,
//	                                  but in a container that lives for this
//	bonsai-agent stage JSON           unpack layers of images into the volumes of nodes (cluster.LayerStaging); not in a node, but
//	                                  in a container that lives for this
//	bonsai-agent unpack               the part of stage that unpacks, in one volume
//	crictl ps [-a] | pods | images    what containerd runs (the same program under another name)
//
// It never links k8s.io/kubernetes: it runs in every node all the time.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"path/filepath"
	"runtime/debug"
	"syscall"

	"github.com/containerd/log"
	"k8s.io/klog/v2"

	"bonsai/bootstrap/cluster"
	"bonsai/bootstrap/componentlog"
	"bonsai/bootstrap/direct"
	"bonsai/nodeagent"
	"bonsai/nodeagent/gateway"
	"bonsai/nodeagent/staging"
	"bonsai/nodeagent/volumes"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	// containerd's packages have their own logger, and complain about streams that we end on purpose.
	if err := log.SetLevel("panic"); err != nil {
		panic(err) // only an unknown level fails
	}
	if err := dispatch(ctx, filepath.Base(os.Args[0]), os.Args[1:], os.Stdin, os.Stdout); err != nil {
		fmt.Fprintf(os.Stderr, "%s: %v\n", filepath.Base(os.Args[0]), err)
		code := 1
		if errors.Is(err, errUsage) {
			code = 2
		}
		os.Exit(code)
	}
}

var errUsage = errors.New("usage: bonsai-agent run | gateway | status [-o json] | images import FILE|- | images receive | images unpacked CHAIN... | images export NAME... | images rm NAME... | images pull NAME... | images ls [-o json] | layers FOLDER DRIVER ID [DIGEST...] | stage JSON | unpack | disk | probe URL | registries | limits | release, " +
	"or crictl ps [-a] | pods | images")

func dispatch(ctx context.Context, name string, args []string, stdin io.Reader, stdout io.Writer) error {
	if name == "crictl" {
		return crictl(ctx, args, stdout)
	}
	if len(args) == 0 {
		return errUsage
	}
	switch verb, args := args[0], args[1:]; verb {
	case "run":
		return run(ctx)
	case gateway.Name:
		return serveGateway(ctx, args)
	case "status":
		return status(ctx, args, stdout)
	case "images":
		return images(ctx, args, stdin, stdout)
	case "disk":
		return disk(ctx, args, stdout)
	case "probe":
		return probe(ctx, args, stdout)
	case "registries":
		return registries(ctx, args)
	case "limits":
		return readLimits(ctx, args)
	case "release":
		return release(args)
	case "layers":
		return layers(args, stdout)
	case "stage":
		return stage(ctx, args)
	case staging.Unpacker:
		return unpack(ctx, args, stdin)
	case "crictl":
		return crictl(ctx, args, stdout)
	}
	return errUsage
}

func run(ctx context.Context) error {
	// An idle agent's heap is a few megabytes; letting it double before each collection would only grow the node. Ten
	// thousand Services fit below the limit; beyond it, saving memory costs processor time.
	debug.SetGCPercent(50)
	debug.SetMemoryLimit(64 << 20)
	if err := direct.Only(); err != nil { // some engines give containers the proxies of their own environment
		return err
	}
	if err := os.Setenv("PATH", nodeagent.Path); err != nil {
		return err
	}
	if err := os.MkdirAll(cluster.NodeLogDir, 0o755); err != nil {
		return err
	}
	// The container's own log (docker logs) is where to look when a node does not come up at all; the file is where all
	// other components' logs are.
	// Both are bounded: a Corefile may have every question logged.
	f := componentlog.File(filepath.Join(cluster.NodeLogDir, "bonsai-agent.log"))
	defer f.Close()
	logger := slog.New(slog.NewTextHandler(io.MultiWriter(os.Stderr, f), nil))
	klog.SetSlogLogger(logger.With("component", "client-go"))

	cfg, err := nodeagent.LoadConfig()
	if err == nil { // before anything uses a volume
		err = volumes.New(volumes.Dir, volumes.Floor).Take(cluster.NodeIncoming, cfg.Claims)
	}
	if err == nil {
		err = nodeagent.Run(ctx, cfg, logger, parts(cfg, logger)...)
	}
	if err != nil {
		logger.Error("node agent failed", "cause", err)
	}
	return err
}

// Command builder builds the two archives that package payload embeds:
//
//	rootfs.tar.zst  third-party executables, libraries and data of a node: containerd, runc, CNI plugins, the
//	                pause image, nft, mount, busybox, CA certificates, time zones, the image tools
//	agent.tar.zst   bonsai's own small programs for nodes, the image hello, and the licences of everything bonsai links
//
// There are two so that a change of the agent does not rebuild third-party code. Beside each is a JSON file with what
// package payload needs to know about it. Nothing is installed and no root is needed: Go code comes from the module
// cache in the versions of go.mod, the rest from Debian packages unpacked below the output folder.
//
// The Makefile runs it; it returns at once if no input changed.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "payload:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string) error {
	flags := flag.NewFlagSet("builder", flag.ContinueOnError)
	out := flags.String("o", "build", "`folder` for the archives and the work on them")
	if err := flags.Parse(args); err != nil {
		return err
	}
	switch flags.Arg(0) {
	case "rootfs":
		return buildRootfs(ctx, *out)
	case "agent":
		return buildAgent(ctx, *out)
	default:
		return errors.New("usage: builder [-o folder] rootfs|agent")
	}
}

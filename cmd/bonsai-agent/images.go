package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strings"

	"bonsai/nodeagent/agentapi"
	"bonsai/nodeagent/builtinimages"
	"bonsai/nodeagent/containerd"
	"bonsai/nodeagent/cri"
)

// images is the tool through which "bonsai image" and a start see and change a node's store.
func images(ctx context.Context, args []string, stdin io.Reader, stdout io.Writer) error {
	asJSON, all, rest, err := flags(args)
	if err != nil || len(rest) == 0 || all {
		return errUsage
	}
	verb, rest := rest[0], rest[1:]
	some := len(rest) > 0
	if known := map[string]bool{"ls": !some, "import": len(rest) == 1, "receive": !some, "export": some, "rm": some, "pull": some, "unpacked": some}; !known[verb] {
		return errUsage
	}
	c, err := dialContainerd()
	if err != nil {
		return err
	}
	defer c.Close()
	limited, cancel := limited(ctx, listLimit)
	defer cancel()
	if _, err := c.WaitReady(limited); err != nil { // the node may have just started
		return err
	}
	switch verb {
	case "ls":
		return listImages(limited, c, asJSON, stdout)
	case "export":
		// No limit: how long it takes depends on the reader of the stream.
		return c.Export(ctx, stdout, rest)
	case "rm":
		return removeImages(limited, c, rest, stdout)
	case "pull":
		// No limit: how long it takes depends on the registry, and containerd gives up on one that sends nothing.
		return pullImages(ctx, c, rest)
	case "unpacked":
		held, err := c.Unpacked(limited, rest)
		if err != nil {
			return err
		}
		return json.NewEncoder(stdout).Encode(held)
	case "receive":
		// No limit: how long it takes depends on the writer of the stream, and it ends with it.
		return c.Receive(ctx, stdin)
	}
	return importImages(ctx, c, rest[0], stdin, stdout)
}

func listImages(ctx context.Context, c *containerd.Client, asJSON bool, stdout io.Writer) error {
	list, err := c.Images(ctx)
	if err != nil {
		return err
	}
	if asJSON {
		return json.NewEncoder(stdout).Encode(list)
	}
	for _, i := range list {
		fmt.Fprintln(stdout, i.Name)
	}
	return nil
}

// importImages loads an archive that is in the node, or comes in a stream, and prints the names of its images. It has no limit:
// how long it takes depends on the writer of the stream, and it ends with it.
func importImages(ctx context.Context, c *containerd.Client, file string, stdin io.Reader, stdout io.Writer) error {
	if file != "-" {
		f, err := os.Open(file)
		if err != nil {
			return err
		}
		defer f.Close()
		stdin = f
	}
	names, err := c.Load(ctx, stdin)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintln(stdout, strings.Join(names, "\n"))
	return err
}

// removeImages prints the names that it removed, as JSON.
func removeImages(ctx context.Context, c *containerd.Client, refs []string, stdout io.Writer) error {
	removed := []string{}
	for _, ref := range refs {
		names, err := c.Remove(ctx, ref)
		if err != nil {
			return err
		}
		removed = append(removed, names...)
	}
	return json.NewEncoder(stdout).Encode(removed)
}

// pullImages pulls as for a pod: with the mirrors, credentials and proxy of the node.
func pullImages(ctx context.Context, c *containerd.Client, refs []string) error {
	for _, ref := range refs {
		if own := builtinimages.Archive(ref); own != "" {
			if err := agentapi.NewClient(agentapi.Socket).EnsureImage(ctx, own); err != nil {
				return err
			}
		} else if err := cri.New(c.Conn()).Pull(ctx, ref); err != nil {
			return err
		}
	}
	return nil
}

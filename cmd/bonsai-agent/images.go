package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strings"

	"bonsai/nodeagent/containerd"
	"bonsai/nodeagent/cri"
)

// images is the tool through which "bonsai image" and a start see and change a node's store.
func images(ctx context.Context, args []string, stdin io.Reader, stdout io.Writer) error {
	asJSON, all, rest, err := flags(args)
	if err != nil || len(rest) == 0 {
		return errUsage
	}
	verb, rest := rest[0], rest[1:]
	some := len(rest) > 0
	if known := map[string]bool{"ls": !some, "import": some, "export": some, "rm": some, "pull": some, "held": some}; !known[verb] {
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
		return c.Export(ctx, stdout, rest, all)
	case "rm":
		return removeImages(limited, c, rest, stdout)
	case "pull":
		// No limit: how long it takes depends on the registry, and containerd gives up on one that sends nothing.
		return pullImages(ctx, c, rest)
	case "held":
		held, err := c.Held(limited, rest)
		if err != nil {
			return err
		}
		return json.NewEncoder(stdout).Encode(held)
	}
	return importImages(ctx, c, rest, all, asJSON, stdin, stdout)
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

// importImages has no limit: how long it takes depends on the writer of the stream, and it ends with it.
func importImages(ctx context.Context, c *containerd.Client, args []string, nameless, asJSON bool, stdin io.Reader, stdout io.Writer) error {
	digests := map[string][]string{}
	for _, n := range args[1:] {
		id, name, ok := strings.Cut(n, "=")
		if !ok {
			return errUsage
		}
		digests[id] = append(digests[id], name)
	}
	if args[0] != "-" {
		f, err := os.Open(args[0])
		if err != nil {
			return err
		}
		defer f.Close()
		stdin = f
	}
	loaded, err := c.Load(ctx, stdin, digests, nameless)
	if err != nil {
		return err
	}
	if asJSON {
		return json.NewEncoder(stdout).Encode(loaded)
	}
	for _, i := range loaded {
		fmt.Fprintln(stdout, strings.Join(append([]string{i.Name}, i.Digests...), "\n"))
	}
	return nil
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
		if err := cri.New(c.Conn()).Pull(ctx, ref); err != nil {
			return err
		}
	}
	return nil
}

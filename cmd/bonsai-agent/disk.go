package main

import (
	"context"
	"encoding/json"
	"io"
	"os"
	"path/filepath"
	"time"

	"bonsai/bootstrap/cluster"
	"bonsai/bootstrap/diskuse"
	"bonsai/nodeagent/containerd"
	"bonsai/nodeagent/cri"
	"bonsai/nodeagent/volumes"
)

// diskLimit bounds the reading of all folders of a node's disk.
const diskLimit = time.Minute

// disk measures what takes room in the node's /var, and prints it as JSON.
func disk(ctx context.Context, args []string, stdout io.Writer) error {
	if len(args) > 0 {
		return errUsage
	}
	ctx, cancel := limited(ctx, diskLimit)
	defer cancel()
	d, err := nodeDisk(ctx, "/")
	if err != nil {
		return err
	}
	c, err := dialContainerd()
	if err != nil {
		return err
	}
	defer c.Close()
	list, err := c.Images(ctx)
	if err != nil {
		return err
	}
	loaded := map[string]bool{}
	for _, i := range list {
		loaded[i.Name] = loaded[i.Name] || i.Loaded
	}
	if d.Images, err = cri.New(c.Conn()).Use(ctx, loaded); err != nil {
		return err
	}
	return json.NewEncoder(stdout).Encode(d)
}

// nodeDisk measures the folders of a node below root.
func nodeDisk(ctx context.Context, root string) (d cluster.NodeDisk, err error) {
	if d.ImageBytes, err = diskuse.Of(ctx, filepath.Join(root, containerd.RootDir)); err != nil {
		return d, err
	}
	for _, dir := range []string{cluster.NodeLogDir, "/var/log/pods"} {
		n, err := diskuse.Of(ctx, filepath.Join(root, dir))
		if err != nil {
			return d, err
		}
		d.LogBytes += n
	}
	folders, err := os.ReadDir(filepath.Join(root, volumes.Dir))
	if err != nil {
		return d, nil // it has had none
	}
	d.Volumes = map[string]int64{}
	for _, f := range folders {
		if d.Volumes[f.Name()], err = diskuse.Of(ctx, filepath.Join(root, volumes.Dir, f.Name())); err != nil {
			return d, err
		}
	}
	return d, nil
}

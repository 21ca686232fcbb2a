package main

import (
	"context"
	"io"
	"os"
	"strings"

	"bonsai/bootstrap/cluster"
	"bonsai/nodeagent/staging"
)

// stage unpacks layers of images into the volumes of nodes.
func stage(ctx context.Context, args []string) error {
	if len(args) != 1 {
		return errUsage
	}
	s, err := staging.Read[cluster.LayerStaging](strings.NewReader(args[0]))
	if err != nil {
		return err
	}
	program, err := os.Executable()
	if err != nil {
		return err
	}
	return staging.Stage(ctx, program, s)
}

// unpack is the process that stage runs for each volume.
func unpack(ctx context.Context, args []string, stdin io.Reader) error {
	if len(args) != 0 {
		return errUsage
	}
	u, err := staging.Read[staging.Unpacking](stdin)
	if err != nil {
		return err
	}
	return staging.Unpack(ctx, u)
}

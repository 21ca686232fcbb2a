// Command registry serves images from archives of "docker save", read-only in effect and over plain HTTP, until it is
// interrupted. Tests that pull with policy Always need a registry that the cluster's nodes reach.
//
//	registry ADDRESS:PORT ARCHIVE...
//
// It prints the address that it listens at, a line, once all images can be pulled. Names lose their registry: what the
// archive calls registry.k8s.io/a/b:1 is a/b:1 here, as a mirror of registry.k8s.io serves it.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/registry"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Args[1:], os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "registry:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string, out io.Writer) (err error) {
	if len(args) < 2 {
		return errors.New("usage: registry ADDRESS:PORT ARCHIVE")
	}
	blobs, err := os.MkdirTemp("", "registry-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(blobs)) }()
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", args[0])
	if err != nil {
		return err
	}
	server := &http.Server{
		// In memory the images would take as much as they have on disk.
		Handler: registry.New(registry.WithBlobHandler(registry.NewDiskBlobHandler(blobs)),
			registry.Logger(log.New(io.Discard, "", 0))),
		ReadHeaderTimeout: time.Minute,
	}
	served := make(chan error, 1)
	go func() { served <- server.Serve(listener) }()
	defer func() { err = errors.Join(err, server.Close()) }()

	for _, archive := range args[1:] {
		if err := push(ctx, listener.Addr().String(), archive); err != nil {
			return fmt.Errorf("%s: %w", archive, err)
		}
	}
	if _, err := fmt.Fprintln(out, listener.Addr()); err != nil {
		return err
	}
	select {
	case <-ctx.Done():
		return nil
	case err := <-served:
		return err
	}
}

// push brings every image of an archive into the registry at the address.
func push(ctx context.Context, address, archive string) error {
	open := func() (io.ReadCloser, error) { return os.Open(filepath.Clean(archive)) }
	manifest, err := tarball.LoadManifest(open)
	if err != nil {
		return err
	}
	for _, described := range manifest {
		for _, reference := range described.RepoTags {
			tag, err := name.NewTag(reference)
			if err != nil {
				return err
			}
			image, err := tarball.Image(open, &tag)
			if err != nil {
				return err
			}
			here, err := name.NewTag(address+"/"+strings.TrimPrefix(tag.Name(), tag.RegistryStr()+"/"), name.Insecure)
			if err != nil {
				return err
			}
			if err := remote.Write(here, image, remote.WithContext(ctx)); err != nil {
				return err
			}
		}
	}
	return nil
}

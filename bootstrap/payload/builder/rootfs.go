package main

import (
	"context"
	"crypto/sha256"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"

	"bonsai/bootstrap/cluster"
)

// The third-party Go programs, all of them "tool" dependencies in go.mod.
const (
	containerdModule = "github.com/containerd/containerd/v2"
	runcModule       = "github.com/opencontainers/runc"
	cniModule        = "github.com/containernetworking/plugins"
	kubernetesModule = "k8s.io/kubernetes"
)

var (
	runtimePackages = []string{containerdModule + "/cmd/containerd", containerdModule + "/cmd/containerd-shim-runc-v2"}
	cniPackages     = []string{
		cniModule + "/plugins/main/ptp",
		cniModule + "/plugins/main/loopback",
		cniModule + "/plugins/ipam/host-local",
		cniModule + "/plugins/meta/portmap",
	}
	runcPackages = []string{runcModule}
	// Snapshotters that need a file system or tools that no node has.
	containerdTags = "no_btrfs,no_devmapper,no_zfs"
)

// buildRootfs builds rootfs.tar.zst below out.
func buildRootfs(ctx context.Context, out string) error {
	key, err := rootfsKey(ctx)
	if err != nil {
		return err
	}
	if upToDate(out, "rootfs", key) {
		return nil
	}
	tree := filepath.Join(out, "rootfs")
	if err := os.RemoveAll(tree); err != nil {
		return err
	}
	versions, err := moduleVersions(ctx, containerdModule, cniModule)
	if err != nil {
		return err
	}
	ldflags := fmt.Sprintf("-s -w -X %s/version.Version=%s -X %s/pkg/utils/buildversion.BuildVersion=%s",
		containerdModule, versions[containerdModule], cniModule, versions[cniModule])
	for _, step := range []struct {
		what string
		do   func() error
	}{
		{"containerd", func() error {
			return goBuild(ctx, filepath.Join(tree, "bin"), goStatic, containerdTags, ldflags, runtimePackages...)
		}},
		{"CNI plugins", func() error {
			return goBuild(ctx, filepath.Join(tree, "cni"), goStatic, "", ldflags, cniPackages...)
		}},
		{"runc", func() error {
			// Without the seccomp tag runc refuses every pod; libseccomp makes it the only cgo program of the payload.
			return goBuild(ctx, filepath.Join(tree, "bin"), cgoStatic, "seccomp,netgo,osusergo,urfave_cli_no_docs",
				"-s -w -extldflags -static", runcPackages...)
		}},
		{"pause image", func() error { return pauseImage(ctx, filepath.Join(tree, "images", "pause.tar"), out) }},
		{"nft, mount, busybox, CA certificates from Debian packages", func() error { return debianFiles(ctx, tree, out) }},
		{"image tools from Debian packages", func() error { return toolsImage(ctx, filepath.Join(tree, "images", cluster.ToolsArchive), tree, out) }},
		{"time zones", func() error { return machineFolders(ctx, tree) }},
		{"licences", func() error {
			return moduleLicences(ctx, filepath.Join(tree, "licenses", "go"), slices.Concat(runtimePackages, cniPackages, runcPackages)...)
		}},
	} {
		fmt.Println("payload:", step.what)
		if err := step.do(); err != nil {
			return fmt.Errorf("%s: %w", step.what, err)
		}
	}
	return pack(tree, out, "rootfs", key)
}

// rootfsKey names all inputs of the archive except the state of the Debian archive: the linked modules with their
// versions, the compiler, and this program.
func rootfsKey(ctx context.Context) (string, error) {
	modules, err := linkedModules(ctx, slices.Concat(runtimePackages, cniPackages, runcPackages)...)
	if err != nil {
		return "", err
	}
	h := sha256.New()
	for _, m := range modules {
		fmt.Fprintln(h, m.Path, m.Version)
	}
	kubernetes, err := moduleVersions(ctx, kubernetesModule) // its pause.c
	if err != nil {
		return "", err
	}
	fmt.Fprintln(h, kubernetes, runtime.Version(), runtime.GOARCH)
	sources, err := filepath.Glob("bootstrap/payload/builder/*.go")
	if err != nil {
		return "", err
	}
	for _, name := range sources {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		f, err := os.Open(name)
		if err != nil {
			return "", err
		}
		_, err = io.Copy(h, f)
		f.Close()
		if err != nil {
			return "", err
		}
	}
	return fmt.Sprintf("%x", h.Sum(nil)), nil
}

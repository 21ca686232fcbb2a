package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/klauspost/compress/zstd"

	"bonsai/bootstrap/cluster"
)

// guardianPackage runs on the host beside each cluster; it is embedded, but not in the archive.
const guardianPackage = "./cmd/bonsai-guardian"

var agentPackages = []string{"./cmd/bonsai-init", "./cmd/bonsai-agent"}

// buildAgent builds agent.tar.zst below out. The compiler's own cache decides what is compiled; the archive is packed
// again only if a program or a dependency has changed.
func buildAgent(ctx context.Context, out string) error {
	tree := filepath.Join(out, "agent")
	bin := filepath.Join(tree, "bin")
	// Without a build id the programs, and so all hashes, do not change if only comments are edited.
	if err := goBuild(ctx, bin, goStatic, "", "-s -w -buildid=", agentPackages...); err != nil {
		return err
	}
	if err := buildGuardian(ctx, out); err != nil {
		return err
	}
	hello := filepath.Join(tree, "images", cluster.HelloArchive)
	if err := helloImage(ctx, hello, out); err != nil {
		return err
	}
	// The key of this archive is its contents. go.sum stands for the licences.
	h := sha256.New()
	for _, name := range []string{filepath.Join(bin, "bonsai-init"), filepath.Join(bin, "bonsai-agent"), hello, "go.sum"} {
		f, err := os.Open(name)
		if err != nil {
			return err
		}
		_, err = io.Copy(h, f)
		f.Close()
		if err != nil {
			return err
		}
	}
	key := fmt.Sprintf("%x", h.Sum(nil))
	if upToDate(out, "agent", key) {
		return nil
	}
	fmt.Println("payload: bonsai-agent, bonsai-init, image hello")
	licences := filepath.Join(tree, "licenses", "bonsai")
	if err := os.RemoveAll(licences); err != nil {
		return err
	}
	if err := moduleLicences(ctx, licences, append(agentPackages, guardianPackage, helloPackage, "./cmd/bonsai")...); err != nil {
		return err
	}
	if err := copyFile(filepath.Join(licences, "LICENSE"), "LICENSE", 0o644); err != nil {
		return err
	}
	// The agent acts as crictl when it is called by that name.
	if err := symlink("bonsai-agent", filepath.Join(bin, "crictl")); err != nil {
		return err
	}
	return pack(tree, out, "agent", key)
}

// buildGuardian builds guardian.zst below out.
func buildGuardian(ctx context.Context, out string) error {
	bin := filepath.Join(out, "host")
	if err := goBuild(ctx, bin, goStatic, "", "-s -w -buildid=", guardianPackage); err != nil {
		return err
	}
	program, err := os.ReadFile(filepath.Join(bin, filepath.Base(guardianPackage)))
	if err != nil {
		return err
	}
	compressor, err := zstd.NewWriter(nil, zstd.WithEncoderLevel(zstd.SpeedBetterCompression), zstd.WithEncoderConcurrency(1))
	if err != nil {
		return err
	}
	packed := compressor.EncodeAll(program, nil)
	target := filepath.Join(out, "guardian.zst")
	if have, err := os.ReadFile(target); err == nil && bytes.Equal(have, packed) {
		return nil
	}
	fmt.Println("payload: bonsai-guardian")
	return os.WriteFile(target, packed, 0o644)
}

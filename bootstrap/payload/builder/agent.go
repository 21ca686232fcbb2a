package main

import (
	"context"
	"crypto/sha256"
	"fmt"
	"io"
	"os"
	"path/filepath"
)

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
	// The key of this archive is its contents. go.sum stands for the licences.
	h := sha256.New()
	for _, name := range []string{filepath.Join(bin, "bonsai-init"), filepath.Join(bin, "bonsai-agent"), "go.sum"} {
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
	fmt.Println("payload: bonsai-agent, bonsai-init")
	licences := filepath.Join(tree, "licenses", "bonsai")
	if err := os.RemoveAll(licences); err != nil {
		return err
	}
	if err := moduleLicences(ctx, licences, append(agentPackages, "./cmd/bonsai")...); err != nil {
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

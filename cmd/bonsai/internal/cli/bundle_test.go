package cli

import (
	"context"
	"io"
	"net/netip"
	"os"
	"path/filepath"
	"time"

	"bonsai/bootstrap"
	"bonsai/bootstrap/bundle"
	"bonsai/bootstrap/fault"
)

// Bundle is a real one, of nothing; FAKE=fail breaks it in the middle.
func (f *fakeEngine) Bundle(_ context.Context, name string, wish bootstrap.BundleWish, w io.Writer) (bundle.Manifest, error) {
	b := bundle.NewWriter(w, "bonsai-"+name, bundle.Manifest{
		Created: time.Unix(1_700_000_000, 0), Bonsai: "v1", Cluster: name, KubernetesVersion: "1.37", Objects: !wish.NoObjects, Secrets: wish.Secrets,
		PodSubnet: netip.MustParsePrefix("10.244.0.0/16"), ServiceSubnet: netip.MustParsePrefix("10.96.0.0/16"),
	})
	if f.mood == "fail" {
		return b.Manifest, fault.Newf(fault.Output, "the disk is full")
	}
	if !wish.NoObjects {
		b.Add(bundle.StoreFile, []byte("objects"))
	}
	b.Miss("nodes", io.ErrUnexpectedEOF)
	return b.Manifest, b.Close()
}

// fakeOpen serves nothing.
func fakeOpen(ctx context.Context, file string, port int, use func(context.Context, OpenBundle) error) error {
	f, err := os.Open(file)
	if err != nil {
		return bootstrap.BundleFault(file, err)
	}
	defer f.Close()
	dir, err := os.MkdirTemp("", "")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	m, err := bundle.Extract(f, filepath.Join(dir, "objects"))
	if err != nil {
		return bootstrap.BundleFault(file, err)
	}
	kubeconfig := filepath.Join(dir, "kubeconfig")
	if err := os.WriteFile(kubeconfig, nil, 0o600); err != nil {
		return err
	}
	return use(ctx, OpenBundle{Manifest: m, Server: "https://127.0.0.1:7000", Kubeconfig: kubeconfig})
}

package main

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"runtime"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/static"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"github.com/google/go-containerregistry/pkg/v1/types"

	"bonsai/bootstrap/cluster"
)

// helloPackage is the program of the image hello.
const helloPackage = "./cmd/bonsai-hello"

// toolsPrograms are the programs of the image tools, and their Debian packages. Debian's dig links a library of 30 MB with tables of
// Unicode; Knot's takes nearly the same arguments.
var toolsPrograms = map[string]string{
	"curl": "curl", "kdig": "knot-dnsutils", "nc.openbsd": "netcat-openbsd", "openssl": "openssl", "busybox": "busybox",
}

// toolsLinks are names of these programs by which people call them.
var toolsLinks = map[string]string{"dig": "kdig", "nc": "nc.openbsd"}

// imageArchive writes a folder as an image of one layer, in the form of docker save. The layer is not compressed: the payload
// is, as a whole.
func imageArchive(target, ref, tree string, of v1.Config) error {
	var files bytes.Buffer
	archive := tar.NewWriter(&files)
	if err := errors.Join(addTree(archive, tree), archive.Close()); err != nil {
		return err
	}
	image, err := mutate.AppendLayers(empty.Image, static.NewLayer(files.Bytes(), types.DockerUncompressedLayer))
	if err != nil {
		return err
	}
	config, err := image.ConfigFile()
	if err != nil {
		return err
	}
	config = config.DeepCopy()
	config.Architecture, config.OS, config.Config = runtime.GOARCH, "linux", of
	if image, err = mutate.ConfigFile(image, config); err != nil {
		return err
	}
	tag, err := name.NewTag(ref)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(target), 0o755); err != nil {
		return err
	}
	return tarball.WriteToFile(target, tag, image)
}

// helloImage builds the image hello: its program and nothing else.
func helloImage(ctx context.Context, target, out string) error {
	tree := filepath.Join(out, "hello")
	if err := goBuild(ctx, tree, goStatic, "", "-s -w -buildid=", helloPackage); err != nil {
		return err
	}
	return imageArchive(target, cluster.HelloImage, tree, v1.Config{
		Entrypoint: []string{"/" + filepath.Base(helloPackage)}, User: "65532:65532", WorkingDir: "/",
		ExposedPorts: map[string]struct{}{"8080/tcp": {}, "80/tcp": {}},
	})
}

// toolsImage makes the image tools of Debian packages. Their licences get into the payload.
func toolsImage(ctx context.Context, target, payload, out string) error {
	tree := filepath.Join(out, "tools")
	if err := os.RemoveAll(tree); err != nil {
		return err
	}
	d, err := newDebian(out, "debian-tools", tree, toolsPrograms)
	if err != nil {
		return err
	}
	if err := d.copyPrograms(ctx, zlibPackage, certificatesPackage, licencesPackage); err != nil {
		return err
	}
	bin := filepath.Join(tree, "bin")
	except := []string{"busybox"}
	for link, to := range toolsLinks {
		if err := symlink(to, filepath.Join(bin, link)); err != nil {
			return err
		}
		except = append(except, link)
	}
	for program := range toolsPrograms {
		except = append(except, program)
	}
	if err := d.busyboxLinks(ctx, except); err != nil {
		return err
	}
	// Programs name their loader by a path that differs between architectures; all of them lead to /lib.
	if err := symlink("lib", filepath.Join(tree, "lib64")); err != nil {
		return err
	}
	// A shell looks up names and wants a place for files.
	for path, text := range map[string]string{
		"etc/passwd": "root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/:/bin/sh\n", "etc/group": "root:x:0:\nnogroup:x:65534:\n",
		"etc/nsswitch.conf": "hosts: files dns\n", "root/.keep": "", "tmp/.keep": "",
	} {
		if err := errors.Join(os.MkdirAll(filepath.Dir(filepath.Join(tree, path)), 0o755), os.WriteFile(filepath.Join(tree, path), []byte(text), 0o644)); err != nil {
			return err
		}
	}
	if err := d.certificates(); err != nil {
		return err
	}
	if err := copyFile(filepath.Join(tree, "etc/ssl/openssl.cnf"), filepath.Join(d.unpacked, toolsPrograms["openssl"], "etc/ssl/openssl.cnf"), 0o644); err != nil {
		return err
	}
	if err := d.licences(ctx, filepath.Join(payload, "licenses", "tools")); err != nil {
		return err
	}
	return imageArchive(target, cluster.ToolsImage, tree, v1.Config{
		Cmd: []string{"/bin/sh"}, WorkingDir: "/root",
		Env: []string{"PATH=/bin", "SSL_CERT_FILE=/etc/ssl/certs/ca-certificates.crt", "OPENSSL_CONF=/etc/ssl/openssl.cnf", "HOME=/root"},
	})
}

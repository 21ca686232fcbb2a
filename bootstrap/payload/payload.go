// Package payload is what all nodes of this version of bonsai share: the embedded root file system (containerd, runc,
// CNI plugins, nft, a shell), the embedded node agent, and the running executable itself, which is the kubelet in a
// node.
//
// The archives are built by the program in payload/builder, which the Makefile runs; they are not in git. The package
// compiles without them, so that vet, lint and light tests need no payload, and New returns a fault.
package payload

import (
	"archive/tar"
	"bytes"
	"crypto/sha256"
	"embed"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"runtime"
	"time"

	"github.com/klauspost/compress/zstd"

	"bonsai/bootstrap/buildinfo"
	"bonsai/bootstrap/cluster"
	"bonsai/bootstrap/fault"
	"bonsai/bootstrap/node"
	"bonsai/bootstrap/nodeimage"
)

// embedded holds NAME.tar.zst and NAME.json of each archive, or only a README.
//
//go:embed embedded
var embedded embed.FS

// archives are put into the volume in this order.
var archives = []string{"rootfs", "agent"}

// description is what payload/builder writes beside an archive.
type description struct {
	SHA256 string `json:"sha256"` // of the uncompressed stream
	Size   int64  `json:"size"`   // of the uncompressed stream
}

// New describes the payload of the running executable. It is fast: the hash is computed from hashes that were computed
// when the parts were built. It returns a fault if this executable has no payload or cannot run in a node.
func New() (node.Payload, error) {
	if runtime.GOOS != "linux" {
		return node.Payload{}, fault.Newf(fault.Internal, "nodes run this executable, and it was built for %s", runtime.GOOS).
			Advise("run bonsai on Linux; nodes from other systems are not supported yet")
	}
	return open("/proc/self/exe", embedded)
}

// open describes the payload that consists of an executable and the archives in files.
func open(executable string, files fs.FS) (node.Payload, error) {
	hash := sha256.New()
	var size int64
	for _, name := range archives {
		d, err := describe(files, name)
		if err != nil {
			return node.Payload{}, err
		}
		fmt.Fprintln(hash, name, d.SHA256)
		size += d.Size
	}
	id, err := buildinfo.ID(executable)
	if err != nil {
		return node.Payload{}, fault.New(fault.Internal, "identify this executable", err)
	}
	fmt.Fprintln(hash, "bonsai", id)
	info, err := os.Stat(executable)
	if err != nil {
		return node.Payload{}, fault.New(fault.Internal, "identify this executable", err)
	}
	size += blockSize + padded(info.Size()) + endSize

	p := node.Payload{Hash: fmt.Sprintf("%x", hash.Sum(nil)), Size: size}
	p.ImageRef = nodeimage.Ref(p.Hash)
	p.Volume = func() (io.ReadCloser, error) { return openVolume(executable, files) }
	p.Image = func() (io.ReadCloser, error) {
		archive, err := nodeimage.Archive(p.Hash)
		return io.NopCloser(bytes.NewReader(archive)), err
	}
	return p, nil
}

// Guardian returns the program cmd/bonsai-guardian for this machine. The error is fs.ErrNotExist if this executable was
// built without it.
func Guardian() ([]byte, error) {
	if runtime.GOOS != "linux" { // it is built together with what nodes run
		return nil, fs.ErrNotExist
	}
	packed, err := embedded.ReadFile("embedded/guardian.zst")
	if err != nil {
		return nil, err
	}
	decoder, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(1))
	if err != nil {
		return nil, err
	}
	defer decoder.Close()
	return decoder.DecodeAll(packed, nil)
}

func describe(files fs.FS, name string) (d description, err error) {
	data, err := fs.ReadFile(files, "embedded/"+name+".json")
	if errors.Is(err, fs.ErrNotExist) {
		return d, fault.Newf(fault.Internal, "this executable was built without the node payload").
			Advise("build bonsai in its source folder and use bin/bonsai", cluster.Program("make"))
	}
	if err == nil {
		err = json.Unmarshal(data, &d)
	}
	if err != nil {
		return d, fault.New(fault.Internal, "read the embedded payload", err)
	}
	return d, nil
}

const (
	blockSize = 512
	endSize   = 2 * blockSize // two empty blocks end a tar stream
)

func padded(n int64) int64 { return (n + blockSize - 1) / blockSize * blockSize }

// openVolume returns the tar stream of the volume: the archives as they are (they have no end mark), then the
// executable as bin/bonsai, then the end. Nothing is copied or buffered beyond the decompressor's window.
func openVolume(executable string, files fs.FS) (_ io.ReadCloser, err error) {
	v := &volume{}
	defer func() {
		if err != nil {
			v.Close()
			err = fault.New(fault.Internal, "read the embedded payload", err)
		}
	}()
	var parts []io.Reader
	for _, name := range archives {
		f, err := files.Open("embedded/" + name + ".tar.zst")
		if err != nil {
			return nil, err
		}
		decoder, err := zstd.NewReader(f)
		if err != nil {
			return nil, errors.Join(err, f.Close())
		}
		v.closers = append(v.closers, func() error { decoder.Close(); return f.Close() })
		parts = append(parts, decoder)
	}
	exe, err := os.Open(executable)
	if err != nil {
		return nil, err
	}
	v.closers = append(v.closers, exe.Close)
	info, err := exe.Stat()
	if err != nil {
		return nil, err
	}
	var header bytes.Buffer
	if err := tar.NewWriter(&header).WriteHeader(&tar.Header{
		Typeflag: tar.TypeReg, Name: "bin/bonsai", Mode: 0o755, Size: info.Size(), ModTime: time.Unix(0, 0), Format: tar.FormatUSTAR,
	}); err != nil {
		return nil, err
	}
	end := make([]byte, padded(info.Size())-info.Size()+endSize)
	v.Reader = io.MultiReader(append(parts, &header, io.LimitReader(exe, info.Size()), bytes.NewReader(end))...)
	return v, nil
}

// volume is a stream with several things to close.
type volume struct {
	io.Reader
	closers []func() error
}

func (v *volume) Close() error {
	var errs []error
	for _, c := range v.closers {
		errs = append(errs, c())
	}
	v.closers = nil
	return errors.Join(errs...)
}

// Package dockerlayers reads single layers of an image from the folders of a Docker engine. The engine's API gives only whole
// images, and writes all of one to its disk first.
//
// It works for engines that keep images in their own store (not in containerd's) with an overlay driver. Docker has had this form
// since 1.10: image/DRIVER/imagedb has the configurations by digest, image/DRIVER/layerdb describes each layer, and tar-split
// says how the files of DRIVER/ID/diff become the archive that the layer was. Nothing relies on that: whoever reads the output
// compares digests, and has the API for everything that is not as expected here. Nothing is written.
//
// Begin reading at Write.
package dockerlayers

import (
	"archive/tar"
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"strings"

	"github.com/vbatts/tar-split/tar/asm"
	"github.com/vbatts/tar-split/tar/storage"
)

// Write writes parts of an image as a tar archive whose files are named by digest: its configuration, if config asks for it, and
// those of its layers whose uncompressed content has the digests diffIDs. root is the engine's data folder, driver its storage
// driver, id the digest of the image's configuration.
func Write(w io.Writer, root *os.Root, driver, id string, diffIDs []string) error {
	if driver != path.Base(driver) || driver == "." || driver == ".." {
		return fmt.Errorf("%q is not a storage driver", driver)
	}
	e := engine{root: root, driver: driver}
	data, layers, err := e.config(id)
	if err != nil {
		return err
	}
	out := tar.NewWriter(w)
	if err := out.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: id, Mode: 0o600, Size: int64(len(data))}); err != nil {
		return err
	}
	if _, err := out.Write(data); err != nil {
		return err
	}
	chains := map[string]string{}
	chain := ""
	for _, diffID := range layers {
		if chain != "" {
			sum := sha256.Sum256([]byte(chain + " " + diffID))
			chain = "sha256:" + hex.EncodeToString(sum[:])
		} else {
			chain = diffID
		}
		chains[diffID] = chain
	}
	for _, diffID := range diffIDs {
		chain, ok := chains[diffID]
		if !ok {
			return fmt.Errorf("image %s has no layer %s", id, diffID)
		}
		if err := e.layer(out, diffID, chain); err != nil {
			return fmt.Errorf("read layer %s: %w", diffID, err)
		}
	}
	return out.Close()
}

type engine struct {
	root   *os.Root
	driver string
}

// maxConfig is what containerd accepts of a configuration.
const maxConfig = 8 << 20

// config reads an image's configuration, and finds the digests of its layers in it.
func (e engine) config(id string) (data []byte, layers []string, err error) {
	name, err := hexOf(id)
	if err != nil {
		return nil, nil, err
	}
	f, err := e.root.Open(path.Join("image", e.driver, "imagedb/content/sha256", name))
	if err != nil {
		return nil, nil, fmt.Errorf("read image %s: %w", id, err)
	}
	defer f.Close()
	if data, err = io.ReadAll(io.LimitReader(f, maxConfig)); err != nil {
		return nil, nil, fmt.Errorf("read image %s: %w", id, err)
	}
	var config struct {
		RootFS struct {
			DiffIDs []string `json:"diff_ids"`
		} `json:"rootfs"`
	}
	if err := json.Unmarshal(data, &config); err != nil {
		return nil, nil, fmt.Errorf("read image %s: %w", id, err)
	}
	return data, config.RootFS.DiffIDs, nil
}

// layer writes one layer.
func (e engine) layer(out *tar.Writer, diffID, chain string) error {
	name, err := hexOf(chain)
	if err != nil {
		return err
	}
	folder := path.Join("image", e.driver, "layerdb/sha256", name)
	id, err := e.root.ReadFile(path.Join(folder, "cache-id"))
	if err != nil {
		return err
	}
	files, err := e.root.OpenRoot(path.Join(e.driver, path.Base(strings.TrimSpace(string(id))), "diff"))
	if err != nil {
		return err
	}
	defer files.Close()
	// The archive's size is needed first.
	var size int64
	err = e.split(folder, func(entries storage.Unpacker) error {
		for {
			entry, err := entries.Next()
			if errors.Is(err, io.EOF) {
				return nil
			}
			if err != nil {
				return err
			}
			if entry.Type == storage.SegmentType {
				size += int64(len(entry.Payload))
			} else {
				size += entry.Size
			}
		}
	})
	if err != nil {
		return err
	}
	if err := out.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: diffID, Mode: 0o600, Size: size}); err != nil {
		return err
	}
	return e.split(folder, func(entries storage.Unpacker) error { return asm.WriteOutputTarStream(getter{files}, entries, out) })
}

// split reads how a layer's archive is made of its files.
func (e engine) split(folder string, read func(storage.Unpacker) error) error {
	f, err := e.root.Open(path.Join(folder, "tar-split.json.gz"))
	if err != nil {
		return err
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		return err
	}
	return read(storage.NewJSONUnpacker(z))
}

// getter opens the files of a layer, and nothing outside of its folder, whatever the layer's links say.
type getter struct{ root *os.Root }

func (g getter) Get(name string) (io.ReadCloser, error) {
	return g.root.Open(strings.TrimPrefix(path.Clean("/"+name), "/"))
}

func hexOf(digest string) (string, error) {
	name, ok := strings.CutPrefix(digest, "sha256:")
	if sum, err := hex.DecodeString(name); !ok || err != nil || len(sum) != sha256.Size {
		return "", fmt.Errorf("%q is not a digest of sha256", digest)
	}
	return name, nil
}

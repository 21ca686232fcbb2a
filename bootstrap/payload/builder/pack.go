package main

import (
	"archive/tar"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/klauspost/compress/zstd"
)

// description is written beside each archive. Package payload reads SHA256 and Size; Key is for upToDate.
type description struct {
	Key    string `json:"key"`    // of the inputs
	SHA256 string `json:"sha256"` // of the uncompressed tar stream
	Size   int64  `json:"size"`   // of the uncompressed tar stream
}

// upToDate reports whether the archive exists and was built from the inputs that key names.
func upToDate(out, name, key string) bool {
	data, err := os.ReadFile(filepath.Join(out, name+".json"))
	var d description
	if err != nil || json.Unmarshal(data, &d) != nil || d.Key != key {
		return false
	}
	_, err = os.Stat(filepath.Join(out, name+".tar.zst"))
	return err == nil
}

// pack writes the folder tree as name.tar.zst and name.json below out. The same tree gives the same bytes: names are
// sorted; owners, times and modes are normalised.
//
// The tar stream has no end mark, so that package payload can concatenate streams.
func pack(tree, out, name, key string) (err error) {
	target := filepath.Join(out, name+".tar.zst")
	f, err := os.Create(target + ".tmp")
	if err != nil {
		return err
	}
	defer os.Remove(f.Name()) // fails after success, when the file has its final name
	defer func() { err = errors.Join(err, f.Close()) }()

	// Decoding is equally fast at all levels. This one takes 11 s for the larger archive, and makes it 6 % smaller than the next.
	compressor, err := zstd.NewWriter(f, zstd.WithEncoderLevel(zstd.SpeedBestCompression), zstd.WithEncoderConcurrency(1))
	if err != nil {
		return err
	}
	hash, size := sha256.New(), new(counter)
	archive := tar.NewWriter(io.MultiWriter(compressor, hash, size))
	if err := addTree(archive, tree); err != nil {
		return err
	}
	if err := errors.Join(archive.Flush(), compressor.Close()); err != nil {
		return err
	}
	d, err := json.MarshalIndent(description{Key: key, SHA256: fmt.Sprintf("%x", hash.Sum(nil)), Size: int64(*size)}, "", "  ")
	if err != nil {
		return err
	}
	if err := os.Rename(f.Name(), target); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(out, name+".json"), append(d, '\n'), 0o644)
}

// addTree adds everything below root in the order of fs.WalkDir, which is lexical.
func addTree(archive *tar.Writer, root string) error {
	return filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || path == root {
			return err
		}
		name, err := filepath.Rel(root, path)
		if err != nil {
			return err
		}
		info, err := entry.Info()
		if err != nil {
			return err
		}
		header := &tar.Header{Name: filepath.ToSlash(name), Mode: 0o644, ModTime: time.Unix(0, 0), Format: tar.FormatPAX}
		switch {
		case entry.IsDir():
			header.Typeflag, header.Name, header.Mode = tar.TypeDir, header.Name+"/", 0o755
			return archive.WriteHeader(header)
		case entry.Type() == fs.ModeSymlink:
			header.Typeflag, header.Mode = tar.TypeSymlink, 0o777
			if header.Linkname, err = os.Readlink(path); err != nil {
				return err
			}
			return archive.WriteHeader(header)
		}
		// Debian's mount is setuid; in a node everybody is root and it is not needed.
		if info.Mode()&0o111 != 0 {
			header.Mode = 0o755
		}
		header.Typeflag, header.Size = tar.TypeReg, info.Size()
		if err := archive.WriteHeader(header); err != nil {
			return err
		}
		f, err := os.Open(path)
		if err != nil {
			return err
		}
		defer f.Close()
		_, err = io.Copy(archive, f)
		return err
	})
}

type counter int64

func (c *counter) Write(p []byte) (int, error) {
	*c += counter(len(p))
	return len(p), nil
}

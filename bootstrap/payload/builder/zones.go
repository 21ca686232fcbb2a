package main

import (
	"archive/zip"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
)

// machineFolders puts into tree what pods mount from every machine: time zones, and a folder for modules of the kernel,
// which is empty because the modules are the machine's and a node loads none.
//
// The zones are those of the Go distribution, half a megabyte and the same on every machine that builds; the data is in
// the public domain.
func machineFolders(ctx context.Context, tree string) error {
	if err := os.MkdirAll(filepath.Join(tree, "lib", "modules"), 0o755); err != nil {
		return err
	}
	root, err := output(ctx, "", "go", "env", "GOROOT")
	if err != nil {
		return err
	}
	return unzip(filepath.Join(strings.TrimSpace(root), "lib", "time", "zoneinfo.zip"), filepath.Join(tree, "share", "zoneinfo"))
}

// unzip writes the files of an archive below dir.
func unzip(archive, dir string) (err error) {
	r, err := zip.OpenReader(archive)
	if err != nil {
		return fmt.Errorf("open %s: %w", archive, err)
	}
	defer func() { err = errors.Join(err, r.Close()) }()
	for _, entry := range r.File {
		if strings.HasSuffix(entry.Name, "/") {
			continue
		}
		if !filepath.IsLocal(entry.Name) {
			return fmt.Errorf("%s holds %q, which is outside of it", archive, entry.Name)
		}
		if err := unzipFile(entry, filepath.Join(dir, entry.Name)); err != nil {
			return fmt.Errorf("unpack %s of %s: %w", entry.Name, archive, err)
		}
	}
	return nil
}

func unzipFile(entry *zip.File, path string) error {
	in, err := entry.Open()
	if err != nil {
		return err
	}
	defer in.Close()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	out, err := os.Create(path)
	if err != nil {
		return err
	}
	_, err = io.Copy(out, in)
	return errors.Join(err, out.Close())
}

package main

import (
	"archive/zip"
	"os"
	"path/filepath"
	"testing"
	"time"
)

func TestMachineFolders(t *testing.T) {
	tree := t.TempDir()
	if err := machineFolders(t.Context(), tree); err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(filepath.Join(tree, "lib/modules")); err != nil || !info.IsDir() {
		t.Errorf("lib/modules: %v", err)
	}
	// The names that the node image links to, and old ones that people still use.
	for _, name := range []string{"Etc/UTC", "Europe/Berlin", "Asia/Shanghai", "PRC", "US/Eastern", "UTC"} {
		data, err := os.ReadFile(filepath.Join(tree, "share/zoneinfo", name))
		if err != nil {
			t.Error(err)
			continue
		}
		if _, err := time.LoadLocationFromTZData(name, data); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestUnzipStaysInItsFolder(t *testing.T) {
	archive := filepath.Join(t.TempDir(), "a.zip")
	f, err := os.Create(archive)
	if err != nil {
		t.Fatal(err)
	}
	w := zip.NewWriter(f)
	if _, err := w.Create("../outside"); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	if err := unzip(archive, t.TempDir()); err == nil {
		t.Error("a file outside of the folder was written")
	}
}

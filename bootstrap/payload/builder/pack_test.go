package main

import (
	"archive/tar"
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/klauspost/compress/zstd"
)

// writeTree makes a small payload; when says how old its files look.
func writeTree(t *testing.T, when time.Time) string {
	t.Helper()
	tree := t.TempDir()
	for name, mode := range map[string]os.FileMode{"bin/mount": 0o755 | os.ModeSetuid, "bin/sh": 0o700, "etc/data": 0o600} {
		path := filepath.Join(tree, name)
		err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o700), os.WriteFile(path, []byte(name), 0o600), os.Chmod(path, mode), os.Chtimes(path, when, when))
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink("sh", filepath.Join(tree, "bin", "ls")); err != nil {
		t.Fatal(err)
	}
	return tree
}

func TestPackNormalisesWhatIsNotContent(t *testing.T) {
	var archives [][]byte
	for _, age := range []time.Duration{time.Hour, 1000 * time.Hour} {
		out := t.TempDir()
		if err := pack(writeTree(t, time.Now().Add(-age)), out, "x", "key"); err != nil {
			t.Fatal(err)
		}
		archive, err := os.ReadFile(filepath.Join(out, "x.tar.zst"))
		if err != nil {
			t.Fatal(err)
		}
		archives = append(archives, archive)
	}
	if !bytes.Equal(archives[0], archives[1]) {
		t.Error("the same files, written at another time, give another archive")
	}

	decoder, err := zstd.NewReader(bytes.NewReader(archives[0]))
	if err != nil {
		t.Fatal(err)
	}
	defer decoder.Close()
	var got []string
	for r := tar.NewReader(decoder); ; {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, fmt.Sprintf("%s %o %d:%d %s", h.Name, h.Mode, h.Uid, h.Gid, h.Linkname))
	}
	want := []string{"bin/ 755 0:0 ", "bin/ls 777 0:0 sh", "bin/mount 755 0:0 ", "bin/sh 755 0:0 ", "etc/ 755 0:0 ", "etc/data 644 0:0 "}
	if !slices.Equal(got, want) {
		t.Errorf("got  %q\nwant %q", got, want)
	}
}

func TestDescriptionIsOfTheUncompressedStreamWithoutEndMark(t *testing.T) {
	out := t.TempDir()
	if err := pack(writeTree(t, time.Now()), out, "x", "key"); err != nil {
		t.Fatal(err)
	}
	archive, err := os.Open(filepath.Join(out, "x.tar.zst"))
	if err != nil {
		t.Fatal(err)
	}
	defer archive.Close()
	decoder, err := zstd.NewReader(archive)
	if err != nil {
		t.Fatal(err)
	}
	defer decoder.Close()
	stream, err := io.ReadAll(decoder)
	if err != nil {
		t.Fatal(err)
	}
	var d description
	data, err := os.ReadFile(filepath.Join(out, "x.json"))
	if err = errors.Join(err, json.Unmarshal(data, &d)); err != nil {
		t.Fatal(err)
	}
	if d.Size != int64(len(stream)) || d.SHA256 != fmt.Sprintf("%x", sha256.Sum256(stream)) {
		t.Errorf("description %+v does not fit the stream of %d bytes", d, len(stream))
	}
	// An end mark, two empty blocks, would hide whatever is put behind this stream.
	if len(stream)%512 != 0 || bytes.HasSuffix(stream, make([]byte, 1024)) {
		t.Error("the stream has an end mark or is not padded")
	}
}

func TestArchiveIsUpToDateForItsKeyOnly(t *testing.T) {
	out := t.TempDir()
	if upToDate(out, "x", "key") {
		t.Error("an archive that does not exist is up to date")
	}
	if err := pack(writeTree(t, time.Now()), out, "x", "key"); err != nil {
		t.Fatal(err)
	}
	if !upToDate(out, "x", "key") || upToDate(out, "x", "other") {
		t.Error("want up to date for its own key and no other")
	}
	if err := os.Remove(filepath.Join(out, "x.tar.zst")); err != nil {
		t.Fatal(err)
	}
	if upToDate(out, "x", "key") {
		t.Error("a removed archive is up to date")
	}
}

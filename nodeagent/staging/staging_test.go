package staging

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"
	"golang.org/x/sys/unix"

	"bonsai/bootstrap/cluster"
)

// The test is the program, too.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == Unpacker {
		u, err := Read[Unpacking](os.Stdin)
		if err == nil {
			err = Unpack(context.Background(), u)
		}
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

var moment = time.Unix(1_000_000_000, 0)

// layerOf is a layer; headers without a type are files.
func layerOf(t testing.TB, headers ...tar.Header) []byte {
	t.Helper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, h := range headers {
		content := ""
		if h.Typeflag == 0 {
			h.Typeflag, content = tar.TypeReg, "content of "+h.Name
		}
		h.Size, h.ModTime = int64(len(content)), moment
		if err := w.WriteHeader(&h); err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write([]byte(content)); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// machine is an image store and two volumes.
type machine struct {
	blobs    string
	one, two string
}

func newMachine(t testing.TB) machine {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("only root can unpack layers")
	}
	dir := t.TempDir()
	m := machine{filepath.Join(dir, "blobs"), filepath.Join(dir, "one"), filepath.Join(dir, "two")}
	for _, d := range []string{m.blobs, m.one, m.two} {
		if err := os.Mkdir(d, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	return m
}

// staging puts layers into the store, and describes how they are staged, each on top of the one before.
func (m machine) staging(t testing.TB, volumes []string, layers ...[]byte) cluster.LayerStaging {
	t.Helper()
	s := cluster.LayerStaging{Blobs: m.blobs, Folder: cluster.NodeLayers + "/abc"}
	parent := ""
	for i, data := range layers {
		blob := data
		if i%2 == 1 {
			var b bytes.Buffer
			w := gzip.NewWriter(&b)
			if _, err := w.Write(data); err != nil {
				t.Fatal(err)
			}
			if err := w.Close(); err != nil {
				t.Fatal(err)
			}
			blob = b.Bytes()
		}
		l := cluster.StagedLayer{Blob: digest.FromBytes(blob).String(), Volumes: volumes}
		l.DiffID, l.Parent = digest.FromBytes(data).String(), parent
		l.Chain = digest.FromString(parent + l.DiffID).String()
		if err := os.WriteFile(filepath.Join(m.blobs, nameOf(l.Blob)), blob, 0o600); err != nil {
			t.Fatal(err)
		}
		parent = l.Chain
		s.Layers = append(s.Layers, l)
	}
	return s
}

// folder is where a layer waits in a volume.
func folder(volume string, l cluster.StagedLayer) string {
	return filepath.Join(volume, "lib/bonsai/layers/abc", nameOf(l.Chain))
}

// tree describes what is in a folder, a line for each file.
func tree(t *testing.T, dir string) (lines []string) {
	t.Helper()
	err := filepath.WalkDir(dir, func(path string, _ fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		var s unix.Stat_t
		if err := unix.Lstat(path, &s); err != nil {
			return err
		}
		rel, err := filepath.Rel(dir, path)
		line := fmt.Sprintf("%s %o %d:%d dev %x size %d at %d", rel, s.Mode, s.Uid, s.Gid, s.Rdev, s.Size, s.Mtim.Sec)
		if s.Mode&unix.S_IFMT == unix.S_IFDIR {
			line = fmt.Sprintf("%s %o %d:%d at %d", rel, s.Mode, s.Uid, s.Gid, s.Mtim.Sec)
			if rel == "." {
				line = fmt.Sprintf(". %o", s.Mode) // made now
			}
		}
		for _, name := range []string{"trusted.overlay.opaque", "user.a"} {
			value := make([]byte, 10)
			if n, err := unix.Lgetxattr(path, name, value); err == nil {
				line += fmt.Sprintf(" %s=%s", name, value[:n])
			}
		}
		if to, err := os.Readlink(path); err == nil {
			line += " -> " + to
		}
		lines = append(lines, line)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return lines
}

// All volumes get the same, with everything that a file has, and the second shares the files of the first.
func TestLayersAreInAllVolumes(t *testing.T) {
	m := newMachine(t)
	base := layerOf(t,
		tar.Header{Typeflag: tar.TypeDir, Name: "etc", Mode: 0o750, Uid: 7, Gid: 8},
		tar.Header{Name: "etc/passwd", Mode: 0o640, Uid: 9},
		tar.Header{Typeflag: tar.TypeLink, Name: "etc/again", Linkname: "etc/passwd", Mode: 0o640, Uid: 9},
		tar.Header{Typeflag: tar.TypeSymlink, Name: "link", Linkname: "/etc/passwd", Mode: 0o777},
		tar.Header{Name: "bin/su", Mode: 0o4755, PAXRecords: map[string]string{"SCHILY.xattr.user.a": "b"}},
		tar.Header{Typeflag: tar.TypeFifo, Name: "fifo", Mode: 0o600},
	)
	top := layerOf(t,
		tar.Header{Name: "etc/new", Mode: 0o600}, // whose folder has the owner and the mode that it has below
		tar.Header{Name: "bin/.wh.su"},
		tar.Header{Typeflag: tar.TypeDir, Name: "opaque", Mode: 0o711, PAXRecords: map[string]string{"SCHILY.xattr.user.a": "c"}},
		tar.Header{Name: "opaque/.wh..wh..opq"},
		tar.Header{Name: "opaque/file", Mode: 0o644},
	)
	s := m.staging(t, []string{m.one, m.two}, base, top)
	if err := Stage(t.Context(), os.Args[0], s); err != nil {
		t.Fatal(err)
	}
	for i, want := range [][]string{
		{
			". 40755", "bin 40755 0:0 at", "bin/su 104755 0:0 dev 0 size 17 at 1000000000 user.a=b", "etc 40750 7:8 at 1000000000",
			"etc/again 100640 9:0 dev 0 size 21 at 1000000000", "etc/passwd 100640 9:0 dev 0 size 21 at 1000000000",
			"fifo 10600 0:0 dev 0 size 0 at 1000000000", "link 120777 0:0 dev 0 size 11 at 1000000000 -> /etc/passwd",
		},
		{
			". 40755", "bin 40755 0:0 at", "bin/su 20000 0:0 dev 0 size 0 at", "etc 40750 7:8 at", "etc/new 100600 0:0 dev 0 size 18 at 1000000000",
			"opaque 40711 0:0 at 1000000000 trusted.overlay.opaque=y user.a=c", "opaque/file 100644 0:0 dev 0 size 22 at 1000000000",
		},
	} {
		one, two := tree(t, folder(m.one, s.Layers[i])), tree(t, folder(m.two, s.Layers[i]))
		if !slices.EqualFunc(one, want, strings.HasPrefix) {
			t.Errorf("layer %d has\n%s", i, strings.Join(one, "\n"))
		}
		if !slices.Equal(one, two) {
			t.Errorf("layer %d has in the second volume\n%s\nand not\n%s", i, strings.Join(two, "\n"), strings.Join(one, "\n"))
		}
	}
	a, err1 := os.Stat(filepath.Join(folder(m.one, s.Layers[0]), "bin/su"))
	b, err2 := os.Stat(filepath.Join(folder(m.two, s.Layers[0]), "bin/su"))
	if err := errors.Join(err1, err2); err != nil || !os.SameFile(a, b) {
		t.Errorf("the volumes do not share a file: %v", err)
	}
	if info, err := os.Stat(filepath.Join(m.two, "lib/bonsai/layers")); err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("others may enter the folder: %v, %v", info.Mode(), err)
	}
	// A node removes its own.
	if err := os.RemoveAll(m.one); err != nil {
		t.Fatal(err)
	}
	if data, err := os.ReadFile(filepath.Join(folder(m.two, s.Layers[0]), "etc/passwd")); err != nil || string(data) != "content of etc/passwd" {
		t.Errorf("the second volume has %q, %v", data, err)
	}
}

// What fails leaves nothing, and nothing leads out of a volume.
func TestFailuresLeaveNothing(t *testing.T) {
	good := layerOf(t, tar.Header{Name: "file", Mode: 0o600})
	for what, c := range map[string]struct {
		layer  []byte
		change func(m machine, s *cluster.LayerStaging)
		want   string
	}{
		"another digest":     {good, func(_ machine, s *cluster.LayerStaging) { s.Layers[0].DiffID = digest.FromString("x").String() }, "its content has the digest"},
		"no archive":         {[]byte(strings.Repeat("x", 2000)), nil, "archive/tar: invalid tar header"},
		"no blob":            {good, func(_ machine, s *cluster.LayerStaging) { s.Layers[0].Blob = digest.FromString("x").String() }, "no such file"},
		"a blob elsewhere":   {good, func(_ machine, s *cluster.LayerStaging) { s.Layers[0].Blob = "sha256:../x" }, "is not a digest"},
		"a folder elsewhere": {good, func(_ machine, s *cluster.LayerStaging) { s.Folder = "/etc" }, "is not in the volume"},
		"no layer below":     {good, func(_ machine, s *cluster.LayerStaging) { s.Layers[0].Parent = digest.FromString("x").String() }, "without the one below"},
		"nowhere":            {good, func(_ machine, s *cluster.LayerStaging) { s.Layers[0].Volumes = nil }, "goes nowhere"},
		"a volume that is a link elsewhere": {good, func(m machine, _ *cluster.LayerStaging) {
			_ = os.MkdirAll(filepath.Join(m.two, "lib"), 0o755)
			_ = os.Symlink(m.blobs, filepath.Join(m.two, "lib/bonsai"))
		}, "path escapes"},
	} {
		t.Run(what, func(t *testing.T) {
			m := newMachine(t)
			s := m.staging(t, []string{m.one, m.two}, c.layer)
			if c.change != nil {
				c.change(m, &s)
			}
			if err := Stage(t.Context(), os.Args[0], s); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want %q", err, c.want)
			}
			for _, volume := range []string{m.one, m.two} {
				if entries, err := os.ReadDir(filepath.Join(volume, "lib/bonsai/layers")); err == nil && len(entries) > 0 {
					t.Errorf("%s is left", entries[0].Name())
				}
			}
			if entries, err := os.ReadDir(m.blobs); err != nil || len(entries) != 1 {
				t.Errorf("the store has %v, %v", entries, err)
			}
		})
	}
}

// A layer that leads out of its folder finds nothing there but its node's volume.
func TestALayerStaysInItsVolume(t *testing.T) {
	m := newMachine(t)
	s := m.staging(t, []string{m.one}, layerOf(t,
		tar.Header{Typeflag: tar.TypeSymlink, Name: "out", Linkname: m.two, Mode: 0o777},
		tar.Header{Name: "out/file", Mode: 0o600},
		tar.Header{Name: "../../../../../../../../" + m.two + "/other", Mode: 0o600},
	))
	if err := Stage(t.Context(), os.Args[0], s); err != nil {
		t.Fatal(err)
	}
	if entries, err := os.ReadDir(m.two); err != nil || len(entries) > 0 {
		t.Errorf("another volume has %v, %v", entries, err)
	}
}

func BenchmarkStage(b *testing.B) {
	m := newMachine(b)
	var archive bytes.Buffer
	w := tar.NewWriter(&archive)
	data := bytes.Repeat([]byte("0123456789abcdef"), 20<<20/16)
	for i := range 10 {
		if err := w.WriteHeader(&tar.Header{Name: fmt.Sprint(i), Mode: 0o600, Size: int64(len(data))}); err != nil {
			b.Fatal(err)
		}
		if _, err := w.Write(data); err != nil {
			b.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		b.Fatal(err)
	}
	s := m.staging(b, []string{m.one, m.two}, archive.Bytes())
	b.SetBytes(int64(archive.Len()))
	for b.Loop() {
		if err := Stage(b.Context(), os.Args[0], s); err != nil {
			b.Fatal(err)
		}
		b.StopTimer()
		for _, volume := range []string{m.one, m.two} {
			if err := os.RemoveAll(filepath.Join(volume, "lib")); err != nil {
				b.Fatal(err)
			}
		}
		b.StartTimer()
	}
}

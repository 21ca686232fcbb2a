package clusterarchive

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/klauspost/compress/zstd"

	"bonsai/bootstrap/cluster"
	"bonsai/bootstrap/imagestore"
)

func newStore(t testing.TB) imagestore.Store {
	t.Helper()
	s := imagestore.New(t.TempDir())
	release, err := s.Use(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(release)
	return s
}

// written is an archive with one of everything.
func written(t testing.TB) ([]byte, Description) {
	t.Helper()
	store, dir := newStore(t), t.TempDir()
	blob, err := store.Put(strings.NewReader("an image"), "")
	if err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{"checkpoint.json": "{}", "store.zst": strings.Repeat("objects ", 1000)} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	volumes := t.TempDir()
	if err := os.WriteFile(VolumeFile(volumes, 1), []byte("data of claims"), 0o600); err != nil {
		t.Fatal(err)
	}
	d := Description{
		Bonsai: "v1", Checkpoint: cluster.Checkpoint{Name: "first"}, Images: map[string]string{"docker.io/library/a:1": blob.Digest},
		Blobs: []string{blob.Digest}, Volumes: []int{1},
	}
	var b bytes.Buffer
	if err := Write(t.Context(), &b, d, Source{Checkpoint: dir, Store: store, Volumes: volumes}); err != nil {
		t.Fatal(err)
	}
	return b.Bytes(), d
}

func TestWhatIsWrittenIsRead(t *testing.T) {
	data, want := written(t)
	store, dir := newStore(t), t.TempDir()
	got, err := Read(t.Context(), bytes.NewReader(data), Target{Dir: dir, Store: store})
	if err != nil {
		t.Fatal(err)
	}
	if got.Checkpoint.Name != "first" || got.Format != formatPlain || got.Bonsai != want.Bonsai {
		t.Errorf("read %+v, written was %+v", got, want)
	}
	same(t, dir, store, want)
	if info, err := os.Stat(VolumeFile(dir, 1)); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the data of claims has the mode %s, %v", info.Mode(), err)
	}
}

// same checks that everything of written was read.
func same(t *testing.T, dir string, store imagestore.Store, want Description) {
	t.Helper()
	if !store.Has(want.Blobs[0]) {
		t.Error("the image is not in the store")
	}
	for path, text := range map[string]string{
		filepath.Join(dir, "first", "checkpoint.json"): "{}", filepath.Join(dir, "first", "store.zst"): strings.Repeat("objects ", 1000),
		VolumeFile(dir, 1): "data of claims",
	} {
		if data, err := os.ReadFile(path); err != nil || string(data) != text {
			t.Errorf("%s has %q, %v", path, data, err)
		}
	}
}

// Whatever is wrong with an archive is found.
func TestDamage(t *testing.T) {
	data, want := written(t)
	for _, cut := range []int{0, 1, 10, len(data) / 2, len(data) - 1} {
		if _, err := read(t, data[:cut]); !errors.Is(err, ErrDamaged) {
			t.Errorf("cut after %d of %d bytes: %v", cut, len(data), err)
		}
	}
	for at := 8; at < len(data); at += 7 {
		flipped := slices.Clone(data)
		flipped[at] ^= 0x20
		dir, store := t.TempDir(), newStore(t)
		switch _, err := Read(t.Context(), bytes.NewReader(flipped), Target{Dir: dir, Store: store}); {
		case err == nil: // a bit that means nothing
			same(t, dir, store, want)
		case !errors.Is(err, ErrDamaged):
			t.Errorf("byte %d changed: %v", at, err)
		}
	}
	const head = `{"format": 1, "checkpoint": {"name": "first"}`
	parts := []string{"checkpoint/checkpoint.json", "checkpoint/store.zst"}
	for what, c := range map[string]struct {
		description string
		parts       []string
		want        error
	}{
		"nothing wrong":           {head + "}", parts, nil},
		"newer":                   {`{"format": 3}`, nil, ErrNewer},
		"no format":               {`{"checkpoint": {"name": "first"}}`, parts, ErrDamaged},
		"not JSON":                {"[", parts, ErrDamaged},
		"a name that is a path":   {`{"format": 1, "checkpoint": {"name": "../x"}}`, parts, ErrDamaged},
		"a part is missing":       {head + "}", parts[:1], ErrDamaged},
		"a part twice":            {head + "}", append(slices.Clone(parts), parts[0]), ErrDamaged},
		"a part too many":         {head + "}", append(slices.Clone(parts), "../../escape"), ErrDamaged},
		"an image without blobs":  {head + `, "images": {"a": "sha256:00"}}`, parts, ErrDamaged},
		"a blob of other content": {head + `, "blobs": ["sha256:` + strings.Repeat("0", 64) + `"]}`, append(slices.Clone(parts), "blobs/sha256/"+strings.Repeat("0", 64)), ErrDamaged},
		"a blob without a digest": {head + `, "blobs": ["sha256:../../escape"]}`, append(slices.Clone(parts), "blobs/sha256/../../escape"), ErrDamaged},
		"data in a checkpoint":    {`{"format": 2, "checkpoint": {"name": "first", "volumes": [{"place": 1}]}}`, append(slices.Clone(parts), "checkpoint/volumes-1.zst"), nil},
		"data that is missing":    {`{"format": 2, "checkpoint": {"name": "first", "volumes": [{"place": 1}]}}`, parts, ErrDamaged},
		"data of no node":         {`{"format": 2, "checkpoint": {"name": "first", "volumes": [{"place": -1}]}}`, parts, ErrDamaged},
		"a node too many":         {head + `, "volumes": [-1]}`, parts, ErrDamaged},
	} {
		if _, err := read(t, archive(t, c.description, c.parts)); !errors.Is(err, c.want) || (err == nil) != (c.want == nil) {
			t.Errorf("%s: %v, want %v", what, err, c.want)
		}
	}
}

func TestErrorsOfOthersAreTheirs(t *testing.T) {
	data, _ := written(t)
	ours := errors.New("ours")
	if _, err := Read(t.Context(), io.MultiReader(bytes.NewReader(data[:20]), failingReader{ours}), Target{Dir: t.TempDir(), Store: newStore(t)}); !errors.Is(err, ours) || errors.Is(err, ErrDamaged) {
		t.Errorf("an error of the file: %v", err)
	}
	full := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(full, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Read(t.Context(), bytes.NewReader(data), Target{Dir: full, Store: newStore(t)}); err == nil || errors.Is(err, ErrDamaged) {
		t.Errorf("an error of the target: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := Read(ctx, bytes.NewReader(data), Target{Dir: t.TempDir(), Store: newStore(t)}); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
}

type failingReader struct{ err error }

func (f failingReader) Read([]byte) (int, error) { return 0, f.err }

func read(t testing.TB, data []byte) (Description, error) {
	t.Helper()
	return Read(t.Context(), bytes.NewReader(data), Target{Dir: t.TempDir(), Store: newStore(t)})
}

// archive has that description, and parts with some content.
func archive(t testing.TB, description string, parts []string) []byte {
	t.Helper()
	var b bytes.Buffer
	zw, err := zstd.NewWriter(&b)
	if err != nil {
		t.Fatal(err)
	}
	w := tar.NewWriter(zw)
	add := func(name, text string) {
		if err := w.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: name, Mode: 0o600, Size: int64(len(text))}); err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(w, text); err != nil {
			t.Fatal(err)
		}
	}
	add(descriptionEntry, description)
	for _, p := range parts {
		add(p, "content")
	}
	if err := errors.Join(w.Close(), zw.Close()); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// FuzzRead: nothing is written outside of the folder, and nothing panics.
func FuzzRead(f *testing.F) {
	data, _ := written(f)
	f.Add(data)
	f.Add(archive(f, `{"format": 1, "checkpoint": {"name": "first"}, "blobs": ["sha256:../x"]}`, []string{"checkpoint/store.zst", "blobs/sha256/../x"}))
	f.Fuzz(func(t *testing.T, data []byte) {
		root := t.TempDir()
		dir := filepath.Join(root, "in")
		if err := os.Mkdir(dir, 0o700); err != nil {
			t.Fatal(err)
		}
		_, _ = Read(t.Context(), bytes.NewReader(data), Target{Dir: dir, Store: newStore(t)})
		entries, err := os.ReadDir(root)
		if err != nil || len(entries) != 1 {
			t.Errorf("there is %v, %v", entries, err)
		}
	})
}

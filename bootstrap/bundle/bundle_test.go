package bundle

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"encoding/json"
	"errors"
	"io"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func manifest() Manifest {
	return Manifest{
		Created: time.Unix(1_700_000_000, 0).UTC(), Bonsai: "v1", Cluster: "dev", KubernetesVersion: "1.37", Objects: true,
		PodSubnet: netip.MustParsePrefix("10.244.0.0/16"), ServiceSubnet: netip.MustParsePrefix("10.96.0.0/16"),
	}
}

// written is a bundle with a few files.
func written(t *testing.T, fill func(*Writer)) []byte {
	t.Helper()
	var b bytes.Buffer
	w := NewWriter(&b, "bonsai-dev", manifest())
	fill(w)
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func file(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func extract(t *testing.T, data []byte) (m Manifest, objects string, err error) {
	t.Helper()
	store := filepath.Join(t.TempDir(), "db")
	m, err = Extract(bytes.NewReader(data), store)
	text, readErr := os.ReadFile(store)
	if err == nil && readErr != nil {
		t.Fatal(readErr)
	}
	return m, string(text), err
}

func TestWriteAndExtract(t *testing.T) {
	data := written(t, func(w *Writer) {
		w.Add("logs/etcd.log", []byte("hello"))
		w.AddEnd("logs/long.log", file(t, "0123456789"), 4)
		w.AddEnd("logs/none.log", "/does/not/exist", 4)
		w.AddFile(StoreFile, file(t, "objects"))
		w.AddFile("gone", "/does/not/exist")
		w.AddJSON("bad.json", make(chan int))
	})
	m, objects, err := extract(t, data)
	if err != nil || objects != "objects" {
		t.Fatalf("%v, objects %q", err, objects)
	}
	if m.Cluster != "dev" || m.Format != Format || len(m.Missing) != 2 || !strings.HasPrefix(m.Missing[0], "gone: ") {
		t.Errorf("the manifest is %+v", m)
	}
	zip, err := gzip.NewReader(bytes.NewReader(data))
	if err != nil {
		t.Fatal(err)
	}
	contents := map[string]string{}
	for archive := tar.NewReader(zip); ; {
		h, err := archive.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		text, err := io.ReadAll(archive)
		if err != nil || h.Mode != 0o600 {
			t.Errorf("%s: mode %o, %v", h.Name, h.Mode, err)
		}
		contents[h.Name] = string(text)
	}
	if contents["bonsai-dev/logs/etcd.log"] != "hello" || contents["bonsai-dev/logs/long.log"] != "6789" || len(contents) != 4 {
		t.Errorf("it has %q", contents)
	}
}

// archive is a bundle as somebody else may write it.
func archive(t *testing.T, files ...[2]string) []byte {
	t.Helper()
	var b bytes.Buffer
	zip := gzip.NewWriter(&b)
	w := tar.NewWriter(zip)
	for _, f := range files {
		if err := w.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: f[0], Size: int64(len(f[1])), Mode: 0o777}); err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write([]byte(f[1])); err != nil {
			t.Fatal(err)
		}
	}
	if err := errors.Join(w.Close(), zip.Close()); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func TestWhatIsNotABundle(t *testing.T) {
	text := func(change func(*Manifest)) string {
		m := manifest()
		m.Format = Format
		change(&m)
		data, err := json.Marshal(m)
		if err != nil {
			t.Fatal(err)
		}
		return string(data)
	}
	good := text(func(*Manifest) {})
	for name, tc := range map[string]struct {
		data []byte
		want error
	}{
		"nothing":         {nil, ErrNot},
		"text":            {[]byte("hello"), ErrNot},
		"half":            {written(t, func(w *Writer) { w.Add("x", bytes.Repeat([]byte("abc"), 100_000)) })[:300], ErrNot},
		"another archive": {archive(t, [2]string{"a/b", "c"}), ErrNot},
		"not JSON":        {archive(t, [2]string{"a/bundle.json", "{"}), ErrNot},
		"no format":       {archive(t, [2]string{"a/bundle.json", "{}"}), ErrNot},
		"no ranges":       {archive(t, [2]string{"a/bundle.json", text(func(m *Manifest) { m.PodSubnet = netip.Prefix{} })}), ErrNot},
		"newer":           {archive(t, [2]string{"a/bundle.json", text(func(m *Manifest) { m.Format++ })}), ErrNewer},
		"without objects": {archive(t, [2]string{"a/bundle.json", good}), ErrEmpty},
		"objects deeper":  {archive(t, [2]string{"a/bundle.json", good}, [2]string{"a/b/objects.db", "x"}), ErrEmpty},
	} {
		if _, _, err := extract(t, tc.data); !errors.Is(err, tc.want) {
			t.Errorf("%s: got %v, want %v", name, err, tc.want)
		}
	}
	// Names do not decide where anything is written.
	if _, objects, err := extract(t, archive(t, [2]string{"../bundle.json", good}, [2]string{"../objects.db", "x"})); err != nil || objects != "x" {
		t.Errorf("of a name that leads elsewhere: %v, %q", err, objects)
	}
}

func FuzzExtract(f *testing.F) {
	var b bytes.Buffer
	w := NewWriter(&b, "x", manifest())
	w.Add(StoreFile, []byte("objects"))
	if err := w.Close(); err != nil {
		f.Fatal(err)
	}
	f.Add(b.Bytes())
	f.Add([]byte("hello"))
	f.Fuzz(func(t *testing.T, data []byte) {
		store := filepath.Join(t.TempDir(), "db")
		if _, err := Extract(bytes.NewReader(data), store); err == nil {
			if _, err := os.Stat(store); err != nil {
				t.Errorf("a good bundle without objects: %v", err)
			}
		}
	})
}

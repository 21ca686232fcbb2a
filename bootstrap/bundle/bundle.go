// Package bundle writes and reads bundles: archives (tar, gzip) of what is known about a cluster, for somebody else to find out
// what is wrong with it. Bundles come from others, so reading one trusts nothing in it.
//
// Begin reading at Writer and Extract.
package bundle

import (
	"archive/tar"
	"compress/gzip"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"path"
	"path/filepath"
	"time"
)

// The files of a bundle that a program reads; all others are for people.
const (
	ManifestFile = "bundle.json"
	StoreFile    = "objects.db"
)

// Format is that of the bundles that this version writes; a newer one may not be understood.
const Format = 1

// Limits of what is read, well above what bonsai writes.
const (
	mostManifest = 1 << 20
	mostStore    = 4 << 30
	mostEntries  = 100_000
)

// Errors of bundles that cannot be used.
var (
	ErrNot   = errors.New("it is not a bundle of bonsai")
	ErrNewer = errors.New("it was made by a newer bonsai")
	ErrEmpty = errors.New("it has no objects")
)

// Manifest says what a bundle is.
type Manifest struct {
	Format  int       `json:"format"`
	Created time.Time `json:"created"`
	// Bonsai is the version that made it, KubernetesVersion the minor version of the cluster's objects.
	Bonsai            string `json:"bonsai"`
	Cluster           string `json:"cluster"`
	KubernetesVersion string `json:"kubernetesVersion"`
	// The ranges of the cluster, without which its Services cannot be read.
	PodSubnet     netip.Prefix `json:"podSubnet"`
	ServiceSubnet netip.Prefix `json:"serviceSubnet"`
	// FeatureGates are those of the cluster: they decide which APIs there are.
	FeatureGates map[string]bool `json:"featureGates,omitempty"`
	// Objects says whether there are any; Secrets that their values are among them.
	Objects bool `json:"objects"`
	Secrets bool `json:"secrets"`
	// Missing says what could not be gathered, and why.
	Missing []string `json:"missing,omitempty"`
}

// Writer writes a bundle. Its first error is returned by Close.
type Writer struct {
	// Manifest is written by Close.
	Manifest Manifest

	zip *gzip.Writer
	tar *tar.Writer
	dir string
	err error
}

// NewWriter begins a bundle; all its files are in the folder dir.
func NewWriter(w io.Writer, dir string, m Manifest) *Writer {
	m.Format = Format
	zip := gzip.NewWriter(w)
	return &Writer{Manifest: m, zip: zip, tar: tar.NewWriter(zip), dir: dir}
}

// Add writes a file.
func (w *Writer) Add(name string, data []byte) {
	if w.header(name, int64(len(data))) {
		_, w.err = w.tar.Write(data)
	}
}

// AddJSON writes a value.
func (w *Writer) AddJSON(name string, v any) {
	data, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		w.Miss(name, err)
		return
	}
	w.Add(name, append(data, '\n'))
}

// AddEnd writes the end of a file, at most so many bytes of it. A file that does not exist, or is empty, is not in the bundle.
func (w *Writer) AddEnd(name, path string, most int64) {
	f, length, err := open(path)
	if errors.Is(err, os.ErrNotExist) {
		return
	}
	if err != nil {
		w.Miss(name, err)
		return
	}
	defer func() { _ = f.Close() }()
	size := min(length, most)
	if size == 0 {
		return
	}
	// What is appended meanwhile is not read; a file that gets shorter would spoil the archive, so it is read before.
	data := make([]byte, size)
	n, err := f.ReadAt(data, length-size)
	if err != nil && !errors.Is(err, io.EOF) {
		w.Miss(name, err)
		return
	}
	w.Add(name, data[:n])
}

// AddFile writes a file that nobody changes.
func (w *Writer) AddFile(name, path string) {
	f, length, err := open(path)
	if err != nil {
		w.Miss(name, err)
		return
	}
	defer func() { _ = f.Close() }()
	if w.header(name, length) {
		_, w.err = io.Copy(w.tar, f)
	}
}

// open opens a file, and says how long it is now.
func open(path string) (*os.File, int64, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, 0, err
	}
	info, err := f.Stat()
	if err != nil {
		return nil, 0, errors.Join(err, f.Close())
	}
	return f, info.Size(), nil
}

// Miss notes what could not be gathered.
func (w *Writer) Miss(what string, err error) {
	w.Manifest.Missing = append(w.Manifest.Missing, what+": "+err.Error())
}

func (w *Writer) header(name string, size int64) bool {
	if w.err == nil {
		w.err = w.tar.WriteHeader(&tar.Header{
			Typeflag: tar.TypeReg, Name: path.Join(w.dir, name), Size: size, Mode: 0o600, ModTime: w.Manifest.Created, Format: tar.FormatPAX,
		})
	}
	return w.err == nil
}

// Close writes the manifest, and ends the bundle.
func (w *Writer) Close() error {
	w.AddJSON(ManifestFile, w.Manifest)
	return errors.Join(w.err, w.tar.Close(), w.zip.Close())
}

// Extract reads a bundle and writes its objects to a new file. The errors wrap ErrNot, ErrNewer or ErrEmpty if the bundle is to
// blame.
func Extract(r io.Reader, store string) (m Manifest, err error) {
	zip, err := gzip.NewReader(r)
	if err != nil {
		return m, fmt.Errorf("%w: %w", ErrNot, err)
	}
	found, objects := false, false
	for archive, n := tar.NewReader(zip), 0; ; n++ {
		h, err := archive.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		switch {
		case err != nil:
			return m, fmt.Errorf("%w: %w", ErrNot, err)
		case n >= mostEntries:
			return m, fmt.Errorf("%w: it has more than %d files", ErrNot, mostEntries)
		case h.Typeflag != tar.TypeReg:
			continue
		}
		switch path.Base(h.Name) {
		case ManifestFile:
			if path.Dir(path.Dir(h.Name)) != "." || found {
				continue
			}
			data, err := io.ReadAll(io.LimitReader(archive, mostManifest))
			if err == nil {
				err = json.Unmarshal(data, &m)
			}
			if err != nil {
				return m, fmt.Errorf("%w: %s: %w", ErrNot, ManifestFile, err)
			}
			found = true
		case StoreFile:
			if path.Dir(path.Dir(h.Name)) != "." || objects {
				continue
			}
			if err := extractStore(archive, store); err != nil {
				return m, err
			}
			objects = true
		}
	}
	switch {
	case !found:
		return m, fmt.Errorf("%w: it has no %s", ErrNot, ManifestFile)
	case m.Format > Format:
		return m, fmt.Errorf("%w: %s", ErrNewer, m.Bonsai)
	case m.Format < 1 || !m.PodSubnet.IsValid() || !m.ServiceSubnet.IsValid():
		return m, fmt.Errorf("%w: %s does not say what it is", ErrNot, ManifestFile)
	case !objects:
		return m, ErrEmpty
	}
	return m, nil
}

func extractStore(from io.Reader, to string) error {
	f, err := os.OpenFile(filepath.Clean(to), os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	n, err := io.Copy(f, io.LimitReader(from, mostStore+1))
	if err == nil && n > mostStore {
		err = fmt.Errorf("%w: its objects take more than %d GiB", ErrNot, mostStore>>30)
	}
	return errors.Join(err, f.Close())
}

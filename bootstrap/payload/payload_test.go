package payload

import (
	"archive/tar"
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/klauspost/compress/zstd"
	"go.uber.org/goleak"

	"bonsai/bootstrap/buildinfo"
	"bonsai/bootstrap/fault"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// fakeArchives are like those of payload/builder: compressed tar streams without an end mark.
func fakeArchives(t *testing.T, rootfs, agent string) fs.FS {
	t.Helper()
	files := fstest.MapFS{}
	for name, content := range map[string]string{"rootfs": rootfs, "agent": agent} {
		var stream, compressed bytes.Buffer
		w := tar.NewWriter(&stream)
		if err := w.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: "bin/" + name, Mode: 0o755, Size: int64(len(content))}); err != nil {
			t.Fatal(err)
		}
		_, err := io.WriteString(w, content)
		z, zErr := zstd.NewWriter(&compressed)
		if err := errors.Join(err, zErr, w.Flush()); err != nil {
			t.Fatal(err)
		}
		size := stream.Len()
		if _, err := stream.WriteTo(z); err != nil {
			t.Fatal(err)
		}
		if err := z.Close(); err != nil {
			t.Fatal(err)
		}
		files["embedded/"+name+".tar.zst"] = &fstest.MapFile{Data: compressed.Bytes()}
		files["embedded/"+name+".json"] = &fstest.MapFile{Data: fmt.Appendf(nil, `{"sha256": %q, "size": %d}`, content, size)}
	}
	return files
}

func TestVolumeHoldsTheArchivesAndTheExecutable(t *testing.T) {
	p, err := open(os.Args[0], fakeArchives(t, "root file system", "agent"))
	if err != nil {
		t.Fatal(err)
	}
	first, err := p.Volume() // each call opens a stream of its own
	if err != nil {
		t.Fatal(err)
	}
	defer first.Close()
	stream, err := p.Volume()
	if err != nil {
		t.Fatal(err)
	}
	defer stream.Close()
	counted := &counter{r: stream}
	got := map[string]string{}
	r := tar.NewReader(counted)
	for {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		if h.Mode != 0o755 {
			t.Errorf("%s has mode %o", h.Name, h.Mode)
		}
		hash := sha256.New()
		if _, err := io.Copy(hash, r); err != nil {
			t.Fatal(err)
		}
		got[h.Name] = fmt.Sprintf("%x", hash.Sum(nil))
	}
	exe, err := os.ReadFile(os.Args[0])
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]string{}
	for name, content := range map[string][]byte{"bin/rootfs": []byte("root file system"), "bin/agent": []byte("agent"), "bin/bonsai": exe} {
		want[name] = fmt.Sprintf("%x", sha256.Sum256(content))
	}
	if !maps.Equal(got, want) {
		t.Errorf("the stream has files with hashes %v, want %v", got, want)
	}
	if _, err := io.Copy(io.Discard, counted); err != nil {
		t.Fatal(err)
	}
	if counted.n != p.Size {
		t.Errorf("the stream has %d bytes, Size says %d", counted.n, p.Size)
	}
}

type counter struct {
	r io.Reader
	n int64
}

func (c *counter) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	c.n += int64(n)
	return n, err
}

func TestVolumeMayBeClosedEarly(t *testing.T) {
	p, err := open(os.Args[0], fakeArchives(t, strings.Repeat("x", 1<<20), "agent"))
	if err != nil {
		t.Fatal(err)
	}
	stream, err := p.Volume()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.CopyN(io.Discard, stream, 1000); err != nil {
		t.Fatal(err)
	}
	if err := stream.Close(); err != nil {
		t.Error(err)
	}
}

func TestHashFollowsEachPart(t *testing.T) {
	hash := func(executable string, files fs.FS) string {
		t.Helper()
		p, err := open(executable, files)
		if err != nil {
			t.Fatal(err)
		}
		if want := "bonsai-node:" + p.Hash[:12]; p.ImageRef != want {
			t.Errorf("image is %s, want %s", p.ImageRef, want)
		}
		return p.Hash
	}
	first := hash(os.Args[0], fakeArchives(t, "a", "b"))
	if got := hash("/proc/self/exe", fakeArchives(t, "a", "b")); got != first {
		t.Errorf("the same content has hash %s and %s", first, got)
	}
	exe, err := os.ReadFile(os.Args[0])
	if err != nil {
		t.Fatal(err)
	}
	id, err := buildinfo.ID(os.Args[0])
	if err != nil {
		t.Fatal(err)
	}
	// Another build differs in the id, whatever else. The last byte only fills up.
	changed := bytes.Replace(exe, []byte(id), append([]byte(id)[:len(id)-2], id[len(id)-2]^1, 0), 1)
	other := path.Join(t.TempDir(), "other")
	if err := os.WriteFile(other, changed, 0o755); err != nil {
		t.Fatal(err)
	}
	for what, got := range map[string]string{
		"root file system": hash(os.Args[0], fakeArchives(t, "A", "b")),
		"agent":            hash(os.Args[0], fakeArchives(t, "a", "B")),
		"executable":       hash(other, fakeArchives(t, "a", "b")),
	} {
		if got == first {
			t.Errorf("another %s has the same hash", what)
		}
	}
}

func TestWithoutArchivesTheFaultSaysWhatToDo(t *testing.T) {
	_, err := open(os.Args[0], fstest.MapFS{"embedded/README.md": {}})
	f, ok := errors.AsType[*fault.Fault](err)
	if !ok || !strings.Contains(f.Error(), "without the node payload") || !strings.Contains(fault.Problem(f).HintText(), "make") {
		t.Errorf("got %v, want a fault with the way out", err)
	}
}

// TestEmbedded looks into the real archives, once they are built.
func TestEmbedded(t *testing.T) {
	if _, err := fs.Stat(embedded, "embedded/rootfs.json"); err != nil {
		t.Skip("the payload is not built; make builds it")
	}
	p, err := New()
	if err != nil {
		t.Fatal(err)
	}
	stream, err := p.Volume()
	if err != nil {
		t.Fatal(err)
	}
	defer stream.Close()
	types := map[string]byte{}
	for r := tar.NewReader(stream); ; {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		if h.Uid != 0 || h.Gid != 0 || h.Mode&0o7000 != 0 {
			t.Errorf("%s is owned by %d:%d with mode %o", h.Name, h.Uid, h.Gid, h.Mode)
		}
		if h.Typeflag == tar.TypeSymlink && strings.Contains(h.Linkname, "/") {
			t.Errorf("link %s leads out of its folder, to %s", h.Name, h.Linkname)
		}
		types[path.Clean(h.Name)] = h.Typeflag
	}
	for _, name := range []string{
		"bin/bonsai", "bin/bonsai-init", "bin/bonsai-agent", "bin/containerd", "bin/containerd-shim-runc-v2", "bin/runc",
		"bin/nft", "bin/mount", "bin/umount", "bin/busybox", "cni/ptp", "cni/host-local", "cni/portmap", "cni/loopback",
		"images/pause.tar", "etc/ssl/certs/ca-certificates.crt", "licenses/debian/packages.txt", "licenses/bonsai/LICENSE",
	} {
		if types[name] != tar.TypeReg {
			t.Errorf("the payload has no file %s", name)
		}
	}
	for _, name := range []string{"bin/sh", "bin/ps", "bin/ip", "bin/crictl"} {
		if types[name] != tar.TypeSymlink {
			t.Errorf("the payload has no link %s", name)
		}
	}
}

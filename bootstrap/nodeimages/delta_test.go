package nodeimages

import (
	"archive/tar"
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"testing"
)

func digestOf(content string) string { return fmt.Sprintf("sha256:%x", sha256.Sum256([]byte(content))) }

// archiveOf makes a tar archive; a content that begins with "->" is a symbolic link.
func archiveOf(t *testing.T, files ...[2]string) io.Reader {
	t.Helper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, f := range files {
		h := &tar.Header{Typeflag: tar.TypeReg, Name: f[0], Mode: 0o644, Size: int64(len(f[1]))}
		if to, ok := strings.CutPrefix(f[1], "->"); ok {
			h.Typeflag, h.Linkname, h.Size, f[1] = tar.TypeSymlink, to, 0, ""
		}
		if err := w.WriteHeader(h); err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(w, f[1]); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return &b
}

func convert(t *testing.T, source io.Reader, held map[string]bool) map[string]string {
	t.Helper()
	var b bytes.Buffer
	if err := withoutLayers(&b, source, held); err != nil {
		t.Fatal(err)
	}
	files := map[string]string{}
	for r := tar.NewReader(&b); ; {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			return files
		}
		if err != nil {
			t.Fatal(err)
		}
		data, err := io.ReadAll(r)
		if err != nil {
			t.Fatal(err)
		}
		files[h.Name] = string(data)
	}
}

func inLayout(content string) string { return blobFolder + digestOf(content)[len("sha256:"):] }

func TestAnOlderArchiveBecomesALayoutWithoutWhatNodesHave(t *testing.T) {
	large := strings.Repeat("large ", inMemory/6+1)
	source := archiveOf(t, [2]string{"aa/VERSION", "1.0"}, [2]string{"aa/layer.tar", "base"}, [2]string{"bb/layer.tar", large}, [2]string{"cc/layer.tar", "->../bb/layer.tar"},
		[2]string{"config1.json", "{1}"}, [2]string{"repositories", "{}"},
		[2]string{"manifest.json", `[{"Config":"config1.json","RepoTags":["app:1","registry.test/app:2"],"Layers":["aa/layer.tar","bb/layer.tar","cc/layer.tar"]}]`})
	files := convert(t, source, map[string]bool{digestOf("base"): true})
	manifest := fmt.Sprintf(`{"schemaVersion":2,"mediaType":"application/vnd.docker.distribution.manifest.v2+json",`+
		`"config":{"mediaType":"application/vnd.docker.container.image.v1+json","digest":"%s","size":3},"layers":[`+
		`{"mediaType":"application/vnd.docker.image.rootfs.diff.tar","digest":"%s","size":4},`+
		`{"mediaType":"application/vnd.docker.image.rootfs.diff.tar","digest":"%[3]s","size":%[4]d},`+
		`{"mediaType":"application/vnd.docker.image.rootfs.diff.tar","digest":"%[3]s","size":%[4]d}]}`, digestOf("{1}"), digestOf("base"), digestOf(large), len(large))
	want := []string{inLayout("{1}"), inLayout(large), inLayout(manifest), "index.json", "oci-layout"}
	slices.Sort(want)
	if got := slices.Sorted(maps.Keys(files)); !slices.Equal(got, want) {
		t.Fatalf("files are %q, want %q", got, want)
	}
	if files[inLayout(large)] != large || files[inLayout("{1}")] != "{1}" {
		t.Error("a file has another content")
	}
	for _, name := range []string{"docker.io/library/app:1", "registry.test/app:2"} {
		if !strings.Contains(files["index.json"], `{"io.containerd.image.name":"`+name+`"}`) {
			t.Errorf("the index lacks %s: %s", name, files["index.json"])
		}
	}
}

func TestALayoutLosesWhatNodesHave(t *testing.T) {
	source := archiveOf(t, [2]string{inLayout("base"), "base"}, [2]string{inLayout("top"), "top"}, [2]string{"index.json", "{}"}, [2]string{"manifest.json", "[]"}, [2]string{"oci-layout", "{}"})
	files := convert(t, source, map[string]bool{digestOf("base"): true})
	if len(files) != 4 || files[inLayout("top")] != "top" {
		t.Errorf("files are %q", slices.Sorted(maps.Keys(files)))
	}
}

func TestAnArchiveThatCannotBeRewritten(t *testing.T) {
	for what, source := range map[string]io.Reader{
		"no archive":      strings.NewReader(strings.Repeat("text", 300)),
		"no manifest":     archiveOf(t, [2]string{"aa/layer.tar", "base"}),
		"a missing layer": archiveOf(t, [2]string{"c.json", "{}"}, [2]string{"manifest.json", `[{"Config":"c.json","Layers":["aa/layer.tar"]}]`}),
	} {
		if err := withoutLayers(io.Discard, source, nil); err == nil {
			t.Errorf("%s: no error", what)
		}
	}
}

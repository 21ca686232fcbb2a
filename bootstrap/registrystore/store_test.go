package registrystore

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func mustPut(t *testing.T, s *Store, text string) Descriptor {
	t.Helper()
	digest, err := s.Put([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return Descriptor{MediaType: "application/octet-stream", Digest: digest, Size: int64(len(text))}
}

// mustImage puts an image of these layers.
func mustImage(t *testing.T, s *Store, repository, tag string, layers ...string) string {
	t.Helper()
	config := mustPut(t, s, "config of "+strings.Join(layers, ","))
	m := Manifest{MediaType: "application/vnd.oci.image.manifest.v1+json", Config: &config}
	for _, l := range layers {
		m.Layers = append(m.Layers, mustPut(t, s, l))
	}
	return mustManifest(t, s, repository, tag, m)
}

func mustManifest(t *testing.T, s *Store, repository, tag string, m Manifest) string {
	t.Helper()
	data, err := json.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	digest, err := s.PutManifest(repository, tag, m.MediaType, data)
	if err != nil {
		t.Fatal(err)
	}
	return digest
}

func read(t *testing.T, s *Store, digest string) string {
	t.Helper()
	f, _, err := s.Blob(digest)
	if errors.Is(err, ErrNotFound) {
		return ""
	}
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	data, err := io.ReadAll(f)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

// An upload goes on in another process, also if the one before was killed and has not written the state of the digest.
func TestAnUploadGoesOnElsewhere(t *testing.T) {
	dir := t.TempDir()
	for _, killed := range []bool{false, true} {
		u, err := Open(dir).Begin()
		if err != nil {
			t.Fatal(err)
		}
		if err := u.Append(strings.NewReader("hello ")); err != nil {
			t.Fatal(err)
		}
		id := u.ID
		if killed {
			err = u.end()
		} else {
			err = u.Close()
		}
		if err != nil {
			t.Fatal(err)
		}
		s := Open(dir)
		if u, err = s.Resume(id); err != nil || u.Size() != 6 {
			t.Fatalf("got %v, %v", u, err)
		}
		if _, err := s.Resume(id); err == nil {
			t.Error("two continue one upload")
		}
		if err := u.Append(strings.NewReader("world")); err != nil {
			t.Fatal(err)
		}
		const want = "sha256:b94d27b9934d3e08a52e52d7da7dabfac484efe37a5380ee9088f7ace2efcde9"
		if err := u.Commit(want); err != nil {
			t.Fatal(err)
		}
		if got := read(t, s, want); got != "hello world" {
			t.Errorf("got %q", got)
		}
		if _, err := s.Resume(id); !errors.Is(err, ErrNotFound) {
			t.Errorf("a finished upload goes on: %v", err)
		}
	}
}

func TestContentHasItsDigest(t *testing.T) {
	s := Open(t.TempDir())
	u, err := s.Begin()
	if err != nil {
		t.Fatal(err)
	}
	if err := u.Append(strings.NewReader("x")); err != nil {
		t.Fatal(err)
	}
	digest := "sha256:" + strings.Repeat("0", 64)
	if err := u.Commit(digest); !errors.Is(err, ErrDigest) {
		t.Errorf("got %v", err)
	}
	if _, err := s.Size(digest); !errors.Is(err, ErrNotFound) {
		t.Errorf("wrong content is there: %v", err)
	}
	if left, err := names(s.path("uploads")); err != nil || len(left) > 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}

func TestNamesThatWouldBePaths(t *testing.T) {
	s := Open(t.TempDir())
	for _, name := range []string{"", "..", "a/../b", "/a", "a/", "A", "a//b", "_tags", "a/_manifests", "a\x00", strings.Repeat("a", 300)} {
		if ValidRepository(name) {
			t.Errorf("%q is the name of a repository", name)
		}
		if _, err := s.PutManifest(name, "latest", "x", []byte("{}")); err == nil {
			t.Errorf("%q was written", name)
		}
	}
	for _, tag := range []string{"..", ".", "a/b", "-a", strings.Repeat("a", 129)} {
		if ValidTag(tag) {
			t.Errorf("%q is a tag", tag)
		}
	}
	for _, digest := range []string{"", "sha256:", "sha256:../../x", "sha512:" + strings.Repeat("0", 128), "sha256:" + strings.Repeat("G", 64), "sha256:" + strings.Repeat("A", 64)} {
		if ValidDigest(digest) {
			t.Errorf("%q is a digest", digest)
		}
	}
	for _, name := range []string{"a", "library/nginx", "a/b__c/d-e.f", "docker.io/library/nginx", "localhost__5000/x"} {
		if !ValidRepository(name) {
			t.Errorf("%q is not the name of a repository", name)
		}
	}
}

func TestImagesAndTags(t *testing.T) {
	s := Open(t.TempDir())
	if list, err := s.Images(); err != nil || len(list) > 0 {
		t.Fatalf("an empty store has %v, %v", list, err)
	}
	first := mustImage(t, s, "team/app", "1", "base", "one")
	second := mustImage(t, s, "team/app", "2", "base", "two")
	mustManifest(t, s, "team/both", "latest", Manifest{MediaType: "application/vnd.oci.image.index.v1+json"})
	list, err := s.Images()
	if err != nil || len(list) != 3 {
		t.Fatalf("got %v, %v", list, err)
	}
	if i := list[0]; i.Repository != "team/app" || i.Tag != "1" || i.Digest != first || time.Since(i.Time) > time.Minute || i.Size < int64(len("base"+"one"+"config of base,one")) {
		t.Errorf("got %+v", i)
	}
	if err := s.DeleteTag("team/app", "1"); err != nil {
		t.Fatal(err)
	}
	if _, _, err := s.ReadManifest("team/app", first); err != nil {
		t.Errorf("a manifest went with its tag: %v", err)
	}
	if err := s.DeleteManifest("team/app", second); err != nil {
		t.Fatal(err)
	}
	if tags, err := s.Tags("team/app"); err != nil || len(tags) > 0 {
		t.Errorf("got tags %v, %v", tags, err)
	}
	for _, err := range []error{s.DeleteTag("team/app", "2"), s.DeleteManifest("team/app", second), s.DeleteTag("other", "1")} {
		if !errors.Is(err, ErrNotFound) {
			t.Errorf("got %v", err)
		}
	}
	if _, err := s.Tags("other"); !errors.Is(err, ErrNotFound) {
		t.Errorf("got %v", err)
	}
}

// age makes everything that pushes have claimed or left as old as that.
func age(t *testing.T, s *Store, by time.Duration) {
	t.Helper()
	for _, dir := range []string{"claims", "uploads"} {
		all, err := names(s.path(dir))
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range all {
			old := time.Now().Add(-by)
			if err := os.Chtimes(s.path(dir, name), old, old); err != nil {
				t.Fatal(err)
			}
		}
	}
}

func TestCollectRemovesWhatNoTagLeadsTo(t *testing.T) {
	s := Open(t.TempDir())
	kept := mustImage(t, s, "app", "1", "base", "one")
	gone := mustImage(t, s, "app", "2", "base", "two")
	platform := mustImage(t, s, "app", "", "arm")
	mustManifest(t, s, "app", "multi", Manifest{MediaType: "application/vnd.oci.image.index.v1+json", Manifests: []Descriptor{{Digest: platform}}})
	signature := mustManifest(t, s, "app", "", Manifest{MediaType: "application/vnd.oci.image.manifest.v1+json", Subject: &Descriptor{Digest: kept}})
	if err := s.DeleteTag("app", "2"); err != nil {
		t.Fatal(err)
	}
	done, err := s.Collect()
	if err != nil || done.Manifests != 1 || done.Blobs != 2 { // its configuration and the layer of its own
		t.Errorf("got %+v, %v", done, err)
	}
	for _, digest := range []string{kept, platform, signature} {
		if _, _, err := s.ReadManifest("app", digest); err != nil {
			t.Errorf("%s is gone: %v", digest, err)
		}
	}
	if _, _, err := s.ReadManifest("app", gone); !errors.Is(err, ErrNotFound) {
		t.Errorf("it is still there: %v", err)
	}
	for text, want := range map[string]bool{"base": true, "one": true, "arm": true, "two": false} {
		if has := read(t, s, mustDigest(text)) != ""; has != want {
			t.Errorf("layer %s: got %v", text, has)
		}
	}
	if again, err := s.Collect(); err != nil || again.Blobs != 0 || again.Manifests != 0 || again.Kept != done.Kept {
		t.Errorf("again: %+v, %v", again, err)
	}
}

func mustDigest(text string) string {
	sum := sha256.Sum256([]byte(text))
	return digestPrefix + hex.EncodeToString(sum[:])
}

// What a push has sent or asked for stays until its manifest comes, but not for ever.
func TestCollectSparesPushesThatAreUnderWay(t *testing.T) {
	s := Open(t.TempDir())
	base := mustPut(t, s, "base")
	untagged := mustImage(t, s, "app", "", "one")
	u, err := s.Begin()
	if err != nil {
		t.Fatal(err)
	}
	if err := u.Close(); err != nil {
		t.Fatal(err)
	}
	if done, err := s.Collect(); err != nil || done.Blobs != 0 || done.Manifests != 0 {
		t.Errorf("got %+v, %v", done, err)
	}
	age(t, s, 2*claimed)
	if _, err := s.Claim(base.Digest); err != nil { // another push asks for it
		t.Fatal(err)
	}
	if done, err := s.Collect(); err != nil || done.Manifests != 1 || done.Blobs != 2 {
		t.Errorf("got %+v, %v", done, err)
	}
	if read(t, s, base.Digest) == "" {
		t.Error("a push misses what it asked for")
	}
	if _, _, err := s.ReadManifest("app", untagged); !errors.Is(err, ErrNotFound) {
		t.Errorf("got %v", err)
	}
	if left, err := names(s.path("uploads")); err != nil || len(left) > 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
	if left, err := s.Repositories(); err != nil || len(left) > 0 {
		t.Errorf("repositories without images: %v, %v", left, err)
	}
}

func TestTrimRemovesWhatWasNotUsedForLongest(t *testing.T) {
	s := Open(t.TempDir())
	var digests []string
	for i, text := range []string{"aaaa", "bbbb", "cccc"} {
		d := mustPut(t, s, text).Digest
		old := time.Now().Add(-time.Duration(10-i) * time.Hour)
		if err := os.Chtimes(s.blobPath(d), old, old); err != nil {
			t.Fatal(err)
		}
		digests = append(digests, d)
	}
	if read(t, s, digests[0]) == "" { // and it is used
		t.Fatal("it is missing")
	}
	done, err := s.Trim(9)
	if err != nil || done.Blobs != 1 || done.Bytes != 4 || done.Kept != 8 {
		t.Errorf("got %+v, %v", done, err)
	}
	if _, err := s.Size(digests[1]); !errors.Is(err, ErrNotFound) {
		t.Errorf("got %v", err)
	}
	if use, err := s.Use(); err != nil || use != 8 {
		t.Errorf("got %d, %v", use, err)
	}
}

// A file that a machine without power has spoilt counts as missing, and the next push repairs it.
func TestDamagedLinks(t *testing.T) {
	s := Open(t.TempDir())
	digest := mustImage(t, s, "app", "1", "one")
	for _, file := range []string{s.tagLink("app", "1"), s.manifestLink("app", digest)} {
		if err := os.WriteFile(file, bytes.Repeat([]byte{0}, 20), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if _, _, err := s.Resolve("app", "1"); !errors.Is(err, ErrNotFound) {
		t.Errorf("got %v", err)
	}
	if got := mustImage(t, s, "app", "1", "one"); got != digest {
		t.Errorf("got %s", got)
	}
	if list, err := s.Images(); err != nil || len(list) != 1 {
		t.Errorf("got %v, %v", list, err)
	}
}

func TestNothingIsOutsideTheFolder(t *testing.T) {
	root := t.TempDir()
	s := Open(filepath.Join(root, "store"))
	mustImage(t, s, "a", "1", "x")
	entries, err := names(root)
	if err != nil || !slices.Equal(entries, []string{"store"}) {
		t.Errorf("got %v, %v", entries, err)
	}
}

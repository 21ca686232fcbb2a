package nodeimages

import (
	"archive/tar"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"bonsai/bootstrap/cluster"
	"bonsai/bootstrap/fault"
	"bonsai/bootstrap/imagestore"
	"bonsai/bootstrap/imagestore/imagetest"
	"bonsai/bootstrap/node"
)

// engine has images and nodes. A node keeps the layers and names that it receives.
type engine struct {
	images map[string][]string // layers by tag
	saved  [][]string          // what was read from it
	size   int64               // of its images
	read   [][]string          // layers that were read from it alone
	lies   bool                // these layers are not what they should be
	log    bytes.Buffer        // what is said while it is read

	mu     sync.Mutex // guards the rest
	staged []cluster.LayerStaging
	apart  error  // why it unpacks nothing into volumes
	native string // a node that does not take what was unpacked
	nodes  map[string]map[string]string
	layers map[string]int // how many each node received
	broken string         // a node that receives nothing
	old    string         // one whose agent knows nothing of all this
}

func (e *engine) logger() *slog.Logger {
	return slog.New(slog.NewTextHandler(&e.log, &slog.HandlerOptions{Level: slog.LevelDebug}))
}

func (e *engine) FindImages(_ context.Context, refs []string) (found []node.Image, err error) {
	for _, ref := range refs {
		layers, ok := e.images[ref]
		if !ok {
			continue
		}
		i := node.Image{Ref: ref, ID: imagetest.ID(layers...), Size: e.size, Digests: []string{"registry.test/app@" + imagetest.Digest("of the registry")}}
		for _, l := range layers {
			i.Layers = append(i.Layers, imagetest.Digest(l))
		}
		found = append(found, i)
	}
	return found, nil
}

func (e *engine) SaveImages(_ context.Context, refs []string) (io.ReadCloser, error) {
	e.saved = append(e.saved, refs)
	layers, ok := e.images[refs[0]]
	if !ok {
		return nil, fault.Newf(fault.Image, "the engine has no image %s", refs[0])
	}
	return io.NopCloser(bytes.NewReader(imagetest.Docker(refs, layers...))), nil
}

func (e *engine) ReadLayers(_ context.Context, container, id string, layers []string, w io.Writer) error {
	if container != "one" {
		return errors.New("no such container")
	}
	e.read = append(e.read, layers)
	var files [][2]string
	for _, all := range e.images {
		if imagetest.ID(all...) != id {
			continue
		}
		files = [][2]string{{id, imagetest.Config(all...)}}
		for _, l := range all {
			if !slices.Contains(layers, imagetest.Digest(l)) {
				continue
			}
			f := [2]string{imagetest.Digest(l), l}
			if e.lies {
				f[1] = "lies"
			}
			files = append(files, f)
		}
	}
	_, err := w.Write(imagetest.Tar(files...))
	return err
}

func (e *engine) StageLayers(_ context.Context, s cluster.LayerStaging) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.apart != nil {
		return e.apart
	}
	e.staged = append(e.staged, s)
	return nil
}

// waits reports whether a layer waits in a node.
func (e *engine) waits(container, staged, chain string) bool {
	return slices.ContainsFunc(e.staged, func(s cluster.LayerStaging) bool {
		return s.Folder == cluster.NodeLayers+"/"+staged && slices.ContainsFunc(s.Layers, func(l cluster.StagedLayer) bool {
			return l.Chain == chain && slices.Contains(l.Volumes, container)
		})
	})
}

func (e *engine) Exec(_ context.Context, container string, x node.Exec) (int, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	have := e.nodes[container]
	if container == e.old {
		fmt.Fprintln(x.Stderr, "bonsai-agent: usage: bonsai-agent run | status")
		return 2, nil
	}
	if x.Cmd[2] == "unpacked" {
		held := slices.DeleteFunc(slices.Clone(x.Cmd[3:]), func(chain string) bool { return have[chain] == "" })
		return 0, json.NewEncoder(x.Stdout).Encode(held)
	}
	fail := func(err error) (int, error) {
		fmt.Fprintf(x.Stderr, "bonsai-agent: receive images: %v\n", err)
		return 1, nil
	}
	if container == e.broken {
		return fail(errors.New("no space left"))
	}
	in := tar.NewReader(x.Stdin)
	var d cluster.ImageDelivery
	if _, err := in.Next(); err != nil {
		return fail(err)
	}
	if err := json.NewDecoder(in).Decode(&d); err != nil {
		return fail(err)
	}
	for {
		h, err := in.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return fail(err)
		}
		data, err := io.ReadAll(in)
		if err != nil {
			return fail(err)
		}
		if h.Typeflag == tar.TypeLink {
			if container == e.native || h.Linkname != d.Staged || !e.waits(container, d.Staged, h.Name) {
				return fail(fmt.Errorf("%s does not wait in %s", h.Name, container))
			}
			have[h.Name] = "staged"
			continue
		}
		want := h.Name
		if n := slices.IndexFunc(d.Layers, func(l cluster.DeliveredLayer) bool { return l.Chain == h.Name }); n >= 0 {
			want = d.Layers[n].DiffID
			if p := d.Layers[n].Parent; p != "" && have[p] == "" {
				return fail(fmt.Errorf("%s comes before %s", h.Name, p))
			}
			e.layers[container]++
		}
		if got := imagetest.Digest(data); got != want {
			return fail(fmt.Errorf("the digest is %s and not %s", got, want))
		}
		have[h.Name] = string(data)
	}
	if d.Last {
		have["last"] = "delivered"
	}
	for _, i := range d.Images {
		for _, name := range i.Names {
			have[name] = i.Documents[0].Digest
		}
	}
	return 0, nil
}

func setup(t *testing.T) (*engine, imagestore.Store, []node.Container) {
	t.Helper()
	store := imagestore.New(t.TempDir())
	release, err := store.Use(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(release)
	e := &engine{images: map[string][]string{}, nodes: map[string]map[string]string{"one": {}, "two": {}}, layers: map[string]int{}}
	return e, store, []node.Container{{Name: "one", Node: "one"}, {Name: "two", Node: "two"}}
}

func load(t *testing.T, e *engine, store imagestore.Store, nodes []node.Container, ref string) []string {
	t.Helper()
	images, err := FromEngine(t.Context(), e, store, nodes, []string{ref}, e.logger())
	if err != nil {
		t.Fatal(err)
	}
	if err := Deliver(t.Context(), e, store, nodes, images, Options{Log: e.logger()}); err != nil {
		t.Fatal(err)
	}
	return images[0].Names
}

// Nodes get what they lack, and the engine is read only if the store lacks something.
func TestNodesGetTheLayersThatTheyLack(t *testing.T) {
	e, store, nodes := setup(t)
	e.images["app:1"], e.images["app:2"] = []string{strings.Repeat("base", 1000), "one"}, []string{strings.Repeat("base", 1000), "two", "two"}
	want := []string{"docker.io/library/app:1", "registry.test/app@" + imagetest.Digest("of the registry")}
	if names := load(t, e, store, nodes, "app:1"); !slices.Equal(names, want) {
		t.Errorf("names are %q, want %q", names, want)
	}
	load(t, e, store, nodes, "app:2")
	e.images["again:2"] = e.images["app:2"]
	load(t, e, store, nodes, "again:2")
	if len(e.saved) != 2 {
		t.Errorf("the engine was read for %q", e.saved)
	}
	for name, have := range e.nodes {
		if e.layers[name] != 4 {
			t.Errorf("%s received %d layers, want those of app:1 and two of app:2", name, e.layers[name])
		}
		for _, tag := range []string{"app:1", "app:2", "again:2"} {
			if have["docker.io/library/"+tag] == "" {
				t.Errorf("%s lacks %s", name, tag)
			}
		}
	}

	// One that comes later gets all of it, although the engine has nothing any more.
	e.images, e.nodes["late"] = nil, map[string]string{}
	images, err := Stored(store, map[string]string{"docker.io/library/app:2": e.nodes["one"]["docker.io/library/app:2"]})
	if err != nil {
		t.Fatal(err)
	}
	if err := Deliver(t.Context(), e, store, []node.Container{{Name: "late", Node: "late"}}, images, Options{New: true, Last: true, Log: e.logger()}); err != nil {
		t.Fatal(err)
	}
	if e.layers["late"] != 3 || e.nodes["late"]["docker.io/library/app:2"] == "" || e.nodes["late"]["last"] == "" || e.nodes["one"]["last"] != "" {
		t.Errorf("late received %d layers", e.layers["late"])
	}
	if _, err := FromEngine(t.Context(), e, store, nodes, []string{"gone:1"}, e.logger()); fault.KindOf(err) != fault.Image {
		t.Errorf("an image that the engine does not have: %v", err)
	}
}

// Of a large image, the engine gives only what the store lacks.
func TestLayersAreReadAlone(t *testing.T) {
	e, store, nodes := setup(t)
	e.size = smallImage
	e.images["app:1"], e.images["app:2"] = []string{"base", "one"}, []string{"base", "two", "two"}
	load(t, e, store, nodes, "app:1")
	load(t, e, store, nodes, "app:2")
	want := fmt.Sprint([][]string{{imagetest.Digest("two")}}) // and the first, of which the store has nothing, as a whole
	if len(e.saved) != 1 || fmt.Sprint(e.read) != want {
		t.Errorf("read %s, want %s; saved %q", e.read, want, e.saved)
	}
	if e.log.Len() > 0 {
		t.Errorf("nothing was unexpected, and the log has %s", &e.log)
	}
	// What is not as expected is read as a whole, and the log says why.
	e.lies, e.images["app:3"] = true, []string{"base", "three"}
	load(t, e, store, nodes, "app:3")
	if len(e.saved) != 2 || e.nodes["two"]["docker.io/library/app:3"] == "" {
		t.Errorf("saved %q", e.saved)
	}
	if said := e.log.String(); !strings.Contains(said, "reading the whole image") || !strings.Contains(said, "image=app:3") {
		t.Errorf("the log has %q", said)
	}
}

func TestANodeThatFailsDoesNotAffectTheOthers(t *testing.T) {
	e, store, nodes := setup(t)
	e.images["app:1"], e.broken = []string{"base"}, "one"
	images, err := FromEngine(t.Context(), e, store, nodes, []string{"app:1"}, e.logger())
	if err != nil {
		t.Fatal(err)
	}
	if err := Deliver(t.Context(), e, store, nodes, images, Options{Log: e.logger()}); err == nil || !strings.Contains(err.Error(), "load images into one") || !strings.Contains(err.Error(), "no space left") {
		t.Errorf("got %v", err)
	}
	if e.nodes["two"]["docker.io/library/app:1"] == "" {
		t.Error("the other node lacks the image")
	}
	e.broken, e.old = "", "one"
	if err := Deliver(t.Context(), e, store, nodes, images, Options{Log: e.logger()}); err == nil || !strings.Contains(err.Error(), "into one: its bonsai-agent is of another version") {
		t.Errorf("got %v", err)
	}
}

func TestDamagedContentIsNotSentTwice(t *testing.T) {
	e, store, nodes := setup(t)
	e.images["app:1"] = []string{"base"}
	images, err := FromEngine(t.Context(), e, store, nodes, []string{"app:1"}, e.logger())
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(store.Dir(), "blobs", "sha256", strings.TrimPrefix(imagetest.Digest("base"), "sha256:"))
	if err := os.WriteFile(file, []byte("bas3"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := Deliver(t.Context(), e, store, nodes, images, Options{Log: e.logger()}); fault.KindOf(err) != fault.State {
		t.Errorf("got %v", err)
	}
	load(t, e, store, nodes, "app:1") // which reads the engine again
	if len(e.saved) != 2 || e.nodes["one"]["docker.io/library/app:1"] == "" {
		t.Errorf("the engine was read for %q", e.saved)
	}
}

func TestArchives(t *testing.T) {
	_, store, _ := setup(t)
	oci, digest := imagetest.OCI("docker.io/library/app:1", "base")
	images, err := FromArchive(store, bytes.NewReader(oci))
	if err != nil || len(images) != 1 || !slices.Contains(images[0].Names, "docker.io/library/app@"+digest) {
		t.Errorf("read %v, %v", images, err)
	}
	nameless, _ := imagetest.OCI("", "base")
	other := "amd64"
	if arch == other {
		other = "arm64"
	}
	for what, tt := range map[string]struct {
		archive []byte
		want    error
	}{
		"no name":           {imagetest.Docker(nil, "base"), errNoName},
		"no name in OCI":    {nameless, errNoName},
		"another platform":  {imagetest.DockerFor(other, []string{"app:1"}, "base"), imagestore.ErrPlatform},
		"a layer is absent": {without(t, oci, imagetest.Digest("absent")), nil},
	} {
		images, err := FromArchive(store, bytes.NewReader(tt.archive))
		if (err == nil) != (tt.want == nil) || !errors.Is(err, tt.want) {
			t.Errorf("%s: read %v, %v; want %v", what, images, err, tt.want)
		}
	}
	// What the store has may be missing; what nobody has may not.
	if _, err := FromArchive(store, bytes.NewReader(without(t, oci, imagetest.Digest("base")))); err != nil {
		t.Errorf("a layer that the store has is missing in the archive: %v", err)
	}
	_, empty, _ := setup(t)
	if _, err := FromArchive(empty, bytes.NewReader(without(t, oci, imagetest.Digest("base")))); !errors.Is(err, imagestore.ErrMissing) {
		t.Errorf("a layer is missing: %v", err)
	}
}

// without copies an archive without one content.
func without(t *testing.T, archive []byte, digest string) []byte {
	t.Helper()
	var files [][2]string
	for in := tar.NewReader(bytes.NewReader(archive)); ; {
		h, err := in.Next()
		if errors.Is(err, io.EOF) {
			return imagetest.Tar(files...)
		}
		data, readErr := io.ReadAll(in)
		if err = errors.Join(err, readErr); err != nil {
			t.Fatal(err)
		}
		if !strings.HasSuffix(h.Name, strings.TrimPrefix(digest, "sha256:")) {
			files = append(files, [2]string{h.Name, string(data)})
		}
	}
}

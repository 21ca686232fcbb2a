package bootstrap_test

import (
	"archive/tar"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"

	"bonsai/bootstrap"
	"bonsai/bootstrap/cluster"
	"bonsai/bootstrap/imagestore"
	"bonsai/bootstrap/imagestore/imagetest"
	"bonsai/bootstrap/node"
	"bonsai/bootstrap/nodeimages"
	"bonsai/bootstrap/plan"
	"bonsai/bootstrap/statedir"
)

// stores are the image stores of all containers of an engine, by the container's name: what each name leads to.
type stores struct {
	mu     sync.Mutex // guards the rest
	images map[string]map[string]string
	listed []string // the containers that were asked
	last   []string // those that heard that they have everything
}

func (s *stores) exec(container string, e node.Exec) (int, error) {
	line := strings.Join(e.Cmd, " ")
	var delivery cluster.ImageDelivery
	if e.Stdin != nil {
		in := tar.NewReader(e.Stdin)
		if _, err := in.Next(); err != nil {
			return 0, err
		}
		if err := json.NewDecoder(in).Decode(&delivery); err != nil {
			return 0, err
		}
		if _, err := io.Copy(io.Discard, e.Stdin); err != nil {
			return 0, err
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	gone, isRemove := strings.CutPrefix(line, "bonsai-agent images rm ")
	name, isExport := strings.CutPrefix(line, "bonsai-agent images export ")
	switch {
	case line == "bonsai-agent images ls -o json":
		s.listed = append(s.listed, container)
		list := []cluster.NodeImage{{Name: "registry.k8s.io/pause:3"}}
		for name, target := range s.images[container] {
			list = append(list, cluster.NodeImage{Name: name, Target: target, Loaded: true})
		}
		return 0, json.NewEncoder(e.Stdout).Encode(list)
	case isRemove:
		maps.DeleteFunc(s.images[container], func(name, _ string) bool { return slices.Contains(strings.Fields(gone), name) })
		return 0, json.NewEncoder(e.Stdout).Encode(strings.Fields(gone))
	case isExport:
		archive, _ := imagetest.OCI(name, "content of "+name)
		_, err := e.Stdout.Write(archive)
		return 0, err
	case strings.HasPrefix(line, "bonsai-agent images unpacked "):
		return 0, json.NewEncoder(e.Stdout).Encode([]string{})
	case line == "bonsai-agent images receive":
		if s.images[container] == nil {
			s.images[container] = map[string]string{}
		}
		for _, i := range delivery.Images {
			for _, name := range i.Names {
				s.images[container][name] = i.Documents[0].Digest
			}
		}
		if delivery.Last {
			s.last = append(s.last, container)
		}
		return 0, nil
	}
	return 1, errors.New("unknown command " + line)
}

// on are the images of a node of the cluster dev.
func (s *stores) on(t *testing.T, m *machine, name string) string {
	t.Helper()
	list, err := m.engine.List(t.Context(), m.dir.Cluster("dev").ID())
	if err != nil {
		t.Fatal(err)
	}
	i := slices.IndexFunc(list, func(c node.Container) bool { return c.Node == name })
	s.mu.Lock()
	defer s.mu.Unlock()
	return strings.Join(slices.Sorted(maps.Keys(s.images[list[i].Name])), " ")
}

// lose removes a node with its volume, as somebody does with docker rm and docker volume rm.
func (s *stores) lose(t *testing.T, m *machine, name string) {
	t.Helper()
	c, err := node.ByName(t.Context(), m.engine, m.dir.Cluster("dev").ID())
	if err != nil {
		t.Fatal(err)
	}
	if err := m.engine.RemoveNode(t.Context(), c[name].ClusterID, name); err != nil {
		t.Fatal(err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.images, c[name].Name)
}

// loaded puts an archive into the image store, as "image load" does, and returns what is recorded of its image.
func loaded(t *testing.T, m *machine, archive []byte, source statedir.ImageSource) map[string]statedir.ImageSource {
	t.Helper()
	store := imagestore.New(m.dir.ImageStore())
	release, err := store.Use(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer release()
	images, err := nodeimages.FromArchive(store, bytes.NewReader(archive))
	if err != nil {
		t.Fatal(err)
	}
	record := bootstrap.RecordOf(images, source)
	if err := m.dir.Cluster("dev").RecordImages(t.Context(), record); err != nil {
		t.Fatal(err)
	}
	return record
}

func TestNodesThatComeLaterGetLoadedImages(t *testing.T) {
	m := newMachine(t)
	s := &stores{images: map[string]map[string]string{}}
	m.engine.Commands = s.exec
	if err := m.start(t, plan.Wish{Nodes: new(1)}); err != nil {
		t.Fatal(err)
	}
	if len(s.listed) > 0 {
		t.Errorf("nodes were asked for images although none was ever loaded: %q", s.listed)
	}
	// What "image load" does: of the engine, and of an archive that has the image's digest.
	const app, filed, legacy, lonely = "docker.io/library/app:1", "docker.io/library/filed:1", "docker.io/library/legacy:1", "docker.io/library/lonely:1"
	first := m.container(t, "dev-1")
	oci, digest := imagetest.OCI(filed, "base", "top")
	s.images[first] = map[string]string{}
	for _, record := range []map[string]statedir.ImageSource{
		loaded(t, m, imagetest.Docker([]string{app}, "base"), statedir.ImageSource{Engine: true}), loaded(t, m, oci, statedir.ImageSource{File: "/tmp/it's.tar"}),
	} {
		for name, i := range record {
			s.images[first][name] = i.Target
		}
	}
	// Another program loaded this one into a node.
	_, target := imagetest.OCI(lonely, "content of "+lonely)
	s.images[first][lonely] = target

	all := strings.Join([]string{app, filed, "docker.io/library/filed@" + digest, lonely}, " ")
	if err := m.start(t, plan.Wish{Nodes: new(3)}); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"dev-1", "dev-2", "dev-3"} {
		if got := s.on(t, m, name); got != all {
			t.Errorf("%s has %q, want %q", name, got, all)
		}
	}
	s.lose(t, m, "dev-2")
	if err := m.start(t, plan.Wish{}); err != nil {
		t.Fatal(err)
	}
	if got := s.on(t, m, "dev-2"); got != all {
		t.Errorf("a recreated node has %q, want %q", got, all)
	}

	// A plain stop and start asks no node.
	if err := m.Stop(t.Context(), "dev", nil); err != nil {
		t.Fatal(err)
	}
	s.listed = nil
	if err := m.start(t, plan.Wish{}); err != nil || len(s.listed) > 0 {
		t.Errorf("start of a stopped cluster: %v, asked %q", err, s.listed)
	}

	// No node has an image any more, and the engine never had: the store has. A warning names what is not in it, and what came
	// from the engine is read there again.
	for _, name := range []string{"dev-1", "dev-2", "dev-3"} {
		s.lose(t, m, name)
	}
	err := m.dir.Cluster("dev").RecordImages(t.Context(), map[string]statedir.ImageSource{legacy: {File: "/tmp/it's.tar"}, "docker.io/library/engine:1": {Engine: true}})
	if err != nil {
		t.Fatal(err)
	}
	m.engine.Images = []node.Image{{Ref: "docker.io/library/engine:1", ID: imagetest.ID("of the engine")}}
	m.engine.Archive = imagetest.Docker([]string{"engine:1"}, "of the engine")
	var w warnings
	if _, err := m.Start(t.Context(), plan.Wish{Name: "dev"}, bootstrap.Run{Events: w.event}); err != nil {
		t.Fatal(err)
	}
	want := strings.Join([]string{app, "docker.io/library/engine:1", filed, "docker.io/library/filed@" + digest, lonely}, " ")
	if got := s.on(t, m, "dev-3"); got != want {
		t.Errorf("after the loss of all nodes dev-3 has %q, want %q", got, want)
	}
	// The other warnings name the nodes.
	lost := slices.DeleteFunc(w.list, func(p cluster.Problem) bool { return !strings.Contains(p.Summary, "image ") })
	if len(lost) != 1 || !strings.Contains(lost[0].Summary, "image "+legacy+" was loaded from an archive") ||
		!strings.Contains(lost[0].HintText(), `bonsai image load '/tmp/it'\''s.tar'`) {
		t.Errorf("warned %+v, want the image that is lost and the command", w.list)
	}

	// What each image takes, and that nothing is left when no cluster needs it.
	total, uses, err := bootstrap.ImageUsage(m.dir)
	if err != nil || total == 0 || len(uses) != 4 {
		t.Errorf("usage is %d, %+v, %v", total, uses, err)
	}
	for _, u := range uses {
		if u.Bytes == 0 || !slices.Equal(u.Clusters, []string{"dev"}) || len(u.Names) == 0 {
			t.Errorf("usage is %+v", u)
		}
	}
	if freed, err := bootstrap.CollectImages(t.Context(), m.dir); err != nil || !imagestore.New(m.dir.ImageStore()).Has(digest) {
		t.Errorf("collected %d, %v, and %s is gone", freed, err, digest)
	}
	if err := m.Delete(t.Context(), "dev", nil); err != nil {
		t.Fatal(err)
	}
	if total, uses, err := bootstrap.ImageUsage(m.dir); total != 0 || len(uses) != 0 || err != nil {
		t.Errorf("after the delete, usage is %d, %+v, %v", total, uses, err)
	}
}

// The kubelet of a new node waits for its images, and for nothing if there are none or if the node has been there before.
func TestKubeletsOfNewNodesWaitForImages(t *testing.T) {
	m := newMachine(t)
	s := &stores{images: map[string]map[string]string{}}
	var awaits []string // what the configuration of a node said when it got images
	m.engine.Commands = func(container string, e node.Exec) (int, error) {
		if strings.Join(e.Cmd, " ") == "bonsai-agent images receive" {
			awaits = append(awaits, fmt.Sprint(container, m.nodeConfig(t, "dev-2").AwaitImages))
		}
		return s.exec(container, e)
	}
	ensured := func(nodes int, restarted bool, want ...string) {
		t.Helper()
		before := len(m.engine.Calls())
		if restarted {
			if err := m.Stop(t.Context(), "dev", nil); err != nil {
				t.Fatal(err)
			}
		}
		if err := m.start(t, plan.Wish{Nodes: new(nodes)}); err != nil {
			t.Fatal(err)
		}
		got := slices.DeleteFunc(m.engine.Calls()[before:], func(c string) bool { return !strings.HasPrefix(c, "EnsureNode ") })
		slices.Sort(got)
		if !slices.Equal(got, want) {
			t.Errorf("a start did %q, want %q", got, want)
		}
	}
	ensured(1, false, "EnsureNode dev-1")
	s.images[m.container(t, "dev-1")] = map[string]string{}
	const app = "docker.io/library/app:1"
	for name, i := range loaded(t, m, imagetest.Docker([]string{app}, "base"), statedir.ImageSource{Engine: true}) {
		s.images[m.container(t, "dev-1")][name] = i.Target
	}
	ensured(2, false, "EnsureNode dev-1", "EnsureNode dev-2")
	if len(awaits) != 1 || awaits[0] != m.container(t, "dev-2")+"true" {
		t.Errorf("when images came, it was said that nodes wait for them: %q", awaits)
	}
	if !slices.Equal(s.last, []string{m.container(t, "dev-2")}) {
		t.Errorf("those that heard that they have their images are %q", s.last)
	}
	ensured(2, true, "EnsureNode dev-1", "EnsureNode dev-2")
	if m.nodeConfig(t, "dev-2").AwaitImages {
		t.Error("a node that has its images waits for them after another start")
	}

	// Also if the images cannot be brought.
	s.lose(t, m, "dev-2")
	m.engine.Commands = func(string, node.Exec) (int, error) { return 1, errors.New("the node is broken") }
	ensured(2, false, "EnsureNode dev-1", "EnsureNode dev-2", "EnsureNode dev-2")
	if m.nodeConfig(t, "dev-2").AwaitImages {
		t.Error("a node whose images did not come waits for them for good")
	}
}

// container is the name of a node's container.
func (m *machine) container(t *testing.T, name string) string {
	t.Helper()
	all, err := node.ByName(t.Context(), m.engine, m.dir.Cluster("dev").ID())
	if err != nil {
		t.Fatal(err)
	}
	return all[name].Name
}

// A node that was away while an image was removed must not bring it back.
func TestRemovedImagesDoNotComeBack(t *testing.T) {
	m := newMachine(t)
	s := &stores{images: map[string]map[string]string{}}
	m.engine.Commands = s.exec
	if err := m.start(t, plan.Wish{Nodes: new(2)}); err != nil {
		t.Fatal(err)
	}
	const gone, stays = "docker.io/library/gone:1", "docker.io/library/stays:1"
	of := func(name string) string {
		return loaded(t, m, imagetest.Docker([]string{name}, name), statedir.ImageSource{Engine: true})[name].Target
	}
	s.images[m.container(t, "dev-1")] = map[string]string{stays: of(stays)}
	s.images[m.container(t, "dev-2")] = map[string]string{stays: of(stays), gone: of(gone)} // it was away
	state := m.dir.Cluster("dev")
	if err := state.ForgetImages(t.Context(), []string{gone}, true); err != nil {
		t.Fatal(err)
	}
	if err := m.start(t, plan.Wish{Nodes: new(3)}); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"dev-1", "dev-2", "dev-3"} {
		if got := s.on(t, m, name); got != stays {
			t.Errorf("%s has %q, want %q", name, got, stays)
		}
	}
	// Loaded again, it is like any other.
	if err := state.RecordImages(t.Context(), map[string]statedir.ImageSource{gone: {Engine: true}}); err != nil {
		t.Fatal(err)
	}
	if len(state.RemovedImages()) != 0 || len(state.LoadedImages()) != 2 {
		t.Errorf("removed are %v, loaded %v", state.RemovedImages(), state.LoadedImages())
	}
}

func TestTheProxyOfTheLastStartIsInNodes(t *testing.T) {
	m := newMachine(t)
	proxy := func(p cluster.Proxy) plan.Wish { return plan.Wish{Nodes: new(1), Proxy: &p} }
	if err := m.start(t, proxy(cluster.Proxy{HTTPS: "http://me:secret@127.0.0.1:3128"})); err != nil {
		t.Fatal(err)
	}
	spec, err := m.dir.Cluster("dev").LoadSpec()
	if err != nil {
		t.Fatal(err)
	}
	if got, want := m.nodeConfig(t, "dev-1").Proxy.HTTPS, "http://me:secret@"+spec.Gateway.String()+":3128"; got != want {
		t.Errorf("the node pulls through %s, want %s", got, want)
	}
	var ran []string
	m.engine.Commands = func(_ string, e node.Exec) (int, error) {
		ran = append(ran, strings.Join(e.Cmd, " "))
		return 0, nil
	}
	p, err := m.Plan(t.Context(), func() plan.Wish { w := proxy(cluster.Proxy{}); w.Name = "dev"; return w }())
	if err != nil || !p.Has(plan.KindProxy) {
		t.Errorf("the plan has %v, %v; want the change of the proxy", p.Changes, err)
	}
	if text := fmt.Sprint(p.Described()); strings.Contains(text, "secret") {
		t.Errorf("the plan shows the password: %s", text)
	}
	if err := m.start(t, proxy(cluster.Proxy{})); err != nil {
		t.Fatal(err)
	}
	if got := m.nodeConfig(t, "dev-1").Proxy; got != (cluster.Proxy{}) || len(ran) != 1 || ran[0] != "bonsai-agent registries" {
		t.Errorf("after a start without a proxy the node has %v and ran %q", got, ran)
	}
	if strings.Contains(m.log.String(), "secret") {
		t.Error("the log has the password")
	}
}

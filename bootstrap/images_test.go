package bootstrap_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"testing"

	"bonsai/bootstrap"
	"bonsai/bootstrap/cluster"
	"bonsai/bootstrap/node"
	"bonsai/bootstrap/plan"
	"bonsai/bootstrap/statedir"
)

// stores are the image stores of all containers of an engine, by the container's name. An archive is the names in it.
type stores struct {
	mu     sync.Mutex // guards the rest
	images map[string][]string
	listed []string // the containers that were asked
}

func (s *stores) exec(container string, e node.Exec) (int, error) {
	line := strings.Join(e.Cmd, " ")
	var data []byte
	if e.Stdin != nil {
		var err error
		if data, err = io.ReadAll(e.Stdin); err != nil {
			return 0, err
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	gone, isRemove := strings.CutPrefix(line, "bonsai-agent images rm ")
	names, isExport := strings.CutPrefix(line, "bonsai-agent images export ")
	switch {
	case line == "bonsai-agent images ls -o json":
		s.listed = append(s.listed, container)
		list := []cluster.NodeImage{{Name: "registry.k8s.io/pause:3"}}
		for _, name := range s.images[container] {
			list = append(list, cluster.NodeImage{Name: name, Target: "content", Loaded: true})
		}
		return 0, json.NewEncoder(e.Stdout).Encode(list)
	case isRemove:
		s.images[container] = slices.DeleteFunc(s.images[container], func(name string) bool { return slices.Contains(strings.Fields(gone), name) })
		return 0, json.NewEncoder(e.Stdout).Encode(strings.Fields(gone))
	case isExport:
		_, err := fmt.Fprint(e.Stdout, strings.ReplaceAll(names, " ", "\n"))
		return 0, err
	case strings.HasPrefix(line, "bonsai-agent images import -o json -"):
		var loaded []cluster.LoadedImage
		for name := range strings.FieldsSeq(string(data)) {
			s.images[container] = append(s.images[container], name)
			loaded = append(loaded, cluster.LoadedImage{Name: name})
		}
		return 0, json.NewEncoder(e.Stdout).Encode(loaded)
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
	return strings.Join(slices.Sorted(slices.Values(s.images[list[i].Name])), " ")
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

func TestNodesThatComeLaterGetLoadedImages(t *testing.T) {
	m := newMachine(t)
	s := &stores{images: map[string][]string{}}
	m.engine.Commands = s.exec
	m.engine.Images = []node.Image{{Ref: "docker.io/library/app:1", ID: "sha256:1"}}
	if err := m.start(t, plan.Wish{Nodes: new(1)}); err != nil {
		t.Fatal(err)
	}
	if len(s.listed) > 0 {
		t.Errorf("nodes were asked for images although none was ever loaded: %q", s.listed)
	}
	// What "image load" does.
	first, err := node.ByName(t.Context(), m.engine, m.dir.Cluster("dev").ID())
	if err != nil {
		t.Fatal(err)
	}
	s.images[first["dev-1"].Name] = []string{"docker.io/library/app:1", "docker.io/library/filed:1"}
	err = m.dir.Cluster("dev").RecordImages(t.Context(), map[string]statedir.ImageSource{
		"docker.io/library/app:1": {Engine: true}, "docker.io/library/filed:1": {File: "/tmp/it's.tar"},
	})
	if err != nil {
		t.Fatal(err)
	}

	const both = "docker.io/library/app:1 docker.io/library/filed:1"
	if err := m.start(t, plan.Wish{Nodes: new(3)}); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"dev-1", "dev-2", "dev-3"} {
		if got := s.on(t, m, name); got != both {
			t.Errorf("%s has %q, want %q", name, got, both)
		}
	}
	s.lose(t, m, "dev-2")
	if err := m.start(t, plan.Wish{}); err != nil {
		t.Fatal(err)
	}
	if got := s.on(t, m, "dev-2"); got != both {
		t.Errorf("a recreated node has %q, want %q", got, both)
	}

	// A plain stop and start asks no node.
	if err := m.Stop(t.Context(), "dev", nil); err != nil {
		t.Fatal(err)
	}
	s.listed = nil
	if err := m.start(t, plan.Wish{}); err != nil || len(s.listed) > 0 {
		t.Errorf("start of a stopped cluster: %v, asked %q", err, s.listed)
	}

	// If no node has an image any more, the engine may, and a warning names what comes from elsewhere.
	for _, name := range []string{"dev-1", "dev-2", "dev-3"} {
		s.lose(t, m, name)
	}
	var w warnings
	if _, err := m.Start(t.Context(), plan.Wish{Name: "dev"}, bootstrap.Run{Events: w.event}); err != nil {
		t.Fatal(err)
	}
	if got := s.on(t, m, "dev-3"); got != "docker.io/library/app:1" {
		t.Errorf("after the loss of all nodes dev-3 has %q", got)
	}
	// The other warnings name the nodes.
	lost := slices.DeleteFunc(w.list, func(p cluster.Problem) bool { return !strings.Contains(p.Summary, "image ") })
	if len(lost) != 1 || !strings.Contains(lost[0].Summary, "image docker.io/library/filed:1 was loaded from an archive") ||
		!strings.Contains(lost[0].HintText(), `bonsai image load '/tmp/it'\''s.tar'`) {
		t.Errorf("warned %+v, want the image that is lost and the command", w.list)
	}
}

// A node that was away while an image was removed must not bring it back.
func TestRemovedImagesDoNotComeBack(t *testing.T) {
	m := newMachine(t)
	s := &stores{images: map[string][]string{}}
	m.engine.Commands = s.exec
	if err := m.start(t, plan.Wish{Nodes: new(2)}); err != nil {
		t.Fatal(err)
	}
	nodes, err := node.ByName(t.Context(), m.engine, m.dir.Cluster("dev").ID())
	if err != nil {
		t.Fatal(err)
	}
	const gone, stays = "docker.io/library/gone:1", "docker.io/library/stays:1"
	s.images[nodes["dev-1"].Name] = []string{stays}
	s.images[nodes["dev-2"].Name] = []string{gone, stays} // it was away
	state := m.dir.Cluster("dev")
	err = errors.Join(
		state.RecordImages(t.Context(), map[string]statedir.ImageSource{gone: {Engine: true}, stays: {Engine: true}}),
		state.ForgetImages(t.Context(), []string{gone}, true))
	if err != nil {
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

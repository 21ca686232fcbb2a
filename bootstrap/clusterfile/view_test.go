package clusterfile

import (
	"reflect"
	"strings"
	"testing"

	"bonsai/bootstrap/cluster"
	"bonsai/bootstrap/plan"
)

func resolve(t *testing.T, w plan.Wish, existing *cluster.Spec) cluster.Spec {
	t.Helper()
	if w.Name == "" {
		w.Name = "dev"
	}
	spec, err := plan.Resolve(w, existing, machine())
	if err != nil {
		t.Fatal(err)
	}
	return spec
}

func TestTheFileOfAClusterMakesItAgain(t *testing.T) {
	w := parse(t, full(t))
	file := again(t, resolve(t, w, nil))
	read, err := Parse("c.yaml", file, options())
	if err != nil {
		t.Fatal(err)
	}
	delete(w.Registries.Mirrors, "ghcr.io") // has none, as without a word of it
	w.Mounts = nil                          // each node has them
	delete(w.Settings.Files, cluster.FileAdmission)
	if !reflect.DeepEqual(read, w) {
		t.Errorf("got  %+v\nwant %+v", read, w)
	}
}

func TestTheFileHasOnlyWhatWasChosen(t *testing.T) {
	for _, tc := range []struct {
		wish plan.Wish
		want string
	}{
		{plan.Wish{}, "name: dev\nnodes: 3\n"},
		{plan.Wish{Nodes: new(0), APIPort: 6443}, "name: dev\napiPort: 6443\nnodes: 0\n"},
		{plan.Wish{Proxy: &cluster.Proxy{HTTPS: "http://env:1"}, KubernetesVersion: "1.36"}, "name: dev\nkubernetesVersion: \"1.36\"\nnodes: 3\n"},
		{plan.Wish{Nodes: new(2), Mounts: []cluster.Mount{{Host: "/b", Path: "/x", ReadOnly: true}, {Host: "/a", Path: "/w"}}}, "name: dev\nnodes: 2\nmounts:\n  - /a:/w\n  - /b:/x:ro\n"},
		{plan.Wish{CPUs: new(2.0)}, "name: dev\nnodes:\n  - role: control-plane\n    cpus: 2\n  - count: 2\n    cpus: 2\n"},
		{plan.Wish{NodeList: []plan.NodeWish{{}, {}, {MemoryBytes: 300 << 20}}}, "name: dev\nnodes:\n  - role: worker\n    count: 2\n  - role: worker\n    memory: 300Mi\n"},
	} {
		if got := string(again(t, resolve(t, tc.wish, nil))); got != head+tc.want {
			t.Errorf("got\n%s\nwant\n%s", got, head+tc.want)
		}
	}
}

// TestValuesOfAddons: an addon with values is enabled in the file exactly if it is in the cluster, chosen or not.
func TestValuesOfAddons(t *testing.T) {
	spec := resolve(t, parse(t, head+"addons: {socket: false}\n"), nil)
	spec.AddonValues = map[string]map[string]string{"dns": {"cacheSeconds": "9", "hosts": "a.test=10.0.0.1,b.test=10.0.0.2"}, "class": {"name": "null"}}
	file, err := View(spec, ViewOptions{Kubernetes: "v1.37.2", OffByDefault: func(name string) bool { return name == "class" }})
	if err != nil {
		t.Fatal(err)
	}
	want := "addons:\n  class:\n    enabled: false\n    values:\n      name: \"null\"\n  dns:\n    values:\n      cacheSeconds: 9\n" +
		"      hosts:\n        - a.test=10.0.0.1\n        - b.test=10.0.0.2\n  socket: false\n"
	if !strings.HasSuffix(string(file), want) {
		t.Errorf("got\n%s\nwant\n%s", file, want)
	}
	w := parse(t, string(file))
	if got := resolve(t, w, &spec); !reflect.DeepEqual(got.AddonValues, spec.AddonValues) {
		t.Errorf("read again it has %v", got.AddonValues)
	}
	if none := resolve(t, parse(t, head+"addons: {dns: {values: {}}}\n"), &spec); !reflect.DeepEqual(none.AddonValues, map[string]map[string]string{"class": {"name": "null"}}) {
		t.Errorf("without any values for dns it has %v", none.AddonValues)
	}
	if same := resolve(t, parse(t, head+"addons: {dns: true}\n"), &spec); !reflect.DeepEqual(same.AddonValues, spec.AddonValues) {
		t.Errorf("without a word about them it has %v", same.AddonValues)
	}
}

// TestAPortKeepsItsNode: nodes are numbered with gaps when some were deleted.
func TestAPortKeepsItsNode(t *testing.T) {
	spec := resolve(t, parse(t, head+"ports: [8080:80@3]\n"), nil)
	state, err := plan.WithoutNodes([]string{"dev-2"})(plan.State{Spec: &spec}, machine())
	if err != nil {
		t.Fatal(err)
	}
	file, err := View(*state.Spec, ViewOptions{Kubernetes: "v1.37.2"})
	if err != nil {
		t.Fatal(err)
	}
	w := parse(t, string(file))
	if w.Name = "dev"; w.Ports[0].Node != "3" {
		t.Errorf("the file is\n%s", file)
	}
	wanted, err := w.Kept(state, machine())
	if err != nil {
		t.Fatal(err)
	}
	if changes := plan.Diff(state, wanted); len(changes) > 0 {
		t.Errorf("the file changes %v", changes)
	}
}

func TestPasswordsAreHidden(t *testing.T) {
	w := parse(t, full(t))
	w.Proxy.HTTPS = "http://me:geheim@proxy.example:3128"
	spec := resolve(t, w, nil)
	file, err := View(spec, ViewOptions{Kubernetes: "v1.37.2"})
	if err != nil || strings.Contains(string(file), "geheim") {
		t.Fatalf("%v\n%s", err, file)
	}
	if _, err := Parse("c.yaml", file, options()); err == nil || strings.Count(err.Error(), "hidden") != 3 {
		t.Errorf("a file without its passwords is read: %v", err)
	}
}

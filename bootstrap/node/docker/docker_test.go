package docker

import (
	"archive/tar"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"flag"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/docker/docker/client"

	"bonsai/bootstrap/cluster"
	"bonsai/bootstrap/fault"
	"bonsai/bootstrap/node"
)

var update = flag.Bool("update", false, "write the golden files")

func exampleNode() node.NodeSpec {
	spec := &cluster.Spec{
		Name: "bonsai", ID: "id", Subnet: netip.MustParsePrefix("10.201.0.0/22"), MTU: 1400,
		Nodes: []cluster.Node{{Index: 1, CPUs: 1.5, MemoryBytes: 1 << 30}},
	}
	spec.Replan()
	return node.NodeSpec{Spec: spec, Node: spec.Nodes[0], Payload: "0123456789abcdef", Image: "bonsai-node:0123456789ab"}
}

func TestContainerConfig(t *testing.T) {
	for name, g := range map[string]grant{
		"privileged": {privileged: true, kmsg: true},
		"restricted": {missing: []string{"SYS_RESOURCE"}, kmsg: true},
	} {
		got, err := json.MarshalIndent(containerConfig(exampleNode(), "bonsai-payload-0123456789ab-random", g), "", "  ")
		if err != nil {
			t.Fatal(err)
		}
		golden := filepath.Join("testdata", name+".json")
		if *update {
			if err := os.WriteFile(golden, append(got, '\n'), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(golden)
		if err != nil {
			t.Fatal(err)
		}
		if string(got) != strings.TrimSpace(string(want)) {
			t.Errorf("%s differs; see what -update changes. Got:\n%s", golden, got)
		}
	}
}

func TestANodeIsFoundByItsKubernetesName(t *testing.T) {
	n := exampleNode()
	n.Spec.Suffix = "k3f9"
	endpoint := containerConfig(n, "volume", grant{}).Network.EndpointsConfig["bonsai-bonsai-k3f9"]
	if endpoint == nil || !slices.Equal(endpoint.Aliases, []string{"bonsai-1"}) {
		t.Errorf("its endpoint is %+v, want the alias bonsai-1", endpoint)
	}
}

// Another hash would replace the containers of every cluster that was made before there were suffixes. (It was 0beb9729f62e600d
// while limits were part of it. Nodes without limits have kept theirs.)
func TestClustersWithoutSuffixKeepTheirContainers(t *testing.T) {
	if got, want := configHash(exampleNode(), "volume"), "265cf2fee74f8d7d"; got != want {
		t.Errorf("the hash of such a node's settings is %s, was %s", got, want)
	}
}

func TestConfigHashFollowsSettingsButNotGrants(t *testing.T) {
	base := exampleNode()
	if configHash(base, "volume") != configHash(exampleNode(), "volume") {
		t.Error("the same settings have two hashes")
	}
	for what, change := range map[string]func(*node.NodeSpec){
		"address": func(n *node.NodeSpec) { n.Node.IP = n.Node.IP.Next() },
		"image":   func(n *node.NodeSpec) { n.Image = "other" },
		"mtu":     func(n *node.NodeSpec) { n.Spec.MTU = 1500 },
	} {
		n := exampleNode()
		change(&n)
		if configHash(n, "volume") == configHash(base, "volume") {
			t.Errorf("another %s has the same hash", what)
		}
	}
	n := exampleNode()
	n.Files = []node.File{{Path: "/etc/bonsai/node.json", Data: []byte("renewed")}}
	if configHash(n, "volume") != configHash(base, "volume") {
		t.Error("files change without a new container")
	}
	if configHash(base, "refilled") == configHash(base, "volume") {
		t.Error("another payload volume has the same hash")
	}
}

func TestGrantSurvivesItsLabel(t *testing.T) {
	for _, g := range []grant{{privileged: true}, {}, {missing: []string{"SYS_RESOURCE", "BPF"}}} {
		got, ok := parseGrant(g.String())
		if !ok || got.privileged != g.privileged || !slices.Equal(got.missing, g.missing) {
			t.Errorf("%q: got %+v, want %+v", g, got, g)
		}
	}
	if g, ok := parseGrant(""); ok {
		t.Errorf("got %+v out of nothing", g)
	}
}

func TestSearchFindsWhatIsRefused(t *testing.T) {
	names := strings.Fields("a b c d e f g h i j k")
	refused, unheard := []string{"b", "h", "i"}, []string{"k"}
	tries := 0
	got := search(names, func(caps []string) verdict {
		tries++
		v := grants
		for _, c := range caps {
			if slices.Contains(unheard, c) {
				return invalid
			}
			if slices.Contains(refused, c) {
				v = refuses
			}
		}
		return v
	})
	if !slices.Equal(got, refused) {
		t.Errorf("got %v, want %v", got, refused)
	}
	if all := search(names, func([]string) verdict { return grants }); len(all) != 0 {
		t.Errorf("got %v, want nothing", all)
	}
}

// engineAt makes a driver for an address, with short limits.
func engineAt(t *testing.T, opts ...client.Opt) *Driver {
	t.Helper()
	api, err := client.NewClientWithOpts(append(opts, client.WithAPIVersionNegotiation())...)
	if err != nil {
		t.Fatal(err)
	}
	d := New(api, Options{Scale: 0.02})
	t.Cleanup(func() { _ = d.Close() })
	return d
}

func wantFault(t *testing.T, err error, kind fault.Kind, hint string) {
	t.Helper()
	f, ok := errors.AsType[*fault.Fault](err)
	if !ok || f.Kind != kind || !strings.Contains(fault.Problem(f).HintText(), hint) {
		t.Errorf("got %#v, want kind %s with a hint of %q", err, kind, hint)
	}
}

func TestPingSaysWhatIsWrongWithTheEngine(t *testing.T) {
	dir := t.TempDir()
	t.Run("no socket", func(t *testing.T) {
		_, err := engineAt(t, client.WithHost("unix://"+dir+"/none.sock")).Ping(t.Context())
		wantFault(t, err, fault.EngineDown, "systemctl start docker")
	})
	t.Run("nobody listens", func(t *testing.T) {
		path := filepath.Join(dir, "dead.sock")
		l, err := net.ListenUnix("unix", &net.UnixAddr{Name: path})
		if err != nil {
			t.Fatal(err)
		}
		l.SetUnlinkOnClose(false)
		_ = l.Close()
		_, err = engineAt(t, client.WithHost("unix://"+path)).Ping(t.Context())
		wantFault(t, err, fault.EngineDown, "systemctl start docker")
	})
	t.Run("no permission", func(t *testing.T) {
		denied := client.WithDialContext(func(context.Context, string, string) (net.Conn, error) {
			return nil, &net.OpError{Op: "dial", Net: "unix", Err: os.NewSyscallError("connect", syscall.EACCES)}
		})
		_, err := engineAt(t, denied).Ping(t.Context())
		wantFault(t, err, fault.EnginePermission, "usermod -aG docker")
	})
	t.Run("hangs", func(t *testing.T) {
		path := filepath.Join(dir, "hung.sock")
		l, err := net.Listen("unix", path)
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		began := time.Now()
		_, err = engineAt(t, client.WithHost("unix://"+path)).Ping(t.Context())
		wantFault(t, err, fault.EngineDown, "restart docker")
		if took := time.Since(began); took > 5*time.Second {
			t.Errorf("took %s", took)
		}
	})
	t.Run("too old", func(t *testing.T) {
		old := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Api-Version", "1.40")
		}))
		defer old.Close()
		_, err := engineAt(t, client.WithHost("tcp://"+old.Listener.Addr().String())).Ping(t.Context())
		wantFault(t, err, fault.EngineTooOld, "20.10")
	})
	t.Run("cancelled", func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		_, err := engineAt(t, client.WithHost("unix://"+dir+"/none.sock")).Ping(ctx)
		wantFault(t, err, fault.Canceled, "")
	})
}

func TestConnectFollowsDockersConfiguration(t *testing.T) {
	dir := t.TempDir()
	write := func(path, text string) {
		t.Helper()
		path = filepath.Join(dir, path)
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o700), os.WriteFile(path, []byte(text), 0o600)); err != nil {
			t.Fatal(err)
		}
	}
	sum := sha256.Sum256([]byte("lab"))
	write("contexts/meta/"+hex.EncodeToString(sum[:])+"/meta.json", `{"Name":"lab","Endpoints":{"docker":{"Host":"tcp://192.0.2.7:2375"}}}`)
	sum = sha256.Sum256([]byte("far"))
	write("contexts/meta/"+hex.EncodeToString(sum[:])+"/meta.json", `{"Name":"far","Endpoints":{"docker":{"Host":"ssh://me@192.0.2.8"}}}`)

	for _, c := range []struct {
		what, config string
		env          map[string]string
		host         string // "" for a fault
	}{
		{"nothing set", "", nil, client.DefaultDockerHost},
		{"current context", `{"currentContext":"lab"}`, nil, "tcp://192.0.2.7:2375"},
		{"the default context", `{"currentContext":"default"}`, nil, client.DefaultDockerHost},
		{"context by environment", `{"currentContext":"default"}`, map[string]string{"DOCKER_CONTEXT": "lab"}, "tcp://192.0.2.7:2375"},
		{"host before context", `{"currentContext":"lab"}`, map[string]string{"DOCKER_HOST": "tcp://192.0.2.9:1"}, "tcp://192.0.2.9:1"},
		{"unknown context", `{"currentContext":"gone"}`, nil, ""},
		{"ssh", `{"currentContext":"far"}`, nil, ""},
		{"broken configuration", `{`, nil, ""},
		{"broken host", "", map[string]string{"DOCKER_HOST": "nonsense"}, ""},
	} {
		t.Run(c.what, func(t *testing.T) {
			write("config.json", c.config)
			if c.config == "" {
				_ = os.Remove(filepath.Join(dir, "config.json"))
			}
			d, err := Connect(func(name string) string {
				if name == "DOCKER_CONFIG" {
					return dir
				}
				return c.env[name]
			}, Options{})
			if c.host == "" {
				wantFault(t, err, fault.EngineDown, "DOCKER_HOST")
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			defer d.Close()
			if got := d.api.DaemonHost(); got != c.host {
				t.Errorf("got %s, want %s", got, c.host)
			}
		})
	}
}

func TestFileArchiveNamesFoldersOnceAndNotThoseOfTheImage(t *testing.T) {
	r, err := fileArchive([]node.File{
		{Path: "/etc/bonsai/pki/ca.crt", Mode: 0o644, Data: []byte("ca")},
		{Path: "/etc/bonsai/node.json", Mode: 0o600, Data: []byte("{}")},
	})
	if err != nil {
		t.Fatal(err)
	}
	if got, want := tarNames(t, r), "etc/bonsai/ etc/bonsai/pki/ etc/bonsai/pki/ca.crt etc/bonsai/node.json"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func tarNames(t *testing.T, r io.Reader) string {
	t.Helper()
	var names []string
	for archive := tar.NewReader(r); ; {
		h, err := archive.Next()
		if err == io.EOF {
			return strings.Join(names, " ")
		}
		if err != nil {
			t.Fatal(err)
		}
		names = append(names, h.Name)
	}
}

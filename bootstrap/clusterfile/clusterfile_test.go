package clusterfile

import (
	"cmp"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"bonsai/bootstrap/cluster"
	"bonsai/bootstrap/cluster/clustertest"
	"bonsai/bootstrap/fault"
	"bonsai/bootstrap/plan"
)

const head = "apiVersion: bonsai.dev/v1alpha1\nkind: Cluster\n"

func options() Options {
	return Options{ReadFile: func(name string) ([]byte, error) {
		switch name {
		case "/home/me/audit.yaml":
			return []byte("kind: Policy # of shop\nrules: []\n"), nil
		case "/home/me/corp.pem":
			return []byte("Example Root CA\n" + clustertest.Authority + "\n"), nil
		case "/home/me/empty.yaml":
			return nil, nil
		case "/home/me/list.yaml":
			return []byte("- a\n"), nil
		}
		return nil, errors.New("no file " + name)
	}, Manifests: func(source string) ([]plan.Manifest, error) {
		data, ok := map[string]string{
			"/home/me/app.yaml": "# an app\n---\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\n---\n", "https://x.example/b.yaml": "{apiVersion: v1, kind: List, items: []}",
			"/bad.yaml": "apiVersion: v1\nkind: Pod\n---\n- a\n---\nkind: Pod\n---\napiVersion: v1\n---\napiVersion: v1\nkind: Pod\nmetadata: {generateName: x-}\n", "/broken.yaml": "a: b: c\n", "/none.yaml": "# nothing\n",
		}[source]
		if !ok {
			return nil, errors.New("there is no " + source)
		}
		return []plan.Manifest{{Source: source, Data: data}}, nil
	}, Settings: func(w plan.Wish) map[string]error {
		if _, ok := w.Settings.FeatureGates["Typo"]; ok {
			return map[string]error{"featureGates.Typo": errors.New("unknown feature gate"), "scheduler.extraArgs.x": errors.New("there is no flag")}
		}
		return nil
	}, Kubernetes: "v1.37.2", Dir: "/home/me", Addon: func(name string) (cluster.AddonDescription, error) {
		for _, a := range addonList() {
			if a.Name == name {
				return a, nil
			}
		}
		return cluster.AddonDescription{}, errors.New("there is no such addon")
	}}
}

func addonList() []cluster.AddonDescription {
	return []cluster.AddonDescription{
		{Name: "dns", Default: true, Settings: []cluster.AddonSetting{
			{Name: "upstreams", Type: cluster.SettingAddresses, Max: 3}, {Name: "cacheSeconds", Type: cluster.SettingInteger, Default: "30", Min: 1, Max: 3600},
			{Name: "hosts", Type: cluster.SettingHosts},
		}},
		{Name: "storage-provisioner", Default: true},
		{Name: "class", Settings: []cluster.AddonSetting{{Name: "policy", Type: cluster.SettingChoice, Options: []string{"Delete", "Retain"}}, {Name: "name", Type: cluster.SettingName}}},
		{Name: "socket"},
	}
}

func parse(t *testing.T, text string) plan.Wish {
	t.Helper()
	w, err := Parse("c.yaml", []byte(text), options())
	if err != nil {
		t.Fatalf("%s\n%v", text, err)
	}
	return w
}

func full(t *testing.T) string {
	t.Helper()
	data, err := os.ReadFile("testdata/full.yaml")
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

func TestEverythingIsRead(t *testing.T) {
	ssd := map[string]string{"disk": "ssd", "topology.kubernetes.io/zone": "1"}
	worker := plan.NodeWish{CPUs: 1.5, MemoryBytes: 2 << 30, Labels: ssd, Taints: []cluster.Taint{
		{Key: "gpu", Value: "yes", Effect: "NoSchedule"}, {Key: "slow", Effect: "PreferNoSchedule"},
	}}
	src := cluster.Mount{Host: "/home/me/src", Path: "/src", ReadOnly: true}
	all := []cluster.Mount{src, {Host: "/data", Path: "/srv"}}
	worker.Mounts = []cluster.Mount{{Host: "/home/me/scratch", Path: "/mnt/scratch"}, src, {Host: "/srv/other", Path: "/srv", ReadOnly: true}}
	slices.SortFunc(worker.Mounts, func(a, b cluster.Mount) int { return cmp.Compare(a.Path, b.Path) })
	local := netip.MustParseAddr("127.0.0.1")
	want := plan.Wish{
		Name: "shop", KubernetesVersion: "1.36", APIPort: 7443, Exact: true, File: "c.yaml",
		NodeList: []plan.NodeWish{{ControlPlane: true, Mounts: all}, worker, worker, {Labels: ssd, Mounts: all}}, Mounts: all,
		ControlPlaneTaint: new(true), UpstreamHooks: new(true), DNSSearch: "none", AutoPause: new(90 * time.Minute),
		Subnet: netip.MustParsePrefix("172.29.0.0/22"), PodSubnet: netip.MustParsePrefix("172.24.0.0/16"), ServiceSubnet: netip.MustParsePrefix("172.25.0.0/16"),
		Ports: []cluster.Port{
			{Address: local, Port: 8080, Protocol: "tcp", Target: 30080},
			{Address: netip.IPv4Unspecified(), Port: 8081, Protocol: "tcp", Service: "default/web", Target: 80},
			{Address: local, Port: 5353, Protocol: "udp", Node: "2", Target: 30053},
		},
		Registries: cluster.Registries{Mirrors: map[string][]cluster.Mirror{
			"docker.io": {{URL: "https://mirror.example"}, {URL: "http://10.0.0.2:5000/v2", Username: "me", Password: "geheim"}},
			"ghcr.io":   {},
		}},
		Components:  []string{cluster.Etcd, cluster.APIServer, cluster.ControllerManager},
		Authorities: new(clustertest.Authority),
		Proxy:       &cluster.Proxy{HTTPS: "http://proxy.example:3128", Except: ".example"}, ProxyFrom: plan.ProxyOfFile,
		Addons:      map[string]bool{"dns": true, "storage-provisioner": false, "class": true},
		AddonValues: map[string]map[string]string{"dns": {"upstreams": "10.0.0.53,10.0.0.54:5353", "cacheSeconds": "10"}, "class": {"policy": "Retain"}},
		Manifests: []plan.Manifest{
			{Source: "/home/me/app.yaml", Data: "# an app\n---\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\n---\n"},
			{Source: "https://x.example/b.yaml", Data: "{apiVersion: v1, kind: List, items: []}"},
		},
		Settings: &cluster.Settings{
			FeatureGates: map[string]bool{"InPlacePodVerticalScaling": true, "AllAlpha": false},
			Args: map[string]map[string]string{
				cluster.ComponentAPIServer: {"v": "4", "profiling": "true"}, cluster.ComponentControllerManager: {"controllers": "*,-ttl"}, cluster.ComponentScheduler: {"v": "3"},
			},
			Files: map[string]string{
				cluster.FileAudit: "kind: Policy\nrules: []\n", cluster.FileEncryption: "resources:\n    - secret: geheim\n", cluster.FileAdmission: "",
				cluster.FileKubelet: "evictionHard:\n    memory.available: 50Mi\nmaxPods: 20\n",
			},
		},
	}
	if got := parse(t, full(t)); !reflect.DeepEqual(got, want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
}

func TestWhatIsNotMentionedIsNotWished(t *testing.T) {
	if got := parse(t, head); !reflect.DeepEqual(got, plan.Wish{Exact: true, File: "c.yaml"}) {
		t.Errorf("got %+v", got)
	}
	if w := parse(t, head+"nodes: 0\nports: []\n"); *w.Nodes != 0 || w.Ports == nil || w.NodeList != nil {
		t.Errorf("got %+v", w)
	}
	if w := parse(t, head+"caCertificates: []\n"); w.Authorities == nil || *w.Authorities != "" {
		t.Errorf("got %+v", w)
	}
	if w := parse(t, head+"nodes: []\n"); w.Nodes != nil || w.NodeList == nil || w.NodeCount(3) != 0 {
		t.Errorf("got %+v", w)
	}
	if w := parse(t, head+"nodes:\n- cpus: 2\n- {}\n"); !w.NodeList[0].ControlPlane || w.NodeList[1].ControlPlane {
		t.Errorf("without a role, nodes are %+v", w.NodeList)
	}
	if w := parse(t, head+"nodes:\n- {}\n- role: control-plane\n"); w.NodeList[0].ControlPlane || !w.NodeList[1].ControlPlane {
		t.Errorf("nodes are %+v", w.NodeList)
	}
	if w := parse(t, head+"proxy: {}\n"); w.Proxy == nil || *w.Proxy != (cluster.Proxy{}) || w.ProxyFrom != plan.ProxyOfFile {
		t.Errorf("no proxy is %+v", w)
	}
	if w := parse(t, head+"proxy: environment\n"); w.Proxy != nil || w.ProxyFrom != plan.ProxyOfEnvironment {
		t.Errorf("that of the environment is %+v", w)
	}
}

func TestEveryMistakeIsReportedWithItsLine(t *testing.T) {
	for _, tc := range []struct{ text, want string }{
		{"", "c.yaml:1: the file is empty"},
		{"# nothing\n---\n", "c.yaml:1: the file is empty"},
		{"apiVersion: [\n", "c.yaml:1: this is not YAML: did not find"},
		{"a: b: c\n", "this is not YAML"},
		{"- a\n", "c.yaml:1: the file has to be a mapping, not a list"},
		{"kind: Cluster\n", "c.yaml:1: apiVersion is missing"},
		{"apiVersion: kind.x-k8s.io/v1alpha4\nkind: Cluster\nnodes: [{role: x}]\n", `c.yaml:1: apiVersion "kind.x-k8s.io/v1alpha4" is not that of a cluster file`},
		{"apiVersion: bonsai.dev/v1alpha1\nkind: Pod\n", `c.yaml:2: kind "Pod" is not that of a cluster file`},
		{head + "---\n" + head, "c.yaml:3: the file has a second document"},
		{head + "node: 3\n", `c.yaml:3: unknown field "node"; did you mean "nodes"?`},
		{head + "spec: {}\n", `c.yaml:3: unknown field "spec"; possible are apiVersion, kind, name,`},
		{head + "network:\n  mtu: 1400\n  podSubnets: 10.0.0.0/16\n", "c.yaml:4: unknown field \"mtu\" in network; possible are subnet, podSubnet, serviceSubnet\nc.yaml:5: unknown field \"podSubnets\" in network; did you mean \"podSubnet\"?"},
		{head + "nodes: 3\nnodes: 4\n", `c.yaml:4: "nodes" is in line 3 already`},
		{head + "nodes:\n", "c.yaml:3: nodes has no value"},
		{head + "nodes: many\n", `c.yaml:3: nodes: "many" is not a whole number`},
		{head + "nodes: \"3\"\n", `c.yaml:3: nodes: "3" is not a whole number`},
		{head + "nodes: 101\n", "c.yaml:3: nodes: 101 is not possible: from 0 to 100"},
		{head + "nodes: {count: 3}\n", "c.yaml:3: nodes cannot be a mapping"},
		{head + "nodes:\n- count: 60\n- count: 60\n", "c.yaml:3: nodes: there are more than 100"},
		{head + "nodes:\n- count: 9999999999999999999999\n", "c.yaml:4: nodes[0].count:"},
		{head + "nodes:\n- {}\n- role: master\n", `c.yaml:5: nodes[1].role: "master" is not one of control-plane, worker`},
		{head + "nodes:\n- role: wroker\n", `did you mean "worker"?`},
		{head + "nodes:\n- cpus: .nan\n", "c.yaml:4: nodes[0].cpus:"},
		{head + "nodes:\n- cpus: 0.01\n", "c.yaml:4: nodes[0].cpus: 0.01 is not possible: from 0.1 to 1024"},
		{head + "nodes:\n- memory: 2\n", `c.yaml:4: nodes[0].memory: "2" is too little`},
		{head + "nodes:\n- labels:\n    a/b/c: x\n    kubernetes.io/hostname: y\n", "c.yaml:5: nodes[0].labels.a/b/c: label"},
		{head + "nodes:\n- labels: {disk: }\n", "c.yaml:4: nodes[0].labels.disk has no value"},
		{head + "nodes:\n- taints:\n  - a=b:NoSchedule\n  - a:Never\n", `c.yaml:6: nodes[0].taints[1]: taint "a:Never": the effect "Never"`},
		{head + "kubernetesVersion: 1.20\n", `c.yaml:3: kubernetesVersion: version "1.20" is not possible; possible are v1.37.2`},
		{head + "kubernetesVersion: \"\"\n", "c.yaml:3: kubernetesVersion: it is empty"},
		{head + "name: Shop\n", `c.yaml:3: name: the name "Shop" may only have`},
		{head + "apiPort: 0\n", "c.yaml:3: apiPort: 0 is not possible: from 1 to 65535"},
		{head + "network: {subnet: 10.0.0.1/24}\n", "c.yaml:3: network.subnet: subnet 10.0.0.1/24 has host bits set; did you mean 10.0.0.0/24?"},
		{head + "network: {podSubnet: x}\n", `c.yaml:3: network.podSubnet: "x" is not an IPv4 range`},
		{head + "network: {podSubnet: 10.0.0.0/24}\n", "the prefix length has to be from 8 to 17"},
		{head + "controlPlaneTaint: yes\n", `c.yaml:3: controlPlaneTaint: "yes" is not true or false`},
		{head + "ports:\n- 8080\n- 53:53/udp\n- 53:54/udp\n", "c.yaml:4: ports[0]: port \"8080\": it has no target; a port is written as [ADDRESS:]PORT:TARGET[@NODE][/udp]\nc.yaml:6: ports[2]: 127.0.0.1:53/udp is in line 5 already"},
		{head + "mounts:\n- src\n- a:/x\n- b:/x\n- c:/proc\n- {hostPath: d}\n", "c.yaml:8: mounts[4].containerPath is missing\nc.yaml:4: mounts[0]: mount \"src\" is not written as HOST:PATH[:ro]\nc.yaml:6: mounts[2]: /x of the node has a mount in line 5 already\nc.yaml:7: mounts[3]: mount \"/home/me/c:/proc\": /proc of a node is the system's"},
		{head + "nodes:\n- mounts: [/a]\n", "c.yaml:4: nodes[0].mounts[0]: mount \"/a\" is not written as"},
		{head + "scheduler:\n  extraArgs:\n    x: 1\nfeatureGates:\n  Typo: true\n", "c.yaml:7: featureGates.Typo: unknown feature gate\nc.yaml:5: scheduler.extraArgs.x: there is no flag"},
		{head + "featureGates: {Typo: yes}\n", "c.yaml:3: featureGates.Typo: \"yes\" is not true or false"},
		{head + "apiserver: {}\n", "c.yaml:3: unknown field \"apiserver\"; did you mean \"apiServer\"?"},
		{head + "apiServer:\n  auditPolicy: gone.yaml\n", "c.yaml:4: apiServer.auditPolicy: no file /home/me/gone.yaml"},
		{head + "apiServer:\n  auditPolicy: empty.yaml\n  admission: list.yaml\n", "c.yaml:4: apiServer.auditPolicy: the file empty.yaml is empty\nc.yaml:5: apiServer.admission: list.yaml is not a mapping in YAML"},
		{head + "apiServer:\n  encryption: \"***\"\n", "c.yaml:4: apiServer.encryption: it is hidden"},
		{head + "manifests: [gone.yaml]\n", "c.yaml:3: manifests[0]: there is no /home/me/gone.yaml"},
		{head + "manifests: [app.yaml, ./app.yaml]\n", "manifests[1]: /home/me/app.yaml is in line 3 already"},
		{head + "manifests:\n- /bad.yaml\n- /broken.yaml\n- /none.yaml\n", "c.yaml:4: manifests[0]: bad.yaml:1: the Pod has no metadata.name\nbad.yaml:4: an object of Kubernetes has to be a mapping, not a list\nbad.yaml:6: the object has no apiVersion\nbad.yaml:8: the object has no kind\nbad.yaml:10: the Pod has generateName"},
		{head + "manifests:\n- /broken.yaml\n", "c.yaml:4: manifests[0]: broken.yaml:1: this is not YAML"},
		{head + "manifests:\n- /none.yaml\n", "c.yaml:4: manifests[0]: none.yaml has no objects"},
		{head + "kubelet: [a]\n", "c.yaml:3: kubelet cannot be a list"},
		{head + "ports: 8080:80\n", "c.yaml:3: ports has to be a list, not a single value"},
		{head + "registries:\n  docker.io: https://me:geheim@m.example\n", "c.yaml:4: registries.docker.io has to be a mapping, not a single value"},
		{head + "registries:\n  docker.io: {}\n", "c.yaml:4: registries.docker.io.mirrors is missing"},
		{head + "registries:\n  docker.io:\n    mirrors:\n    - \"\"\n    - {username: me}\n    - url: ftp://x\n", "c.yaml:6: registries.docker.io.mirrors[0]: it is empty\nc.yaml:7: registries.docker.io.mirrors[1].url is missing\nc.yaml:8: registries.docker.io.mirrors[2]: registry mirror for docker.io: scheme \"ftp\""},
		{head + "caCertificates:\n- gone.pem\n- empty.yaml\n- audit.yaml\n- \"-----BEGIN PRIVATE KEY-----\\nAAAA\\n-----END PRIVATE KEY-----\"\n",
			"c.yaml:4: caCertificates[0]: no file /home/me/gone.pem\nc.yaml:5: caCertificates[1]: the file empty.yaml is empty\nc.yaml:6: caCertificates[2]: it contains no PEM certificate\nc.yaml:7: caCertificates[3]: it has \"PRIVATE KEY\"; only certificates are possible"},
		{head + "registries:\n  docker.io/library:\n    mirrors: []\n", `c.yaml:4: registries.docker.io/library: "docker.io/library" is not the host name of a registry`},
		{head + "registries:\n  Docker.io: {mirrors: []}\n  docker.io: {mirrors: []}\n", "the file has it already"},
		{head + "registries:\n  docker.io:\n    mirrors:\n    - {url: m.example, password: \"***\", username: me}\n", "c.yaml:6: registries.docker.io.mirrors[0]: the password is hidden"},
		{head + "registries:\n  docker.io:\n    mirrors:\n    - {url: http://m.example, skipVerify: true}\n    - {url: m.example, ca: x}\n", "c.yaml:6: registries.docker.io.mirrors[0]: certificates are for https only\nc.yaml:7: registries.docker.io.mirrors[1].ca: it contains no PEM certificate"},
		{head + "proxy:\n  https: ftp://me:geheim@x\n", `c.yaml:4: proxy.https: it is not the URL of a proxy: scheme "ftp"`},
		{head + "proxy:\n  https: http://xxxxx@x\n", "its user and password are hidden"},
		{head + "dns: {search: nome}\n", `c.yaml:3: dns.search: "nome" is not one of auto, all, none; did you mean "none"?`},
		{head + "addons:\n  dns: true\n  lamp: true\n  socket: on it\n", "c.yaml:6: addons.socket: \"on it\" is not true or false\nc.yaml:5: addons.lamp: there is no such addon"},
		{head + "addons:\n  dns:\n    value: {}\n", "c.yaml:5: unknown field \"value\" in addons.dns; did you mean \"values\"?"},
		{head + "addons:\n  dns:\n    values:\n      cacheSecond: 3\n", "c.yaml:6: unknown field \"cacheSecond\" in addons.dns.values; did you mean \"cacheSeconds\"?"},
		{head + "addons:\n  dns:\n    values:\n      cacheSeconds: long\n", "c.yaml:6: addons.dns.values.cacheSeconds: \"long\" is not a whole number"},
		{head + "addons:\n  dns:\n    values:\n      cacheSeconds: [3]\n", "c.yaml:6: addons.dns.values.cacheSeconds: it has to be a single value, not a list"},
		{head + "addons:\n  dns:\n    values:\n      cacheSeconds:\n", "c.yaml:6: addons.dns.values.cacheSeconds has no value; remove the line, or write what it should be"},
		{head + "addons:\n  dns:\n    values:\n      upstreams: [10.0.0.53, dns.test]\n", "c.yaml:6: addons.dns.values.upstreams: \"dns.test\" is not an IP address such as 10.0.0.53 or 10.0.0.53:5353"},
		{head + "addons:\n  class:\n    values:\n      policy: keep\n", "c.yaml:6: addons.class.values.policy: \"keep\" is not one of Delete, Retain"},
		{head + "addons:\n  socket:\n    values:\n      volts: 230\n", "c.yaml:6: unknown field \"volts\" in addons.socket.values: the addon has no settings"},
		{head + "x: &a [*a, *a]\nnodes: *a\n", "c.yaml:3: nodes[0] has to be a mapping, not a list"},
		{head + "base: &b {cpus: 1}\nnodes:\n- <<: *b\n", "merge keys are not possible"},
		{head + "? [a]\n: b\n", "c.yaml:3: a name in the file is a list"},
		{head + "nodes:\n" + strings.Repeat("- {}\n", 1001), "c.yaml:3: nodes has 1001 entries, at most 1000 are possible"},
		{head + "nodes:\n- labels: &l {" + labels(900) + "}\n" + strings.Repeat("- labels: *l\n", 90), "the file has more than 20000 values"},
		{strings.Repeat("#", 1<<20+1), "c.yaml:1: the file has 1048577 bytes"},
	} {
		_, err := Parse("c.yaml", []byte(tc.text), options())
		if err == nil || fault.KindOf(err) != fault.Usage || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%.300s\ngot  %v\nwant %s", tc.text, err, tc.want)
		}
		if err != nil && strings.Contains(err.Error(), "geheim") {
			t.Errorf("a password: %v", err)
		}
	}
}

// labels are so many.
func labels(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, "l%d: x, ", i)
	}
	return b.String()
}

// FuzzParse: whatever is in a file, the answer comes soon, is a mistake with a line or a wish that can be planned, and its
// cluster has a file that leads to the same cluster.
func FuzzParse(f *testing.F) {
	data, err := os.ReadFile("testdata/full.yaml")
	if err != nil {
		f.Fatal(err)
	}
	f.Add(data)
	for _, text := range []string{"", head, head + "nodes: 2\n", head + "nodes: &a [*a]\n", "{", head + "nodes:\n- count: 3\n  labels: {a: b}\n", "\xff\xfe", head + "ports: [8080:80@1]\nnodes: 1"} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		w, err := Parse("c.yaml", data, options())
		if err != nil {
			if !strings.HasPrefix(err.Error(), "c.yaml:") {
				t.Fatalf("a mistake without a line: %v", err)
			}
			return
		}
		w.Name = "dev"
		spec, err := plan.Resolve(w, nil, machine())
		if err != nil {
			return // ranges that overlap, and nodes of ports that are not there
		}
		again(t, spec)
	})
}

func machine() plan.Environment {
	return plan.Environment{Kubernetes: "v1.37.2", ID: "fresh", FreePort: 40123}
}

// again makes a cluster of the file of another one, and requires that they are the same.
func again(t *testing.T, spec cluster.Spec) []byte {
	t.Helper()
	file, err := View(spec, ViewOptions{Kubernetes: "v1.37.2", Raw: true})
	if err != nil {
		t.Fatal(err)
	}
	w, err := Parse("view.yaml", file, options())
	if err != nil {
		t.Fatalf("%v\n%s", err, file)
	}
	other, err := plan.Resolve(w, nil, machine())
	if err != nil {
		t.Fatalf("%v\n%s", err, file)
	}
	if !spec.ProxyChosen { // it is that of the environment
		spec.Proxy = cluster.Proxy{}
	}
	for registry, mirrors := range spec.Registries.Mirrors {
		if len(mirrors) == 0 {
			delete(spec.Registries.Mirrors, registry)
		}
	}
	if changes := plan.Diff(plan.State{Spec: &spec}, plan.State{Spec: &other}); len(changes) > 0 || spec.ProxyChosen != other.ProxyChosen {
		t.Fatalf("the file changes %v\n%s", changes, file)
	}
	second, err := View(other, ViewOptions{Kubernetes: "v1.37.2", Raw: true})
	if err != nil || string(second) != string(file) {
		t.Fatalf("the file of the second cluster is\n%s\nand not\n%s", second, file)
	}
	// Of the cluster itself, the file changes nothing.
	state := plan.State{Spec: &spec}
	wanted, err := w.Kept(state, machine())
	if err != nil {
		t.Fatal(err)
	}
	if p, err := plan.New(state, wanted); err != nil || len(p.Changes) > 0 {
		t.Fatalf("the file changes %v, %v\n%s", p.Changes, err, file)
	}
	return file
}

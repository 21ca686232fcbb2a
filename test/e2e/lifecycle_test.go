package e2e

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"

	"bonsai/bootstrap/cluster"
	"bonsai/bootstrap/fault"
	"bonsai/test/e2e/harness"
)

// code is the exit code for a kind of failure.
func code(k fault.Kind) int { return fault.ExitCode(&fault.Fault{Kind: k}) }

// wantCode checks an exit code, and that a failure printed something.
func wantCode(t *testing.T, r harness.Result, want int) {
	t.Helper()
	if r.Code != want || (want != 0 && want != code(fault.NotRunning) && strings.TrimSpace(r.Stderr) == "") {
		t.Errorf("%s\nwant exit code %d and a word about it", r, want)
	}
}

// An API server needs no engine; nodes can be added later, and stopped with the cluster.
func TestStory(t *testing.T) {
	t.Parallel()
	c := harness.New(t)

	// Another cluster's kubeconfig must come through all of this unchanged.
	foreign := clientcmdapi.NewConfig()
	foreign.Clusters["work"] = &clientcmdapi.Cluster{Server: "https://work.example"}
	foreign.Contexts["work"] = &clientcmdapi.Context{Cluster: "work", Namespace: "mine"}
	foreign.CurrentContext = "work"
	if err := clientcmd.WriteToFile(*foreign, c.Kubeconfig); err != nil {
		t.Fatal(err)
	}

	r := c.Bonsai(t, "status")
	wantCode(t, r, code(fault.NotFound))

	t.Run("API only, without an engine", func(t *testing.T) {
		c.Env = []string{"DOCKER_HOST=unix:///nowhere/docker.sock"}
		defer func() { c.Env = nil }()
		// Until it has nodes, the clusters of other tests, in other state folders, do not see which subnet it is going to use.
		c.Start(t, "--nodes", "0", "--subnet", "10.239.16.0/22")
		c.Kubectl(t, "create", "configmap", "kept", "--from-literal=a=b")
		if s, code := c.Status(t); code != 0 || len(s.Nodes) != 0 {
			t.Errorf("status exits with %d and lists %d nodes, want 0 and none", code, len(s.Nodes))
		}
	})

	t.Run("a node comes", func(t *testing.T) {
		c.Start(t, "--nodes", "1", "--cpus", "1", "--memory", "2g")
		node := readyNodes(t, c, 1)[0]
		if cpus := node.Status.Capacity.Cpu().Value(); cpus != 1 {
			t.Errorf("the node promises %d CPUs, its limit is 1", cpus)
		}
		if memory := node.Status.Capacity.Memory().Value(); memory != 2<<30 {
			t.Errorf("the node promises %d bytes of memory, its limit is %d", memory, 2<<30)
		}
		c.LoadImages(t)
		n := &harness.Namespace{Cluster: c, Namespace: "default", Client: c.Client(t)}
		n.Create(t, n.Pod("kept", harness.Testpod, "serve"))
	})

	var uid string
	t.Run("stop", func(t *testing.T) {
		pod, err := c.Client(t).CoreV1().Pods("default").Get(t.Context(), "kept", metav1.GetOptions{})
		if err != nil {
			t.Fatal(err)
		}
		uid = string(pod.UID)
		c.Must(t, "stop")
		s, got := c.Status(t)
		if s.Phase != cluster.PhaseStopped || got != code(fault.NotRunning) {
			t.Errorf("after stop status says %s and exits with %d; want Stopped and %d", s.Phase, got, code(fault.NotRunning))
		}
		if running := harness.Docker(t, "ps", "-q", "--filter", "label="+harness.Label+"="+c.Name); running != "" {
			t.Errorf("after stop these containers run: %s", running)
		}
		wantCode(t, c.Bonsai(t, "stop"), 0)
		if r := c.Bonsai(t, "kubectl", "--", "get", "pods"); r.Code == 0 || !strings.Contains(r.Stderr, "bonsai start") {
			t.Errorf("kubectl on a stopped cluster: %s\nwant a failure that names bonsai start", r)
		}
	})

	t.Run("start again keeps everything", func(t *testing.T) {
		began := time.Now()
		c.Start(t)
		reported(t, readyNodes(t, c, 1), began)
		kept(t, c, uid, 1)
		testBirthAfterRestart(t, &harness.Namespace{Cluster: c, Namespace: "default", Client: c.Client(t)}, "kept")
	})

	t.Run("a killed daemon", func(t *testing.T) {
		testKilledDaemon(t, c)
		kept(t, c, uid, 1)
	})

	t.Run("delete", func(t *testing.T) {
		c.Must(t, "delete")
		if left := c.Leftovers(t); len(left) > 0 {
			t.Errorf("delete left %v", left)
		}
		if _, err := os.Stat(filepath.Join(c.Dir, "clusters", c.Name)); !os.IsNotExist(err) {
			t.Errorf("the cluster's folder: %v, want it to be gone", err)
		}
		kc, err := clientcmd.LoadFromFile(c.Kubeconfig)
		if err != nil {
			t.Fatal(err)
		}
		if kc.Contexts[c.Name] != nil || kc.Clusters[c.Name] != nil {
			t.Error("the cluster is still in the kubeconfig")
		}
		if work := kc.Contexts["work"]; work == nil || work.Namespace != "mine" || kc.Clusters["work"] == nil {
			t.Errorf("the foreign context is %+v, it was to stay as it was", work)
		}
	})
}

// kept checks that the earlier objects and pods exist, and that the pod runs in its container number restarts: what the
// API server reports about it is outdated until the kubelet has looked.
func kept(t *testing.T, c *harness.Cluster, uid string, restarts int32) {
	t.Helper()
	n := &harness.Namespace{Cluster: c, Namespace: "default", Client: c.Client(t)}
	if _, err := n.Client.CoreV1().ConfigMaps("default").Get(t.Context(), "kept", metav1.GetOptions{}); err != nil {
		t.Error(err)
	}
	harness.Until(t, time.Minute, "the kept pod running", func() error {
		pod, err := n.Client.CoreV1().Pods("default").Get(t.Context(), "kept", metav1.GetOptions{})
		if err != nil {
			return err
		}
		if string(pod.UID) != uid {
			t.Fatalf("the pod has the UID %s, before it had %s", pod.UID, uid)
		}
		if got := pod.Status.ContainerStatuses[0].RestartCount; got != restarts {
			return fmt.Errorf("its container was restarted %d times, want %d", got, restarts)
		}
		return harness.Ready(pod)
	})
	n.Fetch(t, "kept", 1, "https://10.96.0.1:443/readyz")
}

func daemonPID(t *testing.T, c *harness.Cluster) int {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(c.Dir, "clusters", c.Name, "daemon.json"))
	if err != nil {
		t.Fatal(err)
	}
	var d struct {
		PID int `json:"pid"`
	}
	if err := json.Unmarshal(data, &d); err != nil || d.PID == 0 {
		t.Fatalf("daemon.json names no process: %s, %v", data, err)
	}
	return d.PID
}

// The oldest minor version that the embedded components can emulate, with a node and a pod.
func TestEmulatedVersion(t *testing.T) {
	t.Parallel()
	c := harness.New(t)
	c.Start(t, "--nodes", "1", "--kubernetes-version", "1.34")
	version := c.Kubectl(t, "get", "--raw", "/version")
	var v struct {
		EmulationMinor string `json:"emulationMinor"`
	}
	if err := json.Unmarshal([]byte(version), &v); err != nil || v.EmulationMinor != "34" {
		t.Errorf("the API server says %s (%v), want emulationMinor 34", version, err)
	}
	if s, _ := c.Status(t); !strings.Contains(s.Emulated, "1.34") {
		t.Errorf("status says it emulates %q, want 1.34", s.Emulated)
	}
	c.LoadImages(t)
	n := c.NewNamespace(t)
	n.Create(t, n.Pod("old", harness.Testpod, "serve"))
	claim(t, n, "data", "")
	n.Create(t, withClaim(n, "with-claim", "data"))
	write(t, n, "with-claim", "old")
	drop(t, n, "data", "with-claim")
}

// A start that was killed while it wrote the payload volume leaves a partial volume, which is never used.
func TestHalfWrittenPayload(t *testing.T) {
	c := harness.New(t)
	c.Start(t, "--nodes", "1")
	const label = "io.bonsai.payload"
	hash := harness.Docker(t, "inspect", harness.Container(t, c.Nodes(t)[0]), "--format", `{{index .Config.Labels "`+label+`"}}`)
	volumes := func() []string {
		return strings.Fields(harness.Docker(t, "volume", "ls", "-q", "--filter", "label="+label+"="+hash))
	}
	c.Must(t, "delete")
	if left := volumes(); len(left) > 0 {
		// It cannot be removed while a cluster of another user with the same build uses it.
		if _, err := harness.TryDocker(append([]string{"volume", "rm"}, left...)...); err != nil {
			t.Skip(err)
		}
	}

	killed := harness.New(t)
	cmd := killed.Command(t.Context(), "start", "-p", killed.Name, "--nodes", "1")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	harness.Until(t, 30*time.Second, "the volume's beginning", func() error {
		if len(volumes()) == 0 {
			return errors.New("there is none")
		}
		return nil
	})
	_ = cmd.Process.Kill()
	_ = cmd.Wait()
	parts := volumes()
	t.Cleanup(func() { // bonsai keeps it for a while, because its writer might still be working
		for _, v := range parts {
			for id := range strings.FieldsSeq(harness.Docker(t, "ps", "-aq", "--filter", "status=created", "--filter", "volume="+v)) {
				_, _ = harness.TryDocker("rm", "-f", id)
			}
			_, _ = harness.TryDocker("volume", "rm", v)
		}
	})

	c.Start(t, "--nodes", "1")
	readyNodes(t, c, 1)
	// The killed start's own cluster can be started as well, once its port is free again.
	c.Must(t, "delete")
	killed.Start(t, "--nodes", "1")
	readyNodes(t, killed, 1)
}

// Ctrl-C during any step of a start leaves nothing behind and has its own exit code.
func TestInterruptedStart(t *testing.T) {
	for _, step := range []string{"pki", "daemon", "network", "container/NAME-1", "node/NAME-1"} {
		t.Run(strings.ReplaceAll(step, "/", " "), func(t *testing.T) {
			c := harness.New(t)
			cmd := c.Command(t.Context(), "start", "-p", c.Name, "--nodes", "2", "-o", "json")
			var stderr bytes.Buffer
			cmd.Stderr = &stderr
			lines, err := cmd.StdoutPipe()
			if err != nil {
				t.Fatal(err)
			}
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			wanted, interrupted := strings.ReplaceAll(step, "NAME", c.Name), false
			var out strings.Builder
			for scan := bufio.NewScanner(lines); scan.Scan(); {
				out.WriteString(scan.Text() + "\n")
				var e cluster.Event
				if err := json.Unmarshal(scan.Bytes(), &e); err == nil && e.Step == wanted && !interrupted {
					interrupted = true
					if err := cmd.Process.Signal(os.Interrupt); err != nil {
						t.Error(err)
					}
				}
			}
			_ = cmd.Wait() // its exit code is checked
			if !interrupted {
				t.Fatalf("the start has no step %s:\n%s%s", wanted, out.String(), stderr.String())
			}
			if got := cmd.ProcessState.ExitCode(); got != code(fault.Canceled) {
				t.Errorf("exit code %d, want %d\n%s%s", got, code(fault.Canceled), out.String(), stderr.String())
			}
			if left := c.Leftovers(t); len(left) > 0 {
				t.Errorf("left behind: %v\n%s", left, out.String())
			}
			if entries, err := os.ReadDir(filepath.Join(c.Dir, "clusters")); err == nil && len(entries) > 0 {
				t.Errorf("left behind in the state folder: %v\n%s", entries, out.String())
			}
			if kc, err := clientcmd.LoadFromFile(c.Kubeconfig); err == nil && len(kc.Contexts) > 0 {
				t.Errorf("left behind in the kubeconfig: %v", kc.Contexts)
			}
		})
	}
}

// Invalid input is refused with its own exit code, before anything is created.
func TestBadInput(t *testing.T) {
	c := harness.New(t)
	for _, tc := range []struct {
		args []string
		want fault.Kind
		says string
	}{
		{[]string{"start", "--nodes", "-1"}, fault.Usage, "-1"},
		{[]string{"start", "--nodes", "500"}, fault.Usage, "500"},
		{[]string{"start", "--nodes", "many"}, fault.Usage, "many"},
		{[]string{"start", "--kubernetes-version", "1.20"}, fault.Version, "1.37"},
		{[]string{"start", "--kubernetes-version", "9.9"}, fault.Version, "1.34"},
		{[]string{"start", "--kubernetes-version", "newest"}, fault.Version, "1.36"},
		{[]string{"start", "--registry-mirror", "ftp://x"}, fault.Usage, "ftp"},
		{[]string{"start", "--image-mirror-country", "atlantis"}, fault.Usage, "cn"},
		{[]string{"start", "--subnet", "10.244.0.0/20", "--pod-subnet", "10.244.0.0/16"}, fault.Usage, "pod"},
		{[]string{"start", "--subnet", "8.8.8.0/24"}, fault.Usage, "private"},
		{[]string{"stop"}, fault.NotFound, c.Name},
		{[]string{"status"}, fault.NotFound, c.Name},
		{[]string{"delete"}, fault.NotFound, c.Name},
		{[]string{"kubectl", "--", "get", "pods"}, fault.NotFound, c.Name},
		{[]string{"sttart"}, fault.Usage, "start"},
	} {
		t.Run(strings.Join(tc.args, " "), func(t *testing.T) {
			r := c.Bonsai(t, tc.args[0], tc.args[1:]...)
			wantCode(t, r, code(tc.want))
			if !strings.Contains(r.Stderr, tc.says) {
				t.Errorf("%s\nwant it to say %q", r, tc.says)
			}
			if left := c.Leftovers(t); len(left) > 0 {
				t.Errorf("left behind: %v", left)
			}
		})
	}
	t.Run("name", func(t *testing.T) {
		wantCode(t, c.Run(t, "start", "-p", "Not_A_Name"), code(fault.Usage))
	})
	t.Run("no engine", func(t *testing.T) {
		c.Env = []string{"DOCKER_HOST=unix:///nowhere/docker.sock"}
		defer func() { c.Env = nil }()
		r := c.Bonsai(t, "start", "--nodes", "1")
		wantCode(t, r, code(fault.EngineDown))
		if _, err := os.Stat(filepath.Join(c.Dir, "clusters", c.Name)); !os.IsNotExist(err) {
			t.Errorf("a start without an engine leaves a folder: %v", err)
		}
	})
	t.Run("taken port", func(t *testing.T) {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = l.Close() }()
		taken := strconv.Itoa(l.Addr().(*net.TCPAddr).Port)
		r := c.Bonsai(t, "start", "--nodes", "0", "--api-port", taken)
		wantCode(t, r, code(fault.Conflict))
		if !strings.Contains(r.Stderr, taken) {
			t.Errorf("%s\nwant it to name port %s", r, taken)
		}
	})
	t.Run("taken subnet", func(t *testing.T) {
		r := c.Bonsai(t, "start", "--nodes", "1", "--subnet", harness.Docker(t, "network", "inspect", "bridge", "--format", "{{(index .IPAM.Config 0).Subnet}}"))
		if r.Code != code(fault.Conflict) && r.Code != code(fault.Usage) {
			t.Errorf("%s\nwant it to be refused", r)
		}
	})
	t.Run("dry run", func(t *testing.T) {
		r := c.Bonsai(t, "start", "--dry-run", "--nodes", "2", "-o", "json")
		wantCode(t, r, 0)
		if !strings.Contains(r.Stdout, c.Name+"-2") {
			t.Errorf("the plan does not name the second node: %s", r)
		}
		if _, err := os.Stat(filepath.Join(c.Dir, "clusters", c.Name)); !os.IsNotExist(err) {
			t.Errorf("a dry run leaves a folder: %v", err)
		}
	})
}

// A broken spec file is named, and only delete continues.
func TestBrokenSpec(t *testing.T) {
	c := harness.New(t)
	c.Start(t, "--nodes", "0")
	c.Must(t, "stop")
	spec := filepath.Join(c.Dir, "clusters", c.Name, "spec.json")
	if err := os.WriteFile(spec, []byte(`{"version": 1, "name": `), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, verb := range []string{"start", "status", "stop"} {
		r := c.Bonsai(t, verb)
		wantCode(t, r, code(fault.SpecBroken))
		if !strings.Contains(r.Stderr, "spec.json") {
			t.Errorf("%s: %s\nwant it to name the file", verb, r)
		}
	}
	c.Must(t, "delete")
}

// Only one command at a time works on a cluster; a start that waits for another says so or waits, but never breaks it.
func TestTwoStartsAtOnce(t *testing.T) {
	c := harness.New(t)
	var output bytes.Buffer
	second := c.Command(t.Context(), "start", "-p", c.Name, "--nodes", "1")
	second.Stdout, second.Stderr = &output, &output
	if err := second.Start(); err != nil {
		t.Fatal(err)
	}
	first := c.Bonsai(t, "start", "--nodes", "1")
	_ = second.Wait() // its exit code is checked
	other := harness.Result{Stderr: output.String(), Code: second.ProcessState.ExitCode()}
	for _, r := range []harness.Result{first, other} {
		if r.Code != 0 && r.Code != code(fault.Busy) {
			t.Errorf("%s\nwant success or that the cluster is busy", r)
		}
	}
	if first.Code != 0 && other.Code != 0 {
		t.Error("neither start succeeded")
	}
	readyNodes(t, c, 1)
}

// What the executable reports about itself, without any cluster.
func TestVersionAndCompletion(t *testing.T) {
	h := harness.NewHome(t)
	r := h.Run(t, "version", "-o", "json")
	wantCode(t, r, 0)
	var versions map[string]any
	if err := json.Unmarshal([]byte(r.Stdout), &versions); err != nil {
		t.Fatalf("version -o json: %v\n%s", err, r)
	}
	for _, key := range []string{"version", "commit", "kubernetes", "etcd", "containerd", "runc"} {
		if v, _ := versions[key].(string); v == "" || strings.Contains(v, "0.0.0") {
			t.Errorf("%s is %q, want a version", key, v)
		}
	}
	wantCode(t, h.Run(t, "--version"), 0)
	for _, shell := range []string{"bash", "zsh", "fish"} {
		if r := h.Run(t, "completion", shell); r.Code != 0 || !strings.Contains(r.Stdout, "bonsai") {
			t.Errorf("completion %s: %s", shell, r)
		}
	}
}

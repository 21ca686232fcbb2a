package harness

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"bonsai/bootstrap/cluster"
)

// Cluster is one cluster by name, in a home.
type Cluster struct {
	*Home
	Name string
}

// New names a cluster in its own home; nothing is started.
func New(t *testing.T) *Cluster {
	t.Helper()
	h := NewHome(t)
	return &Cluster{Home: h, Name: h.Name()}
}

// Bonsai runs "bonsai VERB -p NAME ARGS...".
func (c *Cluster) Bonsai(t *testing.T, verb string, args ...string) Result {
	t.Helper()
	return c.Run(t, c.args(verb, args)...)
}

// Must is Bonsai for what has to succeed; it returns stdout.
func (c *Cluster) Must(t *testing.T, verb string, args ...string) string {
	t.Helper()
	r := c.Bonsai(t, verb, args...)
	if r.Code != 0 {
		t.Fatalf("bonsai %s %s: %s", verb, strings.Join(args, " "), r)
	}
	return r.Stdout
}

func (c *Cluster) args(verb string, args []string) []string {
	return append([]string{verb, "-p", c.Name}, args...)
}

// Kubectl runs the built-in kubectl and returns stdout; it has to succeed.
func (c *Cluster) Kubectl(t *testing.T, args ...string) string {
	t.Helper()
	return c.Must(t, "kubectl", append([]string{"--"}, args...)...)
}

// Start starts the cluster with the test images loaded if it has nodes.
func (c *Cluster) Start(t *testing.T, args ...string) Result {
	t.Helper()
	r := c.Bonsai(t, "start", args...)
	if r.Code != 0 {
		t.Fatalf("bonsai start %s: %s", strings.Join(args, " "), r)
	}
	t.Logf("bonsai start %s took %s", strings.Join(args, " "), r.Took)
	return r
}

// LoadImages loads the test images into all nodes.
func (c *Cluster) LoadImages(t *testing.T) {
	t.Helper()
	c.Must(t, "image", "load", Archive(t))
}

// Status returns the output of "bonsai status -o json", and the command's exit code.
func (c *Cluster) Status(t *testing.T) (cluster.Snapshot, int) {
	t.Helper()
	r := c.Bonsai(t, "status", "-o", "json")
	var s cluster.Snapshot
	if err := json.Unmarshal([]byte(r.Stdout), &s); err != nil {
		t.Fatalf("bonsai status -o json is not a snapshot: %v\n%s", err, r)
	}
	return s, r.Code
}

// Nodes returns the names of the cluster's nodes that have a container.
func (c *Cluster) Nodes(t *testing.T) []string {
	t.Helper()
	return strings.Fields(Docker(t, "ps", "-a", "--filter", "label="+Label+"="+c.Name, "--format", `{{.Label "`+NodeLabel+`"}}`))
}

// Container returns the name of a node's container. Names of test clusters are unique, and so are those of their nodes.
func Container(t *testing.T, node string) string {
	t.Helper()
	names := strings.Fields(Docker(t, "ps", "-a", "--filter", "label="+NodeLabel+"="+node, "--format", "{{.Names}}"))
	if len(names) != 1 {
		t.Fatalf("node %s has the containers %q, want one", node, names)
	}
	return names[0]
}

// InNode runs a command in a node's container and returns what it printed.
func InNode(t *testing.T, node string, command ...string) string {
	t.Helper()
	return Docker(t, append([]string{"exec", Container(t, node)}, command...)...)
}

// Leftovers lists the containers, networks and volumes that carry the cluster's label.
func (c *Cluster) Leftovers(t *testing.T) []string {
	t.Helper()
	var left []string
	filter := "label=" + Label + "=" + c.Name
	for kind, list := range map[string][]string{
		"container": {"ps", "-aq", "--filter", filter},
		"network":   {"network", "ls", "-q", "--filter", filter},
		"volume":    {"volume", "ls", "-q", "--filter", filter},
	} {
		for id := range strings.FieldsSeq(Docker(t, list...)) {
			left = append(left, kind+" "+id)
		}
	}
	return left
}

// cleanUp deletes every cluster of the home, after logging everything useful if the test failed, and checks the engine.
func (h *Home) cleanUp(t *testing.T) {
	h.Env = nil // some tests hide the engine
	for _, name := range h.names {
		c := &Cluster{h, name}
		if t.Failed() {
			c.dump(t)
		}
		// A cluster that was never created, or is gone already, is not an error here.
		r := c.Bonsai(t, "delete")
		left := c.Leftovers(t)
		if len(left) == 0 {
			continue
		}
		t.Errorf("bonsai delete left %s behind: %s", strings.Join(left, ", "), r)
		for _, item := range left {
			kind, id, _ := strings.Cut(item, " ")
			remove := map[string][]string{
				"container": {"rm", "-fv", id}, "network": {"network", "rm", id}, "volume": {"volume", "rm", "-f", id},
			}[kind]
			if _, err := TryDocker(remove...); err != nil {
				t.Log(err)
			}
		}
	}
}

// dump logs what somebody needs who sees only the test's output.
func (c *Cluster) dump(t *testing.T) {
	var b strings.Builder
	add := func(title, text string) { fmt.Fprintf(&b, "\n==== %s\n%s\n", title, strings.TrimSpace(text)) }
	bonsai := func(verb string, args ...string) {
		r := c.Bonsai(t, verb, args...)
		add("bonsai "+verb+" "+strings.Join(args, " "), r.Stdout+r.Stderr)
	}
	bonsai("status")
	bonsai("kubectl", "--", "get", "nodes,pods", "-A", "-o", "wide")
	for _, component := range []string{"daemon", "kube-apiserver", "kube-controller-manager", "kube-scheduler"} {
		bonsai("logs", component, "--tail", "25")
	}
	for node := range strings.FieldsSeq(Docker(t, "ps", "-a", "--filter", "label="+Label+"="+c.Name, "--format", "{{.Names}}")) {
		out, err := TryDocker("logs", "--tail", "40", node)
		add("docker logs "+node, fmt.Sprint(out, orNothing(err)))
		for _, component := range []string{"kubelet", "kube-proxy", "containerd"} {
			out, err := TryDocker("exec", node, "tail", "-n", "25", "/var/log/bonsai/"+component+".log")
			add(node+" "+component, fmt.Sprint(out, orNothing(err)))
		}
	}
	t.Log(b.String())
}

func orNothing(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

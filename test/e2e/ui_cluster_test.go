package e2e

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"bonsai/test/e2e/harness"
	tmuxterm "bonsai/test/e2e/terminal"
)

// TestClusterInTheTerminalUI: what the cluster itself consists of is changed on the screens of the terminal UI, as by a person: a
// node comes, stops, starts and goes; a port opens and closes; images, clusters and the cluster's file are looked at; what another
// file would change is shown, and that file applied.
func TestClusterInTheTerminalUI(t *testing.T) {
	t.Parallel()
	c := harness.New(t)
	c.Start(t, "--nodes", "1")
	c.LoadImages(t)
	one, two := c.Name+"-1", c.Name+"-2"
	term := tmuxterm.Start(t, 120, 40, terminalEnv(c), fmt.Sprintf("%s ui -p %s --theme mono; sleep 1000", harness.Binary(), c.Name))
	term.Wait(20*time.Second, "nothing is wrong", "live")
	yes := func(question ...string) { // questions have No under the cursor
		t.Helper()
		term.Wait(10*time.Second, question...)
		term.Keys("Left", "Enter")
	}

	// A node comes, and pods run on it.
	term.Keys("2")
	term.Wait(10*time.Second, "Ready", "+ add")
	term.Keys("+")
	term.Wait(10*time.Second, "add nodes to "+c.Name, "how many", "processors")
	term.Keys("Enter")
	term.Wait(40*time.Second, "✓ add a node", "nodes 2/2")
	n := c.NewNamespace(t)
	n.Create(t, harness.On(two, n.Pod("lonely", harness.Testpod, "serve")))
	n.WaitReady(t, "lonely")

	// It stops and starts. A stopped node is nothing wrong.
	term.Keys("j", "x")
	yes("stop " + two + "?")
	term.Wait(40*time.Second, "✓ stop "+two, "stopped")
	term.Keys("o")
	term.Wait(40*time.Second, "✓ start "+two)

	// It is not deleted with what would be lost, unless its name is typed.
	term.Keys("C-x")
	yes("delete "+two+"?", "its pods move to other nodes first")
	term.Wait(40*time.Second, "delete "+two+" with all of it?", "lonely", "type "+two)
	term.Type(two)
	term.Keys("Enter")
	term.Wait(40*time.Second, "✓ delete "+two)
	if nodes := c.Nodes(t); len(nodes) != 1 || nodes[0] != one {
		t.Errorf("nodes %v", nodes)
	}

	// A port of this machine opens and closes.
	port := strconv.Itoa(localPort(t))
	term.Keys("9", "+")
	term.Wait(10*time.Second, "open a port of this machine", "leads to")
	term.Keys("C-u")
	term.Type(port)
	term.Keys("Tab", "C-u")
	term.Type("30080")
	term.Keys("Enter")
	term.Wait(20*time.Second, "✓ open 127.0.0.1:"+port, "port 30080 of the nodes", "open whenever the cluster runs")
	term.Keys("k", "g", "C-x") // the ports are above the Services
	yes("close 127.0.0.1:" + port + "?")
	term.Wait(20*time.Second, "✓ close 127.0.0.1:"+port)

	// Images, one of them in detail; and the clusters that there are.
	term.Keys("I")
	term.Wait(10*time.Second, harness.Testpod, "load")
	term.Keys("Enter")
	term.Wait(10*time.Second, one+"  loaded")
	term.Keys("Escape", "P")
	term.Wait(10*time.Second, "CLUSTERS", c.Name, "running", "shown here")

	// The cluster's own file, and what another one changes.
	term.Keys("V")
	term.Wait(10*time.Second, "apiVersion: bonsai.dev/v1alpha1", "name: "+c.Name)
	file := filepath.Join(t.TempDir(), "cluster.yaml")
	text := "apiVersion: bonsai.dev/v1alpha1\nkind: Cluster\nnodes: 1\naddons:\n  dns:\n    values: {hosts: [registry.test=192.0.2.7]}\n"
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	term.Keys("p")
	term.Type(file)
	term.Keys("Enter")
	term.Wait(10*time.Second, "configure addon dns: hosts=registry.test=192.0.2.7", "nothing was changed")
	term.Resize(80, 24)
	term.Wait(10*time.Second, "configure addon dns")
	term.Keys("a")
	yes("apply cluster.yaml?", "configure addon dns")
	term.Wait(40*time.Second, "✓ apply cluster.yaml")
	harness.Until(t, 20*time.Second, "the cluster to be what the file says", func() error {
		if r := c.Bonsai(t, "dns", "query", "registry.test"); !strings.Contains(r.Stdout, "192.0.2.7") {
			return errors.New(r.String())
		}
		return nil
	})
	term.Keys("1")
	term.Wait(10*time.Second, "nothing is wrong")
	term.Keys("q")
	term.Wait(10*time.Second, "keeps running")
}

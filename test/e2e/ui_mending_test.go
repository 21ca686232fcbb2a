package e2e

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"bonsai/test/e2e/harness"
	tmuxterm "bonsai/test/e2e/terminal"
)

// TestMendingInTheTerminalUI: a rollout that is stuck is taken back from the overview, after what that changes was shown, and the
// UI says when the problem is gone. Then an image and requests are set, a revision is gone back to, and a Secret is read.
func TestMendingInTheTerminalUI(t *testing.T) {
	t.Parallel()
	c := harness.New(t)
	c.Start(t, "--nodes", "1")
	c.LoadImages(t)
	n := c.NewNamespace(t)
	deploy(t, n, "web", 1, idle)
	n.Kubectl(t, "-n", n.Namespace, "rollout", "status", "deployment/web", "--timeout", harness.Scale(time.Minute).String())
	n.Kubectl(t, "-n", n.Namespace, "create", "secret", "generic", "db", "--from-literal=password=correct-horse")
	image := func() string {
		return c.Kubectl(t, "get", "deployment", "-n", n.Namespace, "web", "-o", "jsonpath={.spec.template.spec.containers[0].image}")
	}
	before := image()
	n.Kubectl(t, "-n", n.Namespace, "set", "image", "deployment/web", "main=nowhere.bonsai.test/web:2")
	term := tmuxterm.Start(t, 120, 40, terminalEnv(c), fmt.Sprintf("%s ui -p %s --theme mono; sleep 1000", harness.Binary(), c.Name))
	yes := func(question ...string) { // questions have No under the cursor
		t.Helper()
		term.Wait(10*time.Second, question...)
		term.Keys("Left", "Enter")
	}

	term.Wait(90*time.Second, "its rollout is stuck")
	term.Keys("G") // warnings are below errors
	term.Wait(10*time.Second, "go back to the revision that runs")
	term.Keys("f")
	yes("back to revision 1?", "nowhere.bonsai.test/web:2", before)
	term.Wait(80*time.Second, "gone, ") // while it is watched, that is said instead, for a moment only if it was quick
	if got := image(); got != before {
		t.Errorf("the image is %s, want %s", got, before)
	}

	term.Keys(":")
	term.Type("deploy " + n.Namespace)
	term.Keys("Enter")
	term.Wait(20*time.Second, "DEPLOYMENTS in namespace", "web")
	term.Keys("m")
	term.Wait(10*time.Second, "cpu requested")
	term.Type("20m")
	term.Keys("Enter")
	yes("set the resources of deployment", "cpu: 20m")
	term.Wait(20*time.Second, "✓ set the resources")
	term.Keys("v")
	term.Wait(20*time.Second, "[Revisions]", "current", "+ ", "cpu: 20m")
	term.Keys("X")
	term.Wait(20*time.Second, "[Relations]", "replicaset web-", "serviceaccount default", "USED BY")

	// The value of a Secret is seen only while it is wanted.
	term.Keys(":")
	term.Type("secrets")
	term.Keys("Enter")
	term.Wait(20*time.Second, "SECRETS in namespace", "db")
	term.Keys("x")
	term.Wait(10*time.Second, "[Values]", "password", "********")
	term.Keys("x")
	term.Wait(10*time.Second, "correct-horse")
	term.Keys("x")
	harness.Until(t, 10*time.Second, "the value to be hidden", func() error {
		if strings.Contains(term.Screen(), "correct-horse") {
			return fmt.Errorf("it is on the screen")
		}
		return nil
	})
	term.Keys("q")
	term.Wait(10*time.Second, "keeps running")
}

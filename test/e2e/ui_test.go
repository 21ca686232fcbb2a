package e2e

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"bonsai/bootstrap/statedir"
	"bonsai/test/e2e/harness"
	tmuxterm "bonsai/test/e2e/terminal"
)

// brokenShop is a program that cannot work without redis, whose name is mistyped, beside one that works.
const brokenShop = `
apiVersion: v1
kind: Namespace
metadata: {name: shop}
---
apiVersion: v1
kind: Service
metadata: {name: redis, namespace: default}
spec:
  selector: {app: redis}
  ports: [{port: 6379, targetPort: 8080}]
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: redis, namespace: default}
spec:
  selector: {matchLabels: {app: redis}}
  template:
    metadata: {labels: {app: redis}}
    spec:
      terminationGracePeriodSeconds: 0
      containers: [{name: redis, image: "bonsai.test/testpod:1", args: [serve]}]
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: cart, namespace: shop}
spec:
  selector: {matchLabels: {app: cart}}
  template:
    metadata: {labels: {app: cart}}
    spec:
      terminationGracePeriodSeconds: 0
      containers: [{name: cart, image: "bonsai.test/testpod:1", args: [depend, redis.defualt.svc]}]
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: web, namespace: shop}
spec:
  replicas: 3
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      terminationGracePeriodSeconds: 0
      containers: [{name: web, image: "bonsai.test/testpod:1", args: [serve]}]
`

// terminalEnv is the environment of bonsai in a terminal of its own.
func terminalEnv(c *harness.Cluster, more ...string) []string {
	return append([]string{"BONSAI_HOME=" + c.Dir, "KUBECONFIG=" + c.Kubeconfig, "LANG=C.UTF-8", "PATH=" + os.Getenv("PATH"), "CI="}, more...)
}

// TestTerminalUI is a user's complete session in the real terminal UI on a real cluster: start it, break something, see
// the cause, fix it, and stop. With BONSAI_PICTURE it also records the picture of the README.
func TestTerminalUI(t *testing.T) {
	t.Parallel()
	picture := os.Getenv("BONSAI_PICTURE")
	c := harness.New(t)
	columns, rows := 120, 36
	env := terminalEnv(c, "COLORTERM=truecolor", "EDITOR=sed -i s/defualt/default/", "NO_COLOR=")
	term := tmuxterm.Start(t, columns, rows, env, fmt.Sprintf("%s ui -p %s --theme dark --color true; sleep 1000", harness.Binary(), c.Name))

	// No cluster: the UI offers one, and draws how it starts.
	term.Wait(10*time.Second, "does not exist yet", "start a new cluster")
	term.Shoot(2 * time.Second)
	term.Keys("Enter")
	term.Wait(60*time.Second, "API server")
	for range 4 {
		term.Shoot(500 * time.Millisecond)
	}
	term.Wait(90*time.Second, "nothing is wrong", "NODES")
	term.Shoot(2 * time.Second)

	// Something breaks. The overview shows what and why.
	c.LoadImages(t)
	if r := c.RunWithInput(t, strings.NewReader(brokenShop), "kubectl", "-p", c.Name, "--", "apply", "-f", "-"); r.Code != 0 {
		t.Fatal(r)
	}
	term.Wait(60*time.Second, "PROBLEMS 1", "cart", "redis.defualt.svc")
	term.Wait(30*time.Second, "meant redis.default.svc?")
	term.Shoot(6 * time.Second)

	// Which pod asks for that name, and what was tried.
	term.Keys("6")
	term.Wait(60*time.Second, "redis.defualt.svc", "NXDOMAIN")
	term.Shoot(4 * time.Second)

	// The cause is fixed with an editor, from the list of deployments.
	term.Keys(":")
	term.Type("deploy shop")
	term.Keys("Enter")
	term.Wait(20*time.Second, "cart", "web")
	term.Shoot(2 * time.Second)
	term.Keys("g", "e")
	harness.Until(t, 30*time.Second, "the edited deployment", func() error {
		if args := c.Kubectl(t, "get", "deployment", "-n", "shop", "cart", "-o", "jsonpath={.spec.template.spec.containers[0].args}"); !strings.Contains(args, "default.svc") {
			return fmt.Errorf("its arguments are %s", args)
		}
		return nil
	})
	term.Keys("1")
	term.Wait(60*time.Second, "nothing is wrong")
	term.Shoot(3 * time.Second)

	// How the architecture works, and how a pod came to be.
	term.Keys("8")
	term.Wait(20*time.Second, "kube-apiserver", "etcd", "clients")
	term.Shoot(4 * time.Second)
	term.Keys("3", "/")
	term.Type("web")
	term.Wait(10*time.Second, "/web")
	term.Keys("Enter", "b")
	term.Wait(20*time.Second, "kube-scheduler", "sandbox")
	term.Shoot(4 * time.Second)

	// Two UIs watch the cluster while its control plane is killed: both keep running, recover on their own when the guardian
	// has restarted it, and show that this has happened.
	other := tmuxterm.Start(t, 80, 24, env, fmt.Sprintf("%s ui -p %s --theme mono", harness.Binary(), c.Name))
	other.Wait(20*time.Second, "nothing is wrong", "live")
	daemon, ok := statedir.Dir{Root: c.Dir}.Cluster(c.Name).Daemon()
	if !ok {
		t.Fatal("there is no daemon")
	}
	if err := syscall.Kill(daemon.PID, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	killed := time.Now()
	other.Wait(60*time.Second, "exited unexpectedly", "live")
	term.Wait(60*time.Second, "live")
	t.Logf("both UIs were back %s after the control plane was killed", time.Since(killed).Round(10*time.Millisecond))
	other.Keys("q")
	harness.Until(t, 10*time.Second, "the end of the second UI", func() error {
		if !other.Ended() {
			return errors.New("it runs")
		}
		return nil
	})

	// Every size works, and leaving the UI does not affect the cluster.
	for _, size := range [][2]int{{80, 24}, {40, 8}, {20, 4}, {200, 60}, {columns, rows}} {
		term.Resize(size[0], size[1])
	}
	term.Wait(10*time.Second, "kube-scheduler")
	term.Keys("q")
	term.Wait(10*time.Second, "keeps running")
	if _, code := c.Status(t); code != 0 {
		t.Errorf("after leaving the UI the cluster has status %d", code)
	}
	if picture != "" {
		// The picture shows the cluster name that a user would use, with as many letters as the test's.
		svg := strings.ReplaceAll(tmuxterm.SVG(term.Shots, columns, rows), c.Name, "my-bonsai")
		if err := os.WriteFile(picture, []byte(svg), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

package e2e

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"bonsai/bootstrap/cluster"
	"bonsai/bootstrap/fault"
	"bonsai/test/e2e/harness"
)

// addonStates are what "bonsai addons list" prints, as "name=state".
func addonStates(t *testing.T, c *harness.Cluster) string {
	t.Helper()
	var list map[string]struct{ Status, State string }
	if err := json.Unmarshal([]byte(c.Must(t, "addons", "list", "-o", "json")), &list); err != nil {
		t.Fatal(err)
	}
	var words []string
	for _, name := range []string{"default-storageclass", "dns", "loadbalancer", "localhost-names", "network-policy", "storage-provisioner"} {
		words = append(words, name+"="+list[name].State)
		if want := map[bool]string{true: "disabled", false: "enabled"}[list[name].State == "disabled"]; list[name].Status != want {
			t.Errorf("%s is %s, and %s in minikube's words", name, list[name].State, list[name].Status)
		}
	}
	return strings.Join(words, " ")
}

// wantStates waits for states: some are those of nodes, which report them a moment after a start has returned.
func wantStates(t *testing.T, c *harness.Cluster, want string) {
	t.Helper()
	harness.Until(t, time.Minute, "addons that are "+want, func() error {
		if got := addonStates(t, c); got != want {
			return errors.New(got)
		}
		return nil
	})
}

// What a user chooses holds for the cluster's life, and the reported state is the actual one.
func TestAddons(t *testing.T) {
	t.Parallel()
	c := harness.New(t)
	if r := c.Bonsai(t, "addons", "list", "--all"); r.Code != 0 || !strings.Contains(r.Stdout, "pod-security-policy") {
		t.Errorf("without a cluster: %s", r)
	}
	c.Start(t, "--nodes", "1")
	wantStates(t, c, "default-storageclass=running dns=running loadbalancer=running localhost-names=running network-policy=running storage-provisioner=running")
	harness.Until(t, 30*time.Second, "the first figures of the node", func() error {
		if r := c.Bonsai(t, "addons", "status"); r.Code != 0 {
			return errors.New(r.String())
		}
		return nil
	})

	t.Run("list is quick", func(t *testing.T) {
		best := time.Hour
		for range 5 {
			best = min(best, c.Bonsai(t, "addons", "list").Took)
		}
		t.Logf("addons list took %s", best)
		if best > 2*time.Second { // 150 ms on a quiet machine
			t.Errorf("addons list takes %s", best)
		}
	})

	t.Run("disable and enable", func(t *testing.T) {
		wantCode(t, c.Bonsai(t, "addons", "disable", "storage-provisioner"), code(fault.Addon))
		c.Must(t, "addons", "disable", "storage-provisioner", "--cascade")
		wantStates(t, c, "default-storageclass=disabled dns=running loadbalancer=running localhost-names=running network-policy=running storage-provisioner=disabled")
		if left := c.Kubectl(t, "get", "storageclass", "-o", "name"); left != "" {
			t.Errorf("disable left %s", left)
		}
		r := c.Bonsai(t, "addons", "enable", "default-storageclass")
		wantCode(t, r, 0)
		t.Logf("storage was enabled in %s", r.Took)
		wantStates(t, c, "default-storageclass=running dns=running loadbalancer=running localhost-names=running network-policy=running storage-provisioner=running")
		wantCode(t, c.Bonsai(t, "addons", "enable", "default-storageclas"), code(fault.AddonNotFound))
	})

	t.Run("the choice outlives the cluster's sleep", func(t *testing.T) {
		c.Must(t, "addons", "disable", "dns")
		if s, _ := c.Status(t); s.Nodes[0].DNS != "" {
			t.Errorf("with the addon disabled the node's DNS is reported as %s", s.Nodes[0].DNS)
		}
		c.Must(t, "stop")
		c.Must(t, "addons", "disable", "default-storageclass")
		wantStates(t, c, "default-storageclass=disabled dns=disabled loadbalancer=stopped localhost-names=stopped network-policy=stopped storage-provisioner=stopped")
		wantCode(t, c.Bonsai(t, "addons", "status"), code(fault.NotRunning))
		c.Start(t) // without an answer of DNS to wait for
		harness.Until(t, time.Minute, "the addons are as chosen, which a start without DNS does not wait for", func() error {
			if got := addonStates(t, c); got != "default-storageclass=disabled dns=disabled loadbalancer=running localhost-names=running network-policy=running storage-provisioner=running" {
				return errors.New(got)
			}
			if left := strings.TrimSpace(c.Kubectl(t, "get", "service,storageclass", "-A", "-o", "name")); left != "service/kubernetes" {
				return fmt.Errorf("disabled addons have %s", left)
			}
			return nil
		})
		c.Start(t, "--addons", "dns,default-storageclass")
		for _, name := range []string{"dns", "default-storageclass"} {
			c.Must(t, "addons", "enable", name) // waits until it runs
		}
		wantStates(t, c, "default-storageclass=running dns=running loadbalancer=running localhost-names=running network-policy=running storage-provisioner=running")
	})

	t.Run("a node that is gone shows", func(t *testing.T) {
		harness.Docker(t, "kill", harness.Container(t, c.Nodes(t)[0]))
		var r harness.Result
		for begin := time.Now(); time.Since(begin) < 20*time.Second; {
			if r = c.Bonsai(t, "addons", "status", "dns"); r.Code != 0 {
				break
			}
		}
		if r.Code != code(fault.Addon) || !strings.Contains(r.Stdout, "the node does not answer") || !strings.Contains(r.Stdout, "bonsai start -p "+c.Name) {
			t.Errorf("%s", r)
		}
		if s, _ := c.Status(t); s.Nodes[0].DNS == cluster.PhaseRunning {
			t.Error("DNS of a node that is gone is reported as running")
		}
		c.Start(t)
		wantStates(t, c, "default-storageclass=running dns=running loadbalancer=running localhost-names=running network-policy=running storage-provisioner=running")
	})
}

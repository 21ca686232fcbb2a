package e2e

import (
	"encoding/json"
	"fmt"
	"strings"
	"syscall"
	"testing"
	"time"

	"bonsai/bootstrap/cluster"
	"bonsai/bootstrap/fault"
	"bonsai/test/e2e/harness"
)

// historyOf is what "bonsai history -o json" says.
func historyOf(t *testing.T, c *harness.Cluster, args ...string) (h cluster.History) {
	t.Helper()
	if err := json.Unmarshal([]byte(c.Must(t, "history", append(args, "-o", "json")...)), &h); err != nil {
		t.Fatal(err)
	}
	return h
}

// wantHistory checks who has changed an object in which way, the newest first.
func wantHistory(t *testing.T, c *harness.Cluster, object string, want ...string) {
	t.Helper()
	var got []string
	for _, change := range historyOf(t, c, object).Changes {
		got = append(got, change.Change+" by "+change.Who)
	}
	if strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("history of %s:\n%s\nwant\n%s", object, strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

// TestHistory: what kubectl does is recorded with who did it, over a stop, a crash and a restore, and can be taken back.
func TestHistory(t *testing.T) {
	t.Parallel()
	c := harness.New(t)
	c.Start(t, "--nodes", "0")
	value := func() string {
		t.Helper()
		return c.Kubectl(t, "get", "configmap", "settings", "-o", "jsonpath={.data.a}")
	}

	c.Kubectl(t, "create", "configmap", "settings", "--from-literal=a=1")
	c.Kubectl(t, "create", "secret", "generic", "s", "--from-literal=password=open-sesame")
	first := historyOf(t, c, "cm/settings").Changes[0]
	c.Kubectl(t, "patch", "configmap", "settings", "-p", `{"data": {"a": "2"}}`)
	c.Kubectl(t, "patch", "secret", "s", "-p", `{"stringData": {"password": "another"}}`)
	wantHistory(t, c, "cm/settings", "updated by kubectl patch", "created by kubectl create configmap")
	fields := historyOf(t, c, "cm/settings").Changes[0].Fields
	if len(fields) != 1 || fields[0].Path != "data.a" || string(fields[0].Before) != `"1"` || string(fields[0].After) != `"2"` {
		t.Errorf("the fields are %+v", fields)
	}
	for _, args := range [][]string{{"history", "secret/s", "-o", "json"}, {"history", "secret/s"}, {"diff", "--at", first.Time.Format(time.RFC3339Nano), "-o", "json"}} {
		if out := c.Must(t, args[0], args[1:]...); strings.Contains(out, "sesame") || strings.Contains(out, "b3Blbi1zZXNhbWU") || strings.Contains(out, "YW5vdGhlcg") {
			t.Errorf("%v shows a Secret:\n%s", args, out)
		}
	}
	if out := c.Must(t, "diff", "cm/settings", "--at", first.Time.Format(time.RFC3339Nano)); !strings.Contains(out, "data.a: \"1\"") {
		t.Errorf("diff prints\n%s", out)
	}

	began := time.Now()
	c.Must(t, "history")
	t.Logf("history took %s", time.Since(began).Round(time.Millisecond))

	c.Must(t, "revert", "configmap/settings", "--to", fmt.Sprint(first.Revision))
	if got := value(); got != "1" {
		t.Errorf("after the revert it is %q", got)
	}
	c.Kubectl(t, "delete", "configmap", "settings")
	c.Must(t, "revert", "configmap/settings", "--dry-run")
	wantHistory(t, c, "cm/settings", "deleted by kubectl delete", "updated by bonsai revert", "updated by kubectl patch", "created by kubectl create configmap")
	c.Must(t, "revert", "configmap/settings")
	if got := value(); got != "1" {
		t.Errorf("after it was created again it is %q", got)
	}

	// A crash: etcd has what was not written yet.
	c.Kubectl(t, "patch", "configmap", "settings", "-p", `{"data": {"a": "3"}}`)
	if err := syscall.Kill(daemonPID(t, c), syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	harness.Until(t, 30*time.Second, "the control plane being back", func() error {
		if r := c.Bonsai(t, "history", "cm/settings"); r.Code != 0 {
			return fmt.Errorf("history: %s", r)
		}
		return nil
	})
	if h := historyOf(t, c, "cm/settings"); len(h.Gaps) > 0 || len(h.Changes) != 6 || h.Changes[0].Fields[0].Path != "data.a" {
		t.Errorf("after a crash: %+v", h)
	}

	c.Must(t, "stop")
	wantCode(t, c.Bonsai(t, "history"), code(fault.NotRunning))
	c.Start(t)
	if h := historyOf(t, c, "cm/settings"); len(h.Gaps) > 0 || len(h.Changes) != 6 {
		t.Errorf("after a start: %+v", h)
	}

	// A restore replaces everything at once: that is a gap, and what was before can still be taken back.
	c.Must(t, "checkpoint", "save", "base")
	c.Kubectl(t, "delete", "configmap", "settings")
	c.Must(t, "checkpoint", "restore", "base")
	h := historyOf(t, c, "cm/settings")
	if len(h.Gaps) != 1 || len(h.Changes) != 7 {
		t.Errorf("after a restore: %+v", h)
	}
	wantCode(t, c.Bonsai(t, "diff", "--at", first.Time.Format(time.RFC3339Nano)), code(fault.ObjectNotFound))
	c.Must(t, "revert", "configmap/settings", "--to", fmt.Sprint(first.Revision))
	if got := value(); got != "1" {
		t.Errorf("after a revert beyond the gap it is %q", got)
	}

	wantCode(t, c.Bonsai(t, "history", "deploy/nix"), code(fault.ObjectNotFound))
	wantCode(t, c.Bonsai(t, "revert", "configmap/settings"), code(fault.Usage))
}

package e2e

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"bonsai/bootstrap/fault"
	"bonsai/test/e2e/harness"
)

// testCheckpointVolumes: the data of claims goes back with the objects, and comes along into a fork.
func testCheckpointVolumes(t *testing.T, c *harness.Cluster, n *harness.Namespace) {
	n.WaitReady(t, "writer")
	n.Exec(t, "writer", "sh", "-c", "mkdir -p /data/own && echo mine >/data/own/file && ln -f /data/own/file /data/own/link && ln -sf file /data/own/soft && "+
		"chown -R 1234:5678 /data/own && chmod 640 /data/own/file && dd if=/dev/zero of=/data/own/large bs=1M count=20 && sync")
	began := time.Now()
	said := c.Must(t, "checkpoint", "save", "data", "--with-volumes")
	t.Logf("save took %s: %s", time.Since(began), said)
	if out := c.Must(t, "checkpoint", "list"); !strings.Contains(out, " MB ") {
		t.Errorf("the list does not have the size of the data:\n%s", out)
	}
	before := configMaps(t, n)
	change := func() {
		n.Exec(t, "writer", "sh", "-c", "echo second >/data/file; rm -rf /data/own")
		busy := withClaim(n, "busy", "data") // writes all the time, also while the data is replaced
		busy.Spec.Containers[0].Args = []string{"-c", "while true; do echo more >>/data/log; sleep 1; done"}
		n.Create(t, busy)
		makeConfigMap(t, n, "after")
	}
	const ask = "cat /data/file; cat /data/own/file; ls /data; stat -c '%u:%g %a %h' /data/own/file; readlink /data/own/soft"
	want := func(when string, restored bool) {
		t.Helper()
		content := "first\nmine\nfile\nown\n1234:5678 640 2\nfile\n"
		maps := before
		if !restored {
			content, maps = "second\nfile\nlog\n", append([]string{"after"}, before...)
			slices.Sort(maps)
		}
		harness.Until(t, time.Minute, when+", the claim has its data", func() error {
			r := n.Bonsai(t, "kubectl", "--", "-n", n.Namespace, "exec", "writer", "--", "sh", "-c", ask+" 2>/dev/null || true")
			if r.Code != 0 || r.Stdout != content {
				return errors.New(r.Stdout + r.Stderr)
			}
			return nil
		})
		wantMaps(t, n, maps...)
	}
	want("at first", true)
	change()
	want("after changes", false)
	began = time.Now()
	c.Must(t, "checkpoint", "restore", "data")
	t.Logf("restore took %s", time.Since(began))
	want("after the restore", true)
	undo := strings.Fields(strings.Split(c.Must(t, "checkpoint", "list"), "\n")[1])[0]
	c.Must(t, "checkpoint", "restore", undo)
	want("after it was undone", false)

	for _, after := range []time.Duration{200 * time.Millisecond, 700 * time.Millisecond, 1500 * time.Millisecond, 2500 * time.Millisecond, 4 * time.Second} {
		ctx, cancel := context.WithTimeout(t.Context(), harness.Scale(after))
		_ = c.Command(ctx, "checkpoint", "restore", "data", "-p", c.Name).Run() // it is killed, or done
		cancel()
		c.Start(t)
		restored := !slices.Contains(configMaps(t, n), "after")
		t.Logf("killed after %s: the objects are restored: %v", after, restored)
		want("killed after "+after.String(), restored)
		wantNoLeftovers(t, c)
		if _, err := os.Stat(filepath.Join(c.Dir, "clusters", c.Name, "restoring.json")); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("killed after %s: the record is left (%v)", after, err)
		}
		for _, node := range c.Nodes(t) {
			if left := harness.InNode(t, node, "sh", "-c", "ls /var/lib/bonsai | grep incoming || true"); left != "" {
				t.Errorf("killed after %s: %s has %s", after, node, left)
			}
		}
		if restored {
			change()
		}
	}

	fork := &harness.Cluster{Home: c.Home, Name: c.Home.Name()}
	c.Must(t, "fork", "data", "--as", fork.Name)
	there := &harness.Namespace{Cluster: fork, Namespace: n.Namespace, Client: fork.Client(t)}
	there.WaitReady(t, "writer")
	if got := there.Exec(t, "writer", "cat", "/data/file", "/data/own/file"); got != "first\nmine\n" {
		t.Errorf("the fork has %q", got)
	}
	fork.Must(t, "delete")

	c.Must(t, "checkpoint", "restore", "data")
	want("at the end", true)
	n.Exec(t, "writer", "rm", "-rf", "/data/own")
	c.Must(t, "stop")
	wantCode(t, c.Bonsai(t, "checkpoint", "save", "x", "--with-volumes"), code(fault.NotRunning))
	c.Must(t, "checkpoint", "restore", "data") // of a cluster that does not run
	want("after the restore of a stopped cluster", true)
	n.Exec(t, "writer", "rm", "-rf", "/data/own")
	c.Must(t, "checkpoint", "delete", "data")
	if left, err := filepath.Glob(filepath.Join(c.Dir, "clusters", c.Name, "checkpoints", "*data*")); err != nil || len(left) > 0 {
		t.Errorf("left are %v, %v", left, err)
	}
}

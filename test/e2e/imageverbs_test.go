package e2e

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"bonsai/bootstrap/fault"
	"bonsai/test/e2e/harness"
)

// Images are built into all nodes, built again with only what changed, saved, pulled and removed; what was removed does not
// come back with a new node.
func TestImageVerbs(t *testing.T) {
	t.Parallel()
	c := harness.New(t)
	m := serveRegistries(t)
	c.Start(t, append([]string{"--nodes", "2"}, m.flags...)...)
	folder := filepath.Join(t.TempDir(), c.Name)
	write := func(name, text string) {
		t.Helper()
		if err := errors.Join(os.MkdirAll(folder, 0o700), os.WriteFile(filepath.Join(folder, name), []byte(text), 0o600)); err != nil {
			t.Fatal(err)
		}
	}
	write("Dockerfile", "FROM scratch\nLABEL test="+c.Name+"\nCOPY base /base\nCOPY top /top\n")
	write("base", c.Name+strings.Repeat("base of the image ", 100000))
	write("top", c.Name)
	tag := "docker.io/library/" + c.Name + ":dev"
	t.Cleanup(func() { _, _ = harness.TryDocker("rmi", "-f", c.Name+":dev", c.Name+":2") })
	on := func(name string) (nodes string) {
		t.Helper()
		for line := range strings.Lines(c.Must(t, "image", "ls")) {
			if f := strings.Fields(line); f[0] == name {
				nodes = f[1]
			}
		}
		return nodes
	}

	if out := c.Must(t, "image", "build", folder); strings.TrimSpace(out) != tag || on(tag) != "all" {
		t.Errorf("image build printed %q, and it is on %q", out, on(tag))
	}
	// Again, when nodes have most of it.
	write("top", c.Name+" changed")
	second := "docker.io/library/" + c.Name + ":2"
	if out := c.Must(t, "image", "build", "-t", c.Name+":2", folder); strings.TrimSpace(out) != second || on(second) != "all" {
		t.Errorf("image build printed %q, and it is on %q", out, on(second))
	}
	file := filepath.Join(t.TempDir(), "saved.tar")
	c.Must(t, "image", "save", c.Name+":2", "-o", file)
	want := harness.Docker(t, "inspect", "-f", "{{json .RootFS.Layers}}", c.Name+":2")
	harness.Docker(t, "rmi", "-f", c.Name+":2")
	harness.Docker(t, "load", "-i", file)
	if got := harness.Docker(t, "inspect", "-f", "{{json .RootFS.Layers}}", c.Name+":2"); got != want {
		t.Errorf("the saved image has the layers %s, want %s", got, want)
	}

	// What a pull brings is what a pod would pull: with the mirrors and their passwords.
	for _, ref := range pulled {
		c.Must(t, "image", "pull", ref)
	}
	if got := on("tlsauth.bonsai.test/box:1"); got != "all" {
		t.Errorf("the pulled image is on %q", got)
	}
	if r := c.Bonsai(t, "image", "pull", "plain.bonsai.test/nobody-has-this:1"); r.Code != fault.ExitCode(fault.Newf(fault.Image, "")) || !strings.Contains(r.Stderr, "not found") {
		t.Error(r)
	}

	// One of two tags: the other stays, also for nodes that come later.
	c.Must(t, "image", "rm", c.Name+":dev")
	c.Start(t, "--nodes", "3")
	if on(tag) != "" || on(second) != "all" {
		t.Errorf("after the removal, %s is on %q and %s on %q", tag, on(tag), second, on(second))
	}
	c.Must(t, "image", "rm", c.Name+":2", "tlsauth.bonsai.test/box:1")
	if on(second) != "" {
		t.Errorf("%s is still on %q", second, on(second))
	}
}

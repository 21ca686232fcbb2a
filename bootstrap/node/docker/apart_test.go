package docker

import (
	"os"
	"strings"
	"testing"
)

// TestOnlyAContainerOfTheSameEngineIsApart: a marker in the file system, such as /.dockerenv, also exists in machines and in
// containers that have an engine in them.
func TestOnlyAContainerOfTheSameEngineIsApart(t *testing.T) {
	d, err := Connect(os.Getenv, Options{Scale: 1})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = d.Close() }()
	if _, err := d.Ping(t.Context()); err != nil {
		t.Skipf("needs a Docker engine: %v", err)
	}
	if d.apart(t.Context()) {
		if mounts, err := os.ReadFile("/proc/self/mountinfo"); err != nil || containerFolder.FindSubmatch(mounts) == nil {
			t.Errorf("this process is said to be apart: %v", err)
		}
	}
	unknown := "1 2 8:1 /var/lib/docker/containers/" + strings.Repeat("ab", 32) + "/hostname /etc/hostname rw - ext4 /dev/sda rw\n"
	if d.isApart(t.Context(), unknown) {
		t.Error("a container that the engine does not have is said to be one of its own")
	}
	if d.isApart(t.Context(), "1 2 8:1 / / rw - ext4 /dev/sda rw\n") {
		t.Error("a machine is said to be a container")
	}
}

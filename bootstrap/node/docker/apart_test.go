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
		if mounts, err := os.ReadFile("/proc/self/mountinfo"); err != nil || ownFile.FindSubmatch(mounts) == nil {
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

func TestTheMountsOfOtherContainersAreNotOnesOwn(t *testing.T) {
	id := strings.Repeat("0f", 32)
	for line, want := range map[string]string{
		"600 570 254:0 /var/lib/docker/containers/" + id + "/hostname /etc/hostname rw,relatime - ext4 /dev/vda rw":      id,
		"601 570 254:0 /docker/containers/" + id + "/resolv.conf /etc/resolv.conf rw,relatime - ext4 /dev/vda rw":        id,
		"602 27 0:99 / /var/lib/docker/containers/" + id + "/mounts/shm rw,relatime shared:9 - tmpfs shm rw,size=65536k": "",
		"603 27 254:0 /var/lib/docker/containers/" + id + "/mounts/x /mnt rw,relatime - ext4 /dev/vda rw":                "",
	} {
		got := ""
		if own := ownFile.FindStringSubmatch("27 1 254:0 / / rw - ext4 /dev/vda rw\n" + line + "\n"); own != nil {
			got = own[1]
		}
		if got != want {
			t.Errorf("%s: %q, want %q", line, got, want)
		}
	}
}

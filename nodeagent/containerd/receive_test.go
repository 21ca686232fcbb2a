package containerd

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/containerd/containerd/v2/core/mount"
)

// What was unpacked becomes the snapshot's own folder, which exists and is empty; one that is not empty stays as it is.
func TestTakeFolder(t *testing.T) {
	for what, c := range map[string]struct {
		mounts func(own string) []mount.Mount
		full   bool
		taken  bool
	}{
		"the lowest": {func(own string) []mount.Mount {
			return []mount.Mount{{Type: "bind", Source: own, Options: []string{"rw", "rbind"}}}
		}, false, true},
		"on others": {func(own string) []mount.Mount {
			return []mount.Mount{{Type: "overlay", Source: "overlay", Options: []string{"workdir=/work", "upperdir=" + own, "lowerdir=/below"}}}
		}, false, true},
		"not empty": {func(own string) []mount.Mount { return []mount.Mount{{Type: "bind", Source: own}} }, true, false},
		"read-only": {func(string) []mount.Mount {
			return []mount.Mount{{Type: "overlay", Options: []string{"lowerdir=/a:/b"}}}
		}, false, false},
		"another": {func(own string) []mount.Mount { return []mount.Mount{{Type: "erofs", Source: own}} }, false, false},
	} {
		dir := t.TempDir()
		from, own := filepath.Join(dir, "from"), filepath.Join(dir, "own")
		if err := errors.Join(os.Mkdir(from, 0o750), os.Mkdir(own, 0o755), os.WriteFile(filepath.Join(from, "file"), []byte("new"), 0o600)); err != nil {
			t.Fatal(err)
		}
		if c.full {
			if err := os.WriteFile(filepath.Join(own, "old"), nil, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		err := takeFolder(from, c.mounts(own))
		data, readErr := os.ReadFile(filepath.Join(own, "file"))
		if taken := err == nil && readErr == nil && string(data) == "new"; taken != c.taken || (err == nil) != c.taken {
			t.Errorf("%s: %v, and the folder has %q, %v", what, err, data, readErr)
		}
	}
}

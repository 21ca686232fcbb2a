package statedir

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"bonsai/bootstrap/cluster"
	"bonsai/bootstrap/fault"
)

func TestAMountInTheFolderIsNotEmptied(t *testing.T) {
	c := Dir{Root: t.TempDir()}.Cluster("dev")
	if err := c.Create(); err != nil {
		t.Fatal(err)
	}
	elsewhere := t.TempDir()
	file := filepath.Join(elsewhere, "data")
	if err := os.WriteFile(file, []byte("precious"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Mount(elsewhere, c.Etcd(), "", syscall.MS_BIND, ""); errors.Is(err, os.ErrPermission) {
		t.Skip("only root may mount")
	} else if err != nil {
		t.Fatal(err)
	}
	removed, cleared := c.Remove(), c.Clear()
	if err := syscall.Unmount(c.Etcd(), 0); err != nil {
		t.Fatal(err)
	}
	if data, err := os.ReadFile(file); err != nil || string(data) != "precious" {
		t.Errorf("what was mounted is %q, %v", data, err)
	}
	for _, err := range []error{removed, cleared} {
		f, ok := errors.AsType[*fault.Fault](err)
		if !ok || f.Kind != fault.State || !strings.Contains((cluster.Problem{Advice: f.Advice}).HintText(), "umount "+c.Etcd()) {
			t.Errorf("got %v", err)
		}
	}
	if err := c.Remove(); err != nil {
		t.Errorf("after it was unmounted: %v", err)
	}
}

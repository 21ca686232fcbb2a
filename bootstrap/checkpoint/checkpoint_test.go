package checkpoint

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"bonsai/bootstrap/cluster"
)

var (
	data = bytes.Repeat([]byte("objects of a cluster "), 50000)
	at   = time.Date(2026, 11, 29, 12, 0, 0, 0, time.UTC)
)

func spec() cluster.Spec {
	s := cluster.Spec{
		Version: cluster.SpecVersion, Name: "dev", ID: "abcdefghijkl", Suffix: "abcd", KubernetesVersion: "1.37", APIPort: 6443,
		Subnet: netip.MustParsePrefix("10.201.0.0/22"), PodSubnet: cluster.DefaultPodSubnet, ServiceSubnet: cluster.DefaultServiceSubnet,
	}
	s.Nodes = []cluster.Node{s.PlanNode(1), s.PlanNode(2)}
	s.Replan()
	return s
}

func folder(t *testing.T) Folder {
	return Folder{Path: filepath.Join(t.TempDir(), "checkpoints"), Limits: Limits{Count: 3, Automatic: 2, Bytes: 1 << 20}}
}

// save saves a checkpoint that is minutes old.
func (f Folder) save(t *testing.T, name string, minutes int) error {
	t.Helper()
	c := cluster.Checkpoint{Name: name, Created: at.Add(-time.Duration(minutes) * time.Minute), Cluster: "dev", ClusterID: "abcdefghijkl"}
	_, err := f.Save(c, spec(), func(w io.Writer) (cluster.StoreCopy, error) {
		_, err := w.Write(data)
		return cluster.StoreCopy{Objects: 5, Revision: 77, StoreBytes: int64(len(data))}, err
	})
	return err
}

func (f Folder) must(t *testing.T, name string, minutes int) {
	t.Helper()
	if err := f.save(t, name, minutes); err != nil {
		t.Fatal(err)
	}
}

func (f Folder) names(t *testing.T) (names []string) {
	t.Helper()
	list, err := f.List()
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range list {
		names = append(names, c.Name)
	}
	return names
}

func TestSaveAndRead(t *testing.T) {
	f := folder(t)
	if list, err := f.List(); err != nil || list == nil || len(list) != 0 {
		t.Errorf("without a folder: %v, %v", list, err)
	}
	f.must(t, "a", 2)
	f.must(t, "b-2", 1)
	if got, want := f.names(t), []string{"b-2", "a"}; !slices.Equal(got, want) {
		t.Errorf("listed are %v, want %v", got, want)
	}
	c, plan, err := f.Verify(t.Context(), "a")
	if err != nil || c.Objects != 5 || c.Revision != 77 || c.Created != at.Add(-2*time.Minute) || len(plan.Nodes) != 2 {
		t.Errorf("got %+v, %+v, %v", c, plan, err)
	}
	r, err := f.Open("a")
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if got, err := io.ReadAll(r); err != nil || !bytes.Equal(got, data) {
		t.Errorf("read %d bytes, %v; want %d", len(got), err, len(data))
	}
	err = filepath.WalkDir(f.Path, func(path string, e fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := e.Info()
		if want := map[bool]fs.FileMode{true: 0o700, false: 0o600}[e.IsDir()]; err == nil && info.Mode().Perm() != want {
			t.Errorf("%s has mode %v, want %v", path, info.Mode(), want)
		}
		return err
	})
	if err != nil {
		t.Error(err)
	}
	if err := f.save(t, "a", 0); !errors.Is(err, ErrExists) {
		t.Errorf("a second one of that name: %v", err)
	}
	for _, name := range []string{"none", "", "..", "../checkpoints/a", "a/", ".partial-a"} {
		if err := f.Delete(name); !errors.Is(err, ErrNotFound) {
			t.Errorf("Delete(%q): %v", name, err)
		}
		if _, err := f.Open(name); !errors.Is(err, ErrNotFound) {
			t.Errorf("Open(%q): %v", name, err)
		}
	}
	if err := f.Delete("a"); err != nil {
		t.Error(err)
	}
	if got := f.names(t); !slices.Equal(got, []string{"b-2"}) {
		t.Errorf("after a delete there are %v", got)
	}
}

func TestLimits(t *testing.T) {
	f := folder(t)
	for i := range 3 {
		f.must(t, fmt.Sprint("c", i), 10+i)
	}
	if err := f.save(t, "c3", 0); !errors.Is(err, ErrFull) {
		t.Errorf("a fourth of three: %v", err)
	}
	for i := range 5 { // of these the oldest go
		f.must(t, fmt.Sprint(cluster.AutomaticCheckpoint, i), 5-i)
	}
	if got, want := f.names(t), []string{"auto-4", "auto-3", "c0", "c1", "c2"}; !slices.Equal(got, want) {
		t.Errorf("there are %v, want %v", got, want)
	}
	if err := f.Delete("c0"); err != nil {
		t.Fatal(err)
	}
	f.Limits.Bytes = 100
	if err := f.save(t, "c3", 0); !errors.Is(err, ErrFull) {
		t.Errorf("without room: %v", err)
	}
}

func TestAFailedSaveLeavesNothing(t *testing.T) {
	f := folder(t)
	torn := errors.New("torn")
	if _, err := f.Save(cluster.Checkpoint{Name: "a"}, spec(), func(w io.Writer) (cluster.StoreCopy, error) {
		_, _ = w.Write(data)
		return cluster.StoreCopy{}, torn
	}); !errors.Is(err, torn) {
		t.Errorf("got %v", err)
	}
	if entries, err := os.ReadDir(f.Path); err != nil || len(entries) > 0 {
		t.Errorf("there are %v, %v", entries, err)
	}
	// One that was killed.
	if err := os.MkdirAll(filepath.Join(f.Path, partial+"123"), 0o700); err != nil {
		t.Fatal(err)
	}
	if got := f.names(t); len(got) > 0 {
		t.Errorf("half a checkpoint is listed: %v", got)
	}
	f.must(t, "a", 0)
	if entries, err := os.ReadDir(f.Path); err != nil || len(entries) != 1 {
		t.Errorf("there are %v, %v", entries, err)
	}
}

func TestDamage(t *testing.T) {
	for name, damage := range map[string]struct {
		do   func(dir string) error
		want error
	}{
		"a byte of the data": {func(dir string) error {
			path := filepath.Join(dir, storeFile)
			text, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			text[len(text)/2] ^= 1
			return os.WriteFile(path, text, 0o600)
		}, ErrDamaged},
		"the end of the data": {func(dir string) error { return os.Truncate(filepath.Join(dir, storeFile), 100) }, ErrDamaged},
		"something after it": {func(dir string) error {
			f, err := os.OpenFile(filepath.Join(dir, storeFile), os.O_APPEND|os.O_WRONLY, 0)
			if err != nil {
				return err
			}
			_, err = f.WriteString("more")
			return errors.Join(err, f.Close())
		}, ErrDamaged},
		"no data":        {func(dir string) error { return os.Remove(filepath.Join(dir, storeFile)) }, ErrDamaged},
		"no description": {func(dir string) error { return os.Remove(filepath.Join(dir, descriptionFile)) }, ErrDamaged},
		"its description": {func(dir string) error {
			return os.WriteFile(filepath.Join(dir, descriptionFile), []byte(`{"format":1,"name":"a"}`), 0o600)
		}, ErrDamaged},
		"another format": {func(dir string) error {
			return os.WriteFile(filepath.Join(dir, descriptionFile), []byte(`{"format":3}`), 0o600)
		}, ErrNewer},
	} {
		t.Run(name, func(t *testing.T) {
			f := folder(t)
			f.must(t, "a", 0)
			if err := damage.do(filepath.Join(f.Path, "a")); err != nil {
				t.Fatal(err)
			}
			if _, _, err := f.Verify(t.Context(), "a"); !errors.Is(err, damage.want) {
				t.Errorf("Verify: %v, want %v", err, damage.want)
			}
			if got := f.names(t); !slices.Equal(got, []string{"a"}) { // it is shown, and can be deleted
				t.Errorf("listed are %v", got)
			}
			if err := f.Delete("a"); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestVerifyEndsWithItsContext(t *testing.T) {
	f := folder(t)
	f.must(t, "a", 0)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, _, err := f.Verify(ctx, "a"); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}

func FuzzDecode(f *testing.F) {
	f.Add([]byte(`{"format":1,"name":"a","sha256":"` + strings.Repeat("ab", 32) + `"}`))
	f.Add([]byte(`{"format":9}`))
	f.Add([]byte(`[]`))
	f.Fuzz(func(t *testing.T, text []byte) {
		d, err := decode("a", text)
		if err != nil {
			if !errors.Is(err, ErrDamaged) && !errors.Is(err, ErrNewer) {
				t.Errorf("%v", err)
			}
			return
		}
		if d.Name != "a" || len(d.SHA256) != 64 {
			t.Errorf("accepted %+v", d)
		}
		if _, err := json.Marshal(d.Checkpoint); err != nil && d.Created.Year() < 10000 && d.Created.Year() >= 0 {
			t.Error(err)
		}
	})
}

package statedir

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"bonsai/bootstrap/cluster"
	"bonsai/bootstrap/fault"
)

func testCluster(t *testing.T) Cluster {
	t.Helper()
	c := Dir{Root: filepath.Join(t.TempDir(), "home")}.Cluster("dev")
	if err := c.Create(); err != nil {
		t.Fatal(err)
	}
	return c
}

func testSpec() *cluster.Spec {
	return &cluster.Spec{Version: cluster.SpecVersion, Name: "dev", ID: "x", KubernetesVersion: "1.37", APIPort: 6443}
}

func wantKind(t *testing.T, err error, kind fault.Kind, hint string) {
	t.Helper()
	f, ok := errors.AsType[*fault.Fault](err)
	if !ok || f.Kind != kind || !strings.Contains(fault.Problem(f).HintText(), hint) {
		t.Errorf("got %v (%s, hint %q), want kind %s with hint %q", err, fault.KindOf(err), fault.Problem(err).HintText(), kind, hint)
	}
}

func TestEverythingIsPrivate(t *testing.T) {
	c := testCluster(t)
	if err := os.Chmod(c.Logs(), 0o755); err != nil {
		t.Fatal(err)
	}
	lock, err := c.Lock(t.Context(), "start")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = lock.Release() }()
	if err := errors.Join(c.SaveSpec(testSpec()), c.SaveTimeline(&cluster.Timeline{}), c.CreateSocketDir()); err != nil {
		t.Fatal(err)
	}
	daemon, err := c.LockDaemon(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = daemon.Release() }()
	root := filepath.Dir(filepath.Dir(c.Dir()))
	err = filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		want := fs.FileMode(0o600)
		if d.IsDir() {
			want = 0o700
		}
		if d.Type()&fs.ModeSymlink == 0 && info.Mode().Perm() != want {
			t.Errorf("%s has mode %s", path, info.Mode())
		}
		if strings.HasSuffix(path, ".tmp") {
			t.Errorf("%s was left behind", path)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestHomeThatTheUserSharesKeepsItsMode(t *testing.T) {
	root := t.TempDir()
	if err := os.Chmod(root, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := (Dir{Root: root}).Cluster("dev").Create(); err != nil {
		t.Fatal(err)
	}
	if info, _ := os.Stat(root); info.Mode().Perm() != 0o755 {
		t.Errorf("mode of the folder is now %s", info.Mode())
	}
}

func TestSpecRoundTripAndList(t *testing.T) {
	c := testCluster(t)
	home := Dir{Root: filepath.Dir(filepath.Dir(c.Dir()))}
	if names, err := home.Clusters(); err != nil || len(names) != 0 {
		t.Fatalf("before the spec: %v, %v", names, err)
	}
	if _, err := c.LoadSpec(); fault.KindOf(err) != fault.NotFound {
		t.Fatalf("without a spec: %v", err)
	}
	if err := c.SaveSpec(testSpec()); err != nil {
		t.Fatal(err)
	}
	got, err := c.LoadSpec()
	if err != nil || got.APIPort != 6443 || !c.Exists() {
		t.Fatalf("got %+v, %v", got, err)
	}
	if names, err := home.Clusters(); err != nil || len(names) != 1 || names[0] != "dev" {
		t.Errorf("got %v, %v", names, err)
	}
	if err := c.Remove(); err != nil || c.Exists() {
		t.Errorf("after Remove: %v, exists %v", err, c.Exists())
	}
	if err := c.Remove(); err != nil {
		t.Errorf("second Remove: %v", err)
	}
	if names, err := (Dir{Root: "/nonexistent"}).Clusters(); err != nil || names != nil {
		t.Errorf("no state folder: %v, %v", names, err)
	}
}

func TestBrokenSpecs(t *testing.T) {
	c := testCluster(t)
	newer, other, invalid := testSpec(), testSpec(), testSpec()
	newer.Version, other.Name, invalid.APIPort = cluster.SpecVersion+1, "other", -1
	encode := func(v any) string {
		data, err := json.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		return string(data)
	}
	for what, content := range map[string]string{
		"empty": "", "cut": `{"version":1,"na`, "no object": `[]`, "wrong type": `{"version":1,"name":7}`, "invalid": encode(invalid),
		"newer": encode(newer), "newer in an unknown shape": `{"version":7,"nodes":"many"}`, "another cluster's": encode(other),
	} {
		if err := os.WriteFile(c.SpecFile(), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		_, err := c.LoadSpec()
		t.Logf("%s: %v", what, err)
		wantKind(t, err, fault.SpecBroken, "bonsai delete -p dev")
	}
	if !c.Exists() {
		t.Error("a broken cluster must stay listed, else it cannot be deleted by --all")
	}
}

func TestSecondOperationSeesWhichOneIsRunning(t *testing.T) {
	c := testCluster(t)
	first, err := c.Lock(t.Context(), "start")
	if err != nil {
		t.Fatal(err)
	}
	_, err = c.Lock(t.Context(), "delete")
	wantKind(t, err, fault.Busy, "kill ")
	if !strings.Contains(err.Error(), "bonsai start") {
		t.Errorf("the first operation is not named: %v", err)
	}
	if err := first.Release(); err != nil {
		t.Fatal(err)
	}
	again, err := c.Lock(t.Context(), "stop")
	if err != nil {
		t.Fatal(err)
	}
	if err := again.Release(); err != nil {
		t.Fatal(err)
	}
}

// A cluster can be used shortly before its start has ended; who then stops it does not have to try twice.
func TestAnOperationThatIsAboutToEndIsWaitedFor(t *testing.T) {
	c := testCluster(t)
	first, err := c.Lock(t.Context(), "start")
	if err != nil {
		t.Fatal(err)
	}
	released := make(chan error, 1)
	time.AfterFunc(5*busyPause, func() { released <- first.Release() })
	next, err := c.Lock(t.Context(), "stop")
	if err := errors.Join(err, <-released); err != nil {
		t.Fatal(err)
	}
	if err := next.Release(); err != nil {
		t.Fatal(err)
	}
}

func TestLockSurvivesDeletionOfTheFolder(t *testing.T) {
	c := testCluster(t)
	deleting, err := c.Lock(t.Context(), "delete")
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Remove(); err != nil {
		t.Fatal(err)
	}
	next, err := c.Lock(t.Context(), "start")
	if err != nil {
		t.Fatalf("after the folder was deleted: %v", err)
	}
	if err := deleting.Release(); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Lock(t.Context(), "stop"); fault.KindOf(err) != fault.Busy {
		t.Errorf("the new lock does not hold: %v", err)
	}
	if err := next.Release(); err != nil {
		t.Fatal(err)
	}
}

// TestANewerSpecNamesWhoCanReadIt: the bonsai that started the cluster last.
func TestANewerSpecNamesWhoCanReadIt(t *testing.T) {
	c := testCluster(t)
	spec := testSpec()
	spec.Version = cluster.SpecVersion + 1
	data, err := json.Marshal(spec)
	if err == nil {
		err = os.WriteFile(c.SpecFile(), data, 0o600)
	}
	if err == nil {
		err = os.WriteFile(filepath.Join(c.Dir(), "daemon.json"), []byte(`{"pid":1,"bonsai":"v9.1.0"}`), 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.LoadSpec(); fault.KindOf(err) != fault.SpecBroken || !strings.Contains(err.Error(), "last started by bonsai v9.1.0") {
		t.Errorf("got %v", err)
	}
}

func TestDaemonLock(t *testing.T) {
	c := testCluster(t)
	if c.DaemonAlive() {
		t.Error("alive before it began")
	}
	l, err := c.LockDaemon(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if d, ok := c.Daemon(); !c.DaemonAlive() || !ok || d.PID != os.Getpid() || time.Since(d.Started) > time.Minute {
		t.Errorf("alive %v, daemon %+v", c.DaemonAlive(), d)
	}
	if _, err := c.LockDaemon(t.Context()); fault.KindOf(err) != fault.Busy {
		t.Errorf("second daemon: %v", err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Millisecond)
	defer cancel()
	if err := c.WaitDaemonGone(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("wait for a living daemon: %v", err)
	}
	if err := l.Release(); err != nil {
		t.Fatal(err)
	}
	if err := c.WaitDaemonGone(t.Context()); err != nil || c.DaemonAlive() {
		t.Errorf("after its end: %v, alive %v", err, c.DaemonAlive())
	}
}

func TestSocketsOfALongPathLieInATemporaryFolder(t *testing.T) {
	long := Dir{Root: filepath.Join(t.TempDir(), strings.Repeat("long/", 20))}.Cluster("dev")
	short := Dir{Root: filepath.Join(shortTemp(t), "a b; ü'$")}.Cluster("dev")
	all := map[string]Cluster{"long": long, "short": short}
	for i, part := range []string{"a,b", "100%", "what?", "c#", `"x"`, "new\nline"} {
		c := Dir{Root: filepath.Join(shortTemp(t), part)}.Cluster(fmt.Sprintf("odd%d", i))
		all[part] = c
		t.Cleanup(func() {
			if !strings.HasPrefix(c.EtcdSocket(), os.TempDir()) || strings.Contains(c.EtcdSocket(), part) {
				t.Errorf("%q: no URL can have the socket's path %q", part, c.EtcdSocket())
			}
			if err := c.Remove(); err != nil {
				t.Error(err)
			}
		})
	}
	for what, c := range all {
		// Also before the cluster has a folder.
		if err := errors.Join(c.CreateSocketDir(), c.CreateSocketDir()); err != nil {
			t.Fatal(what, err)
		}
		l, err := net.Listen("unix", c.APISocket())
		if err != nil {
			t.Fatal(what, err)
		}
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if !strings.HasPrefix(short.EtcdSocket(), short.Dir()) || strings.HasPrefix(long.EtcdSocket(), long.Dir()) {
		t.Errorf("sockets: %s and %s", short.EtcdSocket(), long.EtcdSocket())
	}
	// Another shell with another TMPDIR finds the same place; the folder is made again after a reboot.
	before := long.APISocket()
	t.Setenv("TMPDIR", t.TempDir())
	if err := os.RemoveAll(filepath.Dir(before)); err != nil {
		t.Fatal(err)
	}
	if err := long.CreateSocketDir(); err != nil || long.APISocket() != before {
		t.Errorf("got %s, %v, want %s", long.APISocket(), err, before)
	}
	if err := long.Remove(); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Dir(before)); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the socket folder is left: %v", err)
	}
}

func TestForeignSocketFolderIsRefused(t *testing.T) {
	t.Setenv("TMPDIR", shortTemp(t))
	c := Dir{Root: filepath.Join(t.TempDir(), strings.Repeat("long/", 20))}.Cluster("dev")
	if err := c.Create(); err != nil {
		t.Fatal(err)
	}
	trap := filepath.Join(os.TempDir(), c.fallbackName())
	for what, prepare := range map[string]func() error{
		"open to others": func() error { return errors.Join(os.Mkdir(trap, 0o700), os.Chmod(trap, 0o777)) },
		"a link":         func() error { return os.Symlink(t.TempDir(), trap) },
		"a file":         func() error { return os.WriteFile(trap, nil, 0o600) },
	} {
		if err := prepare(); err != nil {
			t.Fatal(err)
		}
		err := c.CreateSocketDir()
		t.Logf("%s: %v", what, err)
		wantKind(t, err, fault.State, EnvHome)
		if err := os.RemoveAll(trap); err != nil {
			t.Fatal(err)
		}
	}
}

// shortTemp is a folder whose path leaves room for sockets, wherever TMPDIR points.
func shortTemp(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("/tmp", "bt")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	return dir
}

func TestWriteFileReplacesAtomically(t *testing.T) {
	path := filepath.Join(t.TempDir(), "f")
	for _, content := range []string{"one", "two"} {
		if err := WriteFile(path, []byte(content)); err != nil {
			t.Fatal(err)
		}
		if got, err := os.ReadFile(path); err != nil || string(got) != content {
			t.Fatalf("got %q, %v", got, err)
		}
	}
	err := WriteFile(filepath.Join(path, "below-a-file"), nil)
	wantKind(t, err, fault.State, "in the way")
}

func TestBadDisksAreNamed(t *testing.T) {
	for err, hint := range map[error]string{
		syscall.EROFS: "read-only", syscall.ENOSPC: "full", syscall.EDQUOT: "quota", syscall.EACCES: "chown", syscall.EPERM: "sudo",
	} {
		wantKind(t, wrap("write x", "/home/x", &fs.PathError{Op: "open", Path: "x", Err: err}), fault.State, hint)
	}
	if err := wrap("lock", "x", context.Canceled); fault.KindOf(err) == fault.State {
		t.Errorf("a cancelled wait became %v", err)
	}
}

func TestHome(t *testing.T) {
	t.Setenv(EnvHome, "")
	t.Setenv("HOME", "/home/someone")
	if d, err := Home(); err != nil || d.Root != "/home/someone/.bonsai" {
		t.Errorf("got %v, %v", d, err)
	}
	t.Setenv(EnvHome, "relative")
	if d, err := Home(); err != nil || !filepath.IsAbs(d.Root) {
		t.Errorf("got %v, %v", d, err)
	}
	t.Setenv(EnvHome, "")
	t.Setenv("HOME", "")
	_, err := Home()
	wantKind(t, err, fault.State, EnvHome)
}

func TestTheLastFiveStartsAreKept(t *testing.T) {
	c := Dir{Root: t.TempDir()}.Cluster("dev")
	if err := c.Create(); err != nil {
		t.Fatal(err)
	}
	if got := c.LoadTimelines(); got != nil {
		t.Errorf("before the first start: %v", got)
	}
	// An older bonsai kept only the last one.
	if err := c.saveJSON(c.path("timeline.json"), &cluster.Timeline{Total: 1}); err != nil {
		t.Fatal(err)
	}
	for i := range 6 {
		if err := c.SaveTimeline(&cluster.Timeline{Total: time.Duration(i + 2)}); err != nil {
			t.Fatal(err)
		}
	}
	var totals []time.Duration
	for _, tl := range c.LoadTimelines() {
		totals = append(totals, tl.Total)
	}
	if want := []time.Duration{7, 6, 5, 4, 3}; !slices.Equal(totals, want) {
		t.Errorf("got %v, want %v", totals, want)
	}
	if last := c.LoadTimeline(); last == nil || last.Total != 7 {
		t.Errorf("the last one is %v", last)
	}
}

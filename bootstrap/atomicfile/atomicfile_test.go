package atomicfile

import (
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

func TestWriteReplacesTheWholeFile(t *testing.T) {
	for name, o := range map[string]Options{"quick": {}, "durable": {Durable: true}, "keeping": {Keep: true, Durable: true}} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "file")
			for _, content := range []string{"a long first version\n", "short\n"} {
				if err := Write(path, []byte(content), 0o640, o); err != nil {
					t.Fatal(err)
				}
				if got, err := os.ReadFile(path); err != nil || string(got) != content {
					t.Errorf("got %q, %v; want %q", got, err, content)
				}
			}
			wantMode(t, path, 0o640)
			wantAlone(t, path)
		})
	}
}

func TestModeIsExactlyTheOneAskedFor(t *testing.T) {
	defer syscall.Umask(syscall.Umask(0o077))
	path := filepath.Join(t.TempDir(), "file")
	if err := Write(path, nil, 0o644, Options{}); err != nil {
		t.Fatal(err)
	}
	wantMode(t, path, 0o644)
	if err := Write(path, nil, 0o600, Options{}); err != nil {
		t.Fatal(err)
	}
	wantMode(t, path, 0o600)
}

func TestKeepKeepsModeAndOwner(t *testing.T) {
	path := filepath.Join(t.TempDir(), "config")
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(path, 0o644); err != nil {
		t.Fatal(err)
	}
	uid := os.Getuid()
	if uid == 0 { // as with sudo
		uid = 12345
		if err := os.Chown(path, uid, uid); err != nil {
			t.Fatal(err)
		}
	}
	if err := Write(path, []byte("new"), 0o600, Options{Keep: true}); err != nil {
		t.Fatal(err)
	}
	wantMode(t, path, 0o644)
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	if got := info.Sys().(*syscall.Stat_t).Uid; got != uint32(uid) {
		t.Errorf("the file is now that of user %d, want %d", got, uid)
	}
}

func TestAFailureLeavesTheOldFileAndNothingElse(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "taken") // a folder cannot be replaced by a file
	if err := os.MkdirAll(filepath.Join(path, "inside"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := Write(path, []byte("new"), 0o600, Options{Durable: true}); err == nil {
		t.Error("it replaced a folder")
	}
	wantAlone(t, path)
	if err := Write(filepath.Join(dir, "missing", "file"), nil, 0o600, Options{}); !os.IsNotExist(err) {
		t.Errorf("without a folder: %v", err)
	}
}

func wantMode(t *testing.T, path string, want fs.FileMode) {
	t.Helper()
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	if info.Mode().Perm() != want {
		t.Errorf("mode %o, want %o", info.Mode().Perm(), want)
	}
}

func wantAlone(t *testing.T, path string) {
	t.Helper()
	entries, err := os.ReadDir(filepath.Dir(path))
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if strings.HasSuffix(e.Name(), ".tmp") {
			t.Errorf("%s is left", e.Name())
		}
	}
}

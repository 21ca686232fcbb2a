package devices

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"testing"
	"time"

	"go.uber.org/goleak"
	"golang.org/x/sys/unix"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestEventsNameDevices(t *testing.T) {
	for text, want := range map[string]device{
		"add@/devices/virtual/block/loop9\x00ACTION=add\x00SUBSYSTEM=block\x00MAJOR=7\x00MINOR=9\x00DEVNAME=loop9\x00DEVTYPE=disk": {"loop9", unix.S_IFBLK | 0o600, 7, 9},
		"add@/devices/virtual/misc/fuse\x00ACTION=add\x00SUBSYSTEM=misc\x00MAJOR=10\x00MINOR=229\x00DEVNAME=fuse\x00DEVMODE=0666":  {"fuse", unix.S_IFCHR | 0o666, 10, 229},
		"add@/devices/usb\x00ACTION=add\x00SUBSYSTEM=usb\x00MAJOR=189\x00MINOR=1\x00DEVNAME=bus/usb/001/002":                       {"bus/usb/001/002", unix.S_IFCHR | 0o600, 189, 1},
		"add@/devices/virtual/misc/tun\x00ACTION=add\x00SUBSYSTEM=misc\x00MAJOR=10\x00MINOR=200\x00DEVNAME=net/tun":                {"net/tun", unix.S_IFCHR | 0o666, 10, 200},
		"add@/devices/odd\x00ACTION=add\x00SUBSYSTEM=misc\x00MAJOR=1\x00MINOR=3\x00DEVNAME=../etc/passwd":                          {},
		"add@/devices/cpu0\x00ACTION=add\x00SUBSYSTEM=cpu":                                                                         {},
		"change@/devices/odd\x00ACTION=change\x00SUBSYSTEM=misc\x00MAJOR=99999999999\x00MINOR=3\x00DEVNAME=odd":                    {},
		"libudev\x00\xfe\xed\xca\xfe a message of another form":                                                                    {},
	} {
		got, ok := parse(text, "\x00").device()
		if ok != (want != device{}) || ok && got != want {
			t.Errorf("%q is %+v (%v), want %+v", text, got, ok, want)
		}
	}
}

// follower works on folders of the test.
func follower(t *testing.T) *Follower {
	t.Helper()
	return &Follower{
		dev: t.TempDir(), sys: "/sys", log: slog.New(slog.DiscardHandler),
		loops: newLoops(filepath.Join(t.TempDir(), "loops")),
	}
}

// needsRight skips a test that needs more rights than it has.
func needsRight(t *testing.T, err error) {
	t.Helper()
	if errors.Is(err, fs.ErrPermission) || errors.Is(err, fs.ErrNotExist) {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
}

func mayMknod(t *testing.T) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "null")
	needsRight(t, unix.Mknod(path, unix.S_IFCHR|0o600, int(unix.Mkdev(1, 3))))
}

func TestScanAddsWhatIsMissing(t *testing.T) {
	mayMknod(t)
	f := follower(t)
	f.sys = t.TempDir()
	for path, text := range map[string]string{
		"dev/block/7:0/uevent":  "MAJOR=7\nMINOR=0\nDEVNAME=loop0\nDEVTYPE=disk\n",
		"dev/char/10:1/uevent":  "MAJOR=10\nMINOR=1\nDEVNAME=input/mice\nDEVMODE=0644\n",
		"dev/char/5:1/uevent":   "MAJOR=5\nMINOR=1\nDEVNAME=console\n",
		"dev/char/1:3/uevent":   "MAJOR=1\nMINOR=3\nDEVNAME=null\n",
		"dev/char/99:9/nothing": "",
	} {
		path = filepath.Join(f.sys, path)
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, []byte(text), 0o600)); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(f.dev, "null"), nil, 0o600); err != nil { // stays what it is
		t.Fatal(err)
	}
	f.scan()
	for name, want := range map[string]fs.FileMode{
		"loop0":      fs.ModeDevice | 0o600,
		"input/mice": fs.ModeDevice | fs.ModeCharDevice | 0o644,
		"console":    0, // the engine's
		"null":       0o600,
	} {
		info, err := os.Lstat(filepath.Join(f.dev, name))
		if want == 0 {
			if !errors.Is(err, fs.ErrNotExist) {
				t.Errorf("%s exists (%v)", name, err)
			}
			continue
		}
		if err != nil || info.Mode() != want {
			t.Errorf("%s is %v (%v), want %v", name, info, err, want)
		}
	}
}

// loopControl opens the kernel's interface to loop devices.
func loopControl(t *testing.T) int {
	t.Helper()
	f, err := os.OpenFile("/dev/loop-control", os.O_RDWR, 0)
	needsRight(t, err)
	t.Cleanup(func() { f.Close() })
	return int(f.Fd())
}

const testLoop = 4242 // a number that no program takes on its own

func TestKernelsDevicesAppearAndGo(t *testing.T) {
	mayMknod(t)
	control := loopControl(t)
	f := follower(t)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	go func() { done <- f.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	path := filepath.Join(f.dev, fmt.Sprint("loop", testLoop))
	await(t, "the first scan", func() bool { return exists(filepath.Join(f.dev, "loop-control")) })
	_, err := unix.IoctlRetInt(control, unix.LOOP_CTL_GET_FREE) // the module may not be there
	needsRight(t, err)
	if err := unix.IoctlSetInt(control, unix.LOOP_CTL_ADD, testLoop); err != nil {
		needsRight(t, err)
	}
	t.Cleanup(func() { _ = unix.IoctlSetInt(control, unix.LOOP_CTL_REMOVE, testLoop) })
	await(t, "the new device", func() bool { return exists(path) })
	var st unix.Stat_t
	if err := unix.Stat(path, &st); err != nil || st.Rdev != unix.Mkdev(loopMajor, testLoop) {
		t.Errorf("%s is device %x (%v)", path, st.Rdev, err)
	}
	if err := unix.IoctlSetInt(control, unix.LOOP_CTL_REMOVE, testLoop); err != nil {
		t.Fatal(err)
	}
	await(t, "its end", func() bool { return !exists(path) })
}

func exists(path string) bool {
	_, err := os.Lstat(path)
	return err == nil
}

// await waits until cond holds.
func await(t *testing.T, what string, cond func() bool) {
	t.Helper()
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	deadline := time.After(10 * time.Second)
	for !cond() {
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("timed out after 10s waiting for %s", what)
		}
	}
}

// attach puts a file behind a free loop device.
func attach(t *testing.T, file string) (name string) {
	t.Helper()
	n, err := unix.IoctlRetInt(loopControl(t), unix.LOOP_CTL_GET_FREE)
	needsRight(t, err)
	name = fmt.Sprint("loop", n)
	if err := os.WriteFile(file, make([]byte, 1<<16), 0o600); err != nil {
		t.Fatal(err)
	}
	backing, err := os.OpenFile(file, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer backing.Close()
	dev, err := os.OpenFile("/dev/"+name, os.O_RDWR, 0)
	needsRight(t, err)
	defer dev.Close()
	needsRight(t, unix.IoctlSetInt(int(dev.Fd()), unix.LOOP_SET_FD, int(backing.Fd())))
	t.Cleanup(func() { _ = detach("/dev/" + name) })
	return name
}

func TestOwnLoopDevicesAreDetached(t *testing.T) {
	dir := t.TempDir()
	own := attach(t, filepath.Join(dir, "own"))
	foreign := attach(t, filepath.Join(dir, "foreign"))
	// A file that no process of the node finds belongs to somebody else.
	if err := os.Rename(filepath.Join(dir, "foreign"), filepath.Join(dir, "elsewhere")); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(backingFile(foreign), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(filepath.Join(dir, "elsewhere")); err != nil {
		t.Fatal(err)
	}
	f := follower(t)
	f.scan()
	if _, ok := f.loops.own[own]; !ok {
		t.Fatalf("%s is not known as the node's: %+v", own, f.loops.own)
	}
	if _, ok := f.loops.own[foreign]; ok {
		t.Fatalf("%s is taken for the node's", foreign)
	}
	// The next agent knows it too, also when no process sees the file any more.
	if next := newLoops(f.loops.file); next.own[own] != f.loops.own[own] {
		t.Errorf("the next agent knows %+v, want %s", next.own, own)
	}
	if err := DetachLoops(f.loops.file); err != nil {
		t.Fatal(err)
	}
	if _, ok := attachedTo("/dev/" + own); ok {
		t.Errorf("%s stays behind", own)
	}
	if _, ok := attachedTo("/dev/" + foreign); !ok {
		t.Errorf("%s, which is not the node's, was taken down", foreign)
	}
	// And if another program has the device by then, it keeps it.
	if err := os.WriteFile(filepath.Join(dir, "other"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	again := attach(t, filepath.Join(dir, "other"))
	if err := DetachLoops(f.loops.file); err != nil {
		t.Fatal(err)
	}
	if _, ok := attachedTo("/dev/" + again); !ok {
		t.Errorf("%s of another program was taken down", again)
	}
}

func TestDetachWithoutAnyIsNothing(t *testing.T) {
	if err := DetachLoops(filepath.Join(t.TempDir(), "none")); err != nil {
		t.Error(err)
	}
}

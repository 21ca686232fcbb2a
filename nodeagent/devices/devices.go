// Package devices makes a node's /dev follow the kernel, as that of a machine does: a container's /dev shows the devices
// that existed when it was started, and for an engine without privileges only a few of them. It also remembers the loop
// devices that pods have set up, because they belong to the whole machine and outlive pods and node.
//
// Begin reading at Run. Nothing in it polls: the kernel announces devices to every network namespace.
package devices

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// Follower keeps one folder of device nodes up to date.
type Follower struct {
	dev, sys string
	loops    *loops
	log      *slog.Logger
}

// New returns a Follower of the node's own /dev.
func New(log *slog.Logger) *Follower {
	return &Follower{dev: "/dev", sys: "/sys", loops: newLoops(LoopsFile), log: log}
}

// Run follows the kernel until ctx ends. Where the kernel announces nothing, as to an engine with a user namespace of its
// own, it adds the devices that exist now and returns.
func (f *Follower) Run(ctx context.Context) error {
	// Listening first: what appears during the scan is announced.
	events, err := listen()
	if err != nil {
		f.scan()
		return fmt.Errorf("follow the kernel's devices: %w", err)
	}
	defer events.Close()
	stop := context.AfterFunc(ctx, func() { events.Close() })
	defer stop()
	f.scan()
	for {
		e, err := events.next()
		switch {
		case ctx.Err() != nil:
			return nil
		case errors.Is(err, unix.ENOBUFS): // more events than the socket holds
			f.scan()
		case err != nil:
			return fmt.Errorf("follow the kernel's devices: %w", err)
		default:
			f.apply(e)
		}
	}
}

// apply does in /dev what the kernel did.
func (f *Follower) apply(e event) {
	d, ok := e.device()
	if !ok {
		return
	}
	switch e["ACTION"] {
	case "add":
		f.add(d)
	case "remove":
		f.remove(d)
	}
	if d.isLoop() {
		f.loops.look(d)
	}
}

// scan adds every device that the kernel has and /dev lacks. Those that went meanwhile stay, like in any container.
func (f *Follower) scan() {
	for kind, mode := range map[string]uint32{"block": unix.S_IFBLK, "char": unix.S_IFCHR} {
		dir := filepath.Join(f.sys, "dev", kind)
		entries, err := os.ReadDir(dir)
		if err != nil {
			f.log.Warn("devices cannot be listed", "folder", dir, "cause", err)
			continue
		}
		for _, entry := range entries {
			data, err := os.ReadFile(filepath.Join(dir, entry.Name(), "uevent"))
			if err != nil {
				continue // removed since
			}
			e := parse(string(data), "\n")
			d, ok := e.device()
			if !ok {
				continue
			}
			d.mode = d.mode&^unix.S_IFMT | mode
			f.add(d)
			if d.isLoop() {
				f.loops.look(d)
			}
		}
	}
}

// device is a device as the kernel names it.
type device struct {
	name         string // below /dev
	mode         uint32 // type and permissions
	major, minor uint32
}

// isLoop is false for the partitions of one ("loop9p1").
func (d device) isLoop() bool {
	_, err := strconv.Atoi(strings.TrimPrefix(d.name, "loop"))
	return err == nil && d.mode&unix.S_IFMT == unix.S_IFBLK && d.major == loopMajor
}

// forAll are devices that every distribution's udev opens to all users, as each of their users gets something of its own.
var forAll = map[string]bool{"fuse": true, "net/tun": true}

// fixed are names that an engine gives a container in its own way.
var fixed = map[string]bool{"console": true, "ptmx": true, "tty": true}

func (f *Follower) add(d device) {
	path := filepath.Join(f.dev, d.name)
	if _, err := os.Lstat(path); fixed[d.name] || !errors.Is(err, fs.ErrNotExist) {
		return
	}
	err := os.MkdirAll(filepath.Dir(path), 0o755)
	if err == nil {
		err = unix.Mknod(path, d.mode, int(unix.Mkdev(d.major, d.minor)))
	}
	if err == nil {
		// The umask does not apply to what the kernel wishes.
		err = os.Chmod(path, fs.FileMode(d.mode)&fs.ModePerm)
	}
	if err != nil && !errors.Is(err, fs.ErrExist) {
		f.log.Debug("device node cannot be made", "path", path, "cause", err)
	}
}

// remove removes the node of a device, unless the name has become something else's.
func (f *Follower) remove(d device) {
	path := filepath.Join(f.dev, d.name)
	var st unix.Stat_t
	if unix.Lstat(path, &st) == nil && st.Mode&unix.S_IFMT == d.mode&unix.S_IFMT && st.Rdev == unix.Mkdev(d.major, d.minor) {
		_ = os.Remove(path)
	}
}

// event is the kernel's announcement of one change, "KEY=value" pairs.
type event map[string]string

func parse(text, separator string) event {
	e := event{}
	for field := range strings.SplitSeq(text, separator) {
		if key, value, ok := strings.Cut(field, "="); ok {
			e[key] = value
		}
	}
	return e
}

// device is the device that an event is about, false if it is about something else.
func (e event) device() (d device, ok bool) {
	major, err1 := strconv.ParseUint(e["MAJOR"], 10, 32)
	minor, err2 := strconv.ParseUint(e["MINOR"], 10, 32)
	d = device{name: e["DEVNAME"], mode: unix.S_IFCHR | 0o600, major: uint32(major), minor: uint32(minor)}
	if err1 != nil || err2 != nil || !filepath.IsLocal(d.name) {
		return d, false
	}
	if e["SUBSYSTEM"] == "block" {
		d.mode = unix.S_IFBLK | 0o600
	}
	// Only where the kernel wants more than root to use it ("0666" of null).
	if forAll[d.name] {
		d.mode |= 0o666
	}
	if mode, err := strconv.ParseUint(e["DEVMODE"], 8, 32); err == nil {
		d.mode = d.mode&unix.S_IFMT | uint32(mode)&0o777
	}
	return d, true
}

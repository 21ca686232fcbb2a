package devices

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"

	"golang.org/x/sys/unix"

	"bonsai/bootstrap/atomicfile"
)

const (
	// LoopsFile has the loop devices of the node's pods, for DetachLoops. It is on a tmpfs: after the node's end they
	// may be anybody's.
	LoopsFile = "/run/bonsai/loops"

	loopMajor = 7
)

// loop is what a loop device shows: the file behind it, by which it is recognised.
type loop struct {
	Device, Inode uint64
}

// loops are the loop devices whose files belong to this node's pods, by name ("loop9"). All nodes and the machine share
// the devices, and the kernel does not say who set one up. Where the file is says it: a process of the node sees it
// under the name that the kernel shows.
type loops struct {
	file string

	mu  sync.Mutex
	own map[string]loop
}

func newLoops(file string) *loops {
	l := &loops{file: file, own: map[string]loop{}}
	if data, err := os.ReadFile(file); err == nil { // of the agent before this one
		_ = json.Unmarshal(data, &l.own)
	}
	return l
}

// look decides whose a loop device is that was set up or taken down.
func (l *loops) look(d device) {
	l.mu.Lock()
	defer l.mu.Unlock()
	before, known := l.own[d.name]
	now, attached := attachedTo(filepath.Join("/dev", d.name))
	switch {
	case known && attached && now == before:
		return
	case attached && inNode(backingFile(d.name), now):
		l.own[d.name] = now
	case known:
		delete(l.own, d.name)
	default:
		return
	}
	data, err := json.Marshal(l.own)
	if err == nil {
		_ = atomicfile.Write(l.file, data, 0o600, atomicfile.Options{}) // without it, only a device may stay behind
	}
}

// DetachLoops takes down the loop devices that this node's pods have set up. One in use goes with its last user.
func DetachLoops(file string) error {
	data, err := os.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	own := map[string]loop{}
	if err == nil {
		err = json.Unmarshal(data, &own)
	}
	if err != nil {
		return fmt.Errorf("read the pods' loop devices: %w", err)
	}
	var errs []error
	for name, was := range own {
		path := filepath.Join("/dev", name)
		if now, ok := attachedTo(path); ok && now == was {
			errs = append(errs, detach(path))
		}
	}
	return errors.Join(errs...)
}

// attachedTo reads what is behind a loop device.
func attachedTo(path string) (loop, bool) {
	f, err := os.Open(path)
	if err != nil {
		return loop{}, false
	}
	defer f.Close()
	info, err := unix.IoctlLoopGetStatus64(int(f.Fd()))
	if err != nil { // ENXIO: nothing
		return loop{}, false
	}
	return loop{Device: info.Device, Inode: info.Inode}, true
}

func detach(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return fmt.Errorf("detach %s: %w", path, err)
	}
	defer f.Close()
	if err := unix.IoctlSetInt(int(f.Fd()), unix.LOOP_CLR_FD, 0); err != nil && !errors.Is(err, unix.ENXIO) {
		return fmt.Errorf("detach %s: %w", path, err)
	}
	return nil
}

// backingFile is the path of the file behind a loop device, as the process saw it that set the device up.
func backingFile(name string) string {
	data, _ := os.ReadFile(filepath.Join("/sys/block", name, "loop/backing_file"))
	return strings.TrimSuffix(string(data), "\n")
}

// inNode reports whether a process of this node, its own or a pod's, finds this very file at path.
func inNode(path string, want loop) bool {
	if !filepath.IsAbs(path) {
		return false
	}
	processes, _ := filepath.Glob("/proc/[0-9]*")
	seen := map[string]bool{} // mount namespaces
	for _, p := range processes {
		namespace, err := os.Readlink(filepath.Join(p, "ns/mnt"))
		if err != nil || seen[namespace] {
			continue
		}
		seen[namespace] = true
		var st unix.Stat_t
		if unix.Stat(p+"/root"+path, &st) == nil && st.Dev == want.Device && st.Ino == want.Inode {
			return true
		}
	}
	return false
}

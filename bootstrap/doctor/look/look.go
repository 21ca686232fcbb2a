// Package look reads what package doctor judges: the kernel, control groups, memory, disks, the clock, firewalls and systemd
// of this machine. It changes nothing, except that Folder creates and removes an empty file.
package look

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"io"
	"io/fs"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"bonsai/bootstrap/cluster"
	"bonsai/bootstrap/doctor"
	"bonsai/bootstrap/statedir"
)

// Machine is a machine's file system.
type Machine struct {
	// Root is "/" except in tests.
	Root string
	// Lingers reports whether systemd lets what this user leaves running go on after a logout.
	Lingers func(uid int) bool
}

// This is the machine that this process runs on.
func This(lingers func(uid int) bool) Machine { return Machine{Root: "/", Lingers: lingers} }

func (m Machine) path(name string) string { return filepath.Join(m.Root, name) }

func (m Machine) read(name string) string {
	data, err := os.ReadFile(m.path(name))
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(data))
}

func (m Machine) exists(name string) bool {
	_, err := os.Stat(m.path(name))
	return err == nil
}

// Kernel reads what the running kernel has.
func (m Machine) Kernel() doctor.Kernel {
	k := doctor.Kernel{Release: m.read("proc/sys/kernel/osrelease"), Contained: m.exists(".dockerenv") || m.exists("run/.containerenv")}
	k.Config = m.kernelConfig(k.Release)
	if entries, err := os.ReadDir(m.path("sys/module")); err == nil {
		for _, e := range entries {
			k.Loaded = append(k.Loaded, e.Name())
		}
	}
	dir := "lib/modules/" + k.Release
	if k.Release == "" || !m.exists(dir) {
		return k
	}
	k.Modules = []string{}
	for _, name := range []string{"modules.dep", "modules.builtin"} {
		for line := range strings.Lines(m.read(filepath.Join(dir, name))) {
			file, _, _ := strings.Cut(strings.TrimSpace(line), ":")
			module, _, _ := strings.Cut(filepath.Base(file), ".") // .ko, .ko.xz, .ko.zst
			k.Modules = append(k.Modules, strings.ReplaceAll(module, "-", "_"))
		}
	}
	return k
}

// kernelConfig are the options with which the running kernel was built, nil if it does not show them.
func (m Machine) kernelConfig(release string) map[string]string {
	var text io.Reader
	if packed, err := os.ReadFile(m.path("proc/config.gz")); err == nil {
		if text, err = gzip.NewReader(bytes.NewReader(packed)); err != nil {
			return nil
		}
	} else if plain, err := os.ReadFile(m.path("boot/config-" + release)); err == nil {
		text = bytes.NewReader(plain)
	} else {
		return nil
	}
	config := map[string]string{}
	for lines := bufio.NewScanner(text); lines.Scan(); {
		if name, value, ok := strings.Cut(lines.Text(), "="); ok && (value == "y" || value == "m") {
			config[name] = value
		}
	}
	if len(config) == 0 {
		return nil
	}
	return config
}

// Cgroups reads which controllers are on.
func (m Machine) Cgroups() doctor.Cgroups {
	if on := m.read("sys/fs/cgroup/cgroup.controllers"); on != "" {
		return doctor.Cgroups{Version: 2, Controllers: strings.Fields(on)}
	}
	g := doctor.Cgroups{}
	for line := range strings.Lines(m.read("proc/cgroups")) {
		// name, hierarchy, number of groups, enabled
		if f := strings.Fields(line); len(f) == 4 && f[3] == "1" {
			g.Version, g.Controllers = 1, append(g.Controllers, f[0])
		}
	}
	slices.Sort(g.Controllers)
	return g
}

// Memory reads how much there is.
func (m Machine) Memory() (memory doctor.Memory) {
	for line := range strings.Lines(m.read("proc/meminfo")) {
		f := strings.Fields(line)
		if len(f) < 2 {
			continue
		}
		kilobytes, err := strconv.ParseInt(f[1], 10, 64)
		switch {
		case err != nil:
		case f[0] == "MemTotal:":
			memory.Total = kilobytes << 10
		case f[0] == "MemAvailable:":
			memory.Available = kilobytes << 10
		}
	}
	return memory
}

// Disk reads how full the file system of a folder is; of what does not exist yet, that of the next folder above.
func (m Machine) Disk(of, path string) doctor.Disk {
	d := doctor.Disk{Of: of, Path: path}
	var s unix.Statfs_t
	for at := path; at != ""; at = filepath.Dir(at) {
		if err := unix.Statfs(m.path(at), &s); err == nil {
			d.Size, d.Free = int64(s.Blocks*uint64(s.Bsize)), int64(s.Bavail*uint64(s.Bsize))
			return d
		}
		if at == filepath.Dir(at) {
			break
		}
	}
	return d
}

// Clock reads the time, and whether something keeps it right.
func (m Machine) Clock() doctor.Clock {
	k := doctor.Clock{Now: time.Now()}
	k.Synchronized, k.Known = synchronized()
	return k
}

// Firewalls are those that are active.
func (m Machine) Firewalls() (active []doctor.Firewall) {
	for line := range strings.Lines(m.read("etc/ufw/ufw.conf")) {
		if key, value, _ := strings.Cut(strings.TrimSpace(line), "="); key == "ENABLED" && strings.Trim(value, `"'`) == "yes" {
			active = append(active, doctor.UFW)
		}
	}
	if m.runs("firewalld") {
		active = append(active, doctor.Firewalld)
	}
	return active
}

// runs reports whether a process of that name does. The kernel cuts names after 15 characters.
func (m Machine) runs(name string) bool {
	entries, err := os.ReadDir(m.path("proc"))
	if err != nil {
		return false
	}
	return slices.ContainsFunc(entries, func(e fs.DirEntry) bool {
		_, err := strconv.Atoi(e.Name())
		return err == nil && m.read(filepath.Join("proc", e.Name(), "comm")) == name
	})
}

// Session reads what systemd does with what a user leaves running.
func (m Machine) Session() doctor.Session {
	s := doctor.Session{Systemd: m.exists("run/systemd/system"), Lingers: os.Geteuid() == 0 || m.Lingers(os.Geteuid())}
	files := []string{"etc/systemd/logind.conf"}
	for _, dir := range []string{"usr/lib/systemd/logind.conf.d", "etc/systemd/logind.conf.d", "run/systemd/logind.conf.d"} {
		more, _ := filepath.Glob(m.path(dir + "/*.conf")) // the pattern is right
		for _, f := range more {
			rel, _ := filepath.Rel(m.Root, f)
			files = append(files, rel)
		}
	}
	for _, f := range files { // a later one overrides
		for line := range strings.Lines(m.read(f)) {
			if key, value, _ := strings.Cut(strings.TrimSpace(line), "="); key == "KillUserProcesses" {
				s.Killed = slices.Contains([]string{"yes", "true", "on", "1"}, strings.ToLower(strings.TrimSpace(value)))
			}
		}
	}
	return s
}

// networkFileSystems are those whose locks and waits for the disk cannot be relied upon, by the numbers of statfs(2).
var networkFileSystems = map[int64]string{0x6969: "NFS", 0xff534d42: "CIFS", 0xfe534d42: "SMB", 0x517b: "SMB", 0x01021997: "9p", 0x5346414f: "AFS", 0x65735546: "FUSE"}

// Folder looks at the state folder, and tries to create and to lock a file in it.
func (m Machine) Folder(dir statedir.Dir) doctor.Folder {
	f := doctor.Folder{Path: dir.Root}
	info, err := os.Stat(dir.Root)
	if errors.Is(err, fs.ErrNotExist) {
		above := dir.Root
		for errors.Is(err, fs.ErrNotExist) && filepath.Dir(above) != above {
			above = filepath.Dir(above)
			_, err = os.Stat(above)
		}
		if err == nil {
			err = unix.Access(above, unix.W_OK|unix.X_OK)
		}
		if err != nil {
			f.Trouble = statedir.Fault("create the state folder", dir.Root, err)
		}
		return f
	}
	if err != nil {
		f.Trouble = statedir.Fault("look at the state folder", dir.Root, err)
		return f
	}
	f.Exists, f.Mode = true, info.Mode()
	if owner, ok := info.Sys().(*syscall.Stat_t); ok {
		f.Owned = int(owner.Uid) == os.Geteuid()
	}
	if err := tryLock(dir.Root); err != nil {
		f.Trouble = statedir.Fault("create and lock a file in the state folder", dir.Root, err)
	}
	var s unix.Statfs_t
	if err := unix.Statfs(dir.Root, &s); err == nil {
		f.Network = networkFileSystems[int64(uint32(s.Type))]
	}
	names, err := dir.Clusters()
	if err != nil {
		return f
	}
	for _, name := range names {
		c := dir.Cluster(name)
		for _, part := range []string{c.Dir(), c.PKI(), c.Etcd(), c.Logs()} {
			if info, err := os.Stat(part); err == nil && info.Mode().Perm()&0o077 != 0 {
				f.Open = append(f.Open, part)
			}
		}
	}
	return f
}

func tryLock(dir string) error {
	file, err := os.CreateTemp(dir, ".doctor-*")
	if err != nil {
		return err
	}
	defer func() { _, _ = file.Close(), os.Remove(file.Name()) }()
	return unix.Flock(int(file.Fd()), unix.LOCK_EX|unix.LOCK_NB)
}

// Free reports whether nothing listens on a TCP port of an address of this machine.
func (m Machine) Free(ctx context.Context, at netip.AddrPort) bool {
	var config net.ListenConfig
	l, err := config.Listen(ctx, "tcp", at.String())
	if err != nil {
		return !errors.Is(err, syscall.EADDRINUSE)
	}
	return l.Close() == nil
}

// Proxy reads the environment.
func (m Machine) Proxy() (cluster.Proxy, error) { return cluster.ParseProxy(os.Getenv) }

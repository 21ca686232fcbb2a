// Package machine reads how much of this machine's limits is used, and raises one. It is the edge of package limits, which
// judges. What cannot be read is left out of the facts.
package machine

import (
	"bufio"
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	"bonsai/bootstrap/limits"
)

// Machine is a machine's file system.
type Machine struct {
	// Root is "/" except in tests.
	Root string
	// User is whom the processes of nodes belong to: inotify is counted for each user.
	User uint32
	// SeesUser says that this process may look at that user's processes.
	SeesUser bool
}

// This is the machine that this process runs on. Nodes run as its root.
func This() Machine { return Machine{Root: "/", SeesUser: os.Geteuid() == 0} }

const (
	// plentyInstances and plentyWatches are limits that no number of clusters uses up, so that nobody has to count.
	plentyInstances, plentyWatches = 4096, 1 << 20
)

// Facts are the levels that nodes on this machine's engine depend on, whose data is below dataRoot. It takes milliseconds.
func (m Machine) Facts(dataRoot string) limits.Facts {
	f := limits.Facts{}
	m.inotify(f)
	if n := m.numbers("proc/sys/fs/file-nr"); len(n) == 3 {
		f[limits.OpenFiles] = limits.Level{Limit: n[2], Used: n[0]}
	}
	if used, ok := m.threads(); ok {
		m.add(f, limits.Threads, "proc/sys/kernel/threads-max", used)
		m.add(f, limits.ProcessIDs, "proc/sys/kernel/pid_max", used)
	}
	m.enginePIDs(f)
	if used, ok := m.number("proc/sys/net/netfilter/nf_conntrack_count"); ok {
		m.add(f, limits.Connections, "proc/sys/net/netfilter/nf_conntrack_max", used)
	}
	if used, ok := m.number("proc/sys/fs/aio-nr"); ok {
		m.add(f, limits.AsyncIO, "proc/sys/fs/aio-max-nr", used)
	}
	m.keys(f)
	if dataRoot != "" {
		var disk unix.Statfs_t
		if err := unix.Statfs(filepath.Join(m.Root, dataRoot), &disk); err == nil && disk.Blocks > 0 {
			all, free := disk.Blocks*uint64(disk.Bsize), disk.Bavail*uint64(disk.Bsize)
			f[limits.Disk] = limits.Level{Limit: int64(all), Used: int64(all - min(all, free))}
		}
	}
	return f
}

// Raise sets a limit to its generous value.
func (m Machine) Raise(l limits.Limit) error {
	if l.Setting == "" {
		return fmt.Errorf("%s have no setting", l.Noun)
	}
	path := filepath.Join(m.Root, "proc/sys", strings.ReplaceAll(l.Setting, ".", "/"))
	f, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	_, err = f.WriteString(strconv.FormatInt(l.Value, 10))
	if closeErr := f.Close(); err == nil {
		err = closeErr
	}
	return err
}

func (m Machine) add(f limits.Facts, name limits.Name, path string, used int64) {
	if limit, ok := m.number(path); ok {
		f[name] = limits.Level{Limit: limit, Used: used}
	}
}

func (m Machine) numbers(path string) (list []int64) {
	data, err := os.ReadFile(filepath.Join(m.Root, path))
	if err != nil {
		return nil
	}
	for field := range strings.FieldsSeq(string(data)) {
		n, err := strconv.ParseInt(field, 10, 64)
		if err != nil {
			return nil
		}
		list = append(list, n)
	}
	return list
}

func (m Machine) number(path string) (int64, bool) {
	n := m.numbers(path)
	if len(n) != 1 {
		return 0, false
	}
	return n[0], true
}

// threads is how many there are, the second number of the fourth field of loadavg.
func (m Machine) threads() (int64, bool) {
	data, err := os.ReadFile(filepath.Join(m.Root, "proc/loadavg"))
	if err != nil {
		return 0, false
	}
	fields := strings.Fields(string(data))
	if len(fields) < 4 {
		return 0, false
	}
	_, all, _ := strings.Cut(fields[3], "/")
	n, err := strconv.ParseInt(all, 10, 64)
	return n, err == nil
}

// enginePIDs is the tightest of the groups that the engine puts its containers in, with either version of cgroups and either
// driver.
func (m Machine) enginePIDs(f limits.Facts) {
	for _, group := range []string{"pids/docker", "pids/system.slice", "docker", "system.slice"} {
		dir := filepath.Join("sys/fs/cgroup", group)
		limit, ok := m.number(filepath.Join(dir, "pids.max"))
		used, ok2 := m.number(filepath.Join(dir, "pids.current"))
		if !ok || !ok2 { // "max" is not a number
			continue
		}
		if before, known := f[limits.EnginePIDs]; !known || limit-used < before.Limit-before.Used {
			f[limits.EnginePIDs] = limits.Level{Limit: limit, Used: used}
		}
	}
}

// keys reads the line of root: "0: USAGE NKEYS/NIKEYS QNKEYS/MAXKEYS QNBYTES/MAXBYTES".
func (m Machine) keys(f limits.Facts) {
	data, err := os.ReadFile(filepath.Join(m.Root, "proc/key-users"))
	if err != nil {
		return
	}
	for line := range strings.Lines(string(data)) {
		fields := strings.Fields(line)
		if len(fields) < 4 || fields[0] != "0:" {
			continue
		}
		used, limit, _ := strings.Cut(fields[3], "/")
		u, err1 := strconv.ParseInt(used, 10, 64)
		l, err2 := strconv.ParseInt(limit, 10, 64)
		if err1 == nil && err2 == nil {
			f[limits.Keys] = limits.Level{Limit: l, Used: u}
		}
	}
}

// inotify counts the instances and watches of the user's processes. The kernel counts them for each user, and shows the
// numbers nowhere.
func (m Machine) inotify(f limits.Facts) {
	maxInstances, ok1 := m.number("proc/sys/fs/inotify/max_user_instances")
	maxWatches, ok2 := m.number("proc/sys/fs/inotify/max_user_watches")
	if !ok1 || !ok2 {
		return
	}
	var instances, watches int64
	counted := m.SeesUser && (maxInstances < plentyInstances || maxWatches < plentyWatches)
	if counted {
		instances, watches = m.countInotify()
	}
	f[limits.InotifyInstances] = limits.Level{Limit: maxInstances, Used: instances, AtLeast: !counted}
	f[limits.InotifyWatches] = limits.Level{Limit: maxWatches, Used: watches, AtLeast: !counted}
}

func (m Machine) countInotify() (instances, watches int64) {
	proc := filepath.Join(m.Root, "proc")
	entries, err := os.ReadDir(proc)
	if err != nil {
		return 0, 0
	}
	for _, e := range entries {
		if _, err := strconv.Atoi(e.Name()); err != nil {
			continue
		}
		dir := filepath.Join(proc, e.Name())
		info, err := os.Stat(dir)
		if err != nil {
			continue // it has ended
		}
		if s, ok := info.Sys().(*syscall.Stat_t); !ok || s.Uid != m.User {
			continue
		}
		i, w := inotifyOf(dir)
		instances, watches = instances+i, watches+w
	}
	return instances, watches
}

// inotifyOf counts those of one process, by its folder in /proc.
func inotifyOf(dir string) (instances, watches int64) {
	descriptors, err := os.ReadDir(filepath.Join(dir, "fd"))
	if err != nil {
		return 0, 0
	}
	for _, d := range descriptors {
		if to, err := os.Readlink(filepath.Join(dir, "fd", d.Name())); err != nil || to != "anon_inode:inotify" {
			continue
		}
		instances++
		data, _ := os.ReadFile(filepath.Join(dir, "fdinfo", d.Name())) // of one that was just closed there is nothing
		for lines := bufio.NewScanner(bytes.NewReader(data)); lines.Scan(); {
			if bytes.HasPrefix(lines.Bytes(), []byte("inotify ")) {
				watches++
			}
		}
	}
	return instances, watches
}

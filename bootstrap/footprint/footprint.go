// Package footprint releases the memory that only the start of a large process needed.
//
// The executable of a control plane or kubelet has a hundred megabytes of code and tables, most of which package
// initialisation uses once. Those pages stay mapped although they are never used again, and count as the process's
// memory.
package footprint

import (
	"fmt"
	"os"
	"runtime/debug"
	"strings"
	"time"
)

// ShrinkAfter shrinks the process once, after d, and calls report if that fails. The returned function cancels it.
func ShrinkAfter(d time.Duration, report func(error)) (cancel func()) {
	t := time.AfterFunc(d, func() {
		if err := Shrink(); err != nil {
			report(err)
		}
	})
	return func() { t.Stop() }
}

// Shrink collects garbage, returns free heap to the system and unmaps the executable's read-only pages. They stay in
// the page cache; those that are used come back with a minor fault each, a few microseconds.
func Shrink() error {
	debug.FreeOSMemory()
	maps, err := os.ReadFile("/proc/self/maps")
	if os.IsNotExist(err) {
		return nil // not Linux: only the heap can be released
	}
	if err != nil {
		return fmt.Errorf("read own mappings: %w", err)
	}
	executable, err := os.Readlink("/proc/self/exe")
	if err != nil {
		return fmt.Errorf("find own executable: %w", err)
	}
	for _, m := range readOnlyMappings(string(maps), executable) {
		if err := drop(m); err != nil {
			return fmt.Errorf("unmap %x-%x: %w", m.begin, m.end, err)
		}
	}
	return nil
}

type mapping struct{ begin, end uintptr }

// readOnlyMappings finds, in the text of /proc/PID/maps (proc_pid_maps(5)), the private mappings of the file that are
// not writable. Writable parts hold the program's variables and must stay.
func readOnlyMappings(maps, file string) (found []mapping) {
	for line := range strings.Lines(maps) {
		fields := strings.Fields(line)
		if len(fields) < 6 || strings.Join(fields[5:], " ") != file {
			continue
		}
		if perms := fields[1]; perms != "r-xp" && perms != "r--p" {
			continue
		}
		var m mapping
		if n, err := fmt.Sscanf(fields[0], "%x-%x", &m.begin, &m.end); n == 2 && err == nil && m.begin < m.end {
			found = append(found, m)
		}
	}
	return found
}

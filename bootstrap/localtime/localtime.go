// Package localtime finds this machine's time zone, for nodes: pods that mount /etc/localtime or /etc/timezone from their
// node mean the time of the people in front of the machine. The rules themselves are handed on, and not only a name, so
// that it does not matter where the engine runs and which zones a node knows.
package localtime

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
)

// Zone is a time zone; the zero value is unknown.
type Zone struct {
	// Name in the time zone database ("Europe/Berlin"), empty if unknown.
	Name string
	// Rules are the compiled rules (TZif).
	Rules []byte
}

// maxRules is far more than any zone has (4 KB); what is larger is not one.
const maxRules = 64 << 10

// Of reads the zone of the machine whose file system is at root ("/"). What is missing or not a time zone is unknown.
func Of(root string) Zone {
	path, err := filepath.EvalSymlinks(filepath.Join(root, "etc/localtime"))
	if err != nil {
		return Zone{}
	}
	if info, err := os.Stat(path); err != nil || !info.Mode().IsRegular() || info.Size() > maxRules {
		return Zone{}
	}
	rules, err := os.ReadFile(path)
	if err != nil || !bytes.HasPrefix(rules, []byte("TZif")) {
		return Zone{}
	}
	z := Zone{Rules: rules}
	if _, name, ok := strings.Cut(filepath.ToSlash(path), "/zoneinfo/"); ok {
		z.Name = strings.TrimPrefix(strings.TrimPrefix(name, "posix/"), "right/")
	} else if text, err := os.ReadFile(filepath.Join(root, "etc/timezone")); err == nil {
		z.Name, _, _ = strings.Cut(strings.TrimSpace(string(text)), "\n")
	}
	return z
}

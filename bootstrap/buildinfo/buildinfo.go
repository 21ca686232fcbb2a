// Package buildinfo describes the running executable: bonsai's own version and commit, and the versions of the upstream
// components in it. All of it comes from go.mod and git, set by the Makefile or the Go linker; nothing is maintained by
// hand.
package buildinfo

import (
	"cmp"
	"crypto/sha256"
	"debug/elf"
	"encoding/hex"
	"fmt"
	"runtime"
	"runtime/debug"
)

// Set by the Makefile with -ldflags -X. An executable built without make knows less about itself but still runs.
var (
	// Version is bonsai's own version, from the nearest git tag.
	Version = "v0.1.0-dev"
	// Commit is the git commit it was built from, "-dirty" appended if files differed.
	Commit = "unknown"

	kubernetes string
	etcd       string
	containerd string
	runc       string
	cniPlugins string
)

// Info is the answer of "bonsai version".
type Info struct {
	Version    string `json:"version"`
	Commit     string `json:"commit"`
	Kubernetes string `json:"kubernetes"`
	Etcd       string `json:"etcd"`
	Containerd string `json:"containerd"`
	Runc       string `json:"runc"`
	CNIPlugins string `json:"cniPlugins"`
	Go         string `json:"go"`
	Platform   string `json:"platform"`
}

// Get returns what is known about the running executable; unknown values are "unknown".
//
// The versions of linked modules are in the executable itself. containerd, runc and the CNI plugins are executables of
// the payload, so only the Makefile can provide their versions.
func Get() Info {
	linked := map[string]string{}
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, m := range info.Deps {
			if m.Replace != nil {
				m = m.Replace
			}
			linked[m.Path] = m.Version
		}
	}
	version := func(module, stamped string) string { return cmp.Or(linked[module], stamped, "unknown") }
	return Info{
		Version:    Version,
		Commit:     Commit,
		Kubernetes: version("k8s.io/kubernetes", kubernetes),
		Etcd:       version("go.etcd.io/etcd/server/v3", etcd),
		Containerd: cmp.Or(containerd, "unknown"),
		Runc:       cmp.Or(runc, "unknown"),
		CNIPlugins: cmp.Or(cniPlugins, "unknown"),
		Go:         runtime.Version(),
		Platform:   runtime.GOOS + "/" + runtime.GOARCH,
	}
}

// ID returns the identity that the Go linker gave an executable: a hash of its content, which differs with each change also
// where version and commit do not.
func ID(executable string) (string, error) {
	file, err := elf.Open(executable)
	if err != nil {
		return "", err
	}
	defer func() { _ = file.Close() }()
	section := file.Section(".note.go.buildid")
	if section == nil {
		return "", fmt.Errorf("%s has no Go build id", executable)
	}
	note, err := section.Data()
	// The note's name, "Go", and the three numbers before it are the same in all executables.
	return string(note), err
}

// Build is a short form of an executable's ID; empty if it is not known, as outside Linux.
func Build(executable string) string {
	id, err := ID(executable)
	if err != nil {
		return ""
	}
	sum := sha256.Sum256([]byte(id))
	return hex.EncodeToString(sum[:8])
}

// Self is the Build of the running executable.
func Self() string { return Build("/proc/self/exe") }

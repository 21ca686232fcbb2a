// Package buildinfo describes the running executable: bonsai's own version and commit, and the versions of the upstream
// components in it. All of it comes from go.mod and git, set by the Makefile or the Go linker; nothing is maintained by
// hand.
package buildinfo

import (
	"cmp"
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

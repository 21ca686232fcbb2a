package statedir

import (
	"os"
	"path/filepath"
	"strings"

	"bonsai/bootstrap/cluster"
)

// DefaultCluster is the cluster that commands use if nothing names one: the one chosen with SetDefaultCluster while it
// exists, or cluster.DefaultName.
func (d Dir) DefaultCluster() string {
	text, err := os.ReadFile(d.defaultFile())
	name := strings.TrimSpace(string(text))
	if err != nil || cluster.ValidateName(name) != nil || !d.Cluster(name).Exists() {
		return cluster.DefaultName
	}
	return name
}

// SetDefaultCluster chooses the cluster that commands use if nothing names one.
func (d Dir) SetDefaultCluster(name string) error {
	if name == cluster.DefaultName {
		return remove("choose the default cluster", d.Root, d.defaultFile())
	}
	return WriteFile(d.defaultFile(), []byte(name+"\n"))
}

func (d Dir) defaultFile() string { return filepath.Join(d.Root, "profile") }

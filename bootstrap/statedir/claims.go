package statedir

import (
	"os"
	"path/filepath"
	"strings"

	"bonsai/bootstrap/cluster"
)

// ClaimsRestore is a restore that replaces the data of claims, too. It is recorded, in restoring.json, from before its first
// change until the nodes have the data, so that the next command finishes what was interrupted, or drops it.
type ClaimsRestore struct {
	// ID is where the data waits on Nodes; see cluster.NodeIncoming.
	ID         string   `json:"id"`
	Checkpoint string   `json:"checkpoint"`
	Nodes      []string `json:"nodes"`
}

func (c Cluster) claimsRestoreFile() string { return c.path("restoring.json") }

// ClaimsRestore returns the record; false if there is none. done reports whether the objects have been replaced for good, so that
// the data of claims has to be, too.
func (c Cluster) ClaimsRestore() (r ClaimsRestore, done, ok bool) {
	if !c.loadJSON(c.claimsRestoreFile(), &r) || r.ID == "" {
		return ClaimsRestore{}, false, false
	}
	// In this order: that the old data is gone does not change any more.
	if _, err := os.Lstat(c.Etcd() + cluster.ReplacedSuffix); err == nil {
		return r, false, true
	}
	mark, err := os.ReadFile(filepath.Join(c.Etcd(), cluster.RestoredFile))
	return r, err == nil && strings.TrimSpace(string(mark)) == r.ID, true
}

// SaveClaimsRestore writes the record.
func (c Cluster) SaveClaimsRestore(r ClaimsRestore) error {
	return c.saveJSON(c.claimsRestoreFile(), r)
}

// DropClaimsRestore removes the record.
func (c Cluster) DropClaimsRestore() error {
	return remove("end the restore of the data of claims", c.dir, c.claimsRestoreFile())
}

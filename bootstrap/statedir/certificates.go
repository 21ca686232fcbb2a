package statedir

import (
	"crypto/sha256"
	"encoding/hex"
	"os"
	"path/filepath"
)

// Certificates identifies the certificates that are on disk: those of the control plane, or those of a node. It is ""
// if there are none.
func (c Cluster) Certificates(node string) string {
	dir := c.PKI()
	if node != "" {
		dir = filepath.Join(dir, "nodes", node)
	}
	files, err := filepath.Glob(filepath.Join(dir, "*.crt")) // sorted
	if err != nil || len(files) == 0 {
		return ""
	}
	sum := sha256.New()
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			return ""
		}
		_, _ = sum.Write(data)
	}
	return hex.EncodeToString(sum.Sum(nil))
}

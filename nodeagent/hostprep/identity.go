package hostprep

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"

	"bonsai/bootstrap/atomicfile"
)

const (
	machineIDFile   = "/etc/machine-id"
	machineIDLength = 32
)

// setIdentity gives the node its own machine id, random and stored at path on the node's volume, so that it survives
// restarts and differs between nodes, also between two clusters of the same name.
func setIdentity(path string) error {
	id, err := machineID(path)
	if err != nil {
		return err
	}
	if have, err := os.ReadFile(machineIDFile); err == nil && strings.TrimSpace(string(have)) == id {
		return nil
	}
	if err := atomicfile.Write(machineIDFile, []byte(id+"\n"), 0o444, atomicfile.Options{}); err != nil {
		return fmt.Errorf("write machine id: %w", err)
	}
	return nil
}

func machineID(path string) (string, error) {
	kept, err := os.ReadFile(path)
	if id := strings.TrimSpace(string(kept)); err == nil && len(id) == machineIDLength {
		return id, nil
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return "", fmt.Errorf("read machine id: %w", err)
	}
	id := make([]byte, machineIDLength/2)
	_, _ = rand.Read(id) // never fails
	if err := os.WriteFile(path, []byte(hex.EncodeToString(id)+"\n"), 0o444); err != nil {
		return "", fmt.Errorf("keep machine id: %w", err)
	}
	return hex.EncodeToString(id), nil
}

// SystemUUID is the node's machine id in the form of a UUID, empty if it has none. The kubelet reports it as the node's
// system UUID, by which storage and cloud drivers distinguish nodes; the one in /sys is the machine's, the same for all.
func SystemUUID() string {
	data, err := os.ReadFile(machineIDFile)
	id := strings.TrimSpace(string(data))
	if err != nil || len(id) != machineIDLength {
		return ""
	}
	return systemUUID(id)
}

func systemUUID(id string) string {
	return strings.Join([]string{id[:8], id[8:12], id[12:16], id[16:20], id[20:]}, "-")
}

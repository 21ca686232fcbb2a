package hostprep

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"strings"

	"golang.org/x/sys/unix"
)

const (
	machineIDFile = "/etc/machine-id"
	// productUUID is the host's, the same in every node; kubelet reports it as the node's system UUID, by which storage
	// and cloud drivers distinguish nodes.
	productUUID     = "/sys/class/dmi/id/product_uuid"
	ownProductUUID  = "/run/bonsai/product_uuid"
	machineIDLength = 32
)

// setIdentity gives the node its own machine id, random and stored at path on the node's volume, so that it survives
// restarts and differs between nodes, also between two clusters of the same name.
func setIdentity(path string, log *slog.Logger) error {
	id, err := machineID(path)
	if err != nil {
		return err
	}
	if err := os.WriteFile(machineIDFile, []byte(id+"\n"), 0o444); err != nil {
		return fmt.Errorf("write machine id: %w", err)
	}
	if err := coverProductUUID(id); err != nil {
		log.Warn("all nodes will report the host's system UUID", "cause", err)
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

// coverProductUUID mounts the machine id, written as a UUID, over the host's product UUID.
func coverProductUUID(id string) error {
	have, err := os.ReadFile(productUUID)
	if errors.Is(err, fs.ErrNotExist) {
		return nil // no DMI on this machine: kubelet uses the machine id
	}
	uuid := strings.Join([]string{id[:8], id[8:12], id[12:16], id[16:20], id[20:]}, "-")
	if err == nil && strings.TrimSpace(string(have)) == uuid {
		return nil
	}
	if err := os.WriteFile(ownProductUUID, []byte(uuid+"\n"), 0o444); err != nil {
		return err
	}
	return unix.Mount(ownProductUUID, productUUID, "", unix.MS_BIND, "")
}

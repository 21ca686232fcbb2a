package cluster

import (
	"fmt"
	"strconv"
	"strings"
)

const (
	// RegistryAddon is the name of the addon with the cluster's own registry.
	RegistryAddon = "registry"
	// RegistryPortSetting is the port of this machine at which it listens, 0 for the one that it had before or a free one.
	RegistryPortSetting = "port"
	// RegistryAliasesSetting are other names by which pods can pull from it.
	RegistryAliasesSetting = "aliases"
	// RegistryDefaultPort is the first that is tried.
	RegistryDefaultPort = 5000

	// RegistryCacheAddon is the name of the addon that keeps what nodes pull from other registries.
	RegistryCacheAddon = "registry-cache"
	// RegistryCacheLoginsSetting says what it logs in with: a constant RegistryLogins….
	RegistryCacheLoginsSetting = "logins"
	RegistryLoginsDocker       = "docker"
	RegistryLoginsNone         = "none"
	// RegistryCacheSizeSetting is how many gigabytes it keeps.
	RegistryCacheSizeSetting = "gigabytes"
	RegistryCacheDefaultSize = 20
)

// RegistryStatus is where a cluster's registry and the cache of others listen.
type RegistryStatus struct {
	// Open says that Port is served, on loopback; otherwise Reason says why not.
	Open   bool   `json:"open"`
	Port   int    `json:"port,omitempty"`
	Reason string `json:"reason,omitempty"`
	// NodesURL is where nodes ask for its images and those of the cache. It is empty while nobody serves them, and NodesReason
	// says why if that is not as wanted.
	NodesURL    string `json:"nodesURL,omitempty"`
	NodesReason string `json:"nodesReason,omitempty"`
}

// RegistryName is the host name that images of the registry at a port have, on this machine and in pods.
func RegistryName(port int) string { return "localhost:" + strconv.Itoa(port) }

// NodeRegistries is what a node pulls from the cluster's daemon.
type NodeRegistries struct {
	// URL is where the daemon listens for nodes, with the certificates of the cluster.
	URL string `json:"url"`
	// Names are the registries whose images are there and nowhere else.
	Names []string `json:"names,omitempty"`
	// Cache says that every other registry is asked for there first.
	Cache bool `json:"cache,omitempty"`
}

// RegistryPort is the port that the user chose for the registry, 0 for any.
func (s *Spec) RegistryPort() int {
	port, err := strconv.Atoi(s.AddonValues[RegistryAddon][RegistryPortSetting])
	if err != nil {
		return 0
	}
	return port
}

// RegistryAliases are the other names that the user chose for the registry.
func (s *Spec) RegistryAliases() []string {
	return List(s.AddonValues[RegistryAddon][RegistryAliasesSetting])
}

// RegistryCacheLimit is how many bytes the cache keeps.
func (s *Spec) RegistryCacheLimit() int64 {
	n, err := strconv.Atoi(s.AddonValues[RegistryCacheAddon][RegistryCacheSizeSetting])
	if err != nil {
		n = RegistryCacheDefaultSize
	}
	return int64(n) << 30
}

// RegistryCacheLogins is one of the constants RegistryLogins….
func (s *Spec) RegistryCacheLogins() string {
	if chosen := s.AddonValues[RegistryCacheAddon][RegistryCacheLoginsSetting]; chosen != "" {
		return chosen
	}
	return RegistryLoginsDocker
}

// canonicalRegistry is the host name of a registry, with a port or without.
func canonicalRegistry(text string) (string, error) {
	name := strings.ToLower(text)
	host, port, hasPort := strings.Cut(name, ":")
	n, err := strconv.Atoi(port)
	if !isHostName(host) || hasPort && (err != nil || n < 1 || n > 65535) {
		return "", fmt.Errorf("%q is not the host name of a registry, such as registry.test or registry.test:5000", text)
	}
	if !hasPort && !strings.Contains(host, ".") && host != "localhost" {
		return "", fmt.Errorf("%q has neither a dot nor a port, and would be part of a name at docker.io: write %s.test", text, host)
	}
	return name, nil
}

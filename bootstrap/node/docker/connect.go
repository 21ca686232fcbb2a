package docker

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/docker/docker/client"

	"bonsai/bootstrap/cluster"
	"bonsai/bootstrap/fault"
)

// Connect returns a driver for the engine that the docker command would use: DOCKER_HOST with its companions, otherwise
// DOCKER_CONTEXT, otherwise the current context of its configuration, otherwise the default socket. It opens no
// connection.
func Connect(getenv func(string) string, o Options) (*Driver, error) {
	opts := []client.Opt{client.WithAPIVersionNegotiation()}
	switch {
	case getenv(client.EnvOverrideHost) != "":
		opts = append(opts, client.WithHost(getenv(client.EnvOverrideHost)))
		if dir := getenv(client.EnvOverrideCertPath); dir != "" {
			opts = append(opts, certificates(dir))
		}
	default:
		more, err := contextOptions(getenv)
		if err != nil {
			return nil, fault.New(fault.EngineDown, "read the docker context", err).
				Advise("use the default context", cluster.Program("docker", "context", "use", "default").Change()).Advise("or set DOCKER_HOST")
		}
		opts = append(opts, more...)
	}
	api, err := client.NewClientWithOpts(opts...)
	if err != nil {
		return nil, fault.New(fault.EngineDown, "find the Docker engine", err).Advise("correct DOCKER_HOST")
	}
	if strings.HasPrefix(api.DaemonHost(), "ssh://") {
		return nil, fault.Newf(fault.EngineDown, "engines behind ssh are not supported: %s", api.DaemonHost()).
			Advise("use the default context", cluster.Program("docker", "context", "use", "default").Change()).Advise("or set DOCKER_HOST")
	}
	return New(api, o), nil
}

// contextOptions reads the current docker context from the files that `docker context` writes.
func contextOptions(getenv func(string) string) ([]client.Opt, error) {
	dir := getenv("DOCKER_CONFIG")
	if dir == "" {
		dir = filepath.Join(getenv("HOME"), ".docker")
	}
	name := getenv("DOCKER_CONTEXT")
	if name == "" {
		var config struct{ CurrentContext string }
		if data, err := os.ReadFile(filepath.Join(dir, "config.json")); err == nil {
			if err := json.Unmarshal(data, &config); err != nil {
				return nil, fmt.Errorf("%s: %w", filepath.Join(dir, "config.json"), err)
			}
		}
		name = config.CurrentContext
	}
	if name == "" || name == "default" {
		return nil, nil
	}
	sum := sha256.Sum256([]byte(name))
	id := hex.EncodeToString(sum[:])
	data, err := os.ReadFile(filepath.Join(dir, "contexts", "meta", id, "meta.json"))
	if err != nil {
		return nil, fmt.Errorf("context %q: %w", name, err)
	}
	var meta struct {
		Endpoints map[string]struct{ Host string }
	}
	if err := json.Unmarshal(data, &meta); err != nil {
		return nil, fmt.Errorf("context %q: %w", name, err)
	}
	host := meta.Endpoints["docker"].Host
	if host == "" {
		return nil, fmt.Errorf("context %q has no docker endpoint", name)
	}
	opts := []client.Opt{client.WithHost(host)}
	if tls := filepath.Join(dir, "contexts", "tls", id, "docker"); exists(tls) {
		opts = append(opts, certificates(tls))
	}
	return opts, nil
}

// certificates uses the three files that docker itself looks for in such a folder.
func certificates(dir string) client.Opt {
	return client.WithTLSClientConfig(
		filepath.Join(dir, "ca.pem"), filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem"))
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

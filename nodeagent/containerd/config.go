package containerd

import (
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"text/template"

	"golang.org/x/sys/unix"

	"bonsai/bootstrap/cluster"
	"bonsai/bootstrap/wait"
	"bonsai/nodeagent/hostprep"
)

// SandboxImage is the pause image of the payload; Kubernetes' own tests expect this name.
const SandboxImage = "registry.k8s.io/pause:3.10.2"

// PluginDir has the payload's CNI plugins.
const PluginDir = cluster.PayloadDir + "/cni"

// Config is what differs between nodes in containerd's configuration.
type Config struct {
	// Snapshotter is "overlayfs", or "native" where overlay cannot be mounted on RootDir.
	Snapshotter string
	// RestrictOOMScore keeps containers from asking for a lower oom_score_adj than containerd has, which fails
	// in a container whose bounding set lacks CAP_SYS_RESOURCE.
	RestrictOOMScore bool
	// Platform is what images are unpacked for ("linux/amd64").
	Platform string
}

// Detect finds out what this node's kernel and container permit.
func Detect() (Config, error) {
	c := Config{Snapshotter: "overlayfs", Platform: "linux/" + runtime.GOARCH}
	if err := tryOverlay(RootDir); err != nil {
		c.Snapshotter = "native"
	}
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return Config{}, fmt.Errorf("read own capabilities: %w", err)
	}
	c.RestrictOOMScore = !hasCapability(string(status), unix.CAP_SYS_RESOURCE)
	return c, nil
}

// Write writes containerd's configuration and the registry hosts.
func Write(c Config, r cluster.Registries, scale wait.Scale) error {
	if err := writeFile(ConfigFile, []byte(c.toml()), 0o600); err != nil {
		return fmt.Errorf("write containerd's configuration: %w", err)
	}
	return WriteRegistries(r, scale)
}

//go:embed config.toml.tmpl
var configTemplate string

func (c Config) toml() string {
	var b strings.Builder
	t := template.Must(template.New("config").Funcs(template.FuncMap{"q": quote}).Parse(configTemplate))
	err := t.Execute(&b, map[string]any{
		"Config": c, "Socket": Socket, "RootDir": RootDir, "CertsDir": CertsDir, "SandboxImage": SandboxImage,
		"BinDir": filepath.Join(cluster.PayloadDir, "bin"), "CNIDir": PluginDir, "AddedCNIDir": hostprep.AddedCNIDir, "DropIns": DropIns,
	})
	if err != nil {
		panic(err) // the template and its data are both ours
	}
	return b.String()
}

// quote returns a TOML basic string: a JSON string, whose escapes are a subset of TOML's, except for one control
// character that JSON does not escape.
func quote(s string) string {
	var b strings.Builder
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	_ = e.Encode(s) // strings can always be encoded
	return strings.ReplaceAll(strings.TrimSuffix(b.String(), "\n"), "\x7f", `\u007f`)
}

// tryOverlay mounts an overlay below dir and unmounts it again. Only the kernel can answer this reliably: overlay on
// overlay, on FUSE and in some user namespaces is refused.
func tryOverlay(dir string) error {
	if err := os.MkdirAll(dir, 0o711); err != nil {
		return err
	}
	tmp, err := os.MkdirTemp(dir, "overlay-check-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(tmp)
	for _, d := range []string{"lower", "upper", "work", "merged"} {
		if err := os.Mkdir(filepath.Join(tmp, d), 0o700); err != nil {
			return err
		}
	}
	merged := filepath.Join(tmp, "merged")
	opts := fmt.Sprintf("lowerdir=%[1]s/lower,upperdir=%[1]s/upper,workdir=%[1]s/work", tmp)
	// "volatile" (Linux 5.10): without it the unmount below writes all of the machine's dirty pages on that disk, which
	// took a second on a busy one.
	err = unix.Mount("overlay", merged, "overlay", 0, opts+",volatile")
	if errors.Is(err, unix.EINVAL) {
		err = unix.Mount("overlay", merged, "overlay", 0, opts)
	}
	if err != nil {
		return err
	}
	return unix.Unmount(merged, unix.MNT_DETACH)
}

// hasCapability looks a capability up in the bounding set of a /proc/PID/status.
func hasCapability(status string, capability int) bool {
	for line := range strings.Lines(status) {
		if hex, ok := strings.CutPrefix(line, "CapBnd:"); ok {
			var set uint64
			_, err := fmt.Sscanf(strings.TrimSpace(hex), "%x", &set)
			return err == nil && set&(1<<capability) != 0
		}
	}
	return false
}

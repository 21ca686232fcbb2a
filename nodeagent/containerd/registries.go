package containerd

import (
	"cmp"
	"encoding/base64"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"bonsai/bootstrap/cluster"
	"bonsai/bootstrap/wait"
)

// dialLimit keeps a mirror or registry that drops packets from stalling a pull for containerd's 30 s: without a network
// a missing image should be reported within seconds.
const dialLimit = 5 * time.Second

// WriteRegistries makes the registry hosts of r, and those of the daemon (SetRoutes), the ones that containerd uses, which reads
// them at each pull: a running containerd follows at once. A pull meanwhile finds the old files of a registry or the new ones.
func WriteRegistries(r cluster.Registries, scale wait.Scale) error {
	if err := writeTrust(cluster.NodeTrustDir, usualAuthorities, r); err != nil {
		return err
	}
	return writeRegistries(CertsDir, RoutesDir, r, scale)
}

// usualAuthorities are the node's own, from the payload.
const usualAuthorities = "/etc/ssl/certs/ca-certificates.crt"

// writeTrust writes the authorities that nodes trust, the usual ones and those of r, into one file of a folder that pods can mount.
func writeTrust(dir, usual string, r cluster.Registries) error {
	all, err := os.ReadFile(usual)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("read the usual authorities: %w", err)
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return fmt.Errorf("write the authorities: %w", err)
	}
	// Programs of pods, which have any user, read it.
	if err := writeFile(filepath.Join(dir, "ca-certificates.crt"), append(all, r.Authorities...), 0o644); err != nil {
		return fmt.Errorf("write the authorities: %w", err)
	}
	return nil
}

// writeRegistries writes the files of dir; routes is the folder of those of the daemon.
func writeRegistries(dir, routes string, r cluster.Registries, scale wait.Scale) error {
	if err := os.MkdirAll(filepath.Dir(dir), 0o755); err != nil {
		return fmt.Errorf("write registry hosts: %w", err)
	}
	lock, err := os.OpenFile(dir+".lock", os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return fmt.Errorf("lock registry hosts: %w", err)
	}
	defer lock.Close()
	// The agent's boot and its tool may come together; each would take the other's unfinished files for old ones.
	if err := unix.Flock(int(lock.Fd()), unix.LOCK_EX); err != nil {
		return fmt.Errorf("lock registry hosts: %w", err)
	}
	wanted := registryFiles(r, readRoutes(routes), scale)
	// Authorities first: a hosts.toml names them.
	for _, name := range slices.SortedFunc(maps.Keys(wanted), func(a, b string) int { return cmp.Compare(path.Ext(a), path.Ext(b)) }) {
		// Credentials may be in them.
		if err := writeFile(filepath.Join(dir, name), []byte(wanted[name]), 0o600); err != nil {
			return fmt.Errorf("write registry host %s: %w", name, err)
		}
	}
	// What was written before may name registries and authorities that are gone.
	return filepath.WalkDir(dir, func(file string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		name, err := filepath.Rel(dir, file)
		if err != nil {
			return err
		}
		if _, ok := wanted[filepath.ToSlash(name)]; ok {
			return nil
		}
		if err := os.Remove(file); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("remove old registry host %s: %w", name, err)
		}
		// Without a hosts.toml a folder says that the registry has no mirrors, not even those for all registries.
		_ = os.Remove(filepath.Dir(file)) // fails while others are in it
		return nil
	})
}

// registryFiles returns the files of CertsDir by relative path: NAME/hosts.toml per mirrored registry, NAME/N.crt for
// certificate authorities. "*" becomes "_default", which containerd uses only if no other folder matches; its mirrors
// are therefore appended to each registry's own. What the daemon has comes before both.
//
// Format: https://github.com/containerd/containerd/blob/main/docs/hosts.md
func registryFiles(r cluster.Registries, d routes, scale wait.Scale) map[string]string {
	files := map[string]string{}
	if r.Authorities != "" {
		files[authoritiesFile] = r.Authorities
	}
	dialTimeout := fmt.Sprintf("dial_timeout = %q\n", fmt.Sprintf("%gs", scale.Of(dialLimit).Seconds()))
	names := slices.Sorted(maps.Keys(r.Mirrors))
	if _, ok := r.Mirrors["*"]; !ok {
		names = append(names, "*") // only for its dial timeout
	}
	for name, url := range d.sole {
		files[path.Join(hostDir(name), "hosts.toml")] = soleHost(url, dialTimeout)
	}
	for _, name := range names {
		if _, ok := d.sole[name]; ok {
			continue
		}
		dir, mirrors := hostDir(name), r.Mirrors[name]
		if name != "*" {
			mirrors = slices.Concat(mirrors, r.Mirrors["*"])
		}
		var b strings.Builder
		b.WriteString(dialTimeout)
		if r.Authorities != "" { // of the registry itself
			fmt.Fprintf(&b, "ca = %s\n", quote(path.Join(CertsDir, authoritiesFile)))
		}
		seen := map[string]bool{}
		for _, url := range d.first {
			seen[url] = true
			b.WriteString(daemonHost(url, dialTimeout))
		}
		for i, m := range mirrors {
			if seen[m.URL] { // a TOML table may appear only once
				continue
			}
			seen[m.URL] = true
			fmt.Fprintf(&b, "\n[host.%s]\n", quote(m.URL))
			// "resolve": a mirror is also asked what a tag refers to; otherwise each tag would need the upstream.
			b.WriteString("  capabilities = [\"pull\", \"resolve\"]\n  " + dialTimeout)
			if m.SkipVerify {
				b.WriteString("  skip_verify = true\n")
			}
			var trusted []string
			if m.CA != "" {
				file := path.Join(dir, fmt.Sprintf("%d.crt", i))
				files[file] = m.CA
				trusted = append(trusted, quote(path.Join(CertsDir, file)))
			}
			if r.Authorities != "" && strings.HasPrefix(m.URL, "https:") { // for others it would mean to try https
				trusted = append(trusted, quote(path.Join(CertsDir, authoritiesFile)))
			}
			switch len(trusted) {
			case 0:
			case 1:
				fmt.Fprintf(&b, "  ca = %s\n", trusted[0])
			default:
				fmt.Fprintf(&b, "  ca = [%s]\n", strings.Join(trusted, ", "))
			}
			if m.Username != "" {
				// containerd sends it only to the mirror and to the token server that the mirror names.
				auth := base64.StdEncoding.EncodeToString([]byte(m.Username + ":" + m.Password))
				fmt.Fprintf(&b, "  [host.%s.header]\n    Authorization = %s\n", quote(m.URL), quote("Basic "+auth))
			}
		}
		files[path.Join(dir, "hosts.toml")] = b.String()
	}
	return files
}

// authoritiesFile has those of every registry. No registry has a name that leads to its folder.
const authoritiesFile = "_authorities/all.crt"

// hostDir is the folder that containerd looks for, in which the colon before a port is written as an underscore.
func hostDir(registry string) string {
	if registry == "*" {
		return "_default"
	}
	if host, port, ok := strings.Cut(registry, ":"); ok {
		return host + "_" + port + "_"
	}
	return registry
}

// Package resolvers reads which DNS servers this machine uses, and follows changes: a VPN that comes up, another network. An
// engine gives its containers those that the machine had when they were started. Begin reading at Files.
package resolvers

import (
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"os"
	"slices"
	"strings"
	"time"

	"bonsai/bootstrap/cluster"
)

// Files are where a machine keeps its resolvers.
type Files struct {
	// ResolvConf is the C library's. Its order is that in which servers are asked.
	ResolvConf string
	// Resolved has the servers behind the one of systemd-resolved, which listens on loopback.
	Resolved string
}

// Usual are the files of Linux.
func Usual() Files {
	return Files{ResolvConf: "/etc/resolv.conf", Resolved: "/run/systemd/resolve/resolv.conf"}
}

// dnsPort is the only port that a resolv.conf can mean.
const dnsPort = 53

// Read returns the resolvers as they are now. A machine without a resolv.conf has none.
func (f Files) Read() (cluster.Resolvers, error) {
	r, err := read(f.ResolvConf)
	if err != nil || len(r.Servers) > 0 || !isResolved(r.Loopback) {
		return r, err
	}
	// As engines do: theirs are the servers behind it.
	behind, err := read(f.Resolved)
	if err != nil || len(behind.Servers) == 0 {
		return r, err
	}
	// The search domains are those of both files, which systemd keeps the same.
	r.Servers, r.Loopback = behind.Servers, netip.Addr{}
	if behind.Since.After(r.Since) {
		r.Since = behind.Since
	}
	return r, nil
}

// isResolved reports whether an address is one of the two of systemd-resolved.
func isResolved(a netip.Addr) bool {
	return a == netip.AddrFrom4([4]byte{127, 0, 0, 53}) || a == netip.AddrFrom4([4]byte{127, 0, 0, 54})
}

// read reads one file.
func read(path string) (r cluster.Resolvers, err error) {
	data, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return r, nil
	}
	if err != nil {
		return r, fmt.Errorf("read this machine's resolvers: %w", err)
	}
	if info, err := os.Stat(path); err == nil { // it was there a moment ago
		r.Since = info.ModTime()
	}
	first := true
	for line := range strings.Lines(string(data)) {
		f := strings.Fields(line)
		switch {
		case len(f) < 2:
		case f[0] == "nameserver":
			a, err := netip.ParseAddr(f[1])
			a = a.Unmap()
			asked := first // before all others
			first = false
			switch {
			case err != nil || !a.Is4(): // nodes have no IPv6
			case a.IsLoopback() || a.IsUnspecified(): // 0.0.0.0 is loopback, too
				if asked {
					r.Loopback = a
				}
			default:
				if s := netip.AddrPortFrom(a, dnsPort); !slices.Contains(r.Servers, s) {
					r.Servers = append(r.Servers, s)
				}
			}
		case f[0] == "search", f[0] == "domain": // the last of them counts
			r.Search = slices.DeleteFunc(f[1:], func(d string) bool { return strings.Trim(d, ".") == "" })
		}
	}
	if r.Loopback.IsValid() {
		r.Servers = nil // they are for when it does not answer
	}
	return r, nil
}

// same reports whether two readings mean the same, whenever that was written.
func same(a, b cluster.Resolvers) bool {
	a.Since, b.Since = time.Time{}, time.Time{}
	return a.Equal(b)
}

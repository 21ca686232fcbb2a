package hostprep

import (
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"os"
	"slices"
	"strings"

	"bonsai/bootstrap/atomicfile"
)

// WriteResolvConf writes the resolv.conf that the kubelet gives to pods which use the node's DNS, and from which it takes the
// search domains of all others, each time a pod starts. resolver is the DNS server; omit selects the search domains that pods
// do not get. It may be called again while the kubelet runs.
func WriteResolvConf(resolver netip.Addr, omit func(domain string) bool) error {
	conf, err := os.ReadFile("/etc/resolv.conf")
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("read the node's resolv.conf: %w", err)
	}
	if err := atomicfile.Write(ResolvConf, []byte(podResolvConf(string(conf), resolver, omit)), 0o644, atomicfile.Options{}); err != nil {
		return fmt.Errorf("write the pods' resolv.conf: %w", err)
	}
	return nil
}

// podResolvConf derives the resolv.conf of pods with dnsPolicy Default from the node's. The engine's resolver,
// 127.0.0.11, exists only in the node's network namespace; pods ask resolver instead, where the node's DNS server
// forwards questions. Options stay as the engine set them, and search domains unless omit selects them.
func podResolvConf(node string, resolver netip.Addr, omit func(string) bool) string {
	var b strings.Builder
	b.WriteString("nameserver " + resolver.String() + "\n")
	for line := range strings.Lines(node) {
		f := strings.Fields(line)
		if len(f) > 0 && f[0] == "search" {
			f = append(f[:1], slices.DeleteFunc(f[1:], omit)...)
		}
		if len(f) > 1 && (f[0] == "search" || f[0] == "options") {
			b.WriteString(strings.Join(f, " ") + "\n")
		}
	}
	return b.String()
}

package hostprep

import (
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"os"
	"strings"

	"bonsai/bootstrap/atomicfile"
)

// WriteResolvConf writes the resolv.conf that the kubelet gives to pods which use the node's DNS, and from which it takes the
// search domains of all others, each time a pod starts. resolver is the DNS server; search makes the search domains of pods from
// those of the node. It may be called again while the kubelet runs.
func WriteResolvConf(resolver netip.Addr, search func(own []string) []string) error {
	conf, err := os.ReadFile(EngineResolvConf)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("read the node's resolv.conf: %w", err)
	}
	if err := atomicfile.Write(ResolvConf, []byte(podResolvConf(string(conf), resolver, search)), 0o644, atomicfile.Options{}); err != nil {
		return fmt.Errorf("write the pods' resolv.conf: %w", err)
	}
	return nil
}

// podResolvConf derives the resolv.conf of pods with dnsPolicy Default from the node's. The engine's resolver,
// 127.0.0.11, exists only in the node's network namespace; pods ask resolver instead, where the node's DNS server
// forwards questions. Options stay as the engine set them.
func podResolvConf(node string, resolver netip.Addr, search func([]string) []string) string {
	var options strings.Builder
	var own []string
	for line := range strings.Lines(node) {
		switch f := strings.Fields(line); {
		case len(f) < 2:
		case f[0] == "search":
			own = f[1:]
		case f[0] == "options":
			options.WriteString(strings.Join(f, " ") + "\n")
		}
	}
	conf := "nameserver " + resolver.String() + "\n"
	if domains := search(own); len(domains) > 0 {
		conf += "search " + strings.Join(domains, " ") + "\n"
	}
	return conf + options.String()
}

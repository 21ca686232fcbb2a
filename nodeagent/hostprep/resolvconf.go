package hostprep

import (
	"net/netip"
	"strings"
)

// podResolvConf derives the pods' resolv.conf from the node's. The engine's resolver, 127.0.0.11, exists in the
// node's network namespace only; pods ask the node's address instead, where cluster DNS listens. Search domains and
// options stay as the engine set them.
func podResolvConf(node string, nodeIP netip.Addr) string {
	var b strings.Builder
	b.WriteString("nameserver " + nodeIP.String() + "\n")
	for line := range strings.Lines(node) {
		if f := strings.Fields(line); len(f) > 1 && (f[0] == "search" || f[0] == "options") {
			b.WriteString(strings.Join(f, " ") + "\n")
		}
	}
	return b.String()
}

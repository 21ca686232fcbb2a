package hostprep

import (
	"net/netip"
	"strings"
)

// podResolvConf derives the resolv.conf of pods with dnsPolicy Default from the node's. The engine's resolver,
// 127.0.0.11, exists only in the node's network namespace; pods ask resolver instead, where the node's DNS server
// forwards questions. Search domains and options stay as the engine set them.
func podResolvConf(node string, resolver netip.Addr) string {
	var b strings.Builder
	b.WriteString("nameserver " + resolver.String() + "\n")
	for line := range strings.Lines(node) {
		if f := strings.Fields(line); len(f) > 1 && (f[0] == "search" || f[0] == "options") {
			b.WriteString(strings.Join(f, " ") + "\n")
		}
	}
	return b.String()
}

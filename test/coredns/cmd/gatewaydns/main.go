// Command gatewaydns is CoreDNS with the plugins that Gateway API's conformance tests configure for a backend that speaks
// UDP. Its flags are those of CoreDNS.
package main

import (
	"fmt"
	"os"

	"github.com/coredns/coredns/core/dnsserver"
	"github.com/coredns/coredns/coremain"

	// Each registers its directive.
	_ "github.com/coredns/coredns/plugin/errors"
	_ "github.com/coredns/coredns/plugin/forward"
	_ "github.com/coredns/coredns/plugin/log"
	_ "github.com/coredns/coredns/plugin/whoami"
)

func main() {
	if err := dnsserver.SetDirectives([]string{"errors", "log", "whoami", "forward"}); err != nil {
		fmt.Fprintln(os.Stderr, "gatewaydns:", err)
		os.Exit(1)
	}
	coremain.Run()
}

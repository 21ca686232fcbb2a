// Command hosts is CoreDNS with the plugins that upstream's end-to-end tests of DNS configure. The agnhost image of
// test/conformance has it as /coredns. Its flags are those of CoreDNS.
package main

import (
	"fmt"
	"os"

	"github.com/coredns/coredns/core/dnsserver"
	"github.com/coredns/coredns/coremain"

	// Each registers its directive.
	_ "github.com/coredns/coredns/plugin/hosts"
	_ "github.com/coredns/coredns/plugin/log"
)

func main() {
	if err := dnsserver.SetDirectives([]string{"log", "hosts"}); err != nil {
		fmt.Fprintln(os.Stderr, "hosts:", err)
		os.Exit(1)
	}
	coremain.Run()
}

// Command coredns is CoreDNS with the plugins that kubeadm's Corefile needs. Its flags are those of CoreDNS.
package main

import (
	"fmt"
	"os"

	"github.com/coredns/coredns/coremain"

	"bonsai/test/coredns/plugins"
)

func main() {
	if err := plugins.Select(); err != nil {
		fmt.Fprintln(os.Stderr, "coredns:", err)
		os.Exit(1)
	}
	coremain.Run()
}

// Command bonsai-guardian restarts the control plane of a cluster when that ends unexpectedly. Package
// bootstrap/guardian says how.
//
// It is a program of its own because it sleeps beside every running cluster: it has a resident set of 4 MB, and
// the whole of bonsai would have 120. The executable bonsai contains it, and writes it into the cluster's folder.
package main

import (
	"context"
	"fmt"
	"os"

	"bonsai/bootstrap/guardian"
)

func main() {
	if err := guardian.Main(context.Background(), os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "bonsai-guardian:", err)
		os.Exit(1)
	}
}

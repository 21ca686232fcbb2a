// Package direct keeps a process's connections off proxies. What a cluster consists of is on this machine, but the user's
// environment may name a proxy, and nearly every Go client obeys it: client-go's even where a transport has none.
package direct

import (
	"os"

	"bonsai/bootstrap/cluster"
)

// Only removes what names a proxy from the environment of this process, and thereby of its children. Call it before the
// first request: net/http reads the environment once.
func Only() error {
	for _, name := range cluster.ProxyVariables() {
		if err := os.Unsetenv(name); err != nil {
			return err
		}
	}
	return nil
}

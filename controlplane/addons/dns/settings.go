package dns

import (
	"fmt"
	"strings"

	"bonsai/bootstrap/cluster"
)

// The names of settings.
const (
	settingUpstreams = "upstreams"
	settingCache     = "cacheSeconds"
	settingHosts     = "hosts"
)

// hostsTTL is short, so that a changed entry is seen by who asked before.
const hostsTTL = 30

func settings() []cluster.AddonSetting {
	const cost = "It takes effect within a second and interrupts nothing"
	return []cluster.AddonSetting{
		{
			Name: settingUpstreams, Type: cluster.SettingAddresses, Max: 15, // as many as CoreDNS takes
			Description: "Resolvers that are asked for names outside the cluster, in this order; if there are none, those of this machine", Cost: cost,
		},
		{
			Name: settingCache, Type: cluster.SettingInteger, Default: "30", Min: 1, Max: 3600,
			Description: "How many seconds answers of resolvers are kept at most", Cost: cost,
		},
		{
			Name: settingHosts, Type: cluster.SettingHosts,
			Description: "Addresses of names, each as NAME=ADDRESS, that pods find without asking a resolver", Cost: cost,
		},
	}
}

// directives are the chosen values in the language of the servers' configuration; empty if none is chosen.
func directives(about cluster.AddonDescription, spec cluster.Spec) string {
	var text strings.Builder
	chosen := spec.AddonValues[about.Name]
	if list := cluster.List(chosen[settingUpstreams]); len(list) > 0 {
		fmt.Fprintf(&text, "forward . %s {\n    max_concurrent 1000\n    policy sequential\n}\n", strings.Join(list, " "))
	}
	if seconds := chosen[settingCache]; seconds != "" {
		fmt.Fprintf(&text, "cache %s\n", seconds)
	}
	if list := cluster.List(chosen[settingHosts]); len(list) > 0 {
		text.WriteString("hosts {\n")
		for _, entry := range list {
			name, address, _ := strings.Cut(entry, "=")
			fmt.Fprintf(&text, "    %s %s\n", address, name)
		}
		fmt.Fprintf(&text, "    ttl %d\n    fallthrough\n}\n", hostsTTL)
	}
	return text.String()
}

package cluster

import "strconv"

// DashboardAddon is the name of the addon that shows the cluster in a browser.
const DashboardAddon = "dashboard"

// DashboardPortSetting is the port of this machine at which it listens, 0 for the one that it had before or a free one.
const DashboardPortSetting = "port"

// Dashboard is where the dashboard of a cluster listens on this machine.
type Dashboard struct {
	// Open says that Port is served, on loopback; otherwise Reason says why not.
	Open   bool   `json:"open"`
	Port   int    `json:"port,omitempty"`
	Reason string `json:"reason,omitempty"`
}

// DashboardLogin is how a browser gets into the dashboard.
type DashboardLogin struct {
	// URL has a token that works once, within two minutes. Address is the dashboard's without it.
	URL     string `json:"url"`
	Address string `json:"address"`
	// ReadOnly says that the session that begins with it changes nothing.
	ReadOnly bool `json:"readOnly,omitempty"`
}

// DashboardRevoked is what ended with a revocation.
type DashboardRevoked struct {
	// Sessions are those of browsers, Tokens those in URLs that nobody has opened.
	Sessions int `json:"sessions"`
	Tokens   int `json:"tokens"`
}

// DashboardPort is the port that the user chose for the dashboard, 0 for any.
func (s *Spec) DashboardPort() int {
	port, err := strconv.Atoi(s.AddonValues[DashboardAddon][DashboardPortSetting])
	if err != nil {
		return 0
	}
	return port
}

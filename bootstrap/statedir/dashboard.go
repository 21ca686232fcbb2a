package statedir

func (c Cluster) dashboardFile() string { return c.path("dashboard.json") }

// DashboardPort is the port of this machine at which the cluster's dashboard was last, 0 if it never was.
func (c Cluster) DashboardPort() int { return c.port(c.dashboardFile()) }

// KeepDashboardPort records that port, so that the next daemon takes it again, and bookmarks stay right.
func (c Cluster) KeepDashboardPort(port int) error { return c.keepPort(c.dashboardFile(), port) }

package tui

// newScreens are the numbered screens in their order, each with its first page.
func newScreens(u *ui) []*screen {
	return []*screen{
		{"overview", "Overview", "Over", []page{newFrontPage(u, newOverviewPage(u))}},
		{"nodes", "Nodes", "Nodes", []page{newPanes(u, newNodesPage(u))}},
		{"pods", "Pods", "Pods", []page{newPanes(u, newPodsPage(u))}},
		{"logs", "Logs", "Logs", []page{newLogsPage(u)}},
		{"events", "Events", "Events", []page{newEventsPage(u)}},
		{"dns", "DNS", "DNS", []page{newDNSPage(u)}},
		{"addons", "Addons", "Addons", []page{newAddonsPage(u)}},
		{"control", "Control plane", "Control", []page{newControlPage(u)}},
		{"ports", "Ports", "Ports", []page{newPortsPage(u)}},
	}
}

// ScreenNames are the names by which Options.Start and a user's settings call the screens.
func ScreenNames() []string {
	return []string{"overview", "nodes", "pods", "logs", "events", "dns", "addons", "control", "ports"}
}

package tui

import (
	"slices"
	"strconv"
	"strings"

	"bonsai/bootstrap/cluster"
	"bonsai/bootstrap/fault"
	"bonsai/bootstrap/kube"
	"bonsai/tui/paint"
)

// This file adds, changes and removes nodes: each is a verb of "bonsai node", which holds the cluster's lock and works on a
// stopped cluster too.

// nodeNames are the names of nodes.
func nodeNames(list []subject) []string {
	names := make([]string, len(list))
	for i := range list {
		names[i] = list[i].ref.Name
	}
	return names
}

// planned is a node that the cluster's plan has; nil for one that only the API knows.
func (u *ui) planned(name string) *cluster.NodeStatus {
	nodes := u.state.Snapshot.Nodes
	if i := slices.IndexFunc(nodes, func(n cluster.NodeStatus) bool { return n.Name == name }); i >= 0 {
		return &nodes[i]
	}
	return nil
}

// allPlanned says that some objects are nodes of the cluster's plan, which are deleted with all that belongs to them.
func (u *ui) allPlanned(list []subject) bool {
	return len(list) > 0 && !slices.ContainsFunc(list, func(s subject) bool { return needsPlannedNode(u, &s) != "" })
}

// deletesNodes says that a verb deletes nodes, for which the API server is not needed.
func (u *ui) deletesNodes(v *verb, list []subject) bool {
	return v.id == "delete" && u.allPlanned(list)
}

func needsPlannedNode(u *ui, s *subject) string {
	switch {
	case s.ref.Type.Resource != kube.NodeType().Resource:
		return u.T("only for nodes")
	case u.planned(s.ref.Name) == nil:
		return u.T("the cluster does not know this node")
	}
	return ""
}

func needsRunningNode(u *ui, s *subject) string {
	if reason := needsPlannedNode(u, s); reason != "" {
		return reason
	}
	if u.planned(s.ref.Name).Stopped {
		return u.T("it is stopped already")
	}
	return ""
}

func needsStoppedNode(u *ui, s *subject) string {
	if reason := needsPlannedNode(u, s); reason != "" {
		return reason
	}
	if n := u.planned(s.ref.Name); !n.Stopped && n.Host == cluster.PhaseRunning {
		return u.T("it is running")
	}
	return ""
}

// changeNodes runs a verb of "bonsai node"; meanwhile the rows of the nodes say what is being done with them. failed, if
// set, may take an error; it returns false to have it shown.
func (u *ui) changeNodes(verb string, names, flags []string, title, doing string, failed func(error) bool) {
	if u.refuseChange() || u.refuseSecond(u.session.Name()) {
		return
	}
	for _, n := range names {
		u.changing[n] = doing
	}
	u.state.Notify()
	u.changeCluster(u.session.Name(), slices.Concat([]string{"node", verb}, names, flags), title, func(err error) {
		for _, n := range names {
			delete(u.changing, n)
		}
		u.state.Again()
		u.state.Notify()
		switch {
		case err == nil:
			u.toast.say(paint.OK, u.theme.Glyphs.OK+" "+title)
		case failed == nil || !failed(err):
			u.explainFailure(title, err)
		}
	})
}

func (u *ui) checkCPUs(text string) string {
	if text == "" {
		return ""
	}
	if _, err := cluster.ParseCPUs(text); err != nil {
		return u.T("not a number from 0.1 to 1024")
	}
	return ""
}

func (u *ui) checkMemory(text string) string {
	if text == "" {
		return ""
	}
	if _, err := cluster.ParseMemory(text); err != nil {
		return u.T("from %d MB on, such as 2g or 1500m", cluster.MinMemory>>20)
	}
	return ""
}

// askAddNodes asks for how many, and of what kind.
func (u *ui) askAddNodes() {
	if u.refuseChange() || u.refuseSecond(u.session.Name()) {
		return
	}
	if u.state.Known && u.state.Snapshot.Phase == cluster.PhaseAbsent {
		u.toast.say(paint.Dim, u.T("cluster %q does not exist", u.session.Name()))
		return
	}
	left := cluster.MaxNodes - len(u.state.Snapshot.Nodes)
	u.openForm(&form{
		title: u.T("add nodes to %s", u.session.Name()), accept: u.T("Add"),
		text: []string{u.T("other nodes are not touched; a new one has all images that were loaded")},
		fields: []*field{
			{label: u.T("how many"), value: "1", only: digit, check: func(text string) string {
				if n, err := strconv.Atoi(text); err != nil || n < 1 || n > left {
					return u.T("not a number from 1 to %d", left)
				}
				return ""
			}},
			{label: u.T("role"), value: cluster.RoleWorker, choices: []string{cluster.RoleWorker, cluster.RoleControlPlane},
				hint: u.T("a role is only a label: the control plane itself is not on nodes")},
			{label: u.T("processors"), hint: u.T("empty: no limit; otherwise such as 2 or 0.5"), check: u.checkCPUs},
			{label: u.T("memory"), hint: u.T("empty: no limit; otherwise such as 2g or 1500m"), check: u.checkMemory},
		},
		done: func(v []string) {
			n, _ := strconv.Atoi(v[0])
			flags := append([]string{"--count", strconv.Itoa(n), "--role", v[1]}, limitFlags(v[2], v[3])...)
			title := u.T("add a node")
			if n > 1 {
				title = u.T("add %d nodes", n)
			}
			u.changeNodes("add", nil, flags, title, "", nil)
		},
	})
}

// limitFlags are the flags for limits; an empty one is not set.
func limitFlags(cpus, memory string) []string {
	var flags []string
	if cpus != "" {
		flags = append(flags, "--cpus", cpus)
	}
	if memory != "" {
		flags = append(flags, "--memory", memory)
	}
	return flags
}

// askLimits asks for the limits of nodes. What is left empty stays as it is.
func (u *ui) askLimits(list []subject) {
	if u.refuseSecond(u.session.Name()) {
		return
	}
	names := nodeNames(list)
	cpus, memory := u.T("empty: as it is; no-limit removes the limit"), ""
	if use, ok := u.usageOf(names[0]); ok && len(names) == 1 {
		memory = u.T("now %s", size(use.MemoryLimit)) + "; "
		cpus = u.T("now %s", whole(use.CPUs)) + "; " + cpus
	}
	memory += u.T("empty: as it is; no-limit removes the limit")
	u.openForm(&form{
		title: u.T("limits of %s", strings.Join(names, ", ")), accept: u.T("Change"),
		text: []string{u.T("pods keep running; removing a limit restarts the node")},
		fields: []*field{
			{label: u.T("processors"), hint: cpus, check: u.checkCPUs},
			{label: u.T("memory"), hint: memory, check: u.checkMemory},
		},
		done: func(v []string) {
			flags := limitFlags(v[0], v[1])
			if len(flags) == 0 {
				u.toast.say(paint.Dim, u.T("nothing was changed"))
				return
			}
			u.changeNodes("update", names, flags, u.T("change the limits of %s", strings.Join(names, ", ")), u.T("changing"), nil)
		},
	})
}

// onNodes is a text about some nodes: what stands on them, and in which cluster they are.
func (u *ui) onNodes(names []string) []string {
	u.state.Summary.Refresh()
	pods := 0
	for _, n := range names {
		pods += u.state.Summary.Nodes[n].Total
	}
	return []string{u.T("pods on it: %d", pods), u.T("cluster: %s", u.session.Name())}
}

func (u *ui) askStopNodes(list []subject) {
	if u.refuseSecond(u.session.Name()) {
		return
	}
	names := nodeNames(list)
	all := strings.Join(names, ", ")
	u.ask(u.T("stop %s?", all), append([]string{
		u.T("as if it were switched off: after five minutes its pods are created elsewhere, unless they say otherwise"),
		u.T("it keeps everything, and stays stopped until it is started"),
	}, u.onNodes(names)...), u.T("Stop"), "", func() {
		u.changeNodes("stop", names, nil, u.T("stop %s", all), u.T("stopping"), nil)
	})
}

func (u *ui) startNodes(list []subject) {
	names := nodeNames(list)
	u.changeNodes("start", names, nil, u.T("start %s", strings.Join(names, ", ")), u.T("starting"), nil)
}

func (u *ui) askRestartNodes(list []subject) {
	if u.refuseSecond(u.session.Name()) {
		return
	}
	names := nodeNames(list)
	all := strings.Join(names, ", ")
	u.ask(u.T("restart %s?", all), append([]string{
		u.T("it is stopped and started again; its pods are started again where they were"),
	}, u.onNodes(names)...), u.T("Restart"), "", func() {
		u.changeNodes("restart", names, nil, u.T("restart %s", all), u.T("restarting"), nil)
	})
}

// askDeleteNodes says what a deletion does, and asks. If something on the nodes would be lost, nothing has changed, and a
// second question names it.
func (u *ui) askDeleteNodes(names []string) {
	if u.refuseSecond(u.session.Name()) {
		return
	}
	all := strings.Join(names, ", ")
	u.ask(u.T("delete %s?", all), append([]string{
		u.T("its pods move to other nodes first; if something on it would be lost, it is not deleted, and you are asked again"),
		u.T("then its container, its volume and everything in them are removed"),
	}, u.onNodes(names)...), u.T("Delete"), "", func() {
		u.changeNodes("delete", names, nil, u.T("delete %s", all), u.T("emptying"), func(err error) bool {
			if fault.KindOf(err) != fault.Blocked {
				return false
			}
			u.askForce(names, err)
			return true
		})
	})
}

// mostLost bounds how much of what would be lost a question names.
const mostLost = 8

// askForce names what keeps nodes from being deleted, and asks whether to delete them with it.
func (u *ui) askForce(names []string, err error) {
	all := strings.Join(names, ", ")
	text := []string{u.T("it was not deleted, because this would be lost or keeps it:")}
	evidence := u.problemOf(err).Evidence
	for i, line := range evidence {
		if i == mostLost && len(evidence) > mostLost+1 {
			text = append(text, "  "+u.T("and %d more", len(evidence)-i))
			break
		}
		text = append(text, u.theme.Glyphs.Warn+" "+paint.Clean(line))
	}
	text = append(text, u.T("cluster: %s", u.session.Name()))
	u.openLater(&question{
		u: u, title: u.T("delete %s with all of it?", all), text: text, accept: u.T("Delete"), typed: names[0], input: newInput(u, ""),
		answer: func() {
			u.changeNodes("delete", names, []string{"--force"}, u.T("delete %s", all), u.T("deleting"), nil)
		},
	})
}

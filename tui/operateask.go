package tui

import (
	"slices"
	"strconv"
	"strings"

	"bonsai/bootstrap/cluster"
	"bonsai/bootstrap/kube"
	"bonsai/tui/paint"
)

// This file asks for what a verb of the command line needs, and then runs it.

// askNodes asks for a number of nodes and starts with it.
func (u *ui) askNodes() {
	if u.refuseChange() {
		return
	}
	u.promptNodes(func(n int) { u.beginOperation("start", "--nodes", strconv.Itoa(n)) })
}

func (u *ui) promptNodes(done func(n int)) {
	have := len(u.state.Snapshot.Nodes)
	label := u.T("number of nodes (0 to %d): ", cluster.MaxNodes)
	if have > 0 {
		label = u.T("number of nodes (%d now; more can be added): ", have)
	}
	u.openPrompt(&prompt{label: label, kind: "nodes", only: digit, done: func(text string) {
		text = strings.TrimSpace(text)
		if text == "" {
			return
		}
		n, err := strconv.Atoi(text)
		if err == nil {
			err = cluster.ValidateNodes(n)
		}
		switch {
		case err != nil:
			u.toast.say(paint.Fail, u.T("%q is not a number of nodes from 0 to %d", text, cluster.MaxNodes))
		case n < have:
			u.toast.say(paint.Fail, u.T("the cluster has %d nodes; a start adds some but removes none", have))
		default:
			done(n)
		}
	}}, "")
}

// togglePause pauses the cluster, or lets a paused one run again. Neither loses anything, so it does not ask.
func (u *ui) togglePause() {
	name := u.session.Name()
	switch {
	case !u.state.Running():
		u.toast.say(paint.Dim, u.T("the cluster is not running"))
	case u.state.Paused():
		u.run([]string{"unpause"}, u.T("unpause %s", name))
	default:
		u.run([]string{"pause"}, u.T("pause %s", name))
	}
}

// askAutoPause asks after how long the cluster pauses on its own.
func (u *ui) askAutoPause() {
	u.openPrompt(&prompt{label: u.T("pause after how long without a request (10m, or off): "), kind: "autopause", done: func(text string) {
		text = strings.TrimSpace(text)
		if text == "" {
			return
		}
		if _, err := cluster.ParseAutoPause(text); err != nil {
			u.toast.say(paint.Fail, u.T("%q is not a duration from 10s on, such as 10m, nor off", text))
			return
		}
		u.run([]string{"pause", "--auto", text}, u.T("pause after %s", text))
	}}, "")
}

func (u *ui) askImage() {
	u.openPrompt(&prompt{label: u.T("image of the Docker engine, or archive: "), kind: "image", done: func(text string) {
		args, err := splitArgs(text)
		if err != nil {
			u.fail(err)
			return
		}
		if len(args) > 0 {
			u.run(append([]string{"image", "load"}, args...), u.T("load %s", paint.Clean(strings.Join(args, " "))))
		}
	}}, "")
}

func (u *ui) askKubectl() {
	u.openPrompt(&prompt{label: "kubectl ", kind: "kubectl", done: func(text string) {
		args, err := splitArgs(strings.TrimPrefix(strings.TrimSpace(text), "kubectl "))
		if err != nil {
			u.fail(err)
			return
		}
		if len(args) > 0 {
			u.runText(append([]string{"kubectl", "--"}, args...))
		}
	}}, "")
}

func (u *ui) askName() {
	u.openPrompt(&prompt{label: u.T("name to look up in cluster DNS: "), kind: "name", done: func(text string) {
		if fields := strings.Fields(text); len(fields) > 0 && !strings.HasPrefix(fields[0], "-") {
			u.runText(append([]string{"dns", "query"}, fields...))
		}
	}}, "")
}

// chooseCluster offers the other clusters of this user; the UI goes over to the one that is chosen.
func (u *ui) chooseCluster() {
	fetch(u, u.session.Clusters, func(list []cluster.Info, err error) {
		if err != nil {
			u.fail(err)
			return
		}
		var choices []choice
		for _, c := range list {
			if c.Name == u.session.Name() {
				continue
			}
			choices = append(choices, choice{
				title: paint.Clean(c.Name), hint: u.T(lower(string(c.Phase))) + "  " + u.nodesWord(c.Nodes), run: func() { u.goToCluster(c.Name) },
			})
		}
		m := u.choose(u.T("another cluster, or the name of a new one"), choices)
		m.free = func(name string) {
			if err := cluster.ValidateName(name); err != nil {
				u.fail(err)
				return
			}
			u.goToCluster(name)
		}
	})
}

// goToCluster leaves this UI for that of another cluster. What runs here goes on.
func (u *ui) goToCluster(name string) {
	u.leave(Outcome{Cluster: name})
}

// chooseAddon offers those that can be switched on, or off.
func (u *ui) chooseAddon(on bool) {
	fetch(u, u.session.Addons, func(list []cluster.AddonStatus, err error) {
		if err != nil {
			u.fail(err)
			return
		}
		var choices []choice
		for _, a := range list {
			if a.Enabled == on {
				continue
			}
			choices = append(choices, choice{
				title: paint.Clean(a.Name), words: paint.Clean(a.Description), hint: paint.Clean(a.Description), run: func() { u.switchAddon(a, list) },
			})
		}
		title := u.T("disable an addon")
		if on {
			title = u.T("enable an addon")
		}
		if len(choices) == 0 {
			u.toast.say(paint.Dim, u.T("there is none"))
			return
		}
		u.choose(title, choices)
	})
}

// chooseShell offers the nodes.
func (u *ui) chooseShell() {
	var choices []choice
	for _, n := range u.state.Snapshot.Nodes {
		choices = append(choices, choice{title: paint.Clean(n.Name), hint: n.IP, run: func() {
			u.openShell(&subject{ref: kube.Ref{Type: kube.NodeType(), Name: n.Name}, node: n.Name})
		}})
	}
	u.choose(u.T("open a shell in a node"), choices)
}

// hostComponents have their logs on the host.
var hostComponents = []string{"etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler", "daemon"}

// chooseComponentLog offers the logs of control plane and nodes.
func (u *ui) chooseComponentLog() {
	var choices []choice
	for _, c := range hostComponents {
		choices = append(choices, choice{title: c, hint: u.T("on this machine"), run: func() { u.runText([]string{"logs", c}) }})
	}
	for _, n := range u.state.Snapshot.Nodes {
		names := []string{"kubelet", "kube-proxy", "containerd", "bonsai-agent"}
		for _, c := range n.Components {
			if !slices.Contains(names, c.Name) {
				names = append(names, c.Name)
			}
		}
		for _, c := range names {
			choices = append(choices, choice{title: paint.Clean(c), words: paint.Clean(n.Name), hint: u.T("on %s", paint.Clean(n.Name)), run: func() {
				u.runText([]string{"logs", c, "--node", n.Name})
			}})
		}
	}
	u.choose(u.T("log of a component"), choices)
}

// switchAddon enables or disables an addon. It asks where something is taken away.
func (u *ui) switchAddon(a cluster.AddonStatus, all []cluster.AddonStatus) {
	if u.refuseChange() {
		return
	}
	name := paint.Clean(a.Name)
	if !a.Enabled {
		u.runAddon(a.Name, []string{"addons", "enable", a.Name}, u.T("enable %s", name), u.T("enabling"))
		return
	}
	args := []string{"addons", "disable", a.Name}
	text := []string{u.T("its objects in the cluster are removed; claims, volumes and their data stay")}
	if users := needers(all, a.Name); len(users) > 0 {
		args = append(args, "--cascade")
		text = append(text, u.T("this also disables %s, which cannot work without it", paint.Clean(strings.Join(users, ", "))))
	}
	text = append(text, u.T("cluster: %s", u.session.Name()))
	u.ask(u.T("disable %s?", name), text, u.T("Disable"), "", func() { u.runAddon(a.Name, args, u.T("disable %s", name), u.T("disabling")) })
}

// needers are the enabled addons that cannot do without one, directly or not.
func needers(all []cluster.AddonStatus, name string) []string {
	var list []string
	for _, a := range all {
		if a.Enabled && a.Name != name && slices.Contains(a.Needs, name) {
			for _, n := range append([]string{a.Name}, needers(all, a.Name)...) {
				if !slices.Contains(list, n) {
					list = append(list, n)
				}
			}
		}
	}
	return list
}

// runAddon runs a verb about an addon, whose row says meanwhile what is being done; then the list of addons is read again.
func (u *ui) runAddon(name string, args []string, title, doing string) {
	page := u.addons()
	u.switching[name] = doing
	page.merge()
	u.operate(args, title, func([]cluster.Event) {}, func(err error) {
		delete(u.switching, name)
		page.reload()
		page.merge()
		if err != nil {
			u.fail(err)
			return
		}
		u.toast.say(paint.OK, u.theme.Glyphs.OK+" "+title)
	})
}

// addons is the page of addons.
func (u *ui) addons() *addonsPage {
	for _, s := range u.screens {
		if p, ok := s.pages[0].(*addonsPage); ok {
			return p
		}
	}
	return newAddonsPage(u)
}

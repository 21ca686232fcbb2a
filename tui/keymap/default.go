package keymap

import "slices"

// Default is the map without a user's file. Those who know k9s, lazydocker or less find their keys.
func Default() *Map {
	m, err := New(slices.Concat(everywhere(), lists(), pages(), texts(), startView(), dialogs()))
	if err != nil {
		panic(err) // a defect of the tables below, which every test meets
	}
	return m
}

func in(contexts ...Context) []Context { return contexts }
func keys(keys ...string) []string     { return keys }

func everywhere() []Action {
	return []Action{
		{"screen.overview", in(Global), keys("1"), "", "overview: problems first"},
		{"screen.nodes", in(Global), keys("2"), "", "nodes"},
		{"screen.pods", in(Global), keys("3"), "", "pods"},
		{"screen.logs", in(Global), keys("4"), "", "logs of many pods, merged"},
		{"screen.events", in(Global), keys("5"), "", "events"},
		{"screen.dns", in(Global), keys("6"), "", "DNS: who asks for what"},
		{"screen.addons", in(Global), keys("7"), "", "addons"},
		{"screen.control", in(Global), keys("8"), "", "control plane, live"},
		{"screen.ports", in(Global), keys("9"), "", "Services and forwarded ports"},
		{"next.screen", in(Global), keys("tab"), "", "next screen"},
		{"prev.screen", in(Global), keys("shift+tab"), "", "previous screen"},
		{"command", in(Global), keys(":"), "command", "go to any resource type"},
		{"palette", in(Global), keys("ctrl+k", "ctrl+p"), "find", "find any verb, object or setting"},
		{"filter", in(Global), keys("/"), "filter", "filter, or search in text"},
		{"namespace", in(Global), keys("n"), "namespace", "choose a namespace"},
		{"all", in(Global), keys("A"), "", "all namespaces"},
		{"back", in(Global), keys("esc"), "back", "back; clear the filter"},
		{"history.back", in(Global), keys("["), "", "back to the previous place"},
		{"history.forward", in(Global), keys("]"), "", "forward again"},
		{"last", in(Global), keys("-"), "", "the previous screen, and back"},
		{"help", in(Global), keys("?", "f1"), "keys", "all keys of this screen"},
		{"theme", in(Global), keys("T"), "", "next theme"},
		{"mouse", in(Global), keys("M"), "", "give the mouse to the terminal, or take it back"},
		{"log", in(Global), keys("L"), "", "what was done, as commands"},
		{"quit", in(Global), keys("q", "ctrl+c"), "quit", "quit; the cluster keeps running"},
		{"images", in(Global), keys("I"), "", "images in the nodes"},
		{"traffic", in(Global), keys("W"), "", "who talks to whom"},
		{"clusters", in(Global), keys("P"), "", "clusters: switch, start, stop, delete"},
		{"checkpoints", in(Global), keys("K"), "", "checkpoints: save, restore, fork, delete"},
		{"doctor", in(Global), keys("H"), "", "whether this machine is fit for clusters"},
		{"resources", in(Global), keys("B"), "", "what pods use of what they request"},
		{"access", in(Global), keys("U"), "", "who may do what: can-i and who-can"},
		{"file", in(Global), keys("V"), "", "the cluster file: view, plan, apply"},
		{"cluster.pause", in(Global), keys("Z"), "", "pause the cluster, or let it run again"},
		{"cluster.stop", in(Global), keys("Q"), "", "stop the cluster"},
	}
}

func lists() []Action {
	return []Action{
		{"down", in(List), keys("j", "down"), "", "down"},
		{"up", in(List), keys("k", "up"), "", "up"},
		{"top", in(List), keys("g", "home"), "", "first"},
		{"bottom", in(List), keys("G", "end"), "", "last"},
		{"page.down", in(List), keys("ctrl+d", "pgdown"), "", "a page down"},
		{"page.up", in(List), keys("ctrl+u", "pgup"), "", "a page up"},

		{"open", in(Table, Problems), keys("enter"), "open", "open"},
		{"sort", in(Table), keys("S"), "sort", "sort by another column"},
		{"wide", in(Table), keys("w"), "wide", "all columns"},

		{"mark", in(Objects, Images), keys(" "), "mark", "mark"},
		{"delete", in(Object), keys("delete", "ctrl+x"), "delete", "delete"},

		{"describe", in(About, DNS), keys("d"), "describe", "describe"},
		{"yaml", in(About, DNS), keys("y"), "yaml", "YAML"},
		{"edit", in(About), keys("e"), "edit", "edit"},
		{"logs", in(About, DNS, Control), keys("l"), "logs", "logs"},
		{"logs.previous", in(About), keys("p"), "previous", "logs of the previous container"},
		{"shell", in(About, DNS), keys("s"), "shell", "shell"},
		{"forward", in(About, DNS), keys("F"), "forward", "forward a port"},
		{"owner", in(About), keys("J"), "owner", "what owns it"},
		{"birth", in(About), keys("b"), "birth", "how the pod was created"},
		{"why", in(About, Traffic), keys("Y"), "why", "where the way from it, or to it, ends, and why"},
		{"copy.name", in(About, Control), keys("c"), "copy", "copy the name"},
		{"copy.line", in(About, Control), keys("C"), "copy", "copy the line, or what it is about"},
		{"restart", in(About), keys("r"), "restart", "restart a workload"},
		{"scale", in(About), keys("+"), "scale", "scale"},
		{"actions", in(About, DNS), keys("a"), "actions", "all actions"},
		{"fix", in(About), keys("f"), "fix", "the suggested fix"},
		{"revisions", in(About), keys("v"), "revisions", "revisions of a workload: compare them, go back"},
		{"values", in(About), keys("x"), "values", "values of a Secret or ConfigMap"},
		{"related", in(About), keys("X"), "related", "what it uses, and what uses it, as a tree"},
		{"image.set", in(About), keys("i"), "image", "another image, after what it changes was shown"},
		{"resources.set", in(About), keys("m"), "resources", "what containers request, and their limits"},

		{"cron.run", in(Cron), keys("r"), "run now", "run a CronJob now"},
		{"cron.suspend", in(Cron), keys("s"), "suspend", "suspend a CronJob or Job, or let it run again"},

		{"cordon", in(Node), keys("u"), "cordon", "cordon or uncordon"},
		{"node.drain", in(Node), keys("D"), "drain", "drain: move its pods to other nodes"},
		{"node.add", in(Node), keys("+"), "add", "add nodes"},
		{"node.images", in(Node), keys("i"), "images", "images of the node"},
		{"node.stop", in(Node), keys("x"), "stop", "stop the node"},
		{"node.start", in(Node), keys("o"), "start", "start the node"},
		{"node.restart", in(Node), keys("r"), "restart", "restart the node"},
		{"node.limits", in(Node), keys("m"), "limits", "processors and memory of the node"},

		{"tab.next", in(Tabs), keys("tab", "right"), "next tab", "the next tab of the object"},
		{"tab.prev", in(Tabs), keys("shift+tab", "left"), "", "the previous tab"},
	}
}

// pages are the actions that one page alone has.
func pages() []Action {
	return []Action{
		{"tree", in(Pods), keys("t"), "tree", "pods under their workloads"},

		{"events.warnings", in(Events), keys("f"), "warnings only", "warnings only, or all events"},
		{"events.copy", in(Events), keys("C"), "copy the message", "copy the message"},

		{"dns.explain", in(DNS), keys("enter"), "explain", "explain or hide"},
		{"dns.failures", in(DNS), keys("f"), "failures only", "failures only, or all answers"},
		{"dns.type", in(DNS), keys("t"), "type", "one record type"},
		{"dns.pod", in(DNS), keys("p"), "pod", "one pod"},
		{"dns.group", in(DNS), keys("u"), "group by name", "group by name, or one by one"},
		{"dns.pause", in(DNS), keys(" "), "pause", "pause or continue; nothing is lost"},
		{"dns.copy", in(DNS), keys("c"), "copy", "copy the name"},
		{"dns.copy.right", in(DNS), keys("C"), "copy", "copy the right name"},
		{"trace", in(DNS), keys("x"), "trace", "how the name is looked up, step by step"},
		{"resolve", in(DNS, Lookup), keys("R"), "resolve", "resolve a name as a pod would"},
		{"lookup.again", in(Lookup), keys("r"), "ask again", "ask again"},
		{"lookup.copy", in(Lookup), keys("c", "C"), "copy the answer", "copy the answer"},

		{"addon.toggle", in(Addons), keys(" "), "toggle", "enable or disable it"},
		{"addon.off", in(Addons), keys("delete", "ctrl+x"), "", "disable it"},
		{"addon.settings", in(Addons), keys("m"), "settings", "show and change its settings"},
		{"addon.fix", in(Addons), keys("f"), "copy the command", "copy the command"},
		{"addon.copy", in(Addons), keys("c", "C"), "copy", "copy the name"},

		{"service.copy", in(Services), keys("C"), "copy the address", "copy the address"},
		{"traffic.map", in(Traffic), keys("m"), "map", "a map of namespaces and workloads, or the list"},
		{"way.again", in(Way), keys("r"), "again", "walk there again"},
		{"way.other", in(Way), keys("Y", "enter"), "elsewhere", "walk from the same pod to something else"},
		{"way.copy", in(Way), keys("c", "C"), "copy the command", "copy the command"},
		{"traffic.nodes", in(Traffic), keys("t"), "of nodes", "with nodes and this machine, or of pods only"},
		{"image.load", in(Images), keys("+"), "load", "load an image of the container engine, or an archive"},
		{"image.pull", in(Images), keys("p"), "pull", "have every node pull an image"},
		{"image.remove", in(Images), keys("delete", "ctrl+x"), "remove", "remove the image, or those that are marked, from every node"},
		{"image.node", in(Images), keys("t"), "node", "the images of one node, or of all"},
		{"image.copy", in(Images), keys("c", "C"), "copy", "copy the name"},

		{"profile.start", in(Clusters), keys("o"), "start", "start the cluster"},
		{"profile.stop", in(Clusters), keys("x"), "stop", "stop the cluster under the cursor"},
		{"profile.delete", in(Clusters), keys("delete", "ctrl+x"), "delete", "delete the cluster"},
		{"profile.new", in(Clusters), keys("+"), "new", "go to a new cluster"},
		{"profile.copy", in(Clusters), keys("c", "C"), "copy", "copy the name"},

		{"checkpoint.save", in(Checkpoints), keys("+"), "save", "save a checkpoint"},
		{"checkpoint.restore", in(Checkpoints), keys("r"), "restore", "go back to the checkpoint"},
		{"checkpoint.fork", in(Checkpoints), keys("f"), "fork", "a second cluster from the checkpoint"},
		{"checkpoint.delete", in(Checkpoints), keys("delete", "ctrl+x"), "delete", "delete the checkpoint"},
		{"checkpoint.copy", in(Checkpoints), keys("c", "C"), "copy", "copy the name"},

		{"doctor.fix", in(Doctor), keys("f"), "fix", "run what fixes it"},
		{"doctor.repair", in(Doctor), keys("+"), "repair", "repair what this user has the rights for"},
		{"doctor.again", in(Doctor), keys("r"), "look again", "look again"},
		{"doctor.copy", in(Doctor), keys("c", "C"), "copy the command", "copy what to type"},

		{"file.plan", in(File), keys("p"), "plan a file", "what a cluster file would change"},
		{"file.apply", in(File), keys("a"), "apply it", "make the cluster what the file says"},
		{"file.view", in(File), keys("v"), "the cluster's own", "the file that makes this cluster again"},

		{"port.add", in(Services, Forwards), keys("+"), "open a port", "open a port of this machine for as long as the cluster runs"},
		{"forward.copy", in(Forwards), keys("C", "c"), "copy the address", "copy the address"},
		{"forward.retry", in(Forwards), keys("r"), "retry", "try to forward it again"},
		{"forward.stop", in(Forwards), keys("delete", "ctrl+x"), "stop", "stop forwarding it, or close it"},

		{"history.copy", in(History), keys("C", "c"), "copy", "copy the command"},
		{"history.end", in(History), keys("delete", "ctrl+x"), "cancel", "cancel what is running"},

		{"change.revert", in(Changes), keys("R"), "revert", "make the object as it was after this change, after a question"},

		{"revision.back", in(Revisions), keys("R"), "go back", "go back to this revision, after what it changes was shown"},
		{"related.open", in(Related), keys("enter"), "open", "open the object of this line"},
		{"access.ask", in(Access), keys("e", "r"), "ask", "ask something else"},
		{"access.open", in(Access), keys("enter"), "open", "open the binding of this line"},
		{"access.copy", in(Access), keys("c"), "copy", "copy the command that asks the same"},
		{"problem.fold", in(Problems), keys("z"), "what follows", "show or hide what follows from a problem"},
		{"values.show", in(Values), keys("x"), "show values", "show values of Secrets for 30 seconds, or hide them"},

		{"pane.next", in(Panes), keys("tab"), "next pane", "to the next pane"},
		{"pane.prev", in(Panes), keys("shift+tab"), "", "to the previous pane"},
		{"pane.zoom", in(Panes), keys("z"), "", "only this pane, and back"},
		{"pane.larger", in(Panes), keys(">"), "", "this pane larger"},
		{"pane.smaller", in(Panes), keys("<"), "", "this pane smaller"},
	}
}

func texts() []Action {
	return []Action{
		{"text.down", in(Scroll), keys("j", "down"), "", "down"},
		{"text.up", in(Scroll), keys("k", "up"), "", "up"},
		{"text.top", in(Scroll), keys("g", "home"), "", "beginning"},
		{"text.bottom", in(Scroll), keys("G", "end"), "end", "end, and follow"},
		{"text.page.down", in(Scroll), keys("ctrl+d", "pgdown"), "", "a page down"},
		{"text.page.up", in(Scroll), keys("ctrl+u", "pgup"), "", "a page up"},
		{"text.left", in(Text), keys("left", "shift+left"), "", "left"},
		{"text.right", in(Text), keys("right", "shift+right"), "", "right"},
		{"text.copy", in(Text), keys("C"), "copy", "copy the line"},
		{"text.next", in(Search), keys("n"), "next", "next match"},
		{"text.prev", in(Search), keys("N"), "prev", "previous match"},
		{"text.filter", in(Lines), keys("&"), "filter", "show matching lines only"},
		{"text.pause", in(Lines), keys(" "), "pause", "pause or follow; nothing is lost"},
		{"text.wrap", in(Lines), keys("w"), "wrap", "wrap long lines"},
		{"text.time", in(Lines), keys("t"), "time", "times: clock, age, none"},
		{"text.raw", in(Lines), keys("x"), "raw", "JSON as received, or readable"},
		{"text.prev.run", in(Lines), keys("{"), "prev run", "the previous run"},
		{"text.next.run", in(Lines), keys("}"), "next run", "the next run"},
		{"text.save", in(Lines), keys("o"), "save", "save to a file"},
		{"text.expand", in(Lines), keys("enter"), "whole line", "the whole line, JSON over several"},
		{"text.previous", in(Logs), keys("p"), "previous", "logs of the previous container"},
		{"text.container", in(Logs), keys("c"), "only one", "only one container, or one pod"},
	}
}

func startView() []Action {
	return []Action{
		{"start.copy", in(Start), keys("c", "C"), "copy a report", "copy a report of it"},
		{"start.log", in(Start), keys("l"), "log", "log of the control plane"},
		{"start.down", in(Offers, Failed), keys("j", "down"), "", "down"},
		{"start.up", in(Offers, Failed), keys("k", "up"), "", "up"},
		{"start.open", in(Offers, Failed, Started), keys("enter"), "go", "run the selected action"},
		{"start.nodes", in(Offers), keys("n", "+"), "nodes", "choose the number of nodes"},
		{"start.version", in(Offers), keys("v"), "version", "choose the Kubernetes version"},
		{"start.retry", in(Offers, Failed), keys("r"), "again", "try again"},
		{"start.keep", in(Failed), keys("K"), "again and keep", "try again, and keep what it makes if it fails"},
		{"start.delete", in(Offers, Failed), keys("delete", "ctrl+x"), "delete it", "delete the cluster"},
		{"start.back", in(Failed), keys("esc"), "", "back"},
	}
}

func dialogs() []Action {
	return []Action{
		{"dialog.next", in(Dialog), keys("down", "tab", "ctrl+n"), "", "next"},
		{"dialog.prev", in(Dialog), keys("up", "shift+tab", "ctrl+p"), "", "before"},
		{"dialog.page.down", in(Dialog), keys("pgdown"), "", "a page down"},
		{"dialog.page.up", in(Dialog), keys("pgup"), "", "a page up"},
		{"dialog.accept", in(Dialog), keys("enter"), "", "accept"},
		{"dialog.cancel", in(Dialog), keys("esc", "ctrl+c"), "", "cancel"},

		{"question.other", in(Question), keys("left", "right", "h", "l"), "", "the other answer"},
		{"question.no", in(Question), keys("n", "q"), "", "cancel"},

		{"prompt.older", in(Prompt), keys("up", "ctrl+p"), "", "previous input"},
		{"prompt.newer", in(Prompt), keys("down", "ctrl+n"), "", "next input"},
		{"prompt.complete", in(Prompt), keys("tab"), "", "accept the first suggestion"},

		{"input.left", in(Input), keys("left"), "", "left"},
		{"input.right", in(Input), keys("right", "ctrl+f"), "", "right"},
		{"input.word.left", in(Input), keys("alt+b", "ctrl+left", "alt+left"), "", "a word to the left"},
		{"input.word.right", in(Input), keys("alt+f", "ctrl+right", "alt+right"), "", "a word to the right"},
		{"input.home", in(Input), keys("home"), "", "beginning"},
		{"input.end", in(Input), keys("end", "ctrl+e"), "", "end"},
		{"input.delete.left", in(Input), keys("backspace"), "", "delete the character before the cursor"},
		{"input.delete.right", in(Input), keys("delete", "ctrl+d"), "", "delete the character under the cursor"},
		{"input.cut.word.left", in(Input), keys("ctrl+w", "alt+backspace"), "", "cut the word before the cursor"},
		{"input.cut.word.right", in(Input), keys("alt+d", "alt+delete"), "", "cut the word after the cursor"},
		{"input.cut.left", in(Input), keys("ctrl+u"), "", "cut everything before the cursor"},
		{"input.cut.right", in(Input), keys("ctrl+k"), "", "cut everything after the cursor"},
		{"input.paste", in(Input), keys("ctrl+y"), "", "insert the last cut text"},
	}
}

package tui

import (
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	tea "github.com/charmbracelet/bubbletea"

	"bonsai/bootstrap/cluster"
	"bonsai/bootstrap/fault"
	"bonsai/tui/feed"
	"bonsai/tui/paint"
)

// operation is a start, stop or delete that was begun here. It is drawn as a waterfall in the place of the overview,
// which comes back when it has succeeded, or when its failure was seen.
type operation struct {
	args []string
	fall *waterfall
	task *task
	// done says that it has ended, err how; ending that somebody wants its end and it cleans up.
	done, ending bool
	err          error
	// seen says that its end need not be shown any longer; existed that there was a cluster before.
	seen, existed bool
}

func (o *operation) verb() string { return o.args[0] }

const (
	// readyPause is how long the end of an operation stays on the screen without a key.
	readyPause = 2 * time.Second
	// settleLimit is when it goes even if the cluster has not reported it.
	settleLimit = 10 * time.Second
)

// beginOperation runs a verb that has a waterfall.
func (u *ui) beginOperation(args ...string) {
	if u.refuseChange() || u.refuseSecond(u.session.Name()) {
		return
	}
	o := &operation{args: args, existed: u.state.Known && u.state.Snapshot.Phase != cluster.PhaseAbsent}
	o.fall = newWaterfall(o.verb(), u.clock.now())
	u.operation = o
	u.fetchStarts(func(starts []cluster.Timeline) { o.fall.expect(pastOf(o.verb(), starts)) })
	o.task = u.operate(args, u.operationTitle(o.verb()), func(events []cluster.Event) {
		for _, e := range events {
			o.fall.event(e)
		}
	}, func(err error) { u.endOperation(o, err) })
	o.task.changes, o.task.verb = u.session.Name(), o.verb()
	u.toOverview()
	u.frontChanged()
}

func (u *ui) operationTitle(verb string) string {
	name := u.session.Name()
	switch verb {
	case "start":
		return u.T("start %s", name)
	case "stop":
		return u.T("stop %s", name)
	}
	return u.T("delete %s", name)
}

// fetchStarts reads the records of past starts.
func (u *ui) fetchStarts(done func([]cluster.Timeline)) {
	fetch(u, func(context.Context) ([]cluster.Timeline, error) { return u.session.Starts(), nil }, func(list []cluster.Timeline, _ error) { done(list) })
}

// toOverview goes to the screen where operations are drawn.
func (u *ui) toOverview() {
	if u.current != 0 {
		u.goTo(0)
		return
	}
	for u.pop() {
	}
}

func (u *ui) endOperation(o *operation, err error) {
	o.done, o.err = true, err
	var problem *cluster.Problem
	if err != nil {
		p := u.problemOf(err)
		problem = &p
	}
	o.fall.finish(u.clock.now(), problem)
	u.state.Again()
	if err != nil {
		u.frontChanged()
		return
	}
	if !u.operationShown() {
		u.toast.say(paint.OK, u.theme.Glyphs.OK+" "+u.operationEnd(o))
	}
	u.after(readyPause, func() { u.leaveOperation(o) })
	u.after(settleLimit, func() { u.forgetOperation(o) })
	u.frontChanged()
}

func (u *ui) operationEnd(o *operation) string {
	name, took := u.session.Name(), seconds(o.fall.elapsed(u.clock.now()))
	switch o.verb() {
	case "start":
		return u.T("%s is ready in %s s", name, took)
	case "stop":
		return u.T("%s is stopped, in %s s; everything in it is kept", name, took)
	}
	return u.T("%s is deleted, in %s s; nothing is left of it", name, took)
}

// leaveOperation says that the end of an operation was seen. Its picture goes when the cluster is known to be what the
// operation made of it, so that nobody is offered a start of what has just been started.
func (u *ui) leaveOperation(o *operation) {
	o.seen = true
	if o.err != nil {
		u.forgetOperation(o)
		return
	}
	u.frontChanged()
}

func (u *ui) forgetOperation(o *operation) {
	if u.operation == o && o.done {
		u.operation = nil
		u.frontChanged()
	}
}

// settled says that nothing of an operation has to be shown any more.
func (u *ui) settled(o *operation) bool {
	return o.done && o.seen && (o.verb() == "start") != u.state.Absent()
}

// doing is what an operation does, in a word.
func (u *ui) doing(o *operation) string {
	switch o.verb() {
	case "start":
		return u.T("starting")
	case "stop":
		return u.T("stopping")
	}
	return u.T("deleting")
}

// operationShown says that the current page shows the operation.
func (u *ui) operationShown() bool {
	_, ok := u.page().(*startPage)
	return ok && u.operation != nil
}

// after runs f in the program's goroutine when d has passed.
func (u *ui) after(d time.Duration, f func()) {
	u.cmd(tea.Tick(d, func(time.Time) tea.Msg { return doMsg(f) }))
}

// refuseChange says why nothing can be changed, if so.
func (u *ui) refuseChange() bool {
	if u.opts.ReadOnly {
		u.toast.say(paint.Warn, u.T("bonsai ui runs with --readonly"))
	}
	return u.opts.ReadOnly
}

// refuseSecond says that something changes a cluster already, if so: its lock lets one at a time work on it.
func (u *ui) refuseSecond(name string) bool {
	i := slices.IndexFunc(u.tasks, func(t *task) bool { return t.changes == name })
	if i >= 0 {
		u.toast.say(paint.Warn, u.T("wait for it: %s", u.tasks[i].title))
	}
	return i >= 0
}

// changeCluster runs a verb that holds the lock of a cluster meanwhile. Its steps are in the line at the bottom.
func (u *ui) changeCluster(name string, args []string, title string, done func(error)) {
	t := u.operate(args, title, func([]cluster.Event) {}, done)
	t.changes, t.verb = name, args[0]
	if args[0] == "node" || args[0] == "checkpoint" {
		t.verb += " " + args[1]
	}
}

// operate runs any verb of the command line with a line in the log of actions. What it reports goes to events in order.
func (u *ui) operate(args []string, title string, events func([]cluster.Event), done func(error)) *task {
	entry := u.record(bonsaiCommand(args...))
	news := feed.NewBox(u.hub, func(old, new []cluster.Event) []cluster.Event { return append(old, new...) }, func(list []cluster.Event) {
		events(list)
		u.touch()
	})
	return u.work(title, func(ctx context.Context, report func(string)) error {
		return u.session.Operate(ctx, args, func(e cluster.Event) {
			news.Put([]cluster.Event{e})
			switch e.Kind {
			case cluster.StepStarted, cluster.StepProgress:
				report(strings.Trim(e.Title+": "+firstLineOf(e.Detail), ": "))
			}
		})
	}, func(err error) {
		entry.end(u, err)
		if !errors.Is(err, cluster.ErrDetach) {
			done(err)
		}
	})
}

// run is operate for verbs of which only the end matters.
func (u *ui) run(args []string, title string) { u.runThen(args, title, func() {}) }

// runThen is run; then is called when it has succeeded.
func (u *ui) runThen(args []string, title string, then func()) {
	if u.refuseChange() {
		return
	}
	said := ""
	u.operate(args, title, func(list []cluster.Event) {
		for _, e := range list {
			if e.Detail != "" {
				said = paint.Clean(firstLineOf(e.Detail))
			}
		}
	}, func(err error) {
		if err != nil {
			u.fail(err)
			return
		}
		text := title
		if said != "" {
			text += ": " + said
		}
		u.toast.say(paint.OK, u.theme.Glyphs.OK+" "+text)
		then()
	})
}

// runText is operate for verbs whose answer is text: it is shown over the current page.
func (u *ui) runText(args []string) {
	title := bonsaiCommand(args...).String()
	p := newOutputPage(u, title)
	u.push(p)
	u.runInto(p, args)
}

// runInto is operate with the answer on a page.
func (u *ui) runInto(p *outputPage, args []string) {
	p.task = u.operate(args, p.title, func(list []cluster.Event) {
		for _, e := range list {
			p.add(e.Detail)
		}
	}, func(err error) {
		p.end(err)
		if err != nil && p.empty() {
			u.fail(err)
		}
	})
}

// quit leaves the UI. What runs for the cluster goes on.
func (u *ui) quit() {
	o := Outcome{}
	for _, t := range u.tasks {
		if t.changes != "" {
			o.Message = u.T("bonsai %s continues without the UI. Check its progress:  %s", t.verb, u.toShell(bonsaiCommand("ui")))
		}
	}
	u.leave(o)
}

// confirmStop asks, and stops the cluster, or the start that is in progress.
func (u *ui) confirmStop() {
	name := u.session.Name()
	switch o := u.operation; {
	case o != nil && !o.done && o.ending:
		u.toast.say(paint.Warn, u.T("it is being aborted; it cleans up"))
	case o != nil && !o.done:
		u.ask(u.T("abort it: %s?", o.task.title), []string{u.endEffect(o)}, u.T("Abort"), "", func() {
			if !o.done {
				o.ending = true
				o.task.cancel(errEnded)
			}
		})
	case u.state.Absent():
		u.toast.say(paint.Dim, u.T("the cluster is not running"))
	case u.opts.ReadOnly:
		u.refuseChange()
	default:
		u.ask(u.T("stop %s?", name), []string{
			u.T("its nodes and its control plane stop; objects, volumes and images are kept"), u.T("a start restores everything as it was"),
			u.T("cluster: %s", name),
		}, u.T("Stop"), "", func() { u.beginOperation("stop") })
	}
}

// endEffect says what aborting an operation does: only a start of a cluster that was not there before removes one.
func (u *ui) endEffect(o *operation) string {
	switch {
	case o.verb() == "start" && o.existed:
		return u.T("what it has added is taken back; the cluster that was there before stays, with all its data")
	case o.verb() == "start":
		return u.T("cluster %s is new: what it has created so far, nodes, volumes and data, is removed", u.session.Name())
	}
	return u.T("it stops where it is; running the same command again continues")
}

// confirmDelete asks for the name, and deletes the cluster.
func (u *ui) confirmDelete() {
	name := u.session.Name()
	if u.refuseChange() || u.refuseSecond(name) {
		return
	}
	text := []string{u.T("this deletes all its nodes, volumes, images and data, and its entries in your kubeconfig; it cannot be undone")}
	u.state.Summary.Refresh()
	if n := u.state.Summary.Len(); n > 0 {
		text = append(text, u.T("%d nodes, %d pods", len(u.state.Snapshot.Nodes), n))
	}
	u.ask(u.T("delete cluster %s?", name), text, u.T("Delete"), name, func() { u.beginOperation("delete") })
}

// operations are the verbs of the command line, for the palette.
func (u *ui) operations() []choice {
	name := u.session.Name()
	var list []choice
	add := func(title, verb, words, off string, run func()) {
		if off == "" && u.opts.ReadOnly && !slices.Contains(readingVerbs, verb) {
			off = u.T("bonsai ui runs with --readonly")
		}
		c := bonsaiCommand(strings.Fields(verb)...)
		if verb == "ui -p" { // another cluster
			c = c.OfNone()
		}
		list = append(list, choice{title: title, words: "bonsai " + verb + " " + words, hint: u.toShell(c), off: off, run: run})
	}
	gone, runs := "", ""
	if !u.state.Running() {
		runs = u.T("the cluster is not running")
	}
	if u.state.Known && u.state.Snapshot.Phase == cluster.PhaseAbsent {
		gone = u.T("cluster %q does not exist", name)
	}
	if u.state.Absent() {
		add(u.T("start the cluster"), "start", "run create up", "", func() { u.beginOperation("start") })
	} else {
		add(u.T("restart what is missing in the cluster"), "start", "repair run up", "", func() { u.beginOperation("start") })
	}
	add(u.T("start with another number of nodes"), "start --nodes", "scale", "", u.askNodes)
	add(u.T("add nodes"), "node add", "new create join scale", gone, u.askAddNodes)
	if u.state.Paused() {
		add(u.T("let the paused cluster run again"), "unpause", "resume wake continue", runs, u.togglePause)
	} else {
		add(u.T("pause the cluster; the next request wakes it"), "pause", "freeze sleep", runs, u.togglePause)
	}
	add(u.T("pause the cluster whenever nobody uses it"), "pause --auto", "idle freeze sleep", gone, u.askAutoPause)
	add(u.T("stop the cluster"), "stop", "halt shut down", runs, u.confirmStop)
	add(u.T("delete the cluster and everything in it"), "delete", "remove destroy", gone, u.confirmDelete)
	add(u.T("go to another cluster"), "ui -p", "switch attach profile", "", u.chooseCluster)
	add(u.T("list the clusters; switch, start, stop and delete them"), "profile list", "profiles", "", func() { u.act("clusters") })
	add(u.T("the file that makes this cluster again"), "config view", "export yaml cluster file", gone, u.openFile)
	add(u.T("what a cluster file would change"), "plan -f", "diff yaml cluster file compare apply", "", u.askPlan)
	add(u.T("enable an addon"), "addons enable", "install switch on", gone, func() { u.chooseAddon(true) })
	add(u.T("disable an addon"), "addons disable", "remove switch off", gone, func() { u.chooseAddon(false) })
	add(u.T("settings of an addon"), "addons configure", "values options", gone, u.chooseSettings)
	add(u.T("list every known addon"), "addons list", "all coming replaced", "", func() { u.runText([]string{"addons", "list", "--all"}) })
	add(u.T("state of the addons"), "addons status", "state", "", func() { u.act("screen.addons") })
	add(u.T("how busy nodes and pods are"), "top", "cpu memory usage load", runs, func() { u.act("screen.nodes") })
	add(u.T("how a pod was created"), "birth", "steps scheduler scores", runs, func() {
		u.act("screen.pods")
		u.toast.say(paint.Plain, u.T("%s on a pod shows it", u.keys.Key("birth")))
	})
	add(u.T("what pods use of what they request"), "top", "resources requests limits cpu memory bars", runs, func() { u.act("resources") })
	add(u.T("who may do what: can-i and who-can"), "kubectl -- auth can-i", "rbac rights roles permissions allowed who-can", runs, func() { u.act("access") })
	add(u.T("what has happened to objects, and who did it"), "history", "changes diff revert", runs, func() { u.push(newChangesPage(u)) })
	add(u.T("save, restore, fork and delete checkpoints"), "checkpoint list", "save restore fork snapshot backup", gone, func() { u.act("checkpoints") })
	add(u.T("whether this machine is fit for clusters"), "doctor", "check machine repair fix problems", "", func() { u.act("doctor") })
	add(u.T("load an image into the nodes"), "image load", "docker import", runs, u.askImage)
	add(u.T("list the images in the nodes; load, pull and remove them"), "image ls", "rm missing", runs, func() { u.act("images") })
	add(u.T("list the ports of this machine; open and close them"), "port list", "add remove forward", gone, func() { u.act("screen.ports") })
	add(u.T("run kubectl"), "kubectl", "command k", "", u.askKubectl)
	add(u.T("point kubectl's context to this cluster"), "update-context", "kubeconfig repair", gone, func() { u.run([]string{"update-context"}, u.T("update kubectl's context")) })
	add(u.T("query cluster DNS for a name"), "dns query", "lookup resolve dig", runs, u.askName)
	add(u.T("state of the DNS servers"), "dns status", "", runs, func() { u.runText([]string{"dns", "status"}) })
	add(u.T("clear the DNS caches"), "dns flush", "cache", runs, func() { u.run([]string{"dns", "flush"}, u.T("flush the DNS caches")) })
	add(u.T("who talks to whom"), "flow", "traffic connections network bytes", runs, func() { u.act("traffic") })
	add(u.T("watch DNS questions"), "dns log", "queries", "", func() { u.act("screen.dns") })
	add(u.T("list the nodes"), "node list", "ls", "", func() { u.act("screen.nodes") })
	add(u.T("open a shell in a node"), "ssh", "exec terminal", runs, u.chooseShell)
	add(u.T("log of a component"), "logs", "kubelet containerd etcd apiserver", gone, u.chooseComponentLog)
	add(u.T("status as text"), "status", "health", gone, func() { u.runText([]string{"status"}) })
	add(u.T("versions of bonsai and its components"), "version", "", "", func() { u.runText([]string{"version"}) })
	return list
}

// readingVerbs change nothing.
var readingVerbs = []string{
	"kubectl -- auth can-i", "history", "checkpoint list", "doctor", "ui -p", "profile list", "config view", "plan -f", "port list", "addons list", "addons status", "top", "birth", "image ls", "dns query", "dns status", "dns log", "node list", "logs", "status", "version",
}

// splitArgs takes a command line apart: blanks separate, quotes and backslashes protect. Nothing is expanded.
func splitArgs(line string) ([]string, error) {
	var args []string
	var word strings.Builder
	begun, quote, escaped := false, rune(0), false
	for _, r := range line {
		switch {
		case escaped:
			word.WriteRune(r)
			escaped = false
		case r == '\\' && quote != '\'':
			begun, escaped = true, true
		case quote != 0 && r == quote:
			quote = 0
		case quote != 0:
			word.WriteRune(r)
		case r == '\'' || r == '"':
			begun, quote = true, r
		case r == ' ' || r == '\t':
			if begun {
				args = append(args, word.String())
				word.Reset()
				begun = false
			}
		default:
			begun = true
			word.WriteRune(r)
		}
	}
	if quote != 0 || escaped {
		return nil, fault.Newf(fault.Usage, "a quote is not closed: %s", line)
	}
	if begun {
		args = append(args, word.String())
	}
	return args, nil
}

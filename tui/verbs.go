package tui

import (
	"cmp"
	"context"
	"slices"
	"strconv"
	"strings"

	"bonsai/bootstrap/kube"
	"bonsai/tui/paint"
)

// verb is one thing that can be done with objects. The keys of lists, the menu of actions and the palette all run verbs,
// and all say the same where one is of no use.
type verb struct {
	// id is that of its binding, if it has a key.
	id, title string
	// change says that it changes something: not for a read-only UI.
	change bool
	// many says that it can be done with several objects at once; outside that it needs no API server.
	many, outside bool
	// why says why it cannot be done with an object, "" if it can.
	why func(u *ui, s *subject) string
	run func(u *ui, list []subject)
}

// verbs are all, in the order of menus.
func verbs() []*verb {
	return []*verb{
		{id: "open", title: "open", run: func(u *ui, l []subject) { u.openSubject(&l[0], "") }},
		{id: "fix", title: "run the suggested fix", change: true, why: needsFix, run: runFix},
		{id: "describe", title: "describe", run: func(u *ui, l []subject) { u.openSubject(&l[0], "describe") }},
		{id: "yaml", title: "show as YAML", run: func(u *ui, l []subject) { u.openSubject(&l[0], "yaml") }},
		{id: "history", title: "what has happened to it", run: func(u *ui, l []subject) { u.openSubject(&l[0], "history") }},
		{id: "logs", title: "logs", why: needsLogs, run: func(u *ui, l []subject) { u.openLogs(l, false) }, many: true},
		{id: "logs.previous", title: "logs of the previous container", why: needsPod, run: func(u *ui, l []subject) { u.openLogs(l, true) }},
		{id: "shell", title: "shell", change: true, why: needsShell, run: func(u *ui, l []subject) { u.openShell(&l[0]) }},
		{id: "birth", title: "how it was created", why: needsPod, run: func(u *ui, l []subject) { u.openSubject(&l[0], "birth") }},
		{id: "dns", title: "its DNS questions", why: needsPod, run: func(u *ui, l []subject) { u.openDNS(&l[0]) }},
		{id: "why", title: "why does it not reach something, or is not reached", why: needsWay, run: func(u *ui, l []subject) { u.why(&l[0]) }},
		{id: "forward", title: "forward a port to this machine", change: true, why: needsForward, run: func(u *ui, l []subject) { u.askForward(&l[0]) }},
		{id: "owner", title: "go to what owns it", why: needsOwner, run: func(u *ui, l []subject) { u.openOwner(&l[0]) }},
		{id: "edit", title: "edit", change: true, run: func(u *ui, l []subject) { u.edit(&l[0]) }},
		{id: "scale", title: "scale", change: true, why: needsScale, run: func(u *ui, l []subject) { u.askScale(&l[0]) }},
		{id: "restart", title: "restart", change: true, why: needsRestart, run: func(u *ui, l []subject) { u.restart(&l[0]) }},
		{id: "node.drain", title: "drain", change: true, why: needsNode, run: func(u *ui, l []subject) { u.drain(&l[0]) }},
		{id: "cordon", title: "cordon or uncordon", change: true, why: needsNode, run: func(u *ui, l []subject) { u.askCordon(&l[0]) }},
		{id: "node.stop", title: "stop the node", change: true, many: true, outside: true, why: needsRunningNode, run: func(u *ui, l []subject) { u.askStopNodes(l) }},
		{id: "node.start", title: "start the node", change: true, many: true, outside: true, why: needsStoppedNode, run: func(u *ui, l []subject) { u.startNodes(l) }},
		{id: "node.restart", title: "restart the node", change: true, many: true, outside: true, why: needsPlannedNode, run: func(u *ui, l []subject) { u.askRestartNodes(l) }},
		{id: "node.limits", title: "processors and memory of the node", change: true, many: true, outside: true, why: needsPlannedNode, run: func(u *ui, l []subject) { u.askLimits(l) }},
		{id: "node.images", title: "images of the node", why: needsPlannedNode, run: func(u *ui, l []subject) { u.push(newImagesPage(u, l[0].ref.Name)) }},
		{id: "revisions", title: "revisions: compare, go back", why: needsRevisions, run: func(u *ui, l []subject) { u.openSubject(&l[0], "revisions") }},
		{id: "rollout.undo", title: "go back to the revision before", change: true, why: needsRevisions, run: func(u *ui, l []subject) { u.askRollback(l[0].ref, 0, nil) }},
		{id: "related", title: "what it uses, and what uses it", why: needsRelations, run: func(u *ui, l []subject) { u.openSubject(&l[0], "related") }},
		{id: "rights", title: "what it may do", why: needsAccount, run: func(u *ui, l []subject) {
			u.push(newRightsPage(u, kube.Subject{Kind: "ServiceAccount", Namespace: l[0].ref.Namespace, Name: l[0].ref.Name}))
		}},
		{id: "values", title: "show the values", why: needsValues, run: func(u *ui, l []subject) { u.openSubject(&l[0], "values") }},
		{id: "image.set", title: "set the image", change: true, why: needsImages, run: func(u *ui, l []subject) { u.askImages(&l[0]) }},
		{id: "resources.set", title: "set requests and limits", change: true, why: needsTemplate, run: func(u *ui, l []subject) { u.askResources(&l[0]) }},
		{id: "cron.run", title: "run it now", change: true, why: needsCronJob, run: func(u *ui, l []subject) { u.runCronJob(&l[0]) }},
		{id: "cron.suspend", title: "suspend or resume", change: true, why: needsSuspend, run: func(u *ui, l []subject) { u.suspend(&l[0]) }},
		{id: "copy.name", title: "copy the name", run: func(u *ui, l []subject) { u.copy(l[0].ref.Name) }},
		{id: "copy.line", title: "copy the line", run: func(u *ui, l []subject) { u.copy(strings.TrimSpace(l[0].line)) }},
		{id: "delete", title: "delete", change: true, many: true, run: func(u *ui, l []subject) { u.askDelete(l) }},
	}
}

func verbNamed(id string) *verb {
	all := verbs()
	if i := slices.IndexFunc(all, func(v *verb) bool { return v.id == id }); i >= 0 {
		return all[i]
	}
	return nil
}

var workloads = []string{"deployments", "statefulsets", "daemonsets", "replicasets", "jobs"}

func needsPod(u *ui, s *subject) string {
	if s.ref.Type.Resource != "pods" {
		return u.T("only for pods")
	}
	return ""
}

func needsNode(u *ui, s *subject) string {
	if s.ref.Type.Resource != "nodes" {
		return u.T("only for nodes")
	}
	return ""
}

func needsLogs(u *ui, s *subject) string {
	if !slices.Contains(append([]string{"pods", "nodes", "services"}, workloads...), s.ref.Type.Resource) {
		return u.T("it has no logs")
	}
	return ""
}

func needsShell(u *ui, s *subject) string {
	switch {
	case s.ref.Type.Resource == "nodes":
		return ""
	case s.ref.Type.Resource != "pods":
		return u.T("only pods and nodes have a shell")
	case s.state != "Running" && s.state != "":
		return u.T("the pod is not running: it is %s", s.state)
	}
	return ""
}

func needsForward(u *ui, s *subject) string {
	if !slices.Contains([]string{"pods", "services", "deployments", "statefulsets"}, s.ref.Type.Resource) {
		return u.T("it has no ports")
	}
	return ""
}

func needsOwner(u *ui, s *subject) string {
	if s.owner == (kube.Object{}) {
		return u.T("nothing owns it")
	}
	return ""
}

func needsScale(u *ui, s *subject) string {
	if !slices.Contains([]string{"deployments", "statefulsets", "replicasets", "replicationcontrollers"}, s.ref.Type.Resource) {
		return u.T("it has no replicas")
	}
	return ""
}

func needsRestart(u *ui, s *subject) string {
	if !slices.Contains([]string{"deployments", "statefulsets", "daemonsets", "pods"}, s.ref.Type.Resource) {
		return u.T("only workloads can be restarted")
	}
	if s.ref.Type.Resource == "pods" && s.owner == (kube.Object{}) {
		return u.T("nothing would recreate the pod")
	}
	return ""
}

func needsFix(u *ui, s *subject) string {
	if s.problem != nil {
		if _, ok := u.fixOf(s.problem); ok {
			return ""
		}
	}
	return u.T("no fix is known for it")
}

// whyNot says why a verb cannot be done with any of these objects now, "" if it can.
func (u *ui) whyNot(v *verb, list []subject) string {
	switch {
	case len(list) == 0:
		return u.T("nothing is selected")
	case len(list) > 1 && !v.many:
		return u.T("one at a time")
	case v.change && u.opts.ReadOnly:
		return u.T("bonsai ui runs with --readonly")
	case v.change && !u.state.Stale().IsZero() && !v.outside && !fixedFromOutside(v, list) && !u.deletesNodes(v, list):
		return u.T("the cluster does not answer; the data shown may be old")
	}
	for i := range list {
		if list[i].ref.Type.Resource == "" && !slices.Contains(withoutObject, v.id) {
			return u.T("it is not an object of the API")
		}
		if v.why != nil {
			if reason := v.why(u, &list[i]); reason != "" {
				return reason
			}
		}
	}
	return ""
}

// fixedFromOutside says that a cure needs no API server: it is a command of bonsai, such as the start.
func fixedFromOutside(v *verb, list []subject) bool {
	if v.id != "fix" || list[0].problem == nil {
		return false
	}
	_, ok := bonsaiCure(list[0].problem)
	return ok
}

// withoutObject are the verbs that also work on what is not an object of the API: problems, addons, components.
var withoutObject = []string{"open", "fix", "copy.name", "copy.line"}

// chooser is the page that says what is chosen: the one that has the keys, or the one that it is a part of.
func (u *ui) chooser() (chooser, bool) {
	if c, ok := u.page().(chooser); ok {
		return c, true
	}
	c, ok := u.frame().(chooser)
	return c, ok
}

// runVerb does it with what is chosen on the current page, or says why not.
func (u *ui) runVerb(v *verb) {
	c, ok := u.chooser()
	if !ok {
		u.toast.say(paint.Dim, u.T("%s: nothing is selected here", u.T(v.title)))
		return
	}
	if c.lost() {
		u.toast.say(paint.Warn, u.T("the object under the cursor has just been removed"))
		return
	}
	list := c.subjects()
	if reason := u.whyNot(v, list); reason != "" {
		if n, ok := c.(noneChooser); ok && len(list) == 0 {
			reason = cmp.Or(n.whyNone(), reason)
		}
		u.toast.say(paint.Warn, u.T("%s: %s", u.T(v.title), reason))
		return
	}
	v.run(u, list)
}

// openActions lists all verbs for what is chosen, also those that are of no use.
func (u *ui) openActions() {
	c, ok := u.chooser()
	if !ok {
		return
	}
	list := c.subjects()
	if len(list) == 0 {
		u.toast.say(paint.Dim, u.T("nothing is selected"))
		return
	}
	title := list[0].name()
	if len(list) > 1 {
		title = u.T("%d objects", len(list))
	}
	chain := u.chain()
	var choices, offs []choice
	for _, v := range verbs() {
		c := choice{title: u.T(v.title), hint: u.keyIn(chain, v.id), off: u.whyNot(v, list), run: func() { v.run(u, list) }}
		if c.off == "" {
			choices = append(choices, c)
		} else {
			offs = append(offs, c)
		}
	}
	u.choose(title, append(choices, offs...))
}

// do carries out one action on an object and keeps what it was.
func (u *ui) do(a kube.Action, said string) { u.doThen(a, said, nil) }

// doThen is do; then, if it is not nil, is called when it was done, with what takes it back, if anything does.
func (u *ui) doThen(a kube.Action, said string, then func(back *undo)) {
	entry := u.record(actionCommand(a))
	var back *undo
	u.work(said, func(ctx context.Context, report func(string)) error {
		back, _ = u.reversalOf(ctx, a) // without it the change is as good, but cannot be taken back from here
		return u.session.Do(ctx, a, report)
	}, func(err error) {
		entry.end(u, err)
		if err != nil {
			u.fail(err)
			return
		}
		u.did(said, back)
		if then != nil {
			then(back)
		}
	})
}

// askDelete names what goes, and what that does, and asks.
func (u *ui) askDelete(list []subject) { u.askDeleteThen(list, nil) }

// askDeleteThen is askDelete; then, if it is not nil, is called when an object was deleted.
func (u *ui) askDeleteThen(list []subject, then func(back *undo)) {
	if u.allPlanned(list) {
		u.askDeleteNodes(nodeNames(list))
		return
	}
	var text []string
	title := u.T("delete %s?", list[0].name())
	if len(list) > 1 {
		title = u.T("delete %d objects?", len(list))
		for i := range list {
			if i == 8 {
				text = append(text, u.T("and %d more", len(list)-i))
				break
			}
			text = append(text, list[i].name())
		}
	}
	typed := ""
	for i := range list {
		effect, name := u.effectOf(&list[i])
		if effect != "" && !slices.Contains(text, effect) {
			text = append(text, effect)
		}
		if name != "" {
			typed = name
		}
	}
	text = append(text, u.T("cluster: %s", u.session.Name()))
	u.ask(title, text, u.T("Delete"), typed, func() {
		for i := range list {
			u.doThen(kube.Action{Verb: kube.VerbDelete, Ref: list[i].ref, Grace: -1}, u.T("delete %s", list[i].name()), then)
		}
	})
}

// effectOf says what deleting an object does, and what has to be typed for the ones that take much with them.
func (u *ui) effectOf(s *subject) (effect, typed string) {
	switch s.ref.Type.Resource {
	case "pods":
		if s.owner == (kube.Object{}) {
			return u.T("nothing recreates it"), ""
		}
		return u.T("its %s creates another one", s.owner), ""
	case "namespaces":
		pods := 0
		for _, ns := range u.state.Summary.Spaces {
			if ns.Name == s.ref.Name {
				pods = len(ns.Pods)
			}
		}
		return u.T("everything in it is deleted too: %d pods and all other objects", pods), s.ref.Name
	case "nodes":
		return u.T("only the Node object is deleted: its container keeps running and registers again"), s.ref.Name
	case "persistentvolumeclaims":
		return u.T("its data may be deleted with it"), ""
	case "deployments", "statefulsets", "daemonsets", "replicasets", "jobs":
		return u.T("its pods are deleted with it"), ""
	case "customresourcedefinitions":
		return u.T("all objects of this type are deleted with it"), s.ref.Name
	}
	return "", ""
}

func (u *ui) askScale(s *subject) {
	u.askReplicas(s, func(n int) {
		u.do(kube.Action{Verb: kube.VerbScale, Ref: s.ref, Replicas: n}, u.T("scale %s to %d", s.name(), n))
	})
}

// askReplicas asks for a number of pods.
func (u *ui) askReplicas(s *subject, then func(n int)) {
	u.openPrompt(&prompt{label: u.T("replicas of %s: ", s.ref.Name), kind: "scale", only: digit, done: func(text string) {
		n, err := strconv.Atoi(strings.TrimSpace(text))
		if err != nil || n < 0 || n > 10000 {
			u.toast.say(paint.Fail, u.T("%q is not a number of replicas", text))
			return
		}
		then(n)
	}}, "")
}

// restart restarts a workload; of a pod it deletes the pod, which its owner makes again.
func (u *ui) restart(s *subject) {
	if s.ref.Type.Resource == "pods" {
		u.askDelete([]subject{*s})
		return
	}
	u.do(kube.Action{Verb: kube.VerbRestart, Ref: s.ref}, u.T("restart %s", s.name()))
}

func (u *ui) drain(s *subject) {
	u.ask(u.T("drain %s?", s.ref.Name), []string{
		u.T("its pods move to other nodes; those of DaemonSets stay"), u.T("what they keep in emptyDir volumes is lost"),
		u.T("cluster: %s", u.session.Name()),
	}, u.T("Drain"), s.ref.Name, func() {
		u.do(kube.Action{Verb: kube.VerbDrain, Ref: s.ref}, u.T("drain %s", s.ref.Name))
	})
}

// askCordon asks before a node gets no more pods.
func (u *ui) askCordon(s *subject) {
	if s.cordoned {
		u.cordon(s)
		return
	}
	u.ask(u.T("cordon %s?", s.ref.Name), []string{
		u.T("it gets no new pods until it is uncordoned; those on it stay"), u.T("cluster: %s", u.session.Name()),
	}, u.T("Cordon"), "", func() { u.cordon(s) })
}

func (u *ui) cordon(s *subject) {
	if s.cordoned {
		u.do(kube.Action{Verb: kube.VerbUncordon, Ref: s.ref}, u.T("uncordon %s", s.ref.Name))
		return
	}
	u.do(kube.Action{Verb: kube.VerbCordon, Ref: s.ref}, u.T("cordon %s", s.ref.Name))
}

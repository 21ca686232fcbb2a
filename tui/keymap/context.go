package keymap

import "slices"

// Context is where a key counts: a place of the UI, or what several places have in common. What a page shows decides
// which contexts count there.
type Context string

// The contexts, each with what its keys are for.
const (
	Global   Context = "global"
	List     Context = "list"     // what has a cursor, or is moved like one
	Table    Context = "table"    // a list with columns
	Objects  Context = "objects"  // a table of objects, several of which can be marked
	About    Context = "about"    // an object: one that a row is, or that it is about
	Object   Context = "object"   // the object under the cursor, or the one whose page it is
	Node     Context = "node"     // an object that is a node
	Cron     Context = "cron"     // an object that is a CronJob or a Job
	Tabs     Context = "tabs"     // the page of an object
	Pods     Context = "pods"     // tables of pods
	Problems Context = "problems" // the overview, and the page of a problem
	Events   Context = "events"
	DNS      Context = "dns"
	Lookup   Context = "lookup" // the steps of one lookup
	Addons   Context = "addons"
	Control  Context = "control"
	Images   Context = "images"   // images of the nodes
	Traffic  Context = "traffic"  // who talks to whom
	Way      Context = "way"      // the steps from a pod to something else
	Clusters Context = "clusters" // the clusters of this user
	// Checkpoints are those of the cluster, Doctor is what is looked at on this machine.
	Checkpoints Context = "checkpoints"
	Doctor      Context = "doctor"
	File        Context = "file" // a cluster file
	Services    Context = "services"
	Forwards    Context = "forwards" // ports that are forwarded
	History     Context = "history"  // what was done from here
	Changes     Context = "changes"  // what has happened to objects
	Revisions   Context = "revisions"
	Access      Context = "access"  // who may do what
	Related     Context = "related" // what an object uses, and what uses it
	Values      Context = "values"  // what may have values of Secrets in it
	Panes       Context = "panes"   // panes beside each other, on wide terminals
	Scroll      Context = "scroll"  // every text
	Text        Context = "text"    // a text that has a page of its own
	Lines       Context = "lines"   // a text whose lines can be narrowed down and shown in several ways
	Search      Context = "search"  // a text in which something is searched
	Logs        Context = "logs"
	Start       Context = "start"  // the start view
	Offers      Context = "offers" // the start view before a start
	Failed      Context = "failed" // the start view after a start that failed
	Started     Context = "started"
	Dialog      Context = "dialog" // questions, menus and prompts
	Question    Context = "question"
	Prompt      Context = "prompt" // the line at the bottom
	Input       Context = "input"  // wherever a line of text is typed
)

// Place is a context as the documentation has it.
type Place struct {
	Context Context
	Title   string
	// Of are the contexts that count there as well, the most specific first.
	Of []Context
}

// Places lists all contexts, in the order of the documentation.
func Places() []Place {
	return []Place{
		{Global, "Everywhere", nil},
		{List, "In lists", nil},
		{Table, "In tables", []Context{List}},
		{Objects, "In tables of objects", []Context{Object, Table}},
		{Object, "For the object under the cursor, those that are marked, or the one whose page it is", []Context{About}},
		{About, "For an object, also one that an event or a forwarded port is about", nil},
		{Node, "For a node", []Context{About}},
		{Cron, "For a CronJob or a Job", []Context{About}},
		{Tabs, "On the page of an object", []Context{Object}},
		{Pods, "In tables of pods", []Context{Objects}},
		{Problems, "On the overview and on the page of a problem", []Context{Object, List}},
		{Events, "On the screen of events", []Context{About, Table}},
		{DNS, "On the DNS screen", []Context{List}},
		{Lookup, "On the page of a lookup", []Context{List}},
		{Addons, "On the screen of addons", []Context{Table}},
		{Control, "On the screen of the control plane", []Context{Table}},
		{Images, "On the page of images", []Context{Table}},
		{Traffic, "On the page of traffic", []Context{Table}},
		{Way, "On the page of a way from a pod to something else", []Context{List}},
		{Clusters, "On the page of clusters", []Context{Table}},
		{Checkpoints, "On the page of checkpoints", []Context{Table}},
		{Doctor, "On the page of this machine", []Context{Table}},
		{File, "On the page of the cluster file", []Context{Text}},
		{Services, "On the screen of ports, for Services", []Context{Objects}},
		{Forwards, "On the screen of ports, for ports of this machine", []Context{About, Table}},
		{History, "In the list of what was done", []Context{List}},
		{Changes, "Where changes of objects are listed", []Context{About}},
		{Revisions, "Where revisions of a workload are listed", []Context{Lines}},
		{Related, "Where it is listed what an object uses", []Context{Lines}},
		{Access, "On the page of who may do what", []Context{Lines}},
		{Values, "Where values of Secrets can be shown", []Context{Lines}},
		{Panes, "Where panes stand beside each other", nil},
		{Scroll, "In every text", nil},
		{Text, "In logs and other texts", []Context{Scroll}},
		{Lines, "In logs, YAML and the tabs of an object", []Context{Text}},
		{Search, "While something is searched in a text", nil},
		{Logs, "In logs", []Context{Lines}},
		{Start, "On the start view", nil},
		{Offers, "On the start view, before a start", []Context{Start}},
		{Failed, "On the start view, after a start that failed", []Context{Start}},
		{Started, "On the start view, after a start that succeeded", []Context{Start}},
		{Dialog, "In questions, menus and prompts", nil},
		{Question, "In questions", []Context{Dialog}},
		{Prompt, "In prompts, which show previous input", []Context{Input, Dialog}},
		{Input, "Where text is typed: in prompts, in menus, in questions that want a name", nil},
	}
}

// Chain lists contexts with all that they are made of, the most specific first: the order in which a key is looked up.
func Chain(contexts ...Context) []Context {
	var all []Context
	var add func(list []Context)
	add = func(list []Context) {
		for _, c := range list {
			all = append(all, c)
			add(partsOf(c))
		}
	}
	add(contexts)
	// What is a part of several comes behind the last of them.
	var chain []Context
	for i, c := range all {
		if !slices.Contains(all[i+1:], c) {
			chain = append(chain, c)
		}
	}
	return chain
}

func partsOf(c Context) []Context {
	places := Places()
	if i := slices.IndexFunc(places, func(p Place) bool { return p.Context == c }); i >= 0 {
		return places[i].Of
	}
	return nil
}

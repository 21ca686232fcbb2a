package tui

import (
	"bonsai/bootstrap/cluster"
	"bonsai/bootstrap/fault"
	"bonsai/bootstrap/kube"
	"bonsai/tui/keymap"
)

// page is what fills the terminal between the tabs and the hints. It is a plain struct that draws what it has; what it
// follows, it follows between show and hide.
type page interface {
	show()
	hide()
	// crumb names the page in the trail of what was opened.
	crumb() string
	// contexts say which keys count here now beside those that count everywhere, the most specific first.
	contexts() []keymap.Context
	// act carries out an action of its contexts, but for those that are verbs: these act on what the page has chosen
	// and need nothing of the page. Of all other actions it does nothing and returns false.
	act(id string) bool
	// draw returns exactly h lines of exactly w cells.
	draw(w, h int) []string
	// hints are the actions whose keys are worth a word now, the best first.
	hints() []hint
}

// hint is an action in the line of hints.
type hint struct {
	id string
	// word says it as it is now, translated; empty for the word that the action always has.
	word string
}

// hintsOf are hints with the words that their actions always have.
func hintsOf(ids ...string) []hint {
	list := make([]hint, len(ids))
	for i, id := range ids {
		list[i].id = id
	}
	return list
}

// facade is a page with a part that has the keys: that part is searched, and asked what is chosen, in its place.
type facade interface{ front() page }

// backer is a page on which something can be taken back before esc leaves it: marks, a pause, a choice. back returns
// false if there is nothing.
type backer interface{ back() bool }

// follower is a page that shows what a cursor is on; it is notified before each picture.
type follower interface{ follow() }

// keyTaker is a page that looks at every key before its action is looked up; true ends it.
type keyTaker interface{ takeKey(key string) bool }

// filterer is a page that can be filtered, or searched.
type filterer interface {
	filterText() string
	setFilter(text string)
	// filterPrompt is "/" for a filter, or what else the prompt begins with.
	filterPrompt() string
}

// sizer is a page that follows more where there is more room; it is notified after the terminal's size has changed.
type sizer interface{ sized() }

// pointer is a page that knows the mouse; y counts from its own first line.
type pointer interface {
	click(x, y int)
	wheel(rows int)
}

// warner is a page that knows itself what its tab should warn of; "" is nothing.
type warner interface{ warning() string }

// chooser is a page with a cursor on an object that verbs act on.
type chooser interface {
	// subjects are the marked objects, or the one under the cursor.
	subjects() []subject
	// lost says once that the object under the cursor has gone.
	lost() bool
}

// noneChooser is a chooser that knows better than others why nothing can be acted on.
type noneChooser interface{ whyNone() string }

// subject is what a verb acts on.
type subject struct {
	ref kube.Ref
	// state is the word for it in the table ("Running").
	state    string
	owner    kube.Object // what controls it
	node     string      // that a pod runs on
	line     string      // its row as text
	cordoned bool        // of a node
	addon    *cluster.AddonStatus
	problem  *cluster.Problem
}

// name is what a user calls it: "pod shop/web-0".
func (s *subject) name() string {
	text := s.ref.Type.Resource
	if one := singular(s.ref.Type); one != "" {
		text = one
	}
	if s.ref.Namespace != "" {
		return text + " " + s.ref.Namespace + "/" + s.ref.Name
	}
	return text + " " + s.ref.Name
}

// scrolled is the first line of a text that begins at line top, after an action on a page of so many lines; ok says whether
// the action scrolls. It may be outside of the text; draw brings it back.
func scrolled(id string, top, page int) (line int, ok bool) {
	switch id {
	case "down":
		return top + 1, true
	case "up":
		return top - 1, true
	case "page.down":
		return top + max(1, page), true
	case "page.up":
		return top - max(1, page), true
	case "top":
		return 0, true
	case "bottom":
		return 1 << 20, true
	}
	return top, false
}

// blankPage does nothing; pages embed it for what they do not need.
type blankPage struct{}

func (blankPage) show()         {}
func (blankPage) hide()         {}
func (blankPage) crumb() string { return "" }

// problemOf is an error as something to show, with commands for this cluster.
func (u *ui) problemOf(err error) cluster.Problem { return fault.Problem(err).For(u.session.Name()) }

package tui

import (
	"errors"
	"maps"
	"slices"
	"testing"

	"bonsai/bootstrap/kube"
	"bonsai/tui/keymap"
)

// places are ways to every page, with something chosen on it where there is something to choose.
var places = map[string]struct {
	world func() *fakeSession
	size  [2]int
	keys  []string
	shows string
	// then brings about a state that no key leads to.
	then func(r *rig)
	// is the context that the page is about.
	is keymap.Context
}{
	"overview":          {world: shop, keys: []string{"1"}, shows: "PROBLEMS", is: keymap.Problems},
	"healthy overview":  {world: healthy, keys: []string{"1"}, shows: "nothing is wrong", is: keymap.Problems},
	"problem":           {world: shop, keys: []string{"1", "enter"}, shows: "EVIDENCE", is: keymap.Problems},
	"nodes":             {world: shop, keys: []string{"2"}, shows: "dev-2", is: keymap.Node},
	"node":              {world: shop, keys: []string{"2", "enter"}, shows: "PODS", is: keymap.Pods},
	"description":       {world: shop, keys: []string{"2", "d"}, shows: "Kind:  Node", is: keymap.Tabs},
	"pods":              {world: shop, keys: []string{"3"}, shows: "cart-7d9f4-x2k", is: keymap.Pods},
	"pods and panes":    {world: shop, size: [2]int{200, 60}, keys: []string{"3", "j"}, shows: "LOGS", is: keymap.Panes},
	"pane of an object": {world: shop, size: [2]int{200, 60}, keys: []string{"3", "j", "tab"}, shows: "LOGS", is: keymap.Tabs},
	"pane of a log":     {world: shop, size: [2]int{200, 60}, keys: []string{"3", "j", "tab", "tab"}, shows: "LOGS", is: keymap.Logs},
	"pod":               {world: shop, keys: []string{"3", "j", "j", "j", "enter"}, shows: "CONTAINERS", is: keymap.Tabs},
	"log of a pod":      {world: shop, keys: []string{"3", "j", "j", "j", "enter", "l"}, shows: "starting cart", is: keymap.Logs},
	"yaml":              {world: shop, keys: []string{"3", "j", "j", "j", "y"}, shows: "kind: Pod", is: keymap.Lines},
	"searched yaml":     {world: shop, keys: []string{"3", "j", "j", "j", "y", "/", `"kind"`, "enter"}, shows: "1 of 1", is: keymap.Search},
	"birth":             {world: shop, keys: []string{"3", "/", `"lm2"`, "enter", "b"}, shows: "kube-scheduler", is: keymap.Tabs},
	"other objects":     {world: shop, keys: []string{":", `"carts"`, "enter"}, shows: "alice", is: keymap.Objects},
	"logs":              {world: shop, keys: []string{"4"}, shows: "starting cart", is: keymap.Logs},
	"events":            {world: shop, keys: []string{"5"}, shows: "BackOff", is: keymap.Events},
	"dns":               {world: shop, keys: []string{"6"}, shows: "redis.defualt.svc", is: keymap.DNS},
	"dns by name":       {world: shop, keys: []string{"6", "u"}, shows: "LAST RESULT", is: keymap.Table},
	"lookup": {world: shop, keys: []string{"6"}, shows: "redis.defualt.svc", is: keymap.Lookup, then: func(r *rig) {
		r.keys("x")
		r.shows("found")
	}},
	"addons":        {world: shop, keys: []string{"7"}, shows: "storage-provisioner", is: keymap.Addons},
	"control":       {world: shop, keys: []string{"8"}, shows: "kube-apiserver", is: keymap.Control},
	"component log": {world: shop, keys: []string{"8", "enter"}, is: keymap.Logs},
	"services":      {world: shop, keys: []string{"9"}, shows: "kubernetes", is: keymap.Services},
	"images":        {world: shop, keys: []string{"I"}, shows: "cart:1.4.2", is: keymap.Images},
	"way":           {world: shop, keys: []string{"3", "/", `"lm2"`, "enter", "Y", `"db"`, "enter"}, shows: "source", is: keymap.Way},
	"traffic":       {world: shop, keys: []string{"W"}, shows: "shop/db-0", is: keymap.Traffic},
	"checkpoints":   {world: shop, keys: []string{"K", "j"}, shows: "before-migration", is: keymap.Checkpoints},
	"doctor":        {world: shop, keys: []string{"H"}, shows: "128 of 128", is: keymap.Doctor},
	"clusters":      {world: shop, keys: []string{"P"}, shows: "shown here", is: keymap.Clusters},
	"cluster file":  {world: shop, keys: []string{"V"}, shows: "config view", is: keymap.File},
	"forwarded ports": {world: shop, keys: []string{"9"}, shows: "kubernetes", is: keymap.Forwards, then: func(r *rig) {
		r.u.forwards.start(kube.ForwardSpec{Namespace: "shop", Target: kube.Object{Kind: "Service", Name: "web"}, Local: 8080, Remote: 80})
		r.keys("k", "g")
	}},
	"history": {world: shop, keys: []string{"L"}, is: keymap.History},
	"changes of all objects": {world: shop, shows: "dev", is: keymap.Changes, then: func(r *rig) {
		r.u.push(newChangesPage(r.u))
		r.shows("jane")
	}},
	"history of an object": {world: shop, keys: []string{"3", "j", "j", "j", "enter", "left"}, shows: "jane", is: keymap.Changes},
	"cron jobs":            {world: more, keys: []string{":", `"cronjobs"`, "enter"}, shows: "0 3 * * *", is: keymap.Cron},
	"revisions":            {world: more, keys: []string{":", `"deployments"`, "enter", "v"}, shows: "revision 3", is: keymap.Revisions},
	"related objects":      {world: more, keys: []string{":", `"deployments"`, "enter", "X"}, shows: "USED BY", is: keymap.Related},
	"values of a Secret":   {world: more, keys: []string{":", `"secrets"`, "enter", "x"}, shows: "********", is: keymap.Values},
	"who may do what": {world: more, shows: "dev", is: keymap.Access, then: func(r *rig) {
		r.u.push(newAccessPage(r.u, kube.AccessQuery{Verb: "list", Type: kube.PodType()}))
		r.shows("WHO MAY, BY RBAC")
	}},
	"resources": {world: shop, keys: []string{"B"}, shows: "RESOURCES", is: keymap.Objects},
	"offers":    {world: stopped, keys: []string{"1"}, shows: "stopped", is: keymap.Offers},
	"a start": {world: stopped, shows: "stopped", is: keymap.Start, then: func(r *rig) {
		r.u.operation = &operation{args: []string{"start"}, fall: &waterfall{}}
		r.u.frontChanged()
	}},
	"a failed start": {world: stopped, shows: "stopped", is: keymap.Failed, then: func(r *rig) {
		r.u.operation = &operation{args: []string{"start"}, fall: &waterfall{}, task: &task{}, done: true, err: errors.New("no")}
		r.u.frontChanged()
	}},
	"a start that succeeded": {world: stopped, shows: "stopped", is: keymap.Started, then: func(r *rig) {
		r.u.operation = &operation{args: []string{"start"}, fall: &waterfall{}, done: true}
		r.u.frontChanged()
	}},
	"output": {world: shop, is: keymap.Text, then: func(r *rig) {
		p := newOutputPage(r.u, "image ls")
		p.add("one\ntwo\nthree")
		r.u.push(p)
	}},
	"searched output": {world: shop, is: keymap.Search, then: func(r *rig) {
		p := newOutputPage(r.u, "image ls")
		p.add("one\ntwo\nthree")
		p.setFilter("two")
		r.u.push(p)
	}},
}

// goTo leads to a place.
func (r *rig) goTo(name string) {
	r.t.Helper()
	p := places[name]
	r.show(p.keys, p.shows)
	if p.then != nil {
		p.then(r)
		r.settle()
	}
	if !slices.Contains(r.u.chain(), p.is) {
		r.t.Fatalf("the contexts are %v, not %s; the screen is\n%s", r.u.chain(), p.is, r.screen())
	}
}

func atPlace(t *testing.T, name string) *rig {
	t.Helper()
	size := places[name].size
	if size == [2]int{} {
		size = [2]int{100, 30}
	}
	r := newRig(t, places[name].world(), size[0], size[1], func(o *Options) { o.ReadOnly = true })
	r.goTo(name)
	return r
}

// TestPagesDoWhatTheirContextsSay: every action of the contexts of a page is carried out there, and no other.
func TestPagesDoWhatTheirContextsSay(t *testing.T) {
	used := map[keymap.Context]bool{keymap.Dialog: true, keymap.Question: true, keymap.Prompt: true, keymap.Input: true}
	for name := range places {
		t.Run(name, func(t *testing.T) {
			r := atPlace(t, name)
			chain := r.u.chain()
			here := map[string]bool{}
			for _, c := range chain {
				used[c] = true
				for _, a := range r.u.keys.Actions(c) {
					here[a.ID] = true
				}
			}
			for _, place := range keymap.Places() {
				for _, a := range r.u.keys.Actions(place.Context) {
					if !here[a.ID] && r.u.frame().act(a.ID) {
						t.Errorf("the page does %s, which is in none of %v", a.ID, chain)
						r = atPlace(t, name)
					}
				}
			}
			for _, id := range slices.Sorted(maps.Keys(here)) {
				if a, _ := r.u.keys.Action(id); slices.Contains(a.In, keymap.Global) {
					if r.u.frame().act(id) {
						t.Errorf("the page does %s, which is everywhere's", id)
					}
					continue
				}
				if !r.u.perform(id) {
					t.Errorf("nobody does %s, which is in %v", id, chain)
				}
				r.u.dialogs, r.u.prompt = nil, nil
				if !slices.Equal(r.u.chain(), chain) {
					r = atPlace(t, name) // it has led elsewhere
				}
			}
		})
	}
	for _, place := range keymap.Places() {
		if !used[place.Context] {
			t.Errorf("no page has the keys of %q", place.Context)
		}
	}
}

// TestWhatIsEverywhereIsDoneEverywhere: the actions of Global need no page.
func TestWhatIsEverywhereIsDoneEverywhere(t *testing.T) {
	for _, a := range keymap.Default().Actions(keymap.Global) {
		r := newRig(t, shop(), 100, 30)
		if !r.u.act(a.ID) {
			t.Errorf("nobody does %s", a.ID)
		}
	}
}

// TestHintsHaveKeys: every action in the line of hints has a key.
func TestHintsHaveKeys(t *testing.T) {
	for name := range places {
		r := atPlace(t, name)
		for _, h := range r.u.frame().hints() {
			if r.u.keyIn(r.u.chain(), h.id) == "" && h.id != "text.next" {
				t.Errorf("%s: the hint %s has no key in %v", name, h.id, r.u.chain())
			}
		}
	}
}

// TestOneKeyIsRemappedAlone: what has the same key by default on another page keeps it.
func TestOneKeyIsRemappedAlone(t *testing.T) {
	r := newRig(t, dnsShop(), 120, 30, func(o *Options) {
		o.Keys = []byte("cordon: U\nfix: m\nrestart: E\nmark: v\ndns.pause: P\ndescribe: o")
	})
	r.keys("6")
	r.shows("redis.defualt.svc", "u group by name", "f failures only", "P pause")
	r.keys("f")
	r.shows("failures only / 1")
	r.keys("f", "u")
	r.shows("LAST RESULT")
	r.keys("u", "d")
	r.shows("d does nothing here")
	r.keys("?")
	r.shows("o                describe", "P                pause or continue")
	r.keys("esc", "7")
	r.shows("space disable it")
	r.keys("2")
	r.shows("x stop", "D drain")
	r.keys("u")
	r.shows("u does nothing here")
	r.keys("U")
	r.shows("cordon dev-1?")
	r.keys("esc", "r")
	r.shows("restart dev-1?")
	r.keys("esc", "D")
	r.shows("drain dev-1?")
}

// TestPaletteHasTheActionsOfThePage: also those that no other page has, and they work from there.
func TestPaletteHasTheActionsOfThePage(t *testing.T) {
	r := newRig(t, dnsShop(), 120, 30)
	r.keys("6")
	r.shows("redis.defualt.svc")
	r.keys("ctrl+k", `"failures only"`)
	r.shows("failures only, or all answers")
	r.keys("enter")
	r.shows("failures only / 1")
	r.keys("3", "ctrl+k", `"failures only"`)
	r.shows("0 of ")
}

// TestKeysWhereThereIsNothing: lists that are empty take all keys that lists have, one after another.
func TestKeysWhereThereIsNothing(t *testing.T) {
	for _, world := range []func() *fakeSession{nothing, stopped} {
		r := newRig(t, world(), 100, 30)
		for _, screen := range []string{"1", "2", "3", "4", "5", "6", "7", "8", "9", "L"} {
			for _, c := range []string{"", "u", "f"} {
				r.keys("9", "1", screen)
				r.settle()
				if c != "" {
					r.keys(c)
				}
				for _, key := range []string{"down", "delete", "C", "up", "pgdown", "end", "home", "pgup", "c", " ", "S", "enter", "x"} {
					r.keys(key)
					r.frame(100, 30)
					r.u.dialogs, r.u.prompt = nil, nil
				}
			}
		}
		r.keys("ctrl+k", `"nothing is called like this"`)
		for _, key := range []string{"down", "up", "enter"} {
			r.keys(key)
			r.frame(100, 30)
		}
	}
}
